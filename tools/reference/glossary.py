"""The directive ``book-glossary``: the book's terms in both languages, from the one table.

The table, ``locale/zh_CN/terms.csv``, is also what translators go by, and what the search finds
terms with. Each term can be linked to with Sphinx's own role ``term``, by any of its names.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from tools.book.term_table import TERMS, Term, read_terms
from tools.pages import tables


def sort_key(name: str) -> str:
    """Return what a name is sorted by: its letters, those of its pinyin where it is Chinese.

    >>> sort_key("KV cache"), sort_key("注意力")
    ('kv cache', 'zhu yi li')
    """
    if name.isascii():
        return name.lower()
    from pypinyin import lazy_pinyin  # reads large dictionaries, which only Chinese needs

    return " ".join(lazy_pinyin(name)).lower()


def by_letter(terms: list[Term], language: str) -> list[tuple[str, list[Term]]]:
    """Return the terms in the order of a language, under their first letters."""
    ordered = sorted(terms, key=lambda term: sort_key(term.name(language)))
    groups = groupby(ordered, key=lambda term: sort_key(term.name(language))[0].upper())
    return [(letter, list(group)) for letter, group in groups]


def letter_id(letter: str) -> str:
    """Return the id of a letter's section."""
    return f"letter-{letter.lower()}"


def letter_ids(letters: list[str]) -> list[list[str]]:
    """Return the ids of each letter's section: its own, and those of the empty letters before.

    So every letter leads somewhere, in both languages; those at the end lead to the last one.

    >>> letter_ids(["B", "Y"])[0]
    ['letter-b', 'letter-a']
    """
    found: list[list[str]] = [[letter_id(letter)] for letter in letters]
    for letter in ascii_uppercase:
        place = next((i for i, own in enumerate(letters) if letter <= own), len(letters) - 1)
        if letter not in letters:
            found[place].append(letter_id(letter))
    return found


class BookGlossary(SphinxDirective):
    """All terms, a section for each letter."""

    def run(self) -> list[nodes.Node]:
        """Return the letters, and under each the table of its terms."""
        path = Path(self.env.srcdir) / TERMS
        self.env.note_dependency(str(path))
        groups = by_letter(read_terms(path), self.config.language)
        ids = letter_ids([letter for letter, _ in groups])
        sections = [tables.section(letter, self.table(terms)) for letter, terms in groups]
        for section, own in zip(sections, ids, strict=True):
            section["ids"] = own
            section["classes"] = ["letter"]
        return [self.letters(), *sections]

    def letters(self) -> nodes.paragraph:
        """Return a line of links to the letters."""
        line = tables.fixed()
        line["classes"].append("letters")
        for letter in ascii_uppercase:
            line += nodes.Text(" ") if line.children else []
            line += nodes.reference("", letter, internal=True, refid=letter_id(letter))
        return line

    def table(self, terms: list[Term]) -> nodes.table:
        """Return the table of the terms under one letter."""
        names = ["English", "Chinese"]
        names = names[::-1] if self.chinese else names
        header = [tables.text_of(self, name) for name in [*names, "Meaning", "Taught in"]]
        return tables.table(header, map(self.row, terms), (20, 15, 43, 22), "terms")

    @property
    def chinese(self) -> bool:
        """Tell whether this is the Chinese edition."""
        return self.config.language.startswith("zh")

    def row(self, term: Term) -> nodes.row:
        """Return a term's row, and make it known to the role ``term``."""
        where = self.state.document.current_source, self.lineno
        domain: Any = self.env.get_domain("std")
        for name in dict.fromkeys(each for n in term.names() for each in (n, n.lower())):
            domain.note_object("term", name, term.identity, location=where)
        names = [tables.fixed(nodes.strong("", term.name(self.config.language)))]
        names.append(tables.fixed(term.term if self.chinese else term.chinese))
        meaning = [tables.text_of(self, term.definition), *self.also(term)]
        return tables.row(*names, meaning, self.places(term), identity=term.identity)

    def also(self, term: Term) -> list[nodes.paragraph]:
        """Return what else a term is called, if it is."""
        if not (others := term.other_names()):
            return []
        line = tables.fixed(nodes.inline("", ", ".join(others)))
        line["classes"].append("also")
        return [line]

    def places(self, term: Term) -> nodes.paragraph:
        """Return the links to where a term is taught."""
        line = tables.fixed()
        for target in term.target.split():
            line += nodes.Text(" ") if line.children else []
            line += tables.place(target)
        return line


def setup(app) -> dict:
    """Register the directive with Sphinx."""
    app.setup_extension("tools.pages.tables")
    app.add_directive("book-glossary", BookGlossary)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
