"""What a reader does on the site: search, change the language, open the contents."""

from __future__ import annotations

import pytest

from tests.site.conftest import ENGLISH
from tests.site.visits import CHAPTERS, SIZES, THEMES
from tools.book import contents

pytestmark = pytest.mark.browser
CHAPTER = f"en/{CHAPTERS[0]}"
LAST_PART = f"en/{contents.page_of(contents.chapters()[0].last)}"  # where its exercises stand


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
    for theme in THEMES:
        visit.wear(theme)
        assert visit.accessibility(axe) == []


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
    page = "neural-networks/training" if query == "softmax" else "attention"
    assert first.locator(f"a[href*='chapters/{page}.html']").count() == 1
    first.locator(".highlighted").first.wait_for(timeout=10_000)
    marked = first.locator(".highlighted").all_text_contents()
    assert {text.lower() for text in marked} == {query}
    # The heading says so only when the last page has been looked through.
    visit.page.locator("#search-results", has_text="搜索结果").wait_for(timeout=10_000)
    assert visit.messages == []
    assert visit.strangers == []


def test_search_in_chinese_finds_only_what_is_there(new_visit):
    page = new_visit("zh/search.html?q=葡萄酒庄园").page
    page.get_by_text("没有").first.wait_for(timeout=10_000)
    assert page.locator("#search-results li").count() == 0


def test_the_first_page_chooses_the_language(browser, address):
    for locale, folder in {"zh-CN": "zh", "zh-TW": "zh", "en-GB": "en", "fr-FR": "en"}.items():
        context = browser.new_context(locale=locale)
        page = context.new_page()
        page.goto(address)
        page.wait_for_url(f"**/{folder}/index.html")
        context.close()


def test_the_first_page_offers_both_languages_without_javascript(browser, address):
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
    visit = new_visit(f"{LAST_PART}.html#exercises")
    page = visit.page
    page.get_by_role("link", name="中文").click()
    page.wait_for_url(f"**/{LAST_PART.replace('en/', 'zh/', 1)}.html#exercises")
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
    assert visit.accessibility(axe) == []
    visit.page.get_by_role("link", name="中文").click()
    visit.page.wait_for_url("**/zh/index.html")


COUNT_MARKS = """() => [...document.querySelectorAll("table.stack td > p")]
  .filter(p => /[✗✓]/.test(getComputedStyle(p, "::before").content)).length"""


@pytest.mark.parametrize(
    ("page", "marked"),
    [("corrections", True), ("for-instructors", False), ("running-on-colab", False)],
)
def test_only_corrections_are_marked_wrong_and_right(new_visit, page, marked):
    visit = new_visit(f"en/chapters/appendix/{page}.html", **SIZES["phone"])
    assert visit.page.locator("table.stack td > p").count()
    assert bool(visit.page.evaluate(COUNT_MARKS)) is marked


def test_the_contents_open_on_a_phone(new_visit):
    page = new_visit(f"{ENGLISH[-1]}.html", **SIZES["phone"]).page
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
    page.goto(f"{address}{CHAPTER}.html")
    assert page.locator("h1").is_visible()
    assert page.locator("article .katex").first.is_visible()
    assert page.locator(".widget img").first.is_visible()
    context.close()
