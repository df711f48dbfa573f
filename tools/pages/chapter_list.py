"""The list of all chapters, and chapters of several notebooks: what must hold of these.

The directive ``chapters-so-far`` lists the chapters that stand, so that no page needs to.

The page that opens such a chapter has its number, 6; its notebooks are 6.1 and 6.2, and a
notebook's sections 6.1.1 and so on. Figures, equations and exercises are numbered through the
whole chapter, which Sphinx does by itself.
"""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.errors import ConfigError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from tools.book import contents

LOGGER = logging.getLogger(__name__)


class ChaptersSoFar(SphinxDirective):
    """The chapters in order, each a link under its title."""

    def run(self) -> list[nodes.Node]:
        """Return the numbered list."""
        self.env.note_dependency(str(Path(self.env.srcdir) / "_toc.yml"))
        listed = nodes.enumerated_list(enumtype="arabic", prefix="", suffix=".")
        listed["classes"].append("chapters-so-far")
        for chapter in contents.chapters(Path(self.env.srcdir)):
            link = addnodes.pending_xref(
                "",
                nodes.inline(),
                refdomain="std",
                reftype="doc",
                reftarget=f"/{chapter.pages[0]}",
                refdoc=self.env.docname,
                refexplicit=False,
                refwarn=True,
            )
            listed += nodes.list_item("", nodes.paragraph("", "", link, translatable=False))
        return [listed]


def check_contents(app, _config) -> None:
    """Stop at a table of contents whose chapters are not as they must be."""
    try:
        contents.chapters(Path(app.srcdir))
    except contents.ContentsError as error:
        raise ConfigError(str(error)) from error


def check_openings(app, env) -> None:
    """Refuse sections on a page that opens a chapter: they would take its notebooks' numbers."""
    for chapter in contents.chapters(Path(app.srcdir)):
        page, *parts = chapter.pages
        if parts and page in env.tocs and list(env.tocs[page].findall(nodes.reference))[1:]:
            LOGGER.warning(
                "%s opens a chapter and cannot have sections: they would be numbered like the "
                "notebooks after it. Say in bold what would be a heading.",
                page,
                location=page,
            )


def setup(app) -> dict:
    """Register the directive and the checks with Sphinx."""
    app.add_directive("chapters-so-far", ChaptersSoFar)
    app.connect("config-inited", check_contents)
    app.connect("env-check-consistency", check_openings)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
