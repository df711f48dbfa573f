"""Pack the book for e-readers: ``python -m tools.paper.epub`` writes an EPUB 3 for each edition.

The pages come from the builder ``ebook``. The same source gives the same file, byte for byte,
wherever the pictures are the same: entries stand in order and carry the date of the last commit.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
import zipfile
from pathlib import Path

import jinja2

from tools.book import contents, phrases
from tools.pages import products
from tools.paper import dates, epub_checks, whole_book
from tools.paper.whole_book import Built, Maker

TEMPLATES = contents.ROOT / "web" / "epub"
KINDS = {
    ".xhtml": "application/xhtml+xml",
    ".css": "text/css",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".svg": "image/svg+xml",
}
USED = re.compile(r'src="(_images/[^"]+)"')
CONTAINER = """<?xml version="1.0" encoding="UTF-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles>
<rootfile full-path="EPUB/book.opf" media-type="application/oebps-package+xml"/>
</rootfiles>
</container>
"""


def render(name: str, **words) -> bytes:
    """Return a filled-in template."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    return environment.get_template(name).render(**words).encode("utf-8")


def files_of(pages: list[dict], built: Path, words: dict) -> dict[str, bytes]:
    """Return the EPUB's files below ``EPUB/``: pages, pictures, style, cover, contents."""
    files = {page["file"]: render("page.xhtml", page=page, **words) for page in pages}
    pictures = {name for page in pages for name in USED.findall(page["body"])}
    files |= {name: (built / name).read_bytes() for name in sorted(pictures)}
    files["style.css"] = (TEMPLATES / "style.css").read_bytes()
    files["cover.svg"] = render("cover.svg", **words)
    files["title.xhtml"] = render("title.xhtml", **words)
    files["nav.xhtml"] = render("nav.xhtml", pages=pages, **words)
    return files


def manifest(files: dict[str, bytes]) -> list[dict]:
    """Return one entry for each file, with the properties that readers must know of."""
    entries = []
    for name, data in sorted(files.items()):
        properties = {"nav.xhtml": ["nav"], "cover.svg": ["cover-image"]}.get(name, [])
        if name.endswith(".xhtml"):
            properties = [*properties, *(["mathml"] if b"<math" in data else [])]
            properties = [*properties, *(["svg"] if b"<svg" in data else [])]
        identity = "file-" + re.sub(r"[^\w-]", "-", name)
        kind = KINDS[Path(name).suffix]
        entries.append(
            {"id": identity, "href": name, "kind": kind, "properties": " ".join(properties)}
        )
    return entries


def pack(path: Path, files: dict[str, bytes], moment) -> None:
    """Write an EPUB: the type first and not compressed, as readers expect, then the rest."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, moment.timetuple()[:6])
            entry.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)


def words_of(built: Built) -> dict:
    """Return what the templates say about the book and this file of it."""
    moment = dates.of_source(built.root)
    return {
        "title": built.words["book_title"],
        "author": built.words["author"],
        "edition": built.edition,
        "address": built.address,
        "say": phrases.speaker(built.root, built.edition.language),
        "identity": uuid.uuid5(uuid.NAMESPACE_URL, f"{products.STEM}/{built.edition.folder}"),
        "modified": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    }


def write(built: Built, path: Path) -> list[str]:
    """Pack what was built into an EPUB; return what is wrong with it."""
    chapters = json.loads((built.folder / "pages.json").read_text(encoding="utf-8"))
    pages = [page for chapter in chapters for page in (chapter, *chapter["parts"])]
    words = words_of(built) | {"chapters": chapters}
    files = files_of(pages, built.folder, words)
    package = render("book.opf", manifest=manifest(files), pages=pages, **words)
    whole = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER.encode()}
    whole |= {"EPUB/book.opf": package}
    whole |= {f"EPUB/{name}": data for name, data in sorted(files.items())}
    pack(path, whole, dates.of_source(built.root))
    return epub_checks.faults(path)


make = Maker("ebook", "epub", write).make


if __name__ == "__main__":
    sys.exit(whole_book.main(make, __doc__))
