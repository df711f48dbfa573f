"""A page in the browser, and all that is noticed while it is read once from start to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from playwright import sync_api

from tools.book import contents

CHAPTERS = [contents.page_of(path) for path in contents.chapter_notebooks()]
SIZES = {"desk": {"width": 1400, "height": 900}, "phone": {"width": 390, "height": 800}}
THEMES = ("light", "dark")
# No name leads anywhere but to this machine: for pages, their workers and the browser itself.
NO_NETWORK = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
QUESTIONS = (Path(__file__).parent / "questions.js").read_text(encoding="utf-8")
RUN_AXE = """async ([context, options]) =>
  (await axe.run(context ?? document, { resultTypes: ["violations"], ...options })).violations
"""
# The rules whose answer depends on colours, and the others.
COLOURS = ["color-contrast", "link-in-text-block"]
OF_COLOURS = {"runOnly": COLOURS}
NOT_OF_COLOURS = {"rules": {rule: {"enabled": False} for rule in COLOURS}}


def once(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Return `ask` so that each question is asked once; one that failed fails for all who ask."""
    kept: dict[tuple, Any] = {}

    @wraps(ask)
    def get(*question: Hashable) -> Any:
        if question not in kept:
            try:
                kept[question] = ask(*question)
            except Exception as error:
                kept[question] = error
        if isinstance(kept[question], Exception):
            raise kept[question]
        return kept[question]

    return get


@dataclass
class Visit:
    """A page that is open in the browser, and what went wrong on it."""

    page: object
    address: str
    strangers: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    pending: set = field(default_factory=set)

    @classmethod
    def begin(cls, browser, address, width=1400, height=900, theme="light") -> Visit:
        """Open an empty window and start to listen."""
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        visit = cls(context.new_page(), address)
        page = visit.page
        page.on("request", visit._ask)
        page.on("requestfinished", visit._have)
        page.on("requestfailed", visit._have)
        page.on("console", visit._hear)
        page.on("pageerror", lambda error: visit.messages.append(f"error: {error}"))
        page.add_init_script(QUESTIONS)
        return visit

    def _ask(self, request) -> None:
        self.pending.add(request)
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.strangers.append(request.url)

    def _have(self, request) -> None:
        self.pending.discard(request)

    def _hear(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.messages.append(f"{message.type}: {message.text}")

    def open(self, name: str) -> Visit:
        """Go to a page and wait until it is quiet."""
        self.page.goto(f"{self.address}{name}")
        return self.wait()

    def wait(self, late: str | None = None) -> Visit:
        """Wait until the page has all that it asks for by itself, except a font that is late."""
        end = time.monotonic() + 20
        self.page.evaluate("questions.drawn", late)
        while waiting := [r.url for r in self.pending if late is None or late not in r.url]:
            assert time.monotonic() < end, waiting
            self.page.wait_for_timeout(10)
        self.page.evaluate("questions.drawn", late)
        return self

    def read_through(self) -> Visit:
        """Scroll to the end as a reader does, and wait for the pictures."""
        self.page.evaluate("questions.readThrough()")
        return self.wait()

    def close(self) -> None:
        """Close the page, and the browser's window for it."""
        self.page.context.close()

    def wear(self, theme: str) -> object:
        """Put the page into a theme, and return it."""
        self.page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
        return self.page

    def accessibility(
        self, axe: str, options: dict | None = None, context: str | None = None
    ) -> list:
        """Return which of the accessibility checker's rules are broken, and where.

        It looks at the whole page, or at what a selector names.
        """
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(axe)
        found = self.page.evaluate(RUN_AXE, [context, options or {}])
        return [[rule["id"], [n["html"][:200] for n in rule["nodes"][:3]]] for rule in found]


@dataclass
class Seen:
    """What was noticed on a page in a window of one size, from its arrival to its end."""

    strangers: list[str]
    messages: list[str]
    arrival: dict
    end: dict
    rooms: list = field(default_factory=list)
    width: dict = field(default_factory=dict)
    contrast: dict[str, float] = field(default_factory=dict)
    broken_rules: dict[str, list] = field(default_factory=dict)
    stuck_controls: list[str] = field(default_factory=list)


def look(visit: Visit, name: str, size: str, axe: str) -> Seen:
    """Read a page once, ask everything on the way, and close it."""
    page = visit.open(f"{name}.html").page
    arrival = page.evaluate("questions.onArrival()")
    visit.read_through()
    end = page.evaluate("questions.atTheEnd()")
    seen = Seen(visit.strangers, visit.messages, arrival, end)
    english, chapter = name.startswith("en/"), name.partition("/")[2] in CHAPTERS
    if chapter and english:
        seen.rooms = page.evaluate("questions.rooms()")
    if chapter and english and size == "desk":
        seen.stuck_controls = stuck_controls(page)
    page.evaluate("questions.unfold()")
    if size == "phone" or not english:
        seen.width = width_on_a_phone(visit)
    if size == "desk":
        page.set_viewport_size(SIZES["desk"])
        ask_checker(visit, seen, axe, THEMES if english else THEMES[:1])
    visit.close()
    return seen


def width_on_a_phone(visit: Visit) -> dict:
    """Return how wide a page is in a window as narrow as a phone's."""
    visit.page.set_viewport_size(SIZES["phone"])
    return visit.wait().page.evaluate("questions.width()")


def ask_checker(visit: Visit, seen: Seen, axe: str, themes: tuple[str, ...]) -> None:
    """Ask the accessibility checker about the page, and how the text stands out, in each theme.

    To find the grounds behind each of ten thousand texts takes the checker longest. So it is asked
    about the colours of one text of each look; of all texts, when a release is tested.
    """
    visit.page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    for theme in THEMES:
        seen.contrast[theme] = visit.wear(theme).evaluate("questions.contrast('article p')")
    seen.broken_rules = {theme: [] for theme in themes}
    seen.broken_rules["light"] += visit.accessibility(axe, NOT_OF_COLOURS)
    visit.page.evaluate("questions.keepOneOfEachLook", themes)
    for theme in themes:
        visit.wear(theme)
        seen.broken_rules[theme] += visit.accessibility(axe, OF_COLOURS)


def switched_colours(page) -> list:
    """Return the colours as they are, in the dark, in the dark once more, and as they were."""
    colours = [page.evaluate("questions.colours()")]
    page.get_by_role("button", name="Use the dark theme").click()
    colours.append(page.evaluate("questions.colours()"))
    page.reload(wait_until="domcontentloaded")
    colours.append(page.evaluate("questions.colours()"))
    page.get_by_role("button", name="Use the light theme").click()
    return [*colours, page.evaluate("questions.colours()")]


def stuck_controls(page) -> list[str]:
    """Return the names of the sliders and buttons that do not move with the arrow keys."""
    controls = page.locator(".widget").locator("[type=range], :checked").element_handles()
    return [
        control.evaluate("questions.control")["called"]
        for control in controls
        if not moves(page, control)
    ]


def moves(page, control) -> bool:
    """Press an arrow key on a control; tell whether its value, the picture and its words change."""
    before = control.evaluate("questions.control")
    is_at_its_end = control.evaluate("input => input.type === 'range' && input.value === input.max")
    control.press("ArrowLeft" if is_at_its_end else "ArrowRight")
    try:
        page.wait_for_function("questions.moved", arg=[control, before], timeout=5_000)
    except sync_api.TimeoutError:
        return False
    return True
