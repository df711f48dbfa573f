"""The message catalogs as Sphinx reads them, gathered from ``locale/`` into ``_build/.locale``.

What translators write stays as they wrote it; what is derived from it, and what is compiled, goes
there. `DERIVED` names functions that add to a page's catalog what another catalog already says.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polib

from tools.book import phrases, shown_code
from tools.words import exercise_messages

LOCALE = "locale"
SPHINX = "sphinx"  # the name under which Sphinx looks for words that replace its own
# Each takes the book's root, a language and a page, and returns further messages for that page.
DERIVED: list[Callable[[Path, str, str], list[polib.POEntry]]] = []


def shown_sources(root: Path, language: str, page: str) -> list[polib.POEntry]:
    """Return the lines above code that a chapter shows: made by code, so said by code, too."""
    path = root / f"{page}.ipynb"
    if not path.exists():
        return []
    say = phrases.speaker(root, language)
    return [
        polib.POEntry(
            msgid=shown_code.heading(shown, root), msgstr=shown_code.heading(shown, root, say)
        )
        for shown in shown_code.headings(json.loads(path.read_text(encoding="utf-8")))
    ]


DERIVED += [shown_sources, exercise_messages.derive]


def folder(root: Path, language: str) -> Path:
    """Return the folder of a language's catalogs."""
    return root / LOCALE / language / "LC_MESSAGES"


def pages(root: Path, language: str) -> dict[str, Path]:
    """Return a language's catalogs of pages, by the page's name."""
    start = folder(root, language)
    found = {stem(start, path): path for path in start.rglob("*.po")}
    return {name: path for name, path in sorted(found.items()) if is_page(name)}


def is_page(name: str) -> bool:
    """Tell whether a catalog belongs to a page, and not to the theme or to a master."""
    return name != phrases.CATALOG and not name.startswith("exercises/")


def translated(root: Path, language: str) -> list[str]:
    """Return the pages that are listed as translated."""
    path = root / LOCALE / language / "pages.txt"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def entries(root: Path, language: str, page: str) -> polib.POFile:
    """Return a page's catalog, with what is derived for it added."""
    path = folder(root, language) / f"{page}.po"
    catalog = polib.pofile(str(path)) if path.exists() else polib.POFile()
    known = {entry.msgid for entry in catalog}
    for derive in DERIVED:
        for entry in derive(root, language, page):
            if entry.msgid not in known:
                catalog.append(entry)
                known.add(entry.msgid)
    return catalog


def stage(root: Path, language: str) -> Path:
    """Put the catalogs where Sphinx reads them; return the folder of all languages.

    One that says what it said before is not written again: Sphinx would read its page again.
    """
    staged = root / "_build" / ".locale"
    out = staged / language / "LC_MESSAGES"
    texts = {name: str(entries(root, language, name)) for name in translated(root, language)}
    own = phrases.path(root, language)
    if own.exists():
        texts[SPHINX] = own.read_text(encoding="utf-8")
    for path in [p for p in out.rglob("*.?o") if stem(out, p) not in texts]:
        path.unlink()
    for name, text in texts.items():
        write_if_new(out / f"{name}.po", text)
    return staged


def stem(start: Path, path: Path) -> str:
    """Return a catalog's name within a folder."""
    return path.relative_to(start).with_suffix("").as_posix()


def write_if_new(path: Path, text: str) -> None:
    """Write a file, unless that is what it holds."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
