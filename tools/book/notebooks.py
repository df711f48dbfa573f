"""Notebooks as files: read, written the same way everywhere, and stored whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbformat import NotebookNode


class NotebookError(Exception):
    """A notebook cannot be used; the message says which and why."""


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, nbformat.ValidationError) as error:
        raise NotebookError(f"{path.name} is not a notebook: {error}") from error


def write(notebook: NotebookNode) -> str:
    """Return the notebook as text, which is the same wherever it is written."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def store(path: Path, text: str) -> None:
    """Write beside the file and rename, so that there is never half a notebook."""
    beside = path.with_name(f".{path.name}.tmp")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])
