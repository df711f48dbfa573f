"""A deck of slides in the browser, and all that is noticed while it is shown once to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.site.visits import OF_COLOURS, THEMES, Visit

QUESTIONS = (Path(__file__).parent / "deck_questions.js").read_text(encoding="utf-8")
SIZE = {"width": 1280, "height": 720}  # which decks are made for
READY = "window.Reveal && Reveal.isReady()"


@dataclass
class Shown:
    """What was noticed of a deck from its first slide to its last."""

    strangers: list[str]
    messages: list[str]
    about: dict
    pictures: list[dict]
    slides: list[dict]
    broken_rules: dict[str, list] = field(default_factory=dict)


def show(visit: Visit, address: str, axe: str) -> Shown:
    """Show a deck once, ask everything on the way, and close it."""
    page = visit.open(address).page
    page.wait_for_function(READY)
    page.evaluate(QUESTIONS)
    about, pictures = page.evaluate("deck.about()"), page.evaluate("deck.pictures()")
    shown = Shown(
        visit.strangers, visit.messages, about, pictures, page.evaluate("deck.eachSlide()")
    )
    shown.broken_rules = broken_rules(visit, axe)
    visit.close()
    return shown


def broken_rules(visit: Visit, axe: str) -> dict[str, list]:
    """Ask the accessibility checker about one slide of each look, in each theme.

    To look through a whole deck takes it seconds, even though all slides but one are hidden.
    """
    looks = visit.page.evaluate("deck.keepOneOfEachLook()")
    found: dict[str, list] = {}
    for theme in THEMES:
        options = OF_COLOURS if found else {}  # the rest is the same in each theme
        visit.wear(theme)
        found[theme] = []
        for number, look in enumerate(looks):
            visit.page.evaluate("deck.show", number)
            found[theme] += [[look, *rule] for rule in visit.wait().accessibility(axe, options)]
    return found
