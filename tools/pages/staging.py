"""Gather what the built pages load: the book's own style and scripts, fonts, KaTeX, art.

Everything goes into one folder, ``book/``, under names that pages refer to with a digest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

from tools.book.contents import ROOT
from tools.pages import standins

STYLES = [
    *("fonts", "tokens", "base", "layout", "code", "boxes", "widgets", "landing", "chinese"),
    *("reference", "api", "print"),
]
FONTS = {
    "source-serif-4": [
        f"source-serif-4-{subset}-wght-{style}.woff2"
        for subset in ("latin", "latin-ext", "greek")
        for style in ("normal", "italic")
    ],
    "jetbrains-mono": [
        f"jetbrains-mono-{subset}-wght-normal.woff2" for subset in ("latin", "latin-ext", "greek")
    ],
}


# Loaded by pages, under a name that changes with the content.
ADDRESSED = {".css", ".js", ".png", ".webp", ".json", ".bin"}
NOT_LOADED = shutil.ignore_patterns("*-stored.json")  # it stands in the page itself
IMPORTED = re.compile(r'"\./(\w+\.js)"')
COMMENT = re.compile(r"/\*.*?\*/\s*", re.DOTALL)
LATE = re.compile(r"font-display: \w+")


def stage_fonts(modules: Path, out: Path) -> None:
    """Copy the text faces and their licences."""
    out.mkdir(parents=True)
    for family, files in FONTS.items():
        source = modules / "@fontsource-variable" / family
        shutil.copy(source / "LICENSE", out / f"{family}-LICENSE.txt")
        for name in files:
            shutil.copy(source / "files" / name, out / name)


def stage_katex(modules: Path, out: Path) -> None:
    """Copy KaTeX's style sheet and its fonts in the one format every current browser reads."""
    dist = modules / "katex" / "dist"
    (out / "fonts").mkdir(parents=True)
    css = (dist / "katex-swap.min.css").read_text(encoding="utf-8")
    css = re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("(?:woff|truetype)"\)', "", css)
    (out / "katex.css").write_text(css, encoding="utf-8")
    for font in dist.glob("fonts/*.woff2"):
        shutil.copy(font, out / "fonts")


def shared_styles(names: tuple[str, ...]) -> str:
    """Return style sheets of the pages, with fonts that are waited for.

    On a page a face that comes late may stay away; on a slide and on paper it must not.
    """
    sheets = [ROOT / "web" / "css" / f"{name}.css" for name in names]
    css = "\n".join(sheet.read_text(encoding="utf-8") for sheet in sheets)
    return LATE.sub("font-display: block", css)


def stage_own(root: Path, modules: Path, out: Path) -> None:
    """Write the book's one style sheet and copy its scripts."""
    sheets = [root / "web" / "css" / f"{name}.css" for name in STYLES]
    css = [sheet.read_text(encoding="utf-8") for sheet in sheets]
    (out / "book.css").write_text("\n".join([standins.sheet(modules), *css]), encoding="utf-8")
    shutil.copy(root / "web" / "css" / "live.css", out)
    for name in ("book.js", "widgets.js", "search.js"):
        shutil.copy(root / "web" / "js" / name, out)


def stage_live(root: Path, out: Path) -> None:
    """Copy live models and their scripts, which name one another with a digest as pages do."""
    shutil.copytree(root / "web" / "models", out / "models", ignore=NOT_LOADED)
    source = {path.name: path.read_text(encoding="utf-8") for path in root.glob("web/js/live/*.js")}
    (out / "live").mkdir()
    for name in source:
        (out / "live" / name).write_text(with_digests(name, source), encoding="utf-8")


def with_digests(name: str, source: dict[str, str]) -> str:
    """Return a script in which the digest of each that it imports stands behind its name."""

    def imported(match: re.Match) -> str:
        text = with_digests(match[1], source)
        return f'"./{match[1]}?v={short_digest(text.encode())}"'

    return IMPORTED.sub(imported, source[name])


def stage_static(root: Path, modules: Path, out: Path) -> Path:
    """Gather everything that pages load into `out`, and return it."""
    from tools.pages import artwork  # which loads matplotlib: only who stages needs it

    shutil.rmtree(out, ignore_errors=True)
    book = out / "book"
    book.mkdir(parents=True)
    stage_own(root, modules, book)
    stage_live(root, book)
    stage_fonts(modules, book / "fonts")
    stage_katex(modules, book / "katex")
    artwork.write_all(book)
    return out


def styles(static: Path) -> dict[str, str]:
    """Return the text of each style sheet, by its name under ``book/``, without its comments.

    Pages hold it themselves: a sheet of its own is one more trip before anything can be drawn.
    """
    book = static / "book"
    return {
        name: COMMENT.sub("", (book / name).read_text(encoding="utf-8")).strip()
        for name in ("book.css", "live.css", "katex/katex.css")
    }


def digests(static: Path) -> dict[str, str]:
    """Return a short digest of each file that pages load, by its name under ``book/``."""
    files = [path for path in static.rglob("*") if path.suffix in ADDRESSED]
    return {
        path.relative_to(static / "book").as_posix(): short_digest(path.read_bytes())
        for path in files
    }


def short_digest(data: bytes) -> str:
    """Return what an address carries, so that browsers may keep what they have."""
    return hashlib.sha256(data).hexdigest()[:8]
