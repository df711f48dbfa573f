"""Build one edition of the site: what `tools.site` runs for all of them, side by side."""

from __future__ import annotations

import argparse
import gc
import shutil
import sys
from pathlib import Path

from tools.pages import assets, editions, products
from tools.pages.editions import Edition

PAGES = "html"
# Pages are trees of many small objects: Python would look for garbage 70 times as often.
SELDOM = 50_000
INTERRUPTED = 130  # as shells say it


def build(root: Path, edition: Edition, parts: list[str], folder: Path) -> int:
    """Build parts of an edition into its folder of the site; return 0, or 1 after any warning.

    The first part reads the book, the others go on from what it has read.
    """
    config = editions.sphinx_config(root, editions.static_folder(root), assets.ensure(), edition)
    for builder in parts:
        if editions.run(builder, root, edition, config, fresh=builder == parts[0]):
            return 1
        put(editions.place(builder, root, edition), folder / place(builder))
    return 0


def place(builder: str) -> str:
    """Return where in its edition stands what a builder makes; pages stand at the top."""
    return {each.builder: each.folder for each in products.EDITION_PRODUCTS}.get(builder, "")


def put(made: Path, out: Path) -> None:
    """Move what was made to its place."""
    shutil.rmtree(out, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    made.rename(out)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.site.one_edition", description=__doc__)
    parser.add_argument("edition", choices=[each.folder for each in editions.EDITIONS])
    parser.add_argument("root", type=Path, help="the book's folder")
    parser.add_argument("site", type=Path, help="the folder of all editions")
    parser.add_argument("parts", nargs="+", help="the builders that are to run")
    options = parser.parse_args(arguments)
    edition = editions.edition(options.edition)
    gc.set_threshold(SELDOM)
    try:
        return build(options.root, edition, options.parts, options.site / edition.folder)
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
