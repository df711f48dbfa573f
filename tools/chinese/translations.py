"""Bring the message catalogs up to date and say what is missing: ``make translations``.

For each page there is a catalog, ``locale/<language>/LC_MESSAGES/<page>.po``. An update keeps what
is translated, takes a changed message's old translation over as *fuzzy* (with what the message
was before), and drops what the page no longer says. Messages without words (formulas, code,
numbers) are left out. Catalogs carry no dates and no line numbers, so that they change only when
the text does.

Pages that are translated are listed in ``locale/<language>/pages.txt``; the others are built in
English, with a note. With ``--check`` nothing is written, and on a listed page anything that is
fuzzy or against the rules (`tools.words.translation_checks`) is a failure. So is what a chapter has
missing. The landing page and the appendices speak of all chapters, also of one that is not
translated yet: there a missing message appears in English. ``--release`` refuses that as well, and
pages that are not listed.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import sys
from dataclasses import dataclass, field
from pathlib import Path

import polib

from tools.book import contents, phrases
from tools.pages import editions
from tools.words import catalogs, exercise_messages
from tools.words import translation_checks as checks

ROOT = contents.ROOT
WIDTH = 100
ALIKE = 0.6  # how alike two messages must be for one to be the other, changed
HEADER = {
    "Project-Id-Version": "Large Models from Scratch",
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=UTF-8",
    "Content-Transfer-Encoding": "8bit",
}


@dataclass
class State:
    """How far a catalog has come."""

    name: str
    listed: bool
    whole: bool  # whether nothing may be missing
    translated: int = 0
    missing: list[str] = field(default_factory=list)
    fuzzy: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    current: bool = True

    @property
    def fails(self) -> bool:
        """Tell whether something is wrong that must not be."""
        wrong = self.listed and (self.fuzzy or self.problems)
        gaps = self.whole and (self.missing or not self.current or not self.listed)
        return bool(wrong or gaps)


# -- what the book says --------------------------------------------------------------------------


def messages(root: Path) -> dict[str, list[str]]:
    """Return what each page says in English, in order, as Sphinx extracts it."""
    english = editions.EDITIONS[0]
    with editions.alone(root):
        static, modules = editions.stage(root)
        config = editions.sphinx_config(root, static, modules, english)
        failed = editions.run("gettext", root, english, config)
    if failed:
        raise RuntimeError("the messages could not be extracted: see the warnings above")
    folder = editions.place("gettext", root, english)
    pages = {page: folder / f"{page}.pot" for page in contents.pages(root)}
    return {
        page: [e.msgid for e in polib.pofile(str(path))] if path.exists() else []
        for page, path in pages.items()
    }


def all_messages(root: Path, language: str) -> dict[str, list[str]]:
    """Return the messages of each catalog that this tool keeps."""
    wanted = {phrases.CATALOG: phrases.extract(root)} | exercise_messages.extract(root)
    for page, said in messages(root).items():
        derived = {e.msgid for derive in catalogs.DERIVED for e in derive(root, language, page)}
        wanted[page] = [m for m in said if checks.needs_translation(m) and m not in derived]
    return wanted


# -- updating ------------------------------------------------------------------------------------


def read(path: Path) -> polib.POFile:
    """Return a catalog; an empty one if there is none."""
    return polib.pofile(str(path), wrapwidth=WIDTH) if path.exists() else polib.POFile()


def updated(old: polib.POFile, wanted: list[str], language: str) -> polib.POFile:
    """Return the catalog with just the messages wanted, in their order."""
    known = {entry.msgid: entry for entry in old if not entry.obsolete}
    spare = {msgid: entry for msgid, entry in known.items() if msgid not in wanted}
    new = polib.POFile(wrapwidth=WIDTH)
    new.metadata = {"Language": language} | HEADER
    for message in dict.fromkeys(wanted):
        new.append(bare(known[message]) if message in known else changed(message, spare))
    return new


def bare(entry: polib.POEntry) -> polib.POEntry:
    """Return an entry without what changes when its text does not."""
    return polib.POEntry(
        msgid=entry.msgid,
        msgstr=entry.msgstr,
        tcomment=entry.tcomment,
        flags=["fuzzy"] if entry.fuzzy else [],
        previous_msgid=entry.previous_msgid if entry.fuzzy else None,
    )


def changed(message: str, spare: dict[str, polib.POEntry]) -> polib.POEntry:
    """Return an entry for a new message, with the translation of the one that it replaces."""
    candidates = [msgid for msgid, entry in spare.items() if entry.msgstr]
    close = difflib.get_close_matches(message, candidates, n=1, cutoff=ALIKE)
    if not close:
        return polib.POEntry(msgid=message)
    old = spare.pop(close[0])
    return polib.POEntry(
        msgid=message,
        msgstr=old.msgstr,
        tcomment=old.tcomment,
        flags=["fuzzy"],
        previous_msgid=old.msgid,
    )


def text_of(catalog: polib.POFile) -> str:
    """Return a catalog as it is stored."""
    return str(catalog).removeprefix("#\n").rstrip("\n") + "\n"


# -- judging -------------------------------------------------------------------------------------


def speaks_of_all_chapters(page: str, root: Path) -> bool:
    """Tell whether a page must not wait for the translation of the newest chapter."""
    return page == contents.pages(root)[0] or page.startswith("chapters/appendix/")


def judge(state: State, catalog: polib.POFile, terms: dict[str, str]) -> State:
    """Fill in how far a catalog has come."""
    for entry in catalog:
        if entry.fuzzy:
            state.fuzzy.append(entry.msgid)
        elif not entry.msgstr:
            state.missing.append(entry.msgid)
        else:
            state.translated += 1
            state.problems += [f"{entry.msgid[:60]!r}: {p}" for p in checks.problems(entry)]
            state.terms += [
                f"{entry.msgid[:60]!r}: {t}" for t in checks.missing_terms(entry, terms)
            ]
    return state


def read_terms(root: Path, language: str) -> dict[str, str]:
    """Return the table of terms, English to Chinese."""
    path = root / catalogs.LOCALE / language / "terms.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as lines:
        return {row["term"].lower(): row["chinese"] for row in csv.DictReader(lines)}


def survey(root: Path, language: str, write: bool, release: bool = False) -> list[State]:
    """Compare all catalogs with the book, write them if asked to, and return their states."""
    terms = read_terms(root, language)
    pages = catalogs.translated(root, language)
    everything = all_messages(root, language)
    listed = {phrases.CATALOG, *pages, *exercise_messages.demanded(everything, pages, root)}
    folder = catalogs.folder(root, language)
    states = []
    for name, wanted in everything.items():
        path = folder / f"{name}.po"
        new = updated(read(path), wanted, language)
        whole = release or (name in listed and not speaks_of_all_chapters(name, root))
        state = judge(State(name, name in listed, whole), new, terms)
        text = text_of(new)
        state.current = path.exists() and path.read_text(encoding="utf-8") == text
        if write and not state.current and (name in listed or path.exists()):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            state.current = True
        states.append(state)
    return states


# -- reporting -----------------------------------------------------------------------------------


def report(states: list[State], details: bool) -> None:
    """Print a line for each catalog, then what is wrong with it."""
    print(f"{'catalog':42} {'translated':>10} {'missing':>8} {'fuzzy':>6} {'against rules':>14}")
    for state in states:
        counts = (state.translated, len(state.missing), len(state.fuzzy), len(state.problems))
        notes = [] if state.listed else ["not listed"]
        notes += [] if state.current else ["out of date: make translations"]
        row = "{:10} {:8} {:6} {:14}".format(*counts)
        print(f"{state.name:42} {row} {', '.join(notes):>12}".rstrip())
    for state in states if details else []:
        lines = [f"missing: {message[:70]!r}" for message in state.missing]
        lines += [f"fuzzy: {message[:70]!r}" for message in state.fuzzy] + state.problems
        lines += [f"perhaps not the usual term: {term}" for term in state.terms]
        print("".join(f"{state.name}: {line}\n" for line in lines), end="")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.chinese", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail on any fault")
    parser.add_argument("--release", action="store_true", help="refuse what is not translated yet")
    parser.add_argument("--brief", action="store_true", help="print the counts only")
    options = parser.parse_args(arguments)
    languages = [e.language for e in editions.EDITIONS[1:]]
    states = [
        state
        for language in languages
        for state in survey(ROOT, language, not options.check, options.release)
    ]
    report(states, details=not options.brief)
    return int(options.check and any(state.fails for state in states))


if __name__ == "__main__":
    sys.exit(main())
