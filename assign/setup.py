"""The cell of an assignment's notebook that brings the book's package, where it is missing.

It is shorter than that of a chapter (``tools/chapters/setup_cell.py``): VS Code shows all of it.
"""

from __future__ import annotations

from string import Template

from assign import localise, phrases, sources
from assign.book import Book, say
from tools.book import addresses, wheel
from tools.chapters import setup_cell

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
        version=wheel.version(book.root),
        site=addresses.site(book.root) or "http://localhost:8000",
        help=setup_cell.HELP.replace("en/", f"{language}/", 1),
        weights=f', weights="{book.weights()}"' if weights else "",
        machinery=sources.MACHINERY,
    )
    if language != "en":
        code = sources.bare(localise.localise(code, into))
    return f"# @title {say(into, phrases.CODE['setup'])}\n{code.strip()}"
