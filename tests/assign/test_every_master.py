"""Every exercise, drawn and graded as the command line does it, with right and wrong answers.

All exercises of the book make one assignment. The first submission has the book's solutions; each
of the others has one of the wrong answers to every question that has so many.
"""

import inspect
import json
from textwrap import dedent

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from assign import assignment, autograder
from assign.grading import table
from tests.assign.grading_support import grade, hand_in
from tests.exercises.quick import counted
from tools.assignments.repository import Repository

# Times say nothing on a busy machine: the one exercise that measures counts products instead.
CLOCK = f"""
from torch.nn.modules.module import register_module_forward_hook
from companion import attention, device
{inspect.getsource(counted)}
device.seconds = counted
"""
SEEDS = [1, *(pytest.param(seed, marks=pytest.mark.release) for seed in range(2, 9))]


def answered(drawn, answers):
    """Return a notebook with answers to some questions, as the student's notebook has them."""
    imports = "\n".join(dict.fromkeys(question.chapter.setup for question in drawn.questions))
    cells = [new_code_cell(imports + CLOCK, id="imports")]
    for question in drawn.questions:
        if question.name in answers:
            code = dedent(answers[question.name])
            cells.append(new_code_cell(code, id=f"{question.name}-answer"))
            name = f"check_{question.name}"
            check = f"{name} = ''\nreport({name}, globals())"
            cells.append(new_code_cell(check, id=f"{question.name}-check"))
    return new_notebook(cells=cells, metadata={"companion": {"assignment": drawn.id}})


@pytest.fixture(scope="module", params=SEEDS)
def graded(request, tmp_path_factory):
    """Grade all answers to one drawn assignment; return it, and what came of each notebook."""
    folder = tmp_path_factory.mktemp("every")
    repository = Repository()
    drawn = assignment.draw(repository, repository.chapters, request.param, "All of them")
    autograder.write(drawn, folder / "autograder.zip")
    (folder / "assignment.json").write_text(json.dumps(drawn.record({})))
    handed_in = {
        "right": {q.name: q.exercise.solution for q in drawn.questions},
        "starter": {q.name: q.exercise.starter for q in drawn.questions},
        "nothing": {},
    }
    for question in drawn.questions:
        for number, code in enumerate(question.exercise.wrong_answers.values()):
            handed_in.setdefault(f"wrong-{number}", {})[question.name] = code
    for name, answers in handed_in.items():
        hand_in(folder / "submissions", f"{name}.ipynb", answered(drawn, answers))
    command = (folder, folder / "submissions", "--out", folder / "grades.csv", "--jobs", 1)
    assert grade(*command, "--timeout", 600) == 0
    records, _ = table.read(folder / "grades.jsonl")
    return drawn, {made["student"]: made for made in records}


def checks_of(made):
    """Return for each question what its checks said."""
    return {question["name"]: question["checks"] for question in made["questions"]}


def test_the_solution_gets_all_points(graded):
    drawn, came = graded
    full = {q.name: q.exercise.points - q.exercise.by_hand for q in drawn.questions}
    told = {
        f"{drawn.questions[number].exercise.id}: {check['told']}"
        for number, question in enumerate(came["right"]["questions"])
        for check in question["checks"]
        if not check["passed"]
    }
    assert told == set()
    assert {q["name"]: q["score"] for q in came["right"]["questions"]} == pytest.approx(full)
    assert came["right"]["status"] == "ok"


def test_no_wrong_answer_does_and_each_is_told_why(graded):
    drawn, came = graded
    for question in drawn.questions:
        for number, mistake in enumerate(question.exercise.wrong_answers):
            checks = checks_of(came[f"wrong-{number}"])[question.name]
            told = [check["told"] for check in checks if not check["passed"]]
            assert told, f"{question.exercise.id}: {mistake}"
            assert all(len(text.split()) >= 6 for text in told), told
            assert [text for text in told if not text.startswith("The answer could not")], mistake


@pytest.mark.parametrize("empty", ["nothing", "starter"])
def test_an_empty_answer_gets_nothing(graded, empty):
    _, came = graded
    assert [q["name"] for q in came[empty]["questions"] if q["score"]] == []


def test_of_the_points_that_checks_give_the_visible_ones_give_a_quarter(graded):
    drawn, _ = graded
    for question in drawn.questions:
        visible = sum(points for _, hidden, points in question.checks if not hidden)
        total = question.exercise.points - question.exercise.by_hand
        assert visible == pytest.approx(total / 4), question.exercise.id
        assert len(question.exercise.wrong_answers) >= 2
