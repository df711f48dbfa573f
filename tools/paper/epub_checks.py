"""What can be wrong with an EPUB, read from the file itself.

The rules are those that readers stumble over: files that are not XML, links into nothing, files
that the package does not name, ids used twice. ``epubcheck``, where it is installed, knows more.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections import Counter
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

LARGEST = 30e6  # bytes
XHTML = "{http://www.w3.org/1999/xhtml}"
PACKAGE = "{http://www.idpf.org/2007/opf}"
ELSEWHERE = ("http://", "https://", "mailto:", "data:")


def faults(path: Path) -> list[str]:
    """Return what is wrong with an EPUB, in words."""
    with zipfile.ZipFile(path) as archive:
        first = archive.infolist()[0]
        files = {name: archive.read(name) for name in archive.namelist()}
    found = []
    if first.filename != "mimetype" or first.compress_type != zipfile.ZIP_STORED:
        found.append("the first entry must be the type, not compressed")
    if path.stat().st_size > LARGEST:
        found.append(f"{path.stat().st_size / 1e6:.0f} MB are more than {LARGEST / 1e6:.0f}")
    trees, broken = parsed(files)
    return [*found, *broken, *unnamed(files, trees), *dead_links(files, trees), *markup(trees)]


def parsed(files: dict[str, bytes]) -> tuple[dict[str, ElementTree.Element], list[str]]:
    """Return the trees of all XML files, and what cannot be read."""
    trees, broken = {}, []
    for name, data in files.items():
        if name.endswith((".xhtml", ".opf", ".xml", ".svg")):
            try:
                trees[name] = ElementTree.fromstring(data)
            except ElementTree.ParseError as error:
                broken.append(f"{name} is not XML: {error}")
    return trees, broken


def unnamed(files: dict[str, bytes], trees: dict) -> list[str]:
    """Return the files that the package does not name, and those it names that are not there."""
    items = trees["EPUB/book.opf"].iter(f"{PACKAGE}item")
    named = {f"EPUB/{item.get('href')}" for item in items}
    there = {name for name in files if name.startswith("EPUB/") and name != "EPUB/book.opf"}
    return [
        *(f"not in the manifest: {name}" for name in sorted(there - named)),
        *(f"in the manifest and not there: {name}" for name in sorted(named - there)),
    ]


def identities(tree: ElementTree.Element) -> list[str]:
    """Return the ids in a file."""
    return [name for element in tree.iter() if (name := element.get("id"))]


def dead_links(files: dict[str, bytes], trees: dict) -> list[str]:
    """Return the links and pictures that lead nowhere within the EPUB."""
    dead, known = [], {name: set(identities(tree)) for name, tree in trees.items()}
    for name, tree in trees.items():
        if not name.endswith(".xhtml"):
            continue
        for element in tree.iter():
            address = element.get("href") or element.get("src") or ""
            if not address or address.startswith(ELSEWHERE):
                continue
            page, _, place = unquote(address).partition("#")
            target = posixpath.join(posixpath.dirname(name), page) if page else name
            if target not in files or (place and place not in known.get(target, set())):
                dead.append(f"{name}: {address} leads nowhere")
    return dead


def markup(trees: dict) -> list[str]:
    """Return ids used twice, pictures without a description, and scripts."""
    found = []
    for name, tree in trees.items():
        twice = [identity for identity, count in Counter(identities(tree)).items() if count > 1]
        found += [f"{name}: the id {identity} is used twice" for identity in twice]
        pictures = tree.iter(f"{XHTML}img")
        found += [f"{name}: no description: {p.get('src')}" for p in pictures if not p.get("alt")]
        found += [f"{name}: a script" for _ in tree.iter(f"{XHTML}script")]
    return found
