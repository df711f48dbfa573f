"""The slides: a deck for each chapter that is marked."""

from __future__ import annotations

from tools import register

EXTENSIONS = ("builder",)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
