"""Pieces of plain Markdown: text that is no markup, emphasis that is, formulas on one line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

SPECIAL = re.compile(r"([\\`*<$~]|(?<!\w)_|_(?!\w))")
BRACKETS = str.maketrans({"[": "&#91;", "]": "&#93;"})  # \[ would begin a formula for some
ENTITY = re.compile(r"&(?=#?\w+;)")
AT_START = re.compile(r"^(?:(>|#+(?=\s|$)|[-+](?=\s|$))|(\d+)([.)])(?=\s|$)|([=|:-]{3,}))")
SPACES = re.compile(r"\s+")
INNERMOST = re.compile(r"\\begin\{(\w+\*?)\}(?:(?!\\begin\{).)*?\\end\{\1\}")


def longest_run(sign: str, text: str) -> int:
    """Return how many of a sign follow one another at most."""
    return max((len(run) for run in re.findall(f"{re.escape(sign)}+", text)), default=0)


def escape(text: str) -> str:
    r"""Return text in which no character is taken for markup.

    >>> escape("2 * 3 < 7, snake_case, [x]")
    '2 \\* 3 \\< 7, snake_case, &#91;x&#93;'
    """
    text = SPECIAL.sub(r"\\\1", ENTITY.sub("&amp;", SPACES.sub(" ", text)))
    return text.translate(BRACKETS)


def at_start(line: str) -> str:
    r"""Return a line whose beginning is not taken for a heading, a list or a quotation.

    >>> at_start("1. is not a list"), at_start("# neither a heading")
    ('1\\. is not a list', '\\# neither a heading')
    """
    match = AT_START.match(line)
    if not match:
        return line
    place = match.end(2) if match[2] else 0
    return f"{line[:place]}\\{line[place:]}"


def quoted(text: str) -> str:
    """Return lines as a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def indented(text: str, marker: str) -> str:
    """Return lines as a list item."""
    first, *others = text.split("\n")
    pad = " " * len(marker)
    return "\n".join([marker + first, *(pad + line if line else "" for line in others)])


def joined(blocks: Iterable[str]) -> str:
    """Return blocks parted by blank lines, empty ones left out."""
    return "\n\n".join(block for block in blocks if block.strip())


def is_word(character: str) -> bool:
    """Tell whether a character is neither a space nor punctuation, as Markdown sees it."""
    return unicodedata.category(character)[0] in "LNM"


def marked(sign: str, text: str, before: str = "", after: str = "") -> str:
    r"""Return text as emphasis (``*``) or strong (``**``), with the spaces at its ends outside.

    Where punctuation inside touches a letter outside, as happens in Chinese, the signs would be
    taken for stars; then it is written in HTML.

    >>> marked("**", "bold."), marked("**", "粗体。", after="然")
    ('**bold.**', '<strong>粗体。</strong>')
    """
    inner = text.strip()
    if not inner:
        return text
    start, end = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    opens = start or not before or is_word(inner[0]) or not is_word(before[-1])
    closes = end or not after or is_word(inner[-1]) or not is_word(after[0])
    if opens and closes:
        return f"{start}{sign}{inner}{sign}{end}"
    tag = "em" if sign == "*" else "strong"
    return f"{start}<{tag}>{inner}</{tag}>{end}"


def display_tex(source: str) -> str:
    r"""Return a formula on one line, so that a quotation's marks cannot get into it.

    Blank lines part equations, and ``\\`` outside of all environments breaks one.

    >>> display_tex("a &= b \\\\\nc &= d")
    '\\begin{split}a &= b \\\\ c &= d\\end{split}'
    """
    parts = [SPACES.sub(" ", part).strip() for part in re.split(r"\n\s*\n", source)]
    parts = [_split(part) for part in parts if part]
    if len(parts) < 2:
        return "".join(parts)
    lines = r" \\ ".join(parts)
    return rf"\begin{{gathered}}{lines}\end{{gathered}}"


def _split(tex: str) -> str:
    outside = tex
    while (less := INNERMOST.sub("", outside)) != outside:
        outside = less
    return rf"\begin{{split}}{tex}\end{{split}}" if r"\\" in outside else tex
