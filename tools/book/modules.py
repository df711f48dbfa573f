"""Which modules of the package a chapter teaches, and so in which order they come.

The order of the book stands in ``_toc.yml`` and nowhere else. A notebook's metadata say which
modules its chapter teaches, in their order::

    "companion": {"modules": ["data", "tokenizers"]}

A chapter whose notebooks say nothing teaches the module of its own name. A part of a module may
be taught elsewhere than the module: ``models.cnn`` with the neural networks.
"""

from __future__ import annotations

import json
from pathlib import Path

from tools.book import contents
from tools.book.contents import Chapter


def of(chapter: Chapter) -> list[str]:
    """Return the modules that a chapter teaches."""
    named = [module for path in chapter.notebooks for module in _named(path)]
    return list(dict.fromkeys(named)) or [chapter.module]


def _named(notebook: Path) -> list[str]:
    metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
    return metadata.get("companion", {}).get("modules", [])


def order(root: Path = contents.ROOT) -> list[str]:
    """Return the modules of the package in the order in which the book teaches them."""
    taught = [module for chapter in contents.chapters(root) for module in of(chapter)]
    return [module for module in taught if "." not in module]


def taught_in(root: Path = contents.ROOT) -> dict[str, str]:
    """Return the name of the chapter that teaches each module, or part of one."""
    return {module: c.name for c in contents.chapters(root) for module in of(c)}


def chapter_of(module: str, taught: dict[str, str]) -> str:
    """Return the name of the chapter that teaches a module or what it is a part of; else nothing.

    >>> taught = {"models.cnn": "neural-networks", "models": "attention"}
    >>> [chapter_of(module, taught) for module in ("models.cnn", "models.bert", "assign")]
    ['neural-networks', 'attention', '']
    """
    while module not in taught and "." in module:
        module = module.rpartition(".")[0]
    return taught.get(module, "")
