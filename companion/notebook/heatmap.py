"""Draw attention weights: who looks at whom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.notebook.formatting import as_array, format_number
from companion.notebook.style import WEIGHTS_MAP, register_weights_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["attention_map"]

LARGEST_WITH_VALUES = 8


def attention_map(
    weights: Any,
    tokens: Sequence[str],
    key_tokens: Sequence[str] | None = None,
    *,
    ax: Axes | None = None,
    title: str | None = None,
    values: bool | str = "auto",
) -> Axes:
    r"""Draw a heat map of attention weights, queries down the side and keys along the top.

    Parameters
    ----------
    weights : array or tensor of shape (T_q, T_k)
        Each row sums to 1, or to 0 where everything is masked.
    tokens : sequence of str
        The queries' tokens, and the keys' unless `key_tokens` is given.
    key_tokens : sequence of str, optional
        The keys' tokens, for cross-attention.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of a fitting size by default.
    title : str, optional
        Title of the axes.
    values : bool or "auto", default="auto"
        Whether to write the numbers into the cells; "auto" writes them in small maps.

    Returns
    -------
    matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError
        If shapes and tokens disagree, or a row does not sum to 1 or 0.
    """
    columns = tokens if key_tokens is None else key_tokens
    for name, words in (("tokens", tokens), ("key_tokens", columns)):
        if isinstance(words, str) or not all(isinstance(word, str) for word in words):
            raise TypeError(f"{name} must be a list of texts, got {words!r}")
    matrix = _valid_weights(as_array(weights), len(tokens), len(columns))
    register_weights_map()
    ax = _new_axes(matrix.shape) if ax is None else ax
    ax.imshow(matrix, cmap=WEIGHTS_MAP, vmin=0, vmax=1, aspect="equal")
    _label(ax, tokens, columns, title)
    if values is True or (values == "auto" and max(matrix.shape) <= LARGEST_WITH_VALUES):
        _write_values(ax, matrix)
    return ax


def _valid_weights(matrix: np.ndarray, n_queries: int, n_keys: int) -> np.ndarray:
    if matrix.shape != (n_queries, n_keys):
        raise ValueError(
            f"weights must have shape ({n_queries}, {n_keys}), one row a query token and one "
            f"column a key token, got {matrix.shape}"
        )
    sums = matrix.sum(axis=1)
    wrong = np.flatnonzero(~(np.isclose(sums, 1, atol=1e-3) | np.isclose(sums, 0, atol=1e-6)))
    if wrong.size or not (matrix >= 0).all():
        row = int(wrong[0]) if wrong.size else int(np.argmin(matrix.min(axis=1)))
        raise ValueError(
            f"weights must be 0 or more and sum to 1 (or 0) in each row; row {row} sums to "
            f"{sums[row]:.4g} with smallest entry {matrix[row].min():.4g}"
        )
    return matrix


def _new_axes(shape: tuple[int, ...]) -> Axes:
    import matplotlib.pyplot as plt

    rows, columns = (min(max(0.55 * n, 1.6), 5.8) for n in shape)
    _, ax = plt.subplots(figsize=(columns + 1.3, rows + 1.2))
    return ax


def _label(ax: Axes, rows: Sequence[str], columns: Sequence[str], title: str | None) -> None:
    crowded = len(columns) * max((len(token) for token in columns), default=0) > 40
    ax.set_xticks(range(len(columns)), columns, rotation=60 if crowded else 0)
    ax.set_yticks(range(len(rows)), rows)
    if crowded:
        for tick in ax.get_xticklabels():
            tick.set(ha="left", rotation_mode="anchor")
    ax.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    ax.set_xlabel("key: looked at")
    ax.xaxis.set_label_position("top")
    ax.set_ylabel("query: looks")
    ax.grid(False)
    ax.spines[:].set_visible(True)
    if title:
        ax.set_title(title)


def _write_values(ax: Axes, matrix: np.ndarray) -> None:
    for (row, column), weight in np.ndenumerate(matrix):
        colour = "white" if weight > 0.55 else "black"
        ax.text(
            column, row, format_number(weight, 2), ha="center", va="center", color=colour, size=10
        )
