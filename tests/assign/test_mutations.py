"""Every exercise, graded by otter from its own test files: one variant, three before a release."""

import functools

import pytest
from otter.test_files import create_test_file

from assign import assignment, autograder, book
from exercises import run
from tests.exercises.quick import quick  # noqa: F401

SEEDS = (1, 2, 3)
pytestmark = pytest.mark.usefixtures("quick")


@functools.cache
def questions(seed):
    repository = book.Book()
    return assignment.draw(repository, repository.chapters, seed, "Mutations").questions


@functools.lru_cache(maxsize=4)
def source_of(question):
    return autograder.test_file(question)


NUMBER = len(questions(SEEDS[0]))
every = pytest.mark.parametrize(
    ("seed", "number"),
    [
        pytest.param(seed, number, marks=[pytest.mark.release] if seed != SEEDS[0] else [])
        for seed in SEEDS
        for number in range(NUMBER)
    ],
    ids=lambda value: str(value),
)


@pytest.fixture
def grade(tmp_path):
    """Return a function from a question and an answer's code to otter's result."""
    from otter.nbmeta_config import NBMetadataConfig

    def graded(question, code):
        path = tmp_path / f"{question.name}.py"
        path.write_text(source_of(question), encoding="utf-8")
        tests = create_test_file(str(path), NBMetadataConfig())
        tests.run(run(question.chapter.setup, code))
        return tests

    return graded


def told(tests):
    """Return what a student is told about the cases that failed."""
    failed = [result.message for result in tests.test_case_results if not result.passed]
    return [message.split("AssertionError: ", 1)[1] for message in failed]


@every
def test_the_solution_gets_all_points(grade, seed, number):
    question = questions(seed)[number]
    tests = grade(question, question.exercise.solution)
    assert told(tests) == []
    assert tests.score == pytest.approx(tests.possible)
    assert tests.possible == pytest.approx(question.exercise.points - question.exercise.by_hand)


@every
def test_each_wrong_answer_loses_points_and_is_told_why(grade, seed, number):
    question = questions(seed)[number]
    assert len(question.exercise.wrong_answers) >= 2
    for mistake, code in question.exercise.wrong_answers.items():
        tests = grade(question, code)
        assert tests.score < tests.possible, mistake
        reasons = told(tests)
        assert all(len(reason.split()) >= 6 for reason in reasons)
        own = [reason for reason in reasons if not reason.startswith("The answer could not")]
        assert own, f"{mistake}: no check says in its own words what is wrong"


@every
@pytest.mark.parametrize("empty", ["nothing", "starter"])
def test_an_empty_answer_gets_nothing(grade, seed, number, empty):
    question = questions(seed)[number]
    tests = grade(question, "" if empty == "nothing" else question.exercise.starter)
    assert tests.score == 0
    assert len(told(tests)) == len(question.checks)


def test_a_function_that_ends_the_program_ends_nothing(grade):
    question = next(q for q in questions(1) if q.exercise.id == "attention-masked-numpy")
    tests = grade(question, "def masked_attention(*args):\n    raise SystemExit('bye')")
    assert tests.score == 0
    assert all("SystemExit: bye" in reason for reason in told(tests))


def test_hidden_and_visible_cases_are_marked(grade):
    by_id = {question.exercise.id: question for question in questions(1)}
    question = by_id["attention-softmax-by-hand"]
    tests = grade(question, "")
    marked = [case.hidden for case in tests.test_cases]
    assert marked == [hidden for _, hidden, _ in question.checks] == [False, True]
    assert tests.test_cases[1].name == f"{question.name} - 2: Check all four results."


def test_a_check_in_chinese_says_so(grade):
    drawn = assignment.draw(book.Book(), ["attention:2"], 1, "作业", "zh")
    (reason, *_) = told(grade(drawn.questions[0], "bytes_per_token = tokens = kv_heads = 0.5"))
    assert any("\u4e00" <= character <= "\u9fff" for character in reason)
    assert "bytes_per_token" in reason
