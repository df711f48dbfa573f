"""Write a resolved page as plain Markdown, which Colab, Jupyter and GitHub all show.

`Writer` has one method for each kind of node, named like the node. Inline methods return a piece
of a line; block methods return lines, to be parted by blank ones. A node without a method is an
error that names it: nothing is lost in silence.
"""

from __future__ import annotations

import base64
import html
import mimetypes
import re
from collections.abc import Callable
from pathlib import Path

from docutils import nodes
from sphinx.locale import admonitionlabels

from tools.colab.markdown_text import (
    SPACES,
    at_start,
    display_tex,
    escape,
    indented,
    joined,
    longest_run,
    marked,
    quoted,
)

DIFFICULTY = re.compile(r"^difficulty-([1-3])$")
MEDIA = {".webp": "image/webp", ".svg": "image/svg+xml"}


class UnknownNode(Exception):
    """A page holds something that plain Markdown has no form for yet."""


def neighbours(node: nodes.Node) -> tuple[str, str]:
    """Return the text that stands before a node in its paragraph, and what stands after it."""
    siblings, place = node.parent.children, node.parent.index(node)
    before = siblings[place - 1].astext() if place else ""
    after = siblings[place + 1].astext() if place + 1 < len(siblings) else ""
    return before, after


class Writer:
    """Writes nodes of one page.

    Parameters
    ----------
    address : callable
        Returns where a reference node leads, as an address that works anywhere.
    number : callable
        Returns the number of an equation, a figure, a table or an exercise with what stands
        around it ("Figure 1.2"), or nothing where it has none.
    picture : callable
        Returns the file of an image node.
    say : callable
        Returns a phrase in the page's language.
    """

    def __init__(
        self,
        address: Callable[[nodes.Element], str],
        number: Callable[[nodes.Element], str],
        picture: Callable[[nodes.Element], Path],
        say: Callable[[str], str] = str,
    ):
        self.address, self.number, self.picture, self.say = address, number, picture, say
        self.level = 1
        self.in_table = False

    def write(self, node: nodes.Node) -> str:
        """Return a node as Markdown."""
        for kind in type(node).__mro__:
            method = getattr(self, kind.__name__, None)
            if method is not None:
                return method(node)
            if kind is nodes.Element:
                break
        raise UnknownNode(
            f"no plain Markdown for {type(node).__name__} (line {node.line}): {node.astext():.80}"
        )

    def inline(self, node: nodes.Element) -> str:
        """Return what a node holds as a piece of a line."""
        return "".join(self.write(child) for child in node.children)

    def blocks(self, node: nodes.Element) -> str:
        """Return what a node holds as blocks."""
        return joined(self.write(child) for child in node.children)

    def nothing(self, node: nodes.Node) -> str:
        """Leave a node out: it says nothing to a reader."""
        return ""

    comment = target = substitution_definition = meta = colspec = toctree = nothing
    pending = index = caption_number = nothing

    # -- inline ----------------------------------------------------------------------------------

    def Text(self, node: nodes.Text) -> str:
        return escape(node.astext())

    def emphasis(self, node: nodes.Element) -> str:
        return marked("*", self.inline(node), *neighbours(node))

    def strong(self, node: nodes.Element) -> str:
        return marked("**", self.inline(node), *neighbours(node))

    title_reference = emphasis
    PassthroughTextElement = inline

    def literal(self, node: nodes.Element) -> str:
        text = node.astext()
        ticks = "`" * (1 + longest_run("`", text))
        pad = " " if text.startswith("`") or text.endswith("`") else ""
        text = text.replace("|", r"\|") if self.in_table else text
        return f"{ticks}{pad}{text}{pad}{ticks}"

    def math(self, node: nodes.Element) -> str:
        return f"${self.tex(node)}$"

    def tex(self, node: nodes.Element) -> str:
        """Return a formula's source; in a table without the sign that parts columns."""
        text = SPACES.sub(" ", node.astext()).strip()
        if self.in_table:
            text = text.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        return text

    def reference(self, node: nodes.Element) -> str:
        text = self.inline(node)
        if node.children and all(isinstance(child, nodes.image) for child in node.children):
            return text
        return f"[{text}]({self.address(node)})"

    number_reference = reference

    def footnote_reference(self, node: nodes.Element) -> str:
        return f"<sup>[{escape(node.astext())}]({self.address(node)})</sup>"

    def superscript(self, node: nodes.Element) -> str:
        return f"<sup>{self.inline(node)}</sup>"

    def subscript(self, node: nodes.Element) -> str:
        return f"<sub>{self.inline(node)}</sub>"

    def abbreviation(self, node: nodes.Element) -> str:
        return self.inline(node)

    def image(self, node: nodes.Element) -> str:
        path = self.picture(node)
        media = MEDIA.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        data = base64.b64encode(path.read_bytes()).decode()
        alt = html.escape(node.get("alt", ""), quote=True)
        size = "".join(
            f' {side}="{html.escape(node[side])}"' for side in ("width", "height") if side in node
        )
        return f'<img src="data:{media};base64,{data}" alt="{alt}"{size}>'

    def raw(self, node: nodes.Element) -> str:
        return node.astext() if "html" in node.get("format", "").split() else ""

    # -- blocks ----------------------------------------------------------------------------------

    def paragraph(self, node: nodes.Element) -> str:
        return at_start(self.inline(node).strip())

    attribution = paragraph

    def title(self, node: nodes.Element) -> str:
        return f"{'#' * min(self.level, 6)} {self.inline(node).strip()}"

    def rubric(self, node: nodes.Element) -> str:
        return marked("**", self.inline(node))

    subtitle = rubric

    def section(self, node: nodes.Element) -> str:
        self.level += 1
        text = self.blocks(node)
        self.level -= 1
        return text

    document = compound = topic = blocks

    def math_block(self, node: nodes.Element) -> str:
        number = self.number(node)
        tag = rf" \tag{{{number}}}" if number else ""
        tex = SPACES.sub(" ", node.astext()) if node.get("nowrap") else display_tex(node.astext())
        return f"$${tex.strip()}{tag}$$"

    def literal_block(self, node: nodes.Element) -> str:
        text = node.astext().rstrip("\n")
        fence = "`" * max(3, 1 + longest_run("`", text))
        language = node.get("language", "")
        language = "" if language in {"none", "default", "myst-ansi", "text"} else language
        return f"{fence}{'python' if language.startswith('ipython') else language}\n{text}\n{fence}"

    doctest_block = literal_block

    def block_quote(self, node: nodes.Element) -> str:
        return quoted(self.blocks(node))

    def transition(self, node: nodes.Element) -> str:
        return "---"

    def bullet_list(self, node: nodes.Element) -> str:
        return self.items(node, lambda number: "- ")

    def enumerated_list(self, node: nodes.Element) -> str:
        start = int(node.get("start", 1))
        return self.items(node, lambda number: f"{start + number}. ")

    def items(self, node: nodes.Element, marker: Callable[[int], str]) -> str:
        """Return a list; one whose items are single paragraphs has no blank lines."""
        texts = [indented(self.blocks(item), marker(n)) for n, item in enumerate(node.children)]
        tight = all(len(item.children) == 1 for item in node.children)
        return ("\n" if tight else "\n\n").join(texts)

    def definition_list(self, node: nodes.Element) -> str:
        return joined(self.write(item) for item in node.children)

    def definition_list_item(self, node: nodes.Element) -> str:
        terms = [n for n in node.children if isinstance(n, nodes.term)]
        heads = "\n\n".join(marked("**", self.inline(term)) for term in terms)
        bodies = [self.blocks(n) for n in node.children if isinstance(n, nodes.definition)]
        return joined([heads, *(quoted(body) for body in bodies)])

    glossary = field_list = definition_list

    def footnote(self, node: nodes.Element) -> str:
        label, *body = node.children
        text = joined(self.write(child) for child in body)
        return indented(text, f"<sup>{escape(label.astext())}</sup> ")

    citation = footnote

    def figure(self, node: nodes.Element) -> str:
        pictures = [n for n in node.children if not isinstance(n, (nodes.caption, nodes.legend))]
        return joined([*map(self.write, pictures), self.caption_of(node)])

    def caption_of(self, node: nodes.Element) -> str:
        """Return the number, the caption and the legend of a figure or of a block of code."""
        captions = [n for n in node.children if isinstance(n, nodes.caption)]
        texts = [self.inline(caption).strip() for caption in captions]
        number = self.number(node)
        if number:
            texts = [f"**{number}** {texts[0] if texts else ''}".strip()]
        legends = [self.blocks(n) for n in node.children if isinstance(n, nodes.legend)]
        return joined([*texts, *legends])

    def caption(self, node: nodes.Element) -> str:
        return self.inline(node).strip()

    # -- boxes -----------------------------------------------------------------------------------

    def admonition(self, node: nodes.Element) -> str:
        title = next((n for n in node.children if isinstance(n, nodes.title)), None)
        body = [self.write(child) for child in node.children if child is not title]
        name = self.inline(title).strip() if title else str(admonitionlabels[node.tagname])
        kind = f"{self.say('Correction')} · " if "correction" in node["classes"] else ""
        return quoted(joined([marked("**", kind + name), *body]))

    note = tip = hint = important = warning = caution = attention = danger = error = admonition
    seealso = admonition

    def exercise(self, node: nodes.Element) -> str:
        title = next(n for n in node.children if isinstance(n, nodes.title))
        name = self.inline(title).strip()
        level = next((int(m[1]) for c in node["classes"] if (m := DIFFICULTY.match(c))), 0)
        dots = " ●●●○○"[1:][3 - level : 6 - level] if level else ""
        body = [self.write(child) for child in node.children if child is not title]
        heading = " ".join(part for part in (self.number(node), name, dots) if part)
        return joined([f"### {heading}", *body])

    exercise_node = exercise_enumerable_node = exercise
    solution_node = admonition

    def container(self, node: nodes.Element) -> str:
        design = node.get("design_component", "")
        if design == "dropdown":
            return self.dropdown(node)
        if "margin" in node["classes"] or design == "card":
            return quoted(self.blocks(node))
        if design in {"card-title", "tab-label"}:
            return marked("**", self.blocks(node))
        if "literal-block-wrapper" in node["classes"]:
            body = [self.write(n) for n in node.children if not isinstance(n, nodes.caption)]
            return joined([self.caption_of(node), *body])
        return self.blocks(node)

    sidebar = admonition

    def dropdown(self, node: nodes.Element) -> str:
        """Return what opens on a click; blank lines let Markdown be read inside of it."""
        title, *body = node.children if node.get("has_title") else [None, *node.children]
        name = html.escape(title.astext().strip() if title is not None else self.say("Details"))
        text = joined(self.write(child) for child in body)
        state = " open" if node.get("opened") else ""
        return f"<details{state}>\n<summary>{name}</summary>\n\n{text}\n\n</details>"

    # -- tables ----------------------------------------------------------------------------------

    def table(self, node: nodes.Element) -> str:
        title = next((n for n in node.children if isinstance(n, nodes.title)), None)
        number = self.number(node)
        name = self.inline(title).strip() if title else ""
        head = " ".join(part for part in (f"**{number}**" if number else "", name) if part)
        rows = [self.row(row) for row in node.findall(nodes.row)]
        if not list(node.findall(nodes.thead)):
            rows.insert(0, [" "] * len(rows[0]))
        rows.insert(1, ["---"] * len(rows[0]))
        return joined([head, "\n".join(f"| {' | '.join(row)} |" for row in rows)])

    def row(self, node: nodes.Element) -> list[str]:
        """Return the cells of a row, each on one line."""
        self.in_table = True
        cells = [self.entry(entry) for entry in node.children]
        self.in_table = False
        return cells

    def entry(self, node: nodes.Element) -> str:
        text = self.blocks(node)
        text = re.sub(r"^[-] ", "• ", text, flags=re.MULTILINE)
        return re.sub(r"\n+", "<br>", text) or " "
