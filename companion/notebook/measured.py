"""How a check says what it measured: few digits, long arrays by what matters of them."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from companion.notebook.formatting import format_number

__all__ = ["against_bounds", "bounds_in_words", "against_expected", "exactly"]

SHOWN_IN_FULL = 4  # an array of more entries is summarised
LETTERS = 40  # of a text
SMALL = 1e-4  # numbers below are written with a power of ten
COARSE = 1e-3  # a tolerance from here on can be seen in the digits shown


def against_bounds(found: np.ndarray, low: float | None, high: float | None) -> str:
    """Say what was found and which bounds it keeps: ``0.99, at least 0.90``."""

    def digits(number: Any) -> str:
        return _beside_bounds(number, low, high)

    if found.size <= SHOWN_IN_FULL:
        said = _nested(found, digits)
    elif low is None:
        said = f"{_size(found)}, largest {digits(found.max())}"
    elif high is None:
        said = f"{_size(found)}, smallest {digits(found.min())}"
    else:
        said = f"{_size(found)}, from {digits(found.min())} to {digits(found.max())}"
    return f"{said}, {bounds_in_words(low, high)}"


def bounds_in_words(low: float | None, high: float | None) -> str:
    """Say what is asked for: ``at least 0.90``."""
    if low is None:
        assert high is not None
        return f"at most {_bound(high)}"
    if high is None:
        return f"at least {_bound(low)}"
    return f"between {_bound(low)} and {_bound(high)}"


def against_expected(
    found: np.ndarray, expected: np.ndarray, difference: np.ndarray, tolerance: float
) -> str:
    """Say what was found and how near to what was expected that had to be."""

    def digits(number: Any) -> str:
        return _four_digits(number, decimals=max(0, 1 - _magnitude(tolerance)))

    if found.size > SHOWN_IN_FULL:
        return f"{_size(found)}, largest difference {difference.max():.2g}, at most {tolerance:g}"
    if found.ndim == 0 and tolerance >= COARSE:
        return f"{digits(found[()])}, within {tolerance:g} of {digits(expected[()])}"
    return f"{_nested(found, digits)}, as expected within {tolerance:g}"


def exactly(found: np.ndarray) -> str:
    """Say what was found and equal to what was expected: ``17, as expected``."""
    said = _nested(found, _as_it_is) if found.size <= SHOWN_IN_FULL else _size(found)
    return f"{said}, as expected"


def _size(array: np.ndarray) -> str:
    return " x ".join(map(str, array.shape)) + " entries"


def _nested(array: np.ndarray, digits: Callable[[Any], str]) -> str:
    """Write an array with all its entries, a number without brackets."""
    if array.ndim == 0:
        return digits(array[()])
    return "[" + ", ".join(_nested(np.asarray(row), digits) for row in array) + "]"


def _beside_bounds(number: Any, low: float | None, high: float | None) -> str:
    """Write two significant digits, and more where fewer would seem to break a bound."""
    if _is_whole(number) or not math.isfinite(number) or number == 0:
        return format_number(number, 0)
    shown = (_significant(number, digits) for digits in itertools.count(2))
    return next(text for text in shown if _keeps(float(text), low, high))


def _keeps(number: float, low: float | None, high: float | None) -> bool:
    return (low is None or number >= low) and (high is None or number <= high)


def _significant(number: float, digits: int) -> str:
    if abs(number) < SMALL:
        return f"{number:.{digits}g}"
    return format_number(number, max(0, digits - 1 - _magnitude(number)))


def _four_digits(number: Any, decimals: int | None = None) -> str:
    """Write four significant digits, or as many decimals as mean something if those are fewer."""
    if _is_whole(number) or not math.isfinite(number) or number == 0:
        return format_number(number, 0)
    rounded = float(number) if decimals is None else round(float(number), decimals)
    if rounded == 0:
        return "0"
    text = _significant(rounded, 4)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _as_it_is(value: Any) -> str:
    if isinstance(value, str):
        shown = value if len(value) <= LETTERS else value[: LETTERS - 1] + "…"
        return json.dumps(shown, ensure_ascii=False)
    return _four_digits(value)


def _bound(number: float) -> str:
    """Write a bound with two decimals where it has one."""
    text = f"{number + 0.0:g}"  # which makes 0.0 of -0.0
    return text + "0" if re.fullmatch(r"-?\d+\.\d", text) else text


def _magnitude(number: float) -> int:
    """Return the power of ten of the first digit."""
    return math.floor(math.log10(abs(number)))


def _is_whole(number: Any) -> bool:
    return isinstance(number, (bool, np.bool_, int, np.integer))
