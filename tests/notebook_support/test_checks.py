"""companion.notebook.check: one line when it holds, everything there is to know when not."""

import re

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from companion.notebook import CheckFailed, catches, check
from companion.notebook.measured import against_bounds


def line_of(capsys, value, *arguments, **bounds):
    """Return what is printed after the name."""
    check("x", value, *arguments, **bounds)
    out = capsys.readouterr().out
    assert out.startswith("✓ x")
    assert out.count("\n") == 1
    return out.removeprefix("✓ x").removeprefix(": ").removesuffix("\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((1.1, 1.1), "1.1, as expected within 1e-06"),
        ((torch.tensor([1.1, 1.3]), [1.1, 1.3]), "[1.1, 1.3], as expected within 1e-06"),
        (([[0.5, -0.25], [0, 1]], [[0.5, -0.25], [0, 1]]), "[[0.5, -0.25], [0, 1]], as expected"),
        # A tolerance cuts off the digits that it leaves no meaning, and four are enough.
        ((1 / 3, 1 / 3, 1e-12), "0.3333, as expected within 1e-12"),
        ((12345.678, 12345.678), "12346, as expected within 1e-06"),
        ((-3e-9, 0.0), "0, as expected within 1e-06"),
        ((2.34567e-5, 2.34567e-5, 1e-12), "2.346e-05, as expected within 1e-12"),
        # One that can be seen in these digits needs the expected value beside it.
        ((3.9812, 4, 0.3), "3.98, within 0.3 of 4"),
        ((-0.4211, 0, 3), "-0.4, within 3 of 0"),
        (([0.9, 1.1], [1.0, 1.0], 0.2), "[0.9, 1.1], as expected within 0.2"),
        ((np.full((2, 3), 0.5), np.full((2, 3), 0.5)), "2 x 3 entries, largest difference 0, at"),
        ((np.arange(5) + 2.5e-8, np.arange(5)), "5 entries, largest difference 2.5e-08, at most"),
        (([], []), "[], as expected within 1e-06"),
    ],
)
@pytest.mark.verifies("check", "results that agree, by hand")
def test_what_agrees_is_shown_with_its_tolerance(arguments, line, capsys):
    assert line_of(capsys, *arguments).startswith(line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((17, 17), "17, as expected"),
        ((torch.tensor([27, 27]), [27, 27]), "[27, 27], as expected"),
        ((1234567, 1234567, 0), "1234567, as expected"),
        ((5.0, 5, 0), "5, as expected"),
        ((-0.0, 0.0, 0), "0, as expected"),
        ((np.array([np.inf, -np.inf]), [np.inf, -np.inf], 0), "[inf, -inf], as expected"),
        ((["a", "b"], ["a", "b"]), '["a", "b"], as expected'),
        (("word " * 12, "word " * 12), '"word word word word word word word word…", as expected'),
        ((np.eye(3), np.eye(3), 0), "3 x 3 entries, as expected"),
    ],
)
def test_what_must_be_equal_says_nothing_of_a_tolerance(arguments, line, capsys):
    assert line_of(capsys, *arguments) == line


@pytest.mark.parametrize(
    ("value", "bounds", "line"),
    [
        (0.9931, {"at_least": 0.9}, "0.99, at least 0.90"),
        (0.9996, {"at_least": 0.98}, "1.00, at least 0.98"),
        (0.0042, {"at_most": 1}, "0.0042, at most 1"),
        (25000.4, {"at_least": 1e4}, "25000, at least 10000"),
        (2.44e-7, {"at_most": 1e-5}, "2.4e-07, at most 1e-05"),
        (1.32, {"at_least": 0.2, "at_most": 5}, "1.3, between 0.20 and 5"),
        (0.0, {"at_least": -0.0}, "0, at least 0"),
        (7, {"at_least": 1}, "7, at least 1"),
        (float("inf"), {"at_least": 1}, "inf, at least 1"),
        # No digit is left out that keeps the number on the right side of the bound.
        (0.98312, {"at_least": 0.982}, "0.983, at least 0.982"),
        (-0.05123, {"at_most": -0.05}, "-0.051, at most -0.05"),
        ([0.12, 0.3456], {"at_least": 0.05}, "[0.12, 0.35], at least 0.05"),
        (np.linspace(0.5, 1.5, 12).reshape(3, 4), {"at_least": 0}, "3 x 4 entries, smallest 0.50"),
        (np.linspace(0.5, 1.5, 12).reshape(3, 4), {"at_most": 2}, "3 x 4 entries, largest 1.5"),
        (np.linspace(0.5, 1.5, 5), {"at_least": 0, "at_most": 2}, "5 entries, from 0.50 to 1.5, b"),
    ],
)
def test_a_bound_stands_beside_what_was_found(value, bounds, line, capsys):
    assert line_of(capsys, value, **bounds).startswith(line)


@pytest.mark.parametrize(
    "bounds", [{"at_least": 0.5}, {"at_most": 2}, {"at_least": 0, "at_most": 2}]
)
def test_what_breaks_a_bound(bounds):
    check("x", [0.5, 1.5], **bounds)
    for outside in ([0.4, 2.5, -1.0], [float("nan")], []):
        with pytest.raises(CheckFailed):
            check("x", outside, **bounds)


@given(number=st.floats(-1e9, 1e9), gap=st.floats(0, 1))
def test_a_number_never_seems_to_break_its_bound(number, gap):
    low = float(f"{number - gap:g}")
    assume(low <= number)
    shown = re.fullmatch(r"(\S+), at least (\S+)", against_bounds(np.array(number), low, None))
    assert float(shown[1]) >= float(shown[2])
    assert not re.match(r"-0(\.0*)?$", shown[1])


def test_truth(capsys):
    check("the mask hides the future", np.array([True, True]))
    check("the merges are the same", np.array([True, False]), [True, False])
    assert capsys.readouterr().out == "✓ the mask hides the future\n✓ the merges are the same\n"
    with pytest.raises(CheckFailed):
        check("x", [True, False])
    with pytest.raises(TypeError, match="give expected, at_least or at_most"):
        check("x", 3.0)


@pytest.mark.verifies("check", "results that differ, by hand")
def test_a_failure_says_what_where_and_how_much(capsys):
    found = np.zeros((3, 4))
    found[1, 2] = 0.25
    with pytest.raises(CheckFailed) as failure:
        check("weights", found, np.zeros((3, 4)), 1e-3)
    message = str(failure.value)
    for part in ("weights", "0.25 at [1, 2]", "found 0.25, expected 0.0", "0.001", "1 of 12"):
        assert part in message
    assert capsys.readouterr().out == ""


def test_shapes_never_broadcast():
    with pytest.raises(CheckFailed, match=r"found shape \(3,\), expected shape \(3, 1\)"):
        check("x", np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(CheckFailed, match="shape"):
        check("x", [1.0, 1.0], 1.0)


@pytest.mark.parametrize(("found", "expected"), [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0)])
def test_nan_and_infinity_never_pass_for_numbers(found, expected):
    with pytest.raises(CheckFailed):
        check("x", found, expected, 1e9)


def test_bad_questions():
    with pytest.raises(ValueError, match="together"):
        check("x", 1.0, 1.0, at_least=0)
    with pytest.raises(ValueError, match="tolerance must be 0 or more"):
        check("x", 1.0, 1.0, -1)


@pytest.mark.verifies("catches", "checks that fail and that pass, by hand")
def test_catches_says_that_a_check_fails_and_raises_if_it_does_not(capsys):
    catches("rows sum to one", [1.3, 0.7], [1.0, 1.0])
    catches("enough", 0.1, at_least=0.9)
    catches("close", 1.2, 1.0, tolerance=0.1)
    said = capsys.readouterr().out.splitlines()
    names = ("rows sum to one", "enough", "close")
    assert said == [f"✗ {name}: fails, as it should" for name in names]
    with pytest.raises(CheckFailed, match="rows sum to one: the test passes, and should have"):
        catches("rows sum to one", [1.0, 1.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="expected cannot be given together"):
        catches("x", 1.0, 1.0, at_least=0)


@pytest.mark.parametrize("exact", [2**53, -(2**53) - 2, 2**62])
def test_whole_numbers_are_compared_as_such(exact):
    """As floats, each of these and its neighbour are one number."""
    check("x", exact, exact, tolerance=0)
    check("x", [exact + 1, 1], [exact, 1], tolerance=1)
    for found, expected in ((exact + 1, exact), ([exact + 1, 1], [exact, 1])):
        with pytest.raises(CheckFailed, match="largest difference 1"):
            check("x", found, expected, tolerance=0)


def test_nothing_is_not_all_true():
    with pytest.raises(CheckFailed, match=r"x: found nothing to check, shape \(0,\)"):
        check("x", np.zeros(0, dtype=bool))


def test_tolerances_that_let_everything_pass():
    with pytest.raises(ValueError, match="tolerance must be finite"):
        check("x", 1.0, 5.0, np.inf)
    with pytest.raises(TypeError, match="tolerance must be a number, got True"):
        check("x", 1, 2, True)
