"""The answers of the exercises on the block, held against PyTorch's layers and by hand."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from exercises import run
from exercises import transformer as master
from exercises.transformer import alone, not_bad
from tests.exercises.quick import plainly

pytestmark = pytest.mark.chapter("transformer")
SEEDS = range(6)


def norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=0.0)


def drawn(module):
    return [{}, *(plainly(module, seed) for seed in SEEDS)]


@pytest.mark.parametrize("given", drawn(alone))
def test_a_token_alone_hands_its_own_value_on(given):
    exercise = alone.exercise(**given)
    case = alone._Case(*(given or {"spread": 3, "times": 1, "order": (0, 1, 2, 3)}).values())
    found = run(master.SETUP, exercise.solution)
    x, out, first, second, r, p = (
        torch.tensor(row, dtype=torch.float64)
        for row in (case.x, case.out, case.first, case.second, case.r, case.p)
    )
    assert found["attention_weight"] == 1
    h = norm(x + x[case.take] * out)
    assert found["post_after_attention"] == pytest.approx(h.tolist(), abs=1e-4)
    hidden = F.relu(torch.stack((h @ first, h @ second)))
    y = norm(h + 2 * hidden[0] * r + hidden[1] * p)
    assert found["post_after_block"] == pytest.approx(y.tolist(), abs=1e-4)
    pre = x + norm(x)[case.take] * out
    assert found["pre_after_attention"] == pytest.approx(pre.tolist(), abs=1e-4)


@pytest.mark.parametrize("given", drawn(not_bad))
def test_two_neurons_tell_the_four_phrases_apart(given):
    exercise = not_bad.exercise(**given)
    found = run(master.SETUP, exercise.solution)
    h, w_1, b_1, w_2 = (torch.tensor(np.asarray(found[n])) for n in ("h", "W_1", "b_1", "W_2"))
    y = norm(h + F.relu(h @ w_1 + b_1) @ w_2)
    good = list(given.get("order", range(4))).index(1)
    of = dict(zip(found["names"], y[:, good].tolist(), strict=True))
    assert min(of["very good"], of["not bad"]) >= 0.5
    assert max(of["not good"], of["very bad"]) <= -0.5
