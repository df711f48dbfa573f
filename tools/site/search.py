"""Search by the names of terms, and in Chinese without a dictionary.

What a term of the glossary is called, abbreviations and synonyms in both languages included, is
an entry of the search index, which leads to where the term is taught.

Chinese puts no spaces between words, so every two neighbouring characters are taken for a word.
Whoever looks for 注意力 asks for pages on which both 注意 and 意力 occur; that needs no word list
of 19 MB, neither at build time nor in the browser, finds terms that no dictionary has, and cannot
cut the page one way and the question another.
``web/js/search.js`` shows and marks what was asked for as it was asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.search import languages
from sphinx.search.zh import SearchChinese

from tools.book import term_table

GLOSSARY = "chapters/appendix/glossary"
HAN = re.compile("[\u3400-\u9fff]+")
LATIN = re.compile(r"[^\W_\u3400-\u9fff]+(?:_[^\W_\u3400-\u9fff]+)*")
SPLITTER = r"""
var splitQuery = (query) => {
  const other = "(?:(?![\\u3400-\\u9fff])[\\p{L}\\p{N}])+";
  const runs = query.match(new RegExp(`[\\u3400-\\u9fff]+|${other}(?:_${other})*`, "gu")) ?? [];
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


def places_of(term: term_table.Term) -> Iterator[tuple[str, str]]:
    """Yield the pages and anchors where a term is taught, and where it is defined."""
    for place in (*term.target.split(), f"{GLOSSARY}#{term.identity}"):
        page, _, anchor = place.partition("#")
        yield page, anchor


def index_terms(app) -> list:
    """Put the names of all terms into the search index, before it is written; add no page."""
    path = Path(app.srcdir) / term_table.TERMS
    if not app.builder.search or not path.exists():
        return []
    entries = app.builder.indexer._index_entries
    for term in term_table.read_terms(path):
        known = (place for place in places_of(term) if place[0] in app.env.found_docs)
        page, anchor = next(known, (None, ""))
        if page:
            new = {(name, anchor, "main") for name in term.names()}
            entries[page] = sorted({*entries.get(page, []), *new})
    return []


def setup(app) -> dict:
    """Register the language in place of Sphinx's own, and the terms."""
    languages["zh"] = Chinese
    app.connect("html-collect-pages", index_terms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
