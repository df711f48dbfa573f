"""A small assignment, drawn by hand, and notebooks that answer it well, badly and wickedly."""

import json
import zipfile
from argparse import ArgumentParser
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from companion.assign import grading
from companion.assign.grading_report import read_table

# A word that stands in a hidden test and nowhere else.
SECRET = "three-times-seven"

TESTS = {
    "q1": f"""
        OK_FORMAT = False
        from otter.test_files import test_case
        name = "q1"

        @test_case(name="q1 - 1: it is a number", points=1, hidden=False)
        def a(total):
            assert isinstance(total, (int, float)), "total should be a number"

        @test_case(name="q1 - 2: it is right", points=2, hidden=True)
        def b(total):
            {SECRET.replace("-", "_")} = 21
            assert total == {SECRET.replace("-", "_")}, "total should count every row"
        """,
    "q2": """
        OK_FORMAT = False
        import numpy as np
        from otter.test_files import test_case
        name = "q2"

        @test_case(name="q2 - 1: shape", points=1, hidden=False)
        def a(double):
            assert np.shape(double(np.ones(3))) == (3,), "double should keep the shape"

        @test_case(name="q2 - 2: values", points=3, hidden=True)
        def b(double):
            assert np.allclose(double(np.arange(4.0)), [0, 2, 4, 6]), "each value twice, please"
        """,
}
RIGHT = {"q1": "total = 21", "q2": "def double(x):\n    return 2 * x"}


def draw(folder, tests=None):
    """Write what ``make`` writes, as far as grading reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "autograder.zip", "w") as archive:
        for name, source in (tests or TESTS).items():
            lines = [line[8:] if line.startswith(" " * 8) else line for line in source.split("\n")]
            archive.writestr(f"tests/{name}.py", "\n".join(lines))
    record = {
        "id": "small-1",
        "title": "A small one",
        "language": "en",
        "questions": [
            {"name": "q1", "exercise": "sum", "title": "A sum", "points_by_hand": 0},
            {"name": "q2", "exercise": "double", "title": "Twice", "points_by_hand": 1},
        ],
    }
    (folder / "assignment.json").write_text(json.dumps(record))
    return folder


def notebook(q1="total = ...", q2="double = ...", assignment="small-1"):
    """Return a notebook with two answers, as students hand it in."""
    cells = []
    for name, code in (("q1", q1), ("q2", q2)):
        cells += [
            new_markdown_cell(f"## {name}", id=name),
            new_code_cell(code, id=f"{name}-answer"),
            new_code_cell("pass", id=f"{name}-check", metadata={"otter": {"tests": [name]}}),
        ]
    return new_notebook(cells=cells, metadata={"companion": {"assignment": assignment}})


def hand_in(folder, name, made):
    """Write a notebook where a student's would be."""
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)
    return path


def grade(*arguments):
    """Run the command in this process; return its exit status."""
    parser = ArgumentParser()
    grading.add_arguments(parser)
    return grading.run(parser.parse_args([str(argument) for argument in arguments]))


def rows(table):
    """Return the table's lines by student."""
    return {row["student"]: row for row in read_table(table)}
