r"""Hold the numbers of worked examples against what their code printed.

A worked example is a Markdown cell with a box of class ``worked-example`` and the code cell after
it, tagged ``worked-example``, which prints every quantity by name. In the Markdown

* every decimal number must have been printed, digit by digit, or be declared in a comment line
  ``% given: 0.5, 1.25``;
* every LaTeX matrix with decimals must be a block of the same shape that was printed, row by row
  (a column may have been printed as a row), unless all its decimals are given;
* code that says ``name = 0.25`` must have been printed just so.

``python -m tools.chapters.worked_numbers [NOTEBOOK ...]`` lists what does not hold.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from tools.book import contents
from tools.chapters import masks

TAG = "worked-example"
IGNORED = "nbval-ignore-output"
MINUS = "-−"

DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?:[eE][-+]?\d+)?(?!\d|\.\d)")
BOX = re.compile(r"^\s*(?::{3,}|`{3,})\{admonition\}(?P<title>.*)$", re.MULTILINE)
CLASS = re.compile(rf"^\s*:class:.*\b{TAG}\b", re.MULTILINE)
GIVEN = re.compile(r"^\s*%\s*given:(?P<numbers>.*)$", re.MULTILINE)
COMMENT = re.compile(r"^\s*%.*$", re.MULTILINE)
LINK = re.compile(r"\]\([^)]*\)|\{[\w:-]+\}`[^`]*`")
MATRIX = re.compile(r"\\begin\{([bpvBV]?matrix)\}(?P<body>.*?)\\end\{\1\}", re.DOTALL)
NAMED = re.compile(rf"`(?P<name>[^`=\n]*?)\s*=\s*(?P<value>[{MINUS}]?\d+\.\d+)`")
DRESS = re.compile(r"\\(?:mathbf|boldsymbol|bf|underline|boxed|phantom)\s*|\\[,;!: ]|[{}\s]")
PRINTED_CELL = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?|-?inf|nan")


@dataclass(frozen=True)
class Example:
    """A Markdown cell and the code cell that must have printed its numbers."""

    number: int
    markdown: str
    code: NotebookNode | None

    @property
    def given(self) -> set[str]:
        """The numbers declared as given."""
        lines = (match["numbers"] for match in GIVEN.finditer(self.markdown))
        return {number for line in lines for number in decimals(line)}

    @property
    def text(self) -> str:
        """The Markdown without comments, links and roles."""
        return LINK.sub(" ", COMMENT.sub("", self.markdown))

    @property
    def printed(self) -> str:
        """What the code cell printed."""
        return printed(self.code) if self.code is not None else ""


def decimals(text: str) -> list[str]:
    """Return the decimal numbers in a text, with their signs, in order."""
    return [_sign(text[: match.start()]) + match[0] for match in DECIMAL.finditer(text)]


def _sign(before: str) -> str:
    """Tell from what stands before a number whether a minus there is its sign.

    ``-1``, ``= - 1``, ``(-1`` and ``0 -1`` are signs; ``a - 1``, ``a-1`` and ``)-1`` subtract.
    """
    close = before.rstrip()
    if not close or close[-1] not in MINUS:
        return ""
    term = close[:-1].rstrip()
    follows_term = bool(term) and (term[-1].isalnum() or term[-1] in ")]}.")
    apart = close[:-1] != term and close == before
    return "" if follows_term and not apart else "-"


def _plain(number: str) -> str:
    return re.sub(r"\s", "", number).replace("−", "-")


def printed(cell: NotebookNode) -> str:
    """Return the text in a code cell's stored outputs, as it is compared on other machines."""
    pieces = []
    for output in cell.outputs:
        if output.output_type == "stream":
            pieces.append(masks.masked(output.text))
        elif "text/plain" in output.get("data", {}):
            pieces.append(output.data["text/plain"] + "\n")
    return "".join(pieces)


def problems(notebook: NotebookNode) -> list[str]:
    """Return what is wrong with the worked examples of a notebook, in words."""
    found = list(_unmatched_code(notebook))
    for example in examples(notebook):
        found += [f"cell {example.number}: {problem}" for problem in check(example)]
    return found


def examples(notebook: NotebookNode) -> list[Example]:
    """Return the worked examples of a notebook."""
    cells = notebook.cells
    return [
        Example(i, cell.source, next((c for c in cells[i:] if c.cell_type == "code"), None))
        for i, cell in enumerate(cells)
        if cell.cell_type == "markdown" and is_worked(cell.source)
    ]


def is_worked(markdown: str) -> bool:
    """Tell whether a Markdown cell holds a worked example, by its class or by its title."""
    titles = [match["title"].strip().lower() for match in BOX.finditer(markdown)]
    return bool(CLASS.search(markdown)) or any(t.startswith("worked example") for t in titles)


def _unmatched_code(notebook: NotebookNode) -> Iterator[str]:
    explained = False
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            explained = explained or is_worked(cell.source)
        elif cell.cell_type == "code":
            if TAG in cell.metadata.get("tags", []) and not explained:
                yield f"cell {number}: tagged {TAG}, but no worked example stands before it"
            explained = False


def check(example: Example) -> Iterator[str]:
    """Yield what is wrong with one worked example."""
    if not CLASS.search(example.markdown):
        yield f"the box called a worked example must have `:class: {TAG}`"
    if example.code is None:
        yield "no code cell follows"
        return
    yield from _check_tags(example.code)
    yield from _check_decimals(example)
    yield from _check_matrices(example)
    yield from _check_named(example)


def _check_tags(code: NotebookNode) -> Iterator[str]:
    tags = code.metadata.get("tags", [])
    if TAG not in tags:
        yield f"the code cell after it must be tagged {TAG}"
    if IGNORED in tags:
        yield f"the code cell after it must not be tagged {IGNORED}"


def _check_decimals(example: Example) -> Iterator[str]:
    stated = set(decimals(example.text))
    shown = set(decimals(example.printed))
    for number in sorted(stated - shown - example.given):
        yield f"{number} was not printed and is not declared as given"
    for number in sorted(example.given - stated):
        yield f"{number} is declared as given, but is not in the text"


def _check_named(example: Example) -> Iterator[str]:
    shown = {_spaceless(line) for line in example.printed.splitlines()}
    for match in NAMED.finditer(example.text):
        statement = f"{match['name']} = {_plain(match['value'])}"
        if _spaceless(statement) not in shown:
            yield f"`{statement}` was not printed"


def _spaceless(text: str) -> str:
    return re.sub(r"\s", "", text)


# -- matrices ------------------------------------------------------------------------------------

Block = tuple[tuple[str, ...], ...]


def _check_matrices(example: Example) -> Iterator[str]:
    blocks = printed_blocks(example.printed)
    for match in MATRIX.finditer(example.text):
        inside = decimals(match["body"])
        if not inside or set(inside) <= example.given:
            continue
        matrix = latex_block(match["body"])
        column = tuple(zip(*matrix, strict=False)) if len(matrix[0]) == 1 else None
        if not any(_agree(matrix, block) or _agree(column, block) for block in blocks):
            rows = "; ".join(" ".join(row) for row in matrix)
            yield f"the matrix [{rows}] was not printed in this shape and order"


def latex_block(body: str) -> Block:
    """Return the entries of a LaTeX matrix, undressed."""
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    return tuple(tuple(_entry(entry) for entry in row.split("&")) for row in rows)


def _entry(text: str) -> str:
    text = _plain(DRESS.sub("", text))
    return text.replace(r"\infty", "inf")


def printed_blocks(text: str) -> list[Block]:
    """Return each run of lines that hold nothing but the same number of numbers."""
    blocks: list[list[tuple[str, ...]]] = []
    last: tuple[str, ...] | None = None
    for line in text.splitlines():
        row = _row(line)
        if row and last and len(row) == len(last):
            blocks[-1].append(row)
        elif row:
            blocks.append([row])
        last = row
    return [tuple(block) for block in blocks]


def _row(line: str) -> tuple[str, ...] | None:
    words = re.sub(r"[\[\],]|^\s*tensor\(|^\s*array\(|\)\s*$", " ", line).split()
    numeric = words and all(PRINTED_CELL.fullmatch(word) for word in words)
    return tuple(words) if numeric else None


def _agree(matrix: Block | None, block: Block) -> bool:
    """Tell whether a matrix equals a printed block; entries that are no numbers fit any."""
    if matrix is None or [len(row) for row in matrix] != [len(row) for row in block]:
        return False
    pairs = zip(sum(matrix, ()), sum(block, ()), strict=True)
    return all(_same(stated, shown) for stated, shown in pairs)


def _same(stated: str, shown: str) -> bool:
    if not PRINTED_CELL.fullmatch(stated):
        return not decimals(stated) or decimals(stated) == [shown]
    # A whole number may stand for itself with zeros behind the point.
    return stated == shown or ("." not in stated and float(stated) == float(shown))


def main(paths: list[str]) -> int:
    """Run the command line."""
    count = 0
    for path in [Path(p) for p in paths] or contents.notebooks():
        for problem in problems(nbformat.read(path, as_version=4)):
            print(f"{path.name}, {problem}")
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
