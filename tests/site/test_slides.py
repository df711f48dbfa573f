"""The slides of each marked chapter, as they are shown in a lecture hall, and their list."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import polib
import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from tests.site import decks
from tests.site.same_code import difference, printed_alike
from tests.site.visits import THEMES, Visit, once
from tools.book import contents, notebooks
from tools.pages import editions
from tools.slides import marks
from tools.words import catalogs, translation_checks

pytestmark = pytest.mark.browser
FOLDERS = [edition.folder for edition in editions.EDITIONS]
MARKED = [path for path in contents.notebooks() if marks.has_deck(path)]
PAGES = {contents.product_name(page): page for page in map(contents.page_of, MARKED)}
DECKS = [(folder, name) for folder in FOLDERS for name in PAGES]


@pytest.fixture(scope="module")
def shown(browser, address, axe):
    """Return a function that says what was noticed of a deck; each is shown once.

    A deck that could not be shown fails for everyone who asks.
    """

    @once
    def deck(folder: str, name: str) -> decks.Shown:
        visit = Visit.begin(browser, address, **decks.SIZE)
        return decks.show(visit, deck_of(folder, name), axe)

    return deck


def deck_of(folder: str, name: str) -> str:
    """Return the address of a chapter's deck."""
    return f"{folder}/{marks.address(PAGES[name])}"


def printed_in(path) -> list[str]:
    """Return what the cells of a notebook have printed."""
    outputs = (output for cell in marks.cells(path) for output in cell.get("outputs", []))
    return ["".join(output.get("text", "")) for output in outputs]


class Links(HTMLParser):
    """Collects the addresses and the ids of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.links += [known["href"]] if tag == "a" and "href" in known else []
        self.ids |= {known["id"]} if "id" in known else set()


# -- decks of the book ---------------------------------------------------------------------------


each_deck = pytest.mark.parametrize(("folder", "name"), DECKS)


@each_deck
def test_a_deck_opens_quietly_and_asks_nobody(shown, folder, name):
    deck = shown(folder, name)
    assert deck.messages == []
    assert deck.strangers == []
    assert deck.about["language"] == editions.edition(folder).tag


@each_deck
def test_a_deck_is_a_lecture_with_titles_and_few_points(shown, folder, name):
    deck = shown(folder, name)
    titles = deck.about["titles"]
    assert 20 <= len(titles) == len(deck.slides) == deck.about["count"] <= 45
    assert all(titles)
    assert len(set(titles)) == len(titles)
    assert max(deck.about["points"]) <= 6


@each_deck
def test_nothing_leaves_its_slide(shown, folder, name):
    for number, slide in enumerate(shown(folder, name).slides, 1):
        assert slide["outside"] == [], f"slide {number}"
        assert slide["colliding"] == [], f"slide {number}"


@each_deck
def test_the_last_row_can_read_it(shown, folder, name):
    sizes = [size for slide in shown(folder, name).slides for size in slide["sizes"]]
    assert min(sizes) >= 20  # of 720: as 40 points on a sheet of A4


@each_deck
def test_every_picture_is_there_and_described(shown, folder, name):
    pictures = shown(folder, name).pictures
    assert len(pictures) > 2
    assert all(picture["alt"] and picture["loaded"] for picture in pictures)


@each_deck
def test_links_lead_to_places_on_the_pages(html, folder, name):
    links = Links((html / deck_of(folder, name)).read_text(encoding="utf-8")).links
    inside = {link for link in links if not link.startswith(("http:", "https:"))}
    assert len(inside) > 5
    pages: dict = {}
    for link in inside:
        path, _, place = link.partition("#")
        target = (html / folder / "slides" / path).resolve()
        assert target.is_file(), link
        if target not in pages:
            pages[target] = Links(target.read_text(encoding="utf-8")).ids
        assert not place or place in pages[target], link


@each_deck
def test_the_speaker_has_the_whole_text(shown, folder, name):
    assert sum(shown(folder, name).about["notes"]) > 3000


@pytest.mark.parametrize("path", MARKED, ids=contents.label)
def test_code_is_shown_before_it_is_used(path):
    """The linter, which knows nothing of slides, reads what they show as one program."""
    program = "\n".join(slide.code for slide in marks.cut(path))
    assert len(program) > 500
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F823", "-"]
    linted = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", MARKED, ids=contents.label)
def test_chinese_titles_and_points_are_chinese(html, path):
    page = contents.page_of(path)
    known = {e.msgid: e.msgstr for e in catalogs.entries(contents.ROOT, "zh_CN", page)}
    words = list(dict.fromkeys(marks.words(path)))
    wanted = [word for word in words if translation_checks.needs_translation(word)]
    entries = [polib.POEntry(msgid=word, msgstr=known.get(word, "")) for word in wanted]
    assert [entry.msgid for entry in entries if not entry.msgstr] == []
    assert [problem for entry in entries for problem in translation_checks.problems(entry)] == []
    deck = (html / "zh" / marks.address(page)).read_text(encoding="utf-8")
    plain = [known[word] for word in wanted if not re.search(r"[$*`{]", known[word])]
    assert len(plain) > 10
    assert [text for text in plain if text not in deck] == []


@each_deck
@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_on_slides(shown, folder, name, theme):
    assert shown(folder, name).broken_rules[theme] == []


@pytest.mark.parametrize("path", MARKED, ids=contents.label)
def test_both_editions_show_the_same_formulas_and_code(html, path):
    name = contents.product_name(contents.page_of(path))

    def parts(folder: str, pattern: str) -> list[str]:
        text = (html / deck_of(folder, name)).read_text(encoding="utf-8")
        return sorted(re.findall(pattern, text, re.DOTALL))

    def texts(folder: str, selector: str) -> list[str]:
        deck = BeautifulSoup((html / deck_of(folder, name)).read_text("utf-8"), "html.parser")
        return [block.get_text() for block in deck.select(f".body > .{selector} pre")]

    formulas = [parts(folder, r'<math [^>]*display="block">.*?</math>') for folder in FOLDERS]
    programs = ["\n".join(texts(folder, "code")) for folder in FOLDERS]
    printed = [texts(folder, "output") for folder in FOLDERS]
    assert formulas[0] == formulas[1]
    assert len(formulas[0]) > 5
    assert len(programs[0]) > 500
    assert difference(*programs, printed_in(path)) == ""
    assert all(printed_alike(*pair) for pair in zip(*printed, strict=True))


def test_keys_turn_slides_switch_the_theme_and_open_the_speakers_view(new_visit):
    page = new_visit(deck_of("en", "attention"), **decks.SIZE).page
    page.wait_for_function(decks.READY)
    page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getIndices().h") == 1
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("Reveal.getIndices().h") == 0
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.keyboard.press("t")
    page.keyboard.press("o")
    assert page.evaluate("Reveal.isOverview()")
    page.keyboard.press("o")
    with page.expect_popup() as opened:
        page.keyboard.press("s")
    opened.value.close()


def test_a_deck_can_be_printed(new_visit, tmp_path):
    visit = new_visit(f"{deck_of('en', 'attention')}?print-pdf", **decks.SIZE)
    visit.page.wait_for_function("document.querySelectorAll('.pdf-page').length > 0")
    count = visit.page.evaluate("document.querySelectorAll('.pdf-page').length")
    visit.page.pdf(path=tmp_path / "deck.pdf", prefer_css_page_size=True, print_background=True)
    reader = PdfReader(tmp_path / "deck.pdf")
    assert len(reader.pages) in (count, count + 1)
    assert count >= 20
    box = reader.pages[0].mediabox
    assert float(box.width) > float(box.height)
    assert visit.messages == []
    visit.page.context.close()


# -- the list, and the way there -----------------------------------------------------------------


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_list_names_every_deck(new_visit, axe, html, folder):
    visit = new_visit(f"{folder}/slides/index.html")
    links = visit.page.eval_on_selector_all("li > a", "all => all.map((a) => a.pathname)")
    assert links == [f"/{folder}/{marks.address(page)}" for page in PAGES.values()]
    assert all((html / link[1:]).is_file() for link in links)
    heading = visit.page.locator("h1").text_content()
    assert heading == {"en": "Slides", "zh": "幻灯片"}[folder]
    assert visit.messages == visit.strangers == []
    assert (
        "slides/index.html"
        in Links((html / folder / "index.html").read_text(encoding="utf-8")).links
    )
    assert visit.accessibility(axe) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_only_marked_chapters_have_a_deck_and_a_button(html, folder):
    made = {path.name for path in (html / folder / "slides").glob("*.html")}
    assert made == {"index.html", *(f"{name}.html" for name in PAGES)}
    for path in contents.notebooks():
        page = path.relative_to(contents.ROOT).with_suffix("").as_posix()
        links = Links((html / folder / f"{page}.html").read_text(encoding="utf-8")).links
        offered = [link for link in links if link.endswith(marks.address(page))]
        assert bool(offered) == (path in MARKED), page


# -- a book of one chapter -----------------------------------------------------------------------

ENGLISH = "Half of $x$, twice"
CHINESE = "$x$ 的一半，两次"


def marked(cell, kind: str, **more):
    """Return a cell with a mark."""
    cell.metadata["slideshow"] = {"slide_type": kind, **more}
    return cell


def small_chapter() -> list:
    """Return the cells of a chapter that uses each kind of mark."""
    text = "Before it.\n\n## A part\n\nThe whole text.\n\n$$\na = 1\n$$\n\n$$\nb = 2\n$$"
    drawn = new_output("stream", text="1.5\n")
    return [
        new_markdown_cell("# Small\n\nOnly on the page."),
        marked(new_code_cell("import math"), "slide", title="Set-up"),
        marked(
            new_markdown_cell(text),
            "slide",
            title=ENGLISH,
            points=["A **point**"],
            equations=[1],
            more=[{"title": "The other one", "equations": [2]}],
        ),
        marked(new_code_cell("half = 0.5"), "subslide", title="Code"),
        marked(
            new_code_cell("one = 1\nfull = half * 3\nprint(full)", outputs=[drawn]),
            "fragment",
            lines="2-3",
        ),
        marked(new_markdown_cell("Only said aloud."), "notes"),
        marked(new_markdown_cell("Nowhere."), "skip"),
    ]


def write_chapter(root, cells: list) -> None:
    """Write a book of one chapter, with a Chinese catalog."""
    settings = {
        "title": "Tiny",
        "author": "Nobody",
        "repository": {"url": "https://example.org/tiny", "branch": "main"},
        "only_build_toc_files": True,
        "execute": {"execute_notebooks": "off"},
        "sphinx": {"config": {"language": "en"}},
    }
    (root / "_config.yml").write_text(yaml.safe_dump(settings))
    (root / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n- file: chapters/small\n"
    )
    (root / "index.md").write_text("# Tiny\n\nText.\n")
    (root / "chapters").mkdir()
    language = {"language_info": {"name": "python", "pygments_lexer": "python"}}
    text = notebooks.write(new_notebook(cells=cells, metadata=language))
    (root / "chapters" / "small.ipynb").write_text(text, encoding="utf-8")
    folder = root / "locale" / "zh_CN" / "LC_MESSAGES" / "chapters"
    folder.mkdir(parents=True)
    (root / "locale" / "zh_CN" / "pages.txt").write_text("chapters/small\n")
    catalog = polib.POFile()
    catalog.metadata = {"Content-Type": "text/plain; charset=UTF-8"}
    catalog.append(polib.POEntry(msgid=ENGLISH, msgstr=CHINESE))
    catalog.save(str(folder / "small.po"))


@pytest.fixture
def build(run_builder, tmp_path):
    """Return a function that builds the slides of an edition: the status and the deck."""

    def run(folder: str) -> tuple[int, str]:
        status = run_builder("slides", tmp_path, folder)
        path = editions.place("slides", tmp_path, editions.edition(folder)) / "small.html"
        return status, path.read_text(encoding="utf-8") if path.exists() else ""

    return run


def sections(deck: str) -> list[str]:
    """Return the slides of a deck after its first one."""
    return re.findall(r"<section class.*?</section>", deck, re.DOTALL)[1:]


def test_marks_say_what_stands_on_a_slide(build, tmp_path):
    write_chapter(tmp_path, small_chapter())
    status, deck = build("en")
    assert status == 0
    setup, first, other, code = sections(deck)
    assert "import" in setup
    assert [re.findall('class="part">(.*?)<', each) for each in (setup, first)] == [[], ["A part"]]
    body, notes = first.split('<aside class="notes">')
    assert "<strong>point</strong>" in body
    assert body.count('class="formula"') == other.count('class="formula"') == 1
    assert "The whole text." not in body
    assert "The whole text." in notes
    shown = re.sub("<[^>]+>", "", code)
    assert "full = half * 3" in shown
    assert "one = 1" not in shown
    assert '<div class="output fragment">' in code
    assert "Only said aloud." in code.split('<aside class="notes">')[1]
    assert "Only on the page" not in deck
    assert "Nowhere" not in deck
    status, deck = build("zh")
    assert status == 0
    assert "的一半，两次" in sections(deck)[1]
    assert "Half of" not in deck


FAULTS = {
    "no title": ({"title": ""}, "has no title"),
    "a title twice": ({"title": "Set-up"}, "another slide is called"),
    "a wrong key": ({"titel": "Half"}, "titel"),
    "an unknown type": ({"slide_type": "page"}, "slide_type"),
    "code cut in two": ({"lines": "1"}, "not whole"),
    "a name from nowhere": ({"lines": "1-2"}, "no slide before it shows: unseen"),
    "too long": ({}, "too many for a slide"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_mark_is_named(tmp_path, fault):
    change, said = FAULTS[fault]
    long = new_code_cell("def f(x):\n    return unseen\n" + "y = 1\n" * marks.CODE_LINES, id="f-1")
    mark = {"slide_type": "slide", "title": "Mine", "lines": "3-5"} | change
    if fault == "too long":
        del mark["lines"]
    long.metadata["slideshow"] = mark
    first = marked(new_code_cell("import math"), "slide", title="Set-up")
    path = tmp_path / "chapter.ipynb"
    path.write_text(notebooks.write(new_notebook(cells=[first, long])), encoding="utf-8")
    problems = list(marks.problems(marks.cut(path)))
    assert any(said in problem and "f-1" in problem for problem in problems), problems


def test_a_faulty_deck_stops_the_build(build, tmp_path, capfd):
    cells = small_chapter()
    cells[3].source = "half = quarter * 2"
    write_chapter(tmp_path, cells)
    assert build("en")[0] == 1
    assert "small.ipynb" in (said := capfd.readouterr().err)
    assert "quarter" in said
