"""The directive ``margin``: a note set beside the text where the page is wide enough."""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import Directive


class Margin(Directive):
    """A short note; its optional argument is a title."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the note as a container of class ``margin``."""
        self.assert_has_content()
        note = nodes.container(classes=["margin"])
        if self.arguments:
            texts, _ = self.state.inline_text(self.arguments[0], self.lineno)
            note += nodes.paragraph("", "", *texts, classes=["margin-title"])
        self.state.nested_parse(self.content, self.content_offset, note)
        return [note]


def setup(app) -> dict:
    """Register the directive with Sphinx."""
    app.add_directive("margin", Margin, override=True)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
