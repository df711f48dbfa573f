"""What the printed page loads: the pages' styles, a style sheet for paper, and fonts for print.

On the site one file holds all weights of a face. Chromium cannot put such a face into a PDF as a
font, only as drawings of its letters; so here each weight has a file of its own.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tools.book.contents import ROOT
from tools.pages import assets, staging

SHARED = ("tokens", "base", "code", "boxes", "widgets")
FACES = {
    "source-serif-4": ("400", "400-italic", "600", "600-italic"),
    "jetbrains-mono": ("400", "400-italic", "600"),
}
SUBSETS = ("latin", "latin-ext", "greek")
FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)
FILE = re.compile(r"url\(\./files/([\w-]+\.woff2)\)")


def stage_faces(modules: Path, out: Path) -> str:
    """Copy the fonts for print; return the rules that load them."""
    out.mkdir(parents=True)
    rules = []
    for family, styles in FACES.items():
        package = modules / "@fontsource" / family
        shutil.copy(package / "LICENSE", out / f"{family}-LICENSE.txt")
        for style in styles:
            for rule in FACE.findall((package / f"{style}.css").read_text(encoding="utf-8")):
                name = FILE.findall(rule)[0]
                if re.fullmatch(rf"{family}-(?:{'|'.join(SUBSETS)})-{style_name(style)}", name):
                    shutil.copy(package / "files" / name, out)
                    rules.append(with_source(rule, name))
    return "\n".join(rules)


def style_name(style: str) -> str:
    """Return how the files of a style end.

    >>> style_name("400"), style_name("600-italic")
    ('400-normal.woff2', '600-italic.woff2')
    """
    return f"{style if style.endswith('italic') else style + '-normal'}.woff2"


def with_source(rule: str, name: str) -> str:
    """Return the rule of a face, loading one file, which is waited for."""
    rule = re.sub(r"src:[^;]*;", f'src: url(fonts/{name}) format("woff2");', rule)
    return re.sub(r"font-display:[^;]*;", "font-display: block;", rule)


def stage(out: Path) -> None:
    """Write everything that the printed page loads into `out`."""
    modules = assets.ensure()
    faces = stage_faces(modules, out / "fonts")
    staging.stage_katex(modules, out / "katex")
    own = (ROOT / "web" / "print" / "book.css").read_text(encoding="utf-8")
    styles = "\n".join((faces, staging.shared_styles(SHARED), own))
    (out / "book.css").write_text(styles, encoding="utf-8")
