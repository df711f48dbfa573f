"""What the book consists of, as `_toc.yml` and `_config.yml` say.

A chapter is an entry of a numbered part: one notebook (``chapters/losses``), or a folder of two to
four, which are the ``sections`` of the page that opens it (``chapters/transformer/index``). All
other pages, the appendices among them, belong to no chapter.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "chapters/"
OPENING = "index"  # the name of the page that opens a chapter of several notebooks


class ContentsError(ValueError):
    """The table of contents is not as it must be; the message says what is wrong."""


@dataclass(frozen=True)
class Chapter:
    """A chapter: its name and number, its pages in order, and those of them that are notebooks."""

    name: str
    number: int
    pages: tuple[str, ...]
    notebooks: tuple[Path, ...]

    @property
    def last(self) -> Path:
        """Return the notebook that ends with the chapter's exercises."""
        return self.notebooks[-1]

    @property
    def module(self) -> str:
        """Return the name as Python writes it: that of the folder of its exercises."""
        return self.name.replace("-", "_")


# -- pages ---------------------------------------------------------------------------------------


def pages(root: Path = ROOT) -> list[str]:
    """Return the pages of the table of contents, in order, without their endings."""
    contents = _table(root)
    return [_page(contents["root"]), *_below(contents)]


def page_of(path: Path, root: Path = ROOT) -> str:
    """Return the page that a file is.

    >>> page_of(ROOT / "chapters" / "losses.ipynb")
    'chapters/losses'
    """
    return path.relative_to(root).with_suffix("").as_posix()


def file_of(page: str, root: Path = ROOT) -> Path:
    """Return the file of a page: a notebook, or else a page of text."""
    notebook = root / f"{page}.ipynb"
    return notebook if notebook.exists() else root / f"{page}.md"


def short(page: str) -> str:
    """Return a page's name as commands take it.

    >>> short("chapters/losses"), short("chapters/transformer/block")
    ('losses', 'transformer/block')
    """
    return page.removeprefix(FOLDER)


def label(path: Path) -> str:
    """Return a notebook's name as commands take it."""
    return short(page_of(path))


def product_name(page: str) -> str:
    """Return the name, without its ending, of a file that is made from a page: notebook or slides.

    >>> product_name("chapters/losses"), product_name("chapters/transformer/block")
    ('losses', 'transformer-block')
    """
    return short(page).replace("/", "-")


def _table(root: Path) -> dict[str, Any]:
    return _read(root / "_toc.yml")


def _read(path: Path) -> dict[str, Any]:
    """Return what a file of settings says; hundreds ask, so each text is parsed once."""
    return deepcopy(_parsed(path.read_text(encoding="utf-8")))


@cache
def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)


def _page(file: str) -> str:
    return file.removesuffix(".md").removesuffix(".ipynb")


def _below(entry: Any) -> Iterator[str]:
    for part in entry.get("parts", []) + entry.get("chapters", []) + entry.get("sections", []):
        if "file" in part:
            yield _page(part["file"])
        yield from _below(part)


# -- chapters and notebooks ----------------------------------------------------------------------


def chapters(root: Path = ROOT) -> list[Chapter]:
    """Return the chapters, in order; one without a notebook has a number, but is left out.

    Raises
    ------
    ContentsError
        If a chapter of several notebooks is not a folder with a page that opens it.
    """
    parts = [part for part in _table(root).get("parts", []) if part.get("numbered")]
    entries = [entry for part in parts for entry in part.get("chapters", [])]
    found = [_chapter(entry, number, root) for number, entry in enumerate(entries, start=1)]
    return [chapter for chapter in found if chapter.notebooks]


def chapter(name: str, root: Path = ROOT) -> Chapter:
    """Return the chapter of a name.

    Raises
    ------
    ContentsError
        If there is none.
    """
    known = {each.name: each for each in chapters(root)}
    if name not in known:
        raise ContentsError(f"no chapter {name!r}; there are {', '.join(known) or 'none'}")
    return known[name]


def _chapter(entry: dict[str, Any], number: int, root: Path) -> Chapter:
    """Return the chapter that an entry of the table of contents stands for."""
    page, parts = _page(entry["file"]), list(_below(entry))
    if parts:
        _check_folder(page, parts, entry["sections"])
    name = short(page.removesuffix(f"/{OPENING}"))
    return Chapter(name, number, (page, *parts), tuple(_notebooks([page, *parts], root)))


def _check_folder(page: str, parts: list[str], sections: list[dict[str, Any]]) -> None:
    """Refuse a chapter of several notebooks that are not together in a folder of their own."""
    folder = parts[0].rpartition("/")[0]
    if page != f"{folder}/{OPENING}":
        raise ContentsError(
            f"_toc.yml: {page} has sections, so it must be the page that opens their folder: "
            f"{folder}/{OPENING}"
        )
    for part in parts:
        if part.rpartition("/")[0] != folder:
            raise ContentsError(f"_toc.yml: {part} is a section of {page}, but not in its folder")
    for section in sections:
        if section.get("sections"):
            raise ContentsError(f"_toc.yml: {section['file']} is a section and can have none")


def _notebooks(pages: list[str], root: Path) -> list[Path]:
    files = [file_of(page, root) for page in pages]
    return [path for path in files if path.suffix == ".ipynb"]


def notebooks(root: Path = ROOT) -> list[Path]:
    """Return the notebooks of the book, in order."""
    return _notebooks(pages(root), root)


def chapter_notebooks(root: Path = ROOT) -> list[Path]:
    """Return the notebooks of all chapters, in order, leaving the appendices out."""
    return [path for chapter in chapters(root) for path in chapter.notebooks]


def ending_with(path: Path, root: Path = ROOT) -> Chapter | None:
    """Return the chapter that ends with a notebook, where its exercises stand; or nothing."""
    endings = {chapter.last.resolve(): chapter for chapter in chapters(root)}
    return endings.get(path.resolve())


def find(name: str, root: Path = ROOT) -> list[Path]:
    """Return the notebooks that a name means: all of a chapter, or one (``transformer/block``)."""
    known = {short(page_of(path, root)): [path] for path in notebooks(root)}
    known |= {chapter.name: list(chapter.notebooks) for chapter in chapters(root)}
    return known.get(name, [])


# -- settings ------------------------------------------------------------------------------------


def settings(root: Path = ROOT) -> dict[str, Any]:
    """Return ``_config.yml`` as it stands."""
    return _read(root / "_config.yml")
