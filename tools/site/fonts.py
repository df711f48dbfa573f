"""Cut the site's fonts down to the characters that its pages hold and the weights they use.

A page waits for half the bytes then. A character that no page holds would be drawn in the face
that stands next in the list of families, so nothing is ever missing; printable ASCII is kept
whole, because a reader may type it.
"""

from __future__ import annotations

import hashlib
import html
import io
import multiprocessing
import shutil
import string
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import repeat
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

WEIGHTS = (400, 700)  # the lightest and the boldest that the style sheets ask for
FOLDERS = ("fonts", "katex/fonts")
ABOUT = [0, 13, 14]  # of a font's names: whose it is, and its licence


def trim(root: Path, site: Path) -> None:
    """Replace each font of the text, of code and of formulas by what is used of it.

    Parameters
    ----------
    root : Path
        The book's folder, where the results are kept from one build to the next.
    site : Path
        The built site, whose pages are read and whose fonts are replaced.
    """
    kept = root / "_build" / ".fonts"
    kept.mkdir(parents=True, exist_ok=True)
    letters = characters(site)
    small = {font: kept / f"{key(font.read_bytes(), letters)}.woff2" for font in fonts(site)}
    missing = {path: font for font, path in small.items() if not path.exists()}
    if missing:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(write_trimmed, missing.values(), missing.keys(), repeat(letters)))
    for font, path in small.items():
        shutil.copy(path, font)
    for old in set(kept.iterdir()) - set(small.values()):
        old.unlink()


def fonts(site: Path) -> list[Path]:
    """Return the fonts that may be cut."""
    found = sorted(site.rglob("*.woff2"))
    return [font for font in found if font.parent.as_posix().endswith(FOLDERS)]


def characters(site: Path) -> str:
    """Return each character that occurs on a page, in order."""
    found = set(string.printable)
    for page in site.rglob("*.html"):
        found.update(html.unescape(page.read_text(encoding="utf-8")))
    return "".join(sorted(found))


def key(font: bytes, letters: str) -> str:
    """Return what a cut font is kept under."""
    return hashlib.sha256(repr((WEIGHTS, ABOUT, letters)).encode() + font).hexdigest()[:16]


@cache
def options() -> subset.Options:
    """Return how fonts are cut: every feature of the letters that stay is kept."""
    return subset.Options(layout_features=["*"], name_IDs=ABOUT, notdef_outline=True)


def trimmed(path: Path, letters: str) -> bytes:
    """Return a font with these characters only and, if its weight varies, with those in use."""
    font = TTFont(path, recalcTimestamp=False)
    cutter = subset.Subsetter(options())
    cutter.populate(text=letters)
    cutter.subset(font)
    if "fvar" in font:
        instancer.instantiateVariableFont(font, {"wght": WEIGHTS}, inplace=True)
    font.flavor = "woff2"
    out = io.BytesIO()
    font.save(out)
    return out.getvalue()


def write_trimmed(font: Path, path: Path, letters: str) -> None:
    """Write a trimmed font under another name, and rename it when it is whole."""
    new = path.with_suffix(".next")
    new.write_bytes(trimmed(font, letters))
    new.replace(path)
