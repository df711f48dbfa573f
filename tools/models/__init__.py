"""Models that live in a page: their files, and where they stand."""

from __future__ import annotations

from tools import register

EXTENSIONS = (
    "live_directive",
    "board_directive",
)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
