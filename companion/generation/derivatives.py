r"""What is left of a pattern once a text has begun.

This file adds: ``derivative``, which takes off the first bytes; ``is_complete``, ``first_bytes``
and ``longest``. After each byte of a text there is another pattern, of all that may follow, the
derivative (Brzozowski 1964). So a text may go on with a byte exactly if the derivative is not
`NOTHING`, and may end where it is complete.
"""

from functools import lru_cache

from companion.generation.patterns import (
    END,
    NOTHING,
    Pattern,
    _Bytes,
    _Either,
    _joined,
    _Repeat,
    _require_patterns,
    _the,
    _Then,
    either,
    repeat,
    then,
)

__all__ = ["derivative", "is_complete", "first_bytes", "longest"]


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
    >>> from companion.generation import literal
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
    >>> from companion.generation import literal
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
    >>> from companion.generation import literal
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
    >>> from companion.generation import literal
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
