"""The directive ``tic-tac-toe``: a game in the page against a player that the book trained.

```{tic-tac-toe}
```

On the site's pages it is what ``web/theme/board.html`` lays out and ``web/js/live/board.js`` plays,
with the replies that `tools.models.board` has written. Where nothing can run (print, e-readers,
slides, notebooks) there is a drawing of a game, in notebooks with a link to the page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from docutils import nodes
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective

from tools.book.phrases import N_
from tools.models import board
from tools.models.live_directive import RUNS
from tools.pages.bodies import BodiesBuilder
from tools.pages.widgets import store

ALT = N_("A board of tic-tac-toe after three moves: X in the upper left corner, O in the middle, "
         "X in the lower right corner.")  # fmt: skip
SHOWN = {0: "X", 4: "O", 8: "X"}
SIZE, FIELD = 168, 56
NAME = "tic-tac-toe.svg"
SCRIPT = "live/board.js"
REPLIES = f"models/{board.FILE.name}"


class tic_tac_toe(nodes.General, nodes.Element):
    """A board in the page."""


class TicTacToeDirective(SphinxDirective):
    """A board in the page; it has no arguments."""

    def run(self) -> list[nodes.Node]:
        """Return the node, which each builder writes in its own way."""
        if not board.FILE.exists():
            raise self.error(f"tic-tac-toe: there are no replies in {board.FILE.name}")
        self.env.note_dependency(str(board.FILE))
        node = tic_tac_toe()
        self.set_source_info(node)
        return [node]


def drawing() -> str:
    """Return a drawing of a game."""
    lines = "".join(f"M{i} 4V{SIZE - 4}M4 {i}H{SIZE - 4}" for i in (FIELD, 2 * FIELD))
    stones = "".join(
        f'<text x="{FIELD * (field % 3) + FIELD / 2}" y="{FIELD * (field // 3) + 40}">{sign}</text>'
        for field, sign in SHOWN.items()
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" '
        f'viewBox="0 0 {SIZE} {SIZE}"><path d="{lines}" stroke="#565e69" stroke-width="3"/>'
        f'<g font-family="sans-serif" font-size="34" text-anchor="middle">{stones}</g></svg>'
    )


def still(builder, root: str) -> str:
    """Return the ``img`` tag of the drawing, which is put among the page's pictures."""
    store(builder.app, NAME, drawing().encode())
    return f'<img src="{root}_images/{NAME}" alt="{_(ALT)}" width="{SIZE}" height="{SIZE}">'


def visit(translator, _node: tic_tac_toe) -> None:
    """Write the board into a page, or a drawing where it cannot be played on."""
    builder = translator.builder
    root = "../" * builder.current_docname.count("/")
    picture = still(builder, root)
    if isinstance(builder, BodiesBuilder):
        translator.body.append(f'<div class="widget">{picture}</div>')
    else:
        digest = builder.app.config.html_context["digests"][REPLIES]
        replies = f"{root}_static/book/{REPLIES}?v={digest}"
        context = {"replies": replies, "still": picture}
        translator.body.append(builder.templates.render("board.html", context))
    raise nodes.SkipNode


def hold_still(doctree: nodes.document, say: Callable[[str], str], page: str) -> None:
    """Put a drawing, and the address of the page, in the place of each board."""
    data = base64.b64encode(drawing().encode()).decode()
    for node in list(doctree.findall(tic_tac_toe)):
        tag = f'<img src="data:image/svg+xml;base64,{data}" alt="{say(ALT)}">'
        image = nodes.raw("", tag, format="html")
        text = nodes.paragraph("", f"{say(RUNS)} ", nodes.reference("", page, refuri=page))
        image.line = text.line = node.line
        node.replace_self([image, text])


def tell_template(_app, _pagename, _template, context, doctree) -> None:
    """Add the script of the board to those of a page that has one."""
    if doctree and any(doctree.findall(tic_tac_toe)):
        context["live_scripts"] = [*context.get("live_scripts", []), SCRIPT]


def setup(app) -> dict:
    """Register the directive and its node with Sphinx, behind live models."""
    app.add_node(tic_tac_toe, html=(visit, None))
    app.add_directive("tic-tac-toe", TicTacToeDirective)
    app.connect("html-page-context", tell_template, priority=600)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
