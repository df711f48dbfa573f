"""The message catalogs as Sphinx reads them, gathered from ``locale/`` into ``_build/.locale``.

What translators write stays as they wrote it; what is derived from it, and what is compiled, goes
there. `DERIVED` names functions that add to a page's catalog what another catalog already says.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polib

from tools import exercise_messages, phrases

LOCALE = "locale"
SPHINX = "sphinx"  # the name under which Sphinx looks for words that replace its own
# What `companion.notebook.show` writes above code: made by code, so said by code, too.
SHOWN = re.compile(r"^(`[\w.]+`) · \[source, lines (\d+) to (\d+)\]\((\S+)\)$", re.MULTILINE)
SHOWN_SAID = phrases.N_("{0} · [source, lines {1} to {2}]({3})")
# Each takes the book's root, a language and a page, and returns further messages for that page.
DERIVED: list[Callable[[Path, str, str], list[polib.POEntry]]] = []


def shown_sources(root: Path, language: str, page: str) -> list[polib.POEntry]:
    """Return the lines that name the source of code shown in a chapter."""
    path = root / f"{page}.ipynb"
    if not path.exists():
        return []
    form = phrases.speaker(root, language)(SHOWN_SAID)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = (output.get("data", {}) for cell in cells for output in cell.get("outputs", []))
    texts = ("".join(data.get("text/markdown", "")) for data in outputs)
    found = (match for text in texts for match in SHOWN.finditer(text))
    return [polib.POEntry(msgid=m[0], msgstr=form.format(*m.groups())) for m in found]


DERIVED += [shown_sources, exercise_messages.derive]


def folder(root: Path, language: str) -> Path:
    """Return the folder of a language's catalogs."""
    return root / LOCALE / language / "LC_MESSAGES"


def pages(root: Path, language: str) -> dict[str, Path]:
    """Return a language's catalogs of pages, by the page's name."""
    start = folder(root, language)
    found = {
        path.relative_to(start).with_suffix("").as_posix(): path for path in start.rglob("*.po")
    }
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
    """Put the catalogs where Sphinx reads them; return the folder of all languages."""
    staged = root / "_build" / ".locale"
    out = staged / language / "LC_MESSAGES"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name in translated(root, language):
        catalog = entries(root, language, name)
        path = out / f"{name}.po"
        path.parent.mkdir(parents=True, exist_ok=True)
        catalog.save(str(path))
    own = phrases.path(root, language)
    if own.exists():
        shutil.copy(own, out / f"{SPHINX}.po")
    return staged
