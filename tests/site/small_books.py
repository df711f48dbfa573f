"""Books of one page, and building them in the tests' own process.

`whole_site.build` starts a program for each edition, which takes seconds to import what it needs,
and cuts the fonts for the letters of the book. Where a test is not about that, it builds without.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tools.book import addresses
from tools.pages import editions
from tools.site import one_edition, whole_site

REPOSITORY = addresses.repository()


def write_book(root: Path, text: str) -> None:
    """Write a book of one page."""
    config = {
        "title": "Tiny",
        "author": "Nobody",
        "repository": {"url": REPOSITORY, "branch": "main"},
        "only_build_toc_files": True,
        "execute": {"execute_notebooks": "off"},
        "sphinx": {"config": {"language": "en", "nitpicky": True}},
    }
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    (root / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (root / "index.md").write_text(f"# Tiny\n\n{text}\n")


def build(root: Path) -> int:
    """Build a book's site as `whole_site.build` does, its editions here and its fonts whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole_site, "build_editions", build_editions)
        patch.setattr(whole_site, "SITE_PRODUCTS", [])
        return whole_site.build(root)


def build_editions(root: Path, folder: Path, parts: list[str]) -> list[str]:
    """Build parts of all editions, one after the other; return the editions that failed."""
    editions.stage(root)
    return [
        each.folder
        for each in editions.EDITIONS
        if one_edition.build(root, each, parts, folder / each.folder)
    ]
