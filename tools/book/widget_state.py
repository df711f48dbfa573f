"""Give the widgets stored in a notebook names that are the same after every run."""

from __future__ import annotations

import json
import re
from typing import Any

from nbformat import NotebookNode

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
REFERENCE = re.compile(r"IPY_MODEL_([0-9a-f]{32})")
LINKS = {"LinkModel", "DirectionalLinkModel"}


def rename(notebook: NotebookNode) -> None:
    """Give widgets numbers in the order they appear, and drop those that no output leads to.

    What stands in a layout only to say "nothing" (a null) is dropped as well: it is most of the
    size of a small widget, and the browser assumes it anyway.
    """
    state = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
    order = _order(_shown(notebook), state)
    names = {old: f"{number:032x}" for number, old in enumerate(order, start=1)}
    _rename_views(notebook, names)
    if not names:
        notebook.metadata.pop("widgets", None)
        return
    renamed = {names[old]: _without_nulls(state[old]) for old in order}
    text = REFERENCE.sub(lambda m: f"IPY_MODEL_{names.get(m[1], m[1])}", json.dumps(renamed))
    notebook.metadata["widgets"] = {
        STATE: {"state": json.loads(text), "version_major": 2, "version_minor": 0}
    }


def _shown(notebook: NotebookNode) -> list[str]:
    """Return the names of the widgets that outputs show, in order."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return [o["data"][VIEW]["model_id"] for o in outputs if VIEW in o.get("data", {})]


def _order(shown: list[str], state: dict[str, Any]) -> list[str]:
    """Return all widgets that belong to those shown, and the links between them."""
    order: dict[str, None] = {}
    for name in shown:
        _visit(name, state, order)
    links = [name for name in state if state[name]["model_name"] in LINKS]
    place = {name: number for number, name in enumerate(order)}
    joined = [(ends, name) for name in links if (ends := _ends(state[name], place))]
    for _, name in sorted(joined):
        _visit(name, state, order)
    return list(order)


def _visit(name: str, state: dict[str, Any], order: dict[str, None]) -> None:
    if name in order or name not in state:
        return
    order[name] = None
    for reference in REFERENCE.findall(json.dumps(state[name]["state"], sort_keys=True)):
        _visit(reference, state, order)


def _ends(link: dict[str, Any], place: dict[str, int]) -> tuple[int, ...]:
    """Return the places of a link's two ends, to sort links by; nothing if one is not shown."""
    ends = [link["state"][end][0].removeprefix("IPY_MODEL_") for end in ("source", "target")]
    return tuple(place[name] for name in ends) if set(ends) <= set(place) else ()


def _without_nulls(model: dict[str, Any]) -> dict[str, Any]:
    if model["model_name"] != "LayoutModel":
        return model
    return {**model, "state": {k: v for k, v in model["state"].items() if v is not None}}


def _rename_views(notebook: NotebookNode, names: dict[str, str]) -> None:
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            view = output.get("data", {}).get(VIEW)
            if view:
                view["model_id"] = names.get(view["model_id"], view["model_id"])
