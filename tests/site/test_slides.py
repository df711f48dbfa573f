"""The slides of each marked chapter, as they are shown in a lecture hall, and their list."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser

import polib
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from pypdf import PdfReader

from tools import catalogs, contents, editions, notebooks, slides, translation_checks

pytestmark = pytest.mark.browser
FOLDERS = [edition.folder for edition in editions.EDITIONS]
MARKED = [path for path in contents.notebooks() if slides.has_deck(path)]
PAGES = {contents.product_name(page): page for page in map(contents.page_of, MARKED)}
DECKS = [(folder, name) for folder in FOLDERS for name in PAGES]
ALL_SEEN = "() => document.querySelectorAll('.fragment').forEach((f) => f.classList.add('visible'))"
# What of a slide lies outside of its frame; the drawn parts of math are clipped by their boxes.
OUTSIDE = """
() => {
  const frame = document.querySelector(".slides").getBoundingClientRect();
  const parts = Reveal.getCurrentSlide().querySelectorAll("header *, .body *, footer *");
  return [...parts].filter((part) => {
    const box = part.getBoundingClientRect();
    const seen = box.width && box.height && !part.closest(".katex-mathml, svg");
    const out = box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
    return seen && (out || box.left < frame.left - 1 || box.top < frame.top - 1);
  }).map((part) => `${part.tagName}: ${part.textContent.slice(0, 60)}`);
}
"""
# Whether what stands in the middle runs into the headline or into the line below.
COLLIDES = """
() => {
  const slide = Reveal.getCurrentSlide();
  const foot = slide.querySelector("footer").getBoundingClientRect().top;
  const head = slide.querySelector("header").getBoundingClientRect().bottom;
  return [...slide.querySelectorAll(".body > *, .body li, .body pre")].filter((part) => {
    const box = part.getBoundingClientRect();
    return box.height && (box.bottom > foot + 3 || box.top < head - 3);
  }).map((part) => part.textContent.slice(0, 60));
}
"""
SIZES = """
() => [...Reveal.getCurrentSlide().querySelectorAll(".body :is(li, pre)")]
  .map((part) => parseFloat(getComputedStyle(part).fontSize))
"""
PICTURES = """
() => [...document.querySelectorAll(".picture img")].map((picture) => ({
  alt: picture.alt, loaded: picture.naturalWidth > 0 }))
"""
TITLES = "[...document.querySelectorAll('.slides h1, .slides h2')].map((h) => h.textContent.trim())"
SECTIONS = "[...document.querySelectorAll('.slides > section')]"
POINTS = f"{SECTIONS}.map((section) => section.querySelectorAll('li:not(.notes li)').length)"
LOOKS = f"{SECTIONS}.map((section) => section.classList[0])"
RUN_AXE = "async () => (await axe.run({ resultTypes: ['violations'] })).violations"


@pytest.fixture(scope="module")
def deck(new_visit):
    """Return a function that opens a deck once, at the size that it is made for."""
    visits = {}

    def get(folder: str, name: str, theme: str = "light"):
        key = (folder, name, theme)
        if key not in visits:
            address = f"{folder}/{slides.address(PAGES[name])}"
            visits[key] = new_visit(address, width=1280, height=720, theme=theme)
            visits[key].page.wait_for_function("window.Reveal && Reveal.isReady()")
        return visits[key]

    return get


def each_slide(page, script: str) -> list:
    """Return what a script says on each slide, everything on it revealed."""
    page.evaluate(ALL_SEEN)
    count = page.evaluate("Reveal.getTotalSlides()")
    found = []
    for number in range(count):
        page.evaluate(f"Reveal.slide({number}, 0, 99)")
        found.append(page.evaluate(script))
    return found


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


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_a_deck_opens_quietly_and_asks_nobody(deck, folder, name):
    visit = deck(folder, name)
    assert visit.messages == []
    assert visit.strangers == []
    assert visit.page.evaluate("document.documentElement.lang") == editions.edition(folder).tag


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_a_deck_is_a_lecture_with_titles_and_few_points(deck, folder, name):
    page = deck(folder, name).page
    titles = page.evaluate(TITLES)
    assert 20 <= len(titles) == page.evaluate("Reveal.getTotalSlides()") <= 45
    assert all(titles)
    assert len(set(titles)) == len(titles)
    assert max(page.evaluate(POINTS)) <= 6


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_nothing_leaves_its_slide(deck, folder, name):
    page = deck(folder, name).page
    for number, outside in enumerate(each_slide(page, OUTSIDE)):
        assert outside == [], f"slide {number + 1}"
    for number, collides in enumerate(each_slide(page, COLLIDES)):
        assert collides == [], f"slide {number + 1}"


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_the_last_row_can_read_it(deck, folder, name):
    sizes = each_slide(deck(folder, name).page, SIZES)
    assert min(min(some) for some in sizes if some) >= 20  # of 720: as 40 points on a sheet of A4


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_every_picture_is_there_and_described(deck, folder, name):
    page = deck(folder, name).page
    page.evaluate("Promise.all([...document.images].map((image) => image.decode()))")
    pictures = page.evaluate(PICTURES)
    assert len(pictures) > 2
    assert all(picture["alt"] and picture["loaded"] for picture in pictures)


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_links_lead_to_places_on_the_pages(html, folder, name):
    links = Links((html / folder / slides.address(PAGES[name])).read_text(encoding="utf-8")).links
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


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_the_speaker_has_the_whole_text(deck, folder, name):
    page = deck(folder, name).page
    notes = page.eval_on_selector_all("aside.notes", "all => all.map((n) => n.textContent.length)")
    assert sum(notes) > 3000


@pytest.mark.parametrize("path", MARKED, ids=contents.label)
def test_code_is_shown_before_it_is_used(path):
    """The linter, which knows nothing of slides, reads what they show as one program."""
    program = "\n".join(slide.code for slide in slides.cut(path))
    assert len(program) > 500
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821,F823", "-"]
    linted = subprocess.run(command, input=program, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("path", MARKED, ids=contents.label)
def test_chinese_titles_and_points_are_chinese(html, path):
    page = contents.page_of(path)
    known = {e.msgid: e.msgstr for e in catalogs.entries(contents.ROOT, "zh_CN", page)}
    words = list(dict.fromkeys(slides.words(path)))
    wanted = [word for word in words if translation_checks.needs_translation(word)]
    entries = [polib.POEntry(msgid=word, msgstr=known.get(word, "")) for word in wanted]
    assert [entry.msgid for entry in entries if not entry.msgstr] == []
    assert [problem for entry in entries for problem in translation_checks.problems(entry)] == []
    deck = (html / "zh" / slides.address(page)).read_text(encoding="utf-8")
    plain = [known[word] for word in wanted if not re.search(r"[$*`{]", known[word])]
    assert len(plain) > 10
    assert [text for text in plain if text not in deck] == []


@pytest.mark.parametrize(("folder", "name"), DECKS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_slides(deck, axe, folder, name, theme):
    page = deck(folder, name, theme).page
    page.evaluate(axe)
    looks = page.evaluate(LOOKS)
    for look in dict.fromkeys(looks):
        page.evaluate(f"Reveal.slide({looks.index(look)}, 0, 99)")
        page.wait_for_timeout(50)
        found = page.evaluate(RUN_AXE)
        told = [(one["id"], one["nodes"][0]["html"][:150]) for one in found]
        assert told == [], f"slide {looks.index(look) + 1}, {look}"


@pytest.mark.parametrize("name", PAGES)
def test_both_editions_show_the_same_formulas_and_code(html, name):
    def parts(folder: str, pattern: str) -> list[str]:
        text = (html / folder / slides.address(PAGES[name])).read_text(encoding="utf-8")
        return sorted(re.findall(pattern, text, re.DOTALL))

    for pattern in (r'<math [^>]*display="block">.*?</math>', r"<pre>.*?</pre>"):
        here, there = parts("en", pattern), parts("zh", pattern)
        assert here == there
        assert len(here) > 5


def test_keys_turn_slides_switch_the_theme_and_open_the_speakers_view(deck):
    page = deck("en", "attention", "light").page
    page.evaluate("Reveal.slide(0)")
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
    visit = new_visit("en/slides/attention.html?print-pdf", width=1280, height=720)
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
    assert links == [f"/{folder}/{slides.address(page)}" for page in PAGES.values()]
    assert all((html / link[1:]).is_file() for link in links)
    heading = visit.page.locator("h1").text_content()
    assert heading == {"en": "Slides", "zh": "幻灯片"}[folder]
    assert visit.messages == visit.strangers == []
    assert (
        "slides/index.html"
        in Links((html / folder / "index.html").read_text(encoding="utf-8")).links
    )
    visit.page.evaluate(axe)
    assert visit.page.evaluate(RUN_AXE) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_only_marked_chapters_have_a_deck_and_a_button(html, folder):
    made = {path.name for path in (html / folder / "slides").glob("*.html")}
    assert made == {"index.html", *(f"{name}.html" for name in PAGES)}
    for path in contents.notebooks():
        page = path.relative_to(contents.ROOT).with_suffix("").as_posix()
        links = Links((html / folder / f"{page}.html").read_text(encoding="utf-8")).links
        offered = [link for link in links if link.endswith(slides.address(page))]
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


def build(root, folder: str) -> tuple[int, str]:
    """Build the slides of an edition; return the status and the deck."""
    edition = editions.edition(folder)
    static, modules = editions.stage(root)
    status = editions.run(
        "slides", root, edition, editions.sphinx_config(root, static, modules, edition)
    )
    path = editions.place("slides", root, edition) / "small.html"
    return status, path.read_text(encoding="utf-8") if path.exists() else ""


def sections(deck: str) -> list[str]:
    """Return the slides of a deck after its first one."""
    return re.findall(r"<section class.*?</section>", deck, re.DOTALL)[1:]


def test_marks_say_what_stands_on_a_slide(tmp_path):
    write_chapter(tmp_path, small_chapter())
    status, deck = build(tmp_path, "en")
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
    status, deck = build(tmp_path, "zh")
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
    long = new_code_cell("def f(x):\n    return unseen\n" + "y = 1\n" * slides.CODE_LINES, id="f-1")
    mark = {"slide_type": "slide", "title": "Mine", "lines": "3-5"} | change
    if fault == "too long":
        del mark["lines"]
    long.metadata["slideshow"] = mark
    first = marked(new_code_cell("import math"), "slide", title="Set-up")
    path = tmp_path / "chapter.ipynb"
    path.write_text(notebooks.write(new_notebook(cells=[first, long])), encoding="utf-8")
    problems = list(slides.problems(slides.cut(path)))
    assert any(said in problem and "f-1" in problem for problem in problems), problems


def test_a_faulty_deck_stops_the_build(tmp_path, capfd):
    cells = small_chapter()
    cells[3].source = "half = quarter * 2"
    write_chapter(tmp_path, cells)
    assert build(tmp_path, "en")[0] == 1
    assert "small.ipynb" in (said := capfd.readouterr().err)
    assert "quarter" in said
