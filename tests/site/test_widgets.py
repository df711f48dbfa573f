"""Widgets on the built pages: each setting of the controls names the picture that was drawn for it.

What a page holds is compared with the notebook, where the pictures stand in stacks within stacks.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
from html import unescape
from pathlib import Path

import pytest
from bs4 import BeautifulSoup, Tag

from tests.site.conftest import ROOT
from tests.site.visits import CHAPTERS
from tools.book import notebooks, widget_state
from tools.words import catalogs

HAN = re.compile("[\u4e00-\u9fff]")
WORD = re.compile("[a-z]{3}")
TRANSLATED = [page for page in CHAPTERS if page in catalogs.translated(ROOT, "zh_CN")]


def on_page(html: Path, name: str) -> list[Tag]:
    """Return the widgets of a built page."""
    page = BeautifulSoup((html / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    return page.select(".widget")


def stored(page: str) -> list[tuple[dict, str]]:
    """Return a chapter's models, with the name of each widget that an output shows."""
    notebook = notebooks.read(ROOT / f"{page}.ipynb")
    models = notebook.metadata.widgets[widget_state.STATE]["state"]
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    views = [output.get("data", {}).get(widget_state.VIEW) for output in outputs]
    return [(models, view["model_id"]) for view in views if view]


def below(models: dict, model: dict, place: int) -> dict:
    """Return a child of a model."""
    return models[model["state"]["children"][place].removeprefix("IPY_MODEL_")]


def controls_of(models: dict, box: dict) -> list[dict]:
    """Return the controls of a widget: what stands between the common ground and the pictures."""
    return [below(models, box, place) for place in range(1, len(box["state"]["children"]) - 1)]


def drawn(models: dict, identity: str) -> dict[tuple[int, ...], str]:
    """Return what the notebook shows for each setting of the controls."""
    box = models[identity]
    sizes = [len(control["state"]["_options_labels"]) for control in controls_of(models, box)]
    found = {}
    for setting in itertools.product(*map(range, sizes)):
        model = below(models, box, -1)
        for place in setting:
            model = below(models, model, place)
        found[setting] = model["state"]["value"]
    return found


def number(widget: Tag, setting: tuple[int, ...]) -> int:
    """Return the number of the picture that a page shows for a setting."""
    total = 0
    for choice, place in zip(widget.select(".choice"), setting, strict=True):
        slider = choice.select_one("[type=range]")
        if slider:
            total += int(slider["step"]) * place
        else:
            total += int(choice.select("input")[place]["value"])
    return total


@pytest.mark.parametrize("page", CHAPTERS)
def test_each_setting_shows_its_own_picture(html, page):
    widgets = on_page(html, f"en/{page}")
    assert len(widgets) == len(stored(page)) > 0
    for widget, (models, identity) in zip(widgets, stored(page), strict=True):
        alts = json.loads(widget["data-alts"])
        pictures = drawn(models, identity)
        assert len(alts) == len(pictures)
        for setting, value in pictures.items():
            shown = number(widget, setting)
            picture = html / "en" / page / f"../{widget['data-pictures']}-{shown}.webp"
            data = re.search(r'base64,([^"]+)"', value)[1]
            assert picture.resolve().read_bytes() == base64.b64decode(data)
            assert alts[shown] == unescape(re.search(r'alt="([^"]*)"', value)[1])


@pytest.mark.parametrize("page", CHAPTERS)
def test_controls_offer_what_the_notebook_offers(html, page):
    for widget, (models, identity) in zip(on_page(html, f"en/{page}"), stored(page), strict=True):
        controls = [model["state"] for model in controls_of(models, models[identity])]
        for choice, control in zip(widget.select(".choice"), controls, strict=True):
            name = choice.select_one("label, span")
            assert name.get_text() == control["description"].replace("_", "")  # a subscript
            slider = choice.select_one("[type=range]")
            if slider:
                labels = json.loads(slider["data-labels"])
                assert int(slider["max"]) == int(slider["step"]) * (len(labels) - 1)
            else:
                labels = [kind.get_text() for kind in choice.select(".kinds label")]
            assert labels == control["_options_labels"]


@pytest.mark.parametrize("page", CHAPTERS)
def test_the_first_state_is_in_the_page(html, page):
    """Without any script: the picture, its words, its size, and what each control stands at."""
    for widget, (models, identity) in zip(on_page(html, f"en/{page}"), stored(page), strict=True):
        begin = [model["state"]["index"] for model in controls_of(models, models[identity])]
        first, picture = number(widget, tuple(begin)), widget.img
        assert picture["src"] == f"{widget['data-pictures']}-{first}.webp"
        assert picture["alt"] == json.loads(widget["data-alts"])[first]
        assert int(picture["width"]) > 100 < int(picture["height"])
        for choice, place in zip(widget.select(".choice"), begin, strict=True):
            slider, kinds = choice.select_one("[type=range]"), choice.select("[type=radio]")
            if slider:
                assert int(slider["value"]) == int(slider["step"]) * place
                assert json.loads(slider["data-labels"])[place] == slider["aria-valuetext"]
                assert choice.select_one(".chosen").get_text() == slider["aria-valuetext"]
            else:
                assert [kind.has_attr("checked") for kind in kinds].index(True) == place
                assert sum(kind.has_attr("checked") for kind in kinds) == 1


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_widget_is_light(html, page):
    folder = (html / "en" / page).parent
    for widget in on_page(html, f"en/{page}"):
        pictures = folder.joinpath(widget["data-pictures"]).resolve()
        files = list(pictures.parent.glob(f"{pictures.name}*.webp"))
        assert len(files) == len(json.loads(widget["data-alts"])) + 1
        assert sum(file.stat().st_size for file in files) < 400_000


@pytest.mark.parametrize("page", TRANSLATED)
def test_widgets_speak_chinese(html, page):
    english, chinese = (on_page(html, f"{folder}/{page}") for folder in ("en", "zh"))
    for one, other in zip(english, chinese, strict=True):
        for said, meant in zip(*(json.loads(w["data-alts"]) for w in (one, other)), strict=True):
            assert HAN.search(meant), said
        first = json.loads(one["data-alts"]).index(one.img["alt"])
        assert other.img["alt"] == json.loads(other["data-alts"])[first]
        names = zip(*(w.select(".choice > :first-child") for w in (one, other)), strict=True)
        words = [(said.text, meant.text) for said, meant in names if WORD.search(said.text)]
        assert [said for said, meant in words if not HAN.search(meant)] == []
