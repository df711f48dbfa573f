"""Checks that a reader sees pass, and that stop the notebook when they fail."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from companion.notebook import measured, stopping
from companion.notebook.formatting import as_array

__all__ = ["CheckFailed", "catches", "check"]


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
    r"""Compare a value with what it should be; print one line that says both, or raise.

    With neither `expected` nor a bound, `value` itself must be true. An array of more than four
    entries is summarised: by its smallest or largest entry beside a bound, by its largest
    difference from what was expected otherwise. What may differ from machine to machine is
    shown all the same; only the comparison of a chapter's outputs leaves it out.

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
        two differ most. If the reader has stopped a training, a line says so instead, since
        the value may come from it.
    ValueError
        If both `expected` and a bound are given, or `tolerance` is negative or not finite.

    Examples
    --------
    >>> check("two heads know", 0.9931, at_least=0.9)
    ✓ two heads know: 0.99, at least 0.90
    >>> check("gradient with the connection", [1.1, 1.2999999], [1.1, 1.3])
    ✓ gradient with the connection: [1.1, 1.3], as expected within 1e-06
    >>> check("share of heads", 0.4968, 0.5, tolerance=0.02)
    ✓ share of heads: 0.497, within 0.02 of 0.5
    >>> check("number of tokens", 17, 17)
    ✓ number of tokens: 17, as expected
    >>> check("every weight is positive", np.full((3, 4), 0.25), at_least=0)
    ✓ every weight is positive: 3 x 4 entries, smallest 0.25, at least 0
    >>> check("the mask hides the future", True)
    ✓ the mask hides the future
    """
    try:
        outcome = _outcome(name, value, expected, tolerance, at_least, at_most)
    except CheckFailed as failure:
        if not stopping.unfinished:
            raise
        print(f"– {str(failure).splitlines()[0]}; {_what_was_stopped()}")
        return
    print(f"✓ {name}: {outcome}" if outcome else f"✓ {name}")


def catches(
    name: str,
    value: Any,
    expected: Any = None,
    tolerance: float = 1e-6,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Give something wrong to a check, and make sure that the check fails.

    Parameters
    ----------
    name, value, expected, tolerance, at_least, at_most
        As in `check`.

    Raises
    ------
    CheckFailed
        If the check passes, so that it would not have caught the mistake.

    Examples
    --------
    >>> catches("rows sum to one", [1.3, 0.7], [1.0, 1.0])
    ✗ rows sum to one: fails, as it should
    """
    try:
        _outcome(name, value, expected, tolerance, at_least, at_most)
    except CheckFailed:
        print(f"✗ {name}: fails, as it should")
        return
    failure = f"{name}: the test passes, and should have caught a mistake"
    if not stopping.unfinished:
        raise CheckFailed(failure)
    print(f"– {failure}; {_what_was_stopped()}")


def _what_was_stopped() -> str:
    """Say what to run again, where a result is missed because the reader stopped a training."""
    names = ", ".join(f"“{name}”" for name in stopping.unfinished)
    if len(stopping.unfinished) > 1:
        return f"you stopped {names}: run those cells again, to their ends"
    return f"you stopped {names}: run that cell again, to its end"


def _outcome(
    name: str,
    value: Any,
    expected: Any,
    tolerance: float,
    at_least: float | None,
    at_most: float | None,
) -> str:
    """Return what a check that passes says of the value; raise if it fails."""
    bounded = at_least is not None or at_most is not None
    if expected is not None and bounded:
        raise ValueError("expected cannot be given together with at_least or at_most")
    if isinstance(tolerance, bool):
        raise TypeError(f"tolerance must be a number, got {tolerance}")
    for bound, number in (("tolerance", tolerance), ("at_least", at_least), ("at_most", at_most)):
        if isinstance(number, str):
            raise TypeError(f"{bound} must be a number, got {number!r}")
    if not tolerance >= 0:
        raise ValueError(f"tolerance must be 0 or more, got {tolerance}")
    if tolerance == math.inf:
        raise ValueError("tolerance must be finite: every value would pass")
    if expected is not None:
        return _compare(name, as_array(value), as_array(expected), tolerance)
    if bounded:
        return _bound(name, as_array(value), at_least, at_most)
    return _hold(name, value)


def _compare(name: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> str:
    if found.shape != expected.shape:
        raise CheckFailed(
            f"{name}: found shape {found.shape}, expected shape {expected.shape}\n"
            f"found:    {_short(found)}\nexpected: {_short(expected)}"
        )
    kinds = {found.dtype.kind, expected.dtype.kind}
    if "U" in kinds:
        difference = np.where(found == expected, 0.0, np.inf)
    elif kinds <= set("biu"):
        difference = _whole_difference(found, expected)
    else:
        difference = _difference(found.astype(float), expected.astype(float))
    if difference.size and not difference.max() <= tolerance:
        raise CheckFailed(_explain(name, found, expected, difference, tolerance))
    if kinds == {"b"}:
        return ""
    if tolerance == 0 or "U" in kinds or (kinds <= set("biu") and tolerance < 1):
        return measured.exactly(found)
    return measured.against_expected(found, expected, difference, tolerance)


def _whole_difference(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Absolute difference of whole numbers; as floats, two large ones might be the same."""
    difference = np.abs(np.asarray(found.astype(object) - expected.astype(object)))
    return np.asarray(difference, dtype=float)


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
    if found.dtype.kind == "U":
        raise TypeError(f"{name}: a text has no bounds, got {_short(found)}")
    if found.size == 0:
        raise CheckFailed(f"{name}: found nothing to compare, shape {found.shape}")
    outside = np.zeros(found.shape, dtype=bool)
    if low is not None:
        outside |= ~(found >= low)
    if high is not None:
        outside |= ~(found <= high)
    if outside.any():
        words = measured.bounds_in_words(low, high)
        raise CheckFailed(f"{name}: found {_short(found)}, expected {words}")
    return measured.against_bounds(found, low, high)


def _hold(name: str, value: Any) -> str:
    found = as_array(value)
    if found.dtype.kind != "b":
        raise TypeError(
            f"{name}: value must be true or false when nothing is expected of it, "
            f"got {type(value).__name__}; give expected, at_least or at_most"
        )
    if not found.size:
        raise CheckFailed(f"{name}: found nothing to check, shape {found.shape}")
    if not found.all():
        raise CheckFailed(f"{name}: found False")
    return ""


def _short(array: np.ndarray) -> str:
    return np.array2string(array, precision=6, threshold=24, edgeitems=2).replace(
        "\n", "\n" + " " * 10
    )
