"""The frame in which the whole book becomes one file: for the printer, and for e-readers.

A maker says which builder writes its pages and how they become a file; here the pages are built,
the file is written beside, searched for faults and renamed when it has none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tools.book import contents
from tools.pages import editions, products
from tools.pages.editions import Edition


@dataclass(frozen=True)
class Built:
    """What a builder left of an edition, and what the edition is called."""

    root: Path
    edition: Edition
    folder: Path  # the builder's
    words: dict  # of the pages' templates: the title, the author, ...
    address: str  # of the published edition, or nothing


@dataclass(frozen=True)
class Maker:
    """How one kind of file is made.

    Parameters
    ----------
    builder : str
        The name of the Sphinx builder.
    suffix : str
        Of the file, without its dot.
    write : callable
        Writes the file at a path; returns what is wrong with it, a line each.
    """

    builder: str
    suffix: str
    write: Callable[[Built, Path], list[str]]

    def make(self, root: Path, edition: Edition, fresh: bool = True) -> Path:
        """Make an edition's file, reading the book anew or not; return its path.

        Raises
        ------
        RuntimeError
            If the edition cannot be built, or the file has a fault.
        """
        with editions.alone(root):
            built = self._build(root, edition, fresh)
            target = root / "_build" / "downloads" / f"{products.STEM}-{edition.folder}"
            target = target.with_suffix(f".{self.suffix}")
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_suffix(f".{self.suffix}.tmp")
            faults = self.write(built, beside)
            if faults:
                raise RuntimeError("\n".join([f"{target.name}:", *faults]))
            return beside.rename(target)

    def _build(self, root: Path, edition: Edition, fresh: bool) -> Built:
        static, modules = editions.stage(root)
        config = editions.sphinx_config(root, static, modules, edition)
        if editions.run(self.builder, root, edition, config, fresh):
            raise RuntimeError(f"{edition.name}: every warning above is an error")
        folder = editions.place(self.builder, root, edition)
        return Built(root, edition, folder, config["html_context"], config["html_baseurl"])


def main(make: Callable[..., Path], about: str | None, arguments: list[str] | None = None) -> int:
    """Run a maker's command line: make the file of each edition, or of those that are named."""
    folders = [edition.folder for edition in editions.EDITIONS]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("editions", nargs="*", default=folders, help=" or ".join(folders))
    for folder in parser.parse_args(arguments).editions:
        try:
            path = make(contents.ROOT, editions.edition(folder))
        except (RuntimeError, FileNotFoundError) as error:
            print(error, file=sys.stderr)
            return 1
        print(f"Made {path} ({path.stat().st_size / 1e6:.1f} MB).")
    return 0
