r"""Schematic drawings: boxes, circles and grids, and arrows with shapes on them.

A drawing is measured in units of which a phone shows each as one pixel, so it is at most `WIDEST`
of them wide and its letters stay readable there. Wide screens show it `SCALE` times as large. It
is written as SVG, in which text remains text, so that the Chinese edition can translate it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from companion.notebook.formatting import as_array, format_number
from companion.notebook.lettering import as_svg, has_words, length
from companion.notebook.style import COLOURS

__all__ = ["Drawing", "Shape"]

WIDEST = 340
SCALE = 1.3
LETTERS = 13  # the usual size of letters, in units
INK, BLUE, ACCENT = "#333333", COLOURS[0], COLOURS[1]
KINDS = {  # what a shape stands for: its fill, and its edge
    "data": ("#FFFFFF", INK),
    "operation": ("#DCEBF5", BLUE),
    "accent": ("#FBE0CC", ACCENT),
}
SANS = "system-ui,'Segoe UI','Noto Sans','DejaVu Sans',sans-serif"
MONO = "ui-monospace,'DejaVu Sans Mono',monospace"
HALO = ' stroke="#FFFFFF" stroke-width="3" paint-order="stroke"'  # keeps lines off the letters
ANCHORS = {"left": "start", "center": "middle", "right": "end"}
HEAD = 8  # how long the head of an arrow is
GAP = 9  # from an arrow to the middle of its label


@dataclass(frozen=True)
class Shape:
    """A box or circle of a drawing: where its middle is, and its sides, in units."""

    x: float
    y: float
    width: float
    height: float
    is_round: bool = False

    def border(self, towards: tuple[float, float]) -> tuple[float, float]:
        """Return where a line from the middle towards a point leaves the shape."""
        dx, dy = towards[0] - self.x, towards[1] - self.y
        if self.is_round:
            share = self.width / 2 / (math.hypot(dx, dy) or 1)
        else:
            share = min(
                self.width / 2 / abs(dx) if dx else math.inf,
                self.height / 2 / abs(dy) if dy else math.inf,
            )
        return (self.x + share * dx, self.y + share * dy) if share < math.inf else (self.x, self.y)


Place = Shape | tuple[float, float]


class Drawing:
    r"""A schematic drawing; as the last line of a cell it is shown.

    Coordinates run to the right and downwards and mean the middle of what is drawn. Text may
    hold formulas between dollars (letters, Greek, sub- and superscripts, ``\hat y``), and a line
    break.

    Parameters
    ----------
    width, height : float
        In units; the width is at most `WIDEST`, so that a phone shows all of it.

    Raises
    ------
    ValueError
        If it is too wide, or something is drawn that does not fit on it, a text among them.

    Examples
    --------
    >>> d = Drawing(340, 60)
    >>> x, f = d.box(30, 30, "$x$"), d.box(150, 30, "linear", kind="operation")
    >>> d.arrow(x, f, "(2)")
    >>> d
    Drawing of 340 by 60
    """

    def __init__(self, width: float = WIDEST, height: float = 200) -> None:
        if not (0 < width <= WIDEST and height > 0):
            raise ValueError(
                f"width must be above 0 and at most {WIDEST}, and height above 0, "
                f"got {width} and {height}"
            )
        self.width, self.height = width, height
        self._parts: list[str] = []

    def __repr__(self) -> str:
        return f"Drawing of {self.width:g} by {self.height:g}"

    def _repr_svg_(self) -> str:
        size = f"{SCALE * self.width:g} {SCALE * self.height:g}"
        width, height = size.split()
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}" '
            f'height="{height}" font-family="{SANS}" fill="{INK}">'
        )
        ground = f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>'
        return "\n".join(
            [head, ground, f'<g transform="scale({SCALE})">', *self._parts, "</g></svg>"]
        )

    # -- shapes ----------------------------------------------------------------------------------

    def box(
        self,
        x: float,
        y: float,
        text: str = "",
        *,
        kind: str = "data",
        width: float | None = None,
        height: float = 30,
        shape: str = "",
    ) -> Shape:
        """Draw a box with a text, as wide as the text needs; `shape` stands small below it.

        `kind` is ``"data"``, ``"operation"`` or ``"accent"`` (what the picture is about).
        """
        needed = 16 + max(length(line, LETTERS) for line in text.split("\n"))
        box = self._fitting(Shape(x, y, needed if width is None else width, height), "box")
        fill, edge = _colours(kind)
        corner = 3 if kind == "data" else 8
        self._parts.append(
            f'<rect x="{box.x - box.width / 2:g}" y="{box.y - height / 2:g}" width="{box.width:g}" '
            f'height="{height:g}" rx="{corner}" fill="{fill}" stroke="{edge}" stroke-width="1.4"/>'
        )
        self.text(x, y, text, halo=False)
        if shape:
            self.text(x, y + height / 2 + GAP, shape, size=11, mono=True)
        return box

    def circle(
        self, x: float, y: float, text: str = "", *, kind: str = "operation", radius: float = 16
    ) -> Shape:
        """Draw a circle with a text: a neuron, or an operation on single numbers."""
        circle = self._fitting(Shape(x, y, 2 * radius, 2 * radius, is_round=True), "circle")
        fill, edge = _colours(kind)
        self._parts.append(
            f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{edge}" '
            'stroke-width="1.4"/>'
        )
        self.text(x, y, text, halo=False)
        return circle

    def grid(
        self,
        x: float,
        y: float,
        values: Any,
        *,
        cell: float = 24,
        marked: Iterable[tuple[int, int]] = (),
        kind: str = "accent",
        decimals: int | None = None,
    ) -> Shape:
        """Draw a table of numbers, texts or empty strings; cells `marked` are of the given kind.

        Whole numbers are written as such, others with two digits after the point, or `decimals`.
        """
        rows = _rows(values, decimals)
        sides = (cell * len(rows[0]), cell * len(rows))
        grid = self._fitting(Shape(x, y, *sides), "grid")
        longest = max(length(text, 1) for row in rows for text in row)
        size = min(LETTERS, 0.54 * cell, (cell - 4) / max(longest, 1))
        marks = {(i, j) for i, j in marked}
        plain = [(i, j) for i, row in enumerate(rows) for j in range(len(row))]
        for i, j in sorted(plain, key=lambda place: place in marks):  # marked edges on top
            fill, edge = _colours(kind if (i, j) in marks else "data")
            left, top = x - sides[0] / 2 + j * cell, y - sides[1] / 2 + i * cell
            self._parts.append(
                f'<rect x="{left:g}" y="{top:g}" width="{cell:g}" height="{cell:g}" '
                f'fill="{fill}" stroke="{edge}"/>'
            )
            self.text(left + cell / 2, top + cell / 2, rows[i][j], size=size, halo=False)
        return grid

    def frame(self, left: float, top: float, right: float, bottom: float, title: str = "") -> Shape:
        """Draw a dashed frame around what belongs together, its title at the upper left."""
        middle = ((left + right) / 2, (top + bottom) / 2)
        frame = self._fitting(Shape(*middle, right - left, bottom - top), "frame")
        self._parts.append(
            f'<rect x="{left:g}" y="{top:g}" width="{frame.width:g}" height="{frame.height:g}" '
            f'rx="8" fill="none" stroke="{INK}" stroke-dasharray="4 4"/>'
        )
        self.text(left + 8, top + 11, title, align="left", size=11)
        return frame

    # -- lines and words -------------------------------------------------------------------------

    def arrow(
        self,
        start: Place,
        end: Place,
        label: str = "",
        *,
        via: Sequence[tuple[float, float]] = (),
        back: bool = False,
        accent: bool = False,
        head: bool = True,
        side: int = 1,
    ) -> None:
        """Draw an arrow between two shapes or points, with a label (a tensor's shape) beside it.

        `via` names its corners; `back` makes it dashed, for a gradient on its way back; `side`
        is 1 for a label above or to the right of the line, and -1 for the other side.
        """
        path = _path(start, end, via)
        colour = ACCENT if back or accent else INK
        style = ' stroke-dasharray="5 3"' if back else ""
        last = _shortened(path, HEAD - 2) if head else path
        points = " ".join(f"{x:.4g},{y:.4g}" for x, y in last)
        self._parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"{style}/>'
        )
        if head:
            self._parts.append(f'<polygon points="{_head(path)}" fill="{colour}"/>')
        if label:
            self._label(path, label, side, ACCENT if back else INK)

    def _label(self, path: list[tuple[float, float]], label: str, side: int, colour: str) -> None:
        """Write a label beside the middle of the longest part of a path."""
        (x0, y0), (x1, y1) = max(pairwise(path), key=lambda p: math.dist(*p))
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        if abs(x1 - x0) >= abs(y1 - y0):
            self.text(x, y - side * GAP, label, size=11, mono=True, colour=colour)
        else:
            align = "left" if side > 0 else "right"
            self.text(x + side * 6, y, label, size=11, mono=True, colour=colour, align=align)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = LETTERS,
        align: str = "center",
        mono: bool = False,
        bold: bool = False,
        colour: str = INK,
        halo: bool = True,
    ) -> None:
        """Write a text, centred on a point or beginning (``align="left"``) or ending there.

        Its letters have a white border, `halo`, which keeps lines off them.
        """
        if not text:
            return
        if align not in ANCHORS:
            raise ValueError(f"align must be one of {', '.join(ANCHORS)}, got {align!r}")
        self._check_room(x, y, text, size, align)
        style = f' font-family="{MONO}"' * mono + ' font-weight="bold"' * bold
        style += f' fill="{colour}"' * (colour != INK) + HALO * halo
        words = f' data-words="{escape(text)}"' if has_words(text) else ""
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{ANCHORS[align]}"'
            f"{style}{words}>{as_svg(text, x, size)}</text>"
        )

    def _check_room(self, x: float, y: float, text: str, size: float, align: str) -> None:
        """Refuse a text that is longer than the place it has, by what letters need on average."""
        needed = max(length(line, size) for line in text.split("\n"))
        room = {"left": self.width - x, "right": x, "center": 2 * min(x, self.width - x)}[align]
        if needed > room + size or not 0 <= y <= self.height:
            raise ValueError(
                f"the text {text!r} at ({x:g}, {y:g}) reaches beyond the drawing of "
                f"{self.width:g} by {self.height:g}: it is about {needed:.0f} long"
            )

    def _fitting(self, shape: Shape, what: str) -> Shape:
        """Return a shape that lies on the drawing; refuse one that does not."""
        left, right = shape.x - shape.width / 2, shape.x + shape.width / 2
        top, bottom = shape.y - shape.height / 2, shape.y + shape.height / 2
        if not (left >= 0 and right <= self.width and top >= 0 and bottom <= self.height):
            raise ValueError(
                f"the {what} at ({shape.x:g}, {shape.y:g}), {shape.width:g} by {shape.height:g}, "
                f"reaches beyond the drawing of {self.width:g} by {self.height:g}"
            )
        return shape


# -- the way of an arrow -------------------------------------------------------------------------


def _path(
    start: Place, end: Place, via: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return the points of an arrow, from border to border."""
    middles = [(p.x, p.y) if isinstance(p, Shape) else p for p in (start, *via, end)]
    first = start.border(middles[1]) if isinstance(start, Shape) else start
    last = end.border(middles[-2]) if isinstance(end, Shape) else end
    return [first, *via, last]


def _shortened(path: list[tuple[float, float]], by: float) -> list[tuple[float, float]]:
    """Return a path that ends a little earlier, so that its head has a point."""
    (x0, y0), (x1, y1) = path[-2:]
    share = min(1.0, by / (math.dist(*path[-2:]) or 1))
    return [*path[:-1], (x1 - share * (x1 - x0), y1 - share * (y1 - y0))]


def _head(path: list[tuple[float, float]]) -> str:
    """Return the corners of an arrow's head."""
    (x0, y0), (x1, y1) = path[-2:]
    length = math.dist(*path[-2:]) or 1
    along, across = (
        ((x1 - x0) / length, (y1 - y0) / length),
        ((y0 - y1) / length, (x1 - x0) / length),
    )
    corners = [(0, 0), (HEAD, 0.45 * HEAD), (HEAD, -0.45 * HEAD)]
    places = [
        (x1 - back * along[0] + aside * across[0], y1 - back * along[1] + aside * across[1])
        for back, aside in corners
    ]
    return " ".join(f"{x:.4g},{y:.4g}" for x, y in places)


# -- colours and numbers -------------------------------------------------------------------------


def _colours(kind: str) -> tuple[str, str]:
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return KINDS[kind]


def _rows(values: Any, decimals: int | None) -> list[list[str]]:
    """Return what to write into the cells of a grid."""
    if not isinstance(values, (list, tuple)):
        values = as_array(values).tolist()
    rows = [[_cell(value, decimals) for value in row] for row in values]
    if not rows or not rows[0] or len({len(row) for row in rows}) > 1:
        raise ValueError(f"values must be rows of one length, got {[len(row) for row in rows]}")
    return rows


def _cell(value: Any, decimals: int | None) -> str:
    if isinstance(value, str):
        return value
    places = decimals if decimals is not None else (0 if float(value).is_integer() else 2)
    return format_number(value, places).replace("-", "−")
