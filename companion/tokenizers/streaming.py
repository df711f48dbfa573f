r"""Texts that come in pieces, such as the lines of a file that is larger than the memory.

A piece may end anywhere: in the middle of a word, of blanks, of a special token's name. So what
has come is held back from the last place on at which every tokenizer of its kind starts afresh,
whatever follows.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import regex

from companion._arguments import _require_iterable, _require_text

__all__ = ["AFTER_WORDS", "ANYWHERE", "NOWHERE", "parts", "split_at"]

BLOCK = 1 << 12  # characters that are gathered at least
#: Between any two characters; and nowhere.
ANYWHERE, NOWHERE = r"(?r)(?s:(?=.))", r"(?r)(?!)"
#: Where the patterns of GPT-2 and GPT-4 always begin a new word, and never look back: after
#: letters or digits as soon as something else comes, and after signs before a digit or a blank.
#: (But not before the end of a line: GPT-4 lets line breaks belong to the signs before them.)
AFTER_WORDS = r"(?r)(?<=\p{L})(?=\P{L})|(?<=\p{N})(?=\P{N})|(?<=[^\s\p{L}\p{N}])(?=\p{N}|[^\S\r\n])"


def split_at(names: Iterable[str], text: str) -> list[str]:
    r"""Cut a text before and after each of these names; the longest that fits is taken.

    Parameters
    ----------
    names : iterable of str
    text : str

    Returns
    -------
    list of str
        Every other one is a name.

    Examples
    --------
    >>> split_at(["<a>", "<a>b"], "x<a>y<a>b")
    ['x', '<a>', 'y', '<a>b', '']
    """
    found = _names(names)
    return [text] if found is None else found.split(text)


def _names(names: Iterable[str]) -> Any:
    """Return a pattern of names, the longest first; None if there are none."""
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        return None
    return regex.compile(f"({'|'.join(regex.escape(name) for name in longest_first)})")


def parts(texts: Iterable[str], names: Iterable[str], cut: str) -> Iterator[str]:
    r"""Yield a text that comes in pieces in parts that can be encoded one by one.

    Parameters
    ----------
    texts : iterable of str
        The pieces, cut anywhere.
    names : iterable of str
        Special tokens; each of them becomes a part.
    cut : str
        A pattern that matches, from the right, the empty text where a tokenizer starts afresh.

    Yields
    ------
    str

    Raises
    ------
    TypeError
        If a piece is no text.

    Examples
    --------
    >>> list(parts(["a<", "b>c"], ["<b>"], ANYWHERE))
    ['a', '<b>', 'c']
    """
    names, pattern = list(names), regex.compile(cut)
    special, longest = _names(names), max(map(len, names), default=1)
    held, checked = "", 0  # what is not cut yet, and up to where there is no place to cut
    for more in _gathered(texts):
        held += more
        start, known = 0, len(held) - longest + 1  # no name that is not whole begins before it
        for found in special.finditer(held, checked) if special else ():
            if found.start() >= known:
                break
            yield from filter(None, (held[start : found.start()], found.group()))
            start = found.end()
        place = pattern.search(held, max(start, checked), max(start, known))
        end = place.start() if place else start
        if end > start:
            yield held[start:end]
        held = held[end:]
        checked = max(known - end - 1, 0)
    yield from filter(None, split_at(names, held))


def _gathered(texts: Iterable[str]) -> Iterator[str]:
    """Yield pieces together: to look at each letter by itself would take long."""
    pieces: list[str] = []
    size = 0
    for text in _require_iterable(texts, "texts"):
        pieces.append(_require_text(text, "each of texts"))
        size += len(text)
        if size >= BLOCK:
            yield "".join(pieces)
            pieces, size = [], 0
    yield "".join(pieces)
