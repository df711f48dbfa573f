"""The chapters as notebooks for Colab and Jupyter."""

from __future__ import annotations

from tools import register

EXTENSIONS = ("builder",)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
