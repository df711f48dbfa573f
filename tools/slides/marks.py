"""What a chapter's slides are, as marks in its cells' metadata say.

The marks are Jupyter's own, ``slideshow.slide_type``: a cell marked ``slide`` or ``subslide``
begins a slide, ``fragment`` adds to it what the next key shows, ``notes`` is only spoken, and a
cell without a mark is on no slide. Beside its type a mark may have

- ``title`` and ``points``, written by hand in Markdown;
- ``equations``: which displayed equations of a Markdown cell are shown, counted from 1;
- ``lines``: which lines of the code, as in ``"1-4, 9"``;
- ``only``: ``code`` or ``output``, where the other is left out;
- ``look``: ``predict``, ``expect`` or ``step``, for a slide that should look so;
- ``more``: further slides made from the same cell, each with keys of its own.

Code that the page folds stays away unless ``only`` asks for it.
"""

from __future__ import annotations

import builtins
import json
import symtable
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tools.book import contents

BEGINS = ("slide", "subslide")
TYPES = (*BEGINS, "fragment", "notes", "skip", "-")
KEYS = {"slide_type", "title", "points", "equations", "lines", "only", "look", "more"}
LOOKS = ("", "predict", "expect", "step")
CODE_LINES = 18  # more of them cannot be read from the last row


@dataclass
class Piece:
    """What one cell gives to a slide."""

    cell: int
    identity: str
    mark: dict
    code: str = ""
    package: bool = False  # the code is the package's, which uses names of its own
    output: bool = False
    begins: bool = False  # the first of this cell, with which its text is spoken

    @property
    def kind(self) -> str:
        """Return the slide type of the cell."""
        return self.mark["slide_type"]


@dataclass
class Slide:
    """One slide: its title, and what stands on it."""

    title: str
    look: str = ""
    pieces: list[Piece] = field(default_factory=list)

    @property
    def code(self) -> str:
        """Return the chapter's own code that the slide shows."""
        return "\n".join(piece.code for piece in self.pieces if not piece.package)


def address(page: str) -> str:
    """Return where the deck of a page stands, from the root of its edition.

    >>> address("chapters/attention"), address("chapters/transformer/block")
    ('slides/attention.html', 'slides/transformer-block.html')
    """
    return f"slides/{contents.product_name(page)}.html"


def cells(path: Path) -> list[dict]:
    """Return the cells of a notebook; none where a page is no notebook."""
    if path.suffix != ".ipynb" or not path.is_file():
        return []
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def marks(cell: dict) -> list[dict]:
    """Return the marks of a cell: its own, and those of the further slides made from it."""
    mark = cell["metadata"].get("slideshow", {})
    kind = mark.get("slide_type", "skip")
    if kind in ("skip", "-"):
        return []
    return [mark, *({"slide_type": "slide", **more} for more in mark.get("more", []))]


def has_deck(path: Path) -> bool:
    """Tell whether a notebook is marked for slides."""
    return any(marks(cell) for cell in cells(path))


def words(path: Path) -> Iterator[str]:
    """Yield the titles and points of a notebook's slides, which are messages to translate."""
    for mark in (mark for cell in cells(path) for mark in marks(cell)):
        yield from filter(None, [mark.get("title"), *mark.get("points", [])])


def cut(path: Path, in_words: Callable[[str], str] = str) -> list[Slide]:
    """Return the slides of a notebook, code in the words of a language, line for line."""
    slides: list[Slide] = []
    for number, cell in enumerate(cells(path)):
        for place, mark in enumerate(marks(cell)):
            if mark["slide_type"] in BEGINS or not slides:
                slides.append(Slide(mark.get("title", ""), mark.get("look", "")))
            slides[-1].pieces.append(piece(number, cell, mark, place == 0, in_words))
    return slides


def piece(
    number: int, cell: dict, mark: dict, begins: bool, in_words: Callable[[str], str]
) -> Piece:
    """Return what a cell gives to a slide, as a mark asks."""
    made = Piece(number, cell["id"], mark, begins=begins)
    if cell["cell_type"] == "code":
        source, tags = "".join(cell["source"]), cell["metadata"].get("tags", [])
        only = mark.get("only")
        made.package = source.startswith("show(")
        shown = only == "code" or (only is None and "hide-input" not in tags)
        if made.package:
            source = "\n\n".join(filter(None, map(plain, cell["outputs"])))
        if shown and not source.startswith("explore("):
            made.code = chosen(in_words(source), mark.get("lines"))
        made.output = only != "code" and "hide-output" not in tags and not made.package
    return made


def plain(output: dict) -> str:
    """Return an output as plain text."""
    return "".join(output.get("data", {}).get("text/plain", "")).strip()


def chosen(code: str, lines: str | None) -> str:
    r"""Return the lines asked for, or all of them.

    >>> chosen("a\nb\nc\nd", "1-2, 4")
    'a\nb\nd'
    """
    if lines is None:
        return code
    ends = [[int(end) for end in part.split("-")] for part in lines.split(",")]
    every = code.split("\n")
    return "\n".join(line for part in ends for line in every[part[0] - 1 : part[-1]])


# -- what must hold ------------------------------------------------------------------------------


def names(code: str) -> tuple[set[str], set[str]]:
    r"""Return the names that code needs from outside of its functions, and those it defines.

    >>> needed, defined = names("def f(x):\n    return x + y")
    >>> sorted(needed), sorted(defined)
    (['y'], ['f'])
    """
    module = symtable.symtable(code, "a slide", "exec")
    defined = {s.get_name() for s in module.get_symbols() if s.is_assigned() or s.is_imported()}
    needed = {
        symbol.get_name()
        for table in tables(module)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is module or symbol.is_global())
    }
    return needed - defined, defined


def tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    """Yield the scopes of code, from the outside in."""
    yield table
    for child in table.get_children():
        yield from tables(child)


def problems(slides: list[Slide]) -> Iterator[str]:
    """Yield what is wrong with a deck, in the order of its slides."""
    known, titles = set(dir(builtins)), set()
    for slide in slides:
        cell = slide.pieces[0].identity
        if not slide.title:
            yield f"cell {cell}: its slide has no title"
        elif slide.title in titles:
            yield f"cell {cell}: another slide is called {slide.title!r}, too"
        titles.add(slide.title)
        for each in slide.pieces:
            yield from problems_of_mark(each)
        try:
            needed, defined = names(slide.code)
        except SyntaxError as error:
            yield f"cell {cell}: the code shown is not whole: {error.msg}"
            continue
        if needed - known:
            missing = ", ".join(sorted(needed - known))
            yield f"cell {cell}: its code uses what no slide before it shows: {missing}"
        known |= defined


def problems_of_mark(piece: Piece) -> Iterator[str]:
    """Yield what is wrong with a mark itself."""
    mark = piece.mark
    if unknown := sorted(set(mark) - KEYS):
        yield f"cell {piece.identity}: slides know no {', '.join(unknown)}"
    if piece.kind not in TYPES or mark.get("look", "") not in LOOKS:
        yield f"cell {piece.identity}: slides know no such slide_type or look"
    if (count := piece.code.count("\n") + 1) > CODE_LINES:
        yield (
            f"cell {piece.identity}: {count} lines of code are too many for a slide; "
            f"{CODE_LINES} can be read (choose some with `lines`, or `only` its output)"
        )
