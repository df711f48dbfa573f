"""The builder ``slides``: a deck of reveal.js for each chapter, made from its doctree.

`tools.slides_outline` cuts the chapter; here its slides become HTML. A deck needs nothing but the
folder that it stands in: scripts, styles and fonts are beside it, so that it can be shown from the
site, from a disk, and in a lecture hall without a network.
"""

from __future__ import annotations

import posixpath
import re
from html import escape
from pathlib import Path

import jinja2
from docutils import nodes
from sphinx.util.osutil import relative_uri

from tools import contents, phrases, slides_assets
from tools.extensions.apart import BodiesBuilder, without_identities
from tools.phrases import N_
from tools.slides_outline import Outline
from tools.slides_parts import Block, Slide

TEMPLATES = contents.ROOT / "web" / "slides"
PARAGRAPH = re.compile(r"^\s*<p[^>]*>(.*)</p>\s*$", re.DOTALL)
DOTS = {"difficulty-1": "●○○", "difficulty-2": "●●○", "difficulty-3": "●●●"}


def chapter_names(root: Path) -> list[str]:
    """Return the pages that get a deck: the chapters."""
    return [path.relative_to(root).with_suffix("").as_posix() for path in contents.chapters(root)]


class SlidesBuilder(BodiesBuilder):
    """Writes a deck for each chapter."""

    name = "slides"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """Return where a page stands, from the folder of the slides."""
        return relative_uri("slides/deck.html", self.get_target_uri(to, typ))

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        """Write the deck of a chapter; pass over what is not one."""
        if docname not in chapter_names(Path(self.srcdir)):
            return
        doctree.settings = self.docsettings
        self.secnumbers = self.env.toc_secnumbers.get(docname, {})
        self.fignumbers = self.env.toc_fignumbers.get(docname, {})
        self.imgpath, self.dlpath, self.current_docname = "_images", "_downloads", docname
        self.page = self.get_relative_uri("", docname)
        self.say = phrases.speaker(Path(self.srcdir), self.config.language)
        self.link_to_page(doctree)
        outline = Outline(self.steering(docname)).walk(doctree)
        body = "\n".join(self.slide(each, docname) for each in outline.slides)
        self.keep(docname, self.finished(docname, body, doctree), doctree)

    def steering(self, docname: str) -> dict[int, str]:
        """Return the slide types that a notebook's cells ask for, by their index."""
        import nbformat

        path = Path(self.env.doc2path(docname))
        cells = nbformat.read(path, as_version=4).cells if path.suffix == ".ipynb" else []
        asked = {i: cell.metadata.get("slideshow", {}) for i, cell in enumerate(cells)}
        return {i: show["slide_type"] for i, show in asked.items() if show.get("slide_type")}

    def link_to_page(self, doctree: nodes.document) -> None:
        """Let references within the chapter lead to its page, where what they name stands."""
        for reference in doctree.findall(nodes.reference):
            if reference.get("refid"):
                reference["refuri"] = f"{self.page}#{reference.attributes.pop('refid')}"

    # -- from nodes to HTML ----------------------------------------------------------------------

    def markup(self, node: nodes.Node) -> str:
        """Return the HTML of a node; it stands here as a copy, so nothing can link to it."""
        return without_identities(self.render_partial(node.deepcopy())["fragment"])

    def inline(self, node: nodes.Node | None) -> str:
        """Return the HTML of a title's or a paragraph's text."""
        if node is None:
            return ""
        paragraph = nodes.paragraph("", "", *[child.deepcopy() for child in node.children])
        return PARAGRAPH.sub(r"\1", self.markup(paragraph))

    def slide(self, slide: Slide, docname: str) -> str:
        """Return the HTML of a slide."""
        headline = self.inline(slide.headline)
        if slide.kind == "title":
            headline = f"<h1>{headline}</h1>"
        else:
            part = f'<p class="part">{self.inline(slide.part)}</p>' if slide.part else ""
            headline = f"{part}<h2>{headline}</h2>" if headline else part
        book = self.config.html_context["book_title"]
        above = f'<p class="book">{escape(book)}</p>' if slide.kind == "title" else ""
        return (
            f'<section class="{slide.kind}">{above}<header>{headline}</header>'
            f'<div class="body">{self.blocks(slide.blocks)}</div>'
            f"{self.footer(slide)}{self.notes(slide)}</section>"
        )

    def blocks(self, blocks: list[Block]) -> str:
        """Return the HTML of what stands on a slide; points and formulas in groups."""
        parts, group = [], None
        for block in blocks:
            wanted = GROUPS.get(block.kind)
            if wanted != group:
                parts.append((f"</{TAGS[group]}>" if group else "") + opening(wanted))
                group = wanted
            parts.append(self.block(block))
        return "".join(parts) + (f"</{TAGS[group]}>" if group else "")

    def block(self, block: Block) -> str:
        """Return the HTML of one block."""
        classes = f"{block.kind}{' fragment' if block.fragment else ''}"
        if block.kind == "exercise":
            return self.exercise(block.node)
        if block.kind == "point" and goes_on(block):
            classes += " on"
        if block.kind == "point":
            return f'<li class="{classes}">{self.inline(block.node)}</li>'
        if block.kind == "picture":
            return f'<div class="{classes}">{self.picture(block.node)}</div>'
        return f'<div class="{classes}">{self.markup(block.node)}</div>'

    def picture(self, node: nodes.Element) -> str:
        """Return the HTML of a figure without its caption, or of a widget."""
        images = list(node.findall(nodes.image))
        return self.markup(images[0] if images else node)

    def footer(self, slide: Slide) -> str:
        """Return the line below a slide: the way to the page, and to code that stands there."""
        address = f"{self.page}#{slide.anchor}" if slide.anchor else self.page
        words = self.say(LINKS.get(slide.kind, ON_THE_PAGE))
        code = ""
        if slide.more:
            names = " · ".join(f"<code>{escape(name)}</code>" for name in slide.more)
            code = f'<span class="more">{escape(self.say("Code on the page"))}: {names}</span>'
        link = f'<a href="{escape(address)}">{escape(words)} <span aria-hidden="true">→</span></a>'
        return f"<footer>{code}{link}</footer>"

    def notes(self, slide: Slide) -> str:
        """Return the speaker's notes: the text of which the slide shows the main things."""
        spoken = "".join(self.markup(node) for node in slide.notes)
        return f'<aside class="notes">{spoken}</aside>' if spoken else ""

    def exercise(self, node: nodes.Element) -> str:
        """Return one line: number, title, difficulty, and what the exercise begins with."""
        identity = node["ids"][0]
        number = ".".join(map(str, self.fignumbers.get("exercise", {}).get(identity, ())))
        named = node.next_node(nodes.title).deepcopy().children[1:-1]  # without its brackets
        title = nodes.paragraph("", "", *named)
        first = node.next_node(nodes.paragraph)
        dots = next((DOTS[name] for name in node["classes"] if name in DOTS), "")
        kind = self.inline(first) if first is not None and len(first.astext()) < 60 else ""
        return (
            f'<li><span class="number">{number}</span> <a href="{self.page}#{identity}">'
            f'{self.inline(title)}</a> <span class="dots" aria-hidden="true">{dots}</span>'
            f'<span class="effort">{kind}</span></li>'
        )

    # -- writing ---------------------------------------------------------------------------------

    def keep(self, pagename: str, body: str, doctree: nodes.document) -> None:
        """Write a deck."""
        environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
        text = environment.get_template("deck.html").render(
            body=body.replace("../_images/", "_images/"),
            title=self.env.titles[pagename].astext(),
            book=self.config.html_context["book_title"],
            language=self.config.html_context["edition"].tag,
            digest=slides_assets.digest(),
            say=self.say,
            page=self.page,
        )
        name = posixpath.basename(pagename)
        Path(self.outdir, f"{name}.html").write_text(text, encoding="utf-8")

    def complete(self) -> None:
        """Put beside the decks what they load."""
        slides_assets.stage(Path(self.outdir) / "assets")


ON_THE_PAGE = N_("On the page")
LINKS = {"title": N_("Read this chapter"), "widget": N_("Move it on the page")}
GROUPS = {"point": "points", "formula": "formulas", "exercise": "exercise-list"}
TAGS = {"points": "ul", "formulas": "div", "exercise-list": "ol"}


def goes_on(block: Block) -> bool:
    """Tell whether a point goes on with the sentence that a formula interrupted."""
    first = block.node.children[0]
    return isinstance(first, nodes.Text) and first.astext()[:1].islower()


def opening(group: str | None) -> str:
    """Return the tag that opens a group of blocks."""
    return f'<{TAGS[group]} class="{group}">' if group else ""


def setup(app) -> dict:
    """Register the builder with Sphinx."""
    app.setup_extension("tools.extensions.apart")
    app.add_builder(SlidesBuilder)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
