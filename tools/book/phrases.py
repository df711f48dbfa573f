"""The words that the book's theme and tools say themselves, in each language.

Their catalog is ``locale/<language>/LC_MESSAGES/book.po``. Sphinx reads it in place of its own
(`tools.words.catalogs` puts it where Sphinx looks); what is said outside of Sphinx asks `speaker`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import polib
from babel.messages import extract as babel

from tools.book import contents

CATALOG = "book"
SOURCES = {
    "web/**/*.html": "jinja2.ext:babel_extract",
    "tools/**/*.py": "python",
}
KEYWORDS = {"_": None, "N_": None, "say": None}


def path(root: Path, language: str) -> Path:
    """Return the catalog of a language."""
    return root / "locale" / language / "LC_MESSAGES" / f"{CATALOG}.po"


def speaker(root: Path, language: str) -> Callable[[str], str]:
    """Return a function from an English phrase to what the language says.

    A phrase that the catalog does not hold stays as it is.
    """
    catalog = path(root, language)
    known = _phrases(catalog, catalog.stat().st_mtime_ns) if catalog.exists() else {}
    return lambda phrase: known.get(phrase, phrase)


@cache
def _phrases(catalog: Path, _changed: int) -> dict[str, str]:
    return {entry.msgid: entry.msgstr for entry in polib.pofile(str(catalog)) if entry.translated()}


def N_(phrase: str) -> str:
    """Mark a phrase that is said elsewhere, in the language of the page."""
    return phrase


def extract(root: Path) -> list[str]:
    """Return every phrase of the theme and the tools, and what the settings say."""
    settings = contents.settings(root)
    found = [settings["title"], settings["author"]]
    for pattern, form in SOURCES.items():
        for file in sorted(contents.ROOT.glob(pattern)):
            with file.open("rb") as lines:
                found += [m[1] for m in babel.extract(form, lines, keywords=KEYWORDS)]
    return list(dict.fromkeys(found))
