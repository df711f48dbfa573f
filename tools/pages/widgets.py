"""Widgets as plain controls over prepared pictures.

A notebook stores its widgets' state, every picture of every setting included. Here the pictures
become files, and the widget becomes a picture below controls that every browser has: a slider for
quantities, buttons for kinds. So a page shows a widget's first state at once, at its final size,
and ``web/js/widgets.js`` only has to change the picture's address. What is printed, and slides,
show the picture of that state.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

from PIL import Image
from sphinx.util import logging

from tools.pages.bodies import BodiesBuilder

LOGGER = logging.getLogger(__name__)
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">\s*(\{.*?\})\s*</script>',
    re.DOTALL,
)
DATA_PICTURE = re.compile(r'<img\b[^>]*\bsrc="data:image/webp;base64,([^"]+)"[^>]*>')
# What all states of a widget share is stored once, as the background of a class.
GROUND = re.compile(r"\bbackground: url\(data:image/webp;base64,([^)]+)\)")
ALT = re.compile(r'\balt="([^"]*)"')
SIZE = re.compile(r'\b(width|height)="(\d+)"')
# With its sign, which follows neither a letter (GPT-2) nor another number (3-5).
NUMBER = re.compile(r"(?:(?<![\w.)\]])[-−])?\d+(?:\.\d+)?")
LETTERS = re.compile(r"[A-Za-z]{2}")
SUBSCRIPT = re.compile(r"\b([A-Za-z])_(\w+)")


def page_state(env, pagename: str) -> dict:
    """Return the widget state that myst-nb keeps for a page, empty where there is none."""
    metadata = getattr(env, "nb_metadata", {}).get(pagename, {})
    for _address, attributes in metadata.get("js_files", {}).values():
        if (attributes or {}).get("type") == STATE:
            return json.loads(attributes["body"].replace("<\\/", "</"))
    return {}


def pattern(text: str) -> tuple[str, list[str]]:
    """Return a text with its numbers left open, and the numbers: one message for many pictures.

    >>> pattern("layer 4, head 12")
    ('layer {0}, head {1}', ['4', '12'])
    >>> pattern("weights -0.5 and −2 of GPT-2, steps 3-5")
    ('weights {0} and {1} of GPT-{2}, steps {3}-{4}', ['-0.5', '−2', '2', '3', '5'])
    """
    numbers = NUMBER.findall(text)
    places = iter(range(len(numbers)))
    return NUMBER.sub(lambda _: f"{{{next(places)}}}", text), numbers


def alts(model: dict) -> list[str]:
    """Return what stands for the pictures of a model."""
    found = DATA_PICTURE.finditer(str(model["state"].get("value", "")))
    return [unescape(alt[1]) for picture in found if (alt := ALT.search(picture[0]))]


def labels(model: dict) -> list[str]:
    """Return the words that a control shows."""
    state = model["state"]
    return [t for t in [state.get("description"), *state.get("_options_labels", [])] if t]


def words_of_widgets(state: dict) -> list[str]:
    """Return all that widgets say in words, each once, numbers left open."""
    models = state.get("state", {}).values()
    texts = [label for model in models for label in labels(model)]
    texts += [pattern(alt)[0] for model in models for alt in alts(model)]
    return [text for text in dict.fromkeys(texts) if LETTERS.search(text)]


def translate(model: dict, words: dict[str, str]) -> None:
    """Let a model say its words in the page's language."""
    state = model["state"]
    if state.get("description"):
        state["description"] = words.get(state["description"], state["description"])
    if "_options_labels" in state:
        state["_options_labels"] = [words.get(label, label) for label in state["_options_labels"]]
    if alts(model):
        state["value"] = ALT.sub(lambda alt: f'alt="{said(alt[1], words)}"', state["value"])


def said(alt: str, words: dict[str, str]) -> str:
    """Return what stands for a picture in the page's language."""
    text, numbers = pattern(unescape(alt))
    return escape(words[text].format(*numbers)) if text in words else alt


def translated_models(env, page: str) -> dict:
    """Return the models of a page's widgets, in the words of its language."""
    models = page_state(env, page).get("state", {})
    for model in models.values():
        translate(model, env.metadata[page].get("words", {}))
    return models


# -- what a widget holds -------------------------------------------------------------------------


def descendants(models: Mapping, identity: str) -> Iterator[dict]:
    """Yield a model and all that it shows in any state, from the outside in and in order."""
    if identity in models:
        yield models[identity]
        for child in models[identity]["state"].get("children", []):
            yield from descendants(models, child.removeprefix("IPY_MODEL_"))


@dataclass(frozen=True)
class Choice:
    """One control of a widget: what it is called, and the settings to choose from."""

    name: str
    labels: list[str]
    kinds: bool  # and no quantities
    place: int  # of the label that is chosen at first


@dataclass(frozen=True)
class Widget:
    """What a widget's state holds: the choices, and a picture for each combination of them."""

    choices: list[Choice]
    pictures: list[re.Match]  # in order, the last choice changing fastest
    ground: bytes  # what all pictures share

    def steps(self) -> list[int]:
        """Return by how much the picture's number grows with each choice."""
        sizes = [len(choice.labels) for choice in self.choices]
        return [*itertools.accumulate(reversed(sizes[1:]), int.__mul__, initial=1)][::-1]

    def first(self) -> int:
        """Return the number of the picture that is shown at first."""
        places = [choice.place for choice in self.choices]
        return sum(map(int.__mul__, places, self.steps()))

    def still(self) -> bytes:
        """Return the picture that is shown at first, laid on the ground."""
        ground, part = (
            Image.open(io.BytesIO(each)).convert("RGBA")
            for each in (self.ground, data_of(self.pictures[self.first()]))
        )
        ground.alpha_composite(part)
        whole = io.BytesIO()
        ground.save(whole, "webp", lossless=True)
        return whole.getvalue()

    def alts(self) -> list[str]:
        """Return what stands for each picture, for those who do not see it."""
        return [unescape(alt[1]) if (alt := ALT.search(p[0])) else "" for p in self.pictures]

    def size(self) -> list[tuple[str, str]]:
        """Return the width and height of all pictures on the page."""
        return SIZE.findall(self.pictures[0][0])


def data_of(picture: re.Match) -> bytes:
    """Return the bytes of an embedded picture."""
    return base64.b64decode(picture[1])


def read_widget(models: Mapping, identity: str) -> Widget:
    """Return what the state of a widget holds: nothing, if `explore` has not stored it."""
    shown = list(descendants(models, identity))
    texts = [str(model["state"].get("value", "")) for model in shown]
    return Widget(
        [
            Choice(
                model["state"]["description"],
                model["state"]["_options_labels"],
                kinds=model["model_name"] == "ToggleButtonsModel",
                place=model["state"]["index"],
            )
            for model in shown
            if "_options_labels" in model["state"]
        ],
        [found for text in texts if (found := DATA_PICTURE.search(text))],
        next((base64.b64decode(m[1]) for text in texts if (m := GROUND.search(text))), b""),
    )


# -- on a page -----------------------------------------------------------------------------------


def written(name: str) -> str:
    """Return the name of a choice as HTML, what follows a single letter as its index.

    >>> written("d_k"), written("first weight")
    ('d<sub>k</sub>', 'first weight')
    """
    return SUBSCRIPT.sub(r"\1<sub>\2</sub>", escape(name))


def slider(choice: Choice, identity: str, step: int) -> str:
    """Return a slider, whose value is its share of the picture's number."""
    labels = escape(json.dumps(choice.labels, ensure_ascii=False))
    first = escape(choice.labels[choice.place])
    last = step * (len(choice.labels) - 1)
    return (
        f'<div class="choice"><label for="{identity}">{written(choice.name)}</label>'
        f'<input type="range" id="{identity}" max="{last}" step="{step}" '
        f'value="{step * choice.place}" autocomplete="off" aria-valuetext="{first}" '
        f'data-labels="{labels}">'
        f'<span class="chosen" aria-hidden="true">{first}</span></div>'
    )


def buttons(choice: Choice, identity: str, step: int) -> str:
    """Return a button for each kind; the value of each is its share of the picture's number."""
    made = "".join(
        f'<label><input type="radio" name="{identity}" value="{place * step}" autocomplete="off"'
        f"{' checked' if place == choice.place else ''}><span>{escape(label)}</span></label>"
        for place, label in enumerate(choice.labels)
    )
    return (
        f'<div class="choice" role="radiogroup" aria-labelledby="{identity}">'
        f'<span id="{identity}">{written(choice.name)}</span><div class="kinds">{made}</div></div>'
    )


def controls(widget: Widget, identity: str) -> str:
    """Return the controls of a widget."""
    return "".join(
        (buttons if choice.kinds else slider)(choice, f"choice-{int(identity, 16)}-{place}", step)
        for place, (choice, step) in enumerate(
            zip(widget.choices, widget.steps(), strict=True), start=1
        )
    )


def write_pictures(app, widget: Widget) -> str:
    """Write the ground and all pictures as files, and return what their names begin with."""
    drawn = [widget.ground, *map(data_of, widget.pictures)]
    start = f"widget-{hashlib.sha256(b''.join(drawn)).hexdigest()[:16]}"
    numbers = [f"-{number}" for number in range(len(widget.pictures))]
    for number, data in zip(["", *numbers], drawn, strict=True):
        store(app, f"{start}{number}.webp", data)
    return start


def store(app, name: str, data: bytes) -> None:
    """Write a picture to where pages find theirs."""
    folder = Path(app.outdir) / "_images"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def picture(widget: Widget, address: str, more: str = "") -> str:
    """Return the ``img`` tag of the picture that a widget shows at first."""
    size = " ".join(f'{side}="{pixels}"' for side, pixels in widget.size())
    return f'<img src="{address}" alt="{escape(widget.alts()[widget.first()])}" {size}{more}>'


def moving(app, widget: Widget, identity: str, root: str) -> str:
    """Return the HTML of a widget with its controls."""
    start = f"{root}_images/{write_pictures(app, widget)}"
    alts = escape(json.dumps(widget.alts(), ensure_ascii=False))
    more = f' decoding="sync" style="background-image: url({start}.webp)"'
    return (
        f'<div class="widget" data-pictures="{start}" data-alts="{alts}">'
        f"{controls(widget, identity)}"
        f"{picture(widget, f'{start}-{widget.first()}.webp', more)}</div>"
    )


def standing(app, widget: Widget, root: str) -> str:
    """Return the HTML of a widget that cannot move: the picture of its first state."""
    data = widget.still()
    name = f"widget-{hashlib.sha256(data).hexdigest()[:16]}.webp"
    store(app, name, data)
    return f'<div class="widget">{picture(widget, f"{root}_images/{name}")}</div>'


def prepare_widgets(app, pagename, _template, context, _doctree) -> None:
    """Replace the widgets of a page by what every browser can show, and tell the template."""
    body = context.get("body", "")
    if not VIEW.search(body):
        return
    models = translated_models(app.env, pagename)
    root = "../" * pagename.count("/")

    def placed(view: re.Match) -> str:
        identity = json.loads(view[1])["model_id"]
        widget = read_widget(models, identity)
        if not widget.ground:
            LOGGER.warning("%s: a widget is not stored in the notebook: %s", pagename, view[1])
            return ""
        if isinstance(app.builder, BodiesBuilder):
            return standing(app, widget, root)
        return moving(app, widget, identity, root)

    context["body"] = VIEW.sub(placed, body)
    context["has_widgets"] = True


def setup(app) -> dict:
    """Register the replacement with Sphinx, ahead of the sizing of pictures."""
    app.connect("html-page-context", prepare_widgets, priority=700)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
