"""The messages of the exercises, and what a page gets from their translations.

``locale/<language>/LC_MESSAGES/exercises/<chapter>.po`` holds the messages of a chapter's
masters: the templates of their texts, so that one translation serves every variant, and what
their checks say, and the words in the code to begin with, with {{n1}} in place of a number.
``exercises/assignments.po`` holds what assignments say around them. The pages'
messages about exercises are derived from both (`derive`), so that nothing is translated twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import polib

from assign import localise, phrases, sources, texts
from exercises import TEXTS, Exercise, Master
from tools.book import contents
from tools.chapters import exercises
from tools.words import code_words

SEEDS = 40  # as many variants are looked at for messages of their own
FOLDER = "exercises"
COMMON = f"{FOLDER}/assignments"
NUMBER = re.compile(r"(?<![\w.])-?\d+(\.\d+)?(?!\w)")

Translate = Callable[[str], str]


# -- from masters to catalogs --------------------------------------------------------------------


def extract(root: Path = contents.ROOT) -> dict[str, list[str]]:
    """Return all messages by the name of their catalog, in order."""
    found = {COMMON: phrases.all_phrases()}
    for chapter in contents.chapters(root):
        if masters := exercises.load(chapter, root):
            said = (message for master in masters for message in _of_master(master))
            found[f"{FOLDER}/{chapter.name}"] = list(dict.fromkeys(said))
    return found


def demanded(
    extracted: dict[str, list[str]], pages: list[str], root: Path = contents.ROOT
) -> set[str]:
    """Return the catalogs that must be whole: the common one, and those of translated pages."""
    shown = {c.name for c in contents.chapters(root) if contents.page_of(c.last, root) in pages}
    whole = {COMMON, *(f"{FOLDER}/{name}" for name in shown)}
    return {name for name in extracted if name in whole}


def _of_master(master: Master) -> Iterator[str]:
    """Yield the messages of an exercise, those of its page first."""
    for exercise in master.variants(SEEDS):
        for part in TEXTS:
            yield from texts.messages(getattr(exercise, part))
        yield from (_numbered(words)[0] for words in code_words.words(exercise.starter))
        for check in (*exercise.visible, *exercise.hidden):
            yield check.what
            yield from _said(check.function)
        yield from exercise.wrong_answers


@cache
def _said(function: Callable[..., None]) -> list[str]:
    return localise.messages(sources.gather([function]))


def _numbered(words: str) -> tuple[str, dict[str, str]]:
    """Return a template that is the same for every variant, and its values."""
    values = {f"n{i}": match[0] for i, match in enumerate(NUMBER.finditer(words), start=1)}
    names = iter(values)
    return NUMBER.sub(lambda _: f"{{{{{next(names)}}}}}", words), values


def in_words(words: str, into: Translate) -> str:
    """Return the translation of words in code, whatever its numbers."""
    template, values = _numbered(words)
    return texts.fill(into(template), values)


# -- from catalogs to pages ----------------------------------------------------------------------


def speaker(root: Path, language: str, chapter: str) -> Translate:
    """Return a function from a message to its translation; without one it stays as it is."""
    folder = root / "locale" / language / "LC_MESSAGES"
    known: dict[str, str] = {}
    for name in (COMMON, f"{FOLDER}/{chapter}"):
        path = folder / f"{name}.po"
        if path.exists():
            done = (entry for entry in polib.pofile(str(path)) if entry.translated())
            known |= {entry.msgid: entry.msgstr for entry in done}
    return lambda text: known.get(text, text)


def derive(root: Path, language: str, page: str) -> list[polib.POEntry]:
    """Return what the exercises' catalogs say about the messages of a page."""
    chapter = contents.ending_with(root / f"{page}.ipynb", root)
    if chapter is None:
        return []
    into = speaker(root, language, chapter.name)
    found: dict[str, polib.POEntry] = {}
    for exercise in exercises.masters(chapter.last, root):
        values = {**exercise.values, "minutes": exercise.minutes}
        for text in (t for part in _on_page(exercise) for t in texts.messages(part)):
            filled, translated = (texts.fill(t, values) for t in (text, into(text)))
            found[filled] = polib.POEntry(msgid=filled, msgstr=translated)
        for words in code_words.words(exercise.starter):
            found[words] = polib.POEntry(msgid=words, msgstr=in_words(words, into))
    return list(found.values())


def _on_page(exercise: Exercise) -> Iterator[str]:
    yield from (exercise.title, phrases.KIND[exercise.kind], phrases.HINT)
    yield from (exercise.question, exercise.hint)
    if exercise.trial:
        yield from (phrases.TRIAL, phrases.TRY)
    if exercise.public_solution:
        yield from (phrases.SOLUTION, exercise.explanation)
