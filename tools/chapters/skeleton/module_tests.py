"""What the chapter *Chapter name* teaches, against its twin, NumPy and a case by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given

from companion import chapter_name
from companion.reference import chapter_name as twin
from tests.support import normal, seeds, shapes_vary, sizes
from tests.verification import agree


@shapes_vary
@given(n=sizes, seed=seeds)
def test_line(n, seed):
    x, (slope,) = normal(n, seed=seed), normal(1, seed=seed + 1)
    heights = chapter_name.line(x, slope)
    agree("chapter_name.line", "NumPy twin", heights, twin.line(x.numpy(), slope.item()))


def test_line_by_hand():
    x, slope, heights = [1.0, 2.0, -3.0], 0.5, [0.5, 1.0, -1.5]
    one = chapter_name.line(torch.tensor(x), torch.tensor(slope))
    agree("chapter_name.line", "by hand", one, heights)
    agree("twin: chapter_name.line", "by hand", twin.line(np.array(x), slope), heights)


def test_gradient():
    x, slope = normal(4).requires_grad_(), normal(1, seed=1)[0].requires_grad_()
    assert torch.autograd.gradcheck(chapter_name.line, (x, slope))


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="x must hold at least one number, got none"):
        chapter_name.line(torch.zeros(0), torch.tensor(1.0))
