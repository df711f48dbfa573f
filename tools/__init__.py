"""Tools that make the book, a folder for each product, and below them what they share.

A folder imports only those that stand before it here (`FLOORS`):

- `tools.book`: What the book is, whatever is made of it: its contents, files, addresses and words.
- `tools.chapters`: For whoever writes a chapter: begin it, run it, and see what it lacks.
- `tools.words`: The words of an edition: where their translations come from, and where they go.
- `tools.assignments`: What ``python -m assign`` draws from: masters, addresses, words of this book.
- `tools.pages`: The pages as Sphinx reads them, laid out for whatever is made of them.
- `tools.models`: Models that live in a page: their files, and where they stand.
- `tools.reference`: Pages that are made from code, tables and records: the appendices.
- `tools.slides`: The slides: a deck for each chapter that is marked.
- `tools.paper`: The whole book in one file: a PDF to be printed, and an EPUB.
- `tools.colab`: The chapters as notebooks for Colab and Jupyter.
- `tools.chinese`: The Chinese edition: its catalogs kept in step with the book.
- `tools.site`: The website: built, measured, and served while it is being written.

What Sphinx is to load, each folder says itself (`EXTENSIONS` in its ``__init__.py``).
"""

from __future__ import annotations

FLOORS = (
    "book",
    "chapters",
    "words",
    "assignments",
    "pages",
    "models",
    "reference",
    "slides",
    "paper",
    "colab",
    "chinese",
    "site",
)
#: The folders whose extensions Sphinx is given, in the order in which they are set up.
EXTENDING = tuple(f"tools.{name}" for name in FLOORS[FLOORS.index("pages") :])


def register(app, package: str, names: tuple[str, ...]) -> dict:
    """Set up the extensions of a folder, of whose package this is the ``setup``."""
    for name in names:
        app.setup_extension(f"{package}.{name}")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
