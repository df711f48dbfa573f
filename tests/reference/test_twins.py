"""The NumPy twins against other formulations: 50 digits, loops, sums written out."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.reference import activations, attention, layers
from tests.support import attend_by_loops, coins, normal, seeds, shapes_vary, sizes
from tests.verification import agree, same

pytestmark = pytest.mark.chapter("neural-networks", "attention")
mp = mpmath.mpf
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "relu": lambda x: max(mp(0), x),
    "gelu": lambda x: x * (1 + mpmath.erf(x / mpmath.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
}
POINTS = np.array([-1000, -30, -3, -1, -1e-8, 0, 1e-8, 0.5, 1, 3, 30, 1000])


@pytest.mark.parametrize("name", EXACT)
def test_activations(name):
    with mpmath.workdps(50):
        expected = [float(EXACT[name](mp(float(x)))) for x in POINTS]
    agree(f"twin: {name}", "mpmath", getattr(activations, name)(POINTS), expected)


def test_softmax_with_50_digits():
    rows = np.array([[0.0, 1.0, -2.0], [1000.0, 999.0, -1000.0], [5.0, 5.0, 5.0]])
    with mpmath.workdps(50):
        powers = [[mpmath.exp(mp(float(x))) for x in row] for row in rows]
        expected = [[p / sum(row) for p in row] for row in powers]
        logarithms = [[float(mpmath.log(p)) for p in row] for row in expected]
    agree("twin: softmax", "mpmath", activations.softmax(rows), np.array(expected, dtype=float))
    agree("twin: log_softmax", "mpmath", activations.log_softmax(rows), logarithms)
    columns = activations.softmax(rows.T, axis=0)
    agree("twin: softmax", "mpmath", columns, np.array(expected, dtype=float).T)


def test_softmax_of_hidden_entries():
    rows = np.array([[0.0, -np.inf], [-np.inf, -np.inf]])
    agree("twin: softmax", "by hand", activations.softmax(rows), [[1.0, 0.0], [0.0, 0.0]])


@shapes_vary
@given(n_queries=sizes, n_keys=sizes, d_k=sizes, d_v=sizes, block=st.integers(1, 8), seed=seeds)
def test_attention(n_queries, n_keys, d_k, d_v, block, seed):
    q, k = normal(n_queries, d_k, seed=seed), normal(n_keys, d_k, seed=seed + 1)
    v, mask = normal(n_keys, d_v, seed=seed + 2), coins(n_queries, n_keys, seed=seed)
    arrays = [x.numpy() for x in (q, k, v)]
    for scale in (None, 0.3):
        expected = attend_by_loops(q, k, v, mask, scale=scale)
        masked = attention.scaled_dot_product_attention(*arrays, mask.numpy(), scale=scale)
        agree("twin: scaled_dot_product_attention", "Python loops", masked, expected)
        blocked = attention.online_softmax_attention(
            *arrays, mask.numpy(), block_size=block, scale=scale
        )
        agree("twin: online_softmax_attention", "Python loops", blocked, expected)
    expected = attend_by_loops(q, k, v)
    agree(
        "twin: attention_by_loops", "Python loops", attention.attention_by_loops(*arrays), expected
    )
    plain = attention.scaled_dot_product_attention(*arrays)
    agree("twin: scaled_dot_product_attention", "Python loops", plain, expected)


def test_attention_weights_by_hand():
    # d_k = 1: scores 0 and ln 3, so weights 1/4 and 3/4.
    weights = attention.attention_weights(np.ones((1, 1)), np.array([[0.0], [math.log(3)]]))
    agree("twin: attention_weights", "by hand", weights, [[0.25, 0.75]])


def test_causal_mask_by_hand():
    rows = [[True, True, False], [True, True, True]]
    same("twin: causal_mask", "by hand", attention.causal_mask(2, 3), rows)


@pytest.mark.parametrize(("n_heads", "n_kv_heads"), [(1, 1), (2, 1), (4, 2), (4, 4), (6, 2)])
def test_multi_head_attention_feature_by_feature(n_heads, n_kv_heads):
    """Each head from its own columns, and W^O as a sum over heads instead of one product."""
    d_model, d_head = 2 * n_heads, 2
    x, c = normal(3, d_model).numpy(), normal(5, d_model, seed=1).numpy()
    w_q, w_o = (normal(d_model, d_model, seed=s).numpy() for s in (2, 3))
    w_k, w_v = (normal(d_model, n_kv_heads * d_head, seed=s).numpy() for s in (4, 5))
    mask = attention.causal_mask(3, 5)
    expected = np.zeros((3, d_model))
    for h in range(n_heads):
        own = [h * d_head, h * d_head + 1]
        g = [h * n_kv_heads // n_heads * d_head + i for i in range(d_head)]
        head = attend_by_loops(x @ w_q[:, own], c @ w_k[:, g], c @ w_v[:, g], mask)
        expected += head.numpy() @ w_o[own]
    value = attention.multi_head_attention(x, c, w_q, w_k, w_v, w_o, n_heads, mask)
    agree("twin: multi_head_attention", "sum over heads", value, expected)


def test_norms_by_sums():
    x = normal(4, 5).numpy()
    for row, normed, scaled in zip(x, layers.layer_norm(x), layers.rms_norm(x), strict=True):
        mean = math.fsum(row) / 5
        variance = math.fsum((a - mean) ** 2 for a in row) / 5
        agree(
            "twin: layer_norm",
            "sums",
            normed,
            [(a - mean) / math.sqrt(variance + 1e-5) for a in row],
        )
        square = math.fsum(a * a for a in row) / 5
        agree("twin: rms_norm", "sums", scaled, [a / math.sqrt(square + 1e-6) for a in row])


def test_linear_by_sums():
    x, weight, bias = normal(3, 4).numpy(), normal(2, 4, seed=1).numpy(), normal(2, seed=2).numpy()
    expected = [[math.fsum(r * w) + b for w, b in zip(weight, bias, strict=True)] for r in x]
    agree("twin: linear", "sums", layers.linear(x, weight, bias), expected)


@pytest.mark.parametrize("base", [10.0, 10_000.0])
def test_positions_with_50_digits(base):
    x = normal(30, 6).numpy()
    with mpmath.workdps(50):
        angles = [[t * mp(base) ** (-mp(2 * i) / 6) for i in range(3)] for t in range(30)]
        cos = np.array([[float(mpmath.cos(a)) for a in row] for row in angles])
        sin = np.array([[float(mpmath.sin(a)) for a in row] for row in angles])
    expected = np.stack((sin, cos), axis=-1).reshape(30, 6)
    agree(
        "twin: sinusoidal_positions", "mpmath", layers.sinusoidal_positions(30, 6, base), expected
    )
    even, odd = x[:, ::2], x[:, 1::2]
    expected = np.stack((even * cos - odd * sin, even * sin + odd * cos), axis=-1).reshape(30, 6)
    agree("twin: apply_rotary", "rotation matrices", layers.apply_rotary(x, base), expected)
