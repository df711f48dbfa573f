"""Checks that a reader sees pass, and that stop the notebook when they fail."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion.notebook.formatting import as_array

__all__ = ["CheckFailed", "check"]


class CheckFailed(AssertionError):
    """A value is not what the text says it is."""


def check(
    name: str,
    value: Any,
    expected: Any = None,
    tolerance: float = 1e-6,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    r"""Compare a value with what it should be; print one line, or raise.

    The line never holds the measured value, so it is the same on every machine. With neither
    `expected` nor a bound, `value` itself must be true.

    Parameters
    ----------
    name : str
        What is checked, in words.
    value : bool, number, str, nested list, NumPy array or torch tensor
        What was found.
    expected : same kinds, optional
        What it should be; shapes must agree exactly.
    tolerance : float, default=1e-6
        Largest absolute difference allowed in any entry. 0 asks for equality.
    at_least, at_most : float, optional
        Bounds that every entry of `value` must keep.

    Raises
    ------
    CheckFailed
        If the check fails. The message says what was found, what was expected and where the
        two differ most.
    ValueError
        If both `expected` and a bound are given, or `tolerance` is negative.

    Examples
    --------
    >>> check("each row of weights sums to one", [0.25 + 0.75, 1.0], [1.0, 1.0])
    ✓ each row of weights sums to one: within 1e-06 of the expected value
    >>> check("accuracy on held-out pairs", 0.97, at_least=0.9)
    ✓ accuracy on held-out pairs: at least 0.9
    """
    bounded = at_least is not None or at_most is not None
    if expected is not None and bounded:
        raise ValueError("expected cannot be given together with at_least or at_most")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, got {tolerance}")
    if expected is not None:
        outcome = _compare(name, as_array(value), as_array(expected), tolerance)
    elif bounded:
        outcome = _bound(name, as_array(value), at_least, at_most)
    else:
        outcome = _hold(name, value)
    print(f"✓ {name}{outcome}")


def _compare(name: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    if found.shape != expected.shape:
        raise CheckFailed(
            f"{name}: found shape {found.shape}, expected shape {expected.shape}\n"
            f"found:    {_short(found)}\nexpected: {_short(expected)}"
        )
    if "U" in (found.dtype.kind, expected.dtype.kind):
        difference = np.where(found == expected, 0.0, np.inf)
    else:
        difference = _difference(found.astype(float), expected.astype(float))
    if difference.size and not difference.max() <= tolerance:
        raise CheckFailed(_explain(name, found, expected, difference, tolerance))
    exact = tolerance == 0 or found.dtype.kind == "U"
    return (
        ": equal to the expected value"
        if exact
        else f": within {tolerance:g} of " + ("the expected value")
    )


def _difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Absolute difference; equal infinities differ by 0, and NaN is infinitely far off."""
    with np.errstate(invalid="ignore"):
        difference = np.where(found == expected, 0.0, np.abs(found - expected))
    return np.where(np.isnan(difference), np.inf, difference)


def _explain(
    name: str, found: np.ndarray, expected: np.ndarray, difference: np.ndarray, tolerance: float
) -> str:
    where = np.unravel_index(int(difference.argmax()), difference.shape)
    place = f" at {[int(i) for i in where]}" if where else ""
    return (
        f"{name}: largest difference {difference[where]:.3g}{place} "
        f"(found {found[where]}, expected {expected[where]}), allowed {tolerance:g}; "
        f"{int((difference > tolerance).sum())} of {difference.size} entries are off\n"
        f"found:    {_short(found)}\nexpected: {_short(expected)}"
    )


def _bound(name: str, found: np.ndarray, low: float | None, high: float | None) -> str:
    if found.size == 0:
        raise CheckFailed(f"{name}: found nothing to compare, shape {found.shape}")
    outside = np.zeros(found.shape, dtype=bool)
    if low is not None:
        outside |= ~(found >= low)
    if high is not None:
        outside |= ~(found <= high)
    words = _bounds_in_words(low, high)
    if outside.any():
        raise CheckFailed(f"{name}: found {_short(found)}, expected {words}")
    return f": {words}"


def _bounds_in_words(low: float | None, high: float | None) -> str:
    if low is None:
        return f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"between {low:g} and {high:g}"


def _hold(name: str, value: Any) -> str:
    found = as_array(value)
    if found.dtype.kind != "b":
        raise TypeError(
            f"{name}: value must be true or false when nothing is expected of it, "
            f"got {type(value).__name__}; give expected, at_least or at_most"
        )
    if not found.all():
        raise CheckFailed(f"{name}: found False")
    return ""


def _short(array: np.ndarray) -> str:
    return np.array2string(array, precision=6, threshold=24, edgeitems=2).replace(
        "\n", "\n" + " " * 10
    )
