"""Draw the graph of a computation: what was made of what, and the gradients on their way back.

Nodes stand in columns by their depth. Within a column each is moved to the mean of those that it
is connected with, again and again, so that few lines cross (Sugiyama, Tagawa and Toda 1981). A
line that passes a column gets a place there, too, so that it runs beside the nodes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.notebook.formatting import format_number
from companion.notebook.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Place", "draw_graph"]

MOST_NUMBERS = 2  # an array of more is drawn as its shape
SWEEPS = 12
WIDTH, HEIGHT = 1.3, 0.9  # inches from one node to the next
GRADIENT = COLOURS[1]


@dataclass(eq=False)
class Place:
    """A node of the picture, or where a line passes a column."""

    tensor: Any = None
    folded: str = ""
    """A constant that is written into the operation."""
    inputs: list[Place] = field(default_factory=list)
    column: int = 0
    row: float = 0.0


def draw_graph(
    result: Any, *, ax: Axes | None = None, title: str | None = None, decimals: int = 3
) -> Axes:
    r"""Draw how a tensor was computed, from left to right.

    Each box shows a name or an operation, the value, and after ``backward()`` the gradient.
    Leaves have corners, results of operations are round, what needs no gradient is dashed. A
    single number without a name is written into the operation that uses it.

    Parameters
    ----------
    result : companion.autograd.Tensor
        The end of the computation. Names (``tensor.name = "h"``) appear in the picture.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of a fitting size by default.
    title : str, optional
        Title of the axes.
    decimals : int, default=3
        Places after the point. Of an array with more than two numbers the shape is given.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    TypeError
        If `result` does not know what it was computed from.
    """
    if not all(hasattr(result, name) for name in ("data", "grad", "inputs", "operation")):
        raise TypeError(f"result must be a companion.autograd.Tensor, got {type(result).__name__}")
    nodes = _nodes(result)
    columns = _columns(nodes)
    _arrange(columns)
    ax = _new_axes(columns) if ax is None else ax
    for place in (place for column in columns for place in column):
        for source in place.inputs:
            _draw_line(ax, source, place)
    for place in nodes:
        _draw_box(ax, place, decimals)
    _frame(ax, columns, title)
    return ax


# -- what stands where ---------------------------------------------------------------------------


def _nodes(result: Any) -> list[Place]:
    """Return a place for each tensor, every one after its inputs."""
    places: dict[int, Place] = {}
    stack = [(result, False)]
    while stack:
        tensor, inputs_done = stack.pop()
        if id(tensor) in places:
            continue
        if not inputs_done:
            stack.append((tensor, True))
            stack.extend((source, False) for source in tensor.inputs if not _folds(source))
            continue
        folded = " ".join(f"{x.data.item():.3g}" for x in tensor.inputs if _folds(x))
        inputs = [places[id(x)] for x in tensor.inputs if not _folds(x)]
        places[id(tensor)] = Place(tensor, folded, inputs)
    return list(places.values())


def _folds(tensor: Any) -> bool:
    """Tell whether a tensor is an unnamed number that nothing was asked of."""
    constant = not (tensor.inputs or tensor.requires_grad or tensor.name)
    return constant and tensor.data.size == 1


def _columns(nodes: list[Place]) -> list[list[Place]]:
    """Put each node one column after its last input, leaves just before their first use."""
    for place in nodes:
        place.column = 1 + max((source.column for source in place.inputs), default=-1)
    for leaf in (place for place in nodes if not place.inputs):
        uses = [place.column for place in nodes if leaf in place.inputs]
        leaf.column = min(uses, default=1) - 1
    columns: list[list[Place]] = [[] for _ in range(1 + max(p.column for p in nodes))]
    for place in nodes:
        columns[place.column].append(place)
        place.inputs = [_passing(source, place, columns) for source in place.inputs]
    return columns


def _passing(source: Place, place: Place, columns: list[list[Place]]) -> Place:
    """Return the last of the places through which a line comes from `source` to `place`."""
    for column in range(source.column + 1, place.column):
        source = Place(inputs=[source], column=column)
        columns[column].append(source)
    return source


def _arrange(columns: list[list[Place]]) -> None:
    """Order each column by the mean row of the next one, then of the one before, repeatedly."""
    places = [place for column in columns for place in column]
    inputs = {place: place.inputs for place in places}
    uses = {source: [p for p in places if source in p.inputs] for source in places}
    for column in columns:
        _spread(column, range(len(column)))
    for _ in range(SWEEPS):
        for column in columns[::-1]:
            _spread(column, [_mean(uses[place], place.row) for place in column])
        for column in columns:
            _spread(column, [_mean(inputs[place], place.row) for place in column])


def _mean(places: Iterable[Place], otherwise: float) -> float:
    rows = [place.row for place in places]
    return sum(rows) / len(rows) if rows else otherwise


def _spread(column: list[Place], wanted: Iterable[float]) -> None:
    """Give each place the row it wants, but one apart from the next, around the same middle."""
    pairs = sorted(zip(wanted, range(len(column)), strict=True))
    column[:] = [column[index] for _, index in pairs]
    rows = [pairs[0][0]]
    for row, _ in pairs[1:]:
        rows.append(max(row, rows[-1] + 1))
    shift = (sum(row for row, _ in pairs) - sum(rows)) / len(rows)
    for place, row in zip(column, rows, strict=True):
        place.row = row + shift


# -- drawing -------------------------------------------------------------------------------------


def _new_axes(columns: list[list[Place]]) -> Axes:
    import matplotlib.pyplot as plt

    rows = [place.row for column in columns for place in column]
    size = (len(columns) * WIDTH, (max(rows) - min(rows) + 1) * HEIGHT + 0.3)
    return plt.subplots(figsize=size)[1]


def _frame(ax: Axes, columns: list[list[Place]], title: str | None) -> None:
    rows = [place.row for column in columns for place in column]
    ax.set(xlim=(-0.55, len(columns) - 0.45), ylim=(max(rows) + 0.6, min(rows) - 0.6))
    ax.grid(False)
    ax.axis("off")
    if title:
        ax.set_title(title)


def _draw_line(ax: Axes, source: Place, place: Place) -> None:
    """Draw a curve from a place to the next column, with a head where it ends at a box."""
    start = source.column + (0.42 if source.tensor is not None else 0.0)
    end = place.column - (0.44 if place.tensor is not None else 0.0)
    t = np.linspace(0, 1, 30)
    smooth = t * t * (3 - 2 * t)
    x, y = start + t * (end - start), source.row + smooth * (place.row - source.row)
    ax.plot(x, y, color="#777777", linewidth=1.2, zorder=1, solid_capstyle="round")
    if place.tensor is not None:
        arrow = {"arrowstyle": "-|>", "color": "#777777", "linewidth": 1.2, "shrinkB": 0}
        ax.annotate("", (end + 0.02, y[-1]), (x[-4], y[-4]), arrowprops=arrow, zorder=1)


def _draw_box(ax: Axes, place: Place, decimals: int) -> None:
    tensor = place.tensor
    made = f"{tensor.operation} {place.folded}".strip().replace("-", "−")
    head = " = ".join(filter(None, (tensor.name, made))) or "constant"
    lines = [(head, "black", "bold"), (_number(tensor.data, decimals), "black", "normal")]
    if tensor.grad is not None:
        lines.append((f"∇ {_number(tensor.grad, decimals)}", GRADIENT, "normal"))
    for index, (text, colour, weight) in enumerate(lines):
        down = (index - (len(lines) - 1) / 2) * 0.25
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 3}
        ax.text(place.column, place.row + down, text, color=colour, weight=weight, **style)
    _draw_frame(ax, place)


def _draw_frame(ax: Axes, place: Place) -> None:
    from matplotlib.patches import FancyBboxPatch

    leaf, needed = not place.tensor.inputs, place.tensor.requires_grad
    ax.add_patch(
        FancyBboxPatch(
            (place.column - 0.36, place.row - 0.34),
            0.72,
            0.68,
            boxstyle="square,pad=0.05" if leaf else "round,pad=0.05,rounding_size=0.16",
            facecolor="#E8F1F8" if leaf and needed else "white",
            edgecolor=COLOURS[0] if leaf and needed else "#444444",
            linestyle="-" if needed else "--",
            zorder=2,
        )
    )


def _number(array: np.ndarray, decimals: int) -> str:
    """Write a number, a few numbers, or the shape of many."""
    if array.size > MOST_NUMBERS:
        return " × ".join(map(str, array.shape)) + (" numbers" if array.ndim == 1 else "")
    numbers = [format_number(x, decimals).replace("-", "−") for x in np.ravel(array)]
    return ", ".join(numbers) if array.ndim < 2 else f"[{', '.join(numbers)}]"
