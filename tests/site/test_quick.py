"""What is done once while a book is built gives what was done over and over."""

from __future__ import annotations

import importlib.util
import warnings

from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from tools.pages import quick


def listening(folder, disable) -> list[tuple[str, str]]:
    """Return who listens to a new application's events once Sphinx's collector is disabled."""
    folder.mkdir()
    with warnings.catch_warnings(), docutils_namespace():
        warnings.simplefilter("ignore")  # about other people's code
        app = Sphinx(folder, None, folder / "out", folder / "kept", "dummy", status=None)
        disable(app)
    listeners = [(event, one) for event, some in app.events.listeners.items() for one in some]
    return [(event, one.handler.__qualname__) for event, one in listeners]


def test_the_same_collector_is_disabled(tmp_path):
    package = importlib.util.find_spec("sphinx_external_toc.collectors")
    original = importlib.util.module_from_spec(package)
    package.loader.exec_module(original)
    expected = listening(tmp_path / "a", original.disable_builtin_toctree_collector)
    assert listening(tmp_path / "b", quick.disable_collector) == expected
    assert len(listening(tmp_path / "c", lambda _app: None)) > len(expected)
