"""Readers run cells again, and press the stop button: the cells after that run all the same.

The comparison of a chapter's outputs (``test_nbval.py``) runs each cell twice in a row, but for
training and widgets, which take long. Before a release they are run twice as well, and every
training is stopped.
"""

import ast
import queue
import time

import pytest
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_notebook

from tests.notebooks.test_nbval import IGNORED, compare, stream, twice
from tools.book import contents, notebooks
from tools.book.notebooks import tags

SECONDS = 900
# The names of what lets a reader stop, in a cell's code.
HEEDS = {"stop_button", "stoppable"}


@pytest.mark.chapters
@pytest.mark.release
@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_every_cell_of_a_chapter_may_run_twice(path, installed, tmp_path):
    compare(twice(notebooks.read(path), everything=True), path.name, installed, tmp_path)


# -- twice, in trial notebooks -------------------------------------------------------------------

ONCE = [
    "stories = iter(range(100))",
    "first = next(stories)\nprint(first)",
]


def test_a_cell_that_uses_something_up_is_found(installed, tmp_path):
    """Each run of the second cell draws on, so the next output is another one."""
    cells = [new_code_cell(code, execution_count=1) for code in ONCE]
    cells[1].outputs = [stream("0\n")]
    with pytest.raises(AssertionError, match="first = next"):
        compare(twice(new_notebook(cells=cells)), "trial.ipynb", installed, tmp_path)


def test_what_is_run_twice():
    plain, training = new_code_cell("x = 1"), new_code_cell("y = 2")
    widget = new_code_cell("explore(draw, a=[1])")
    training.metadata["tags"] = [IGNORED]
    setup = new_code_cell("import sys", metadata={"tags": ["setup"]})
    cells = [setup, plain, training, widget]
    again = [cell.source for cell in twice(new_notebook(cells=cells)).cells]
    assert again == ["import sys", "x = 1", "x = 1", "y = 2", "explore(draw, a=[1])"]
    assert len(twice(new_notebook(cells=cells), everything=True).cells) == 7


# -- stopped -------------------------------------------------------------------------------------


def trainings(notebook):
    """Return the cells that a reader may stop: those that heed the button themselves."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and heeds(cell.source)]


def heeds(code):
    """Tell whether a cell heeds the stop button where it runs, not in a function for later."""
    nodes = [node for node in ast.parse(code).body if not isinstance(node, ast.FunctionDef)]
    return any(called(node) & HEEDS for node in nodes)


def called(tree):
    """Return the names of all functions that are called."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def stoppable_functions(notebook):
    """Return the functions of a notebook that hold a loop which can be stopped, or call one."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    trees = [node for code in cells for node in ast.parse(code).body]
    calls = {node.name: called(node) for node in trees if isinstance(node, ast.FunctionDef)}
    found, before = set(HEEDS), set()
    while found != before:
        before = set(found)
        found |= {name for name, names in calls.items() if names & found}
    return found - HEEDS


@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_a_cell_that_trains_heeds_the_stop_button(path):
    """A loop in a function ends by itself; only the cell can end the other trainings as well."""
    notebook = notebooks.read(path)
    functions = stoppable_functions(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code" and IGNORED in tags(cell):
            statements = [n for n in ast.parse(cell.source).body if not is_definition(n)]
            train = any(called(node) & functions for node in statements)
            assert heeds(cell.source) or not train, cell.source


@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_the_stop_button_is_heeded_before_a_cell_loads_anything(path):
    """Pressed while data are read for a training, it left a cell without what comes after."""
    notebook = notebooks.read(path)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    bodies = [ast.parse(code).body for code in cells]
    own = {node.name for body in bodies for node in body if isinstance(node, ast.FunctionDef)}
    for code, body in zip(cells, bodies, strict=True):
        blocks = [isinstance(node, ast.With) and bool(called(node) & HEEDS) for node in body]
        before = body[: blocks.index(True)] if any(blocks) else []
        early = [node for node in before if not is_definition(node)]
        assert not any(called(node) & own for node in early), code


def is_definition(node):
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def run(kernel, code, stop_after=None):
    """Run a cell, and press the stop button after so many seconds; return its error, or nothing."""
    manager, client = kernel
    message, start, error = client.execute(code), time.monotonic(), None
    while time.monotonic() - start < SECONDS:
        if stop_after is not None and time.monotonic() - start >= stop_after:
            manager.interrupt_kernel()
            stop_after = None
        try:
            said = client.get_iopub_msg(timeout=0.1)
        except queue.Empty:
            continue
        if said["parent_header"].get("msg_id") != message:
            continue
        if said["msg_type"] == "error":
            error = f"{said['content']['ename']}: {said['content']['evalue']}"
        if said["msg_type"] == "status" and said["content"]["execution_state"] == "idle":
            return error
    raise AssertionError(f"no end after {SECONDS} s: {code}")


@pytest.mark.release
@pytest.mark.chapters
@pytest.mark.parametrize("seconds", [0.5, 3.0])
@pytest.mark.parametrize("path", contents.notebooks(), ids=contents.label)
def test_stopped_trainings_leave_a_notebook_that_runs(path, seconds):
    """Stop every training of a chapter after some seconds; run all other cells as they come."""
    notebook = notebooks.read(path)
    stopped = {cell.id for cell in trainings(notebook)}
    kernel = start_new_kernel(cwd=str(path.parent), extra_arguments=["--log-level=40"])
    errors = {}
    try:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                error = run(kernel, cell.source, seconds if cell.id in stopped else None)
                errors |= {cell.id: error} if error else {}
    finally:
        kernel[1].stop_channels()
        kernel[0].shutdown_kernel(now=True)
    assert not errors
