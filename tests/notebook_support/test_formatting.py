"""companion.notebook: numbers as they are printed and as they are set in LaTeX."""

import re

import numpy as np
import pytest
import torch

from companion.notebook import latex, report


def lines(capsys):
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.36642, "0.3664"),
        (np.float32(0.5), "0.5000"),
        (torch.tensor(-0.25, requires_grad=True), "-0.2500"),
        (torch.tensor(0.5, dtype=torch.bfloat16), "0.5000"),
        (-0.00001, "0.0000"),
        (-0.0, "0.0000"),
        (7, "7"),
        (np.int64(-3), "-3"),
        (True, "True"),
        (np.bool_(False), "False"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        ("hello", "hello"),
    ],
)
@pytest.mark.verifies("report", "the text written, by hand")
def test_one_number(value, text, capsys):
    report(x=value)
    assert lines(capsys) == [f"x = {text}"]


def test_decimals_come_first_so_that_any_name_is_free(capsys):
    report(2, decimals=0.125, Q=1.0)
    assert lines(capsys) == ["decimals = 0.12", "Q = 1.00"]


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor])
def test_a_matrix_is_aligned_below_its_shape(kind, capsys):
    report(2, S=kind([[1.0, -0.5], [-0.001, 10.0]]))
    assert lines(capsys) == ["S  (2 x 2)", "   1.00  -0.50", "   0.00  10.00"]


def test_vectors_integers_and_masks(capsys):
    report(v=[1, 20], m=[[True, False]], words=["a", "bc"])
    assert lines(capsys) == ["v  (2)", "   1  20", "m  (1 x 2)", "  1  0", "words  (2)", "   a  bc"]


def test_higher_ranks_go_matrix_by_matrix(capsys):
    report(0, h=np.arange(8.0).reshape(2, 1, 2, 2))
    shown = lines(capsys)
    assert shown[0] == "h  (2 x 1 x 2 x 2)"
    assert [line for line in shown if line.startswith("h[")] == ["h[0, 0]", "h[1, 0]"]
    assert shown[-1] == "  6  7"


def test_an_empty_array_says_so(capsys):
    report(x=np.zeros((0, 3)))
    assert lines(capsys) == ["x  (0 x 3)"]


def test_no_negative_zero_for_any_number_of_decimals(capsys):
    for decimals in range(7):
        report(decimals, x=np.array([-(10.0**-k) for k in range(9)]))
    assert not re.search(r"-0(\.0*)?(?!\.?\d)", capsys.readouterr().out)


@pytest.mark.verifies("latex", "what report prints")
def test_latex_and_report_round_alike(capsys):
    matrix = np.random.default_rng(0).normal(size=(4, 3))
    report(3, x=matrix)
    printed = [line.split() for line in lines(capsys)[1:]]
    body = latex(matrix, 3).splitlines()
    assert (body[0], body[-1]) == (r"\begin{bmatrix}", r"\end{bmatrix}")
    assert [row.removesuffix(r" \\").split(" & ") for row in body[1:-1]] == printed


def test_latex_symbols():
    assert latex([[float("-inf"), float("nan"), -0.0]], 1) == (
        "\\begin{bmatrix}\n-\\infty & \\mathrm{nan} & 0.0\n\\end{bmatrix}"
    )
    assert latex(0.25, 1) == "0.2"
    assert latex([[True, False]]).splitlines()[1] == "1 & 0"


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: report(-1, x=1.0), ValueError, "decimals must be 0 or more, got -1"),
        (lambda: report(0.5, x=1.0), TypeError, "decimals must be an integer"),
        (lambda: report(x=1j), TypeError, "value must be made of real numbers"),
        (lambda: report(x=object()), TypeError, "value must be made of real numbers"),
        (lambda: latex(np.zeros((2, 2, 2))), ValueError, "at most 2 dimensions"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_decimals_of_numpy(capsys):
    report(np.int64(2), x=0.125)
    assert lines(capsys) == ["x = 0.12"]
