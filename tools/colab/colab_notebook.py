"""Put together the notebook that opens in Colab: the chapter's code, and its text made plain.

The code cells are the chapter's own, with what they put out, in the words of the edition.
The cells of text come from the built page, one for one. Two kinds of cells are added: a first one,
which says what this is, and the captions of figures, since only the book's pages can show those
below the picture.
"""

from __future__ import annotations

import base64
import copy
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from PIL import Image

from tools.book import notebooks, widget_state
from tools.pages import widgets

GPU = "T4"  # what Colab lends for nothing
KEPT = ("kernelspec", "language_info", "widgets")


@dataclass(frozen=True)
class Plain:
    """What a built page says, by the number of the cell in the chapter."""

    introduction: str
    texts: Mapping[int, str]
    captions: Mapping[int, str]
    alts: Mapping[int, str]
    widgets: Mapping[str, Any]  # the widgets' state, in the page's language


def assemble(chapter: NotebookNode, name: str, plain: Plain) -> NotebookNode:
    """Return the notebook for Colab."""
    notebook = copy.deepcopy(chapter)
    cells = [new_markdown_cell(plain.introduction, id="about")]
    for number, cell in enumerate(notebook.cells):
        cells += convert(cell, number, plain)
    for cell in cells:
        cell.metadata["id"] = cell.id  # by which Colab's links to cells find them
    notebook.cells = cells
    notebook.metadata = {key: notebook.metadata[key] for key in KEPT if key in notebook.metadata}
    if plain.widgets:
        notebook.metadata["widgets"] = {widget_state.STATE: dict(plain.widgets)}
    colab = {"name": f"{name}.ipynb", "provenance": [], "toc_visible": True, "gpuType": GPU}
    notebook.metadata |= {"accelerator": "GPU", "colab": colab}
    return notebook


def convert(cell: NotebookNode, number: int, plain: Plain) -> list[NotebookNode]:
    """Return what stands for a cell: itself, and after a figure its caption."""
    if cell.cell_type != "code":
        text = plain.texts.get(number, "")
        return [new_markdown_cell(text, id=cell.id)] if text else []
    fold(cell)
    describe_pictures(cell, plain.alts.get(number, ""))
    add_stills(cell, plain.widgets.get("state", {}))
    caption = plain.captions.get(number)
    name = f"{cell.id[:56]}-caption"
    return [cell, new_markdown_cell(caption, id=name)] if caption else [cell]


def fold(cell: NotebookNode) -> None:
    """Keep of the metadata what Colab and JupyterLab know: which parts are folded."""
    tags = notebooks.tags(cell)
    hidden: dict[str, bool] = {}
    cell.metadata = {"tags": tags} if tags else {}
    if {"hide-input", "setup"} & set(tags):
        cell.metadata["cellView"] = "form"
        hidden["source_hidden"] = True
    if "hide-output" in tags:
        cell.metadata["collapsed"] = True
        hidden["outputs_hidden"] = True
    if hidden:
        cell.metadata["jupyter"] = hidden


def describe_pictures(cell: NotebookNode, alt: str) -> None:
    """Say in words what the pictures of a cell show."""
    for output in cell.outputs:
        for kind in output.get("data", {}):
            if kind.startswith("image/") and alt:
                output.metadata.setdefault(kind, {})["alt"] = alt


def add_stills(cell: NotebookNode, models: Mapping[str, Any]) -> None:
    """Give each widget a picture, for where widgets are not shown before a cell has run."""
    for output in cell.outputs:
        view = output.get("data", {}).get(widget_state.VIEW)
        still = picture_of(models, view["model_id"]) if view else None
        if still:
            output.data["image/png"], output.metadata["image/png"] = still


def picture_of(models: Mapping[str, Any], identity: str) -> tuple[str, dict] | None:
    """Return a widget's first state as PNG, with its size on the page and its words."""
    widget = widgets.read_widget(models, identity)
    if not widget.ground:
        return None
    buffer = io.BytesIO()
    still = Image.open(io.BytesIO(widget.still())).convert("RGB")
    still.quantize(64).save(buffer, format="png", optimize=True)
    alt = widget.alts()[widget.first()]
    metadata = {side: int(value) for side, value in widget.size()} | ({"alt": alt} if alt else {})
    return base64.b64encode(buffer.getvalue()).decode(), metadata
