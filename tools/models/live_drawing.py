"""Draw a live model's stored answer as SVG, for where nothing can run.

`draw` shows a model from inside: above, the probabilities of what comes next, the model's and the
grammar's; below, one attention map. `draw_sampled` shows what samplers leave of its answer. Both
are drawn when the book is built, so that they always show what is stored.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from tools.book.columns import columns_of
from tools.book.phrases import N_
from tools.models import live_sampling

WIDTH = 340
ROW, BAR = 20, 7  # of a candidate: its height, and that of each of its bars
BARS, NUMBERS = 80, 290  # where bars begin, and where they end at the latest
ENDS = 235  # and there where two numbers stand behind them
LINE, LETTER = 18, 12
LETTERS = 48  # in a line of the story
NAMES = 80  # room for the names of tokens beside and above a map
BLUE, OCHRE, RED, GREY, VIOLET = "#1c5d8f", "#7d5300", "#b3441e", "#565e69", "#6a4397"
NEXT = N_("What comes next")

Say = Callable[[str], str]


def draw(answer: dict[str, Any], say: Say) -> str:
    """Return a drawing of a stored answer, in the words of an edition."""
    story = wrapped("".join(answer["tokens"][1:]))
    parts = [text(0, 14 + LINE * i, line, weight=600) for i, line in enumerate(story)]
    top = LINE * len(story) + 22
    parts += candidates(answer["next"], top, say)
    top += ROW * len(answer["next"]) + 40
    parts += attention_map(answer, top, say)
    high = top + NAMES + cell(answer) * len(answer["tokens"]) + 2
    return page_of(parts, high)


def draw_sampled(answer: dict[str, Any], names: list[str], say: Say) -> str:
    """Return a drawing of a stored answer, and of what the samplers leave of it at first.

    Where a poem was written it stands above.
    """
    story = wrapped("".join(answer["tokens"][1:]))
    if "written" in answer:
        story = couplets("".join([*answer["tokens"][1:], *answer["written"]]))
    parts = [text(0, 14 + LINE * i, line, weight=600) for i, line in enumerate(story)]
    top = LINE * len(story) + 22
    shown = live_sampling.candidates(answer, names)
    parts += sampled(shown, top, say, has_truth=bool(answer["truth"]))
    high = top + ROW * (len(shown) + 1)
    return page_of(parts, high)


def couplets(poem: str) -> list[str]:
    """Return what stands between two full stops of a poem: two of its lines.

    >>> couplets("床前看月光，疑是地上霜。舉頭望山月")
    ['床前看月光，疑是地上霜。', '舉頭望山月']
    """
    return re.findall("[^。？！]+[。？！]?", poem)


def sampled(shown: list[list[Any]], top: int, say: Say, *, has_truth: bool = True) -> Iterator[str]:
    """Yield what may come next, each with what was expected, what is left, and a line at the truth.

    The name of a token that is left out is struck through. Where nobody knows the truth there is
    no line.
    """
    largest = max(max(shares) for _, *shares in shown)
    setting = say("Top-p {p}").format(p=f"{live_sampling.at_first()['p']:g}")
    yield text(0, top, setting, weight=600)
    legend = ((118, BLUE, N_("Model")), (194, VIOLET, N_("Kept")), (262, OCHRE, N_("Grammar")))
    for x, colour, word in legend if has_truth else legend[:-1]:
        yield box(x, top - 9, 9, 9, colour) + text(x + 13, top, say(word))
    for i, (token, p, left, q) in enumerate(shown):
        y = top + 10 + ROW * i
        style = "" if left else ' text-decoration="line-through"'
        yield text(0, y + 12, token.strip(), more=style)
        for share, colour, down in ((p, BLUE, 0), (left, VIOLET, BAR)):
            yield box(BARS, y + down, share / largest * (ENDS - BARS), BAR - 1, colour)
        if q:
            yield box(BARS - 1 + q / largest * (ENDS - BARS), y - 1, 3, 2 * BAR + 1, OCHRE)
        yield text(WIDTH - 54, y + 12, f"{100 * p:.1f}%", anchor="end")
        after = f"{100 * left:.1f}%" if left else say("cut")
        yield text(WIDTH, y + 12, after, anchor="end")


def page_of(parts: list[str], high: float) -> str:
    """Return the SVG that holds all parts."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" '
        f'font-family="sans-serif" font-size="{LETTER}">{"".join(parts)}</svg>'
    )


def wrapped(story: str) -> list[str]:
    """Return a story in lines; Chinese, whose characters are twice as wide, anywhere."""
    wide = columns_of(story) > 1.5 * len(story)
    return textwrap.wrap(story, LETTERS // 2 if wide else LETTERS)


def candidates(shown: list[list[Any]], top: int, say: Say) -> Iterator[str]:
    """Yield what may come next, each with two bars and two numbers."""
    largest = max(max(p, q) for _, p, q in shown)
    yield text(0, top, say(NEXT), weight=600)
    for x, colour, word in ((190, BLUE, say("Model")), (262, OCHRE, say("Grammar"))):
        yield box(x, top - 9, 9, 9, colour) + text(x + 13, top, word)
    for i, (token, p, q) in enumerate(shown):
        y = top + 10 + ROW * i
        yield text(0, y + 12, token.strip())
        for share, colour, down in ((p, BLUE, 0), (q, OCHRE, BAR)):
            yield box(BARS, y + down, share / largest * (NUMBERS - BARS), BAR - 1, colour)
        yield text(WIDTH, y + 12, f"{100 * p:.1f}%", anchor="end")


def cell(answer: dict[str, Any]) -> int:
    """Return how large a weight is drawn."""
    return (WIDTH - NAMES - 2) // len(answer["tokens"])


def attention_map(answer: dict[str, Any], top: int, say: Say) -> Iterator[str]:
    """Yield the map of the head that is chosen at first: a row for each token."""
    (block, head), size = answer["head"], cell(answer)
    title = say("Block {block}, head {head}").format(block=block + 1, head=head + 1)
    yield text(0, top, title, weight=600)
    yield f'<g font-size="{min(LETTER, size)}">'
    for i, token in enumerate(answer["tokens"]):
        yield above(NAMES + size * (i + 0.5), top + NAMES - 6, token.strip())
    for i, row in enumerate(answer["attention"][block][head]):
        colour, y = RED if i == answer["at"] else GREY, top + NAMES + size * i
        name = answer["tokens"][i].strip()
        yield text(NAMES - 6, y + 0.8 * size, name, anchor="end", colour=colour)
        for j, weight in enumerate(row):
            more = f' fill-opacity="{weight}" stroke="#ddd7ca"'
            yield box(NAMES + size * j, y, size, size, BLUE, more)
    yield "</g>"


def above(x: float, y: float, name: str) -> str:
    """Return the name of a column: a single letter stands upright."""
    if len(name) == 1:
        return text(x, y, name, anchor="middle")
    return text(x + 4, y, name, more=f' transform="rotate(-90 {x + 4:.1f} {y:.1f})"')


def text(
    x: float,
    y: float,
    words: str,
    weight: int = 400,
    anchor: str = "start",
    colour: str = "#1d232b",
    more: str = "",
) -> str:
    """Return words that begin, or end, at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-weight="{weight}" '
        f'text-anchor="{anchor}"{more}>{escape(words)}</text>'
    )


def box(x: float, y: float, width: float, height: float, colour: str, more: str = "") -> str:
    """Return a filled rectangle."""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'fill="{colour}"{more}/>'
    )
