"""What an assignment asks of the book: its chapters, its addresses, its words.

Nothing here knows where a book keeps them: whoever runs the command hands a `Book` over
(`tools.assignments.repository` has that of this repository).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from assign import texts
from assign.masters import Master

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


class Book(ABC):
    """A book from whose exercises assignments are drawn.

    Parameters
    ----------
    root : Path
        The folder in which its ``references.bib`` is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    @abstractmethod
    def chapters(self) -> Mapping[str, Chapter]:
        """The chapters that have exercises, by name, in the order of the book."""

    @abstractmethod
    def site(self, language: str) -> str:
        """Return the address of an edition of the book."""

    @abstractmethod
    def package(self) -> str:
        """Return the requirement by which this version of the package is installed elsewhere."""

    @abstractmethod
    def version(self) -> str:
        """Return the version of the package, whose wheel lies on the site."""

    @abstractmethod
    def address(self) -> str:
        """Return the address of the site; nothing, if it is nowhere."""

    @abstractmethod
    def help_page(self, language: str) -> str:
        """Return where an edition's page of help stands on the site."""

    @abstractmethod
    def weights(self) -> str:
        """Return the requirement by which MiniLM's weights are installed."""

    @abstractmethod
    def speaker(self, language: str, chapter: str) -> Callable[[str], str]:
        """Return a function from an English message to what the language says."""

    @abstractmethod
    def code(self, source: str, into: Callable[[str], str]) -> str:
        """Return code with the words in it, such as comments, put into another language."""


def say(into: Callable[[str], str], phrase: str, **values: object) -> str:
    """Return a phrase in another language, with its values filled in."""
    return texts.fill(texts.translate(phrase, into), values)
