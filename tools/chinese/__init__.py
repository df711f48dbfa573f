"""The Chinese edition: its catalogs kept in step with the book."""

from __future__ import annotations

from tools import register

EXTENSIONS = ("messages",)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
