"""The slides of each chapter, as they are shown in a lecture hall."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from docutils import nodes
from pypdf import PdfReader

from tools import contents, editions
from tools.slides_outline import CAPACITY, Outline
from tools.slides_parts import without_docstring
from tools.slides_text import as_paragraph, sentences, statements

pytestmark = pytest.mark.browser
FOLDERS = [edition.folder for edition in editions.EDITIONS]
NAMES = [path.stem for path in contents.chapters()]
DECKS = [(folder, name) for folder in FOLDERS for name in NAMES]
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
  const foot = slide.querySelector("footer")?.getBoundingClientRect().top ?? Infinity;
  const head = slide.querySelector("header").getBoundingClientRect().bottom;
  return [...slide.querySelectorAll(".body > *, .body li")].filter((part) => {
    const box = part.getBoundingClientRect();
    return box.height && (box.bottom > foot + 3 || box.top < head - 3);
  }).map((part) => part.textContent.slice(0, 60));
}
"""
SIZES = """
() => [...Reveal.getCurrentSlide().querySelectorAll(".body :is(li, p, pre, .text)")]
  .filter((part) => part.textContent.trim() && part.offsetParent && !part.closest(".notes"))
  .map((part) => parseFloat(getComputedStyle(part).fontSize))
"""
PICTURES = """
() => [...document.querySelectorAll(".picture img")].map((picture) => ({
  alt: picture.alt, loaded: picture.naturalWidth > 0,
  part: picture.getBoundingClientRect().height / innerHeight }))
"""
KINDS = "[...document.querySelectorAll('.slides > section')].map((s) => s.classList[0])"
RUN_AXE = "async () => (await axe.run({ resultTypes: ['violations'] })).violations"


@pytest.fixture(scope="module")
def deck(new_visit):
    """Return a function that opens a deck once, at the size that it is made for."""
    visits = {}

    def get(folder: str, name: str, theme: str = "light"):
        key = (folder, name, theme)
        if key not in visits:
            address = f"{folder}/slides/{name}.html"
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


# -- decks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_a_deck_opens_quietly_and_asks_nobody(deck, folder, name):
    visit = deck(folder, name)
    assert visit.messages == []
    assert visit.strangers == []
    assert 30 < visit.page.evaluate("Reveal.getTotalSlides()") < 130
    assert visit.page.evaluate("document.documentElement.lang") == editions.edition(folder).tag


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_nothing_leaves_its_slide(deck, folder, name):
    page = deck(folder, name).page
    for number, outside in enumerate(each_slide(page, OUTSIDE)):
        assert outside == [], f"slide {number + 1}"
    for number, collides in enumerate(each_slide(page, COLLIDES)):
        assert collides == [], f"slide {number + 1}"


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_the_back_row_can_read_it(deck, folder, name):
    sizes = each_slide(deck(folder, name).page, SIZES)
    assert min(min(some) for some in sizes if some) >= 20  # of 720: as 40 points on a sheet of A4


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_every_figure_and_widget_is_shown_large(deck, html, folder, name):
    page = deck(folder, name).page
    text = (html / folder / "chapters" / f"{name}.html").read_text(encoding="utf-8")
    wanted = text.count("<figcaption") + text.count('class="widget"')
    page.evaluate("Promise.all([...document.images].map((i) => (i.loading = 'eager', i.decode())))")
    pictures = page.evaluate(PICTURES)
    assert len(pictures) >= wanted > 4
    assert all(picture["alt"] and picture["loaded"] for picture in pictures)
    page.evaluate(f"Reveal.slide({page.evaluate(KINDS).index('figure')}, 0)")
    assert max(picture["part"] for picture in page.evaluate(PICTURES)) > 0.4


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_links_lead_to_places_on_the_pages(html, folder, name):
    links = Links((html / folder / "slides" / f"{name}.html").read_text(encoding="utf-8")).links
    inside = {link for link in links if not link.startswith(("http:", "https:"))}
    assert len(inside) > 20
    pages: dict = {}
    for link in inside:
        path, _, place = link.partition("#")
        target = (html / folder / "slides" / path).resolve()
        assert target.is_file(), link
        if target not in pages:
            pages[target] = Links(target.read_text(encoding="utf-8")).ids
        assert not place or place in pages[target], link


@pytest.mark.parametrize(("folder", "name"), DECKS)
def test_code_is_short_and_the_speaker_has_the_text(deck, folder, name):
    page = deck(folder, name).page
    codes = page.eval_on_selector_all(".code pre", "all => all.map((pre) => pre.textContent)")
    assert len(codes) > 3
    assert max(len(code.strip().splitlines()) for code in codes) <= 14
    notes = page.eval_on_selector_all("aside.notes", "all => all.map((n) => n.textContent.length)")
    slides = page.evaluate("Reveal.getTotalSlides()")
    assert len(notes) > slides / 3
    assert sum(notes) > 5000


@pytest.mark.parametrize(("folder", "name"), DECKS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_slides(deck, axe, folder, name, theme):
    page = deck(folder, name, theme).page
    page.evaluate(axe)
    kinds = page.evaluate(KINDS)
    for kind in dict.fromkeys(kinds):
        page.evaluate(f"Reveal.slide({kinds.index(kind)}, 0, 99)")
        page.wait_for_timeout(50)
        found = page.evaluate(RUN_AXE)
        told = [(one["id"], one["nodes"][0]["html"][:150]) for one in found]
        assert told == [], f"slide {kinds.index(kind) + 1}, {kind}"


def test_a_question_waits_for_its_answer(deck):
    page = deck("en", "attention").page
    place = page.evaluate(KINDS).index("question")
    page.evaluate(f"Reveal.slide({place}, 0, -1)")
    answer = page.locator(".question.present .body > .output")
    assert answer.evaluate("(node) => node.classList.contains('visible')") is False
    page.evaluate("Reveal.next()")
    assert answer.evaluate("(node) => node.classList.contains('visible')") is True
    assert "2 head(s)" in answer.text_content()


def test_both_editions_show_the_same_formulas_and_code(html):
    def parts(folder: str, pattern: str) -> list[str]:
        text = (html / folder / "slides" / "attention.html").read_text(encoding="utf-8")
        return sorted(re.findall(pattern, text, re.DOTALL))

    for pattern in (r'<math [^>]*display="block">.*?</math>', r"<pre>.*?</pre>"):
        here, there = parts("en", pattern), parts("zh", pattern)
        assert here == there
        assert len(here) > 10


def test_keys_for_overview_and_theme(deck):
    page = deck("en", "attention", "light").page
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.keyboard.press("t")
    page.keyboard.press("o")
    assert page.evaluate("Reveal.isOverview()")
    page.keyboard.press("o")


def test_a_deck_can_be_printed(new_visit, tmp_path):
    visit = new_visit("en/slides/attention.html?print-pdf", width=1280, height=720)
    visit.page.wait_for_function("document.querySelectorAll('.pdf-page').length > 0")
    slides = visit.page.evaluate("document.querySelectorAll('.pdf-page').length")
    visit.page.pdf(path=tmp_path / "deck.pdf", prefer_css_page_size=True, print_background=True)
    reader = PdfReader(tmp_path / "deck.pdf")
    assert len(reader.pages) in (slides, slides + 1)
    assert slides > 30
    box = reader.pages[0].mediabox
    assert float(box.width) > float(box.height)
    assert visit.messages == []
    visit.page.context.close()


# -- cutting -------------------------------------------------------------------------------------


def paragraph(*children, cell: int = 0) -> nodes.paragraph:
    made = nodes.paragraph("", "", *children)
    made.line = (cell + 1) * 10_000 + 2
    return made


def text(sentence: list) -> str:
    return "".join(node.astext() for node in sentence)


def chapter(*children) -> nodes.document:
    section = nodes.section("", nodes.title("", "A chapter"), ids=["a-chapter"])
    part = nodes.section("", nodes.title("", "A part"), *children, ids=["a-part"])
    section += part
    document = nodes.document(None, None)
    document += section
    return document


def test_sentences_are_found_in_both_languages():
    english = paragraph(
        nodes.Text("One, e.g. this. Two is "), nodes.emphasis("", "here"), nodes.Text(". End")
    )
    assert [text(s).strip() for s in sentences(english)] == [
        "One, e.g. this.",
        "Two is here.",
        "End",
    ]
    chinese = paragraph(
        nodes.Text("先看第一句。再看"), nodes.strong("", "第二句"), nodes.Text("！完了")
    )
    assert [text(s) for s in sentences(chinese)] == ["先看第一句。", "再看第二句！", "完了"]


def test_of_a_long_paragraph_the_marked_sentence_is_shown():
    filler = "This sentence only fills the paragraph with words that nobody needs. " * 3
    long = paragraph(
        nodes.Text(filler + "This is the "), nodes.strong("", "point"), nodes.Text(". " + filler)
    )
    assert [text(s).strip() for s in statements(long)] == ["This is the point."]
    plain = paragraph(
        nodes.Text("It begins with a sentence that says what follows it. " + filler * 2)
    )
    assert text(statements(plain)[0]) == "It begins with a sentence that says what follows it."


def test_slides_are_cut_before_they_are_full():
    points = [paragraph(nodes.Text("A short statement stands here.")) for _ in range(40)]
    slides = Outline().walk(chapter(*points)).slides
    assert len(slides) > 4
    assert all(slide.lines <= CAPACITY for slide in slides)
    assert sum(len(slide.blocks) for slide in slides) == 40


def test_cells_can_ask_to_be_skipped_noted_begun_and_revealed():
    cells = [paragraph(nodes.Text(f"Cell {i} says this."), cell=i) for i in range(6)]
    wishes = {1: "skip", 2: "notes", 3: "slide", 5: "fragment"}
    slides = Outline(wishes).walk(chapter(*cells)).slides
    shown = [block.node.astext() for slide in slides for block in slide.blocks]
    assert shown == [f"Cell {i} says this." for i in (0, 3, 4, 5)]
    spoken = [note.astext() for slide in slides for note in slide.notes]
    assert "Cell 2 says this." in spoken
    assert "Cell 1 says this." not in spoken
    begun = next(
        slide for slide in slides if slide.blocks[:1] and "3" in slide.blocks[0].node.astext()
    )
    assert begun.kind == "points"
    assert [block.fragment for block in begun.blocks] == [False, False, True]


def test_docstrings_are_left_out_of_the_packages_code():
    source = 'def f(x):\n    """Say more.\n\n    Than fits.\n    """\n    return x'
    assert without_docstring(source) == "def f(x):\n    return x"
    assert without_docstring("not python (") == "not python ("
    assert as_paragraph([nodes.Text("a")]).astext() == "a"
