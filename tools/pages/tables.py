"""Tables that directives make, of plain nodes that every builder can write.

A table of class ``cards`` becomes a row of cards where the page is narrow; there each cell needs
its column's name, so every ``td`` gets the attribute ``data-label``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape, unescape

from docutils import nodes
from sphinx import addnodes

CARDS = re.compile(r'<table class="[^"]*\bcards\b.*?</table>', re.DOTALL)
ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
HEADER = re.compile(r"<th\b[^>]*>(.*?)</th>", re.DOTALL)
TAG = re.compile(r"<[^>]+>")

Inline = Sequence[nodes.Node]


def text_of(directive, text: str) -> nodes.paragraph:
    """Return a paragraph of Markdown that the page's message catalog translates."""
    children, _ = directive.state.inline_text(text, directive.lineno)
    paragraph = nodes.paragraph(text, "", *children)
    paragraph.source, paragraph.line = directive.get_source_info()
    return paragraph


def fixed(*children: nodes.Node | str) -> nodes.paragraph:
    """Return a paragraph that is the same in every language."""
    inline = [nodes.Text(child) if isinstance(child, str) else child for child in children]
    return nodes.paragraph("", "", *inline, translatable=False)


def row(*cells: nodes.paragraph | Sequence[nodes.paragraph], identity: str = "") -> nodes.row:
    """Return a row; a cell is a paragraph or several."""
    made = nodes.row(ids=[identity] if identity else [])
    for cell in cells:
        paragraphs = [cell] if isinstance(cell, nodes.Node) else cell
        made += nodes.entry("", *paragraphs)
    return made


def table(
    header: Iterable[nodes.paragraph],
    rows: Iterable[nodes.row],
    widths: Sequence[int],
    kind: str,
) -> nodes.table:
    """Return a table with a header, of class ``cards`` and of a class of its own."""
    group = nodes.tgroup(cols=len(widths))
    group += [nodes.colspec(colwidth=width) for width in widths]
    group += nodes.thead("", row(*header))
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=["cards", kind, "colwidths-given"])


def section(title: str, *blocks: nodes.Node, identity: str = "") -> nodes.section:
    """Return a section whose title is the same in every language."""
    heading = nodes.title(title, title, translatable=False)
    return nodes.section("", heading, *blocks, ids=[identity] if identity else [])


def literal(text: str) -> nodes.literal:
    """Return code within a line."""
    return nodes.literal(text, text)


def external(text: str, address: str, code: bool = False) -> nodes.reference:
    """Return a link to a file of the repository."""
    inside = literal(text) if code else nodes.Text(text)
    return nodes.reference("", "", inside, refuri=address, internal=False)


# -- places --------------------------------------------------------------------------------------


def place(target: str, *children: nodes.Node) -> nodes.Node:
    """Return a link to a place in the book: ``page``, ``page#id``, an equation, figure or label.

    Without children it shows the title of the section, or the number.
    """
    domain, kind = _kind_of(target)
    options = {"refdomain": domain, "reftype": kind, "reftarget": target, "refwarn": True}
    options["refexplicit"] = bool(children)
    inside = nodes.inline("", "", *(children or [nodes.Text(target)]))
    return addnodes.pending_xref("", inside, **options)


def _kind_of(target: str) -> tuple[str, str]:
    if "/" in target or "#" in target or target == "index":
        return "", "place"
    if target.startswith("eq-"):
        return "math", "eq"
    if target.startswith("fig-"):
        return "std", "numref"
    return "std", "ref"


def title_at(env, page: str, anchor: str) -> list[nodes.Node] | None:
    """Return the title of a page, or of one of its sections, or None if there is none."""
    for reference in env.tocs[page].findall(nodes.reference) if page in env.tocs else ():
        if reference["refuri"] == page and reference["anchorname"].removeprefix("#") == anchor:
            return [child.deepcopy() for child in reference.children]
    return None


def resolve_place(app, env, node, content):
    """Resolve a link to a place; what is not there is left to Sphinx to complain about."""
    if node["reftype"] != "place":
        return None
    page, _, anchor = node["reftarget"].partition("#")
    title = [content] if node["refexplicit"] else title_at(env, page, anchor)
    if title is None or page not in env.found_docs:
        return None
    if page == node["refdoc"] and anchor:
        return nodes.reference("", "", *title, internal=True, refid=anchor)
    address = app.builder.get_relative_uri(node["refdoc"], page)
    address += f"#{anchor}" if anchor else ""
    return nodes.reference("", "", *title, internal=True, refuri=address)


# -- cards ---------------------------------------------------------------------------------------


def label_cells(app, _pagename, _template, context, _doctree) -> None:
    """Give the cells of a page's tables of class ``cards`` the names of their columns."""
    body = context.get("body", "")
    if CARDS.search(body):
        context["body"] = CARDS.sub(lambda match: labelled(match[0]), body)


def labelled(markup: str) -> str:
    """Return a table whose cells name their columns.

    >>> labelled("<table><tr><th>A &amp; b</th></tr><tr><td>1</td></tr></table>")
    '<table><tr><th>A &amp; b</th></tr><tr><td data-label="A &amp; b">1</td></tr></table>'
    """
    names = [unescape(TAG.sub("", name)).strip() for name in HEADER.findall(markup)]

    def with_names(match: re.Match) -> str:
        parts = re.split(r"<td\b", match[0])
        pairs = zip(names, parts[1:], strict=False)
        return parts[0] + "".join(
            f'<td data-label="{escape(name, quote=True)}"{part}' for name, part in pairs
        )

    return ROW.sub(with_names, markup)


def setup(app) -> dict:
    """Register links to places and the names of cells."""
    from sphinx.roles import XRefRole

    app.add_role("place", XRefRole(warn_dangling=True))
    app.connect("missing-reference", resolve_place)
    app.connect("html-page-context", label_cells, priority=600)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
