"""A small assignment, drawn by hand, and notebooks that answer it well, badly and wickedly."""

import csv
import json
import zipfile
from argparse import ArgumentParser
from pathlib import Path
from textwrap import dedent

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from assign.grading import arguments, command

TESTS = {
    "q1": """
        from otter.test_files import test_case
        OK_FORMAT = False
        name = "q1"

        @test_case(name="q1 - 1: it is a number", points=1, hidden=False)
        def a(total):
            assert isinstance(total, (int, float)), "total should be a number"

        @test_case(name="q1 - 2: it is right", points=2, hidden=True)
        def b(total):
            assert total == 21, "total should count every row"
        """,
    "q2": """
        import numpy as np
        from otter.test_files import test_case
        OK_FORMAT = False
        name = "q2"

        @test_case(name="q2 - 1: shape", points=1, hidden=False)
        def a(double):
            assert np.shape(double(np.ones(3))) == (3,), "double should keep the shape"

        @test_case(name="q2 - 2: values", points=3, hidden=True)
        def b(double):
            assert np.allclose(double(np.arange(4.0)), [0, 2, 4, 6]), "each value twice, please"
        """,
}
CHECKS = {
    "q1": [("it is a number", 1, False), ("it is right", 2, True)],
    "q2": [("shape", 1, False), ("values", 3, True)],
}
PROMPT = "*Your explanation, in your own words:*"
RIGHT = {"q1": "total = 21", "q2": "def double(x):\n    return 2 * x"}
# Grading runs neither: the checks are a function in notebooks that were drawn by older versions.
CHECK = {
    "q1": "def check_q1():\n    return []\n\n\nwhile True:\n    pass",
    "q2": "# @title Check\ncheck_q2 = ''\nreport(check_q2, globals())\nwhile True:\n    pass",
}


def draw(folder, tests=TESTS):
    """Write what ``make`` writes, as far as grading reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / "autograder.zip", "w") as archive:
        for name, source in tests.items():
            archive.writestr(f"tests/{name}.py", dedent(source))
    questions = [
        {
            "name": name,
            "exercise": {"q1": "sum", "q2": "double"}[name],
            "title": {"q1": "A sum", "q2": "Twice"}[name],
            "points_by_hand": {"q1": 0, "q2": 1}[name],
            "words": name == "q2",
            "good_answer": "Because twice <is> two times.",
            "checks": [
                {"name": f"{name} - {n}: {what}", "what": what, "points": points, "hidden": hidden}
                for n, (what, points, hidden) in enumerate(CHECKS[name], start=1)
            ],
        }
        for name in tests
    ]
    record = {"format": 1, "id": "small-1", "title": "A small one", "language": "en", "due": None}
    record |= {"words": PROMPT}
    (folder / "assignment.json").write_text(json.dumps({**record, "questions": questions}))
    return folder


def notebook(q1="total = ...", q2="double = ...", assignment="small-1", words=""):
    """Return a notebook with two answers, as students hand it in."""
    cells = []
    for name, code in (("q1", q1), ("q2", q2)):
        cells += [
            new_markdown_cell(f"## {name}", id=name),
            new_code_cell(code, id=f"{name}-answer"),
            new_code_cell(CHECK[name], id=f"{name}-check"),
        ]
        if name == "q2" and words:
            cells.insert(-1, new_markdown_cell(f"{PROMPT}\n\n{words}", id="q2-words"))
    return new_notebook(cells=cells, metadata={"companion": {"assignment": assignment}})


def hand_in(folder, name, made):
    """Write a notebook where a student's would be."""
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)
    return path


def grade(*words):
    """Run the command in this process; return its exit status."""
    parser = ArgumentParser()
    arguments.add(parser)
    return command.run(parser.parse_args([str(word) for word in words]))


def rows(table):
    """Return the table's lines by student."""
    with Path(table).open(encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}
