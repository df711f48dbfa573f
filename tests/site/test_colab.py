"""The notebooks for Colab say what the pages say, in plain Markdown, and lose nothing."""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from markdown_it import MarkdownIt

from companion.notebook import lettering
from tests.site.conftest import HTML, ROOT
from tests.site.same_code import difference, printed_alike
from tools.book import addresses, contents, phrases, shown_code, widget_state
from tools.chapters import setup_cell
from tools.models import board_directive, live_directive
from tools.pages import editions

CHAPTERS = contents.notebooks()
SITE = addresses.site()
LEFTOVERS = {
    "a fence of colons": r"^\s*>?\s*:{3,}",
    "a role": r"\{[a-z:]+\}`",
    "a directive": r"```\{|\{(?:admonition|exercise|dropdown|figure|list-table)\}",
    "a label": r"^\([\w-]+\)=",
    "a comment": r"^%",
    "an option": r"^:\w+:",
}
# A model that lives in the page, or a game: in a notebook, a picture of it and where it runs.
LIVE = re.compile(r'<div class="live(?: board)?".*?<!-- end of live -->', re.DOTALL)
# What a renderer would have turned into something else.
MARKUP = re.compile(r"\*\*|\]\(|\$|&#|\\[a-z_*]|(?<!\w)_\w|`")
MATH = re.compile(r"\$\$.+?\$\$|(?<!\\)\$[^$]+?(?<!\\)\$", re.DOTALL)
# A line break that code writes as such is a word of its own, as it is where code has colours.
WORD = re.compile(r"\\n(?![a-z])|[一-鿿]|[^\W_一-鿿]+")
VOID = {"img", "br", "hr", "input", "meta", "link", "wbr", "source"}


class Text(HTMLParser):
    """Gathers what a page says, leaving out formulas, numbers of sections, code cells, signs."""

    skipped = ("math", "section-number", "headerlink", "eqno", "cell")

    def __init__(self, html: str):
        super().__init__()
        self.said, self.stack = [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        """Note whether an element is one to leave out; captions of cells are not."""
        classes = (dict(attributes).get("class") or "").split()
        out = bool(self.stack and self.stack[-1])
        out = out or any(name in self.skipped for name in classes) or tag in {"script", "style"}
        if tag not in VOID:
            self.stack.append(out and tag != "figcaption")

    def handle_endtag(self, tag):
        """Leave an element."""
        if tag not in VOID:
            self.stack.pop()

    def handle_data(self, data):
        """Keep what is said."""
        if not (self.stack and self.stack[-1]):
            self.said.append(data)


def words(html: str) -> list[str]:
    """Return the words of some HTML."""
    return WORD.findall(" ".join(Text(html).said))


@pytest.fixture(scope="session")
def site_folder(html):
    """Return the folder of the whole site, once it is built."""
    return HTML


@pytest.fixture(params=editions.EDITIONS, ids=lambda edition: edition.folder)
def edition(request):
    return request.param


@pytest.fixture(params=CHAPTERS, ids=contents.label)
def chapter(request):
    return request.param


@pytest.fixture
def folder(site_folder, edition):
    return site_folder / edition.folder


def file_name(chapter: Path) -> str:
    """Return the name that a chapter's notebook has in Colab."""
    return f"{contents.product_name(contents.page_of(chapter))}.ipynb"


@pytest.fixture
def notebook(folder, chapter):
    return read(folder / "colab" / file_name(chapter))


@pytest.fixture
def page(folder, chapter, edition):
    """Return the body of the page, with what the notebook says of a model that lives in it."""
    path = folder / chapter.relative_to(ROOT).with_suffix(".html")
    html = path.read_text(encoding="utf-8")
    body = re.search(r"<article[^>]*>(.*)</article>", html, re.DOTALL)[1]
    address = f"{SITE}/{edition.folder}/{chapter.relative_to(ROOT).with_suffix('.html').as_posix()}"
    say = phrases.speaker(ROOT, edition.language)
    return LIVE.sub(f"<p>{say(live_directive.RUNS)} {address}</p>", body)


@cache
def read(path: Path):
    return nbformat.read(path, as_version=4)


def texts(notebook) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def without_code(markdown: str) -> str:
    return re.sub(r"(`+)(?:(?!\1).)+?\1", " ", re.sub(r"```.*?```", "", markdown, flags=re.DOTALL))


def rendered(markdown: str) -> str:
    """Return the HTML that CommonMark makes of a cell, its formulas taken out before."""
    return MarkdownIt("commonmark").enable("table").render(MATH.sub(" ", markdown))


def test_it_is_a_notebook_that_colab_takes(notebook, chapter):
    nbformat.validate(notebook)
    identities = [cell.id for cell in notebook.cells]
    assert len(set(identities)) == len(identities)
    assert [cell.metadata.id for cell in notebook.cells] == identities
    assert notebook.metadata.accelerator == "GPU"
    assert notebook.metadata.colab.gpuType == "T4"
    assert notebook.metadata.colab.name == file_name(chapter)


def test_code_and_outputs_are_the_chapters(notebook, chapter, edition):
    stored = read(chapter)
    setup_cell.publish(stored)
    source = [cell for cell in stored.cells if cell.cell_type == "code"]
    made = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = [o.text for cell in source for o in cell.outputs if o.output_type == "stream"]
    pairs = [(one.source, two.source) for one, two in zip(source, made, strict=True)]
    assert [d for one, two in pairs if (d := difference(one, two, printed))] == []
    assert edition.folder != "en" or all(one == two for one, two in pairs)
    assert [cell.id for cell in made] == [cell.id for cell in source]
    for ours, theirs in zip(made, source, strict=True):
        assert len(ours.outputs) == len(theirs.outputs)
        for shown, kept in zip(ours.outputs, theirs.outputs, strict=True):
            assert printed_alike(kept.get("text", ""), shown.get("text", ""))
            assert comparable(kept).items() <= comparable(shown).items()


def comparable(output):
    """Return an output without what only the built one has: links above code, translated words."""
    data = dict(output.get("data", {}))
    if data.get("text/markdown", "").startswith("`companion."):
        data["text/markdown"] = data["text/markdown"].split("\n", 1)[1]
    if "image/svg+xml" in data:
        data["image/svg+xml"] = lettering.translated(data["image/svg+xml"], lambda _word: "")
    return data


def test_code_that_is_shown_has_a_link_to_its_lines(notebook, chapter):
    shown = [s["name"] for s in shown_code.headings(read(chapter))]
    texts = [
        o.data.get("text/markdown", "")
        for c in notebook.cells
        for o in c.get("outputs", [])
        if "data" in o
    ]
    lines = [text.split("\n")[0] for text in texts if text.startswith("`companion.")]
    assert len(lines) == len(shown)
    for name, line in zip(shown, lines, strict=True):
        place = shown_code.find(name)
        link = f"{addresses.repository()}/blob/HEAD/{place.file}#L{place.first}-L{place.last}"
        assert line.startswith(f"`{name}` · ")
        assert line.endswith(f"]({link})")


def test_cells_of_text_are_cut_where_the_chapters_are(notebook, chapter):
    added = {"about"} | {c.id for c in notebook.cells if c.id.endswith("-caption")}
    assert [c.id for c in notebook.cells if c.id not in added] == [
        c.id for c in read(chapter).cells
    ]


@pytest.mark.parametrize("name", LEFTOVERS)
def test_no_directive_or_role_is_left(notebook, name):
    pattern = re.compile(LEFTOVERS[name], re.MULTILINE)
    plain = [re.sub(r"^```.*?^```", "", text, flags=re.M | re.S) for text in texts(notebook)]
    assert [m[0] for text in plain for m in pattern.finditer(text)] == []


def test_no_markup_is_left_when_it_is_rendered(notebook):
    found = []
    for text in texts(notebook):
        said = Text(re.sub(r"<(code|pre)\b.*?</\1>", "", rendered(text), flags=re.DOTALL)).said
        found += [piece for piece in said if MARKUP.search(piece)]
    assert found == []


def test_every_word_of_the_page_is_there_in_order(notebook, page):
    ours = list(itertools.chain(*(words(rendered(text)) for text in texts(notebook)[1:])))
    place, lost = iter(ours), []
    for number, word in enumerate(theirs := words(page)):
        if word not in place:
            lost = theirs[max(0, number - 8) : number + 1]
            break
    assert lost == [], "the last of these words is not where it should be"
    assert len(ours) - len(theirs) <= 2 * page.count("correction admonition")


def test_equations_carry_their_numbers(notebook, page, chapter):
    numbers = re.findall(r'class="eqno">\(([\d.]+)\)', page)
    named = re.findall(r"\$\$ *\([\w-]+\)", "\n".join(texts(read(chapter))))
    assert len(numbers) == len(named)
    assert re.findall(r"\\tag\{([\d.]+)\}", "\n".join(texts(notebook))) == numbers


def test_formulas_are_the_pages(notebook, page):
    ours = "\n".join(without_code(text) for text in texts(notebook))
    shown = re.findall(r'class="math notranslate', page)
    assert len(MATH.findall(ours)) == len(shown) > 0


def test_exercises_carry_their_numbers_and_open_on_a_click(notebook, page, chapter):
    numbers = re.findall(r"exercise difficulty[^>]*>\s*<p[^>]*><span[^>]*>([^<]+)</span>", page)
    text = "\n".join(texts(notebook))
    headings = re.findall(r"^### (.*) [●○]{3}$", text, re.MULTILINE)
    assert len(numbers) == len(headings)
    assert bool(numbers) == (contents.ending_with(chapter) is not None)
    assert all(h.startswith(n.strip()) for h, n in zip(headings, numbers, strict=True))
    assert text.count("<details>\n<summary>") == text.count("\n\n</details>") >= len(numbers)


def test_no_picture_is_lost_and_each_says_what_it_shows(notebook, page):
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    kinds = ("image/png", "image/svg+xml", widget_state.VIEW)
    stored = [
        next((o.metadata[kind]["alt"] for kind in kinds if "alt" in o.metadata.get(kind, {})), "")
        for o in outputs
        if set(kinds) & o.get("data", {}).keys()
    ]
    assert len(stored) == page.count("<img")
    assert all(len(alt) >= 10 for alt in stored)
    inside = [text for text in texts(notebook) if "<img" in text or "![" in text]
    say = [phrases.speaker(ROOT, each.language) for each in editions.EDITIONS]
    alive = {
        speak(alt) for speak in say for alt in (board_directive.ALT, *live_directive.ALTS.values())
    }
    inside = [text for text in inside if not any(words in text for words in alive)]
    assert len(re.findall(r"<figcaption>", page)) + len(inside) == sum(
        cell.id.endswith("-caption") for cell in notebook.cells
    )


def test_widgets_keep_their_state(notebook, chapter):
    views = [
        output.data[widget_state.VIEW]["model_id"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if widget_state.VIEW in output.get("data", {})
    ]
    state = notebook.metadata.get("widgets", {}).get(widget_state.STATE, {}).get("state", {})
    assert set(views) <= set(state)
    stored = read(chapter).metadata.get("widgets", {widget_state.STATE: {"state": {}}})
    assert len(state) == len(stored[widget_state.STATE]["state"])


def test_links_lead_to_places_on_the_published_site(notebook, site_folder):
    links = [m for text in texts(notebook) for m in re.findall(r"\]\((\S+?)\)", without_code(text))]
    ours = [urlsplit(link.removeprefix(SITE)) for link in links if link.startswith(SITE)]
    assert ours
    assert all(urlsplit(link).scheme == "https" for link in links)
    lost = [link.geturl() for link in ours if not leads_somewhere(site_folder, link)]
    assert lost == []


def leads_somewhere(site_folder, link) -> bool:
    target = site_folder / unquote(link.path).lstrip("/")
    if not target.is_file():
        return False
    return not link.fragment or f'id="{unquote(link.fragment)}"' in target.read_text("utf-8")


def test_the_first_cell_says_what_it_is_and_leads_to_the_page(notebook, chapter, edition):
    name = chapter.relative_to(ROOT).with_suffix(".html").as_posix()
    for other in editions.EDITIONS:
        assert f"({SITE}/{other.folder}/{name})" in notebook.cells[0].source
    assert notebook.cells[1].metadata.cellView == "form"


def test_the_button_and_the_download_lead_to_this_file(folder, chapter, edition):
    page = (folder / chapter.relative_to(ROOT).with_suffix(".html")).read_text(encoding="utf-8")
    owner = addresses.repository().removeprefix("https://github.com/")
    name = file_name(chapter)
    path = f"{edition.folder}/colab/{name}"
    place = (
        f"https://colab.research.google.com/github/{owner}/blob/{addresses.site_branch()}/{path}"
    )
    assert f'href="{place}"' in page
    assert f'colab/{name}" download' in page
    assert json.loads((folder / "colab" / name).read_text(encoding="utf-8"))["cells"]
    assert {p.suffix for p in (folder / "colab").iterdir()} == {".ipynb"}


def test_the_editions_differ_in_words_only(site_folder, chapter):
    english, chinese = (
        read(site_folder / e.folder / "colab" / file_name(chapter)) for e in editions.EDITIONS
    )
    assert [cell.id for cell in english.cells] == [cell.id for cell in chinese.cells]
    for ours, theirs in zip(english.cells, chinese.cells, strict=True):
        found = [sorted(re.findall(r"\\tag\{.*?\}", cell.source)) for cell in (ours, theirs)]
        assert found[0] == found[1], ours.id


def test_the_wheel_on_the_site_is_the_one_that_the_notebooks_install(site_folder, chapter):
    (wheel,) = (site_folder / "wheels").iterdir()
    built = read(site_folder / "en" / "colab" / file_name(chapter))
    first = next(cell for cell in built.cells if cell.id == "setup")
    version = re.search(r'^VERSION = "(.*?)"', first.source, re.MULTILINE)[1]
    assert wheel.name == f"large_models_companion-{version}-py3-none-any.whl"
    assert f'SITE = "{SITE}"' in first.source
