"""Links to code that chapters show: none is stored, all are built, with the lines of today."""

import json
import re
import shutil
import warnings

import nbformat
import pytest
from docutils import nodes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from companion.notebook import show
from tools.book import contents, notebooks, shown_code
from tools.words import catalogs

CODE = "def f(x):\n    return x"
SHOWN = [
    (path.stem, shown["name"])
    for path in contents.notebooks()
    for shown in shown_code.headings(json.loads(path.read_text(encoding="utf-8")))
]


def notebook(heading):
    markdown = f"{heading}\n\n```python\n{CODE}\n```"
    output = new_output("display_data", data={"text/markdown": markdown, "text/plain": CODE})
    cells = [new_markdown_cell("# A page"), new_code_cell("show(f)", outputs=[output])]
    return new_notebook(cells=cells)


def heading_of(built):
    return built.cells[1].outputs[0].data["text/markdown"].split("\n")[0]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a small package, which stands for the book's."""
    folder = tmp_path / "companion"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "small.py").write_text(
        "x = 1\n\n\nclass Layer:\n    @property\n    def size(self):\n        return 3\n\n\n"
        f"{CODE}\n"
    )
    (tmp_path / "_config.yml").write_text("repository: {url: 'https://code.example/fork/'}")
    monkeypatch.setattr(contents, "ROOT", tmp_path)
    return folder


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("companion.small", (1, 11)),
        ("companion.small.f", (10, 11)),
        ("companion.small.Layer", (4, 7)),
        ("companion.small.Layer.size", (5, 7)),
    ],
)
def test_lines_are_found_by_the_full_name(package, name, lines):
    place = shown_code.find(name)
    assert (place.file, place.first, place.last) == ("companion/small.py", *lines)


def test_a_line_above_moves_the_built_link_and_no_stored_output(package):
    stored = notebook("`companion.small.f` · argument checks left out")

    def built():
        copy = nbformat.reads(notebooks.write(stored), as_version=4)
        shown_code.with_links(copy, package.parent)
        return heading_of(copy)

    start = "`companion.small.f` · argument checks left out · [source, lines "
    file = "https://code.example/fork/blob/HEAD/companion/small.py"
    assert built() == f"{start}10 to 11]({file}#L10-L11)"
    source = (package / "small.py").read_text()
    (package / "small.py").write_text("# a comment\n" + source)
    assert built() == f"{start}11 to 12]({file}#L11-L12)"


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("en", "argument checks left out · source, lines {first} to {last}"),
        ("zh_CN", "略去了参数检查 · 源代码第 {first} 至 {last} 行"),
    ],
)
def test_sphinx_reads_the_notebook_with_its_link(language, said, tmp_path):
    """In each language, and the page is read anew when the package's file has changed."""
    notebooks.store(
        tmp_path / "page.ipynb",
        notebooks.write(notebook("`companion.optim.Adam` · argument checks left out")),
    )
    (tmp_path / "_config.yml").write_text("repository: {url: 'https://code.example/fork'}")
    (tmp_path / "_toc.yml").write_text("{format: jb-book, root: page}")
    words = catalogs.folder(tmp_path, "zh_CN") / "book.po"
    words.parent.mkdir(parents=True)
    shutil.copy(catalogs.folder(contents.ROOT, "zh_CN") / "book.po", words)
    (tmp_path / "locale" / "zh_CN" / "pages.txt").write_text("page\n")
    config = {
        "extensions": ["myst_nb", "tools.pages.sources"],
        "root_doc": "page",
        "nb_execution_mode": "off",
        "language": language,
        "locale_dirs": [str(catalogs.stage(tmp_path, "zh_CN"))],
        "gettext_compact": False,
        "exclude_patterns": ["_build", "locale"],
    }
    with warnings.catch_warnings(), patch_docutils(None), docutils_namespace():
        warnings.simplefilter("ignore")
        out = tmp_path / "_build"
        app = Sphinx(tmp_path, None, out, out / ".doctrees", "text", config, status=None)
        app.build()
    place = shown_code.find("companion.optim.Adam")
    page = app.env.get_doctree("page")
    text = next(node.astext() for node in page.findall(nodes.paragraph))
    assert text == "companion.optim.Adam · " + said.format(first=place.first, last=place.last)
    (link,) = page.findall(nodes.reference)
    address = "https://code.example/fork/blob/HEAD/companion/optim.py"
    assert link["refuri"] == f"{address}#L{place.first}-L{place.last}"
    assert str(contents.ROOT / place.file) in app.env.dependencies["page"]


def test_what_has_gone_from_the_package_is_named(package):
    with pytest.raises(notebooks.NotebookError, match=r"small\.py has no g: run the chapter again"):
        shown_code.find("companion.small.g")
    with pytest.raises(notebooks.NotebookError, match=r"no module for nothing\.f"):
        shown_code.find("nothing.f")


@pytest.mark.parametrize("name", sorted({name for _, name in SHOWN}))
def test_the_built_link_is_the_one_that_show_writes(name, monkeypatch):
    """What was found in the text of the package is what Python's own inspection finds."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: bundles.append(data))
    module = shown_code.module_of(name)[0].removesuffix(".py").removesuffix("/__init__")
    module = module.replace("/", ".")
    thing = __import__(module, fromlist=["_"])
    for part in name.removeprefix(module).strip(".").split("."):
        thing = getattr(thing, part) if part else thing
    show(thing)
    live = bundles[0]["text/markdown"].split("\n")[0]
    shown = shown_code.HEADING.match(bundles[0]["text/markdown"])
    assert shown_code.heading(shown, contents.ROOT) == live


@pytest.mark.parametrize("path", contents.notebooks(), ids=lambda path: path.stem)
def test_no_stored_output_holds_an_address_of_the_repository(path):
    """A fork has another one; that of the set-up cell is part of the code."""
    for cell in notebooks.read(path).cells:
        for output in cell.get("outputs", []):
            said = json.dumps({k: v for k, v in output.get("data", {}).items() if "text" in k})
            assert "/blob/" not in said + output.get("text", "")


def test_the_line_above_is_said_in_chinese():
    messages = catalogs.shown_sources(contents.ROOT, "zh_CN", "chapters/optimisation")
    shown = next(m for m in messages if m.msgid.startswith("`companion.optim.orthogonalize`"))
    said = re.fullmatch(r"(.*) · (.*) · \[(.*)\]\((.*)\)", shown.msgstr)
    english = re.fullmatch(r"(.*) · (.*) · \[(.*)\]\((.*)\)", shown.msgid)
    assert said[2] == "略去了参数检查"
    assert said[3].startswith("源代码第")
    assert re.findall(r"\d+", said[3]) == re.findall(r"\d+", english[3])
    assert (said[1], said[4]) == (english[1], english[4])
