"""The builder ``colab``: each chapter as a notebook in plain Markdown, for Colab and Jupyter.

It walks the pages that Sphinx has resolved, so numbers, references, citations and translations are
those of the site. References lead to the published site, where they work from anywhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.builders import Builder
from sphinx.util.nodes import process_only_nodes

from tools.book import contents, notebooks, phrases, shown_code
from tools.book.phrases import N_
from tools.chapters import setup_cell
from tools.colab import colab_notebook
from tools.colab.plain_markdown import Writer
from tools.models import board_directive, live_directive
from tools.pages import drawings, editions, widgets
from tools.words import page_code

LINES_A_CELL = 10_000  # MyST-NB numbers lines from 10,000 in the first cell, 20,000 in the next
MIME_TYPES = ("image/png", "image/svg+xml", "text/markdown", "text/html", "text/plain")
HELP = "chapters/appendix/running-on-colab"
ABOUT = N_("**{title}**, a page of the book *{book}*, as a notebook to run and to change.")
READ = N_("[Read this page]({page}) on the book's site, where its widgets move by themselves.")
RUN = N_(
    "Run the cells from the first to the last: the first one installs what is missing. "
    "For a GPU choose *Runtime → Change runtime type*; a CPU will do as well."
)
MORE = N_("More is on the page [{title}]({page}).")


class ColabBuilder(Builder):
    """Writes a notebook for every page that is one."""

    name = "colab"
    format = "ipynb"
    epilog = "The notebooks are in %(outdir)s."
    supported_image_types = [  # noqa: RUF012 (as Sphinx declares it)
        "image/png",
        "image/svg+xml",
        "image/jpeg",
        "image/gif",
        "image/webp",
    ]
    allow_parallel = False

    def get_outdated_docs(self) -> list[str]:
        """Return the pages that are notebooks."""
        return sorted(name for name in self.env.found_docs if self.source(name).suffix == ".ipynb")

    def source(self, page: str) -> Path:
        """Return a page's file."""
        return Path(self.env.doc2path(page))

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        """Return where a page stands on the published site."""
        return f"{self.config.html_baseurl}{docname}.html"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """Return the same address from everywhere."""
        return self.get_target_uri(to, typ)

    def prepare_writing(self, docnames: set[str]) -> None:
        """Get the words that this builder says itself."""
        self.say = phrases.speaker(Path(self.srcdir), self.config.language)

    def write(self, build_docnames, updated_docnames, method: str = "update") -> None:
        """Write the notebooks; no other page has one."""
        self.prepare_writing(set())
        for docname in self.get_outdated_docs():
            self.write_doc(docname, self.env.get_and_resolve_doctree(docname, self))

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        """Write one page's notebook."""
        chapter, name = notebooks.read(self.source(docname)), contents.product_name(docname)
        setup_cell.publish(chapter, Path(self.srcdir))
        shown_code.with_links(chapter, Path(self.srcdir), self.say)
        said = self.env.metadata[docname].get("words", {})
        drawings.translate_outputs(chapter, said)
        page_code.translate_cells(chapter, said, self.say)
        plain = self.plain(docname, doctree)
        text = notebooks.write(colab_notebook.assemble(chapter, name, plain))
        (Path(self.outdir) / f"{name}.ipynb").write_text(text, encoding="utf-8")

    def plain(self, docname: str, doctree: nodes.document) -> colab_notebook.Plain:
        """Return what the page says, cell by cell."""
        process_only_nodes(doctree, self.tags)
        live_directive.hold_still(doctree, self.config, self.say, self.get_target_uri(docname))
        board_directive.hold_still(doctree, self.say, self.get_target_uri(docname))
        writer = self.writer(docname)
        texts: dict[int, list[str]] = {}
        captions, alts = {}, {}
        for number, level, node in in_cells(doctree):
            if isinstance(node, nodes.container) and "cell_index" in node:
                captions[number] = "\n\n".join(map(writer.caption_of, node.findall(nodes.figure)))
                alts[number] = next((n.get("alt", "") for n in node.findall(nodes.image)), "")
            else:
                writer.level = level
                texts.setdefault(number, []).append(writer.write(node))
        return colab_notebook.Plain(
            introduction=self.introduction(docname),
            texts={number: "\n\n".join(filter(str.strip, t)) for number, t in texts.items()},
            captions=captions,
            alts=alts,
            widgets=self.widgets(docname),
        )

    def widgets(self, docname: str) -> dict:
        """Return the state of the page's widgets, which say their words in its language."""
        state = widgets.page_state(self.env, docname)
        for model in state.get("state", {}).values():
            widgets.translate(model, self.env.metadata[docname].get("words", {}))
        return state

    def writer(self, docname: str) -> Writer:
        """Return a writer that knows the page's numbers and addresses."""
        return Writer(
            address=lambda node: self.address(docname, node),
            number=lambda node: self.number(docname, node),
            picture=lambda node: Path(self.srcdir) / node["uri"],
            say=self.say,
        )

    def address(self, docname: str, node: nodes.Element) -> str:
        """Return where a reference leads."""
        if node.get("refuri"):
            return node["refuri"]
        return f"{self.get_target_uri(docname)}#{node['refid']}"

    def number(self, docname: str, node: nodes.Element) -> str:
        """Return the number of a figure, a table, an exercise or an equation, if it has one."""
        is_equation = isinstance(node, nodes.math_block)
        domain = self.env.get_domain("std")
        kind = "displaymath" if is_equation else domain.get_enumerable_node_type(node)
        numbers = self.env.toc_fignumbers.get(docname, {}).get(kind or "", {})
        found = next((numbers[name] for name in node["ids"] if name in numbers), None)
        if found is None:
            return str(node.get("number") or "") if is_equation else ""
        text = ".".join(map(str, found))
        return text if is_equation else self.config.numfig_format[kind] % text

    def introduction(self, docname: str) -> str:
        """Return what the first cell says: what this is, and where the page is."""
        context: dict[str, Any] = self.config.html_context
        title = self.env.titles[docname].astext()
        others = [
            f"[{other['edition'].invitation}]({other['published']})"
            for other in editions.other_editions(context, docname)
            if other["edition"].folder != context["edition"].folder
        ]
        lines = [
            self.say(ABOUT).format(title=title, book=context["book_title"]),
            " · ".join([self.say(READ).format(page=self.get_target_uri(docname)), *others]),
            self.say(RUN),
        ]
        if HELP in self.env.titles:
            more = {"title": self.env.titles[HELP].astext(), "page": self.get_target_uri(HELP)}
            lines[-1] += " " + self.say(MORE).format(**more)
        return "\n\n".join(lines)


def in_cells(doctree: nodes.Element, level: int = 1) -> Iterator[tuple[int, int, nodes.Node]]:
    """Yield each block of a page with the number of its cell and the level of its section."""
    number = 0
    for node, depth in blocks(doctree, level - 1):
        if (node.line or 0) >= LINES_A_CELL:
            number = node.line // LINES_A_CELL - 1
        yield number, depth, node


def blocks(parent: nodes.Element, level: int) -> Iterator[tuple[nodes.Node, int]]:
    """Yield the blocks of a page in order, those of sections with the level of their heading."""
    for node in parent.children:
        if isinstance(node, nodes.section):
            yield from blocks(node, level + 1)
        else:
            yield node, level


def show_outputs(app, config) -> None:
    """Tell MyST-NB which form of an output this builder can do with."""
    config.nb_mime_priority_overrides = [
        *config.nb_mime_priority_overrides,
        *(("colab", kind, place) for place, kind in enumerate(MIME_TYPES, start=1)),
    ]


def keep_notebooks_only(app, _exception) -> None:
    """Remove what other extensions have put beside the notebooks: style sheets."""
    if app.builder.name == ColabBuilder.name:
        for folder in filter(Path.is_dir, Path(app.outdir).iterdir()):
            shutil.rmtree(folder)


def setup(app) -> dict:
    """Register the builder with Sphinx."""
    app.add_builder(ColabBuilder)
    app.connect("config-inited", show_outputs, priority=100)
    app.connect("build-finished", keep_notebooks_only, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
