"""Widgets that cost a page nothing until a reader comes near them.

A notebook stores its widgets' state, every picture of every setting included. That state is
written to a file of its own, which the page loads together with the widget manager when a
widget comes near the window. Until then the page shows the first picture, at its final size,
with room for the controls, so that nothing moves when the widget takes over.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape, unescape
from pathlib import Path

from sphinx.util import logging

from .pictures import size_on_page

LOGGER = logging.getLogger(__name__)
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">\s*(\{.*?\})\s*</script>',
    re.DOTALL,
)
DATA_PICTURE = re.compile(r'<img\b[^>]*\bsrc="data:image/([\w+]+);base64,([^"]+)"[^>]*>')
ALT = re.compile(r'\balt="([^"]*)"')
CONTROLS = ("Slider", "Dropdown", "ToggleButtons", "Checkbox", "RadioButtons", "Select")
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp", "svg+xml": "svg"}


def page_state(app, pagename: str) -> dict:
    """Return the widget state that myst-nb keeps for a page, empty where there is none."""
    metadata = getattr(app.env, "nb_metadata", {}).get(pagename, {})
    for _address, attributes in metadata.get("js_files", {}).values():
        if (attributes or {}).get("type") == STATE:
            return json.loads(attributes["body"].replace("<\\/", "</"))
    return {}


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


def write_picture(app, found) -> tuple[str, int, int]:
    """Write an embedded picture as a file; return its name and its size on the page."""
    data = base64.b64decode(found[2])
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
    name, width, height = write_picture(app, found)
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
    state = page_state(app, pagename)
    models = state.get("state", {})
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
