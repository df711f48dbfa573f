"""The built site, served from localhost to a Chromium whose network is cut."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tools import assets, chromium, contents, editions, site

ROOT = contents.ROOT
PAGES = contents.pages()
EDITIONS = editions.EDITIONS
# Every page is looked at in English. In Chinese the same code lays out the same content, so only
# what the language changes is looked at again.
ENGLISH = [f"en/{page}" for page in PAGES]
EVERY = [f"{edition.folder}/{page}" for edition in EDITIONS for page in PAGES]
HTML = ROOT / "_build" / "html"
# Layout shifts are counted from the first moment, those after a key or a click left out.
COUNT_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (!entry.hadRecentInput) {
      window.shifts.push([entry.value, entry.sources.map((s) => s.node?.className ?? "").join()]);
    }
  }
}).observe({ type: "layout-shift", buffered: true });
"""
HEIGHTS = "[...document.querySelectorAll('.widget')].map((widget) => widget.offsetHeight)"
# All that a page asks for by itself is there, and half a second long it asks for nothing more.
QUIET = """
async () => {
  const asked = () => performance.getEntriesByType("resource").length;
  await document.fonts.ready;
  for (let before = -1; before !== asked();) {
    before = asked();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
"""
SCROLL_THROUGH = """
async () => {
  const step = innerHeight * 0.75;
  for (let y = 0; y < document.documentElement.scrollHeight; y += step) {
    scrollTo({ top: y, behavior: "instant" });
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
}
"""


def find_chromium() -> str:
    """Return the browser, or skip; where the environment variable CI is set, fail."""
    try:
        return chromium.find()
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


def newest_source() -> float:
    """Return when the last of the site's sources changed."""
    files = [ROOT / name for name in ("_config.yml", "_toc.yml", "index.md", "references.bib")]
    for folder in ("chapters", "web", "tools", "locale", "exercises", "benchmarks"):
        files += [path for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
    return max(path.stat().st_mtime for path in files if path.is_file())


@pytest.fixture(scope="session")
def html() -> Path:
    """Return the folder of the built site, built first where it is missing or out of date."""
    from filelock import FileLock

    (ROOT / "_build").mkdir(exist_ok=True)
    with FileLock(ROOT / "_build" / ".site.lock"):
        index = HTML / "index.html"
        if not index.exists() or index.stat().st_mtime < newest_source():
            assert site.build() == 0, "the site does not build"
    return HTML


@pytest.fixture(scope="session")
def address(html) -> str:
    """Return the address under which the site is served during the tests."""
    server = site.make_server(html)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browser():
    """Return a Chromium without a window."""
    program = find_chromium()
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=program, args=list(chromium.FLAGS))
        yield running
        running.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the accessibility checker's script."""
    return (assets.ensure() / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@dataclass
class Visit:
    """A page that is open in the browser, and what went wrong on it."""

    page: object
    address: str
    strangers: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    asleep: list[int] = field(default_factory=list)

    def watch(self) -> Visit:
        """Cut the network and start to listen."""
        self.page.route("**/*", self._gate)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.add_init_script(COUNT_SHIFTS)
        return self

    def _gate(self, route) -> None:
        url = route.request.url
        if url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.strangers.append(url)
            route.abort()

    def _hear(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.messages.append(f"{message.type}: {message.text}")

    def open(self, name: str) -> Visit:
        """Go to a page and wait until it is quiet."""
        self.page.goto(f"{self.address}{name}")
        return self.wait()

    def wait(self) -> Visit:
        """Wait until the page is quiet."""
        self.page.evaluate(QUIET)
        return self

    def read_through(self) -> Visit:
        """Scroll to the end as a reader does, and wait for the widgets."""
        self.asleep = self.widget_heights()
        self.page.evaluate(SCROLL_THROUGH)
        self.page.wait_for_function(
            "document.querySelectorAll('.widget:not(.awake)').length === 0", timeout=20_000
        )
        self.page.wait_for_timeout(300)
        return self

    def widget_heights(self) -> list[int]:
        """Return how high the page's widgets stand."""
        return self.page.evaluate(HEIGHTS)

    def close(self) -> None:
        """Close the page, and the browser's window for it."""
        self.page.context.close()

    def wear(self, theme: str) -> object:
        """Put the page into a theme, and return it."""
        self.page.evaluate("theme => (document.documentElement.dataset.theme = theme)", theme)
        return self.page


@pytest.fixture(scope="session")
def open_visit(browser, address):
    """Return a function that opens a page of the site in a browser of its own settings."""

    def start(name: str, width: int = 1400, height: int = 900, theme: str = "light") -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            reduced_motion="reduce",
        )
        return Visit(context.new_page(), address).watch().open(name)

    return start


@pytest.fixture(scope="module")
def new_visit(open_visit):
    """Return a function that opens a page; it stays open while its file is tested."""
    visits = []

    def start(name: str, **settings) -> Visit:
        visits.append(open_visit(name, **settings))
        return visits[-1]

    yield start
    for visit in visits:
        visit.close()


@pytest.fixture(scope="session")
def read(open_visit):
    """Return a function that gives a page read to its end, once for all who only look.

    Only one page stays open, in several windows: tests are sorted so that they come page by page.
    """
    visits: dict[tuple, Visit] = {}

    def get(name: str, **settings) -> Visit:
        key = (name, *sorted(settings.items()))
        for other in [other for other in visits if other[0] != name]:
            visits.pop(other).close()
        if key not in visits:
            visits[key] = open_visit(f"{name}.html", **settings).read_through()
        return visits[key]

    yield get
    for visit in visits.values():
        visit.close()


def page_of(item) -> str:
    """Return the page that a test looks at, if it uses `read`; those without one come first."""
    looks = "read" in getattr(item, "fixturenames", ())
    return item.callspec.params.get("name", "") if looks and hasattr(item, "callspec") else ""


def pytest_collection_modifyitems(items) -> None:
    """Let the tests that read pages come page by page, within their file."""
    mine = [i for i, item in enumerate(items) if item.path.name == "test_pages.py"]
    for place, item in zip(mine, sorted((items[i] for i in mine), key=page_of), strict=True):
        items[place] = item
