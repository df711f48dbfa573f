"""The builder ``ebook``: each page as XHTML for e-readers, from which the EPUB is packed.

What holds for paper holds here: widgets stand still, hints are open, solutions come at the end of
the chapter. Math is MathML, which e-readers set themselves; there are no scripts.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from html.entities import html5
from pathlib import Path
from typing import Any

from PIL import Image

from tools.paper.print_builder import Page, PrintedBuilder, slug

TAG = re.compile(r"<[a-zA-Z][^>]*>")
VOID = re.compile(r"<(area|br|col|hr|img|input|source|wbr)\b((?:\s[^>]*?)?)\s*/?>")
LINK = re.compile(r'(\shref=")book:([^"#]*)(#[^"]*)?(")')
ENTITY = re.compile(r"&(?!amp;|lt;|gt;|quot;|#)(\w+;)")
# What e-readers do not know, and spacing that KaTeX leaves empty.
UNKNOWN = re.compile(r'\s(?:loading|decoding)="[^"]*"|\sstyle="--[^"]*"|\scolumnspacing=""')
MATH = re.compile(r"<math\b.*</math>", re.DOTALL)
PICTURE = re.compile(r'(src="_images/[^"]+)\.webp"')


WORD = re.compile(r"(<mo\b[^>]*>)<mrow>((?:<mi[^>]*>\w</mi>)+)</mrow></mo>")


def flat(formula: str) -> str:
    """Return MathML in which a word that is an operator, as in a mod b, is plain text.

    >>> flat('<mo lspace="0.2em"><mrow><mi mathvariant="normal">m</mi><mi>o</mi></mrow></mo>')
    '<mo lspace="0.2em">mo</mo>'
    """
    return WORD.sub(lambda found: f"{found[1]}{re.sub('<[^>]*>', '', found[2])}</mo>", formula)


class MathML:
    """KaTeX, of which only the MathML is taken."""

    def __init__(self, katex):
        self.katex = katex

    def render(self, tex: str, display: bool) -> dict:
        """Return a formula's MathML, or the error."""
        answer = self.katex.render(tex, display)
        if "html" in answer:
            return answer | {"html": flat(MATH.findall(answer["html"])[0])}
        return answer

    def close(self) -> None:
        """End the process behind it."""
        self.katex.close()


def as_xhtml(markup: str) -> str:
    r"""Return HTML as XML wants it: every tag closed, every entity known.

    >>> as_xhtml('a<br>b&nbsp;<img src="x" loading="lazy">&lt;')
    'a<br/>b\xa0<img src="x"/>&lt;'
    """
    markup = ENTITY.sub(lambda match: html5.get(match[1], match[0]), markup)
    markup = TAG.sub(lambda tag: UNKNOWN.sub("", tag[0]), markup)
    return VOID.sub(lambda match: f"<{match[1]}{match[2].rstrip(' /')}/>", markup)


def as_known(drawing: str) -> str:
    """Return a drawing with a style in place of an attribute that is no part of EPUB's SVG.

    >>> as_known('<text stroke="#FFF" paint-order="stroke">x</text>')
    '<text stroke="#FFF" style="paint-order:stroke">x</text>'
    """
    return drawing.replace(' paint-order="stroke"', ' style="paint-order:stroke"')


def file_name(page: str) -> str:
    """Return the file of a page in the EPUB.

    >>> file_name("chapters/attention")
    'chapters-attention.xhtml'
    """
    return f"{slug(page)}.xhtml"


def between_files(markup: str, known: set[str]) -> str:
    """Return HTML whose links to other pages lead to their files, or to the cover page."""

    def link(match: re.Match) -> str:
        before, page, place, after = match.groups()
        name = file_name(page) if page in known else "title.xhtml"
        return f"{before}{name}{(place or '') if page in known else ''}{after}"

    return TAG.sub(lambda tag: LINK.sub(link, tag[0]), markup)


def described(page: Page) -> dict:
    """Return a page, and its parts, as `tools.paper.epub` reads them."""
    parts = [described(part) for part in page.parts]
    return asdict(page) | {"file": file_name(page.name), "parts": parts}


class EbookBuilder(PrintedBuilder):
    """Renders the pages for e-readers and keeps them; `tools.paper.epub` packs them."""

    name = "ebook"

    def prepare_writing(self, docnames: set[str]) -> None:
        """Take only the MathML from KaTeX."""
        super().prepare_writing(docnames)
        app: Any = self.app
        app.katex = MathML(app.katex)

    def localised(self, body: str, pagename: str) -> str:
        """Return a page's body with links and pictures as they are in the EPUB."""
        known = {name for name in self.env.found_docs if name != self.config.root_doc}
        body = PICTURE.sub(r'\g<1>.png"', between_files(body, known))
        return as_xhtml(body)

    def complete(self) -> None:
        """Write the pages, and pictures in forms that every e-reader knows."""
        for picture in Path(self.outdir, "_images").glob("*.webp"):
            with Image.open(picture) as opened:
                opened.convert("RGB").quantize(256).save(picture.with_suffix(".png"), optimize=True)
            picture.unlink()
        for picture in Path(self.outdir, "_images").glob("*.svg"):
            drawing = picture.read_text(encoding="utf-8")
            picture.write_text(as_known(drawing), encoding="utf-8")
        pages = [described(page) for page in self.in_order()]
        text = json.dumps(pages, ensure_ascii=False, indent=1)
        Path(self.outdir, "pages.json").write_text(text, encoding="utf-8")

    def place(self, page: str, identity: str) -> str:
        """Return where a section stands in the EPUB."""
        return f"{file_name(page)}#{identity}"


def setup(app) -> dict:
    """Register the builder with Sphinx."""
    app.setup_extension("tools.paper.print_builder")
    app.add_builder(EbookBuilder)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
