"""Columns: how wide a text is where every letter is as wide as the next, and lines made of it."""

from __future__ import annotations

import re
from unicodedata import east_asian_width

# What is not torn apart: words, with what may not begin a line after them, and blanks.
UNIT = re.compile(r"(?:[\x21-\x7e]+|[^\x20-\x7e])[，。；：？！、）」』”’…]*[ \t]*")


def columns_of(text: str) -> int:
    """Return how wide a line is: a Chinese character takes two columns.

    >>> columns_of("词元 = 2")
    8
    """
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def in_lines(text: str, count: int) -> list[str]:
    """Return a text cut into `count` lines, as equal as can be; put together they are the text.

    >>> in_lines("每个词元一行，共 12 行", 2)
    ['每个词元一', '行，共 12 行']
    """
    if count == 1:
        return [text]
    units = UNIT.findall(text)
    for width in range(columns_of(text) // count, columns_of(text) + 1):
        lines = _filled(units, width)
        if len(lines) <= count:
            break
    return lines + [""] * (count - len(lines))


def _filled(units: list[str], width: int) -> list[str]:
    lines = [""]
    for unit in units:
        if lines[-1] and columns_of((lines[-1] + unit).rstrip()) > width:
            lines.append("")
        lines[-1] += unit
    return lines
