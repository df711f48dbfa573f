"""The built site, served from localhost to a Chromium whose network is cut."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from playwright import sync_api

from tests.site import machine_fonts
from tests.site.visits import NO_NETWORK, SIZES, Seen, Visit, look, once
from tools.book import contents
from tools.pages import assets, chromium, editions, staging
from tools.site import whole_site

ROOT = contents.ROOT
PAGES = contents.pages()
EDITIONS = editions.EDITIONS
# Every page is looked at in English. In Chinese the same code lays out the same content, so only
# what the language changes is looked at again.
ENGLISH = [f"en/{page}" for page in PAGES]
EVERY = [f"{edition.folder}/{page}" for edition in EDITIONS for page in PAGES]
HTML = ROOT / "_build" / "html"


def find_chromium() -> str:
    """Return the browser, or skip; where the environment variable CI is set, fail."""
    try:
        return chromium.find()
    except FileNotFoundError as error:
        if os.environ.get("CI"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def html() -> Path:
    """Return the folder of the built site, built first where it is missing or out of date."""
    assert whole_site.build() == 0, "the site does not build"
    return HTML


@pytest.fixture(scope="session")
def run_builder(tmp_path_factory):
    """Return a function that runs one builder for one edition of a book, and tells the status."""
    modules = assets.ensure()
    static = staging.stage_static(ROOT, modules, tmp_path_factory.mktemp("static"))

    def run(builder: str, root: Path, folder: str = "en", fresh: bool = True) -> int:
        edition = editions.edition(folder)
        config = editions.sphinx_config(root, static, modules, edition)
        return editions.run(builder, root, edition, config, fresh)

    return run


@pytest.fixture(scope="session")
def address(html) -> str:
    """Return the address under which the site is served during the tests."""
    server = whole_site.make_server(html)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def browsers(tmp_path_factory):
    """Return a function that gives a Chromium without a window, on a machine with some fonts."""
    program = find_chromium()
    running = {}
    with sync_api.sync_playwright() as driver:

        def get(machine: str):
            if machine not in running:
                fonts = machine_fonts.environment(machine, tmp_path_factory.mktemp("fonts"))
                running[machine] = driver.chromium.launch(
                    executable_path=program, args=[*chromium.FLAGS, NO_NETWORK], env=fonts
                )
            return running[machine]

        yield get
        for browser in running.values():
            browser.close()


@pytest.fixture(scope="session")
def browser(browsers):
    """Return a Chromium on the machine with the fewest fonts."""
    return browsers(machine_fonts.MACHINES[0])


@pytest.fixture(scope="session")
def axe() -> str:
    """Return the accessibility checker's script."""
    return (assets.ensure() / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def open_visit(browser, address):
    """Return a function that opens a page of the site in a window of its own settings."""

    def start(name: str, browser=browser, **settings) -> Visit:
        return Visit.begin(browser, address, **settings).open(name)

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
def seen(browser, address, axe):
    """Return a function that says what was seen on a page in a window of one size.

    Each page is visited once at each size; a visit that failed fails for everyone who asks.
    """

    @once
    def at(name: str, size: str) -> Seen:
        return look(Visit.begin(browser, address, **SIZES[size]), name, size, axe)

    return lambda name, size="desk": at(name, size)
