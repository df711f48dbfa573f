"""The exercises on the page: every chapter shows what its master says."""

import dataclasses
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from exercises.attention import MASTERS
from tools.book import contents
from tools.chapters import exercises

EXERCISES = [master.page for master in MASTERS]

WORDS = 1300
CODE_BLOCK = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def notebook():
    cells = [
        new_markdown_cell("## Summary\n\nAll is said.\n\n## Exercises\n\nTry these.", id="a"),
        new_code_cell("1 + 1", id="b"),
        new_markdown_cell("## Further reading", id="c"),
    ]
    return new_notebook(cells=cells)


# -- the book ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", contents.chapters(), ids=lambda chapter: chapter.name)
def test_the_chapter_is_in_step_with_its_master(chapter):
    path, name = chapter.last, chapter.name
    chapter = nbformat.read(path, as_version=4)
    shown = [cell for cell in chapter.cells if exercises.TAG in cell.metadata.get("tags", [])]
    expected = exercises.masters(path)
    assert expected, f"{name} has no exercises"
    assert [cell.source for cell in shown] == [exercises.render(e) for e in expected]
    renewed = nbformat.from_dict(chapter)
    exercises.place(renewed, expected)
    assert renewed == chapter, "run python -m tools.chapters.exercises"


def test_a_chapter_without_a_master_has_no_exercises(tmp_path):
    assert exercises.masters(tmp_path / "attention.ipynb") == []
    assert exercises.masters(contents.ROOT / "chapters" / "nothing.ipynb") == []


def test_the_exercises_are_not_too_long_to_read():
    """All but the dropdowns with a check, which hold code and the same sentence every time."""
    pages = [exercises.render(dataclasses.replace(exercise, trial="")) for exercise in EXERCISES]
    text = CODE_BLOCK.sub("", "\n".join(pages))
    assert len(re.findall(r"[A-Za-z][\w'’-]*", text)) <= WORDS


# -- one exercise --------------------------------------------------------------------------------


def test_an_exercise_as_it_is_written():
    exercise = EXERCISES[0]
    assert exercises.render(exercise) == "\n".join(
        [
            "::::{exercise} A softmax without a calculator",
            ":label: attention-softmax-by-hand",
            ":class: difficulty-1",
            "",
            "*By hand, about 10 minutes.*",
            "",
            exercise.text("question"),
            "::::",
            "",
            ":::{dropdown} Hint",
            ":class: hint",
            "",
            exercise.text("hint"),
            ":::",
            "",
            ":::{dropdown} Solution",
            ":class: solution",
            "",
            exercise.text("explanation"),
            ":::",
        ]
    )


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.id)
def test_every_exercise_has_its_boxes(exercise):
    text = exercises.render(exercise)
    assert text.count("::::{exercise}") == text.count(":::{dropdown} Hint") == 1
    assert text.count(":::{dropdown} Check") == bool(exercise.trial)
    assert exercise.trial in text
    assert text.count(":::{dropdown} Solution") == exercise.public_solution
    assert (exercise.starter in text) == (exercise.kind != "by hand")
    shows_code = exercise.public_solution and exercise.kind == "code"
    assert (exercise.solution in text) == shows_code


# -- one notebook --------------------------------------------------------------------------------


def test_exercises_stand_after_the_heading(notebook):
    exercises.place(notebook, EXERCISES)
    ids = [f"exercise-{exercise.id}" for exercise in EXERCISES]
    assert [cell.id for cell in notebook.cells] == ["a", *ids, "b", "c"]
    nbformat.validate(notebook)


def test_nothing_changes_the_second_time(notebook):
    exercises.place(notebook, EXERCISES)
    before = nbformat.writes(notebook)
    exercises.place(notebook, EXERCISES)
    assert nbformat.writes(notebook) == before


def test_what_is_no_longer_in_the_master_goes(notebook):
    exercises.place(notebook, EXERCISES)
    exercises.place(notebook, EXERCISES[:1])
    assert len(notebook.cells) == 4


def test_other_cells_are_left_as_they_are(notebook):
    before = nbformat.from_dict(notebook)
    exercises.place(notebook, EXERCISES)
    kept = [cell for cell in notebook.cells if exercises.TAG not in cell.metadata.get("tags", [])]
    assert kept == before.cells
    exercises.place(before, [])
    assert before.cells == kept


def test_the_heading_must_be_there(notebook):
    notebook.cells[0].source = "## Summary"
    with pytest.raises(ValueError, match="no heading '## Exercises'"):
        exercises.place(notebook, EXERCISES)
    notebook.cells[0].source = "## Exercises\n\n## Further reading"
    with pytest.raises(ValueError, match="must start in a cell of its own"):
        exercises.place(notebook, EXERCISES)


def test_the_command_says_which_chapters_there_are(capsys):
    with pytest.raises(SystemExit):
        exercises.main(["nothing"])
    assert "no chapter nothing; there are" in capsys.readouterr().err
