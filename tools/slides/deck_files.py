"""What a deck of slides loads, gathered in the folder beside it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tools.book.contents import ROOT
from tools.pages import assets, staging

SHARED = ("fonts", "tokens", "chinese")  # of the pages' style sheets, what slides wear too


def code_colours() -> str:
    """Return the lines of the pages' style sheet that colour code."""
    lines = (ROOT / "web" / "css" / "code.css").read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.startswith(".highlight :is("))


def own_style(name: str) -> str:
    """Return a whole style sheet of the slides, or of their list."""
    own = (ROOT / "web" / "slides" / f"{name}.css").read_text(encoding="utf-8")
    return "\n".join((staging.shared_styles(SHARED), own, code_colours()))


def digest() -> str:
    """Return a short digest of what is the book's own, for addresses that change with it."""
    script = (ROOT / "web" / "slides" / "slides.js").read_text(encoding="utf-8")
    text = own_style("slides") + own_style("list") + script
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def stage(out: Path) -> None:
    """Write everything that a deck loads into `out`."""
    modules = assets.ensure()
    out.mkdir(parents=True)
    reveal = modules / "reveal.js"
    shutil.copy(reveal / "LICENSE", out / "reveal-LICENSE.txt")
    for name in ("reveal.css", "reset.css", "reveal.js", "plugin/notes.js"):
        shutil.copy(reveal / "dist" / name, out / Path(name).name)
    staging.stage_fonts(modules, out / "fonts")
    staging.stage_katex(modules, out / "katex")
    for name in ("slides", "list"):
        (out / f"{name}.css").write_text(own_style(name), encoding="utf-8")
    shutil.copy(ROOT / "web" / "slides" / "slides.js", out)
