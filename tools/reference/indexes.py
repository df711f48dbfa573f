"""The directive ``book-index``: a list of all worked examples, widgets, figures or exercises.

Worked examples and widgets get an id while their page is read, from what stands in the source,
so that it is the same in every edition. The lists are made from the pages as they were read,
titles translated, when the page that holds the list is written.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from tools.book import contents
from tools.pages import tables, widgets

MARK = "book-index"
HEADERS = {
    "worked-examples": (("Worked example", "Section", "Names in the code"), (36, 26, 38)),
    "widgets": (("Widget", "Settings", "At first it shows"), (30, 34, 36)),
    "figures": (("Figure", "What it shows", "Section"), (14, 56, 30)),
    "exercises": (("Exercise", "Kind and time", "Difficulty, 1 to 3"), (50, 32, 18)),
}
SENTENCE_END = re.compile(r"(?<=[.!?])(?=\s|$)|(?<=[。！？])")
MOST_LABELS = 6


# -- ids -----------------------------------------------------------------------------------------


def called(code: str, name: str) -> Iterator[ast.Call]:
    """Yield the calls of a function in a cell."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def cell_code(cell: nodes.Element) -> str:
    """Return the code of a cell, empty where it is no Python."""
    source = next(iter(cell.findall(nodes.literal_block)), None)
    try:
        return ast.unparse(ast.parse(source.astext())) if source is not None else ""
    except SyntaxError:
        return ""


def code_cells(doctree: nodes.document) -> Iterator[nodes.container]:
    """Yield the code cells of a page."""
    for container in doctree.findall(nodes.container):
        if container.get("nb_element") == "cell_code":
            yield container


def widget_name(cell: nodes.Element) -> str:
    """Return the name of the function whose figures a cell explores, empty if there is none."""
    for call in called(cell_code(cell), "explore"):
        if call.args and isinstance(call.args[0], ast.Name):
            return call.args[0].id
    return ""


def is_worked(node: nodes.Node) -> bool:
    """Tell whether a node is a worked example."""
    return isinstance(node, nodes.admonition) and "worked-example" in node["classes"]


class Anchors(SphinxTransform):
    """Give worked examples and widgets an id, before titles are translated."""

    default_priority = 15

    def apply(self, **_) -> None:
        """Name what has no id of its own."""
        taken = {each for node in self.document.findall(nodes.Element) for each in node["ids"]}
        for node in self.document.findall(is_worked):
            if not node["ids"]:
                title = node[0].rawsource or node[0].astext()
                self.give(node, f"worked-{title.partition(': ')[2] or title}", taken)
        for cell in code_cells(self.document):
            if widget_name(cell) and not cell["ids"]:
                self.give(cell, f"widget-{widget_name(cell)}", taken)

    def give(self, node: nodes.Element, wish: str, taken: set[str]) -> None:
        """Give a node the id it wishes, with a number if another has it."""
        base = identity = nodes.make_id(wish)
        number = 2
        while identity in taken:
            identity = f"{base}-{number}"
            number += 1
        taken.add(identity)
        node["ids"].append(identity)


# -- what the lists hold -------------------------------------------------------------------------


def words(node: nodes.Element) -> list[nodes.Node]:
    """Return a node's children as they may stand in a link: without links of their own."""
    made: list[nodes.Node] = []
    for child in node.children:
        if isinstance(child, (addnodes.pending_xref, nodes.reference)):
            made += words(child)
        elif not isinstance(child, nodes.target):
            made.append(child.deepcopy())
    return made


def first_sentence(node: nodes.Element) -> list[nodes.Node]:
    """Return the children of a node up to the end of its first sentence."""
    made: list[nodes.Node] = []
    for child in words(node):
        end = SENTENCE_END.search(child.astext()) if isinstance(child, nodes.Text) else None
        if end:
            return [*made, nodes.Text(child.astext()[: end.start()])]
        made.append(child)
    return made


def section_of(page: str, node: Any) -> str:
    """Return the place of the section in which a node stands."""
    while node is not None and not (isinstance(node, nodes.section) and node["ids"]):
        node = node.parent
    if node is None or isinstance(node.parent, nodes.document):
        return page
    return f"{page}#{node['ids'][0]}"


def following_cell(doctree: nodes.document, node: nodes.Node) -> nodes.Node | None:
    """Return the first code cell after a node."""
    everything = list(doctree.findall(nodes.Element))
    after = everything[everything.index(node) :]
    return next((each for each in after if each.get("nb_element") == "cell_code"), None)


def reported(code: str) -> list[str]:
    """Return the names under which a cell prints what it computes.

    >>> reported("report(2, weights=w, context=c)")
    ['weights', 'context']
    """
    return [word.arg for call in called(code, "report") for word in call.keywords if word.arg]


def worked_examples(_app, page: str, doctree: nodes.document) -> Iterator[nodes.row]:
    """Yield a row for each worked example of a page."""
    for node in doctree.findall(is_worked):
        cell = following_cell(doctree, node)
        names = tables.fixed()
        for name in dict.fromkeys(reported(cell_code(cell)) if cell is not None else []):
            names += [nodes.Text(", ")] if names.children else []
            names += tables.literal(name)
        link = tables.place(f"{page}#{node['ids'][0]}", *words(node[0]))
        yield tables.row(
            tables.fixed(link), tables.fixed(tables.place(section_of(page, node))), names
        )


def some(labels: list[str]) -> str:
    """Return settings in a line, those in the middle left out where there are many.

    >>> some(list("1234567"))
    '1, 2, …, 7'
    """
    shown = labels if len(labels) <= MOST_LABELS else [*labels[:2], "…", labels[-1]]
    return ", ".join(shown)


def settings(choice: widgets.Choice) -> nodes.paragraph:
    """Return what a control is called and offers, as a line."""
    return tables.fixed(f"{choice.name}: {some(choice.labels)}")


def explored(app, page: str, doctree: nodes.document) -> Iterator[nodes.row]:
    """Yield a row for each widget of a page."""
    models = widgets.translated_models(app.env, page)
    for cell in code_cells(doctree):
        view = widgets.VIEW.search("\n".join(raw.astext() for raw in cell.findall(nodes.raw)))
        if not view or not cell["ids"]:
            continue
        widget = widgets.read_widget(models, json.loads(view[1])["model_id"])
        lines = [settings(choice) for choice in widget.choices]
        section = section_of(page, cell).partition("#")[2]
        title = tables.title_at(app.env, page, section) or [nodes.Text(widget_name(cell))]
        link = tables.place(f"{page}#{cell['ids'][0]}", *title)
        yield tables.row(tables.fixed(link), lines, tables.fixed(widget.alts()[0]))


def figures(_app, page: str, doctree: nodes.document) -> Iterator[nodes.row]:
    """Yield a row for each figure of a page that has a name."""
    for figure in doctree.findall(nodes.figure):
        caption = next(iter(figure.findall(nodes.caption)), None)
        if caption is None or not figure["names"]:
            continue
        yield tables.row(
            tables.fixed(tables.place(figure["names"][0])),
            tables.fixed(*first_sentence(caption)),
            tables.fixed(tables.place(section_of(page, figure))),
        )


def of_type(node: nodes.Element, name: str) -> list[nodes.Element]:
    """Return the nodes below of a class that another extension keeps to itself."""
    return [each for each in node.findall(nodes.Element) if type(each).__name__ == name]


def exercises(app, page: str, doctree: nodes.document) -> Iterator[nodes.row]:
    """Yield a row for each exercise of a page."""
    numbers = app.env.toc_fignumbers.get(page, {}).get("exercise", {})
    for node in of_type(doctree, "exercise_enumerable_node"):
        number = ".".join(map(str, numbers.get(node["label"], ())))
        titles = of_type(node, "exercise_subtitle")
        title = [nodes.Text(f"{number} "), *(words(titles[0]) if titles else [])]
        kind = next(iter(node.findall(nodes.emphasis)), nodes.emphasis())
        levels = [name[-1] for name in node["classes"] if name.startswith("difficulty-")]
        link = tables.place(f"{page}#{node['ids'][0]}", *title)
        level = tables.fixed("".join(levels))
        yield tables.row(tables.fixed(link), tables.fixed(*words(kind)), level)


LISTS = {
    "worked-examples": worked_examples,
    "widgets": explored,
    "figures": figures,
    "exercises": exercises,
}


# -- the lists -----------------------------------------------------------------------------------


class BookIndex(SphinxDirective):
    """A list of everything of one kind in the book."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the empty table; it is filled when all pages have been read."""
        self.env.metadata[self.env.docname][MARK] = True
        kind = directives.choice(self.arguments[0], tuple(LISTS))
        names, widths = HEADERS[kind]
        header = [tables.text_of(self, name) for name in names]
        table = tables.table(header, [], widths, f"index-{kind}")
        table[MARK] = kind
        return [table]


def holders(env) -> list[str]:
    """Return the pages that hold a list, and so depend on all others."""
    return [page for page, metadata in env.metadata.items() if MARK in metadata]


class FillIndexes(SphinxPostTransform):
    """Fill the lists, before references are resolved."""

    default_priority = 4

    def run(self, **_) -> None:
        """Go through all pages in their order."""
        waiting = [table for table in self.document.findall(nodes.table) if MARK in table]
        if not waiting:
            return
        order = [p for p in contents.pages(Path(self.env.srcdir)) if p in self.env.found_docs]
        doctrees = {page: self.env.get_doctree(page) for page in order}
        for table in waiting:
            body = next(iter(table.findall(nodes.tbody)))
            for page, doctree in doctrees.items():
                body += list(LISTS[table[MARK]](self.app, page, doctree))
            del table[MARK]


def setup(app) -> dict:
    """Register the directive, the ids and the lists with Sphinx."""
    app.setup_extension("tools.pages.tables")
    app.add_directive("book-index", BookIndex)
    app.add_transform(Anchors)
    app.add_post_transform(FillIndexes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
