"""Code in the Chinese edition: its comments and checks are in Chinese wherever they appear."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from tests.site import same_code
from tests.site.conftest import ROOT
from tools.book import contents
from tools.slides import marks
from tools.words import catalogs

LANGUAGE, FOLDER = "zh_CN", "zh"
HAN = re.compile("[\u3400-\u9fff]")
CHECK = re.compile(r"^[✓✗] .*", re.MULTILINE)
CELLS = ".cell_input pre, .exercise pre, .solution pre"
PAGES = list(map(contents.page_of, contents.notebooks()))
TRANSLATED = [page for page in PAGES if page in catalogs.translated(ROOT, LANGUAGE)]

each_page = pytest.mark.parametrize("page", TRANSLATED)


@cache
def known(page: str) -> dict[str, str]:
    """Return what a page's catalog says."""
    entries = catalogs.entries(ROOT, LANGUAGE, page)
    return {e.msgid: e.msgstr for e in entries if e.translated() and e.msgid != e.msgstr}


@cache
def sources(page: str) -> list[str]:
    """Return a notebook's code as it is written, without the cell that installs."""
    cells = nbformat.read(ROOT / f"{page}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code" and cell.id != "setup"]


def read(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def places(html: Path, page: str) -> dict[str, tuple[list[str], list[str]]]:
    """Return the code and what it has printed, by where in the edition it stands."""
    folder, name = html / FOLDER, contents.product_name(page)
    site = read(folder / f"{page}.html").find("article")
    colab = nbformat.read(folder / "colab" / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in colab.cells if cell.cell_type == "code"]
    streams = [o.text for c in cells for o in c.outputs if o.output_type == "stream"]
    found = {
        "page": (texts(site, CELLS), texts(site, ".cell_output .highlight-myst-ansi pre")),
        "Colab": ([cell.source for cell in cells if cell.id != "setup"], streams),
    }
    if marks.has_deck(ROOT / f"{page}.ipynb"):
        deck = read(folder / marks.address(page))
        code = "\n".join(texts(deck, ".body > .code pre"))
        found["slides"] = ([code], texts(deck, ".body > .output pre"))
    return found


def texts(page: BeautifulSoup, selector: str) -> list[str]:
    return [block.get_text() for block in page.select(selector)]


@each_page
def test_comments_are_chinese(html, page):
    for place, (code, _) in places(html, page).items():
        said = [comment for source in code for comment in same_code.comments(source)]
        assert [comment for comment in said if comment in known(page)] == [], place
        assert any(map(HAN.search, said)) or not any(map(same_code.comments, sources(page))), place


@each_page
def test_checks_are_chinese_and_are_called_what_the_code_calls_them(html, page):
    unchecked = not any("check(" in source for source in sources(page))
    for place, (code, printed) in places(html, page).items():
        lines = [line for text in printed for line in CHECK.findall(text)]
        assert [line for line in lines if not HAN.search(line)] == [], place
        assert [line for line in lines if re.search(r": |at (least|most)|expected", line)] == []
        assert place == "slides" or unchecked or len(lines) > 5
        names = [line[2:].split("：")[0] for line in lines]
        plain = [name for name in names if f'"{name}' in "\n".join(code)]
        assert place == "slides" or unchecked or len(plain) > len(names) / 2
