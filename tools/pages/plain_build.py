"""Jupyter Book's own command, ``jupyter-book build .``, which builds the English edition's pages.

The book needs more than that command reads in ``_config.yml``, where this module stands as a local
extension: here it gets the settings and the extensions with which `tools.pages.editions` builds.
"""

from __future__ import annotations

from pathlib import Path

from tools.pages import editions


def setup(app) -> dict:
    """Give Sphinx the book's settings and extensions, in place of Jupyter Book's theme."""
    root = Path(app.srcdir)
    config = editions.sphinx_config(root, *editions.stage(root), editions.EDITIONS[0])
    for name in config.pop("extensions"):
        if name != editions.QUICK:  # which must come before all others
            app.setup_extension(name)
    app.config.overrides.pop("html_theme_options", None)  # of another theme
    app.config.overrides.update(config)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
