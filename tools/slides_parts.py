"""What slides are made of: blocks and their sizes, cells and what can be told from their code."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass, field

from docutils import nodes

from tools.slides_text import width

LINE = 64  # letters in a line of text


@dataclass
class Block:
    """Something on a slide, and how much room it takes."""

    node: nodes.Node
    lines: float
    kind: str = "text"
    fragment: bool = False
    leads: bool = False  # to the next block, and so should stand with it


@dataclass
class Slide:
    """One slide: what is seen, and what the speaker says."""

    kind: str
    headline: nodes.Node | None
    part: nodes.Node | None
    anchor: str
    blocks: list[Block] = field(default_factory=list)
    more: list[str] = field(default_factory=list)  # code that is on the page
    notes: list[nodes.Node] = field(default_factory=list)
    closed: bool = False

    @property
    def lines(self) -> float:
        """Return how many lines are taken."""
        return sum(block.lines for block in self.blocks)


def text_lines(node: nodes.Node) -> float:
    """Return how many lines a point takes, with the space around it."""
    return -(-width(node.astext()) // LINE) + 0.35


def math_lines(node: nodes.Node) -> float:
    """Return how many lines a formula takes: as many as the tallest matrix in it has rows."""
    pieces = re.split(r"\\(?:begin|end)\{\w*matrix\}", node.astext())
    return 1.15 * (max(piece.strip().count(r"\\") for piece in pieces) + 1) + 0.9


def math_width(formula: nodes.Node) -> float:
    """Return roughly how many characters wide a formula is set, a matrix by its columns."""
    pieces = re.split(r"\\begin\{\w*matrix\}(.*?)\\end\{\w*matrix\}", formula.astext(), flags=re.S)
    wide = 0.0
    for outside, matrix in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        wide += len(re.sub(r"\\[a-zA-Z]+|[{}^_\s]", "", outside)) + 2
        rows = [row.split("&") for row in matrix.split(r"\\") if row.strip()]
        columns = zip(*rows, strict=False)
        wide += sum(max(len(entry.strip()) for entry in column) + 1.6 for column in columns)
    return wide


def without_docstring(source: str) -> str:
    r"""Return a function's source without its docstring.

    >>> print(without_docstring('def f(x):\n    "Double it."\n    return 2 * x'))
    def f(x):
        return 2 * x
    """
    try:
        function = ast.parse(textwrap.dedent(source)).body[0]
    except SyntaxError:
        return source
    if ast.get_docstring(function) is None or len(function.body) < 2:
        return source
    text, lines = function.body[0], source.splitlines()
    return "\n".join(lines[: text.lineno - 1] + lines[text.end_lineno :])


def defined_in(source: str) -> list[str]:
    """Return the names of the classes and functions that code defines."""
    return re.findall(r"^(?:class|def) (\w+)", source, re.MULTILINE)


def only_prints(source: str) -> bool:
    """Tell whether code is there for what it prints, and says little by itself."""
    lines = source.splitlines()
    return 3 * sum("print(" in line for line in lines) >= len(lines) > 3


def only_checks(source: str, outputs: list[nodes.Element]) -> bool:
    """Tell whether a cell is there to verify what was said: its output says that it holds."""
    said = "\n".join(output.astext().strip() for output in outputs)
    return bool(said) and not defined_in(source) and set(re.findall("^.", said, re.M)) == {"✓"}


def is_element(node: nodes.Node) -> bool:
    """Tell whether a node can have attributes."""
    return isinstance(node, nodes.Element)


def ancestors(node: nodes.Node):
    """Yield what a node stands in, from the inside out."""
    while node.parent is not None:
        node = node.parent
        yield node


def parts_of_cell(cell: nodes.Element) -> tuple[nodes.Element | None, list[nodes.Element]]:
    """Return a cell's code, or None where it is left out, and its outputs."""
    source, outputs = None, []
    for part in cell.children:
        if part.get("nb_element") == "cell_code_source":
            source = part.next_node(nodes.literal_block)
        elif part.get("nb_element") == "cell_code_output":
            outputs += [child for child in part.children if is_element(child)]
    return source, outputs


def is_exercises(section: nodes.Element) -> bool:
    """Tell whether a part of a chapter consists of its exercises."""
    return any(node.__class__.__name__.startswith("exercise") for node in section.children)


def is_printed(node: nodes.Node) -> bool:
    """Tell whether an output is text that a cell printed."""
    return isinstance(node, nodes.literal_block) and node.get("language") == "myst-ansi"
