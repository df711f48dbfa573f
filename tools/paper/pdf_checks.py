"""What can be wrong with a printed book, read from the PDF itself."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from pypdf import PdfReader

logging.getLogger("pypdf").setLevel(logging.ERROR)  # it counts Chromium's objects otherwise
LARGEST = 30e6  # bytes
FOLIO = re.compile(r'class="folio" data-of="([^"]+)"')


def folios(path: Path) -> dict[str, int]:
    """Return on which page each place that is linked to stands, counted from 1."""
    reader = PdfReader(path)
    pages: list[Any] = list(reader.pages)
    numbers = {page.indirect_reference.idnum: i + 1 for i, page in enumerate(pages)}
    places: dict[str, Any] = dict(reader.named_destinations)
    return {name.lstrip("/"): numbers[to.page.idnum] for name, to in places.items()}


def faults(path: Path, source: Path) -> list[str]:
    """Return what is wrong with a PDF, made from the page at `source`, in words."""
    reader = PdfReader(path)
    found = [
        *(f"a link leads nowhere: {name}" for name in dead_links(reader)),
        *(f"a font is not embedded: {name}" for name in absent_fonts(reader)),
        *(f"a place of the contents has no page: {name}" for name in unplaced(path, source)),
    ]
    if path.stat().st_size > LARGEST:
        found.append(f"{path.stat().st_size / 1e6:.0f} MB are more than {LARGEST / 1e6:.0f}")
    return found


def unplaced(path: Path, source: Path) -> list[str]:
    """Return the ids in the table of contents that no page of the PDF holds."""
    placed = folios(path)
    return [
        name for name in FOLIO.findall(source.read_text(encoding="utf-8")) if name not in placed
    ]


def dead_links(reader: PdfReader) -> list[str]:
    """Return the names to which links within the book lead, and which are not there."""
    known, dead = set(reader.named_destinations), []
    for page in reader.pages:
        for annotation in page.get("/Annots") or []:
            target = annotation.get_object()
            name = target.get("/Dest") or target.get("/A", {}).get("/D")
            if isinstance(name, str) and name not in known:
                dead.append(str(name))
    return dead


def fonts(reader: PdfReader) -> dict[str, bool]:
    """Return the fonts of a PDF, and whether each is embedded."""
    found: dict[str, bool] = {}
    for page in reader.pages:
        for reference in (page.get("/Resources", {}).get("/Font") or {}).values():
            font = reference.get_object()
            inner = font["/DescendantFonts"][0].get_object() if "/DescendantFonts" in font else font
            descriptor = inner.get("/FontDescriptor", {})
            files = {"/FontFile", "/FontFile2", "/FontFile3"}
            whole = font.get("/Subtype") == "/Type3" or bool(files & set(descriptor.get_object()))
            name = str(inner.get("/BaseFont", font.get("/Name", "drawn letters")))
            found[name] = found.get(name, True) and whole
    return found


def absent_fonts(reader: PdfReader) -> list[str]:
    """Return the fonts that a reader's machine would have to have."""
    return [name for name, embedded in fonts(reader).items() if not embedded]
