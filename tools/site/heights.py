"""How high each section will be, about, said beforehand.

Browsers lay out a section only when a reader comes near it. Without a guess of its height the
page would grow and shrink while it is read. The guess adds up what stands in the section: lines
of text and of code, pictures, formulas, rows of tables. It is made twice, for a phone and for a
desk, and is within a few percent for a page; `book.js` replaces it once a reader begins to move.

Pages without code say nothing: tables of formulas are hard to guess, and they are laid out at once.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

from tools.book.columns import columns_of
from tools.site.page_context import TAG

CODE_CELL = '<div class="cell '
SECTION = re.compile(r"<section\b|</section>")
FOLDED = re.compile(r"<details\b.*?</details>", re.DOTALL)
PICTURE = re.compile(r'<img\b[^>]*\bwidth="(\d+)" height="(\d+)"')
CODE = re.compile(r"<pre>(.*?)</pre>", re.DOTALL)
FORMULA = re.compile(
    r'<div class="math-body" style="--high:([\d.]+)">.*?</div>(?=\s*(?:<span class="eqno|</div>))',
    re.DOTALL,
)
LIVE = re.compile(r'<div class="live".*?<!-- end of live -->', re.DOTALL)
UNSEEN = re.compile(r"<math.*?</math>", re.DOTALL)  # formulas stand in the page a second time
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELL = re.compile(r"<t[dh]\b[^>]*>(.*?)</t[dh]>", re.DOTALL)
HEADING = re.compile(r"<h[2-6]\b")
BLOCK = re.compile(
    r"<(?:p|li|h[1-6]|dt|dd|figcaption)\b[^>]*>(.*?)"
    r"(?=</?(?:p|li|h[1-6]|dt|dd|figcaption|div|ul|ol|dl)\b)",
    re.DOTALL,
)
# What comes with each picture, block of code and so on besides its lines, in rem: mostly margins.
AROUND = {"picture": 2.1, "code": 2.5, "formula": 3.2, "block": 0.75, "folded": 7.0, "heading": 1.8}
FORMULA_SIZE = 1.2  # an em of a displayed formula, in rem
CHINESE = 1.1  # how much higher lines are in Chinese
ROOT_SIZE = 16  # pixels in a rem


@dataclass(frozen=True)
class Window:
    """A kind of window: how wide things are in it, and how high its lines are, in rem."""

    picture: int  # pixels
    text: int  # letters in a line
    line: float
    code: int  # letters in a line
    code_line: float
    cell: int  # letters in a line of a table's cell, at most
    row: int  # letters in a line of all cells of a row
    stacked: bool  # whether cells stand below one another
    live: float  # how high a live model is, in rem


WINDOWS = {
    "phone": Window(358, 40, 1.77, 48, 1.2, 38, 38, stacked=True, live=113),
    "desk": Window(704, 67, 1.92, 86, 1.35, 24, 76, stacked=False, live=71),
}


def words_of(markup: str) -> str:
    """Return the text of a piece of HTML."""
    return html.unescape(TAG.sub("", UNSEEN.sub("", markup))).strip()


def lines_of(text: str, width: int) -> int:
    """Return how many lines a text takes."""
    return ceil(columns_of(text) / width)


def code_lines_of(row: str, width: int) -> int:
    """Return how many lines a line of code takes; what goes on below is indented by four more.

    >>> code_lines_of(8 * " " + 40 * "x", 48), code_lines_of(8 * " " + 77 * "x", 48)
    (1, 3)
    """
    indent = len(row) - len(row.lstrip())
    beyond = max(0, columns_of(row) - width)
    return 1 + ceil(beyond / max(1, width - indent - 4))


def height(section: str, window: Window, chinese: bool) -> float:
    """Return about how high a section is in a window, in rem.

    >>> height("<p>word</p>", WINDOWS["desk"], chinese=False)
    2.67
    """
    line = window.line * (CHINESE if chinese else 1)
    total = len(FOLDED.findall(section)) * AROUND["folded"]
    total += len(LIVE.findall(section)) * window.live
    section = LIVE.sub("", FOLDED.sub("", section))
    total += len(HEADING.findall(section)) * AROUND["heading"]
    for wide, high in PICTURE.findall(section):
        shrunk = min(1, window.picture / int(wide))
        total += int(high) * shrunk / ROOT_SIZE + AROUND["picture"]
    for code in CODE.findall(section):
        rows = (code_lines_of(row, window.code) for row in words_of(code).split("\n"))
        total += sum(rows) * window.code_line + AROUND["code"]
    for high in FORMULA.findall(section):
        total += float(high) * FORMULA_SIZE + AROUND["formula"]
    for table in TABLE.findall(section):
        total += sum(row_height(row, window) for row in ROW.findall(table)) * line
    for each in (CODE, FORMULA, TABLE):
        section = each.sub("", section)
    for text in filter(None, map(words_of, BLOCK.findall(section))):
        total += lines_of(text, window.text) * line + AROUND["block"]
    return round(total, 2)


def row_height(row: str, window: Window) -> float:
    """Return how high a table's row is, in lines of text: its letters are smaller."""
    texts = [words_of(cell) for cell in CELL.findall(row)]
    if window.stacked:
        lines = sum(lines_of(text, window.cell) for text in texts)
    else:
        width = min(window.cell, window.row // max(1, len(texts)))
        lines = max((lines_of(text, width) for text in texts), default=0)
    return 0.75 * lines + 0.5


def starts(body: str) -> Iterator[tuple[int, int]]:
    """Yield where the sections within a page's one section begin and end."""
    depth, start = 0, 0
    for match in SECTION.finditer(body):
        opens = match[0] != "</section>"
        if opens and depth == 1:
            start = match.end()
        depth += 1 if opens else -1
        if not opens and depth == 1:
            yield start, match.start()


def with_heights(body: str, chinese: bool) -> str:
    """Return a page's body whose sections say how high they will be."""
    parts, done = [], 0
    for start, end in starts(body):
        said = ";".join(
            f"--{name}:{height(body[start:end], window, chinese):.0f}"
            for name, window in WINDOWS.items()
        )
        parts += [body[done:start], f' style="{said}"']
        done = start
    return "".join([*parts, body[done:]])


def say_heights(app, _pagename, _template, context, _doctree) -> None:
    """Rewrite a page with code, whose pictures have their sizes by now."""
    if CODE_CELL in context.get("body", ""):
        chinese = (app.config.language or "").startswith("zh") and not context.get("in_english")
        context["body"] = with_heights(context["body"], chinese)


def setup(app) -> dict:
    """Register the rewriting with Sphinx."""
    app.connect("html-page-context", say_heights, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
