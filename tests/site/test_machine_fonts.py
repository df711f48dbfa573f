"""What a page looks like while its own letters have not come, on machines with different fonts."""

from __future__ import annotations

import re

import pytest

from tests.site.conftest import EVERY
from tests.site.machine_fonts import MACHINES
from tests.site.visits import SIZES, Visit

pytestmark = pytest.mark.browser
PRELOADED = re.compile('rel="preload" href="[^"]*/(KaTeX_[A-Za-z]+)')
LETTERS = ["KaTeX_Main", "KaTeX_Math"]


@pytest.fixture(scope="module", params=MACHINES)
def begin(request, browsers, address):
    """Return a function that opens an empty window on a machine with some fonts."""

    def start(**settings) -> Visit:
        return Visit.begin(browsers(request.param), address, **settings)

    return start


@pytest.fixture(scope="module")
def early(html) -> dict[str, list[str]]:
    """Return the pages with formulas above their first section, and which letters they ask for."""
    asked = {name: PRELOADED.findall((html / f"{name}.html").read_text()) for name in EVERY}
    return {name: letters for name, letters in asked.items() if letters}


def hold(page, late: str) -> list:
    """Let the requests for a font wait; return where they will stand."""
    held = []
    page.route(f"**/{late}*", lambda route: held.append(route))
    return held


@pytest.mark.parametrize("late", LETTERS)
def test_no_line_moves_when_the_letters_of_formulas_come_late(begin, early, late):
    asking = [name for name, asked in early.items() if late in asked]
    assert asking
    for name in asking:
        visit = begin(**SIZES["phone"])
        held = hold(visit.page, late)
        visit.page.goto(f"{visit.address}{name}.html", wait_until="domcontentloaded")
        before = visit.wait(late).page.evaluate("questions.lead()")
        assert held, name
        for route in held:
            route.continue_()
        assert visit.wait().page.evaluate("questions.lead()") == before != [], name
        visit.close()
