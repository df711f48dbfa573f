"""How a chapter teaches, as far as a program can see it: rules, and where a chapter breaks them.

Each rule is a function of a notebook (the list of terms, and of exercises, of a little more) that
returns findings. In a new chapter a finding is an error of ``tests/notebooks/test_anatomy.py``; in
one of `EARLIER` it is a warning, which ``make check CHAPTER=losses`` prints with the rest.
"""

from __future__ import annotations

import ast
import re
import statistics
import symtable
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from docutils.nodes import make_id
from nbformat import NotebookNode

from tools.book import contents, notebooks, term_table
from tools.book.contents import Chapter
from tools.book.notebooks import tags

#: Chapters that were written before these rules. One leaves the list when it is redone; none joins.
EARLIER = ("losses", "optimisation", "data-and-tokens", "attention")

LINES_IN_A_CELL = 25
LINES_IN_THE_MEDIAN_CELL = 8
CODE_CELLS_IN_A_ROW = 2
EXERCISES = 8
PLACEHOLDER = "Placeholder:"

REMOVED = {"remove-cell"}
FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}

CODE_BLOCK = re.compile(r"^(`{3,})[^`\n]*\n.*?^\1", re.DOTALL | re.MULTILINE)
MATH = re.compile(r"\$\$.*?\$\$(?: \([\w-]+\))?|\$[^$\n]+\$", re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)
TARGET = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
OBJECTIVES = re.compile(r"^(:{3,})\{admonition\}[^\n]*\n:class: objectives\n.*?^\1", re.M | re.S)
LINK = re.compile(r"\[[^\]\n]*\]\([^)\n]*\)|\{\w+(?::\w+)?\}`[^`]*`")
ROLE_OR_CODE = re.compile(r"`[^`\n]+`")
DIRECTIVE_LINE = re.compile(r"^\s*(?::{3,}.*|:\w+:.*|%.*)$", re.MULTILINE)
BOX_FENCE = re.compile(r"^\s*:{3,}(\{)?")
TABLE_RULE = re.compile(r"^\s*\|[\s:|-]*-{3}[\s:|-]*\|$")
EXERCISE = re.compile(r"^:{3,}\{exercise\}", re.MULTILINE)


@dataclass(frozen=True)
class Finding:
    """Where a notebook breaks a rule, and what to do about it."""

    rule: str
    cell: int | None  # its number, counted from 0; none where the whole chapter is meant
    says: str

    def __str__(self) -> str:
        where = "" if self.cell is None else f"cell {self.cell}: "
        return f"{where}{self.says}"


def numbered(notebook: NotebookNode, kind: str) -> list[tuple[int, NotebookNode]]:
    """Return the cells of a kind with their numbers, the one that sets up left out."""
    cells = enumerate(notebook.cells)
    return [(n, cell) for n, cell in cells if cell.cell_type == kind and "setup" not in tags(cell)]


def markdown(notebook: NotebookNode) -> str:
    """Return the notebook's text, without blocks of code."""
    text = "\n\n".join(cell.source for _, cell in numbered(notebook, "markdown"))
    return CODE_BLOCK.sub("", text)


def has_box(text: str, kind: str) -> bool:
    """Tell whether a box of a class stands in a text."""
    return bool(re.search(rf"^\s*:class:.*(?<![\w-]){kind}(?![\w-])", text, re.MULTILINE))


# -- cells: only warned of -----------------------------------------------------------------------


def lines(cell: NotebookNode) -> int:
    """Return how many lines of a cell hold something."""
    return len(re.findall(r"^.*\S", cell.source, re.MULTILINE))


def long_cells(notebook: NotebookNode) -> Iterator[Finding]:
    """Find code cells that do not fit beside the text about them."""
    for number, cell in numbered(notebook, "code"):
        if lines(cell) > LINES_IN_A_CELL:
            says = f"{lines(cell)} lines of code; {LINES_IN_A_CELL} or fewer are easier to follow"
            yield Finding("long cells", number, says)


def long_median(notebook: NotebookNode) -> Iterator[Finding]:
    """Find a notebook whose cells are long on the whole."""
    lengths = [lines(cell) for _, cell in numbered(notebook, "code")]
    median = statistics.median(lengths) if lengths else 0
    if median > LINES_IN_THE_MEDIAN_CELL:
        says = f"the median code cell has {median:g} lines; aim for {LINES_IN_THE_MEDIAN_CELL}"
        yield Finding("long cells", None, says)


def boxed_tables(notebook: NotebookNode) -> Iterator[Finding]:
    """Find tables of Markdown in a box: Sphinx has no messages for them, so they stay English."""
    for number, cell in numbered(notebook, "markdown"):
        depth = 0
        for line in cell.source.split("\n"):
            if fence := BOX_FENCE.match(line):
                depth += 1 if fence[1] else -1
            elif depth and TABLE_RULE.match(line):
                says = "a table of Markdown in a box is not translated; write a {list-table}"
                yield Finding("tables in boxes", number, says)


def placeholders(notebook: NotebookNode) -> Iterator[Finding]:
    """Find text of the skeleton that the author has not replaced yet."""
    for number, cell in enumerate(notebook.cells):
        if PLACEHOLDER in cell.source + str(cell.metadata.get("mystnb", "")):
            yield Finding("placeholders", number, "this is still the skeleton's text")


# -- code ----------------------------------------------------------------------------------------


def code_runs(notebook: NotebookNode) -> Iterator[Finding]:
    """Find code cells that follow one another without a word on what to notice."""
    shown = [(n, c) for n, c in enumerate(notebook.cells) if not REMOVED & set(tags(c))]
    for kind, group in groupby(shown, key=lambda pair: pair[1].cell_type):
        run = [number for number, _ in group]
        if kind == "code" and len(run) > CODE_CELLS_IN_A_ROW:
            says = f"{len(run)} code cells in a row; say between them what to notice"
            yield Finding("code runs", run[CODE_CELLS_IN_A_ROW], says)


def folded_definitions(notebook: NotebookNode) -> Iterator[Finding]:
    """Find names that a visible cell uses and a folded one defines; imports may be folded."""
    folded: dict[str, int] = {}
    for number, cell in numbered(notebook, "code"):
        names = defined(cell.source)
        if FOLDED & set(tags(cell)):
            folded |= dict.fromkeys(names, number)
            continue
        for name in sorted(used(cell.source) & set(folded)):
            says = f"uses {name}, which the folded cell {folded[name]} defines"
            yield Finding("folded definitions", number, says)
        folded = {name: n for name, n in folded.items() if name not in names}


def defined(code: str) -> set[str]:
    r"""Return the names that a cell defines, imported ones left out.

    >>> sorted(defined("import math\nx, y = 1, 2\ndef f(z):\n    w = z"))
    ['f', 'x', 'y']
    """
    table = symtable.symtable(code, "cell", "exec")
    return {s.get_name() for s in table.get_symbols() if s.is_assigned() and not s.is_imported()}


def used(code: str) -> set[str]:
    r"""Return the names that a cell takes from the cells before it, in its functions too.

    >>> sorted(used("x = 1\ndef f(y):\n    return x + y + z\nprint(f(2))"))
    ['print', 'z']
    """
    table = symtable.symtable(code, "cell", "exec")
    own = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    return set(_global_names(table)) - own


def _global_names(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _global_names(child)


def trains(code: str) -> bool:
    """Tell whether a cell trains a model: has sizes for it, or a loop that a reader can stop.

    >>> trains("for step in stoppable(range(100)): ..."), trains("for i in range(3): print(i)")
    (True, False)
    """
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ClassDef) and node.name == "Settings":
            return True
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "stoppable":
            return True
    return False


def before_training(notebook: NotebookNode) -> Iterator[Finding]:
    """Find training that no box *Before you train* prepares."""
    text = ""
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            text += f"\n\n{cell.source}"
        elif "setup" not in tags(cell) and trains(cell.source):
            if not has_box(text, "before-training"):
                says = "trains a model, and no box of class before-training stands before it"
                yield Finding("before training", number, says)
            return


# -- exercises -----------------------------------------------------------------------------------


def exercises(notebook: NotebookNode) -> Iterator[Finding]:
    """Find what the exercises of a chapter lack; they stand in its last notebook."""
    cells = [(n, c) for n, c in numbered(notebook, "markdown") if EXERCISE.search(c.source)]
    text = "\n\n".join(cell.source for _, cell in cells)
    public = len(re.findall(r"^:{3,}\{dropdown\} Solution", text, re.MULTILINE))
    count = len(EXERCISE.findall(text))
    lacks = {
        f"{count} exercises; there should be {EXERCISES}": count < EXERCISES,
        "no exercise asks to predict": "*Predict," not in text,
        "there should be exercises of all three difficulties": not all(
            f"difficulty-{level}" in text for level in (1, 2, 3)
        ),
        f"{public} of {count} solutions are public; it should be half of them or more, not all": (
            2 * public < count or 0 < count == public
        ),
    }
    return (Finding("exercises", None, says) for says, lacking in lacks.items() if lacking)


# -- terms ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """A term's English name, and the place that explains it first, as the glossary has it."""

    name: str
    page: str
    anchor: str


def terms(order: list[str], root: Path = contents.ROOT) -> list[Term]:
    """Return the glossary's terms that a page of the book explains, each with the first such."""
    found = []
    for term in term_table.read_terms(root / term_table.TERMS):
        places = [place.partition("#")[::2] for place in term.target.split()]
        pages = [place for place in places if place[0] in order]
        if pages:
            found.append(Term(term.term, *min(pages, key=lambda place: order.index(place[0]))))
    return found


def unexplained_terms(
    notebook: NotebookNode, page: str, known: Iterable[Term], order: list[str]
) -> Iterator[Finding]:
    """Find the first use of each term that is explained only later, unless it is a link.

    Parameters
    ----------
    notebook : NotebookNode
    page : str
        Which page of the book it is.
    known : iterable of Term
    order : list of str
        The book's pages, in order.
    """
    starts = anchors(notebook)
    later = {}
    for term in known:
        if term.page == page:
            later[term.name] = starts.get(term.anchor, (0, 0))
        elif order.index(term.page) > order.index(page):
            later[term.name] = (len(notebook.cells), 0)
    uses = first_uses(notebook, later)
    for name, (cell, place) in sorted(uses.items(), key=lambda item: item[1]):
        if (cell, place) < later[name]:
            says = f"“{name}” is used before it is explained; explain it, or link to the place"
            yield Finding("unexplained terms", cell, says)


def anchors(notebook: NotebookNode) -> dict[str, tuple[int, int]]:
    """Return where each heading and each target stands: cell, and character in it."""
    found: dict[str, tuple[int, int]] = {}
    for number, cell in numbered(notebook, "markdown"):
        source = _blank(CODE_BLOCK, cell.source)
        for match in [*HEADING.finditer(source), *TARGET.finditer(source)]:
            found.setdefault(make_id(match[1]), (number, match.start()))
    return found


def first_uses(notebook: NotebookNode, names: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return where each name first occurs in running text; those that are linked first, left out.

    Headings, the box of objectives and exercises may look ahead. Of names that contain one
    another the longest counts: *attention weight* is no use of *attention*.
    """
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return {}
    pattern = re.compile("|".join(f"(?P<t{i}>{_spelt(n)})" for i, n in enumerate(longest_first)))
    found: dict[str, tuple[int, int] | None] = {}
    for number, cell in numbered(notebook, "markdown"):
        if EXERCISE.search(cell.source):
            continue
        source = running_text(cell.source)
        links = [match.span() for match in LINK.finditer(source)]
        text = _blank(ROLE_OR_CODE, source, keep=links)
        for match in pattern.finditer(text):
            name = longest_first[int(str(match.lastgroup)[1:])]
            linked = any(start <= match.start() < end for start, end in links)
            found.setdefault(name, None if linked else (number, match.start()))
    return {name: place for name, place in found.items() if place}


def running_text(source: str) -> str:
    """Return a text in which all that is not read as a sentence is blank; places stay."""
    for pattern in (CODE_BLOCK, OBJECTIVES, MATH, HEADING, DIRECTIVE_LINE):
        source = _blank(pattern, source)
    return source


def _spelt(name: str) -> str:
    """Return a pattern for a term: plural or not, and where it has no capitals, in any case."""
    flags = "" if name != name.lower() else "i"
    words = re.escape(name).replace(r"\ ", r"\s+")
    return rf"(?{flags}:\b{words}(?:s|es)?\b)" if flags else rf"\b{words}(?:s|es)?\b"


def _blank(pattern: re.Pattern[str], text: str, keep: Iterable[tuple[int, int]] = ()) -> str:
    """Replace what a pattern finds by spaces, except within the spans to keep."""

    def blank(match: re.Match[str]) -> str:
        kept = any(start <= match.start() < end for start, end in keep)
        return match[0] if kept else re.sub(r"[^\n]", " ", match[0])

    return pattern.sub(blank, text)


# -- a chapter -----------------------------------------------------------------------------------

Rule = Callable[[NotebookNode], Iterable[Finding]]
#: Rules that may have a reason against them: always warnings.
ADVICE: list[Rule] = [placeholders, long_cells, long_median]
#: Rules that hold: errors, but in `EARLIER`.
RULES: list[Rule] = [code_runs, folded_definitions, before_training, boxed_tables]


@dataclass(frozen=True)
class Report:
    """What was found in a chapter: lines that say the notebook, the cell and what is wrong."""

    errors: list[str]
    warnings: list[str]


def is_draft(notebooks_of_a_chapter: Iterable[NotebookNode]) -> bool:
    """Tell whether a chapter still holds text of the skeleton."""
    return any(list(placeholders(notebook)) for notebook in notebooks_of_a_chapter)


def examine(chapter: Chapter, root: Path = contents.ROOT) -> Report:
    """Hold a chapter against all rules.

    A chapter that still holds placeholders is a draft: it may have few exercises yet.
    """
    read = {path: notebooks.read(path) for path in chapter.notebooks}
    broken, advice = [], []
    order = contents.pages(root)
    known = terms(order, root)
    for path, notebook in read.items():
        page = contents.page_of(path, root)
        found = [finding for rule in RULES for finding in rule(notebook)]
        found += unexplained_terms(notebook, page, known, order)
        broken += told(path, found)
        advice += told(path, [finding for rule in ADVICE for finding in rule(notebook)])
    lacking = told(chapter.last, exercises(read[chapter.last]))
    if is_draft(read.values()):
        advice += lacking
    else:
        broken += lacking
    if chapter.name in EARLIER:
        return Report([], broken + advice)
    return Report(broken, advice)


def told(path: Path, found: Iterable[Finding]) -> list[str]:
    """Return what was found in a notebook, in the order of its cells."""
    in_order = sorted(found, key=lambda f: float("inf") if f.cell is None else f.cell)
    return [f"{path.name}, {f}" if f.cell is not None else f"{path.name}: {f}" for f in in_order]


def drafts(root: Path = contents.ROOT) -> list[str]:
    """Return the names of the chapters that still hold text of the skeleton."""
    return [c.name for c in contents.chapters(root) if is_draft(map(notebooks.read, c.notebooks))]
