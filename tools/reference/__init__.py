"""Pages that are made from code, tables and records: the appendices."""

from __future__ import annotations

from tools import register

EXTENSIONS = (
    "api",
    "glossary",
    "indexes",
    "speed",
    "verification_report",
)


def setup(app) -> dict:
    """Register this folder's extensions with Sphinx."""
    return register(app, __name__, EXTENSIONS)
