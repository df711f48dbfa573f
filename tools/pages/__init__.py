"""The pages as Sphinx reads them, laid out for whatever is made of them."""

from __future__ import annotations

from tools import register

EXTENSIONS = (
    "chapter_list",
    "dropdowns",
    "katex",
    "margin",
    "pictures",
    "sources",
    "tables",
    "widgets",
)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
