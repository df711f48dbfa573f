"""The whole book in one file: a PDF to be printed, and an EPUB."""

from __future__ import annotations

from tools import register

EXTENSIONS = (
    "print_builder",
    "ebook_builder",
)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
