"""The answers of the exercises on attention, held against oracles that the masters do not use."""

import math

import numpy as np
import pytest
import torch
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

from companion.reference.activations import softmax
from exercises import attention as master
from exercises import run
from exercises.attention import cache_by_hand, cache_timing, softmax_by_hand
from tests.exercises.quick import quick  # noqa: F401
from tests.support import attend_by_loops, coins, normal

BY_ID = {m.page.id.removeprefix("attention-"): m.page for m in master.MASTERS}


def solve(name):
    return run(master.SETUP, BY_ID[name].solution)


# -- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "values"),
    [((1, 2, 5), (6, 11, 4)), ((3, 1, 4), (0, 8, -8)), ((2, 2, 3, 1), (1,) * 4)],
)
def test_fractions_are_what_the_softmax_gives(parts, values):
    exercise = softmax_by_hand.exercise(parts, values)
    answer = run(master.SETUP, exercise.solution)
    for scale, ending in ((1, ""), (2, "_doubled")):
        weights = softmax(scale * np.log(parts))
        np.testing.assert_allclose(np.array(answer[f"weights{ending}"], float), weights, atol=1e-12)
        assert float(answer[f"answer{ending}"]) == pytest.approx(weights @ np.array(values))
    assert exercise.failures(answer) == []


@pytest.mark.parametrize(
    ("n_layers", "n_heads", "width", "gib", "users", "length"),
    [(32, 32, 128, 10, 16, 8192), (24, 16, 64, 6, 8, 16384), (40, 40, 128, 20, 8, 16384)],
)
def test_counts_are_what_a_cache_holds(n_layers, n_heads, width, gib, users, length):
    exercise = cache_by_hand.exercise(n_layers, n_heads, width, gib, users, length)
    answer = run(master.SETUP, exercise.solution)
    one_layer = torch.zeros(2, n_heads, 1, width, dtype=torch.float16)
    assert answer["bytes_per_token"] == n_layers * one_layer.nbytes
    assert answer["tokens"] * answer["bytes_per_token"] <= gib * 2**30
    assert (answer["tokens"] + 1) * answer["bytes_per_token"] > gib * 2**30
    fits = [
        groups
        for groups in range(1, n_heads + 1)
        if n_heads % groups == 0
        and users * length * (answer["bytes_per_token"] // n_heads) * groups <= gib * 2**30
    ]
    assert answer["kv_heads"] == fits[-1]
    assert exercise.failures(answer) == []


# -- predict -------------------------------------------------------------------------------------


def test_predictions_come_true_with_loops():
    order = [3, 0, 5, 1, 4, 2]
    q, k, v = (normal(6, 8, seed=seed) for seed in range(3))
    causal = torch.ones(6, 6).tril().bool()
    runs = {
        "a": (q, k[order], v[order], None),
        "b": (q[order], k, v, None),
        "c": (q, k[order], v, None),
        "d": (q[order], k[order], v[order], None),
        "e": (q[order], k[order], v[order], causal),
    }
    for case, (*moved, mask) in runs.items():
        old, new = attend_by_loops(q, k, v, mask), attend_by_loops(*moved, mask)
        outcomes = {"same": old, "shuffled": old[order]}
        seen = [name for name, expected in outcomes.items() if torch.allclose(new, expected)]
        assert (seen or ["different"]) == [solve("shuffling")["predictions"][case]], case


# -- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_masked_attention_is_what_loops_give(seed):
    q, k, v = normal(4, 6, seed=seed), normal(7, 6, seed=seed + 10), normal(7, 3, seed=seed + 20)
    mask = coins(4, 7, seed=seed)
    mask[1] = False
    out = solve("masked-numpy")["masked_attention"](*(x.numpy() for x in (q, k, v, mask)))
    np.testing.assert_allclose(out, attend_by_loops(q, k, v, mask), atol=1e-12)
    assert np.abs(out[1]).max() == 0


@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_multi_head_is_what_torch_gives(n_heads):
    x = normal(2, 5, 8, seed=1)
    w_q, w_k, w_v, w_o = (normal(8, 8, seed=seed) for seed in range(4))
    theirs = torch.nn.MultiheadAttention(8, n_heads, bias=False, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([w_q.T, w_k.T, w_v.T]))
        theirs.out_proj.weight.copy_(w_o.T)
        expected = theirs(x, x, x, need_weights=False)[0]
    ours = solve("heads")["multi_head"](x, w_q, w_k, w_v, w_o, n_heads)
    torch.testing.assert_close(ours, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("n_heads", [2, 4, 8])
def test_alibi_is_that_of_a_published_model(n_heads):
    """BLOOM adds slope times position, which differs in each row by a constant."""
    q, k, v = (normal(n_heads, 6, 4, seed=seed) for seed in range(3))
    theirs = build_alibi_tensor(torch.ones(1, 6), n_heads, torch.float64)
    scores = q @ k.mT / math.sqrt(4) + theirs
    scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf)
    ours = solve("alibi")["attend_alibi"](q, k, v)
    torch.testing.assert_close(ours, scores.softmax(-1) @ v, atol=1e-6, rtol=0)


# -- measure and open ----------------------------------------------------------------------------


def test_exponents_are_fitted_as_numpy_fits_them():
    short = cache_timing.exercise(lengths=(4, 8))
    fit = run(master.SETUP, short.solution)
    rng = np.random.default_rng(0)
    seconds = np.array([3.0, 10.0, 30.0, 70.0]) * rng.uniform(0.9, 1.1, 4)
    x = np.log([64, 128, 256, 512])
    design = np.stack([x, np.ones(4)], axis=1)
    expected = np.linalg.lstsq(design, np.log(seconds), rcond=None)[0][0]
    assert fit["fit_exponent"]([64, 128, 256, 512], seconds) == pytest.approx(expected)


@pytest.mark.usefixtures("quick")
def test_the_head_has_its_habit_beyond_what_shuffled_labels_give():
    """With target and control exchanged the same count turns against the habit."""
    answer = solve("find-a-head")
    swapped = [(text, word, c, t) for text, word, t, c in answer["examples"]]
    against = answer["count"](swapped)[answer["layer"], answer["head"]]
    assert answer["held"] + against == len(answer["examples"]) == 20
    assert answer["held"] > 15
