"""References in a text, made into plain links: a notebook alone has nothing to refer to."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assign.book import Book, Chapter

__all__ = ["Links", "labels", "citation"]

ROLE = re.compile(r"\{([\w:+-]+)\}`([^`]+)`")


class Links:
    """The references of a chapter's exercises.

    Parameters
    ----------
    book : Book
    chapter : Chapter
    language : str
        The edition that links lead to.
    """

    def __init__(self, book: Book, chapter: Chapter, language: str) -> None:
        self.chapter = chapter
        self.root = book.root
        self.site = book.site(language)

    def plain(self, text: str) -> str:
        """Return the text with each role as a link.

        Parameters
        ----------
        text : str
            MyST Markdown.

        Returns
        -------
        str
            Markdown without roles.

        Raises
        ------
        ValueError
            If a role is not one that an exercise may use, or leads nowhere.
        """
        return ROLE.sub(lambda match: self._link(match[1], match[2]), text)

    def _link(self, role: str, target: str) -> str:
        if role == "eq":
            return self._equation(target)
        if role in ("cite:t", "cite:p"):
            names, year, url = citation(self.root / "references.bib", target)
            shown = f"{names} ({year})" if role == "cite:t" else f"{names}, {year}"
            link = f"[{shown}]({url})" if url else shown
            return link if role == "cite:t" else f"({link})"
        raise ValueError(f"role must be eq, cite:t or cite:p in an exercise, got {{{role}}}")

    def _equation(self, label: str) -> str:
        """Return a link to an equation, under the number that it has in its chapter."""
        places = [(p, each) for p, path in self.chapter.pages.items() for each in labels(path)]
        for number, (page, each) in enumerate(places, start=1):
            if each == label:
                address = f"{self.site}/{page}.html#equation-{label}"
                return f"[({self.chapter.number}.{number})]({address})"
        raise ValueError(f"eq must name an equation of {self.chapter.name}, got {label!r}")


@cache
def labels(path: Path) -> list[str]:
    """Return the labels of the equations in a notebook or a page of text, in order."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = (c for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    blocks = re.findall(r"\$\$(?:(?!\$\$).)*\$\$(?: *\(([\w-]+)\))?", text, re.DOTALL)
    return [label for label in blocks if label]


@cache
def citation(bibliography: Path, key: str) -> tuple[str, str, str]:
    """Return the authors of a work in short, its year, and its address if it has one."""
    entries = _entries(bibliography)
    if key not in entries:
        raise ValueError(f"cite must name a work in {bibliography.name}, got {key!r}")
    entry = entries[key]
    people = [" ".join([*p.prelast_names, *p.last_names]) for p in entry.persons["author"]]
    names = " and ".join(people) if len(people) < 3 else f"{people[0]} et al."
    doi = entry.fields.get("doi")
    return (
        names,
        entry.fields["year"],
        entry.fields.get("url") or (doi and f"https://doi.org/{doi}") or "",
    )


@cache
def _entries(bibliography: Path) -> Any:
    from pybtex.database import parse_file

    return parse_file(str(bibliography)).entries
