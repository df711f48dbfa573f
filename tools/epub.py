"""Pack the book for e-readers: ``python -m tools.epub`` writes an EPUB 3 for each edition.

The pages come from the builder ``ebook``. The same source gives the same file, byte for byte,
wherever the pictures are the same: entries stand in order and carry the date of the last commit.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import uuid
import zipfile
from pathlib import Path

import jinja2

from tools import contents, dates, editions, epub_checks, phrases, products
from tools.editions import Edition

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


def make(root: Path, edition: Edition, fresh: bool = True) -> Path:
    """Pack an edition, reading the book anew or not; return the EPUB's path.

    Raises
    ------
    RuntimeError
        If the edition cannot be built, or the EPUB has a fault.
    """
    static, modules = editions.stage(root)
    config = editions.sphinx_config(root, static, modules, edition)
    if editions.run("ebook", root, edition, config, fresh):
        raise RuntimeError(f"{edition.name}: every warning above is an error")
    built, context = editions.place("ebook", root, edition), config["html_context"]
    pages = json.loads((built / "pages.json").read_text(encoding="utf-8"))
    address, moment = config["html_baseurl"], dates.of_source(root)
    words = {
        "title": context["book_title"],
        "author": context["author"],
        "edition": edition,
        "address": address,
        "say": phrases.speaker(root, edition.language),
        "identity": uuid.uuid5(uuid.NAMESPACE_URL, f"{products.STEM}/{edition.folder}"),
        "modified": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
    }
    files = files_of(pages, built, words)
    package = render("book.opf", manifest=manifest(files), pages=pages, **words)
    whole = {"mimetype": b"application/epub+zip", "META-INF/container.xml": CONTAINER.encode()}
    whole |= {"EPUB/book.opf": package}
    whole |= {f"EPUB/{name}": data for name, data in sorted(files.items())}
    target = root / "_build" / "downloads" / f"{products.STEM}-{edition.folder}.epub"
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".epub.tmp")
    pack(beside, whole, moment)
    faults = epub_checks.faults(beside)
    if faults:
        raise RuntimeError("\n".join([f"{target.name}:", *faults]))
    beside.rename(target)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    folders = [edition.folder for edition in editions.EDITIONS]
    parser = argparse.ArgumentParser(prog="python -m tools.epub", description=__doc__)
    parser.add_argument("editions", nargs="*", default=folders, help=" or ".join(folders))
    options = parser.parse_args(arguments)
    for folder in options.editions:
        try:
            path = make(contents.ROOT, editions.edition(folder))
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 1
        print(f"Packed {path} ({path.stat().st_size / 1e6:.1f} MB).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
