"""Grading from end to end: an assignment is drawn, handed in by five, and graded."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_notebook

from companion.assign import cli, grading_collect, grading_report
from companion.assign.grading_results import told
from tests.assign.grading_support import RIGHT, draw, grade, hand_in, notebook, rows

ROOT = Path(__file__).parents[2]
QUICK = ("--timeout", 60, "--jobs", 2)


# -- the whole way -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Draw an assignment of three questions: two by hand and one in code, 2 + 3 + 4 points."""
    folder = tmp_path_factory.mktemp("drawn") / "dist"
    command = ["make", "attention:1,2,4", "--seed", "2027", "--title", "Homework 2"]
    assert cli.main([*command, "--out", str(folder), "--no-run"]) == 0
    return folder


def answered(drawn, **answers):
    """Return the student's notebook; answers not given are those of the solution."""
    blank, solved = (
        nbformat.read(drawn / part / "homework-2.ipynb", as_version=4)
        for part in ("student", "solution")
    )
    solutions = {cell.id: cell.source for cell in solved.cells}
    for cell in blank.cells:
        if cell.id.endswith("-answer"):
            given = answers.get(cell.id.removesuffix("-answer"), "right")
            cell.source = {"right": solutions[cell.id], "blank": cell.source}.get(given, given)
    return blank


@pytest.fixture(scope="module")
def walked(drawn, tmp_path_factory):
    """Hand in five notebooks as a learning platform exports them, and grade them."""
    folder = tmp_path_factory.mktemp("walked")
    handed_in = folder / "submissions"
    wrong = "bytes_per_token, tokens, kv_heads = 1, 1, 1"
    # Nothing is hidden any more, but the rows of weights do not sum to 1.
    unscaled = "def masked_attention(q, k, v, mask):\n    return q @ k.T @ v"
    hand_in(handed_in, "ada_1_2_homework-2.ipynb", answered(drawn))
    hand_in(handed_in, "bob/homework-2.ipynb", answered(drawn, q2=wrong, q3=unscaled))
    hand_in(handed_in, "cyd.ipynb", answered(drawn, q1="blank", q2="blank", q3="blank"))
    hand_in(handed_in, "dan.ipynb", answered(drawn, q2="import os\nos.abort()"))
    hand_in(folder, "eve.ipynb", answered(drawn, q2="while True:\n    pass"))
    with zipfile.ZipFile(handed_in / "eve.zip", "w") as archive:
        archive.write(folder / "eve.ipynb", "homework-2.ipynb")
    out = ("--out", folder / "grades.csv", "--feedback", folder / "feedback")
    assert grade(drawn, handed_in, *out, "--timeout", 20, "--jobs", 2) == 0
    return folder


def test_the_table_is_exactly_this(walked):
    with (walked / "grades.csv").open() as file:
        lines = list(csv.reader(file))
    names = [
        "q1 attention-softmax-by-hand",
        "q2 attention-cache-by-hand",
        "q3 attention-masked-numpy",
    ]
    assert lines[0] == [
        *("student", "file", "total", "max", *names),
        *("by_hand", "status", "what_happened", "seconds", "fingerprint"),
    ]
    left_out = "the notebook's process crashed (aborted); it was left out"
    told = [re.sub(r"^Cell \d+", "Cell", line[9]) for line in lines[1:]]
    assert [[*line[:9], words] for line, words in zip(lines[1:], told, strict=True)] == [
        ["ada", "ada_1_2_homework-2.ipynb", "9", "9", "2", "3", "4", "0", "ok", ""],
        ["bob", "bob/homework-2.ipynb", "4.25", "9", "2", "0.75", "1.5", "0", "ok", ""],
        ["cyd", "cyd.ipynb", "0", "9", "0", "0", "0", "0", "ok", ""],
        ["dan", "dan.ipynb", "6", "9", "2", "0", "4", "0", "crashed", f"Cell (q2): {left_out}"],
        [
            *("eve", "eve.zip!homework-2.ipynb", "6", "9", "2", "0", "4", "0", "timeout"),
            "Cell (q2): the notebook's code ran longer than 10 s, and was stopped",
        ],
    ]


def test_feedback_says_what_to_look_at(walked):
    page = (walked / "feedback" / "bob--bob-homework-2.md").read_text()
    assert page.startswith("# Homework 2: bob\n\nScore: **4.25 of 9** points.\n")
    assert "## q2 How many conversations fit?: 0.75 of 3" in page
    assert "- ✓ passed: " in page
    assert "count keys and values, every layer, every head" in page
    page = (walked / "feedback" / "eve--eve.zip-homework-2.md").read_text()
    assert "(q2): the notebook's code ran longer than 10 s" in page


def test_feedback_keeps_the_tests_data_to_itself(walked, drawn):
    hidden = json.loads((drawn / "assignment.json").read_text())["questions"]
    with zipfile.ZipFile(drawn / "autograder.zip") as archive:
        source = archive.read("tests/q1.py").decode()
    assert "demand(" in source
    assert hidden[0]["variant"]
    for page in (walked / "feedback").glob("*.md"):
        text = page.read_text()
        assert "demand(" not in text
        assert "'right'" not in text
        assert "Error at line" not in text


@pytest.mark.release  # test_student_notebook runs otter on a part of this
def test_otter_itself_gives_the_right_one_full_points(walked, drawn, tmp_path):
    """The archive is a plain otter autograder, and hides what is hidden on Gradescope."""
    paper = tmp_path / "homework-2.ipynb"
    shutil.copy(walked / "submissions" / "ada_1_2_homework-2.ipynb", paper)
    command = [sys.executable, "-m", "otter", "run", "-a", drawn / "autograder.zip", "-o", tmp_path]
    environment = {**os.environ, "COMPANION_QUIET": "1"}
    done = subprocess.run(
        [*command, paper], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    scores = {test["name"]: test.get("score") for test in results["tests"]}
    assert {name: scores[name] for name in ("q1", "q2", "q3")} == {"q1": 2, "q2": 3, "q3": 4}
    seen = {test["name"]: test["visibility"] for test in results["tests"]}
    assert seen == {"Public Tests": "visible", "q1": "hidden", "q2": "hidden", "q3": "hidden"}


# -- the small assignment ------------------------------------------------------------------------


@pytest.fixture
def dist(tmp_path):
    return draw(tmp_path / "dist")


def test_resuming_grades_only_what_is_new_or_changed(dist, tmp_path):
    handed_in, table = tmp_path / "in", tmp_path / "grades.csv"
    hand_in(handed_in, "ada.ipynb", notebook(**RIGHT))
    hand_in(handed_in, "bob.ipynb", notebook())
    assert grade(dist, handed_in, "--out", table, *QUICK) == 0
    text = table.read_text().replace("ada,ada.ipynb,7", "ada,ada.ipynb,6.5")  # a point by hand
    table.write_text(text)
    hand_in(handed_in, "bob.ipynb", notebook(q1=RIGHT["q1"]))
    hand_in(handed_in, "cyd.ipynb", notebook(**RIGHT))
    assert grade(dist, handed_in, "--out", table, *QUICK) == 2, "it would have been overwritten"
    assert table.read_text() == text
    assert grade(dist, handed_in, "--out", table, "--resume", *QUICK) == 0
    assert {name: row["total"] for name, row in rows(table).items()} == {
        "ada": "6.5",
        "bob": "3",
        "cyd": "7",
    }
    draw(dist, {"q1": "OK_FORMAT = False\nname = 'q1'\npoints = 1"})
    assert grade(dist, handed_in, "--out", table, "--resume", *QUICK) == 0
    assert {row["max"] for row in rows(table).values()} == {"0"}, "the tests have changed"


def test_a_folder_for_temporary_files_too_deep_for_sockets_is_named(dist, tmp_path):
    hand_in(tmp_path / "in", "a.ipynb", notebook(**RIGHT))
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    command = [sys.executable, "-m", "companion.assign", "grade", dist, tmp_path / "in"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "grades.csv"], env={**os.environ, "TMPDIR": str(deep)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"TMPDIR={deep}" in done.stderr
    assert "shorter" in done.stderr


@pytest.fixture
def shallow():
    """Make an empty folder whose path leaves room for the names of sockets."""
    with tempfile.TemporaryDirectory(prefix="shallow-", dir="/tmp") as folder:
        yield Path(folder)


def test_an_interrupt_keeps_what_is_graded_and_leaves_no_process(dist, tmp_path, shallow):
    handed_in, table = tmp_path / "in", tmp_path / "grades.csv"
    hand_in(handed_in, "a.ipynb", notebook(**RIGHT))
    hand_in(handed_in, "b.ipynb", notebook(q1="while True: pass"))
    command = [sys.executable, "-m", "companion.assign", "grade", dist, handed_in, "--out", table]
    running = subprocess.Popen(
        [*command, "--jobs", "1", "--timeout", "600"], env={**os.environ, "TMPDIR": str(shallow)},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while not table.exists() and running.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) >= 3, "a grader, a keeper and a submission at least"
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "--resume goes on" in said
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert list(shallow.glob("**/submission-*")) == []
    assert {name: row["total"] for name, row in rows(table).items()} == {"a": "7"}


def test_what_is_no_notebook_gets_nothing_and_says_why(dist, tmp_path):
    handed_in, table = tmp_path / "in", tmp_path / "grades.csv"
    handed_in.mkdir()
    (handed_in / "text.ipynb").write_text("no JSON")
    (handed_in / "deep.ipynb").write_text("[" * 100_000)
    (handed_in / "broken.zip").write_bytes(b"PK nothing")
    with zipfile.ZipFile(handed_in / "empty.zip", "w") as archive:
        archive.writestr("essay.txt", "words")
    hand_in(handed_in, "cells.ipynb", new_notebook())
    hand_in(handed_in, "=1+1.ipynb", notebook(**RIGHT, assignment="small-2"))
    assert grade(dist, handed_in, "--out", table, *QUICK) == 0
    found = rows(table)
    assert {n: (r["status"], r["total"], r["max"]) for n, r in found.items()} == {
        "text": ("unreadable", "0", "7"),
        "deep": ("unreadable", "0", "7"),
        "broken": ("unreadable", "0", "7"),
        "empty": ("unreadable", "0", "7"),
        "cells": ("ok", "0", "7"),
        "'=1+1": ("other assignment", "7", "7"),
    }
    assert "No notebook in the zip" in found["empty"]["what_happened"]
    assert "of another assignment (small-2)" in found["'=1+1"]["what_happened"]


def test_tests_in_doctest_format_are_graded_too(tmp_path):
    doctests = """
        OK_FORMAT = True
        test = {"name": "q1", "points": None, "suites": [{"cases": [
            {"code": ">>> total + 1\\n22", "hidden": False, "points": 1},
            {"code": ">>> double(3)\\n6", "hidden": True, "points": 2}]}]}
        """
    dist, table = draw(tmp_path / "dist", {"q1": doctests}), tmp_path / "grades.csv"
    hand_in(tmp_path / "in", "ada.ipynb", notebook(q1="\n".join(RIGHT.values())))
    hand_in(tmp_path / "in", "bob.ipynb", notebook(q1="total = 21\ndouble = print"))
    assert grade(dist, tmp_path / "in", "--out", table, *QUICK) == 0
    assert {name: row["total"] for name, row in rows(table).items()} == {"ada": "3", "bob": "1"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "dist must be a folder with autograder.zip in it"),
        (("--timeout", "0"), "must be a number of seconds above 0, got 0"),
        (("--memory", "-3"), "must be a whole number above 0, got -3"),
    ],
)
def test_wrong_arguments_are_told(tmp_path, capsys, options, complaint):
    hand_in(tmp_path / "in", "ada.ipynb", notebook())
    try:
        status = grade(tmp_path, tmp_path / "in", "--out", tmp_path / "grades.csv", *options)
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert complaint in capsys.readouterr().err


# -- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "student"),
    [
        ("ada.ipynb", "ada"),
        ("ada/hw/homework-2.ipynb", "ada"),
        ("lovelaceada_4711_815_homework-2.ipynb", "lovelaceada"),
        ("lovelaceada_LATE_4711_815_homework-2-1.ipynb", "lovelaceada"),
        ("Ada Lovelace_99_assignsubmission_file/homework-2.ipynb", "Ada Lovelace"),
        ("assignment_1_export/submission_42/homework-2.ipynb", "submission_42"),
        ("HW 2_ada_attempt_2027-03-01-10-00-00_homework-2.ipynb", "ada"),
        ("ada.zip!homework-2.ipynb", "ada"),
        ("张三_4711_815_作业.ipynb", "张三"),
    ],
)
def test_students_by_the_names_that_platforms_give(file, student):
    assert grading_collect.student_of(file) == student


def test_what_was_not_handed_in_is_left_out(tmp_path):
    hand_in(tmp_path, "ada/.ipynb_checkpoints/a-checkpoint.ipynb", notebook())
    hand_in(tmp_path, "ada/a.ipynb", notebook())
    with zipfile.ZipFile(tmp_path / "bob.zip", "w") as archive:
        archive.writestr("b/b.ipynb", "{}")
        archive.writestr("__MACOSX/b/._b.ipynb", "x")
    files = [submission.file for submission in grading_collect.collect(tmp_path)]
    assert files == ["ada/a.ipynb", "bob.zip!b/b.ipynb"]
    with pytest.raises(ValueError, match="submissions must hold notebooks"):
        grading_collect.collect(hand_in(tmp_path, "x/.git/y.ipynb", notebook()).parent.parent)


def test_of_otters_message_only_the_students_part_is_told():
    message = (
        "❌ Test case failed\nError at line 9 in test q1:\n"
        "  demand(right, {'right': 21}, env)\nAssertionError: look again\nat both"
    )
    assert told(message) == "look again\nat both"
    other = "❌ Test case failed\nError at line 9 in test q1:\n  x = 21\nKeyError: 21"
    assert told(other) == "The check could not be carried out (KeyError)."


def test_a_half_written_table_is_never_seen(tmp_path, monkeypatch):
    path = tmp_path / "grades.csv"
    grading_report.write(path, "before")

    def breaks(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(OSError, match="disk full"):
        grading_report.write(path, "after")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["grades.csv"]
