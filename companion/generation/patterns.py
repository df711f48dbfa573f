r"""Patterns: sets of texts, put together from smaller ones.

This file adds: ``literal``, ``one_of``, ``then``, ``either`` and ``repeat``, from which patterns
are made. A pattern is a regular expression over bytes, written as a tree. Texts are in UTF-8. All
patterns are finite: the number of repetitions has a bound, so whatever follows a pattern comes to
an end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from companion._arguments import _require_int, _require_text

__all__ = [
    "Pattern",
    "NOTHING",
    "END",
    "literal",
    "one_of",
    "then",
    "either",
    "repeat",
]


class Pattern:
    r"""A set of texts; the functions of this module make patterns and take them apart.

    Equal patterns are one object, so that to compare two of them takes no time.

    Examples
    --------
    >>> from companion.generation import derivative, is_complete
    >>> answer = either(literal("yes"), literal("no"))
    >>> [is_complete(derivative(answer, text)) for text in (b"yes", b"ye")]
    [True, False]
    """


@dataclass(frozen=True, eq=False)
class _Bytes(Pattern):
    """The texts of one byte out of a set; of an empty set, there is none."""

    allowed: frozenset[int]


@dataclass(frozen=True, eq=False)
class _Then(Pattern):
    """A text of the first, which is no `_Then` itself, and then one of the second."""

    first: Pattern
    second: Pattern


@dataclass(frozen=True, eq=False)
class _Either(Pattern):
    """The texts of several patterns."""

    choices: frozenset[Pattern]


@dataclass(frozen=True, eq=False)
class _Repeat(Pattern):
    """From ``least`` to ``most`` texts of a pattern, one after the other."""

    part: Pattern
    least: int
    most: int


@cache
def _the(kind: type[Pattern], *parts: Any) -> Pattern:
    """Return the one pattern of a kind that has these parts."""
    return kind(*parts)


#: No text at all, and the text without a byte.
NOTHING = _the(_Bytes, frozenset())
END = _the(_Repeat, NOTHING, 0, 0)


def literal(text: str) -> Pattern:
    r"""Return the pattern of one text.

    Parameters
    ----------
    text : str

    Returns
    -------
    Pattern

    Examples
    --------
    >>> from companion.generation import longest
    >>> longest(literal("né"))
    3
    """
    return then(*(_the(_Bytes, frozenset([byte])) for byte in _require_text(text).encode()))


def one_of(allowed: Iterable[int]) -> Pattern:
    r"""Return the pattern of one byte.

    Parameters
    ----------
    allowed : iterable of int
        Bytes, from 0 to 255.

    Returns
    -------
    Pattern

    Raises
    ------
    ValueError
        If there is no byte, or one is out of range.

    Examples
    --------
    >>> from companion.generation import derivative, is_complete
    >>> is_complete(derivative(one_of(b"abc"), b"b"))
    True
    """
    found = frozenset(_require_int("each of allowed", byte, least=0, most=255) for byte in allowed)
    if not found:
        raise ValueError("allowed must hold at least one byte, got none")
    return _the(_Bytes, found)


def then(*parts: Pattern) -> Pattern:
    r"""Return the texts that are made of one text of each pattern, in order.

    Parameters
    ----------
    *parts : Pattern

    Returns
    -------
    Pattern

    Examples
    --------
    >>> from companion.generation import longest
    >>> longest(then(literal("a"), literal("bc")))
    3
    """
    whole: Pattern = END
    for part in reversed(_require_patterns(parts)):
        whole = _joined(part, whole)
    return whole


def either(*choices: Pattern) -> Pattern:
    r"""Return the texts of all of several patterns.

    Parameters
    ----------
    *choices : Pattern

    Returns
    -------
    Pattern

    Examples
    --------
    >>> from companion.generation import is_complete
    >>> is_complete(either(literal("a"), END))
    True
    """
    found: set[Pattern] = set()
    for choice in _require_patterns(choices):
        found |= choice.choices if isinstance(choice, _Either) else {choice}
    found -= {NOTHING}
    return next(iter(found), NOTHING) if len(found) < 2 else _the(_Either, frozenset(found))


def repeat(part: Pattern, least: int, most: int) -> Pattern:
    r"""Return the texts that are made of several texts of a pattern.

    Parameters
    ----------
    part : Pattern
    least, most : int
        How many.

    Returns
    -------
    Pattern

    Raises
    ------
    ValueError
        If ``least`` is negative, or above ``most``.

    Examples
    --------
    >>> from companion.generation import derivative, is_complete
    >>> digits = repeat(one_of(b"0123456789"), 1, 3)
    >>> [is_complete(derivative(digits, text)) for text in (b"7", b"777", b"7777")]
    [True, True, False]
    """
    _require_patterns([part])
    _require_int("least", least, least=0)
    _require_int("most", most, least=least)
    if most == 0 or part is END:
        return END
    if part is NOTHING:
        return NOTHING if least else END
    return part if least == most == 1 else _the(_Repeat, part, least, most)


def _joined(first: Pattern, second: Pattern) -> Pattern:
    """Return a chain that has one form, so that equal patterns are found to be equal."""
    links = []
    while isinstance(first, _Then):
        links.append(first.first)
        first = first.second
    for link in (first, *reversed(links)):
        if NOTHING in (link, second):
            return NOTHING
        if END not in (link, second):
            second = _the(_Then, link, second)
        elif second is END:
            second = link
    return second


def _require_patterns(parts: Iterable[Pattern]) -> list[Pattern]:
    for part in parts:
        if not isinstance(part, Pattern):
            raise TypeError(f"each part must be a Pattern, such as literal('a'), got {part!r}")
    return list(parts)
