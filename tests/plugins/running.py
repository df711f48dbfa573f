"""Which tests run, how they are shared out among several workers, and what each one starts with.

Tests with the mark ``release`` are slow and rarely fail. They run with ``--release``, as in
``make release``, and wherever single tests are named: ``pytest tests/site/test_weight.py::test_x``.
"""

import re

import matplotlib
import pytest

from companion.notebook import stopping

# A chapter takes as long as many files of tests, so each is a piece of work by itself.
CHAPTERS = "tests/notebooks/test_nbval.py"
# So do all pages of an edition: no test asks about pages of both.
PAGES = "tests/site/test_pages.py"
EDITION = re.compile(r"[\[-](en|zh)/")
# Long pieces come first: whichever worker has done its own early goes on with the short ones.
LONG_FIRST = (CHAPTERS, "tests/site/", "tests/assign/", "tests/exercises/")


@pytest.fixture(autouse=True)
def nothing_is_left():
    """Let no test, nor an example, find a stopped training or a style that one before it left."""
    stopping.unfinished.clear()
    with matplotlib.rc_context():
        yield


def pytest_addoption(parser):
    """Let a run include the tests that `make test` leaves out."""
    parser.addoption("--release", action="store_true", help="run the slow tests, too")


def pytest_collection_modifyitems(config, items):
    """Put the long tests first; leave out those of a release unless they are asked for."""
    items.sort(key=lambda item: place(item.nodeid))
    if config.getoption("release") or any("::" in argument for argument in config.args):
        return
    slow = [item for item in items if item.get_closest_marker("release")]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]


def place(test: str) -> int:
    """Return where a test comes in the order of a run; tests of one place stay as they are.

    >>> place("tests/site/test_pages.py::test_x") < place("tests/test_losses.py::test_y")
    True
    """
    starts = (i for i, start in enumerate(LONG_FIRST) if test.startswith(start))
    return next(starts, len(LONG_FIRST))


def piece(test: str) -> str:
    """Return what runs on one worker: a chapter, or all tests of a file, which share fixtures.

    >>> piece("tests/test_losses.py::test_y"), piece(f"{CHAPTERS}::test_x[losses]")
    ('tests/test_losses.py', 'tests/notebooks/test_nbval.py::test_x[losses]')
    >>> piece(f"{PAGES}::test_x[zh/index-desk]"), piece(f"{PAGES}::test_x[dark-en/index]")
    ('tests/site/test_pages.py zh', 'tests/site/test_pages.py en')
    """
    file, _, name = test.partition("::")
    if file == CHAPTERS:
        return test
    edition = EDITION.search(name) if file == PAGES else None
    return f"{file} {edition[1]}" if edition else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Share out pieces where `--dist loadfile` would share out files."""
    from xdist.scheduler import LoadFileScheduling

    class Pieces(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return piece(nodeid)

    return Pieces(config, log) if config.getvalue("dist") == "loadfile" else None
