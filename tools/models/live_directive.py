"""The directive ``live-model``: a model that the book trained, running in the reader's page.

```{live-model} tiny-world
:sampler:
```

Without the option the reader sees the model from inside; with it, what samplers leave of the
probabilities of the next token, and the text that comes of it. `tools.models.live_export` writes
its files into ``web/models``. On the site's pages it is what ``web/theme/live.html`` or
``web/theme/sampler.html`` lays out and ``web/js/live`` moves; its stored answer stands in the page,
and everything else is loaded when a reader asks for it. Where nothing can run (print, e-readers,
slides, notebooks) there is a drawing of that answer, with a link to the page.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective

from tools.book.phrases import N_
from tools.models import live_drawing, live_models, live_sampling
from tools.pages import editions
from tools.pages.bodies import BodiesBuilder
from tools.pages.pictures import size_on_page
from tools.pages.widgets import store

INSIDE, SAMPLER = "inside", "sampler"  # the kinds: what is shown of a model
VERSE = "verse"  # what samplers leave where nobody knows what must come next
ALTS = {
    INSIDE: N_(
        "The beginning of a story, the tokens that the model and the grammar expect next, what "
        "each layer says, and the attention map of one head."
    ),
    SAMPLER: N_(
        "The beginning of a story, and how probable each next token is: for the model, after "
        "top-p, which leaves some tokens out, and in truth."
    ),
    VERSE: N_(
        "The beginning of a poem, how probable each next character is for the model and after "
        "top-p, which leaves some characters out, and the poem that was written."
    ),
}
TEMPLATES = {INSIDE: "live.html", SAMPLER: "sampler.html"}
SCRIPTS = {INSIDE: "live/page.js", SAMPLER: "live/sampler.js"}
# What stands in the page of a stored answer.
STANDING = {
    INSIDE: ("tokens", "at", "next", "loss", "floor", "layers", "attention", "head"),
    SAMPLER: ("tokens", "logits", "written"),
}
RUNS = N_("On the book’s site this model runs in the page itself:")


class live_model(nodes.General, nodes.Element):
    """A model in the page, by the name of its files."""


class LiveModel(SphinxDirective):
    """A model in the page; the argument names it."""

    required_arguments = 1
    option_spec: ClassVar = {"sampler": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the node, which each builder writes in its own way."""
        (name,) = self.arguments
        if name not in live_models.names():
            raise self.error(f"live-model: there is no {name!r}, only {live_models.names()}")
        for path in live_models.files(name):
            self.env.note_dependency(str(path))
        kind = SAMPLER if "sampler" in self.options else INSIDE
        if kind == INSIDE and live_models.is_verse(name):
            raise self.error(
                f"live-model: {name!r} needs the option sampler: nobody knows its truth"
            )
        node = live_model(name=name, kind=kind, place=f"live-{self.env.new_serialno('live')}")
        self.set_source_info(node)
        return [node]


def visit(translator, node: live_model) -> None:
    """Write the model into a page, or a drawing of it where it cannot run."""
    builder = translator.builder
    write = standing if isinstance(builder, BodiesBuilder) else moving
    translator.body.append(write(builder, node))
    raise nodes.SkipNode


def moving(builder, node: live_model) -> str:
    """Return the HTML of the model on a page of the site."""
    root = "../" * builder.current_docname.count("/")
    return builder.templates.render(TEMPLATES[node["kind"]], context(builder.app, node, root))


def context(app, node: live_model, root: str) -> dict[str, Any]:
    """Return what the template needs."""
    name = node["name"]
    known = app.config.html_context
    language = live_models.language_of(name, known["edition"].folder)
    stored = live_models.stored(name)
    addresses = {}
    for suffix in live_models.LOADED:
        file = f"models/{name}{suffix}"
        addresses[file] = f"{root}_static/book/{file}?v={known['digests'][file]}"
    model, weights = addresses.values()
    answer = stored["answers"][language]
    return {
        **(sampling(name, answer) if node["kind"] == SAMPLER else {}),
        "name": name,
        "place": node["place"],
        "model": model,
        "weights": weights,
        "kilobytes": live_models.kilobytes(name),
        "beginnings": in_order(stored["beginnings"], language),
        "stored": standing_of(node, answer),
        "chosen": stored["beginnings"][language][0],
        "tag": editions.edition(language).tag,
        "still": still(app, node, root),
    }


def standing_of(node: live_model, answer: dict[str, Any]) -> dict[str, Any]:
    """Return what stands in the page of a stored answer; samplers need the names of all tokens."""
    kept = {key: answer[key] for key in STANDING[node["kind"]] if key in answer}
    if node["kind"] == INSIDE:
        return kept
    names = live_models.tokens(node["name"])
    truth = [[names[i], p] for i, p in answer["truth"]]
    return {**kept, "truth": truth, "names": names}


def sampling(name: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the template of samplers needs besides."""
    names = live_models.tokens(name)
    shown = live_sampling.candidates(answer, names)
    return {
        "sliders": live_sampling.SLIDERS,
        "shown_tokens": [token for token, *_ in shown],
        "verse": live_models.is_verse(name),
        "characters": sum(len(token) == 1 for token in names) - 1,  # without □
    }


def in_order(beginnings: dict[str, list[str]], language: str) -> list[tuple[str, list[str]]]:
    """Return the beginnings of stories by language, those of the edition's own first."""
    return sorted(beginnings.items(), key=lambda each: each[0] != language)


def standing(builder, node: live_model) -> str:
    """Return the HTML of the model where it cannot run."""
    root = "../" * builder.current_docname.count("/")
    return f'<div class="widget">{still(builder.app, node, root)}</div>'


def still(app, node: live_model, root: str) -> str:
    """Return the ``img`` tag of the drawing, which is put among the page's pictures."""
    drawing = drawn(app.config, node, _)
    language = app.config.language
    name = node["name"] if node["kind"] == INSIDE else f"{node['name']}-{node['kind']}"
    file = f"{name}{'' if language == 'en' else f'.{language}'}.svg"  # as all drawings are called
    store(app, file, drawing.encode())
    width, height = size_on_page(drawing.encode(), file)
    size = f'width="{width}" height="{height}"'
    alt = alt_of(node)
    return f'<img src="{root}_images/{file}" alt="{_(alt)}" {size}>'


def alt_of(node: live_model) -> str:
    """Return in English what the drawing shows."""
    return ALTS[VERSE if live_models.is_verse(node["name"]) else node["kind"]]


def drawn(config, node: live_model, say: Callable[[str], str]) -> str:
    """Return a drawing of the stored answer in the words of the edition."""
    name, edition = node["name"], config.html_context["edition"].folder
    answer = live_models.stored(name)["answers"][live_models.language_of(name, edition)]
    if node["kind"] == INSIDE:
        return live_drawing.draw(answer, say)
    return live_drawing.draw_sampled(answer, live_models.tokens(name), say)


def hold_still(doctree: nodes.document, config, say: Callable[[str], str], page: str) -> None:
    """Put a drawing of each model, and the address of its page, in the model's place."""
    for node in list(doctree.findall(live_model)):
        data = base64.b64encode(drawn(config, node, say).encode()).decode()
        alt = alt_of(node)
        tag = f'<img src="data:image/svg+xml;base64,{data}" alt="{say(alt)}">'
        image = nodes.raw("", tag, format="html")
        link = nodes.reference("", page, refuri=page)
        text = nodes.paragraph("", f"{say(RUNS)} ", link)
        image.line = text.line = node.line
        node.replace_self([image, text])


def tell_template(_app, _pagename, _template, context, doctree) -> None:
    """Say which scripts of live models a page needs; with one it needs their style, too."""
    kinds = {node["kind"] for node in doctree.findall(live_model)} if doctree else set()
    context["live_scripts"] = [script for kind, script in SCRIPTS.items() if kind in kinds]


def setup(app) -> dict:
    """Register the directive and its node with Sphinx."""
    app.add_node(live_model, html=(visit, None))
    app.add_directive("live-model", LiveModel)
    app.connect("html-page-context", tell_template)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
