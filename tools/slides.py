"""Build the slides alone, for each edition: ``python -m tools.slides``.

They are part of the site, which `tools.site` builds whole; this renews them in the site that is
there, or begins one. The folder of an edition's slides can be taken to a lecture by itself: it
needs no server and no network.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tools import contents, editions

BUILDER = "slides"


def build(root: Path = contents.ROOT) -> int:
    """Build the decks of all chapters; return 0, or 1 on any warning."""
    static, modules = editions.stage(root)
    for edition in editions.EDITIONS:
        config = editions.sphinx_config(root, static, modules, edition)
        if editions.run(BUILDER, root, edition, config):
            print("The slides were not built: warnings are errors.", file=sys.stderr)
            return 1
        out = root / "_build" / "html" / edition.folder / BUILDER
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(editions.place(BUILDER, root, edition), out)
        for deck in sorted(out.glob("*.html")):
            print(f"Built {deck}")
    return 0


if __name__ == "__main__":
    sys.exit(build())
