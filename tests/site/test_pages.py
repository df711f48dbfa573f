"""Every page of the book, as a reader's browser sees it.

Each page is visited once on a desk, and in English once more on a phone (`look` in `visits.py`).
The tests here only ask what was noticed then.
"""

from __future__ import annotations

import gzip
import json
import re
from statistics import mean

import pytest

from tests.site.conftest import ENGLISH, EVERY, ROOT
from tests.site.visits import CHAPTERS, OF_COLOURS, SIZES, THEMES, switched_colours
from tools.words import catalogs

pytestmark = pytest.mark.browser
# The chapters in English, and in both editions.
TAUGHT = [name for name in ENGLISH if name.partition("/")[2] in CHAPTERS]
TOLD = [name for name in EVERY if name.partition("/")[2] in CHAPTERS]
KB = 1000
each_size = pytest.mark.parametrize("size", SIZES)
# In Chinese a page on a phone is visited for a release; otherwise the window on the desk is made
# as narrow for a moment.
CHINESE = [name for name in EVERY if name not in ENGLISH]
VISITS = [(name, size) for name in ENGLISH for size in SIZES]
VISITS += [(name, "desk") for name in CHINESE]
VISITS += [pytest.param(name, "phone", marks=pytest.mark.release) for name in CHINESE]
each_visit = pytest.mark.parametrize(("name", "size"), VISITS)


def smallest(name: str) -> str:
    """Return the size of the smallest window in which a page is always visited."""
    return "phone" if name in ENGLISH else "desk"


# -- what a page asks for ------------------------------------------------------------------------


@each_visit
def test_no_request_to_another_host(seen, name, size):
    assert seen(name, size).strangers == []


@each_visit
def test_nothing_in_the_console(seen, name, size):
    assert seen(name, size).messages == []


@pytest.mark.parametrize("name", [name for name in EVERY if name.endswith("/index")])
def test_a_landing_page_is_light(seen, name):
    sizes = dict(seen(name, smallest(name)).arrival["bytes"])
    assert sum(sizes.values()) < 500 * KB, sizes


@pytest.mark.parametrize("name", TOLD)
def test_a_chapter_is_light(seen, name):
    sizes = dict(seen(name, smallest(name)).arrival["bytes"])
    assert sum(sizes.values()) < 1000 * KB, sizes


@pytest.mark.parametrize("name", TAUGHT)
def test_what_is_weighed_is_compressed(seen, html, name):
    """The numbers above would mean nothing if the server sent text as it is."""
    page = (html / f"{name}.html").read_bytes()
    sizes = seen(name, "phone").arrival["bytes"]
    sent = next(size for address, size in sizes if address.endswith(".html"))
    packed = len(gzip.compress(page, 6))
    assert packed <= sent < packed + KB
    assert sent < len(page) / 3


@pytest.mark.parametrize("name", TAUGHT)
def test_widgets_are_there_from_the_first_moment(seen, name):
    arrival = seen(name).arrival
    assert arrival["widgets"]
    assert arrival["pictures"] == len(arrival["widgets"])
    assert all(arrival["controls"])


@pytest.mark.parametrize("name", [name for name in ENGLISH if name not in TAUGHT])
def test_pages_without_widgets_load_no_script_for_them(seen, name):
    visit = seen(name)
    assert visit.arrival["widgets"] or visit.end["widget_scripts"] == 0


# -- what it says --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_math_is_rendered(seen, name):
    end = seen(name).end
    assert end["broken_formulas"] == 0
    assert re.findall(r"\\begin|\\frac|\\mathbb|\$", end["text"]) == []


@pytest.mark.parametrize("name", TAUGHT)
def test_chapters_have_math_and_numbered_equations(seen, name):
    end = seen(name).end
    assert end["formulas"] > 5
    numbers = end["numbers"]
    assert numbers
    assert len(set(numbers)) == len(numbers)
    assert all(re.match(r"\(\d+\.\d+\)", number) for number in numbers)


@pytest.mark.parametrize("name", EVERY)
def test_directives_and_roles_are_resolved(seen, name):
    pattern = r"\*\*|:::|\{(?:eq|ref|numref|cite\w*|doc)[:}]"
    assert re.findall(pattern, seen(name).end["text"]) == []


NAMES = {"colab", "github", "numpy", "pytorch", "minilm", "softmax", "javascript", "hello", "mit"}


@pytest.mark.parametrize(
    "name",
    [f"zh/{page}" for page in catalogs.translated(ROOT, "zh_CN") if f"en/{page}" in TAUGHT],
)
def test_the_interface_speaks_chinese(seen, name):
    words = re.findall(r"[A-Za-z]{3,}", seen(name).end["interface"])
    phrases = {word.lower() for word in words} - NAMES
    common = {"show", "hide", "source", "the", "figure", "fig", "exercise", "solution", "hint"}
    common |= {"next", "previous", "search", "contents", "page", "copy", "edit", "report"}
    assert phrases & common == set()


# -- how it looks --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGLISH)
def test_every_picture_has_its_words_and_its_size(seen, name):
    for picture in seen(name).end["pictures"]:
        assert picture["missing"] == [], picture["markup"]


@pytest.mark.parametrize("name", ENGLISH)
def test_no_picture_is_broken_or_distorted(seen, name):
    for picture in seen(name).end["pictures"]:
        if picture["shown"] is not None:
            assert picture["shown"] == pytest.approx(picture["natural"], rel=0.03), picture[
                "markup"
            ]


@each_visit
def test_nothing_moves_while_a_page_loads(seen, name, size):
    """What letters move that come late, `test_what_stands_in_is_latin_and_as_wide` asks."""
    shifts = [shift for shift in seen(name, size).end["shifts"] if not shift["byLetters"]]
    assert sum(shift["value"] for shift in shifts) < 0.05, shifts


@pytest.mark.parametrize("name", TAUGHT)
def test_the_room_for_what_is_laid_out_late_is_right(seen, name):
    """On a desk: on a phone lines are broken, and whole sections are laid out at once."""
    rooms = seen(name).rooms
    assert len(rooms) > 10
    wrong = [room for room in rooms if abs(room[0] - room[1]) > max(6, 0.1 * room[1])]
    assert len(wrong) < 0.05 * len(rooms), wrong


@pytest.mark.parametrize("name", EVERY)
def test_no_sideways_scrolling_on_a_phone(seen, name):
    width = seen(name, smallest(name)).width
    assert width["page"] <= SIZES["phone"]["width"]
    assert width["outside"] == 0


@pytest.mark.parametrize("name", TAUGHT)
def test_lines_are_about_seventy_characters_long(seen, name):
    assert 60 <= mean(seen(name).end["lines"]) <= 80


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", EVERY)
def test_text_stands_out(seen, name, theme):
    assert seen(name).contrast[theme] >= 7


LOOKED_AT = [(name, theme) for name in ENGLISH for theme in THEMES]
LOOKED_AT += [(name, "light") for name in CHINESE]


@pytest.mark.parametrize(("name", "theme"), LOOKED_AT)
def test_axe_finds_nothing(seen, name, theme):
    found = seen(name).broken_rules[theme]
    assert found == [], json.dumps(found, indent=1)


@pytest.mark.release
@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", EVERY)
def test_every_single_text_stands_out(open_visit, axe, name, theme):
    visit = open_visit(f"{name}.html", theme=theme).read_through()
    visit.page.evaluate("questions.unfold()")
    found = visit.accessibility(axe, OF_COLOURS)
    visit.close()
    assert found == [], json.dumps(found, indent=1)


# -- what moves ----------------------------------------------------------------------------------


# The switch is the same on every page: the landing page, a chapter and an appendix stand for all.
SWITCHED = [ENGLISH[0], TAUGHT[0], ENGLISH[-1]]
OTHERS = [name for name in ENGLISH if name not in SWITCHED]


@pytest.mark.parametrize(
    "name", [*SWITCHED, *(pytest.param(name, marks=pytest.mark.release) for name in OTHERS)]
)
def test_theme_switch(open_visit, name):
    visit = open_visit(f"{name}.html")
    before, switched, loaded_again, back = switched_colours(visit.page)
    visit.close()
    assert all(old != new for old, new in zip(before, switched, strict=True))
    assert loaded_again == switched
    assert back == before


@each_size
@pytest.mark.parametrize("name", TAUGHT)
def test_a_widget_keeps_its_height(seen, name, size):
    visit = seen(name, size)
    assert visit.arrival["widgets"]
    assert visit.end["widgets"] == pytest.approx(visit.arrival["widgets"], abs=2)


@pytest.mark.parametrize("name", TAUGHT)
def test_every_slider_is_called_what_stands_beside_it(seen, name):
    for widget in seen(name).end["sliders"]:
        for said, beside in widget:
            assert said == beside
            assert all(beside)


@pytest.mark.parametrize("name", TAUGHT)
def test_every_control_moves_with_the_keyboard(seen, name):
    visit = seen(name)
    assert visit.arrival["widgets"], "a chapter has at least one widget"
    assert visit.stuck_controls == []
