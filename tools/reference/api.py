"""The API reference: the directive ``api``, which describes modules from their docstrings.

Its lines name modules of the package; ``*`` stands for those that no page names, so that none is
forgotten. Each module becomes a section. The docstrings are written as numpydoc has them, and read
as reStructuredText. They are the same in every edition: no message is made of them.

The directive ``api-modules`` lists all modules, each with the first sentence of its docstring.

The pages are left out of the printed books: their front matter says ``printed: false``.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_parser.mocking import MockRSTParser
from sphinx import addnodes
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective, new_document

from tools.book import contents, modules, shown_code
from tools.pages import tables
from tools.reference import verification_report

PACKAGE = "companion"
FOLDER = "chapters/appendix/api"
REST = "*"
APART = ("reference",)  # the twins, which are not described here
LISTED = re.compile(r"^```\{api\}\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BEGINS = '<section class="api"'  # of a module, as HTML
LEFT_OUT = "extra_repr, Config"  # torch's own, and another name of a class that stands there itself
SOURCE = "\n".join([".. automodule:: {module}", "   :members:", f"   :exclude-members: {LEFT_OUT}"])


# -- which modules ---------------------------------------------------------------------------------


def described(root: Path) -> list[str]:
    """Return the modules that are described: those taught, in the book's order, and the helpers."""
    return [*modules.order(root), "notebook"]


def named(root: Path) -> set[str]:
    """Return the modules that a page names."""
    pages = (root / FOLDER).glob("*.md")
    found = (name for page in pages for name in LISTED.findall(page.read_text(encoding="utf-8")))
    return {module for lines in found for module in lines.split()}


def chosen(lines: Iterable[str], root: Path) -> list[str]:
    """Return the modules that the lines of a directive stand for, in order."""
    names = [line.strip() for line in lines if line.strip()]
    rest = [module for module in described(root) if module not in named(root)]
    return [module for name in names for module in (rest if name == REST else [name])]


# -- what is made of a docstring -------------------------------------------------------------------


def origin(signature: addnodes.desc_signature) -> str:
    """Return the full name of what a signature describes, where it is defined; else nothing."""
    thing: Any = importlib.import_module(signature["module"])
    for part in signature["fullname"].split("."):
        thing = getattr(thing, part, None)
    thing = getattr(thing, "fget", getattr(thing, "__func__", thing))  # of a property, of a class
    thing = inspect.unwrap(thing)
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        return ""
    return f"{thing.__module__}.{thing.__qualname__}"


def source_link(name: str, repository: dict) -> nodes.inline:
    """Return the link from a signature to its lines in the repository."""
    place = shown_code.find(name)
    address = verification_report.file_lines(repository, place.file, place.first, place.last)
    link = nodes.reference("", _("[source]"), refuri=address, internal=False)
    return nodes.inline("", "", link, classes=["api-source"])


def finish(document: nodes.document, repository: dict) -> None:
    """Make no messages of what was read, and no entries of the index; link to the source."""
    for entry in list(document.findall(addnodes.index)):
        entry.parent.remove(entry)
    for node in document.findall(nodes.TextElement):
        if not isinstance(node, nodes.Inline):  # an inline one so marked would be taken apart
            node["translatable"] = False
    for signature in document.findall(addnodes.desc_signature):
        if name := origin(signature):
            signature += source_link(name, repository)
        if signature["class"]:
            signature["_toc_name"] = ""  # methods would fill the list of what is on the page


class Api(SphinxDirective):
    """A section for each module: its docstring, then its functions and classes."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the sections."""
        return [self.section(module) for module in chosen(self.content, Path(self.env.srcdir))]

    def section(self, module: str) -> nodes.section:
        """Return the section of a module."""
        name = f"{PACKAGE}.{module}"
        self.env.note_dependency(shown_code.find(name).file)
        section = tables.section(name, *self.read(name), identity=nodes.make_id(name))
        section["classes"].append("api")
        return section

    def read(self, module: str) -> list[nodes.Node]:
        """Return what autodoc says of a module, read as reStructuredText."""
        outer = self.state.document
        document = new_document(outer["source"], outer.settings)
        document.reporter = outer.reporter
        MockRSTParser().parse(SOURCE.format(module=module), document)
        finish(document, self.config.repository)
        for signature in document.findall(addnodes.desc_signature):
            outer.note_explicit_target(signature)
        return document.children


# -- the list of modules ---------------------------------------------------------------------------


def first_sentence(doc: str) -> str:
    """Return the first sentence of a docstring, without marks of code.

    >>> first_sentence("Attention: all of it, in ``softmax``. And more.")
    'Attention: all of it, in softmax.'
    """
    return " ".join(doc.replace("`", "").split()).partition(". ")[0].rstrip(".") + "."


def pages_of(root: Path) -> Iterator[tuple[str, str]]:
    """Yield each described module with the page that describes it."""
    for page in contents.pages(root):
        path = contents.file_of(page, root)
        if page.startswith(f"{FOLDER}/") and path.suffix == ".md":
            for lines in LISTED.findall(path.read_text(encoding="utf-8")):
                yield from ((module, page) for module in chosen(lines.splitlines(), root))


class ApiModules(SphinxDirective):
    """A table of all modules that are described."""

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        header = [tables.text_of(self, name) for name in ("Module", "What it holds")]
        rows = [self.row(*each) for each in pages_of(Path(self.env.srcdir))]
        return [tables.table(header, rows, (30, 70), "api-modules")]

    def row(self, module: str, page: str) -> nodes.row:
        """Return a module's row."""
        name = f"{PACKAGE}.{module}"
        link = tables.place(f"{page}#{nodes.make_id(name)}", tables.literal(name))
        doc = importlib.import_module(name).__doc__ or ""
        return tables.row(tables.fixed(link), tables.fixed(first_sentence(doc)))


def say_language(app, _pagename, _template, context, _doctree) -> None:
    """Mark the docstrings as English on the pages of another language."""
    if app.config.language != "en" and BEGINS in context.get("body", ""):
        context["body"] = context["body"].replace(BEGINS, f'{BEGINS} lang="en"')


def setup(app) -> dict:
    """Register the directives with Sphinx."""
    app.setup_extension("numpydoc")
    app.setup_extension("tools.pages.tables")
    app.add_directive("api", Api)
    app.add_directive("api-modules", ApiModules)
    app.connect("html-page-context", say_language)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
