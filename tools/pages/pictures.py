"""Every picture gets its size, so that nothing on the page moves while pictures arrive."""

from __future__ import annotations

import io
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

from PIL import Image
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
IMG = re.compile(r"<img\b[^>]*>")
ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
CSS_DPI = 100  # as the plot style has it: a figure of 7 inches is 700 pixels wide
STYLE_SIZE = re.compile(r"width:\s*([\d.]+)px;\s*height:\s*([\d.]+)px;?")
SVG_SIZE = re.compile(r'<svg\b[^>]*?viewBox="[\d.-]+ [\d.-]+ ([\d.]+) ([\d.]+)"', re.DOTALL)


def size_on_page(data: bytes, name: str) -> tuple[int, int]:
    """Return the width and height in CSS pixels of the picture in `data`.

    A bitmap that states its resolution (as matplotlib's do) is shown at its physical size, so
    that a figure drawn at twice the resolution is sharp and not twice as large.
    """
    if name.endswith(".svg"):
        match = SVG_SIZE.search(data.decode("utf-8", "replace"))
        if not match:
            raise ValueError(f"the SVG {name} needs a viewBox to take its size from")
        return round(float(match[1])), round(float(match[2]))
    with Image.open(io.BytesIO(data)) as picture:
        scale = max(1.0, round(picture.info.get("dpi", (CSS_DPI, CSS_DPI))[0]) / CSS_DPI)
        return round(picture.width / scale), round(picture.height / scale)


def with_size(tag: str, read) -> str:
    """Return the ``img`` tag with size, lazy loading and asynchronous decoding.

    `read` returns the bytes of the picture at an address, or None when it is not ours.
    """
    attributes = {name: unescape(value) for name, value in ATTRIBUTE.findall(tag)}
    add: dict[str, object] = {}
    stated = STYLE_SIZE.fullmatch(attributes.get("style", ""))
    if stated:
        # As attributes they let the picture shrink in proportion; as a style they do not.
        add = {"width": round(float(stated[1])), "height": round(float(stated[2]))}
        tag = re.sub(r'\sstyle="[^"]*"', "", tag)
    elif not {"width", "height"} <= attributes.keys():
        data = read(attributes.get("src", ""))
        if data is not None:
            width, height = size_on_page(data, attributes["src"])
            add = {"width": width, "height": height}
            tag = re.sub(r'\s(?:width|height)="[^"]*"', "", tag)
    for name, value in {"loading": "lazy", "decoding": "async"}.items():
        if name not in attributes:
            add[name] = value
    extra = "".join(f' {name}="{value}"' for name, value in add.items())
    return re.sub(r"^<img\b", f"<img{extra}", tag)


def reader(app):
    """Return a function from a page's picture address to its bytes."""
    sources = {name: source for source, name in app.builder.images.items()}

    def read(address: str) -> bytes | None:
        name = Path(unquote(address)).name
        path = Path(app.srcdir) / sources[name] if name in sources else None
        return path.read_bytes() if path else None

    return read


def size_pictures(app, pagename, _template, context, _doctree) -> None:
    """Rewrite the ``img`` tags of a page; one without a description is a warning."""
    body = context.get("body", "")
    for tag in IMG.findall(body):
        if 'alt="' not in tag or re.search(r'alt="[^"]*\.(?:png|svg|webp)"', tag):
            LOGGER.warning("%s: a picture has no description: %.120s", pagename, tag)
    if body:
        read = reader(app)
        context["body"] = IMG.sub(lambda match: with_size(match[0], read), body)


def setup(app) -> dict:
    """Register the rewriting with Sphinx."""
    app.connect("html-page-context", size_pictures, priority=800)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
