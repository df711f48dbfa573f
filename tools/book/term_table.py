"""The book's terms in both languages, from their one table.

Translators go by it, the glossary is made from it, and the search finds terms with it.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from docutils import nodes

TERMS = Path("locale") / "zh_CN" / "terms.csv"
COLUMNS = ["term", "chinese", "definition", "target"]
OTHER_NAMES = ["abbreviation", "synonyms", "chinese_synonyms"]


@dataclass(frozen=True)
class Term:
    """A term in both languages, what it means, and where it is taught (places, by spaces).

    Synonyms are separated by semicolons.
    """

    term: str
    chinese: str
    definition: str
    target: str
    abbreviation: str = ""
    synonyms: str = ""
    chinese_synonyms: str = ""

    @property
    def identity(self) -> str:
        """Return the id by which the term is linked to."""
        return f"term-{nodes.make_id(self.term)}"

    def name(self, language: str) -> str:
        """Return the term in a language."""
        return self.chinese if language.startswith("zh") else self.term

    def other_names(self) -> list[str]:
        """Return the abbreviation and the synonyms in both languages."""
        listed = "; ".join([self.abbreviation, self.synonyms, self.chinese_synonyms])
        return [name for name in listed.split("; ") if name]

    def names(self) -> list[str]:
        """Return all that the term is called, each once."""
        return list(dict.fromkeys([self.term, self.chinese, *self.other_names()]))


def read_terms(path: Path) -> list[Term]:
    """Return the terms of the table."""
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if reader.fieldnames not in (COLUMNS, COLUMNS + OTHER_NAMES):
            raise ValueError(f"{path.name} must have the columns {COLUMNS + OTHER_NAMES}")
        return [Term(**line) for line in reader]
