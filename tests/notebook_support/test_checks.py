"""companion.notebook.check: one line when it holds, everything there is to know when not."""

import numpy as np
import pytest
import torch

from companion.notebook import CheckFailed, check


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((1.0, 1.0), "within 1e-06 of the expected value"),
        ((torch.ones(2, 2), [[1.0, 1.0], [1.0, 1.00001]], 1e-4), "within 0.0001 of the"),
        ((np.array([np.inf, -np.inf]), [np.inf, -np.inf], 0), "equal to the expected value"),
        ((["a", "b"], ["a", "b"]), "equal to the expected value"),
        ((torch.tensor([True, False]), [True, False], 0), "equal to the expected value"),
    ],
)
@pytest.mark.verifies("check", "results that agree, by hand")
def test_what_agrees_prints_one_line_without_the_value(arguments, line, capsys):
    check("x", *arguments)
    out = capsys.readouterr().out
    assert out.startswith(f"✓ x: {line}")
    assert out.count("\n") == 1


def test_the_line_is_the_same_for_different_values(capsys):
    check("x", 0.123, at_most=1)
    check("x", 0.456, at_most=1)
    first, second = capsys.readouterr().out.splitlines()
    assert first == second == "✓ x: at most 1"


@pytest.mark.parametrize(
    ("bounds", "line"),
    [
        ({"at_least": 0.5}, "at least 0.5"),
        ({"at_most": 2}, "at most 2"),
        ({"at_least": 0, "at_most": 2}, "between 0 and 2"),
    ],
)
def test_bounds(bounds, line, capsys):
    check("x", [0.5, 1.5], **bounds)
    assert capsys.readouterr().out == f"✓ x: {line}\n"
    for outside in ([0.4, 2.5, -1.0], [float("nan")], []):
        with pytest.raises(CheckFailed):
            check("x", outside, **bounds)


def test_truth(capsys):
    check("the mask hides the future", np.array([True, True]))
    assert capsys.readouterr().out == "✓ the mask hides the future\n"
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
