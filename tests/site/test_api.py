"""The API reference: every public function is there, with what its docstring says, and found."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import companion
from tests.site.conftest import EDITIONS, ROOT
from tests.site.small_books import write_book
from tools.book import contents, shown_code
from tools.pages import editions
from tools.reference import api

FOLDERS = [edition.folder for edition in EDITIONS]
PAGES = [page for page in contents.pages() if page.startswith(f"{api.FOLDER}/")]
OF_MODULES = dict(api.pages_of(ROOT))
each_module = pytest.mark.parametrize("module", OF_MODULES)


@pytest.fixture(scope="session")
def page(html):
    """Return a function that reads a built page, each once."""
    read: dict[Path, BeautifulSoup] = {}

    def get(name: str, folder: str = "en") -> BeautifulSoup:
        path = html / folder / f"{name}.html"
        if path not in read:
            read[path] = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        return read[path]

    return get


def offered(module: str) -> dict[str, object]:
    """Return the functions and classes that a module offers, by full name."""
    name = f"companion.{module}"
    found = importlib.import_module(name)
    things = {f"{name}.{each}": getattr(found, each) for each in found.__all__}
    return {n: t for n, t in things.items() if inspect.isfunction(t) or inspect.isclass(t)}


def test_every_module_has_its_place():
    assert set(OF_MODULES) == set(companion.__all__) - set(api.APART)


@each_module
def test_everything_a_module_offers_is_described(page, module):
    section = page(OF_MODULES[module]).find(id=f"companion-{module}")
    described = {sign["id"] for sign in section.select("dt.sig")}
    assert offered(module).keys() <= described


@each_module
def test_every_name_leads_to_its_source(page, module):
    section = page(OF_MODULES[module]).find(id=f"companion-{module}")
    links = {sign["id"]: sign.select_one(".api-source a") for sign in section.select("dt.sig")}
    for name, thing in offered(module).items():
        place = shown_code.find(f"{thing.__module__}.{thing.__qualname__}")
        assert links[name]["href"].endswith(f"/{place.file}#L{place.first}-L{place.last}"), name


def test_a_function_is_described_in_all_parts(page):
    name = "companion.attention.scaled_dot_product_attention"
    sign = page(OF_MODULES["attention"]).find(id=name)
    assert sign.get_text().strip().startswith("scaled_dot_product_attention(q, k, v, mask=None")
    body = sign.find_next_sibling("dd")
    assert body.select_one(".math .katex")
    fields = [field.get_text().rstrip(":") for field in body.select("dl.field-list > dt")]
    assert fields == ["Parameters", "Returns", "Raises"]
    parameters = [name.get_text() for name in body.select("dl.field-list dl")[0].select("strong")]
    function = inspect.unwrap(companion.attention.scaled_dot_product_attention)
    assert parameters == list(inspect.signature(function).parameters)
    assert ">>> scaled_dot_product_attention(" in body.select_one("pre").get_text()


def test_a_name_in_a_docstring_is_a_link(page):
    adam = page(OF_MODULES["optim"]).find(id="companion.optim.Adam").find_next_sibling("dd")
    assert adam.find("a", href="#companion.optim.AdamW")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("name", PAGES)
def test_docstrings_are_english_and_say_so(page, folder, name):
    found = page(name, folder)
    for section in found.select("section.api"):
        assert section.get("lang") == (None if folder == "en" else "en")
    texts = ([p.get_text() for p in each.select("section.api p")] for each in (found, page(name)))
    assert next(texts) == next(texts)
    assert "not-translated" not in str(found.find("main"))


@pytest.mark.browser
@pytest.mark.parametrize("folder", FOLDERS)
def test_the_search_finds_a_function(new_visit, folder):
    visit = new_visit(f"{folder}/search.html?q=scaled_dot_product_attention")
    anchor = "#companion.attention.scaled_dot_product_attention"
    hit = visit.page.locator(f"#search-results li:nth-child(-n+3) a[href$='{anchor}']")
    hit.first.wait_for(timeout=10_000)
    assert visit.messages == []


# -- which modules ---------------------------------------------------------------------------------


def test_what_no_page_names_stands_where_the_star_is(tmp_path):
    (tmp_path / api.FOLDER).mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text(
        "root: index\nparts:\n  - numbered: true\n    chapters:\n"
        "      - file: chapters/losses\n      - file: chapters/attention\n"
    )
    for name in ("losses", "attention"):
        (tmp_path / "chapters" / f"{name}.ipynb").write_text('{"metadata": {}}')
    (tmp_path / api.FOLDER / "page.md").write_text("# Page\n\n```{api}\nnotebook\n*\n```\n")
    assert api.chosen(["losses", "*"], tmp_path) == ["losses", "losses", "attention"]
    (tmp_path / api.FOLDER / "page.md").write_text("# Page\n\n```{api}\nlosses\n*\n```\n")
    assert api.chosen(["losses", "*"], tmp_path) == ["losses", "attention", "notebook"]


# -- what is left out of the printed books ---------------------------------------------------------


@pytest.mark.parametrize("builder", ["printed", "ebook"])
def test_pages_for_the_site_alone_are_not_printed(run_builder, tmp_path, builder):
    write_book(tmp_path, "Hello.")
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nchapters:\n- file: kept\n- file: left\n"
    )
    (tmp_path / "kept.md").write_text("# Kept\n\nMore in {doc}`left`.\n")
    (tmp_path / "left.md").write_text("---\nprinted: false\n---\n\n# Left out\n\nSecret.\n")
    config = tmp_path / "_config.yml"
    config.write_text(config.read_text() + "html:\n  baseurl: https://book.example\n")
    assert run_builder(builder, tmp_path) == 0
    made = editions.place(builder, tmp_path, EDITIONS[0])
    text = "".join(path.read_text() for path in made.glob("*") if path.is_file())
    assert "More in" in text
    assert "Secret." not in text
    assert "https://book.example/en/left.html" in text
