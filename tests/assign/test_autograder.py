"""Otter's test files: a function that ends the program, what is hidden, and Chinese."""

import functools

import pytest
from otter.test_files.exception_test import ExceptionTestFile

from assign import assignment, autograder
from assign.sandbox.inside import told
from exercises import run
from tools.assignments.repository import Repository


@functools.cache
def question(selection, language="en"):
    return assignment.draw(Repository(), [selection], 1, "Homework", language).questions[0]


def grade(asked, code):
    """Run a question's test file, as otter does, on what code defines."""
    tests = ExceptionTestFile.from_string(autograder.test_file(asked), path="q1.py")
    tests.run(run(asked.chapter.setup, code))
    return tests


def reasons(tests):
    return [told(result.message) for result in tests.test_case_results if not result.passed]


def test_a_function_that_ends_the_program_ends_nothing():
    code = "def masked_attention(*args):\n    raise SystemExit('bye')"
    tests = grade(question("attention:masked-numpy"), code)
    assert tests.score == 0
    assert all("SystemExit: bye" in reason for reason in reasons(tests))


def test_hidden_and_visible_cases_are_marked():
    asked = question("attention:softmax-by-hand")
    tests = grade(asked, "")
    marked = [case.hidden for case in tests.test_cases]
    assert marked == [hidden for _, hidden, _ in asked.checks] == [False, True]
    assert tests.test_cases[1].name == "q1 - 2: Check all four results."
    assert tests.possible == pytest.approx(asked.exercise.points)


def test_a_check_in_chinese_says_so():
    asked = question("attention:2", "zh")
    (reason, *_) = reasons(grade(asked, "bytes_per_token = tokens = kv_heads = 0.5"))
    assert any("\u4e00" <= character <= "\u9fff" for character in reason)
    assert "bytes_per_token" in reason


def test_what_all_checks_share_is_copied_and_speaks_the_language():
    asked = question("attention:softmax-by-hand", "zh")
    assert "_assignments" not in autograder.test_file(asked)
    right = run(asked.chapter.setup, asked.exercise.solution)
    coarse = "\n".join(
        f"{name} = {[round(float(v), 2) for v in right[name]]!r}"
        for name in right
        if name.startswith("weights")
    )
    (*_, reason) = reasons(grade(asked, f"{asked.exercise.solution}\n{coarse}"))
    assert "至少保留 3 位小数" in reason
