"""Build the notebooks for Colab alone, for each edition: ``python -m tools.colab``.

They are part of the site, which `tools.site` builds whole; this renews them in the site that is
there, or begins one.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from tools import contents, editions, wheel

BUILDER = "colab"


def build(root: Path = contents.ROOT) -> int:
    """Build the notebooks and the wheel that they install; return 0, or 1 on any warning."""
    static, modules = editions.stage(root)
    site = root / "_build" / "html"
    for edition in editions.EDITIONS:
        config = editions.sphinx_config(root, static, modules, edition)
        if editions.run(BUILDER, root, edition, config):
            print("The notebooks were not built: warnings are errors.", file=sys.stderr)
            return 1
        out = site / edition.folder / BUILDER
        shutil.rmtree(out, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(editions.place(BUILDER, root, edition), out)
        print(f"Built {out}")
    wheel.write(root, site)
    return 0


if __name__ == "__main__":
    sys.exit(build())
