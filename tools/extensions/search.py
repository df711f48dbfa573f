"""Search in Chinese without a dictionary: every two neighbouring characters are a word.

Chinese puts no spaces between words. Whoever looks for 注意力 asks for pages on which both 注意 and
意力 occur; that needs no word list of 19 MB, neither at build time nor in the browser, finds terms
that no dictionary has, and cannot cut the page one way and the question another.
``web/js/search.js`` shows and marks what was asked for as it was asked.
"""

from __future__ import annotations

import re

from sphinx.search import languages
from sphinx.search.zh import SearchChinese

HAN = re.compile("[\u3400-\u9fff]+")
LATIN = re.compile(r"[^\W_\u3400-\u9fff]+(?:_[^\W_\u3400-\u9fff]+)*")
SPLITTER = r"""
var splitQuery = (query) => {
  const runs = query.match(/[\u3400-\u9fff]+|[^\W_]+(?:_[^\W_]+)*/gu) ?? [];
  return runs.flatMap((run) => {
    if (!/[\u3400-\u9fff]/.test(run) || run.length < 3) return [run];
    return Array.from({ length: run.length - 1 }, (_, start) => run.slice(start, start + 2));
  });
};
"""


def pairs(text: str) -> list[str]:
    """Return the characters of a run, and each with its neighbour.

    >>> pairs("注意力")
    ['注', '意', '力', '注意', '意力']
    """
    return [*text, *(text[i : i + 2] for i in range(len(text) - 1))]


class Chinese(SearchChinese):
    """Chinese by pairs of characters, Latin words by their stems."""

    js_splitter_code = SPLITTER

    def split(self, input: str) -> list[str]:
        """Return the words of a text."""
        return [p for run in HAN.findall(input) for p in pairs(run)] + LATIN.findall(input)

    def word_filter(self, stemmed_word: str) -> bool:
        """Tell whether a word is kept: all Chinese ones, and Latin ones of two letters or more."""
        return bool(HAN.match(stemmed_word)) or super().word_filter(stemmed_word)


def setup(app) -> dict:
    """Register the language in place of Sphinx's own."""
    languages["zh"] = Chinese
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
