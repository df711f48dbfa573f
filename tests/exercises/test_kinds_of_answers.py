"""One rule for every answer: exact or rounded to three decimals, in a list, an array, a tensor."""

import functools
from fractions import Fraction

import numpy as np
import pytest
import torch

from exercises import run
from exercises.answers import array, close, text
from tests.exercises.quick import MASTERS, quick  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick")
NUMBER = (int, float, Fraction, np.number)


def is_number(value):
    return isinstance(value, NUMBER) and not isinstance(value, bool)


def is_numbers(value):
    """Tell whether something is a number, or a list or an array of numbers, however deep."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(is_numbers, value))
    return is_number(value) or isinstance(value, (np.ndarray, torch.Tensor))


def whole(value):
    """Tell whether all are whole numbers, which counts and indices must be."""
    numbers = array(value)
    return bool((numbers == numbers.round()).all()) and np.abs(numbers).max(initial=0) < 1e9


def plain(value):
    """Return numbers as an array, those that count something as whole ones."""
    return array(value).astype(np.int64) if whole(value) else array(value)


KINDS = {
    "a list": lambda value: plain(value).tolist(),
    "an array": plain,
    "an array in single precision": lambda value: array(value).astype(np.float32),
    "a tensor": lambda value: torch.tensor(plain(value)),
    "a tensor in single precision": lambda value: torch.tensor(array(value)).float(),
    "rounded": lambda value: plain(value).round(3).tolist(),
}


def converted(kind, value):
    """Return an answer in another kind: numbers, what holds them by name, what a function gives."""
    if isinstance(value, torch.Tensor) and value.requires_grad:  # it would lose its way back
        return value.float() if kind == "a tensor in single precision" else value
    if isinstance(value, dict) and value and all(map(is_numbers, value.values())):
        return {key: converted(kind, part) for key, part in value.items()}
    if is_numbers(value):
        return KINDS[kind](value)
    if callable(value) and not isinstance(value, (type, torch.nn.Module)):
        return returning(kind, value)
    return value


def returning(kind, function):
    """Return a function that gives the same in another kind."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        result = function(*args, **kwargs)
        if isinstance(result, tuple) and not all(map(is_number, result)):
            return tuple(converted(kind, part) for part in result)
        return converted(kind, result)

    return wrapped


def failures(checks, answer):
    return [why for check in checks if (why := check.failure(answer))]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("setup", "master"), MASTERS, ids=lambda x: getattr(x, "exercise", x) and ""
)
def test_what_passes_the_visible_checks_as_some_kind_passes_the_hidden_ones(setup, master, kind):
    exercise = master.variant()
    answer = run(setup, exercise.solution)
    needed = {name for check in (*exercise.visible, *exercise.hidden) for name in check.needs}
    answer = {name: converted(kind, answer[name]) for name in needed}
    hidden = failures(exercise.hidden, answer)
    if not failures(exercise.visible, answer):
        assert hidden == [], kind
    elif exercise.kind == "by hand":
        assert failures(exercise.visible, answer) == [], kind


def exercise_of(name):
    return next((setup, e) for setup, m in MASTERS if (e := m.variant()).id == name)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (
            "neural-networks-forward-by-hand",  # columns, as the question typesets a vector
            "hidden_before = [[number] for number in hidden_before]\n"
            "hidden_after = np.array(hidden_after)[:, None]\n"
            "network_output = [[network_output]]",
        ),
        (
            "data-and-tokens-merges-by-hand",
            "learnt_merges = [tuple(p.encode() for p in pair) for pair in learnt_merges]\n"
            "tokens_of_new = [part.encode() for part in tokens_of_new]",
        ),
    ],
)
def test_other_ways_to_write_an_answer_are_right_too(name, code):
    setup, exercise = exercise_of(name)
    answer = run(setup, exercise.solution + "\n" + code)
    assert failures((*exercise.visible, *exercise.hidden), answer) == []


# -- how an answer is read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "right", "passes"),
    [
        (1 / 3, 1 / 3, True),
        (Fraction(1, 3), 1 / 3, True),
        (0.333, 1 / 3, True),
        (np.float32(1.72897), 1.72897, True),
        (torch.tensor(0.333, requires_grad=True), 1 / 3, True),
        ([[5], [-3]], [5, -3], True),
        (torch.tensor([[5.0], [-3.0]]), [5, -3], True),
        ([torch.tensor(5.0), -3], [5, -3], True),
        (1234.567, 1234.5678, True),
        (0.335, 1 / 3, False),
        ([5, -3, 0], [5, -3], False),
        (float("nan"), 0.5, False),
    ],
    ids=str,
)
def test_numbers_are_exact_or_rounded_to_three_decimals(value, right, passes):
    assert close(value, right, "x") is passes


@pytest.mark.parametrize("value", [0.33, 0.3, [0.33, 0.67]])
def test_a_coarser_rounding_is_told_as_such(value):
    right = [1 / 3, 2 / 3] if isinstance(value, list) else 1 / 3
    with pytest.raises(AssertionError, match="x is rounded too far: give at least 3 decimals"):
        close(value, right, "x")


def test_bytes_are_text():
    assert [text(part) for part in (b"in", "t")] == ["in", "t"]
