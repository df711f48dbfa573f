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

from assign import cli
from assign.grading import feedback, files
from assign.sandbox.inside import told
from tests.assign.grading_support import RIGHT, TESTS, draw, grade, hand_in, notebook, rows
from tools.assignments.repository import Repository

ROOT = Path(__file__).parents[2]
QUICK = ("--timeout", 60, "--jobs", 2)


# -- the whole way -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Draw an assignment of three questions: two by hand and one in code, 2 + 3 + 4 points."""
    folder = tmp_path_factory.mktemp("drawn") / "dist"
    command = ["make", "attention:1,2,4", "--seed", "2027", "--title", "Homework 2"]
    command += ["--secret", "test-76"]  # with it, the third question is as on the page
    assert cli.main(Repository(), [*command, "--out", str(folder), "--no-run"]) == 0
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
    hand_in(handed_in, "ada_LATE_1_2_homework-2.ipynb", answered(drawn))
    hand_in(handed_in, "bob/homework-2.ipynb", answered(drawn, q2=wrong, q3=unscaled))
    hand_in(handed_in, "cyd.ipynb", answered(drawn, q1="blank", q2="blank", q3="blank"))
    hand_in(handed_in, "dan.ipynb", answered(drawn, q2="import os\nos.abort()"))
    hand_in(folder, "eve.ipynb", answered(drawn, q2="while True:\n    pass"))
    with zipfile.ZipFile(handed_in / "eve.zip", "w") as archive:
        archive.write(folder / "eve.ipynb", "homework-2.ipynb")
    out = ("--out", folder / "grades.csv", "--feedback", folder / "feedback")
    assert grade(drawn, handed_in, *out, "--timeout", 10, "--jobs", 2) == 0
    return folder


def test_the_table_is_exactly_this(walked):
    assert (walked / "grades.csv").read_bytes().startswith(b"\xef\xbb\xbfstudent,"), "for Excel"
    with (walked / "grades.csv").open(encoding="utf-8-sig") as file:
        lines = list(csv.reader(file))
    names = [
        "q1 attention-softmax-by-hand",
        "q2 attention-cache-by-hand",
        "q3 attention-masked-numpy",
    ]
    assert lines[0] == [
        *("student", "file", "total", "max", *names),
        *("by_hand", "still_by_hand", "late", "status", "what_happened", "seconds"),
    ]
    told = [re.sub(r"^Cell \d+", "Cell", line[11]) for line in lines[1:]]
    assert [[*line[:11], words] for line, words in zip(lines[1:], told, strict=True)] == [
        [
            "ada",
            "ada_LATE_1_2_homework-2.ipynb",
            "9",
            "9",
            "2",
            "3",
            "4",
            "0",
            "0",
            "late",
            "ok",
            "",
        ],
        ["bob", "bob/homework-2.ipynb", "4.25", "9", "2", "0.75", "1.5", "0", "0", "", "ok", ""],
        ["cyd", "cyd.ipynb", "0", "9", "0", "0", "0", "0", "0", "", "ok", ""],
        [
            *("dan", "dan.ipynb", "6", "9", "2", "0", "4", "0", "0", "", "crashed"),
            "Cell (q2): the notebook's process crashed (aborted)",
        ],
        [
            *("eve", "eve.zip!homework-2.ipynb", "6", "9", "2", "0", "4", "0", "0", "", "timeout"),
            "Cell (q2): ran longer than the 10 s of a question, and was stopped",
        ],
    ]


def page(walked, student):
    (path,) = (walked / "feedback").glob(f"{student}-*.md")
    return path.read_text()


def test_feedback_says_what_to_look_at(walked):
    text = page(walked, "bob")
    assert text.startswith("# Homework 2: bob\n\nScore: 4.25 of 9 points.\n")
    assert "## q2 How many conversations fit? (0.75 of 3)" in text
    assert "- ✓ passed: " in text
    assert "count keys and values, every layer, every head" in text
    assert "(q2): ran longer than the 10 s of a question" in page(walked, "eve")


def test_feedback_keeps_the_tests_data_to_itself(walked, drawn):
    hidden = json.loads((drawn / "assignment.json").read_text())["questions"]
    with zipfile.ZipFile(drawn / "autograder.zip") as archive:
        source = archive.read("tests/q1.py").decode()
    assert "demand(" in source
    assert hidden[0]["variant"]
    for path in (walked / "feedback").glob("*.md"):
        text = path.read_text()
        assert "demand(" not in text
        assert "'right'" not in text
        assert "Error at line" not in text


@pytest.mark.release  # test_student_notebook runs otter on a part of this
def test_otter_itself_gives_the_right_one_full_points(walked, drawn, tmp_path):
    """The archive is a plain otter autograder, and hides what is hidden on Gradescope."""
    paper = tmp_path / "homework-2.ipynb"
    shutil.copy(walked / "submissions" / "ada_LATE_1_2_homework-2.ipynb", paper)
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


def test_sixty_notebooks_take_a_quarter_of_what_otter_takes_for_each(drawn, tmp_path):
    """Both on one core: the imports are made once. Twenty stand for sixty, which gain more."""
    paper = hand_in(tmp_path / "in", "0.ipynb", answered(drawn))
    command = [sys.executable, "-m", "otter", "run", "-a", drawn / "autograder.zip", "-o", tmp_path]
    start = time.monotonic()
    subprocess.run([*command, paper], cwd=tmp_path, capture_output=True, check=True)
    single = time.monotonic() - start
    for number in range(1, 20):
        shutil.copy(paper, tmp_path / "in" / f"{number}.ipynb")
    start = time.monotonic()
    grade(drawn, tmp_path / "in", "--out", tmp_path / "grades.csv", "--jobs", 1)
    assert time.monotonic() - start < 20 * single / 4


# -- the small assignment ------------------------------------------------------------------------


@pytest.fixture
def dist(tmp_path):
    return draw(tmp_path / "dist")


def totals(table):
    return {name: row["total"] for name, row in rows(table).items()}


def test_resuming_grades_only_what_is_new_or_changed(dist, tmp_path):
    handed_in, table = tmp_path / "in", tmp_path / "grades.csv"
    hand_in(handed_in, "ada.ipynb", notebook(**RIGHT))
    hand_in(handed_in, "bob.ipynb", notebook())
    assert grade(dist, handed_in, "--out", table, *QUICK) == 0
    before = rows(table)["ada"]
    text = table.read_text()
    hand_in(handed_in, "bob.ipynb", notebook(q1=RIGHT["q1"]))
    hand_in(handed_in, "cyd.ipynb", notebook(**RIGHT))
    assert grade(dist, handed_in, "--out", table, *QUICK) == 2, "it would have been overwritten"
    assert table.read_text() == text
    pages = ("--feedback", tmp_path / "feedback")
    assert grade(dist, handed_in, "--out", table, "--resume", *pages, *QUICK) == 0
    assert totals(table) == {"ada": "7", "bob": "3", "cyd": "7"}
    assert rows(table)["ada"] == before
    assert len(list((tmp_path / "feedback").glob("*.html"))) == 3, "also of what had been graded"
    draw(dist, {"q1": TESTS["q1"]})
    assert grade(dist, handed_in, "--out", table, "--resume", *QUICK) == 0
    assert {row["max"] for row in rows(table).values()} == {"3"}, "the tests have changed"


def test_what_was_written_into_the_table_by_hand_is_not_lost(dist, tmp_path, capsys):
    table = tmp_path / "grades.csv"
    hand_in(tmp_path / "in", "ada.ipynb", notebook(**RIGHT))
    assert grade(dist, tmp_path / "in", "--out", table, *QUICK) == 0
    text = table.read_text().replace("ada,ada.ipynb,7", "ada,ada.ipynb,6.5")
    table.write_text(text)
    assert grade(dist, tmp_path / "in", "--out", table, "--resume", *QUICK) == 2
    assert "was changed by hand" in capsys.readouterr().err
    assert table.read_text() == text


def test_a_folder_for_temporary_files_too_deep_for_sockets_is_named(dist, tmp_path):
    hand_in(tmp_path / "in", "a.ipynb", notebook(**RIGHT))
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    command = [sys.executable, "-m", "assign", "grade", dist, tmp_path / "in"]
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
    command = [sys.executable, "-m", "assign", "grade", dist, handed_in, "--out", table]
    running = subprocess.Popen(
        [*command, "--jobs", "1", "--timeout", "600"], env={**os.environ, "TMPDIR": str(shallow)},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    until = time.monotonic() + 120
    while "a" not in totals_so_far(table) and running.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)
    family = psutil.Process(running.pid).children(recursive=True)
    assert len(family) >= 3, "a watcher, a container and a submission at least"
    running.send_signal(signal.SIGINT)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "--resume goes on" in said
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
    assert totals(table) == {"a": "7"}


def totals_so_far(table):
    return totals(table) if table.exists() else {}


def test_what_is_no_notebook_gets_nothing_and_says_why(dist, tmp_path):
    handed_in, table = tmp_path / "in", tmp_path / "grades.csv"
    handed_in.mkdir()
    (handed_in / "text.ipynb").write_text("no JSON")
    (handed_in / "deep.ipynb").write_text("[" * 100_000)
    (handed_in / "broken.zip").write_bytes(b"PK nothing")
    (handed_in / "12-liu.txt").write_text("an essay")
    with zipfile.ZipFile(handed_in / "empty.zip", "w") as archive:
        archive.writestr("essay.txt", "words")
    hand_in(handed_in, "cells.ipynb", new_notebook())
    hand_in(handed_in, "=1+1.ipynb", notebook(**RIGHT, assignment="small-2"))
    hand_in(handed_in, "＝2+2.IPYNB", notebook(**RIGHT))
    assert grade(dist, handed_in, "--out", table, *QUICK) == 0
    found = rows(table)
    assert {n: (r["status"], r["total"], r["max"]) for n, r in found.items()} == {
        "text": ("unreadable", "0", "8"),
        "deep": ("unreadable", "0", "8"),
        "broken": ("unreadable", "0", "8"),
        "12-liu": ("unreadable", "0", "8"),
        "empty": ("unreadable", "0", "8"),
        "cells": ("ok", "0", "8"),
        "'=1+1": ("other assignment", "7", "8"),
        "'＝2+2": ("ok", "7", "8"),
    }
    assert "It is no notebook (.ipynb)" in found["12-liu"]["what_happened"]
    assert "of another assignment (small-2)" in found["'=1+1"]["what_happened"]


def test_one_endless_question_costs_no_other_question(tmp_path):
    """Neither by its own cell nor by its checks; the notebook's own check cell is not run."""
    dist, table = draw(tmp_path / "dist"), tmp_path / "grades.csv"
    endless = notebook("def total(): pass\nwhile True: pass", RIGHT["q2"])
    hand_in(tmp_path / "in", "ada.ipynb", endless)
    hand_in(tmp_path / "in", "bob.ipynb", notebook(**RIGHT))  # whose check cells would not end
    start = time.monotonic()
    assert grade(dist, tmp_path / "in", "--out", table, "--jobs", 2, "--timeout", 8) == 0
    assert totals(table) == {"ada": "4", "bob": "7"}
    assert time.monotonic() - start < 60


def test_the_questions_of_a_notebook_without_ids_are_found_by_their_checks(tmp_path):
    """Some editors write notebooks without ids of cells, and tags get lost."""
    dist, table = draw(tmp_path / "dist"), tmp_path / "grades.csv"
    bare = notebook("while True: pass", RIGHT["q2"])
    for number, cell in enumerate(bare.cells):
        cell.id = f"cell-{number}"
    hand_in(tmp_path / "in", "ada.ipynb", bare)
    without = notebook(**RIGHT)
    without.cells = [cell for cell in without.cells if not cell.id.endswith("check")]
    hand_in(tmp_path / "in", "bob.ipynb", without)
    assert grade(dist, tmp_path / "in", "--out", table, "--jobs", 2, "--timeout", 8) == 0
    assert totals(table) == {"ada": "4", "bob": "7"}
    assert "(q1): ran longer" in rows(table)["ada"]["what_happened"]


NEAR = """
    import numpy as np
    import torch
    from otter.test_files import test_case
    OK_FORMAT = False
    name = "q1"

    @test_case(name="q1 - 1: a module, an optimiser and gradients", points=1, hidden=False)
    def a(train):
        model = torch.nn.Linear(2, 1)
        before = model.weight.clone()
        optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
        loss, (squares, _) = train(model=model, optimiser=optimiser)
        assert not torch.equal(before, model.weight), "the optimiser's step is lost"
        x = torch.ones(3, requires_grad=True)
        squares(x)[0].sum().backward()
        assert x.grad.tolist() == [2, 2, 2], "a gradient through a tuple is lost"

    @test_case(name="q1 - 2: what is written into arguments", points=2, hidden=True)
    def b(write, forever):
        row, tensor = np.zeros(3), torch.zeros(3)
        write(into=row, also=tensor)
        assert row.sum() == tensor.sum() == 6, "arrays by keyword are not written to"
        assert next(iter(forever())) == 0, "a generator need not end"
    """
NEAR_ANSWER = """
import itertools, torch
def train(model, optimiser):
    loss = model(torch.ones(4, 2)).sum()
    loss.backward()
    optimiser.step()
    return loss, ((lambda x: (x**2, x)), None)
def write(into, also):
    into += 2
    also += 2
def forever():
    yield from itertools.count()
"""


def test_nothing_stands_between_an_answer_and_its_tests(tmp_path):
    """Modules, optimisers, gradients, arguments that are written to, generators without end."""
    dist, out = draw(tmp_path / "dist", {"q1": NEAR}), tmp_path / "grades.csv"
    hand_in(tmp_path / "in", "ada.ipynb", notebook(NEAR_ANSWER))
    assert grade(dist, tmp_path / "in", "--out", out, *QUICK) == 0
    assert totals(out) == {"ada": "3"}, rows(out)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ((), "dist must be a folder that make wrote, with autograder.zip and assignment.json"),
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
    files.write(path, "before")

    def breaks(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(OSError, match="disk full"):
        files.write(path, "after")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["grades.csv"]


def test_no_two_students_share_a_page_and_no_name_is_too_long(tmp_path):
    """Of a file's name, 255 bytes are left; a Chinese character takes three."""
    names = ["li wei", "li-wei", "li/wei", "李伟" * 59, "李伟" * 60, "..", ""]
    pages = [feedback.page_name(name) for name in names]
    assert len(set(pages)) == len(names)
    for page in pages:
        files.write(tmp_path / f"{page}.html", "page")
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(pages)


def test_a_student_is_graded_only_if_the_page_is_there(dist, tmp_path):
    table, feedback_folder = tmp_path / "grades.csv", tmp_path / "feedback"
    hand_in(tmp_path / "in", "ada.ipynb", notebook(**RIGHT))
    feedback_folder.write_text("a file where the folder should be")
    arguments = (dist, tmp_path / "in", "--out", table, "--feedback", feedback_folder, *QUICK)
    with pytest.raises(OSError, match="feedback"):
        grade(*arguments)
    assert totals_so_far(table) == {}
    feedback_folder.unlink()
    assert grade(*arguments, "--resume") == 0
    assert len(list(feedback_folder.iterdir())) == 2
