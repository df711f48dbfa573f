"""What stands at the root of the site, before its editions.

The first page sends a reader on to the language chosen before, or else to the one the browser
asks for; without JavaScript it offers a link to each. Beside it stand the page for addresses that
lead nowhere, the map of the site, and what robots are told.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import jinja2

from tools.book import addresses, contents, phrases
from tools.book.phrases import N_
from tools.pages.editions import EDITIONS

TEMPLATES = contents.ROOT / "web" / "entrance"
MISSING = N_("There is no such page")
MOVED = N_("It may have moved. The table of contents and the search are on every page of the book.")
DESCRIPTION = N_("An interactive textbook on building and fine-tuning large models.")
ALTERNATE = '<xhtml:link rel="alternate" hreflang="{tag}" href="{address}"/>'
NAMESPACES = (
    'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" xmlns:xhtml="http://www.w3.org/1999/xhtml"'
)


def write(root: Path, site: Path) -> None:
    """Write the files of the site's root into `site`."""
    address = addresses.site(root)
    (site / ".nojekyll").touch()  # GitHub Pages would leave out folders like _static
    if addresses.is_own_domain(root):
        (site / "CNAME").write_text(f"{urlsplit(address).hostname}\n", encoding="utf-8")
    render(root, site, f"{address}/" if address else "")
    robots = ["User-agent: *", "Allow: /"]
    if address:
        (site / "sitemap.xml").write_text(sitemap(address, contents.pages(root)), encoding="utf-8")
        robots.append(f"Sitemap: {address}/sitemap.xml")
    (site / "robots.txt").write_text("\n".join(robots) + "\n", encoding="utf-8")


def render(root: Path, site: Path, address: str) -> None:
    """Write the page that chooses the language, and the one for what is missing."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined)
    says = {each.folder: phrases.speaker(root, each.language) for each in EDITIONS}
    title = contents.settings(root)["title"]
    known = {
        "address": address,
        "editions": EDITIONS,
        "description": " ".join(say(DESCRIPTION) for say in says.values()),
        "folders": {each.tag.split("-")[0]: each.folder for each in EDITIONS},
        "titles": {folder: say(title) for folder, say in says.items()},
        "words": {f: {"missing": say(MISSING), "moved": say(MOVED)} for f, say in says.items()},
    }
    for name in ("index.html", "404.html"):
        text = environment.get_template(name).render(known)
        (site / name).write_text(text, encoding="utf-8")


def sitemap(address: str, pages: list[str]) -> str:
    """Return the map of the site: each page in each language, with the others beside it."""
    entries = [entry(address, page, each.folder) for page in pages for each in EDITIONS]
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', f"<urlset {NAMESPACES}>", *entries]
    return "\n".join([*lines, "</urlset>\n"])


def entry(address: str, page: str, folder: str) -> str:
    """Return one page of one edition, as the map of the site names it."""
    others = {each.tag: f"{address}/{each.folder}/{page}.html" for each in EDITIONS}
    links = "".join(ALTERNATE.format(tag=tag, address=escape(at)) for tag, at in others.items())
    return f"<url><loc>{escape(f'{address}/{folder}/{page}.html')}</loc>{links}</url>"
