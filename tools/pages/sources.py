"""Puts links to the repository above the code that chapters show, with its lines of today."""

from __future__ import annotations

import json
from pathlib import Path

from tools.book import contents, shown_code


def put_links(app, docname: str, source: list[str]) -> None:
    """Change a notebook's text before it is parsed; the package's files count as its sources."""
    if Path(app.env.doc2path(docname)).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    names = [shown["name"] for shown in shown_code.headings(notebook)]
    for name in names:
        app.env.note_dependency(str(contents.ROOT / shown_code.find(name).file))
    if names:
        shown_code.with_links(notebook, Path(app.srcdir))
        source[0] = json.dumps(notebook)


def setup(app) -> dict:
    """Register with Sphinx."""
    app.connect("source-read", put_links)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
