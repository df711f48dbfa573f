"""What functions ask of their arguments, said in one way everywhere.

Each function returns the argument in the form that is worked with, or raises a `TypeError` or
`ValueError` that names the argument, what came and what is needed.
"""

import difflib
import numbers
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np


def _require_int(name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number; neither True nor 2.0 is one."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {number}")
    return number


def _require_flag(name: str, value: Any) -> bool:
    """Return True or False; the text "no" would count as True."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {value!r}")
    return value


def _require_number(name: str, value: Any) -> float:
    """Return a number, also of an array of no dimension; neither True nor a text is one."""
    number = value.item() if getattr(value, "ndim", None) == 0 else value
    if isinstance(number, bool) or not isinstance(number, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    return number  # type: ignore[return-value]  # a whole number stays one


def _require_text(text: Any, name: str = "text") -> str:
    """Return a text; bytes are none, nor is a list of texts."""
    if not isinstance(text, str):
        hint = "; decode it first" if isinstance(text, (bytes, bytearray)) else ""
        raise TypeError(f"{name} must be a str, got {type(text).__name__}{hint}")
    return text


def _require_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return a list of texts; the letters of a single one are not meant."""
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"{name} must be a list of texts, got one text: {texts[:40]!r}")
    return [_require_text(text, f"each of {name}") for text in _require_iterable(texts, name)]


def _require_iterable(values: Any, name: str) -> Iterable[Any]:
    """Return what can be gone through, in an order of its own."""
    if not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list, got {type(values).__name__}")
    return values


def _require_ordered(values: Any, name: str) -> Iterable[Any]:
    """Return what can be gone through in the same order in every process, unlike a set."""
    if isinstance(values, (set, frozenset)):
        raise TypeError(f"{name} must have an order, got a {type(values).__name__}")
    return _require_iterable(values, name)


def _require_ordered_texts(texts: Any, name: str = "texts") -> list[str]:
    """Return a list of texts whose places can be told."""
    return _require_texts(_require_ordered(texts, name), name)


def _hint(name: Any, known: Iterable[str]) -> str:
    """Return a question to whoever named none of what is known, if one of it is written alike."""
    by_letters = {each.lower(): each for each in known}
    close = difflib.get_close_matches(str(name).lower(), by_letters, n=1, cutoff=0.5)
    return f"; did you mean {by_letters[close[0]]!r}?" if close else ""


def _require_rng(seed: Any, name: str = "seed") -> np.random.Generator:
    """Return the generator of a seed."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a whole number from 0, or several, got {seed!r}") from None


def _require_generator(name: str, value: Any, *kinds: type) -> None:
    """Refuse a seed where what draws numbers is meant: each call would draw the same."""
    if not isinstance(value, kinds):
        module = kinds[0].__module__.partition("._")[0]  # as NumPy and PyTorch document it
        make = {"numpy.random": "default_rng(seed)", "torch": "Generator().manual_seed(seed)"}
        raise TypeError(
            f"{name} must be a {module}.{kinds[0].__qualname__}, got {value!r}: "
            f"{module}.{make[module]} makes one"
        )
