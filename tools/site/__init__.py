"""The website: built, measured, and served while it is being written."""

from __future__ import annotations

from tools import register

EXTENSIONS = (
    "forms",
    "heights",
    "page_context",
    "search",
)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
