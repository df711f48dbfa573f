"""The editions side by side: they say the same in two languages, and compute the same."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tests.site.conftest import PAGES
from tests.site.same_code import difference, printed_alike
from tools.book import contents
from tools.pages import editions

FOLDERS = [edition.folder for edition in editions.EDITIONS]
# What belongs to a page's language: nothing below it is compared word for word.
NUMBER = re.compile(r"\d+(?:\.\d+)*")
# What Sphinx numbers as it goes, also what it reads again for a translation.
COUNTED = re.compile(r"^(id\d+|cell-id-.*)$")
EDITION = re.compile(f"/(?:{'|'.join(FOLDERS)})/")


@cache
def soup(path: Path) -> BeautifulSoup:
    """Return a built page, read."""
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")


def texts(page: BeautifulSoup, selector: str) -> list[str]:
    """Return the text of each element that a selector finds."""
    return [element.get_text() for element in page.select(selector)]


def code(page: BeautifulSoup) -> list[str]:
    """Return all code but what cells have printed, cells and what is shown alike."""
    return texts(page, "[class*='highlight-']:not(.highlight-myst-ansi) pre")


def outputs(page: BeautifulSoup) -> list[str]:
    """Return what cells have printed and shown."""
    return texts(page, ".cell_output .output pre, .cell_output table")


def equations(page: BeautifulSoup) -> list[str]:
    """Return the displayed formulas, as they were rendered, with their numbers."""
    return [str(body) for body in page.select("div.math .math-body")] + [
        NUMBER.findall(number)[0] for number in texts(page, ".eqno")
    ]


def formulas(page: BeautifulSoup) -> Counter:
    """Return the formulas in lines of text; a translation may put them in another order."""
    return Counter(str(math) for math in page.select("span.math"))


def pictures(page: BeautifulSoup) -> list[str]:
    """Return the pictures' files, whose names are made from their content.

    A drawing on which words were translated bears the name of the one that it was made from.
    """
    return [re.sub(r"\.zh_CN(?=\.svg$)", "", image["src"]) for image in page.select("img")]


def widgets(page: BeautifulSoup) -> list[list[str]]:
    """Return the pictures of each widget, whose names are made from their content, and controls."""
    return [
        [widget["data-pictures"], *(f"{i['type']} {i['value']}" for i in widget.select("input"))]
        for widget in page.select(".widget")
    ]


def numbers(page: BeautifulSoup) -> list[list[str]]:
    """Return the numbers of headings, figures and exercises."""
    return [NUMBER.findall(label) for label in texts(page, ".caption-number, .section-number")]


def anchors(page: BeautifulSoup) -> set[str]:
    """Return the addresses within a page."""
    ids = {element["id"] for element in page.select("[id]")}
    return {identity for identity in ids if not COUNTED.match(identity)}


def targets(page: BeautifulSoup) -> Counter:
    """Return where links lead: not those of headings to themselves, and the edition left out."""
    links = page.select("a[href]:not(.headerlink)")
    return Counter(EDITION.sub("/", link["href"]) for link in links if not link.get("id"))


def exercises(page: BeautifulSoup) -> list[list[str]]:
    """Return the exercises' identities and kinds."""
    return [[box.get("id", ""), *box["class"]] for box in page.select(".exercise")]


SAME = [equations, formulas, pictures, widgets, numbers, anchors, targets, exercises]


@pytest.mark.parametrize("what", SAME, ids=lambda what: what.__name__)
@pytest.mark.parametrize("name", PAGES)
def test_editions_agree(html, name, what):
    found = [what(soup(html / folder / f"{name}.html")) for folder in FOLDERS]
    for one, other in pairwise(found):
        assert one == other


@pytest.mark.parametrize("name", PAGES)
def test_code_does_the_same_and_prints_the_same(html, name):
    english, *others = (soup(html / folder / f"{name}.html") for folder in FOLDERS)
    for other in others:
        pairs = zip(code(english), code(other), strict=True)
        assert [d for one, two in pairs if (d := difference(one, two, outputs(english)))] == []
        shown = zip(outputs(english), outputs(other), strict=True)
        assert [two for one, two in shown if not printed_alike(one, two)] == []


@pytest.mark.parametrize("chapter", contents.chapters(), ids=lambda chapter: chapter.name)
def test_there_is_something_to_compare(html, chapter):
    pages = [soup(html / FOLDERS[0] / f"{page}.html") for page in chapter.pages]
    assert all(any(what(page) for page in pages) for what in [code, outputs, *SAME])
