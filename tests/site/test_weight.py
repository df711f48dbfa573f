"""What a page weighs, compressed, before a reader has done anything; and what Lighthouse said."""

from __future__ import annotations

import gzip
import json

import pytest

from tools import contents, editions, lighthouse, site

KB = 1000
LIMITS = {"index": 500 * KB, "chapter": 1000 * KB}
# All the entries of one page load: the page itself, and whatever it has asked for since.
BYTES = """
() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .map((entry) => [entry.name, entry.transferSize])
"""
CHAPTERS = [p.relative_to(contents.ROOT).with_suffix("").as_posix() for p in contents.chapters()]
FOLDERS = [edition.folder for edition in editions.EDITIONS]


def loaded(new_visit, name: str) -> dict[str, int]:
    """Return how many bytes came over the network for each file of a page."""
    return dict(new_visit(name, width=412, height=823).page.evaluate(BYTES))


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_landing_page_is_light(new_visit, folder):
    sizes = loaded(new_visit, f"{folder}/index.html")
    assert sum(sizes.values()) < LIMITS["index"], sizes


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_chapter_is_light_before_its_widgets_are_touched(new_visit, folder, name):
    sizes = loaded(new_visit, f"{folder}/{name}.html")
    assert sum(sizes.values()) < LIMITS["chapter"], sizes
    assert not any("_widgets/" in address for address in sizes)


def test_what_is_weighed_is_compressed(html, new_visit):
    """The numbers above would mean nothing if the server sent text as it is."""
    page = html / "en" / f"{CHAPTERS[0]}.html"
    sizes = loaded(new_visit, f"en/{CHAPTERS[0]}.html")
    sent = next(size for address, size in sizes.items() if address.endswith(".html"))
    packed = len(gzip.compress(page.read_bytes(), 6))
    assert packed <= sent < packed + KB
    assert sent < page.stat().st_size / 3
    assert ".html" in site.Handler.compressible


def test_the_recorded_scores_are_of_these_pages_and_high_enough():
    recorded = json.loads(lighthouse.RESULT.read_text(encoding="utf-8"))
    assert list(recorded["pages"]) == lighthouse.pages()
    for name, page in recorded["pages"].items():
        for category in lighthouse.CATEGORIES:
            assert page[category] >= lighthouse.LIMIT, (name, category)
