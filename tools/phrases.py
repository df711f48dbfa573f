"""The words that the book's theme and tools say themselves, in each language.

Their catalog is ``locale/<language>/LC_MESSAGES/book.po``. Sphinx reads it in place of its own
(`tools.catalogs` puts it where Sphinx looks); what is said outside of Sphinx asks `speaker`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import polib

CATALOG = "book"


def path(root: Path, language: str) -> Path:
    """Return the catalog of a language."""
    return root / "locale" / language / "LC_MESSAGES" / f"{CATALOG}.po"


def speaker(root: Path, language: str) -> Callable[[str], str]:
    """Return a function from an English phrase to what the language says.

    A phrase that the catalog does not hold stays as it is.
    """
    known = _phrases(path(root, language))
    return lambda phrase: known.get(phrase, phrase)


@cache
def _phrases(catalog: Path) -> dict[str, str]:
    if not catalog.exists():
        return {}
    return {entry.msgid: entry.msgstr for entry in polib.pofile(str(catalog)) if entry.translated()}
