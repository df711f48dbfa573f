"""What is made besides the pages, and where it stands on the site.

Every part of the book that a reader can take away is named here once. The build of the site goes
through these lists; whoever adds a product adds a line.

- `EDITION_PRODUCTS`: Sphinx builders that run for each edition after its pages, going on from what
  was read for them. The result moves to `folder` in the edition.
- `DOWNLOADS`: files under ``_build/downloads`` that targets of their own make (they take minutes).
  What is there is copied to the site and offered on the first page.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class EditionProduct:
    """What a Sphinx builder makes of an edition besides its pages."""

    builder: str
    folder: str


@dataclass(frozen=True)
class Download:
    """The whole book in one file."""

    name: str  # as a reader knows the format
    suffix: str
    size: int  # in bytes
    path: Path

    @property
    def megabytes(self) -> str:
        """Return the size as a reader is told."""
        return f"{self.size / 1e6:.1f}"


EDITION_PRODUCTS: list[EditionProduct] = [
    EditionProduct("colab", "colab"),
    EditionProduct("slides", "slides"),
]
DOWNLOADS = {"PDF": "pdf", "EPUB": "epub"}
STEM = "large-models-from-scratch"


def is_made(builder: str) -> bool:
    """Tell whether a builder's product is part of the site."""
    return any(product.builder == builder for product in EDITION_PRODUCTS)


def downloads(root: Path, folder: str) -> list[Download]:
    """Return the files of an edition that can be had whole, those that have been made."""
    stem = root / "_build" / "downloads" / f"{STEM}-{folder}"
    files = [(name, stem.with_suffix(f".{suffix}")) for name, suffix in DOWNLOADS.items()]
    return [
        Download(name, path.suffix[1:], path.stat().st_size, path)
        for name, path in files
        if path.is_file()
    ]


def copy_downloads(root: Path, site: Path, folders: list[str]) -> None:
    """Copy into the site what can be had whole."""
    for folder in folders:
        for download in downloads(root, folder):
            (site / "downloads").mkdir(exist_ok=True)
            shutil.copy(download.path, site / "downloads")
