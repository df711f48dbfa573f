"""The builder ``slides``: a deck of reveal.js for each chapter that is marked, and their list.

`tools.slides.marks` says what stands on each slide; here it becomes HTML, out of the chapter's
doctree. A deck needs nothing but the folder that it stands in: scripts, styles and fonts are beside
it, so that it can be shown from the site, from a disk, and in a lecture hall without a network.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import jinja2
from docutils import nodes, utils
from sphinx.transforms.i18n import publish_msgstr
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

from tools.book import contents, phrases
from tools.book.phrases import N_
from tools.pages import editions
from tools.pages.bodies import BodiesBuilder, without_identities
from tools.slides import deck_files, marks
from tools.slides.marks import Piece, Slide
from tools.words import page_code

LOGGER = logging.getLogger(__name__)
TEMPLATES = contents.ROOT / "web" / "slides"
PARAGRAPH = re.compile(r"^\s*<p[^>]*>(.*)</p>\s*$", re.DOTALL)
CELL = 10_000  # myst-nb counts lines by cells: the third line of cell 7 is 80003
VIEW = "application/vnd.jupyter.widget-view+json"
ON_THE_PAGE = N_("On the page")


class SlidesBuilder(BodiesBuilder):
    """Writes a deck for each chapter that is marked for slides."""

    name = "slides"

    def init(self) -> None:
        """Begin with no deck."""
        super().init()
        self.decks: dict[str, dict] = {}

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """Return where a page stands, from the folder of the slides."""
        return relative_uri("slides/deck.html", self.get_target_uri(to, typ))

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        """Write the deck of a page; pass over one that is not marked."""
        path = Path(self.env.doc2path(docname))
        self.say = phrases.speaker(Path(self.srcdir), self.config.language)
        deck = marks.cut(path, self.in_words(docname, path))
        if not deck:
            return
        for problem in marks.problems(deck):
            LOGGER.warning("slides: %s: %s", path.name, problem)
        settings, doctree.settings = doctree.settings, self.docsettings
        self.secnumbers = self.env.toc_secnumbers.get(docname, {})
        self.fignumbers = self.env.toc_fignumbers.get(docname, {})
        self.imgpath, self.dlpath, self.current_docname = "_images", "_downloads", docname
        self.page = self.get_relative_uri("", docname)
        self.link_to_page(doctree)
        self.cells = nodes_of_cells(doctree)
        self.said = self.words(docname, path, settings)
        body = "\n".join(self.slide(each) for each in deck)
        self.decks[docname] = {"count": len(deck) + 1}  # and the title
        self.keep(docname, self.finished(docname, body, doctree), doctree)

    def in_words(self, docname: str, path: Path) -> Callable[[str], str]:
        """Return a function from a cell's code to the code in the words of the edition."""
        sources = ["".join(c["source"]) for c in marks.cells(path) if c["cell_type"] == "code"]
        return page_code.Page(sources, self.env.metadata[docname].get("words", {}), self.say).code

    def link_to_page(self, doctree: nodes.document) -> None:
        """Let references within the chapter lead to its page, where what they name stands."""
        for reference in doctree.findall(nodes.reference):
            if reference.get("refid"):
                reference["refuri"] = f"{self.page}#{reference.attributes.pop('refid')}"

    # -- from nodes to HTML ----------------------------------------------------------------------

    def markup(self, node: nodes.Node) -> str:
        """Return the HTML of a node; it stands here as a copy, so nothing can link to it."""
        return without_identities(self.render_partial(node.deepcopy())["fragment"])

    def words(self, docname: str, path: Path, settings) -> dict[str, str]:
        """Return the HTML of all titles and points, in the language of the edition.

        They are read together, as one quotation of a paragraph for each: one by one takes seconds.
        """
        messages = list(dict.fromkeys(marks.words(path)))
        known = self.env.metadata[docname].get("words", {})
        text = "\n>\n".join(f"> {known.get(message, message)}" for message in messages)
        document = utils.new_document(str(path), settings)
        self.env.prepare_settings(docname)  # as for reading a page
        document += publish_msgstr(self.app, text, str(path), 0, self.config, settings)
        self.env.temp_data.clear()
        self.env.resolve_references(document, docname, self)
        made = [PARAGRAPH.sub(r"\1", self.markup(paragraph)) for paragraph in document[0]]
        return dict(zip(messages, made, strict=True))

    def slide(self, slide: Slide) -> str:
        """Return the HTML of a slide."""
        section = section_of(self.cells[slide.pieces[0].cell])
        part = section.next_node(nodes.title) if section is not None else None
        above = f'<p class="part">{self.inside(part)}</p>' if part is not None else ""
        place = f"{self.page}#{section['ids'][0]}" if section is not None else self.page
        link = f'{escape(self.say(ON_THE_PAGE))} <span aria-hidden="true">→</span>'
        spoken = "".join(self.notes(piece) for piece in slide.pieces)
        return (
            f'<section class="{slide.look or "plain"}">'
            f"<header>{above}<h2>{self.said[slide.title]}</h2></header>"
            f'<div class="body">{"".join(map(self.piece, slide.pieces))}</div>'
            f'<footer><a href="{escape(place)}">{link}</a></footer>'
            f'<aside class="notes">{spoken}</aside></section>'
        )

    def inside(self, title: nodes.Element) -> str:
        """Return the HTML of a heading's text."""
        return PARAGRAPH.sub(r"\1", self.markup(nodes.paragraph("", "", *title.children)))

    def notes(self, piece: Piece) -> str:
        """Return what is spoken with a cell: its text, or the captions of its figures."""
        found = self.cells[piece.cell] if piece.begins else []
        if any(node.get("nb_element") == "cell_code" for node in found):
            captions = [c for node in found for c in node.findall(nodes.caption)]
            found = [nodes.paragraph("", "", *c.children) for c in captions]
        return "".join(self.markup(node) for node in found)

    def piece(self, piece: Piece) -> str:
        """Return what stands on a slide of one cell."""
        if piece.kind == "notes":
            return ""
        parts = [("points", self.points(piece)), ("formulas", self.formulas(piece))]
        if piece.code:
            block = nodes.literal_block(piece.code, piece.code, language="python")
            parts.append(("code", self.markup(block)))
        if piece.output:
            parts += [shown for node in self.outputs(piece) for shown in self.output(node)]
        more = " fragment" if piece.kind == "fragment" else ""
        return "".join(f'<div class="{kind}{more}">{html}</div>' for kind, html in parts if html)

    def points(self, piece: Piece) -> str:
        """Return the points of a slide."""
        points = "".join(f"<li>{self.said[each]}</li>" for each in piece.mark.get("points", []))
        return f"<ul>{points}</ul>" if points else ""

    def formulas(self, piece: Piece) -> str:
        """Return the displayed equations of a Markdown cell, or those that are asked for."""
        found = self.cells[piece.cell]
        equations = [block for node in found for block in node.findall(nodes.math_block)]
        asked = piece.mark.get("equations", range(1, len(equations) + 1))
        return "".join(f'<div class="formula">{self.markup(equations[i - 1])}</div>' for i in asked)

    def outputs(self, piece: Piece) -> list[nodes.Element]:
        """Return what a cell printed and drew."""
        parts = [part for node in self.cells[piece.cell] for part in node.children]
        outputs = [part for part in parts if part.get("nb_element") == "cell_code_output"]
        return [node for part in outputs for node in part.children]

    def output(self, node: nodes.Element):
        """Yield an output's kind and its HTML: a figure without caption, a widget, or text."""
        images = list(node.findall(nodes.image))
        if images or any(VIEW in raw.astext() for raw in node.findall(nodes.raw)):
            yield "picture", self.markup(images[0] if images else node)
        elif isinstance(node, nodes.literal_block):
            yield "output", self.markup(node)

    # -- writing ---------------------------------------------------------------------------------

    def keep(self, pagename: str, body: str, doctree: nodes.document) -> None:
        """Write a deck."""
        name = marks.address(pagename).removeprefix("slides/")
        known = {"title": self.env.titles[pagename].astext(), "page": self.page}
        self.decks[pagename] |= known | {"address": name}
        # Pictures are beside the deck, and all there before their slide is.
        body = body.replace("../_images/", "_images/").replace(' loading="lazy"', "")
        english = editions.is_in_english(self.config.html_context, pagename, doctree)
        heading = self.inside(self.env.titles[pagename])
        self.write_page("deck.html", name, body=body, heading=heading, english=english, **known)

    def write_page(self, template: str, name: str, **known: Any) -> None:
        """Write a page of the folder."""
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
        context = self.config.html_context
        text = environment.get_template(template).render(
            book=context["book_title"],
            tag=context["edition"].tag,
            digest=deck_files.digest(),
            say=phrases.speaker(Path(self.srcdir), self.config.language),
            **known,
        )
        Path(self.outdir, name).write_text(text, encoding="utf-8")

    def complete(self) -> None:
        """Write the list of the decks, in the book's order, and what all of them load."""
        pages = contents.pages(Path(self.srcdir))
        decks = [self.decks[page] for page in pages if page in self.decks]
        self.write_page("index.html", "index.html", decks=decks)
        deck_files.stage(Path(self.outdir) / "assets")


def nodes_of_cells(doctree: nodes.document) -> dict[int, list[nodes.Element]]:
    """Return the nodes that each cell of a notebook has become, without its headings."""
    found = defaultdict(list)
    for section in doctree.findall(nodes.section):
        for node in section.children:
            if not isinstance(node, nodes.section | nodes.title | nodes.target):
                found[cell_of(node)].append(node)
    return found


def cell_of(node: nodes.Element) -> int:
    """Return the cell that a node comes from, by its index."""
    return node.get("cell_index", (node.line or 0) // CELL - 1)


def section_of(found: list[nodes.Element]) -> nodes.Element | None:
    """Return the part of the chapter that a cell opens, or else the one in which it begins."""
    parts = [part for node in found if (part := part_around(node)) is not None]
    opened = [part for part in parts if cell_of(part.next_node(nodes.title)) == cell_of(found[0])]
    return next(iter(opened or parts), None)


def part_around(node: nodes.Element) -> nodes.Element | None:
    """Return the section right below the chapter's title in which a node stands."""
    sections = []
    while not isinstance(node := node.parent, nodes.document):
        sections.append(node)
    return sections[-2] if len(sections) > 1 else None


def setup(app) -> dict:
    """Register the builder with Sphinx."""
    app.setup_extension("tools.pages.bodies")
    app.add_builder(SlidesBuilder)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
