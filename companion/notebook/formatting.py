"""Print numbers the way the text quotes them: rounded, aligned, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["as_array", "format_number", "latex", "report"]


def as_array(value: Any) -> np.ndarray:
    """Return a value as a NumPy array.

    Parameters
    ----------
    value : number, str, nested list, ndarray or Tensor

    Returns
    -------
    ndarray

    Raises
    ------
    TypeError
        If it is made of anything but real numbers, booleans or strings.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "biufU":
        raise TypeError(
            f"value must be made of real numbers, booleans or strings, got {array.dtype} "
            f"({type(value).__name__})"
        )
    return array


def format_number(value: Any, decimals: int = 4) -> str:
    """Write one number: integers as they are, others rounded, never a negative zero.

    Parameters
    ----------
    value : number, bool or str
        A string and a boolean are written as they are.
    decimals : int

    Returns
    -------
    str
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    text = f"{number:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def report(decimals: int = 4, /, **quantities: Any) -> None:
    r"""Print each quantity by its name, rounded to `decimals` places.

    A number stands on one line, a vector or a matrix below its name and shape. Arrays of
    three or more dimensions are printed matrix by matrix. Booleans in an array print as
    1 and 0.

    Parameters
    ----------
    decimals : int, default=4
        Places after the point; given by position only, so that any name is free.
    **quantities
        Numbers, strings, nested lists, NumPy arrays or torch tensors.

    Raises
    ------
    ValueError
        If `decimals` is negative or a nested list is ragged.
    TypeError
        If a quantity holds something other than real numbers, booleans or strings.

    Examples
    --------
    >>> report(2, scale=0.7071, scores=[[1.0, -0.5], [-0.001, 10.0]])
    scale = 0.71
    scores  (2 x 2)
       1.00  -0.50
       0.00  10.00
    """
    _check_decimals(decimals)
    for name, value in quantities.items():
        array = as_array(value)
        if array.ndim == 0:
            print(f"{name} = {format_number(array.item(), decimals)}")
            continue
        print(f"{name}  ({' x '.join(map(str, array.shape))})")
        for line in _lines(name, array, decimals):
            print(line)


def latex(value: Any, decimals: int = 4) -> str:
    r"""Write a number, vector or matrix in LaTeX with the rounding that `report` uses.

    Parameters
    ----------
    value : number, nested list, NumPy array or torch tensor
        At most two dimensions. A vector becomes a matrix of one row.
    decimals : int, default=4
        Places after the point.

    Returns
    -------
    str
        A number, or ``\begin{bmatrix} … \end{bmatrix}``, one row of the matrix a line.

    Raises
    ------
    ValueError
        If `value` has more than two dimensions or `decimals` is negative.

    Examples
    --------
    >>> print(latex([[1, 0.25], [-0.5, 3]], decimals=2))
    \begin{bmatrix}
    1.00 & 0.25 \\
    -0.50 & 3.00
    \end{bmatrix}
    """
    _check_decimals(decimals)
    array = as_array(value)
    if array.ndim > 2:
        raise ValueError(f"value must have at most 2 dimensions for LaTeX, got {array.ndim}")
    if array.dtype.kind == "b":
        array = array.astype(int)
    if array.ndim == 0:
        return _latex_number(array.item(), decimals)
    rows = (" & ".join(_latex_number(x, decimals) for x in row) for row in np.atleast_2d(array))
    return "\\begin{bmatrix}\n" + " \\\\\n".join(rows) + "\n\\end{bmatrix}"


def _check_decimals(decimals: int) -> None:
    if isinstance(decimals, bool) or not isinstance(decimals, int | np.integer):
        raise TypeError(f"decimals must be an integer, got {decimals!r}")
    if decimals < 0:
        raise ValueError(f"decimals must be 0 or more, got {decimals}")


def _latex_number(value: Any, decimals: int) -> str:
    text = format_number(value, decimals)
    symbols = {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\mathrm{nan}"}
    return symbols.get(text, text)


def _lines(name: str, array: np.ndarray, decimals: int) -> Iterator[str]:
    """Yield the rows of an array, its matrices headed by their index."""
    if array.ndim <= 2:
        yield from _rows(array, decimals)
        return
    for index in np.ndindex(*array.shape[:-2]):
        yield f"{name}[{', '.join(map(str, index))}]"
        yield from _rows(array[index], decimals)


def _rows(matrix: np.ndarray, decimals: int) -> Iterator[str]:
    if matrix.dtype.kind == "b":
        matrix = matrix.astype(int)
    cells = [[format_number(x, decimals) for x in row] for row in np.atleast_2d(matrix).tolist()]
    width = max((len(cell) for row in cells for cell in row), default=0)
    for row in cells:
        yield "  " + "  ".join(cell.rjust(width) for cell in row)
