"""A chapter that is a folder of notebooks, seen from outside: on the site, in Colab, in print."""

from __future__ import annotations

import itertools
import re
import threading
import zipfile
from functools import cache
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from assign import assignment
from tests.site import folders, small_books
from tests.site.folders import FOLDER, SITE
from tools.assignments.repository import Repository
from tools.book import contents
from tools.pages import editions
from tools.paper import epub
from tools.site import whole_site

PAGES = [f"{FOLDER}/{name}" for name in ("index", "down", "further")]
OPENING, DOWN, FURTHER = PAGES


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Return the trial book, its site built."""
    place = folders.write(tmp_path_factory.mktemp("folders"))
    assert small_books.build(place) == 0
    return place


@pytest.fixture(scope="module")
def html(root) -> Path:
    """Return the folder of the built site."""
    return root / "_build" / "html"


@cache
def soup(path: Path) -> BeautifulSoup:
    """Return a built page, read."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def said(element) -> str:
    """Return the text of an element on one line, without the sign of its link."""
    return " ".join(element.get_text().split()).rstrip(" #")


def link_to(page: BeautifulSoup, address: str):
    """Return the one link within a page's text that leads to an address."""
    (link,) = page.select(f'article a[href="{address}"]')
    return link


# -- the site ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "page", "headings"),
    [
        ("en", "chapters/before", ["1. Before", "1.1. A place"]),
        ("en", OPENING, ["2. Into the valley"]),
        ("en", DOWN, ["2.1. Down the valley", "2.1.1. A place"]),
        ("en", FURTHER, ["2.2. Further down", "2.2.1. A place", "2.2.2. Exercises"]),
        ("en", "chapters/after", ["3. After", "3.1. A place"]),
        ("en", "chapters/appendix/notes", ["Notes"]),
        ("zh", DOWN, ["2.1. 下到谷底", "2.1.1. A place"]),
    ],
)
def test_headings_are_numbered_through_the_book(html, folder, page, headings):
    found = soup(html / folder / f"{page}.html").select("article :is(h1, h2)")
    assert [said(heading) for heading in found][: len(headings)] == headings


@pytest.mark.parametrize(
    ("page", "number"), [("chapters/before", "1.1"), (DOWN, "2.1"), (FURTHER, "2.2")]
)
def test_figures_and_equations_are_numbered_through_the_chapter(html, page, number):
    for folder in ("en", "zh"):
        found = soup(html / folder / f"{page}.html")
        assert re.findall(r"[\d.]+\d", said(found.select_one(".caption-number"))) == [number]
        assert said(found.select_one(".eqno")) == f"({number})"


def test_exercises_close_the_chapter(html):
    for folder, title in (("en", "Two steps down a slanting bowl"), ("zh", "斜碗里走两步")):
        shown = [soup(html / folder / f"{page}.html").select(".exercise") for page in PAGES]
        assert [bool(found) for found in shown] == [False, False, True]
        numbers = [said(box.select_one(".caption-number")) for box in shown[-1]]
        assert [re.findall(r"[\d.]+\d", number) for number in numbers] == [
            [f"2.{place}"] for place in range(1, len(numbers) + 1)
        ]
        assert title in said(shown[-1][0])


def test_references_cross_from_part_to_part(html):
    down = soup(html / "en" / f"{DOWN}.html")
    assert said(link_to(down, "further.html#equation-eq-further")) == "(2.2)"
    assert said(link_to(down, "further.html#further-place")) == "the place"
    further = soup(html / "en" / f"{FURTHER}.html")
    assert said(link_to(further, "down.html#fig-down")).endswith("2.1")
    assert said(link_to(further, "down.html#down-place")) == "A place"
    before = soup(html / "en" / "chapters" / "before.html")
    assert said(link_to(before, "optimisation/further.html#fig-further")).endswith("2.2")


def test_previous_and_next_go_through_the_parts(html):
    order = [page for page in contents.pages(html.parents[1]) if page != "index"]
    for page, after in itertools.pairwise(order):
        here, there = (html / "en" / f"{name}.html" for name in (page, after))
        onward = soup(here).select_one("a.next")["href"]
        back = soup(there).select_one("a.previous")["href"]
        assert (here.parent / onward).resolve() == there
        assert (there.parent / back).resolve() == here


def test_parts_stand_below_their_chapter_while_one_is_in_it(html):
    def shown(page: str) -> list[str]:
        return [said(link) for link in soup(html / "en" / page).select(".contents .toctree-l2")]

    parts = ["2.1. Down the valley", "2.2. Further down"]
    assert [shown(f"{page}.html") for page in PAGES] == [parts] * 3
    assert shown("chapters/before.html") == []
    current = soup(html / "en" / f"{DOWN}.html").select(".contents a[aria-current]")
    assert [said(link) for link in current] == parts[:1]


def test_a_part_names_its_chapter_and_leads_to_it(html):
    for folder, title in (("en", "Into the valley"), ("zh", "走进山谷")):
        page = soup(html / folder / f"{DOWN}.html")
        link = page.select_one(".of-the-chapter a")
        assert (said(link), link["href"]) == (f"2. {title}", "index.html")
        assert title in page.title.string
        assert soup(html / folder / f"{OPENING}.html").select(".of-the-chapter") == []
    assert soup(html / "en" / "chapters" / "after.html").select(".of-the-chapter") == []


def test_the_appendices_lead_into_the_parts(html):
    page = soup(html / "en" / "chapters" / "appendix" / "notes.html")
    link = page.select_one("article p a")
    assert (said(link), link["href"]) == ("A place", "../optimisation/down.html#a-place")
    assert [said(row.a) for row in page.select("table.index-figures tbody tr")] == [
        f"Fig. {number}" for number in ("1.1", "2.1", "2.2", "3.1")
    ]
    (first, *_) = page.select("table.index-exercises tbody tr")
    assert first.a["href"] == "../optimisation/further.html#optimisation-two-steps"
    assert said(first.a).startswith("2.1 ")


def test_addresses_of_all_parts_are_in_the_map(html):
    places = re.findall("<loc>(.*?)</loc>", (html / "sitemap.xml").read_text(encoding="utf-8"))
    assert [f"{SITE}/en/{page}.html" in places for page in PAGES] == [True] * 3


# -- notebooks -----------------------------------------------------------------------------------


def test_every_part_opens_alone_in_colab(html):
    made = {path.name for path in (html / "en" / "colab").iterdir()}
    names = {"optimisation-down.ipynb", "optimisation-further.ipynb"}
    assert made == names | {"before.ipynb", "after.ipynb"}
    for name in names:
        notebook = nbformat.read(html / "en" / "colab" / name, as_version=4)
        assert notebook.metadata.colab.name == name
        assert notebook.cells[1].id == "setup"


def test_the_buttons_lead_to_the_part(html):
    page = soup(html / "zh" / f"{DOWN}.html")
    links = [link["href"] for link in page.select(".page-tools a")]
    assert links[0].endswith("/zh/colab/optimisation-down.ipynb")
    copy = (html / "zh" / FOLDER / links[1]).resolve()
    assert copy == html / "zh" / "colab" / "optimisation-down.ipynb"
    assert copy.is_file()
    assert soup(html / "zh" / f"{OPENING}.html").select(".page-tools") == []
    first = soup(html / "en" / "index.html").select("article a[href*=colab]")
    assert [link["href"].rpartition("/")[2] for link in first] == ["optimisation-down.ipynb"]


def test_references_in_colab_carry_the_chapters_numbers(html):
    notebook = nbformat.read(html / "en" / "colab" / "optimisation-down.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert f"[(2.2)]({SITE}/en/{FURTHER}.html#equation-eq-further)" in text
    assert r"\tag{2.1}" in text


# -- assignments ---------------------------------------------------------------------------------


def test_assignments_are_drawn_from_the_chapter(root):
    trial = Repository(root)
    chapter = trial.chapters["optimisation"]
    assert chapter.number == 2
    assert list(chapter.pages) == PAGES
    assert list(assignment.choose(trial.chapters, ["optimisation:2"])) == [("optimisation", 2)]
    drawn = assignment.draw(trial, ["optimisation:2"], 1, "HW")
    links = assignment.references.Links(trial, chapter, "zh")
    assert (
        links.plain("{eq}`eq-further`") == f"[(2.2)]({SITE}/zh/{FURTHER}.html#equation-eq-further)"
    )
    assert drawn.questions[0].exercise.id.startswith("optimisation-")


# -- the book in one file ------------------------------------------------------------------------


def test_parts_follow_one_another_on_paper(run_builder, root):
    assert run_builder("printed", root, fresh=False) == 0
    page = soup(editions.place("printed", root, editions.edition("en")) / "book.html")
    listed = [said(name) for name in page.select(".contents-page .of-chapter > a > .name")]
    assert listed == ["Before", "Into the valley", "After", "Notes"]
    parts = page.select(".of-chapter .of-part")
    entries = [*parts, parts[0].ol.li]
    assert [[said(span) for span in entry.a.select(".no, .name")] for entry in entries] == [
        ["2.1", "Down the valley"],
        ["2.2", "Further down"],
        ["2.1.1", "A place"],
    ]
    articles = page.select("article")
    assert [(a["id"], a.select_one("h1, h2").name) for a in articles[1:4]] == [
        ("chapters-optimisation-index", "h1"),
        ("chapters-optimisation-down", "h2"),
        ("chapters-optimisation-further", "h2"),
    ]
    assert articles[3].find(id="chapters-optimisation-further--solutions") is not None


def test_parts_follow_one_another_on_e_readers(root):
    path = epub.make(root, editions.edition("zh"), fresh=False)
    with zipfile.ZipFile(path) as archive:
        package = archive.read("EPUB/book.opf").decode("utf-8")
        navigation = BeautifulSoup(archive.read("EPUB/nav.xhtml").decode("utf-8"), "html.parser")
    files = [f"chapters-optimisation-{name}" for name in ("index", "down", "further")]
    order = re.findall(r'<itemref idref="file-(.*?)-xhtml"/>', package)
    assert order[3:6] == files
    chapter = navigation.select("#toc > ol > li")[2]
    assert said(chapter.a) == "2 走进山谷"
    parts = chapter.ol.find_all("li", recursive=False)
    assert [(said(part.a), part.a["href"]) for part in parts] == [
        ("2.1 下到谷底", f"{files[1]}.xhtml"),
        ("2.2 再往下走", f"{files[2]}.xhtml"),
    ]
    assert said(parts[0].ol.a) == "2.1.1 A place"


# -- the browser ---------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_search_names_the_chapter_before_the_part(html, browser):
    server = whole_site.make_server(html)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_address[1]}/en/search.html?q=downhill")
    first = page.locator("#search-results li a").first
    assert first.inner_text() == "2. Into the valley > 2.1. Down the valley"
    assert first.get_attribute("href").startswith(f"{DOWN}.html")
    page.close()
    server.shutdown()
    server.server_close()


# -- a book with a fault -------------------------------------------------------------------------


def test_an_opening_page_with_sections_stops_the_build(run_builder, tmp_path, capfd):
    opening = folders.write(tmp_path) / f"{OPENING}.md"
    opening.write_text(f"{opening.read_text()}\n## A heading\n\nMore.\n")
    assert run_builder("dummy", tmp_path) == 1
    assert f"{OPENING} opens a chapter and cannot have sections" in capfd.readouterr().err


def test_a_chapter_without_an_opening_page_stops_the_build(run_builder, tmp_path, capfd):
    table = folders.write(tmp_path) / "_toc.yml"
    table.write_text(table.read_text().replace(OPENING, "chapters/before"))
    assert run_builder("dummy", tmp_path) == 1
    assert f"so it must be the page that opens their folder: {OPENING}" in capfd.readouterr().err
