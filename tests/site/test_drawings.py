"""The words on schematic drawings: a page's messages, and translated in its pictures."""

from types import SimpleNamespace

import pytest
from docutils import nodes
from docutils.utils import new_document
from nbformat.v4 import new_code_cell, new_notebook, new_output

from companion.notebook import Drawing
from tools.pages import drawings


@pytest.fixture
def page(tmp_path):
    """Return a page with a drawing and a photograph, and an environment of the Chinese edition."""
    d = Drawing(200, 60)
    d.box(100, 30, "inputs")
    (tmp_path / "made.svg").write_text(d._repr_svg_(), encoding="utf-8")
    document = new_document("page")
    document += nodes.image(uri="made.svg")
    document += nodes.image(uri="photograph.png")
    env = SimpleNamespace(
        docname="page",
        config=SimpleNamespace(language="zh_CN"),
        relfn2path=lambda uri, _docname: (uri, str(tmp_path / uri)),
    )
    return document, env


def test_what_is_written_on_a_drawing_is_a_message(page):
    assert drawings.words(*page) == ["inputs"]


def test_the_translated_drawing_is_a_picture_of_its_own(page, tmp_path):
    document, env = page
    drawings.translate(document, env, {"inputs": "输入"})
    addresses = [image["uri"] for image in document.findall(nodes.image)]
    assert addresses == ["made.zh_CN.svg", "photograph.png"]
    assert ">输入<" in (tmp_path / "made.zh_CN.svg").read_text(encoding="utf-8")
    assert ">inputs<" in (tmp_path / "made.svg").read_text(encoding="utf-8")


def test_a_drawing_that_nobody_translated_stays(page, tmp_path):
    document, env = page
    drawings.translate(document, env, {"outputs": "输出"})
    assert next(iter(document.findall(nodes.image)))["uri"] == "made.svg"
    assert [path.name for path in tmp_path.iterdir()] == ["made.svg"]


def test_the_drawings_of_a_notebook_are_translated_where_they_stand():
    d = Drawing(200, 60)
    d.text(100, 30, "inputs")
    shown = new_output("execute_result", data={"image/svg+xml": d._repr_svg_()})
    other = new_output("stream", text="inputs")
    notebook = new_notebook(cells=[new_code_cell("d", outputs=[shown, other])])
    drawings.translate_outputs(notebook, {"inputs": "输入"})
    outputs = notebook.cells[0].outputs
    assert ">输入<" in outputs[0].data["image/svg+xml"]
    assert outputs[1].text == "inputs"
