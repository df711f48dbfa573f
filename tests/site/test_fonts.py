"""The site's fonts are cut to what its pages use, and nothing that they use is lost."""

from __future__ import annotations

import html as markup
import shutil

import pytest
from fontTools.ttLib import TTFont

from tools.pages import assets, staging
from tools.site import fonts

WHOLE = "source-serif-4-latin-wght-normal.woff2"


@pytest.fixture(scope="module")
def modules():
    return assets.ensure()


@pytest.fixture(scope="module")
def small(tmp_path_factory, modules):
    """Make a site of one page and one font, and cut the font."""
    root = tmp_path_factory.mktemp("fonts")
    folder = root / "site" / "en" / "_static" / "book" / "fonts"
    folder.mkdir(parents=True)
    shutil.copy(modules / "@fontsource-variable" / "source-serif-4" / "files" / WHOLE, folder)
    (root / "site" / "en" / "page.html").write_text("<p>caf&eacute; — 0</p>", encoding="utf-8")
    fonts.trim(root, root / "site")
    return root


def cut(root) -> TTFont:
    return TTFont(root / "site" / "en" / "_static" / "book" / "fonts" / WHOLE)


def test_characters_of_the_pages_and_ascii_stay_and_others_go(small):
    kept = {chr(code) for code in cut(small).getBestCmap()}
    assert {"é", "—", "A", "~"} <= kept
    assert not {"ü", "ß", "€"} & kept


def test_weights_in_use_stay(small):
    (axis,) = cut(small)["fvar"].axes
    assert (axis.axisTag, axis.minValue, axis.maxValue) == ("wght", *fonts.WEIGHTS)


def test_a_cut_font_says_whose_it_is_and_not_the_reserved_name(small):
    names = {record.nameID for record in cut(small)["name"].names}
    assert 0 in names
    assert not names & {1, 3, 4, 6, 16}


def test_a_second_build_takes_what_the_first_one_kept(small, monkeypatch, modules):
    monkeypatch.setattr(fonts, "trimmed", None)
    before = (small / "site" / "en" / "_static" / "book" / "fonts" / WHOLE).read_bytes()
    whole = modules / "@fontsource-variable" / "source-serif-4" / "files" / WHOLE
    shutil.copy(whole, small / "site" / "en" / "_static" / "book" / "fonts")
    fonts.trim(small, small / "site")
    assert (small / "site" / "en" / "_static" / "book" / "fonts" / WHOLE).read_bytes() == before


def test_no_character_of_the_built_pages_is_lost(html, modules):
    whole = {path.name: path for path in modules.rglob("*.woff2")}
    pages = "".join(page.read_text(encoding="utf-8") for page in html.rglob("*.html"))
    needed = {ord(letter) for letter in markup.unescape(pages)}
    for font in fonts.fonts(html):
        there = set(TTFont(font).getBestCmap())
        assert there >= needed & set(TTFont(whole[font.name]).getBestCmap()), font.name


def test_text_code_and_formulas_wait_for_half_the_bytes(html, modules):
    families = [*staging.FONTS["source-serif-4"][:2], staging.FONTS["jetbrains-mono"][0]]
    names = [*families, "KaTeX_Main-Regular.woff2", "KaTeX_Math-Italic.woff2"]
    book = html / "en" / "_static" / "book"
    sizes = {path.name: path.stat().st_size for path in book.rglob("*.woff2")}
    before = {path.name: path.stat().st_size for path in modules.rglob("*.woff2")}
    assert sum(sizes[name] for name in names) < 0.6 * sum(before[name] for name in names)
