"""Every exercise, drawn and graded as the command line does it, with right and wrong answers.

Between the student's process and the checks there is a wall, and what does not come across costs
a right answer its points. So each chapter's exercises make one assignment: the first submission
has the book's solutions, each of the others one of the wrong answers to every question.
"""

import inspect
import json
from textwrap import dedent

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from companion.assign import assignment, autograder, book
from tests.assign.grading_support import grade, hand_in, rows
from tests.exercises.quick import counted

CHAPTERS = book.find().chapters
# Times say nothing on a busy machine: the one exercise that measures counts products instead.
CLOCK = f"""
from torch.nn.modules.module import register_module_forward_hook
from companion import attention, device
{inspect.getsource(counted)}
device.seconds = counted
"""
FIRST = [(1, chapter) for chapter in CHAPTERS]
MORE = [(seed, chapter) for seed in range(2, 8) for chapter in CHAPTERS]
cases = pytest.mark.parametrize(
    ("seed", "chapter"), [*FIRST, *(pytest.param(*c, marks=pytest.mark.release) for c in MORE)]
)


def answered(drawn, answers):
    """Return a notebook with answers to some questions, as the student's notebook has them."""
    imports = "\n".join(dict.fromkeys(question.chapter.setup for question in drawn.questions))
    cells = [new_code_cell(imports + CLOCK, id="imports")]
    for question in drawn.questions:
        metadata = {"otter": {"tests": [question.name]}}
        code = dedent(answers.get(question.name, question.exercise.starter))
        cells += [
            new_code_cell(code, id=f"{question.name}-answer"),
            new_code_cell("pass", id=f"{question.name}-check", metadata=metadata),
        ]
    return new_notebook(cells=cells, metadata={"companion": {"assignment": drawn.id}})


@cases
def test_the_solution_gets_all_points_and_no_wrong_answer_does(seed, chapter, tmp_path):
    drawn = assignment.draw(book.find(), [chapter], seed, "All of them")
    autograder.write(drawn, tmp_path / "autograder.zip")
    (tmp_path / "assignment.json").write_text(json.dumps(drawn.record({})))
    handed_in = {"right": {q.name: q.exercise.solution for q in drawn.questions}}
    for question in drawn.questions:
        for number, code in enumerate(question.exercise.wrong_answers.values()):
            handed_in.setdefault(f"wrong-{number}", {})[question.name] = code
    for name, answers in handed_in.items():
        hand_in(tmp_path / "submissions", f"{name}.ipynb", answered(drawn, answers))
    command = (tmp_path, tmp_path / "submissions", "--out", tmp_path / "grades.csv", "--jobs", 1)
    assert grade(*command, "--timeout", 1200) == 0
    table = rows(tmp_path / "grades.csv")

    full = {q.name: q.exercise.points - q.exercise.by_hand for q in drawn.questions}
    column = {q.name: f"{q.name} {q.exercise.id}" for q in drawn.questions}
    points = {
        (name, question): float(table[name][column[question]])
        for name, answers in handed_in.items()
        for question in answers
    }
    assert {q: points["right", q] for q in full} == pytest.approx(full)
    accepted = [(q, name) for (name, q), score in points.items() if score >= full[q]]
    assert accepted == [(q, "right") for q in full]
    assert table["right"]["status"] == "ok"
