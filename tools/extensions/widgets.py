"""Widgets that cost a page nothing until a reader comes near them.

A notebook stores its widgets' state, every picture of every setting included. That state is
written to a file of its own, which the page loads together with the widget manager when a
widget comes near the window. Until then the page shows the first picture, at its final size,
with room for the controls, so that nothing moves when the widget takes over.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html import escape, unescape
from pathlib import Path

from PIL import Image
from sphinx.util import logging

from .pictures import size_on_page

LOGGER = logging.getLogger(__name__)
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">\s*(\{.*?\})\s*</script>',
    re.DOTALL,
)
DATA_PICTURE = re.compile(r'<img\b[^>]*\bsrc="data:image/([\w+]+);base64,([^"]+)"[^>]*>')
# What all states of a widget share is stored once, as the background of a class.
GROUND = re.compile(r"\.([\w-]+) \{ background: url\(data:image/\w+;base64,([^)]+)\)")
ALT = re.compile(r'\balt="([^"]*)"')
CLASSES = re.compile(r'\bclass="([^"]*)"')
# With its sign, which follows neither a letter (GPT-2) nor another number (3-5).
NUMBER = re.compile(r"(?:(?<![\w.)\]])[-−])?\d+(?:\.\d+)?")
LETTERS = re.compile(r"[A-Za-z]{2}")
CONTROLS = ("Slider", "Dropdown", "ToggleButtons", "Checkbox", "RadioButtons", "Select")
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp", "svg+xml": "svg"}


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


def children(model: dict) -> list[str]:
    """Return the ids of the models that `model` shows: of a stack, only the selected one."""
    state = model["state"]
    ids = [child.removeprefix("IPY_MODEL_") for child in state.get("children", [])]
    if model["model_name"] == "StackModel":
        index = state.get("selected_index") or 0
        return ids[index : index + 1]
    return ids


def shown(models: dict, identity: str):
    """Yield the models that a reader sees first, from the outside in."""
    model = models.get(identity)
    if model is not None:
        yield model
        for child in children(model):
            yield from shown(models, child)


def first_picture(models: dict, identity: str):
    """Return the match of the first picture shown, or None."""
    for model in shown(models, identity):
        found = DATA_PICTURE.search(str(model["state"].get("value", "")))
        if found:
            return found
    return None


def count_controls(models: dict, identity: str) -> int:
    """Return how many controls the widget shows."""
    names = [model["model_name"].removesuffix("Model") for model in shown(models, identity)]
    return sum(name.endswith(CONTROLS) for name in names)


def on_its_ground(models: dict, found) -> bytes:
    """Return the bytes of a picture, laid on what the widget's states share."""
    data = base64.b64decode(found[2])
    classes = (CLASSES.search(found[0]) or ["", ""])[1].split()
    sheets = " ".join(str(model["state"].get("value", "")) for model in models.values())
    grounds = [base64.b64decode(code) for name, code in GROUND.findall(sheets) if name in classes]
    if not grounds:
        return data
    ground, part = (Image.open(io.BytesIO(each)).convert("RGBA") for each in (grounds[0], data))
    whole = io.BytesIO()
    Image.alpha_composite(ground.resize(part.size), part).save(whole, "webp", lossless=True)
    return whole.getvalue()


def write_picture(app, models: dict, found) -> tuple[str, int, int]:
    """Write an embedded picture as a file; return its name and its size on the page."""
    data = on_its_ground(models, found)
    name = f"widget-{hashlib.sha256(data).hexdigest()[:16]}.{SUFFIXES[found[1]]}"
    folder = Path(app.outdir) / "_images"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    attributes = dict(re.findall(r'(width|height)="(\d+)"', found[0]))
    size = (attributes.get("width"), attributes.get("height"))
    width, height = map(int, size) if all(size) else size_on_page(data, name)
    return name, width, height


def still_picture(app, models: dict, identity: str, root: str) -> str:
    """Return the ``img`` tag that stands for the widget until the manager has loaded."""
    found = first_picture(models, identity)
    if not found:
        return ""
    name, width, height = write_picture(app, models, found)
    alt = escape(unescape((ALT.search(found[0]) or ["", ""])[1]))
    return f'<img src="{root}_images/{name}" alt="{alt}" width="{width}" height="{height}">'


def placeholder(app, models: dict, script: re.Match, root: str) -> str:
    """Return the HTML of one widget on the page, before the manager has loaded."""
    identity = json.loads(script[1])["model_id"]
    rows = count_controls(models, identity)
    still = still_picture(app, models, identity, root)
    return (
        f'<div class="widget" style="--controls: {rows}">'
        f'<div class="widget-still"><div class="widget-room"></div>{still}</div>'
        f'<div class="widget-live">{script[0]}</div></div>'
    )


def write_state(app, pagename: str, state: dict) -> str:
    """Write a page's widget state as a script; return its address from the site's root."""
    text = f"window.bookWidgetState = {json.dumps(state, separators=(',', ':'))};\n"
    name = f"_widgets/{pagename}.js"
    path = Path(app.outdir) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return f"{name}?v={hashlib.sha256(text.encode()).hexdigest()[:8]}"


def prepare_widgets(app, pagename, _template, context, _doctree) -> None:
    """Replace the widgets of a page by their first pictures and tell the template."""
    body = context.get("body", "")
    if not VIEW.search(body):
        return
    state = page_state(app.env, pagename)
    models = state.get("state", {})
    for model in models.values():
        translate(model, app.env.metadata[pagename].get("words", {}))
    lost = [m[1] for m in VIEW.finditer(body) if json.loads(m[1])["model_id"] not in models]
    if lost:
        LOGGER.warning("%s: a widget's state is not stored in the notebook: %s", pagename, lost)
    root = "../" * pagename.count("/")
    context["body"] = VIEW.sub(lambda script: placeholder(app, models, script, root), body)
    context["widget_state"] = write_state(app, pagename, state)


def setup(app) -> dict:
    """Register the replacement with Sphinx, ahead of the sizing of pictures."""
    app.connect("html-page-context", prepare_widgets, priority=700)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
