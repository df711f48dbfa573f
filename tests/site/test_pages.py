"""Every page of the book, as a reader's browser sees it."""

from __future__ import annotations

import json
import re

import pytest

from tests.site.conftest import ENGLISH, EVERY, ROOT
from tools import catalogs

pytestmark = pytest.mark.browser
CHAPTERS = [page for page in ENGLISH if "/chapters/" in page and "/appendix/" not in page]
THEMES = ["light", "dark"]
PHONE = {"width": 400, "height": 800}
# What a reader sees, code and the hidden half of the math left out.
VISIBLE_TEXT = """
() => {
  const copy = document.querySelector("main").cloneNode(true);
  copy.querySelectorAll("script, pre, code, .katex-mathml").forEach((node) => node.remove());
  return copy.textContent;
}
"""
CONTRAST = """
(selector) => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const linear = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const ink = light(getComputedStyle(document.querySelector(selector)).color);
  return (Math.max(paper, ink) + 0.05) / (Math.min(paper, ink) + 0.05);
}
"""
COLOURS = "() => { const s = getComputedStyle(document.body); return [s.backgroundColor, s.color] }"
LINE_LENGTHS = """
() => [...document.querySelectorAll("article > section p")].flatMap((paragraph) => {
  const lines = paragraph.clientHeight / parseFloat(getComputedStyle(paragraph).lineHeight);
  const plain = !paragraph.querySelector(".math, code") && !paragraph.closest(".admonition");
  return plain && lines > 3.5 ? [paragraph.textContent.length / (lines - 0.5)] : [];
})
"""
RUN_AXE = "async () => (await axe.run({ resultTypes: ['violations'] })).violations"
PICTURE_NOW = """
(widget) => [...widget.querySelectorAll(".widget-live img")]
  .filter((picture) => picture.offsetParent !== null)
  .map((picture) => picture.src)
"""


@pytest.mark.parametrize("name", EVERY)
def test_no_request_to_another_host(read, name):
    assert read(name).strangers == []


@pytest.mark.parametrize("name", EVERY)
def test_nothing_in_the_console(read, name):
    assert read(name).messages == []


@pytest.mark.parametrize("name", EVERY)
def test_math_is_rendered(read, name):
    page = read(name).page
    assert page.locator(".katex-error").count() == 0
    text = page.evaluate(VISIBLE_TEXT)
    assert re.findall(r"\\begin|\\frac|\\mathbb|\$", text) == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapters_have_math_and_numbered_equations(read, name):
    page = read(name).page
    assert page.locator("span.math .katex").count() > 5
    numbers = page.locator(".numbered .eqno").all_text_contents()
    assert numbers
    assert len(set(numbers)) == len(numbers)
    assert all(re.match(r"\(\d+\.\d+\)", number) for number in numbers)


@pytest.mark.parametrize("name", EVERY)
def test_directives_and_roles_are_resolved(read, name):
    text = read(name).page.evaluate(VISIBLE_TEXT)
    assert re.findall(r"\*\*|:::|\{(?:eq|ref|numref|cite\w*|doc)[:}]", text) == []


@pytest.mark.parametrize("name", ENGLISH)
def test_every_picture_has_its_words_and_its_size(read, name):
    for picture in read(name).page.locator("img").all():
        for attribute in ("alt", "width", "height"):
            assert picture.get_attribute(attribute) is not None, picture.evaluate(
                "p => p.outerHTML"
            )


@pytest.mark.parametrize("name", ENGLISH)
def test_no_picture_is_broken_or_distorted(read, name):
    sizes = read(name).page.evaluate(
        """() => [...document.images].filter((p) => p.offsetParent !== null && p.loading !== "x")
          .map((p) => [p.src.slice(0, 80), p.naturalWidth / p.naturalHeight, p.width / p.height])"""
    )
    for source, natural, shown in sizes:
        assert shown == pytest.approx(natural, rel=0.03), source


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", EVERY)
def test_nothing_moves_while_a_page_loads(read, name, settings):
    shifts = read(name, **settings).page.evaluate("window.shifts")
    assert sum(value for value, _ in shifts) < 0.05, shifts


# Where the parts of formulas stand above the first section.
LEAD = """
() => [...document.querySelectorAll("article > section > p .katex-base")]
  .map((part) => Math.round(part.getBoundingClientRect().top))
"""


@pytest.mark.parametrize("late", ["KaTeX_Main", "KaTeX_Math"])
@pytest.mark.parametrize("name", [p for p in EVERY if p.endswith(("losses", "data-and-tokens"))])
def test_no_line_moves_when_the_letters_of_formulas_come_late(new_visit, name, late):
    """These pages have formulas above their first section, and ask for the letters early."""
    whole = new_visit(f"{name}.html", **PHONE).page
    assert whole.locator("link[rel=preload][as=font]").count() == 2
    waiting = new_visit("404.html", **PHONE)
    waiting.page.route(f"**/{late}*", lambda route: route.abort())
    waiting.page.goto(f"{waiting.address}{name}.html")
    assert waiting.wait().page.evaluate(LEAD) == whole.evaluate(LEAD) != []


# How high a browser takes boxes to be before it lays them out, and how high they are.
ROOMS = """
() => {
  const boxes = [...document.querySelectorAll(".cell_input, .cell_output, .math-body")]
    .filter((box) => getComputedStyle(box).contentVisibility === "auto" && box.offsetParent);
  const expected = boxes.map((box) => getComputedStyle(box).containIntrinsicBlockSize);
  boxes.forEach((box) => (box.style.contentVisibility = "visible"));
  return boxes.map((box, i) => {
    const { paddingTop, paddingBottom } = getComputedStyle(box);
    const high = box.clientHeight - parseFloat(paddingTop) - parseFloat(paddingBottom);
    return [parseFloat(expected[i].replace("auto ", "")), high, box.textContent.slice(0, 60)];
  });
}
"""


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_room_for_what_is_laid_out_late_is_right(new_visit, name, settings):
    rooms = new_visit(f"{name}.html", **settings).page.evaluate(ROOMS)
    assert len(rooms) > 50
    wrong = [room for room in rooms if abs(room[0] - room[1]) > max(6, 0.1 * room[1])]
    assert len(wrong) < 0.05 * len(rooms), wrong


@pytest.mark.parametrize("settings", [{}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", CHAPTERS)
def test_a_widget_wakes_without_growing(read, name, settings):
    visit = read(name, **settings)
    assert visit.asleep
    assert visit.widget_heights() == pytest.approx(visit.asleep, abs=2)


@pytest.mark.parametrize("name", EVERY)
def test_no_sideways_scrolling_on_a_phone(read, name):
    page = read(name, **PHONE).page
    page.evaluate("document.querySelectorAll('details').forEach((box) => (box.open = true))")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


# In Chinese once: colours are the same, words and their languages are not.
LOOKED_AT = [(name, theme) for name in ENGLISH for theme in THEMES]
LOOKED_AT += [(name, "light") for name in EVERY if name not in ENGLISH]


@pytest.mark.parametrize(("name", "theme"), LOOKED_AT)
def test_axe_finds_nothing(read, axe, name, theme):
    page = read(name).wear(theme)
    page.evaluate("document.querySelectorAll('details').forEach((box) => (box.open = true))")
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    page.evaluate(axe)
    found = page.evaluate(RUN_AXE)
    assert found == [], json.dumps(
        [[v["id"], [n["html"][:200] for n in v["nodes"][:3]]] for v in found], indent=1
    )


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", EVERY)
def test_text_stands_out(read, name, theme):
    assert read(name).wear(theme).evaluate(CONTRAST, "article p") >= 7


@pytest.mark.parametrize("name", CHAPTERS)
def test_lines_are_about_seventy_characters_long(read, name):
    lengths = read(name).page.evaluate(LINE_LENGTHS)
    assert lengths
    assert 60 <= sum(lengths) / len(lengths) <= 80


@pytest.mark.parametrize("name", ENGLISH)
def test_theme_switch(new_visit, name):
    page = new_visit(f"{name}.html").page
    before = page.evaluate(COLOURS)
    page.get_by_role("button", name="Use the dark theme").click()
    after = page.evaluate(COLOURS)
    assert after[0] != before[0]
    assert after[1] != before[1]
    page.reload()
    assert page.evaluate(COLOURS) == after
    page.get_by_role("button", name="Use the light theme").click()
    assert page.evaluate(COLOURS) == before


def press_until_changed(page, widget, handle) -> bool:
    """Press arrow keys on a slider; tell whether picture and spoken value have changed."""
    before = (widget.evaluate(PICTURE_NOW), handle.get_attribute("aria-valuetext"))
    handle.focus()
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft"):
        page.keyboard.press(key)
        page.wait_for_timeout(120)
        after = (widget.evaluate(PICTURE_NOW), handle.get_attribute("aria-valuetext"))
        if after[0] != before[0] and after[1] != before[1]:
            return True
    return False


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_slider_is_called_what_stands_beside_it(new_visit, name):
    page = new_visit(f"{name}.html").read_through().page
    for widget in page.locator(".widget").all():
        handles = widget.get_by_role("slider").all()
        for attribute, part in (("aria-label", "label"), ("aria-valuetext", "readout")):
            beside = widget.locator(f".widget-slider .widget-{part}").all_text_contents()
            assert [handle.get_attribute(attribute) for handle in handles] == beside
            assert all(beside)


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_slider_moves_with_the_keyboard(new_visit, name):
    page = new_visit(f"{name}.html").read_through().page
    widgets = page.locator(".widget").all()
    assert widgets, "a chapter has at least one widget"
    for widget in widgets:
        handles = widget.get_by_role("slider").all()
        assert handles
        for handle in handles:
            assert len(widget.evaluate(PICTURE_NOW)) == 1
            assert press_until_changed(page, widget, handle), handle.get_attribute("aria-label")


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_widget_manager_waits_for_a_reader(new_visit, name):
    visit = new_visit(f"{name}.html")
    loaded = "performance.getEntriesByType('resource').map((r) => r.name).join()"
    assert "widgets/embed.js" not in visit.page.evaluate(loaded)
    assert visit.page.locator(".widget-still img").first.is_visible()
    visit.read_through()
    assert "widgets/embed.js" in visit.page.evaluate(loaded)


@pytest.mark.parametrize("name", [page for page in ENGLISH if page not in CHAPTERS])
def test_pages_without_widgets_load_no_manager(read, name):
    page = read(name).page
    if page.locator(".widget").count() == 0:
        assert page.locator("script[src*='widgets']").count() == 0


def test_search_finds_softmax(new_visit):
    visit = new_visit("en/index.html")
    assert visit.page.get_by_role("searchbox").count() == 1
    visit.page.get_by_role("searchbox").fill("softmax")
    visit.page.keyboard.press("Enter")
    hit = visit.page.locator("#search-results a[href*='chapters/attention.html']").first
    hit.wait_for(timeout=10_000)
    assert "Attention" in hit.text_content()
    assert visit.page.get_by_role("searchbox").count() == 1
    visit.wait()
    assert visit.messages == []
    assert visit.strangers == []


def test_axe_finds_nothing_in_the_search(new_visit, axe):
    visit = new_visit("en/search.html?q=softmax")
    visit.page.locator("#search-results a").first.wait_for(timeout=10_000)
    visit.page.evaluate(axe)
    for theme in THEMES:
        assert [rule["id"] for rule in visit.wear(theme).evaluate(RUN_AXE)] == []


QUERIES = {
    "注意力": "注意力",
    "缩放点积": "缩放点积",
    "softmax": "softmax",
    "键值缓存": "键值缓存",
    "头": "头",
}


@pytest.mark.parametrize("query", QUERIES)
def test_search_in_chinese(new_visit, query):
    visit = new_visit(f"zh/search.html?q={query}")
    first = visit.page.locator("#search-results li").first
    first.wait_for(timeout=10_000)
    assert first.locator("a[href*='chapters/attention.html']").count() == 1
    first.locator(".highlighted").first.wait_for(timeout=10_000)
    marked = first.locator(".highlighted").all_text_contents()
    assert {text.lower() for text in marked} == {query}
    assert "搜索结果" in visit.page.locator("#search-results").text_content()
    assert visit.messages == []
    assert visit.strangers == []


def test_search_in_chinese_finds_only_what_is_there(new_visit):
    page = new_visit("zh/search.html?q=葡萄酒庄园").page
    page.get_by_text("没有").first.wait_for(timeout=10_000)
    assert page.locator("#search-results li").count() == 0


# What a reader sees of the interface: buttons, menus, labels; code and pictures are English.
INTERFACE = """
() => {
  const copy = document.body.cloneNode(true);
  const mixed = "article, .contents li, script, style, .brand, [lang=en], .language, .bottom";
  copy.querySelectorAll(mixed).forEach((node) => node.remove());
  const labels = ["aria-label", "placeholder", "title"].flatMap((name) =>
    [...copy.querySelectorAll(`[${name}]`)].map((node) => node.getAttribute(name)));
  const own = ".admonition-title, .caption-number, summary, .copy, .eqno, figcaption, h2, h3";
  const parts = [...document.querySelectorAll(`article :is(${own})`)].map((node) => {
    const part = node.cloneNode(true);
    part.querySelectorAll(".katex, code, [lang=en], pre").forEach((inner) => inner.remove());
    return part.textContent;
  });
  return [copy.textContent, ...labels, ...parts].join("\\n");
}
"""
NAMES = {"colab", "github", "numpy", "pytorch", "minilm", "softmax", "javascript", "hello", "mit"}


@pytest.mark.parametrize(
    "name",
    [f"zh/{page}" for page in catalogs.translated(ROOT, "zh_CN") if f"en/{page}" in CHAPTERS],
)
def test_the_interface_speaks_chinese(read, name):
    words = re.findall(r"[A-Za-z]{3,}", read(name).page.evaluate(INTERFACE))
    phrases = {word.lower() for word in words} - NAMES
    common = {"show", "hide", "source", "the", "figure", "fig", "exercise", "solution", "hint"}
    common |= {"next", "previous", "search", "contents", "page", "copy", "edit", "report"}
    assert phrases & common == set()


def test_the_first_page_chooses_the_language(browser, address):
    for locale, folder in {"zh-CN": "zh", "zh-TW": "zh", "en-GB": "en", "fr-FR": "en"}.items():
        context = browser.new_context(locale=locale)
        page = context.new_page()
        page.goto(address)
        page.wait_for_url(f"**/{folder}/index.html")
        context.close()


def test_the_first_page_offers_both_languages_without_javascript(browser, address, axe):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    for link in page.get_by_role("link").all():
        link.click()
        assert page.locator("h1").first.is_visible()
        page.go_back()
    assert page.get_by_role("link").count() == 2
    context.close()


def test_the_switch_leads_to_the_same_place_and_is_remembered(new_visit):
    visit = new_visit(f"{CHAPTERS[0]}.html#exercises")
    page = visit.page
    page.get_by_role("link", name="中文").click()
    page.wait_for_url(f"**/{CHAPTERS[0].replace('en/', 'zh/', 1)}.html#exercises")
    assert page.evaluate("document.documentElement.lang") == "zh-CN"
    assert page.evaluate("document.getElementById('exercises') !== null")
    page.goto(visit.address)  # a browser that asks for English, but has been told otherwise
    page.wait_for_url("**/zh/index.html")
    page.get_by_role("link", name="English").first.click()
    page.wait_for_url("**/en/index.html")
    assert visit.messages == []


def test_what_is_missing_is_said_in_both_languages(new_visit, axe):
    visit = new_visit("zh/chapters/nowhere.html")
    assert "没有这个页面" in visit.page.locator("h1").text_content()
    visit.page.evaluate(axe)
    assert [rule["id"] for rule in visit.page.evaluate(RUN_AXE)] == []
    visit.page.get_by_role("link", name="中文").click()
    visit.page.wait_for_url("**/zh/index.html")


COUNT_MARKS = """() => [...document.querySelectorAll("table.stack td > p")]
  .filter(p => /[✗✓]/.test(getComputedStyle(p, "::before").content)).length"""


@pytest.mark.parametrize(
    ("page", "marked"),
    [("corrections", True), ("for-instructors", False), ("running-on-colab", False)],
)
def test_only_corrections_are_marked_wrong_and_right(new_visit, page, marked):
    visit = new_visit(f"en/chapters/appendix/{page}.html", **PHONE)
    assert visit.page.locator("table.stack td > p").count()
    assert bool(visit.page.evaluate(COUNT_MARKS)) is marked


def test_the_contents_open_on_a_phone(new_visit):
    page = new_visit(f"{ENGLISH[-1]}.html", **PHONE).page
    contents = page.get_by_role("navigation", name="Contents")
    assert not contents.is_visible()
    page.get_by_role("button", name="Contents").click()
    assert contents.is_visible()
    page.keyboard.press("Escape")
    assert not contents.is_visible()
    assert page.evaluate("document.activeElement.className").split()[-1] == "menu"


def test_a_page_reads_without_javascript(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}{CHAPTERS[0]}.html")
    assert page.locator("h1").is_visible()
    assert page.locator("article .katex").first.is_visible()
    assert page.locator(".widget-still img").first.is_visible()
    context.close()
