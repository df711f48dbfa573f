"""What readers meet on a first visit: letters, widths, heights, and where they are."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

import pytest
from docutils import nodes
from playwright import sync_api

from tests.site.conftest import EDITIONS, ROOT
from tests.site.machine_fonts import MACHINES
from tests.site.visits import CHAPTERS, THEMES, Visit
from tools.book import contents
from tools.paper import print_builder
from tools.site import page_context

ENGLISH = [f"en/{page}" for page in CHAPTERS]
PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
WORDS = "en/chapters/appendix/for-instructors.html"  # a page without formulas, soon open
TEXT_FACE = "source-serif-4"
PLAIN = "article > section > p:not(:has(.math, code))"
HEIGHTS = "[...document.querySelectorAll('article p')].map(p => p.offsetHeight)"
SETTLED = "document.querySelector('article > section > section:not(.laid-out)') === null"


# -- letters -------------------------------------------------------------------------------------


def faces(visit: Visit, selector: str, late: str | None = None) -> dict[str, bool]:
    """Return the fonts that drew the first such element, and whether the page brought them."""
    visit.page.locator(selector).first.scroll_into_view_if_needed()
    visit.wait(late)
    protocol = visit.page.context.new_cdp_session(visit.page)
    protocol.send("DOM.enable")
    protocol.send("CSS.enable")
    root = protocol.send("DOM.getDocument")["root"]["nodeId"]
    asked = {"nodeId": root, "selector": selector}
    node = protocol.send("DOM.querySelector", asked)["nodeId"]
    found = protocol.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    return {each["familyName"]: each["isCustomFont"] for each in found}


def own_and_others(found: dict[str, bool]) -> tuple[int, set[str]]:
    """Return how many faces the page brought, and the names of the machine's."""
    return sum(found.values()), {name for name, ours in found.items() if not ours}


@pytest.fixture(scope="module", params=MACHINES)
def machine(request, browsers):
    """Return a browser on a machine with some fonts."""
    return browsers(request.param)


LOADED = """[...document.fonts]
  .filter((face) => face.family === "Source Serif 4" && face.status === "loaded")
  .map((face) => face.style)"""


@pytest.mark.browser
def test_english_is_drawn_in_the_text_face_on_the_first_visit_and_the_second(machine, address):
    visit = Visit.begin(machine, address, **PHONE)
    for _ in range(2):
        visit.open(WORDS)
        assert own_and_others(faces(visit, PLAIN)) == (1, set())
        assert own_and_others(faces(visit, "article em")) == (1, set())
        assert {"normal", "italic"} <= set(visit.page.evaluate(LOADED))
    visit.close()


@pytest.mark.browser
def test_chinese_is_drawn_in_a_chinese_face_and_its_latin_in_the_text_face(machine, address):
    visit = Visit.begin(machine, address, **PHONE).open("zh/index.html")
    ours, others = own_and_others(faces(visit, "article p"))
    assert ours == 1
    assert all("CJK" in name or "Han" in name for name in others)
    visit.close()


@pytest.mark.browser
def test_what_stands_in_is_latin_and_as_wide(machine, address):
    """The text face comes late: until then a Latin face is seen, and hardly a line moves."""
    visit = Visit.begin(machine, address, **PHONE)
    held = []
    visit.page.route(f"**/{TEXT_FACE}*", lambda route: held.append(route))
    visit.page.goto(f"{address}en/chapters/losses.html", wait_until="domcontentloaded")
    visit.wait(TEXT_FACE)
    waiting = [faces(visit, each, TEXT_FACE) for each in (PLAIN, "article em")]
    assert all(own_and_others(found)[0] == 0 for found in waiting)
    assert not any("CJK" in name for found in waiting for name in found)
    visit.page.evaluate("scrollTo(0, 0)")
    before = visit.page.evaluate(HEIGHTS)
    assert held
    for route in held:
        route.continue_()
    after = visit.wait().page.evaluate(HEIGHTS)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    assert len(changed) < 0.1 * len(before), changed
    shifts = visit.page.evaluate("questions.atTheEnd().shifts")
    assert sum(shift["value"] for shift in shifts) < 0.05
    visit.close()


# -- widths and heights --------------------------------------------------------------------------

LOOK = """() => {
  const all = (selector) => [...document.querySelectorAll(selector)].filter((e) => e.offsetParent);
  const beyond = (selector) => all(selector).filter((e) => e.scrollWidth > e.clientWidth + 1);
  const highMarked = (link) => {
    if (link.hasAttribute("aria-current")) return false;
    const before = link.offsetHeight;
    link.setAttribute("aria-current", "location");
    const now = link.offsetHeight;
    link.removeAttribute("aria-current");
    return now !== before;
  };
  return {
    moves: all("#on-this-page a").filter(highMarked).map((e) => e.textContent),
    code: all("article pre").length,
    wide: beyond("article pre").map((e) => e.textContent),
    unmarked: beyond("article pre, .math-body, .scroll")
      .filter((e) => !e.classList.contains("scrolls") || e.tabIndex !== 0).length,
    text: Math.max(...all("article > section > section > p").map((e) => e.clientWidth)),
    page: document.documentElement.scrollWidth,
  };
}"""


@dataclass
class Looked:
    """What was found in a window of one size."""

    found: dict
    heights: list[int]  # on arrival, when everything is laid out, and at the end
    marked: dict[str, str]
    outline: bool


def height(visit: Visit) -> int:
    return visit.page.evaluate("document.documentElement.scrollHeight")


AT_THE_END = "scrollY + innerHeight > document.documentElement.scrollHeight - 4"
# A key scrolls smoothly, and on a busy machine what is left of that can follow a jump.
GO_AND_LOOK = """place => {
  document.getElementById(place).scrollIntoView();
  const link = document.querySelector("#on-this-page [aria-current]");
  return link?.getAttribute("href") === "#" + place;
}"""


def go_to_the_end(visit: Visit) -> None:
    """Press the key until the end is there: on a busy machine, scrolling may be broken off."""
    for _ in range(3):
        visit.page.keyboard.press("End")
        with contextlib.suppress(sync_api.TimeoutError):
            visit.page.wait_for_function(AT_THE_END, timeout=10_000)
            return
    raise AssertionError("the key did not lead to the end of the page")


def mark_at(visit: Visit, place: str) -> str:
    """Go to a section and return which one the outline marks, in the end."""
    with contextlib.suppress(sync_api.TimeoutError):
        visit.page.wait_for_function(GO_AND_LOOK, arg=place, timeout=10_000)
    link = visit.page.locator("#on-this-page [aria-current]")
    return link.get_attribute("href").removeprefix("#") if link.count() == 1 else ""


@pytest.fixture(scope="module")
def looked(browser, address):
    """Return a function that looks at a chapter once in a window of one size."""
    kept: dict[tuple, Looked] = {}

    def look(name: str, size: dict) -> Looked:
        visit = Visit.begin(browser, address, **size).open(f"{name}.html")
        heights = [height(visit)]
        visit.page.keyboard.press("Shift")  # a sign that somebody is there
        visit.page.wait_for_function(SETTLED, timeout=20_000)
        heights.append(height(visit))
        if size is PHONE:  # boxes that scroll are marked when a reader meets them
            visit.page.evaluate("questions.readThrough()")
        go_to_the_end(visit)
        heights.append(height(visit.wait()))
        sections = visit.page.evaluate(
            "[...document.querySelectorAll('article > section > section')].map(s => s.id)"
        )
        marked = {place: mark_at(visit, place) for place in (sections[1], sections[-1])}
        outline = visit.page.locator("#on-this-page").is_visible()
        found = visit.page.evaluate(LOOK)
        visit.close()
        return Looked(found, heights, marked, outline)

    def get(name: str, size: dict) -> Looked:
        key = (name, size["width"])
        if key not in kept:
            kept[key] = look(name, size)
        return kept[key]

    return get


def is_in_columns(text: str) -> bool:
    return any(page_context.COLUMNS.search(line) for line in text.split("\n"))


@pytest.mark.browser
@pytest.mark.parametrize("name", ENGLISH)
def test_on_a_phone_only_columns_of_numbers_are_wider_than_the_page(looked, name):
    found = looked(name, PHONE).found
    assert found["page"] == PHONE["width"]
    assert len(found["wide"]) < 0.1 * found["code"]
    assert all(map(is_in_columns, found["wide"])), found["wide"]


@pytest.mark.browser
@pytest.mark.parametrize("name", ENGLISH)
def test_on_a_phone_what_scrolls_shows_that_it_does(looked, name):
    assert looked(name, PHONE).found["unmarked"] == 0


@pytest.mark.browser
@pytest.mark.parametrize("name", ENGLISH)
def test_on_a_desk_no_line_of_code_is_cut_and_the_text_keeps_its_measure(looked, name):
    found = looked(name, DESK).found
    assert found["wide"] == []
    assert found["text"] <= 38.5 * 16


@pytest.mark.browser
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("name", ENGLISH)
def test_the_page_is_as_high_before_it_is_read_as_after(looked, name, size):
    guessed, laid_out, at_the_end = looked(name, size).heights
    # A few percent of a long page; on a short one, less than what a reader sees at once.
    assert guessed == pytest.approx(at_the_end, rel=0.04, abs=0.6 * size["height"])
    assert laid_out == pytest.approx(at_the_end, abs=2)


# -- where am I ----------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("name", ENGLISH)
def test_the_outline_stands_beside_the_text_and_marks_the_section(looked, name):
    desk, phone = looked(name, DESK), looked(name, PHONE)
    assert desk.outline
    assert not phone.outline
    assert desk.marked == {place: place for place in desk.marked}
    assert desk.found["moves"] == []  # a link that is marked takes as many lines as before


@pytest.mark.browser
def test_on_a_phone_the_outline_opens_from_the_bar(new_visit, axe):
    visit = new_visit("zh/chapters/appendix/running-without-google.html", **PHONE)
    button, outline = (visit.page.locator(each) for each in (".outline", "#on-this-page"))
    button.press("Enter")
    assert outline.is_visible()
    for theme in THEMES:
        visit.wear(theme)
        assert visit.accessibility(axe) == []
    visit.page.keyboard.press("Escape")
    assert not outline.is_visible()
    assert button.evaluate("button => button === document.activeElement")
    button.click()
    link = outline.locator("a").nth(3)
    place = link.get_attribute("href")
    link.click()
    assert not outline.is_visible()
    assert visit.page.evaluate("decodeURIComponent(location.hash)") == place
    assert visit.messages == []


# -- what the site says of itself ----------------------------------------------------------------

NUMBER = r"(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+ty|\d+)"
COUNTED = rf"\b{NUMBER}(?: of \w+)? (?:chapters|exercises)\b|[二三四五六七八九十\d]+ ?[章道]"


@pytest.mark.parametrize("file", ["README.md", "index.md", "locale/zh_CN/LC_MESSAGES/index.po"])
def test_no_sentence_counts_what_will_grow(file):
    text = " ".join((ROOT / file).read_text(encoding="utf-8").split())
    assert re.findall(COUNTED, text.replace('" "', ""), re.IGNORECASE) == []


@pytest.mark.parametrize("edition", [each.folder for each in EDITIONS])
def test_the_landing_page_lists_the_chapters_that_stand(html, edition):
    page = (html / edition / "index.html").read_text(encoding="utf-8")
    listed = re.search(r'<ol class="[^"]*chapters-so-far.*?</ol>', page, re.DOTALL)[0]
    chapters = [f"{chapter.pages[0]}.html" for chapter in contents.chapters()]
    assert re.findall(r'href="([^"]+)"', listed) == chapters


def test_every_variable_that_helps_without_google_is_one_that_the_code_reads():
    page = ROOT / "chapters" / "appendix" / "running-without-google.md"
    named = set(re.findall(r"\b(?:COMPANION|HF)_[A-Z]+\b", page.read_text(encoding="utf-8")))
    files = [*(ROOT / "companion").rglob("*.py"), ROOT / "tools" / "chapters" / "setup_cell.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in files)
    assert named
    assert named == {
        name for name in named if f'environ.get("{name}"' in code or f'"{name}" in' in code
    }


def test_the_printed_contents_leave_the_letters_of_the_glossary_out():
    letter = nodes.section("", nodes.title("A", "A"), ids=["letter-a"], classes=["letter"])
    other = nodes.section("", nodes.title("Use", "Use"), ids=["use"])
    page = nodes.section("", nodes.title("Glossary", "Glossary"), other, letter, ids=["glossary"])
    document = nodes.document(None, None)
    document += page
    assert print_builder.sections(document) == [other]
