"""The directive ``live-model``: a model that the book trained, running in the reader's page.

```{live-model} tiny-world
```

`tools.live_models` writes its files into ``web/models``. On the site's pages it is what
``web/theme/live.html`` lays out and ``web/js/live`` moves; its stored answer stands in the page,
and everything else is loaded when a reader asks for it. Where nothing can run (print, e-readers,
slides, notebooks) there is a drawing of that answer, with a link to the page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective

from tools import live_drawing, live_models
from tools.extensions.apart import BodiesBuilder
from tools.extensions.pictures import size_on_page
from tools.extensions.widgets import store
from tools.phrases import N_

ALT = N_(
    "The beginning of a story, the tokens that the model and the grammar expect next, what each "
    "layer says, and the attention map of one head."
)
RUNS = N_("On the book’s site this model runs in the page itself:")


class live_model(nodes.General, nodes.Element):
    """A model in the page, by the name of its files."""


class LiveModel(SphinxDirective):
    """A model in the page; the argument names it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the node, which each builder writes in its own way."""
        (name,) = self.arguments
        if name not in live_models.names():
            raise self.error(f"live-model: there is no {name!r}, only {live_models.names()}")
        for path in live_models.files(name):
            self.env.note_dependency(str(path))
        node = live_model(name=name)
        self.set_source_info(node)
        return [node]


def visit(translator, node: live_model) -> None:
    """Write the model into a page, or a drawing of it where it cannot run."""
    builder = translator.builder
    write = standing if isinstance(builder, BodiesBuilder) else moving
    translator.body.append(write(builder, node["name"]))
    raise nodes.SkipNode


def moving(builder, name: str) -> str:
    """Return the HTML of the model on a page of the site."""
    root = "../" * builder.current_docname.count("/")
    return builder.templates.render("live.html", context(builder.app, name, root))


def context(app, name: str, root: str) -> dict[str, Any]:
    """Return what the template needs."""
    known = app.config.html_context
    language = known["edition"].folder
    stored = live_models.stored(name)
    addresses = {}
    for suffix in live_models.LOADED:
        file = f"models/{name}{suffix}"
        addresses[file] = f"{root}_static/book/{file}?v={known['digests'][file]}"
    model, weights = addresses.values()
    return {
        "model": model,
        "weights": weights,
        "kilobytes": live_models.kilobytes(name),
        "beginnings": in_order(stored["beginnings"], language),
        "stored": stored["answers"][language],
        "chosen": stored["beginnings"][language][0],
        "still": still(app, name, root),
    }


def in_order(beginnings: dict[str, list[str]], language: str) -> list[tuple[str, list[str]]]:
    """Return the beginnings of stories by language, those of the edition's own first."""
    return sorted(beginnings.items(), key=lambda each: each[0] != language)


def standing(builder, name: str) -> str:
    """Return the HTML of the model where it cannot run."""
    root = "../" * builder.current_docname.count("/")
    return f'<div class="widget">{still(builder.app, name, root)}</div>'


def still(app, name: str, root: str) -> str:
    """Return the ``img`` tag of the drawing, which is put among the page's pictures."""
    drawing = drawn(app.config, name, _)
    language = app.config.language
    file = f"{name}{'' if language == 'en' else f'.{language}'}.svg"  # as all drawings are called
    store(app, file, drawing.encode())
    width, height = size_on_page(drawing.encode(), file)
    size = f'width="{width}" height="{height}"'
    return f'<img src="{root}_images/{file}" alt="{_(ALT)}" {size}>'


def drawn(config, name: str, say: Callable[[str], str]) -> str:
    """Return a drawing of the stored answer in the words of the edition."""
    answers = live_models.stored(name)["answers"]
    return live_drawing.draw(answers[config.html_context["edition"].folder], say)


def hold_still(doctree: nodes.document, config, say: Callable[[str], str], page: str) -> None:
    """Put a drawing of each model, and the address of its page, in the model's place."""
    for node in list(doctree.findall(live_model)):
        data = base64.b64encode(drawn(config, node["name"], say).encode()).decode()
        tag = f'<img src="data:image/svg+xml;base64,{data}" alt="{say(ALT)}">'
        image = nodes.raw("", tag, format="html")
        link = nodes.reference("", page, refuri=page)
        text = nodes.paragraph("", f"{say(RUNS)} ", link)
        image.line = text.line = node.line
        node.replace_self([image, text])


def tell_template(_app, _pagename, _template, context, doctree) -> None:
    """Say whether a page needs the style and the script of live models."""
    context["has_live"] = doctree is not None and any(doctree.findall(live_model))


def setup(app) -> dict:
    """Register the directive and its node with Sphinx."""
    app.add_node(live_model, html=(visit, None))
    app.add_directive("live-model", LiveModel)
    app.connect("html-page-context", tell_template)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
