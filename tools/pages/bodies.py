"""What is made of the whole book apart from its pages: a base for slides, for print, for EPUB.

A builder on this base renders pages as the site does, with the same numbers, references,
pictures and widgets, but keeps their bodies instead of writing them.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sphinx.builders.html import StandaloneHTMLBuilder

MIME = {  # what of a cell's output is taken, as for the site's pages
    "application/vnd.jupyter.widget-view+json": 10,
    "application/javascript": None,
    "text/html": 30,
    "image/svg+xml": 40,
    "image/png": 50,
    "image/jpeg": 60,
    "text/markdown": 80,
    "text/latex": 90,
    "text/plain": 100,
}
BUILDERS = ("slides", "printed", "ebook")
TAG = re.compile(r"<[a-zA-Z][^>]*>")
IDENTITY = re.compile(r'\s(?:id|name)="[^"]*"')


def without_identities(markup: str) -> str:
    """Return HTML in which nothing can be linked to, for what stands in more than one place.

    >>> without_identities('<p id="a">id="a"</p>')
    '<p>id="a"</p>'
    """
    return TAG.sub(lambda tag: IDENTITY.sub("", tag[0]), markup)


class BodiesBuilder(StandaloneHTMLBuilder):
    """Renders pages as the site does and hands each body to `keep`."""

    search = False
    copysource = False
    add_permalinks = False
    use_index = False
    download_support = False

    def get_outdated_docs(self):
        """Return all pages: each run makes everything anew."""
        return self.env.found_docs

    def handle_page(self, pagename, addctx, templatename="page.html", *_args, event_arg=None, **_):
        """Let the extensions finish a page's body, and keep it."""
        if event_arg is not None:
            body = self.finished(pagename, addctx["body"], event_arg, addctx)
            self.keep(pagename, body, event_arg)

    def finished(self, pagename: str, body: str, doctree, more: dict | None = None) -> str:
        """Return a page's body as the site's extensions leave it."""
        context = {**self.globalcontext, **(more or {}), "body": body, "pagename": pagename}
        context["pathto"] = lambda address, *_args, **_options: address
        self.app.emit("html-page-context", pagename, "page.html", context, doctree)
        return context["body"]

    def keep(self, pagename: str, body: str, doctree) -> None:
        """Take a finished body; builders say what they do with it."""
        raise NotImplementedError

    def finish(self) -> None:
        """Copy the pictures, then what else the builder needs."""
        self.copy_image_files()
        self.complete()

    def complete(self) -> None:
        """Write what a builder makes of the bodies."""

    def dump_inventory(self) -> None:
        """Write none: nobody links here from elsewhere."""


def take_outputs(_app, config) -> None:
    """Let myst-nb choose among a cell's outputs as it does for the site's pages."""
    config.nb_mime_priority_overrides = [
        *config.nb_mime_priority_overrides,
        *((name, mime, rank) for name in BUILDERS for mime, rank in MIME.items()),
    ]


def tidy(app, _exception) -> None:
    """Remove what extensions put there for pages that are not."""
    if isinstance(app.builder, BodiesBuilder):
        shutil.rmtree(Path(app.outdir) / "_static", ignore_errors=True)


def setup(app) -> dict:
    """Register the choice of outputs, ahead of myst-nb's own reading of its settings."""
    app.connect("config-inited", take_outputs, priority=100)
    app.connect("build-finished", tidy, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
