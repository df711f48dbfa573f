"""The cell of an assignment's notebook that brings the book's package, where it is missing.

It is shorter than that of a chapter (``tools/chapters/setup_cell.py``): VS Code shows all of it.
"""

from __future__ import annotations

from string import Template

from assign import localise, phrases, sources
from assign.book import Book, say

__all__ = ["source"]


def source(book: Book, language: str, weights: bool) -> str:
    """Return the cell's code.

    Parameters
    ----------
    book : Book
    language : str
        What it says is in this language, and there are no comments in another.
    weights : bool
        Whether MiniLM's weights are needed.
    """
    into = book.speaker(language, next(iter(book.chapters)))
    code = Template(phrases.SETUP).substitute(
        version=book.version(),
        site=book.address() or "http://localhost:8000",
        help=book.help_page(language),
        weights=f', weights="{book.weights()}"' if weights else "",
        machinery=sources.MACHINERY,
    )
    if language != "en":
        code = sources.bare(localise.localise(code, into))
    return f"# @title {say(into, phrases.CODE['setup'])}\n{code.strip()}"
