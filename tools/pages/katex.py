"""Math rendered by KaTeX while the book is built, so that pages carry no math JavaScript.

One node process answers for the whole build. A formula that KaTeX cannot read is a warning that
names its place, and warnings stop the build.
"""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

from docutils import nodes
from sphinx.locale import _
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOGGER = logging.getLogger(__name__)
# The TeX source inside the MathML serves nobody on the page and weighs as much as the math.
ANNOTATION = re.compile(r"<annotation\b.*?</annotation>|</?semantics>", re.DOTALL)
# KaTeX puts an invisible "applied to" after names like max, also where MathML has no room for it.
APPLIED = "<mo>\u2061</mo>"
TAG_OR_APPLIED = re.compile(rf"{APPLIED}|<(?P<end>/?)(?P<name>\w+)[^>]*?(?P<empty>/?)>")
# How high a part of a formula is, and how much of that lies below the line.
STRUT = re.compile(r'"(?:katex-)?strut" style="height:([\d.]+)em;(?:vertical-align:-([\d.]+)em;)?"')
COUNTED = {"mfrac", "mover", "mroot", "msub", "msubsup", "msup", "munder", "munderover"}

# Browsers break lines on both sides of a formula, even where a comma follows it.
AFTER = re.compile(r"[,.;:!?)\]，。；：、！？）」”’]+")
SHORT = 40  # a longer formula may have to be broken itself
BEFORE = re.compile(r"[(\[（「“‘]+$")


class KeepMarks(SphinxPostTransform):
    """Keep a short formula on the line of the punctuation that belongs to it."""

    default_priority = 900
    formats = ("html",)

    def run(self, **_kwargs) -> None:
        """Put formulas and the marks next to them into spans that do not break."""
        for math in [m for m in self.document.findall(nodes.math) if len(m.astext()) < SHORT]:
            parent, place = math.parent, math.parent.index(math)
            before, after = _neighbour(parent, place - 1), _neighbour(parent, place + 1)
            opened, closed = BEFORE.search(before), AFTER.match(after)
            if opened or closed:
                parts = [nodes.Text(opened[0]) if opened else None, math]
                parts.append(nodes.Text(closed[0]) if closed else None)
                if closed:
                    parent[place + 1] = nodes.Text(after[closed.end() :])
                parent[place] = box = nodes.inline(classes=["math-and-mark"])
                box += [part for part in parts if part is not None]
                if opened:
                    parent[place - 1] = nodes.Text(before[: opened.start()])


def _neighbour(parent, place: int) -> str:
    """Return a text beside a formula; an empty one where something else stands there."""
    there = parent[place] if 0 <= place < len(parent) else None
    return there.astext() if isinstance(there, nodes.Text) else ""


class Renderer:
    """A node process that turns TeX into HTML, one line for one line."""

    def __init__(self, command: list[str], macros: dict[str, str]):
        self.command, self.macros = command, macros
        self.process: Any = None
        self.known: dict[tuple[str, bool], dict] = {}

    def render(self, tex: str, display: bool) -> dict:
        """Return ``{"html": …}`` or ``{"error": …}`` for one formula."""
        key = (tex, display)
        if key not in self.known:
            self.known[key] = self._ask({"tex": tex, "display": display, "macros": self.macros})
        return self.known[key]

    def _ask(self, request: dict) -> dict:
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                self.command, stdin=pipe, stdout=pipe, text=True, encoding="utf-8"
            )
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"The math renderer stopped while reading: {request['tex']}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(timeout=10)
            self.process = None


def display_tex(source: str) -> str:
    r"""Return `source` as one displayed formula: blank lines part equations, ``\\`` breaks them.

    >>> display_tex("a = b")
    'a = b'
    >>> display_tex("a &= b \\\\ c &= d")
    '\\begin{split}a &= b \\\\ c &= d\\end{split}'
    """
    parts = [part.strip() for part in source.split("\n\n") if part.strip()]
    parts = [rf"\begin{{split}}{p}\end{{split}}" if r"\\" in p else p for p in parts]
    if len(parts) < 2:
        return "".join(parts)
    return r"\begin{gathered}" + r" \\ ".join(parts) + r"\end{gathered}"


def without_strays(markup: str) -> str:
    """Return MathML whose scripts, fractions and roots have no part too many.

    >>> without_strays("<msub><mi>w</mi><mi>max</mi><mo>\u2061</mo></msub>")
    '<msub><mi>w</mi><mi>max</mi></msub>'
    """
    inside: list[str] = []

    def kept(match: re.Match) -> str:
        if match["name"] is None:
            return "" if inside and inside[-1] in COUNTED else match[0]
        if match["end"]:
            inside.pop()
        elif not match["empty"]:
            inside.append(match["name"])
        return match[0]

    return TAG_OR_APPLIED.sub(kept, markup)


def height(markup: str) -> float:
    """Return how high a rendered formula is, in ems.

    >>> height('class="strut" style="height:2.5em;vertical-align:-0.5em;"')
    2.5
    """
    parts = [(float(all_), float(below or 0)) for all_, below in STRUT.findall(markup)]
    above = max((all_ - below for all_, below in parts), default=0)
    return above + max((below for _, below in parts), default=0)


def to_html(translator, node, tex: str, display: bool) -> str:
    """Return the HTML of one formula, or report the error at the node's place."""
    answer = translator.builder.app.katex.render(tex, display)
    if "error" in answer:
        LOGGER.warning("math: %s", answer["error"], location=node, type="katex")
        return translator.encode(tex)
    return without_strays(ANNOTATION.sub("", answer["html"]))


def visit_math(self, node) -> None:
    """Write an inline formula."""
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate"))
    self.body.append(to_html(self, node, node.astext(), display=False) + "</span>")
    raise nodes.SkipNode


def visit_displaymath(self, node) -> None:
    """Write a displayed formula, with its number where it has one."""
    tex = node.astext() if node.get("nowrap") else display_tex(node.astext())
    numbered = " numbered" if node["number"] else ""
    self.body.append(self.starttag(node, "div", CLASS=f"math notranslate{numbered}"))
    formula = to_html(self, node, tex, display=True)
    self.body.append(f'<div class="math-body" style="--high:{height(formula):.2f}">{formula}</div>')
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def start(app) -> None:
    """Make the renderer ready; its process starts with the first formula."""
    app.katex = Renderer(app.config.katex_command, app.config.katex_macros)


def stop(app, _exception) -> None:
    """End the renderer with the build."""
    app.katex.close()


def setup(app) -> dict:
    """Register the renderer with Sphinx."""
    app.add_config_value("katex_command", [], "env", types=[list])
    app.add_config_value("katex_macros", {}, "env", types=[dict])
    app.add_post_transform(KeepMarks)
    app.add_html_math_renderer("katex", (visit_math, None), (visit_displaymath, None))
    app.connect("builder-inited", start)
    app.connect("build-finished", stop)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
