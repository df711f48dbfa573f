r"""Patterns: sets of texts, and what is left of them once a text has begun.

This file adds: ``literal``, ``one_of``, ``then``, ``either`` and ``repeat``, from which patterns
are made; ``derivative``, which takes off the first byte; ``is_complete``, ``first_bytes`` and
``longest``. A pattern is a regular expression over bytes, written as a tree; after each byte there
is another tree, its derivative (Brzozowski 1964). So a text may go on with a byte exactly if the
derivative is not `NOTHING`. Texts are in UTF-8.

All patterns here are finite: each text of them has at most ``longest(pattern)`` bytes, so whatever
follows a pattern comes to an end.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
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
    "derivative",
    "is_complete",
    "first_bytes",
    "longest",
]


class Pattern:
    r"""A set of texts; the functions of this module make patterns and take them apart.

    Equal patterns are one object, so that to compare two of them takes no time.

    Examples
    --------
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


# -- making patterns -----------------------------------------------------------------------------


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


# -- taking them apart ---------------------------------------------------------------------------


def derivative(pattern: Pattern, text: bytes) -> Pattern:
    r"""Return what may follow a text: the rests of all texts that begin with it.

    .. math:: \partial_w L = \{\, v : wv \in L \,\}

    Parameters
    ----------
    pattern : Pattern
    text : bytes
        The beginning.

    Returns
    -------
    Pattern
        `NOTHING` if no text of the pattern begins so.

    Raises
    ------
    TypeError
        If ``pattern`` is none, or ``text`` no bytes.

    Examples
    --------
    >>> derivative(literal("yes"), b"y") == literal("es")
    True
    >>> derivative(literal("yes"), b"n") == NOTHING
    True
    """
    _require_patterns([pattern])
    if not isinstance(text, bytes):
        raise TypeError(f"text must be bytes, got {type(text).__name__}")
    for byte in text:
        pattern = _derivative(pattern, byte)
    return pattern


@lru_cache(maxsize=2**17)
def _derivative(pattern: Pattern, byte: int) -> Pattern:
    """Take off one byte (Brzozowski 1964, theorem 3.1)."""
    if isinstance(pattern, _Bytes):
        return END if byte in pattern.allowed else NOTHING
    if isinstance(pattern, _Either):
        return either(*(_derivative(choice, byte) for choice in pattern.choices))
    if isinstance(pattern, _Then):
        rest = _joined(_derivative(pattern.first, byte), pattern.second)
        if not is_complete(pattern.first):
            return rest
        return either(rest, _derivative(pattern.second, byte))
    assert isinstance(pattern, _Repeat)
    rest = _derivative(pattern.part, byte)
    if pattern.most == 0 or rest is NOTHING:
        return NOTHING
    return _joined(rest, repeat(pattern.part, max(pattern.least - 1, 0), pattern.most - 1))


@lru_cache(maxsize=2**16)
def is_complete(pattern: Pattern) -> bool:
    r"""Tell whether a text may end here: whether the text without a byte belongs to a pattern.

    Parameters
    ----------
    pattern : Pattern

    Returns
    -------
    bool

    Examples
    --------
    >>> is_complete(END), is_complete(literal("a"))
    (True, False)
    """
    if isinstance(pattern, _Either):
        return any(map(is_complete, pattern.choices))
    if isinstance(pattern, _Then):
        return is_complete(pattern.first) and is_complete(pattern.second)
    return isinstance(pattern, _Repeat) and (pattern.least == 0 or is_complete(pattern.part))


@lru_cache(maxsize=2**16)
def first_bytes(pattern: Pattern) -> frozenset[int]:
    r"""Return the bytes that a text may go on with.

    Parameters
    ----------
    pattern : Pattern

    Returns
    -------
    frozenset of int

    Examples
    --------
    >>> sorted(map(chr, first_bytes(either(literal("yes"), literal("no")))))
    ['n', 'y']
    """
    if isinstance(pattern, _Bytes):
        return pattern.allowed
    if isinstance(pattern, _Either):
        return frozenset[int]().union(*map(first_bytes, pattern.choices))
    if isinstance(pattern, _Then):
        found = first_bytes(pattern.first)
        return found | first_bytes(pattern.second) if is_complete(pattern.first) else found
    assert isinstance(pattern, _Repeat)
    return first_bytes(pattern.part) if pattern.most else frozenset()


@lru_cache(maxsize=2**16)
def longest(pattern: Pattern) -> int:
    r"""Return how many bytes the longest text of a pattern has.

    Parameters
    ----------
    pattern : Pattern

    Returns
    -------
    int

    Examples
    --------
    >>> longest(either(literal("yes"), literal("no")))
    3
    """
    if isinstance(pattern, _Bytes):
        return 1
    if isinstance(pattern, _Either):
        return max(map(longest, pattern.choices))
    if isinstance(pattern, _Then):
        return longest(pattern.first) + longest(pattern.second)
    assert isinstance(pattern, _Repeat)
    return pattern.most * longest(pattern.part)


@lru_cache(maxsize=2**16)
def _shortest(pattern: Pattern) -> int:
    """Return how many bytes the shortest text of a pattern has."""
    if isinstance(pattern, _Bytes):
        return 1
    if isinstance(pattern, _Either):
        return min(map(_shortest, pattern.choices))
    if isinstance(pattern, _Then):
        return _shortest(pattern.first) + _shortest(pattern.second)
    assert isinstance(pattern, _Repeat)
    return pattern.least * _shortest(pattern.part)


def _restricted(pattern: Pattern, allowed: frozenset[int]) -> Pattern:
    """Return the texts of a pattern that are made of these bytes alone."""
    if isinstance(pattern, _Bytes):
        return _the(_Bytes, pattern.allowed & allowed)
    if isinstance(pattern, _Either):
        return either(*(_restricted(choice, allowed) for choice in pattern.choices))
    if isinstance(pattern, _Repeat):
        return repeat(_restricted(pattern.part, allowed), pattern.least, pattern.most)
    links = []
    while isinstance(pattern, _Then):
        links.append(_restricted(pattern.first, allowed))
        pattern = pattern.second
    return then(*links, _restricted(pattern, allowed))
