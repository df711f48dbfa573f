"""What a student gets: one notebook that shows plain Markdown and runs anywhere."""

import ast
import functools
import json
import re
import subprocess
import sys

import nbformat
import pytest
from nbclient import NotebookClient

from assign import assignment, autograder, localise, notebooks
from assign.grading import steps
from tools.assignments.repository import Repository
from tools.words import code_words

DIRECTIVE = re.compile(r":::|^\s*```\{|\{[\w:+-]+\}`|\{\{|\(eq-[\w-]+\)\s*$", re.MULTILINE)
SOLVED = "attention:1,2,3,4,5,6"  # those that run in no time


@functools.cache
def draw(selection=SOLVED, seed=5, language="en"):
    return assignment.draw(Repository(), [selection], seed, "Homework", language)


@pytest.fixture(scope="module")
def drawn():
    return draw()


def text(notebook):
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


# -- as it is read -------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.release) for s in (1, 2))])
def test_no_directive_and_no_role_is_left(seed, language):
    drawn = draw("attention", seed, language)
    for made in (notebooks.student(drawn), notebooks.solution(drawn)):
        assert DIRECTIVE.findall(text(made)) == []


def test_directives_would_be_found():
    for left in (":::{note}", "see {eq}`eq-x`", "```{math}\nx", "take {{n}}", "$$ x $$ (eq-x)"):
        assert DIRECTIVE.search(left)


def test_every_question_has_its_cells_in_order(drawn):
    notebook = notebooks.student(drawn)
    ids = [cell.id for cell in notebook.cells]
    assert ids[:3] == ["introduction", "setup", "imports"]
    assert ids[-1] == "hand-in"
    for question in drawn.questions:
        words = [f"{question.name}-words"] if question.exercise.words else []
        expected = [question.name, f"{question.name}-answer", *words, f"{question.name}-check"]
        start = ids.index(question.name)
        assert ids[start : start + len(expected)] == expected
        assert notebook.cells[start + 1].source == question.exercise.starter
        assert f"Question {question.number}: " in notebook.cells[start].source


def test_it_is_in_chinese_where_asked():
    notebook = notebooks.student(draw(language="zh"))
    code = notebooks.student(draw())
    for cell, english in zip(notebook.cells, code.cells, strict=True):
        if cell.cell_type == "markdown":
            assert not re.search(r"(?<!\*)\*(?!\*)[\u4e00-\u9fff]", cell.source), "slanted"
            assert re.search(r"[\u4e00-\u9fff]", cell.source) or cell.id == "introduction"
        elif "answer" in cell.id or cell.id == "imports":
            same = code_words.skeleton(cell.source) == code_words.skeleton(english.source)
            assert same, "code is the same in both languages"
        elif "check" in cell.id or cell.id == "setup":
            assert cell.source != english.source, "what checks say is not"


def test_a_message_without_translation_stays_english(monkeypatch, drawn):
    monkeypatch.setattr(Repository, "speaker", lambda *_: lambda message: message)
    untranslated = draw.__wrapped__(language="zh")
    assert text(notebooks.student(untranslated)).replace("/zh/", "/en/") == text(
        notebooks.student(drawn)
    )


# -- as it runs ----------------------------------------------------------------------------------


def ran(drawn, attempts, folder):
    """Run the student's notebook with each attempt's answers; return what its checks printed.

    The attempts follow one another in one kernel, which forgets all names in between.
    """
    begun = {how: notebooks.student(drawn).cells for how in attempts}
    for how, cells in begun.items():
        for cell in cells:
            name = cell.id.removesuffix("-answer")
            if name != cell.id and name in attempts[how]:
                cell.source = attempts[how][name]
            cell.id = f"{how}-{cell.id}"
    forget = nbformat.v4.new_code_cell("%reset -f")
    whole = notebooks.student(drawn)
    whole.cells = [cell for cells in begun.values() for cell in [forget, *cells]]
    client = NotebookClient(
        whole, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    return {how: said(how, cells) for how, cells in begun.items()}


def said(how, cells):
    """Return what each check cell of an attempt printed."""
    names = {cell.id.removeprefix(f"{how}-"): cell for cell in cells}
    return {
        name.removesuffix("-check"): "".join(o.get("text", "") for o in cell.outputs)
        for name, cell in names.items()
        if name.endswith("-check")
    }


@pytest.fixture(scope="module")
def printed(drawn, tmp_path_factory):
    """What a student sees: with nothing done, with mistakes, with everything right."""
    mistakes = {
        "q1": "weights = weights_doubled = [0.5, 0.5, 0.5]\nanswer = answer_doubled = 1",
        "q2": "bytes_per_token, tokens, kv_heads = 1.5, 2, 3",
        "q3": 'predictions = dict.fromkeys("abcde", "the same")',
        "q4": drawn.questions[3].exercise.wrong_answers["the mask after the softmax"],
        "q5": "split_heads = join_heads = multi_head = lambda x, *more: x[0]",
        "q6": drawn.questions[5].exercise.wrong_answers["the future in sight"],
    }
    right = {q.name: q.exercise.solution for q in drawn.questions}
    attempts = {"nothing": {}, "mistakes": dedented(mistakes), "right": right}
    return ran(drawn, attempts, tmp_path_factory.mktemp("student"))


def dedented(answers):
    from textwrap import dedent

    return {name: dedent(code) for name, code in answers.items()}


def test_right_answers_pass(printed):
    for shown in printed["right"].values():
        assert "✗" not in shown
        assert shown.endswith("These checks pass. Others follow when your work is graded.\n")


def test_mistakes_are_told_in_words_that_help(printed):
    expected = {
        "q1": "weights should sum to 1, but sum to 1.500",
        "q2": "bytes_per_token should be a whole number above 0, got 1.5",
        "q3": "(a) should be one of same, shuffled, different, got 'the same'",
        "q4": "masked_attention differs from PyTorch by",
        "q5": "split and joined, (2, 5, ",
        "q6": "Exactly the keys that come later should get",
    }
    for name, message in expected.items():
        assert message in printed["mistakes"][name]
        assert "✗ " in printed["mistakes"][name]
        assert "Traceback" not in printed["mistakes"][name]


def test_nothing_done_says_what_is_to_be_done(printed):
    for shown in printed["nothing"].values():
        assert "✓" not in shown
        assert "The answer must define " in shown


# -- as it is graded -----------------------------------------------------------------------------


def test_otter_grades_the_notebook_with_the_zip(tmp_path):
    """One answer right, one wrong, one not begun, one overwritten; all hidden on Gradescope."""
    drawn = draw("attention:2,1,3,6")
    notebook = notebooks.student(drawn)
    cells = {cell.id: cell for cell in notebook.cells}
    by_name = {q.name: q.exercise for q in drawn.questions}
    cells["q1-answer"].source = by_name["q1"].solution
    cells["q2-answer"].source = "\n".join(
        line.strip() for line in by_name["q2"].wrong_answers["the answer not weighted"].splitlines()
    )
    cells["q4-answer"].source = "bytes_per_token = 'something else'\n1 / 0"
    nbformat.write(notebook, tmp_path / "homework.ipynb")
    autograder.write(drawn, tmp_path / "autograder.zip")
    command = [sys.executable, "-m", "otter", "run", "-a", "autograder.zip", "homework.ipynb"]
    done = subprocess.run([*command, "--no-logo"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    scores = {t["name"]: t["score"] for t in results["tests"] if t["name"].startswith("q")}
    assert scores == pytest.approx({"q1": 3, "q2": 0.5, "q3": 0, "q4": 0})
    seen = {t["name"]: t["visibility"] for t in results["tests"]}
    assert seen == {"Public Tests": "visible", **dict.fromkeys(scores, "hidden")}


def test_the_set_up_cell_takes_up_half_a_screen(drawn):
    cell = next(c for c in notebooks.student(drawn).cells if c.id == "setup")
    assert len(cell.source.splitlines()) < 30
    assert max(map(len, cell.source.splitlines())) <= 100


def without_strings(code):
    """Return code with every string emptied, whatever is filled in."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        if isinstance(node, ast.JoinedStr):
            node.values = [part for part in node.values if isinstance(part, ast.FormattedValue)]
    return ast.dump(tree).replace("JoinedStr(values=[])", "Constant(value='')")


def test_in_chinese_the_set_up_cell_does_the_same_and_says_it_in_chinese(drawn):
    english, chinese = (
        next(c.source for c in notebooks.student(made).cells if c.id == "setup")
        for made in (drawn, draw(language="zh"))
    )
    assert "#" not in chinese.replace("# @title", "")
    assert "{SITE}/zh/" in chinese
    assert not any(said in chinese for said in localise.messages(english))
    assert without_strings(english) == without_strings(chinese)


@pytest.mark.parametrize(("language", "why"), [("en", "needs version 0"), ("zh", "需要 0")])
def test_a_package_that_is_too_old_is_told(language, why, monkeypatch):
    cell = next(c for c in notebooks.student(draw(language=language)).cells if c.id == "setup")
    monkeypatch.setitem(sys.modules, "companion.notebook._assignments", None)
    monkeypatch.setenv("COMPANION_QUIET", "1")
    with pytest.raises(RuntimeError, match=f"{why}.*%pip install http"):
        exec(cell.source, {})


def test_it_begins_with_the_assignment_and_folds_what_nobody_reads(drawn):
    first, setup, imports, *rest = notebooks.student(drawn).cells
    assert first.source.startswith("# Homework\n")
    for cell in (setup, *(cell for cell in rest if cell.id.endswith("-check"))):
        assert cell.source.startswith("# @title "), "Colab shows the title alone"
        assert cell.metadata["cellView"] == "form"
        assert cell.metadata["jupyter"] == {"source_hidden": True}, "JupyterLab folds it"
    assert len(imports.source.splitlines()) < 12


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_cell_that_checks_is_three_lines_where_nothing_is_folded(language):
    cells = notebooks.student(draw("attention", 5, language)).cells
    checks = [cell for cell in cells if cell.id.endswith("-check")]
    assert len(checks) == 8
    spoken = ", 'zh'" if language == "zh" else ""
    for cell in checks:
        title, text, call = cell.source.split("\n")
        name = cell.id.replace("q", "check_q").removesuffix("-check")
        assert title.startswith("# @title ")
        assert text.startswith(f"{name} = ")
        assert call == f"report({name}, globals(){spoken})"


def test_what_several_chapters_import_is_imported_once():
    mixed = assignment.draw(
        Repository(), ["losses:4", "optimisation:4", "transformer:6"], 5, "Homework"
    )
    imports = next(c for c in notebooks.student(mixed).cells if c.id == "imports")
    assert imports.source == (
        "import math\nfrom fractions import Fraction\n\n"
        "import numpy as np\nimport torch\nimport torch.nn.functional as F\n\n"
        "from companion import attention, device, layers, losses, models, optim, transformer\n"
        "from companion.tinyworld import TinyWorld"
    )


def test_a_cell_that_only_checks_is_known_and_an_answer_of_a_similar_name_is_run(drawn):
    cells = {cell.id: cell for cell in notebooks.student(drawn).cells}
    assert {steps._checks(cells[f"{q.name}-check"]) for q in drawn.questions} == {
        q.name for q in drawn.questions
    }
    for answer in ("check_q1 = weights\nprint(check_q1)", "def check(q1): ..."):
        assert steps._checks(nbformat.v4.new_code_cell(answer)) == ""
    wrapped = "check_q1 = (\n    'CHECKS = []'\n)\nreport(check_q1, globals())"
    assert steps._checks(nbformat.v4.new_code_cell(wrapped)) == "q1"
