import copy
import functools
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from transformers import LlamaConfig, Qwen3Config
from transformers.models.llama import modeling_llama
from transformers.models.qwen3 import modeling_qwen3

from companion import attention
from companion.attention import KVCache, MultiHeadAttention
from companion.device import peak_bytes
from companion.layers import RMSNorm, Rotary
from companion.reference import attention as twin
from tests.plugins import shapes
from tests.support import (
    FLOATS,
    SIXTEEN_BITS,
    agree_16,
    attend_by_loops,
    broadcast,
    coins,
    fill,
    normal,
    seeds,
    shapes_vary,
    sizes,
)
from tests.verification import agree, same


def fused(q, k, v, **options):
    return attention.scaled_dot_product_attention(q, k, v, **options)


def weighted(q, k, v, **options):
    return attention.scaled_dot_product_attention(q, k, v, return_weights=True, **options)[0]


def online(q, k, v, **options):
    return attention.online_softmax_attention(q, k, v, **{"block_size": 2, **options})


PATHS = {
    "scaled_dot_product_attention": fused,
    "scaled_dot_product_attention, with weights": weighted,
    "online_softmax_attention": online,
}
every_path = pytest.mark.parametrize("path", PATHS)


def qkv(*batch, n_queries=5, n_keys=6, d_k=4, d_v=3, seed=0, dtype=torch.float64, scale=1.0):
    q = normal(*batch, n_queries, d_k, seed=seed, dtype=dtype, scale=scale)
    k = normal(*batch, n_keys, d_k, seed=seed + 1, dtype=dtype, scale=scale)
    v = normal(*batch, n_keys, d_v, seed=seed + 2, dtype=dtype, scale=scale)
    return q, k, v


def additive(sees, dtype=torch.float64):
    return torch.zeros(sees.shape, dtype=dtype).masked_fill(~sees, -math.inf)


# ---------------------------------------------------------------- masks


@shapes_vary
@given(n_queries=sizes, more=st.integers(0, 5), window=sizes)
def test_masks_position_by_position(n_queries, more, window):
    n_keys = n_queries + more
    causal = attention.causal_mask(n_queries, n_keys)
    before = attention.sliding_window_mask(n_queries, window, n_keys=n_keys)
    around = attention.sliding_window_mask(n_queries, window, n_keys=n_keys, causal=False)
    past = n_keys - n_queries  # the queries are the last positions
    distances = [[past + i - j for j in range(n_keys)] for i in range(n_queries)]
    rows = [[d >= 0 for d in row] for row in distances]
    same("causal_mask", "Python loops", causal, rows)
    rows = [[0 <= d < window for d in row] for row in distances]
    same("sliding_window_mask", "Python loops", before, rows)
    rows = [[-window < d < window for d in row] for row in distances]
    same("sliding_window_mask, to both sides", "Python loops", around, rows)
    same("causal_mask", "NumPy twin", causal, twin.causal_mask(n_queries, n_keys))


def test_masks_by_hand():
    causal = attention.causal_mask
    same("causal_mask", "by hand", causal(2, 4).int(), [[1, 1, 1, 0], [1, 1, 1, 1]])
    window = attention.sliding_window_mask(3, 2, causal=False).int()
    same("sliding_window_mask", "by hand", window, [[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    for unsigned in (torch.uint8, torch.uint16, torch.uint64):
        mask = attention.padding_mask(torch.tensor([2, 0], dtype=unsigned), max_length=3)
        assert mask.int().tolist() == [[[1, 1, 0]], [[0, 0, 0]]]
    padding = attention.padding_mask(torch.tensor([2, 0]), max_length=3).int()
    same("padding_mask", "by hand", padding, [[[1, 1, 0]], [[0, 0, 0]]])


@shapes_vary
@given(lengths=st.lists(st.integers(0, 5), min_size=1, max_size=4), more=st.integers(0, 2))
def test_padding_position_by_position(lengths, more):
    longest = max(lengths) + more
    mask = attention.padding_mask(torch.tensor(lengths), longest)
    rows = [[[j < length for j in range(longest)]] for length in lengths]
    same("padding_mask", "Python loops", mask, rows)


def test_a_window_as_long_as_the_sequence_is_causal():
    assert torch.equal(attention.sliding_window_mask(5, 5), attention.causal_mask(5))
    assert not torch.equal(attention.sliding_window_mask(5, 4), attention.causal_mask(5))


# ---------------------------------------------------------------- values


@every_path
def test_by_hand(path):
    # d_k = 4, so the scale is 1/2. Scores q·k: 2 ln 3 and 0; scaled: ln 3 and 0.
    # Weights 3/4 and 1/4; values 8 and 4 and their halves: 6 + 1 = 7 and 3.5.
    q = torch.tensor([[1.0, 1.0, 0.0, 0.0]], dtype=torch.float64)
    log3 = math.log(3)
    k = torch.tensor([[log3, log3, 0.0, 7.0], [0.0, 0.0, 7.0, 0.0]], dtype=torch.float64)
    v = torch.tensor([[8.0, 4.0], [4.0, 2.0]], dtype=torch.float64)
    agree(path, "by hand", PATHS[path](q, k, v), [[7.0, 3.5]])
    # With scale 1 the weights are 9/10 and 1/10: 7.2 + 0.4 = 7.6.
    agree(path, "by hand", PATHS[path](q, k, v, scale=1.0), [[7.6, 3.8]])


def test_weights_by_hand():
    q = torch.tensor([[2.0]], dtype=torch.float64)
    k = torch.tensor([[0.0], [math.log(2) / 2], [9.0]], dtype=torch.float64)
    v = torch.eye(3, dtype=torch.float64)
    mask = torch.tensor([[True, True, False]])
    out, weights = attention.scaled_dot_product_attention(q, k, v, mask, return_weights=True)
    agree(
        "scaled_dot_product_attention, weights", "by hand", weights, [[1 / 3, 2 / 3, 0.0]]
    )  # scores 0, ln 2
    agree("scaled_dot_product_attention, weights", "by hand", out, [[1 / 3, 2 / 3, 0.0]])


dims = st.lists(st.integers(1, 3), max_size=3)


@st.composite
def problems(draw):
    """Draw q, k, v whose batch dimensions broadcast, with a mask of some kind."""
    batch, seed = draw(dims), draw(seeds)
    ones = [draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))) for _ in "qkvm"]
    cut = draw(st.integers(0, len(batch)))  # v may lack leading dimensions altogether
    q_batch, k_batch, v_batch, m_batch = (broadcast(batch, flags) for flags in ones)
    n_queries, n_keys, d_k, d_v = (draw(sizes) for _ in range(4))
    q = normal(*q_batch, n_queries, d_k, seed=seed)
    k = normal(*k_batch, n_keys, d_k, seed=seed + 1)
    v = normal(*v_batch[cut:], n_keys, d_v, seed=seed + 2)
    full = torch.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    m_batch = broadcast(full, [a == 1 for a in m_batch[len(m_batch) - len(full) :]])
    rows = (draw(st.sampled_from([n_queries, 1])), draw(st.sampled_from([n_keys, 1])))
    kind = draw(st.sampled_from(["none", "bool", "float", "hides"]))
    sees = coins(*m_batch, *rows, seed=seed + 3)
    mask = {
        "none": None,
        "bool": sees,
        "float": normal(*m_batch, *rows, seed=seed + 4),
        "hides": additive(sees),
    }[kind]
    return q, k, v, mask, n_queries <= n_keys and draw(st.booleans())


@shapes_vary
@given(problem=problems(), block_size=st.integers(1, 8), scale=st.sampled_from([None, 0.3, 2.0]))
def test_any_shape_mask_and_block_size(problem, block_size, scale):
    q, k, v, mask, is_causal = problem
    sees = attention.causal_mask(q.shape[-2], k.shape[-2]) if is_causal else torch.tensor([True])
    added = mask if mask is not None and mask.dtype != torch.bool else None
    if mask is not None and added is None:
        sees = sees & mask
    expected = attend_by_loops(q, k, v, sees, added, scale)
    options = {"mask": mask, "is_causal": is_causal, "scale": scale}
    for path, call in PATHS.items():
        blocks = {"block_size": block_size} if call is online else {}
        agree(path, "Python loops", call(q, k, v, **options, **blocks), expected)
        if mask is None or mask.dtype == torch.bool:
            small = call(q.float(), k.float(), v.float(), **options, **blocks)
        else:
            options_32 = {**options, "mask": mask.float()}
            small = call(q.float(), k.float(), v.float(), **options_32, **blocks)
        agree(path, "Python loops", small, expected)


@every_path
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("batch", [(), (2,), (2, 3), (2, 1, 3)])
def test_agrees_with_torch(path, dtype, batch):
    call = PATHS[path]
    q, k, v = qkv(*batch, dtype=dtype)
    sees = coins(5, 6).index_fill(1, torch.tensor([0]), True)  # no row is hidden altogether
    bias = normal(5, 6, seed=9, dtype=dtype)
    for mask in (None, sees, bias):
        for scale in (None, 0.7):
            expected = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
            agree(path, "torch", call(q, k, v, mask=mask, scale=scale), expected)
    q, k, v = qkv(*batch, n_keys=5, d_v=4, dtype=dtype)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    agree(path, "torch", call(q, k, v, is_causal=True), expected)


@shapes_vary
@given(n_queries=sizes, n_keys=sizes, d_k=sizes, d_v=sizes, block=st.integers(1, 7), seed=seeds)
def test_agrees_with_the_twin(n_queries, n_keys, d_k, d_v, block, seed):
    q, k, v = qkv(n_queries=n_queries, n_keys=n_keys, d_k=d_k, d_v=d_v, seed=seed)
    mask = coins(n_queries, n_keys, seed=seed)
    arrays = [x.numpy() for x in (q, k, v)]
    expected = twin.scaled_dot_product_attention(*arrays, mask.numpy())
    for path, call in PATHS.items():
        agree(path, "NumPy twin", call(q, k, v, mask=mask), expected)
    blocked = attention.online_softmax_attention(q, k, v, block_size=block, mask=mask)
    other = twin.online_softmax_attention(*arrays, block_size=block, mask=mask.numpy())
    agree("online_softmax_attention", "its NumPy twin", blocked, other)
    _, weights = attention.scaled_dot_product_attention(q, k, v, mask, return_weights=True)
    agree(
        "scaled_dot_product_attention, weights",
        "NumPy twin",
        weights,
        twin.attention_weights(*arrays[:2], mask.numpy()),
    )


@pytest.mark.parametrize("block_size", [1, 2, 3, 4, 6, 7, 12, 13, 128])
def test_online_whatever_the_block_size(block_size):
    """Scores that rise from block to block make the running maximum change every time."""
    q, k, v = qkv(2, n_keys=12)
    k = k * torch.arange(1, 13)[:, None]
    value = attention.online_softmax_attention(q, k, v, block_size=block_size)
    agree("online_softmax_attention", "torch", value, F.scaled_dot_product_attention(q, k, v))


@every_path
@pytest.mark.parametrize("dtype", FLOATS)
def test_stable_at_a_thousand(path, dtype):
    signs = coins(4, 8, p=0.5).to(dtype) * 2 - 1
    q = (1000 * signs).requires_grad_()
    k = (1000 * signs.flip(0)).requires_grad_()
    v = normal(4, 8, dtype=dtype, scale=1000.0).requires_grad_()
    for options in ({}, {"is_causal": True}, {"mask": coins(4, 4)}):
        out = PATHS[path](q, k, v, **options)
        expected = weighted(q.double(), k.double(), v.double(), **options)
        agree(f"{path} at ±1000", "itself in float64", out, expected)
        for gradient in torch.autograd.grad(out.square().sum(), (q, k, v)):
            assert gradient.isfinite().all()


# ---------------------------------------------------------------- what masks do

MASKS = {
    "boolean": {"mask": torch.tensor([[1, 1, 0, 1], [1, 0, 0, 1], [1, 1, 0, 0], [0, 1, 0, 1]]) > 0},
    "causal": {"is_causal": True},
    "causal_mask": {"mask": attention.causal_mask(4)},
    "sliding_window_mask": {"mask": attention.sliding_window_mask(4, 2)},
    "padding_mask": {"mask": attention.padding_mask(torch.tensor([3, 2]), 4)},
    "one row for all": {"mask": torch.tensor([True, False, True, False])},
    "additive": {"mask": additive(attention.causal_mask(4))},
    "finite additive": {"mask": torch.tensor([0.0, -1.0, 2.0, 0.5], dtype=torch.float64)},
    "boolean and causal": {"mask": torch.tensor([1, 0, 1, 1]) > 0, "is_causal": True},
    "additive and causal": {
        "mask": additive(torch.tensor([[1, 0, 1, 1]]) > 0),
        "is_causal": True,
    },
}
every_mask = pytest.mark.parametrize("kind", MASKS)


def hidden(mask=None, is_causal=False, size=4):
    """Return where a query may not look, (..., 4, 4)."""
    sees = torch.ones(size, size, dtype=torch.bool)
    if mask is not None:
        sees = sees & (mask if mask.dtype == torch.bool else mask > -math.inf)
    return ~(sees & attention.causal_mask(size) if is_causal else sees)


@every_path
@every_mask
def test_every_mask_changes_the_result(path, kind):
    q, k, v = qkv(2, n_queries=4, n_keys=4)
    plain, masked = PATHS[path](q, k, v), PATHS[path](q, k, v, **MASKS[kind])
    changed = (plain - masked).abs().amax(dim=-1) > 1e-3
    if kind == "finite additive":
        assert changed.all()
        return
    sees_all = ~hidden(**MASKS[kind]).any(dim=-1).expand(2, 4)
    assert torch.equal(changed, ~sees_all)  # exactly the rows from which something is hidden


@every_path
def test_mask_and_causal_both_count(path):
    q, k, v = qkv(n_queries=4, n_keys=4)
    mask = torch.tensor([True, False, True, True])
    both = PATHS[path](q, k, v, mask=mask, is_causal=True)
    for less in ({"mask": mask}, {"is_causal": True}):
        assert (both - PATHS[path](q, k, v, **less)).abs().max() > 1e-3
    joined = mask & attention.causal_mask(4)
    agree(path, "the joined mask", both, PATHS[path](q, k, v, mask=joined))


@every_path
@every_mask
def test_hidden_keys_have_no_influence(path, kind):
    """For each query: change all that it may not see, and look at that query alone."""
    q, k, v = qkv(2, n_queries=4, n_keys=4)
    unseen = hidden(**MASKS[kind]).expand(2, 4, 4)
    before = PATHS[path](q, k, v, **MASKS[kind])
    for b, i in itertools.product(range(2), range(4)):
        other_k, other_v = k.clone(), v.clone()
        other_k[b, unseen[b, i]] = 1e6
        other_v[b, unseen[b, i]] = -1e6
        after = PATHS[path](q, other_k, other_v, **MASKS[kind])
        assert torch.equal(after[b, i], before[b, i])


@every_path
@every_mask
def test_hidden_keys_get_no_gradient(path, kind):
    q, k, v = (x.requires_grad_() for x in qkv(2, n_queries=4, n_keys=4))
    unseen = hidden(**MASKS[kind]).expand(2, 4, 4)
    out = PATHS[path](q, k, v, **MASKS[kind])
    for b, i in itertools.product(range(2), range(4)):
        for x in torch.autograd.grad(out[b, i].square().sum(), (k, v), retain_graph=True):
            moved = x[b].abs().amax(dim=-1) > 0
            assert not moved[unseen[b, i]].any()
            if (~unseen[b, i]).sum() > 1:
                assert moved[~unseen[b, i]].all()


BLIND = {
    "boolean": {"mask": torch.tensor([[True], [False], [True]]).expand(3, 3).clone()},
    "boolean column": {"mask": torch.tensor([[True], [False], [True]])},
    "additive": {"mask": additive(torch.tensor([[True], [False], [True]]).expand(3, 3))},
    "additive column": {"mask": additive(torch.tensor([[True], [False], [True]]))},
    "only with causal": {
        "mask": torch.tensor([[1, 1, 1], [0, 0, 1], [1, 1, 1]]) > 0,
        "is_causal": True,
    },
    "additive with causal": {
        "mask": additive(torch.tensor([[1, 1, 1], [0, 0, 1], [1, 1, 1]]) > 0),
        "is_causal": True,
    },
}


@every_path
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", BLIND)
def test_a_row_that_sees_nothing_is_zero(path, dtype, kind):
    q, k, v = (x.requires_grad_() for x in qkv(2, n_queries=3, n_keys=3, dtype=dtype))
    options = dict(BLIND[kind])
    if options["mask"].dtype != torch.bool:
        options["mask"] = options["mask"].to(dtype).requires_grad_()
    out = PATHS[path](q, k, v, **options)
    assert torch.equal(out[:, 1], torch.zeros(2, 3, dtype=dtype))
    assert (out[:, [0, 2]].abs().amax(dim=-1) > 0).all()
    inputs = [q, k, v] + ([options["mask"]] if options["mask"].requires_grad else [])
    # A weighted sum of all outputs, so that the blind row's gradient would show.
    gradients = torch.autograd.grad((out * normal(2, 3, 3, dtype=dtype)).sum(), inputs)
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert torch.equal(gradients[0][:, 1], torch.zeros(2, 4, dtype=dtype))
    assert (gradients[0][:, 2].abs().amax(dim=-1) > 0).all()


@every_path
def test_everything_hidden(path):
    q, k, v = (x.requires_grad_() for x in qkv(2))
    out = PATHS[path](q, k, v, mask=torch.zeros(5, 6, dtype=torch.bool))
    assert torch.equal(out, torch.zeros(2, 5, 3, dtype=torch.float64))
    for gradient in torch.autograd.grad(out.sum(), (q, k, v)):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_weights_of_a_row_that_sees_nothing():
    q, k, v = qkv()
    mask = coins(5, 6).index_fill(0, torch.tensor([2]), False)
    _, weights = attention.scaled_dot_product_attention(q, k, v, mask, return_weights=True)
    assert torch.equal(weights[2], torch.zeros(6, dtype=torch.float64))
    name = "scaled_dot_product_attention, sum of weights"
    agree(name, "by hand", weights.sum(dim=-1), [1.0, 1.0, 0.0, 1.0, 1.0])
    assert torch.equal(weights > 0, mask)


@every_path
def test_more_queries_than_keys(path):
    """With two keys and four queries the first two queries stand before every key."""
    q, k, v = qkv(n_queries=4, n_keys=2)
    with pytest.raises(ValueError, match=r"n_queries must not exceed n_keys.* got 4 and 2"):
        PATHS[path](q, k, v, is_causal=True)
    assert PATHS[path](q, k, v).isfinite().all()


@every_path
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("of_mask", [torch.float64, torch.float32, torch.float16])
def test_additive_mask_in_another_float_format(path, dtype, of_mask):
    q, k, v = qkv(dtype=dtype)
    mask = normal(5, 6, seed=7).to(of_mask)
    mask[:, 2] = -math.inf
    mask[:, 3] = torch.finfo(of_mask).min  # hides as well, and is finite
    value = PATHS[path](q, k, v, mask=mask)
    expected = F.scaled_dot_product_attention(q, k, v, mask.to(dtype))
    agree(path, "torch", value, expected)


@every_path
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_nan_in_an_additive_mask_is_not_hidden(path, dtype):
    """It makes its row NaN and no other: neither is such a row one that may look at nothing."""
    q, k, v = qkv(dtype=dtype, d_v=4)
    mask = torch.zeros(5, 6, dtype=dtype)
    mask[1], mask[2, 3], mask[3] = math.nan, math.nan, -math.inf
    value = PATHS[path](q, k, v, mask=mask)
    assert value.isnan().tolist() == [[row in (1, 2)] * 4 for row in range(5)]


@every_path
def test_autocast_may_mix_two_formats(path):
    """Without it they are refused, as by PyTorch."""
    q, k, v = qkv(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = PATHS[path](q.bfloat16(), k, v)
    torch.testing.assert_close(found.float(), PATHS[path](q, k, v), atol=0.02, rtol=0.02)
    with pytest.raises(TypeError, match="one number format"):
        PATHS[path](q.bfloat16(), k, v)


@every_path
def test_shapes_without_numbers(path):
    """On the device "meta", where models are made whose numbers come later."""
    q, k, v = (x.to("meta") for x in qkv())
    assert PATHS[path](q, k, v).shape == (5, 3)


@every_path
@pytest.mark.parametrize("scale", [math.nan, math.inf, -math.inf])
def test_scale_is_finite(path, scale):
    """With NaN the fused kernel returns zeros on a CPU."""
    with pytest.raises(ValueError, match=f"scale must be finite, got {scale}"):
        PATHS[path](*qkv(), scale=scale)


# ---------------------------------------------------------------- gradients


@pytest.mark.verifies("scaled_dot_product_attention, gradients", "finite differences")
@pytest.mark.verifies("online_softmax_attention, gradients", "finite differences")
@every_path
@pytest.mark.parametrize("options", [{}, *BLIND.values()], ids=["no mask", *BLIND])
def test_gradients(path, options):
    inputs = [x.requires_grad_() for x in qkv(2, n_queries=3, n_keys=3)]
    assert gradcheck(lambda q, k, v: PATHS[path](q, k, v, **options), inputs)


@every_path
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_gradients_against_torch(path, is_causal, scale):
    """At zeros all scores are tied; at 300 the weights are 0 and 1."""
    q, k, v = qkv(2, n_queries=4, n_keys=4, d_v=4, scale=scale)
    k[:, 1] = k[:, 0]
    slopes = normal(2, 4, 4, seed=7)
    gradients = []
    for call in (PATHS[path], F.scaled_dot_product_attention):
        inputs = [x.clone().requires_grad_() for x in (q, k, v)]
        (call(*inputs, is_causal=is_causal) * slopes).sum().backward()
        gradients.append(torch.stack([x.grad for x in inputs]))
    agree(f"{path}, gradient", "torch", *gradients)
    if scale == 0.0:
        inputs = [x.requires_grad_() for x in (q, k, v)]
        assert gradcheck(lambda q, k, v: PATHS[path](q, k, v, is_causal=is_causal), inputs)


@every_path
def test_gradient_of_an_additive_mask(path):
    q, k, v = qkv(2)
    mask = normal(5, 6, seed=8).requires_grad_()
    assert gradcheck(lambda mask: PATHS[path](q, k, v, mask=mask), mask)


def test_gradient_of_the_weights():
    q, k, v = (x.requires_grad_() for x in qkv(n_queries=2, n_keys=3))
    call = attention.scaled_dot_product_attention
    assert gradcheck(lambda q, k: call(q, k, v, return_weights=True)[1], (q, k))


# ---------------------------------------------------------------- dropout


@pytest.mark.parametrize("path", list(PATHS)[:2])
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_keeps_the_expectation(path, p):
    """Uniform weights over 10 keys with value 1: an output is (kept keys)/10/(1 − p)."""
    torch.manual_seed(0)
    q = k = torch.zeros(10, 2)
    out = PATHS[path](q.expand(3000, 10, 2), k, torch.ones(10, 1), dropout_p=p)
    kept = out * 10 * (1 - p)
    agree(f"{path}, dropout", "whole numbers", kept, kept.round(), 1e-4)
    # 30,000 outputs, each with standard deviation √(p/(1−p)/10) ≤ 0.32: five errors are 0.01.
    name = f"{path}, dropout"
    agree(name, "mean without dropout, 30,000 draws", out.mean(), torch.ones(()), 0.01)
    variance = torch.tensor(p / (1 - p) / 10)
    agree(name, "variance by hand, 30,000 draws", out.var(), variance, 0.01)


def test_dropout_leaves_the_returned_weights_alone():
    torch.manual_seed(0)
    q, k, v = qkv()
    plain = attention.scaled_dot_product_attention(q, k, v, return_weights=True)
    dropped = attention.scaled_dot_product_attention(q, k, v, dropout_p=0.5, return_weights=True)
    assert torch.equal(plain[1], dropped[1])
    assert (plain[0] - dropped[0]).abs().max() > 0.01


# ---------------------------------------------------------------- memory

T = 2048
SCORES = 4 * T * T  # bytes of one T × T matrix in float32


def peak_of(path, *batch, **options):
    x = torch.zeros(*batch, T, 16)
    with torch.no_grad():
        return peak_bytes(lambda: PATHS[path](x, x, x, **options))


def test_the_plain_way_holds_the_scores():
    """More than once, even: the scores, their exponentials and the weights."""
    assert peak_of("scaled_dot_product_attention, with weights") > 2 * SCORES


@pytest.mark.parametrize("is_causal", [False, True])
def test_blocks_do_not_hold_the_scores(is_causal):
    options = {"is_causal": is_causal}
    small = peak_of("online_softmax_attention", **options, block_size=64)
    large = peak_of("online_softmax_attention", **options, block_size=256)
    assert small < SCORES / 4
    assert small < large


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (1, 1)])
def test_the_fused_kernel_does_not_hold_the_scores(is_causal, batch):
    assert peak_of("scaled_dot_product_attention", *batch, is_causal=is_causal) < SCORES / 8


def test_training_with_the_fused_kernel_does_not_hold_the_scores():
    x = torch.zeros(T, 16, requires_grad=True)
    assert peak_bytes(lambda: fused(x, x, x, is_causal=True).sum().backward()) < SCORES / 2


# ---------------------------------------------------------------- several heads


def copy_from_torch(theirs, dtype, **options):
    """Return our layer with the weights of a ``torch.nn.MultiheadAttention``."""
    ours = MultiHeadAttention(theirs.embed_dim, theirs.num_heads, **options).to(dtype)
    state = theirs.state_dict()
    for part in ("weight", "bias"):
        if f"in_proj_{part}" not in state:
            continue
        pieces = state[f"in_proj_{part}"].chunk(3)
        for name, piece in zip("qkv", pieces, strict=True):
            getattr(getattr(ours, f"w_{name}"), part).data.copy_(piece)
        getattr(ours.w_o, part).data.copy_(state[f"out_proj.{part}"])
    return ours


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("n_heads", [1, 2, 4])
def test_heads_against_torch(dtype, bias, n_heads):
    theirs = nn.MultiheadAttention(8, n_heads, bias=bias, batch_first=True)
    theirs = fill(theirs, 3, dtype).eval()
    ours = copy_from_torch(theirs, dtype, bias=bias)
    x, context = normal(2, 5, 8, dtype=dtype), normal(2, 7, 8, seed=1, dtype=dtype)
    padding = attention.padding_mask(torch.tensor([7, 4]))  # True: may look
    causal = attention.causal_mask(5)
    cases = [
        ((x, x, x), {}, {}),
        ((x, context, context), {}, {}),
        ((x, context, context), {"mask": padding}, {"key_padding_mask": ~padding[:, 0]}),
        ((x, x, x), {"is_causal": True}, {"attn_mask": ~causal}),
        ((x, x, x), {"mask": causal}, {"attn_mask": ~causal}),
    ]
    for inputs, our_mask, their_mask in cases:
        expected, their_weights = theirs(*inputs, **their_mask, average_attn_weights=False)
        given_context = None if inputs[1] is x else inputs[1]
        out, weights = ours(x, given_context, return_weights=True, **our_mask)
        agree("MultiHeadAttention", "torch.nn.MultiheadAttention", out, expected)
        agree("MultiHeadAttention, weights", "torch.nn.MultiheadAttention", weights, their_weights)
        out = ours(x, given_context, **our_mask)
        agree("MultiHeadAttention", "torch.nn.MultiheadAttention", out, expected)


@shapes_vary
@given(
    heads=st.sampled_from([(h, g) for h in (1, 2, 4, 6) for g in (1, 2, 3, 4, 6) if h % g == 0]),
    d_head=st.integers(1, 3),
    n_queries=sizes,
    n_keys=sizes,
    seed=seeds,
)
def test_heads_against_the_twin(heads, d_head, n_queries, n_keys, seed):
    n_heads, n_kv_heads = heads
    d_model = n_heads * d_head
    layer = fill(MultiHeadAttention(d_model, n_heads, n_kv_heads=n_kv_heads, bias=False), seed)
    x, context = normal(n_queries, d_model, seed=seed), normal(n_keys, d_model, seed=seed + 1)
    mask = coins(n_queries, n_keys, seed=seed)
    matrices = [w.weight.detach().numpy().T for w in (layer.w_q, layer.w_k, layer.w_v, layer.w_o)]
    arrays = (x.numpy(), context.numpy(), *matrices, n_heads, mask.numpy())
    out = layer(x[None], context[None], mask=mask)
    agree("MultiHeadAttention", "NumPy twin", out[0], twin.multi_head_attention(*arrays))


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_grouped_heads_against_torch(n_kv_heads):
    """PyTorch shares key-value heads by itself when asked to (``enable_gqa``)."""
    layer, x = fill(MultiHeadAttention(8, 4, n_kv_heads=n_kv_heads)), normal(2, 5, 8)
    split = [layer._split(w(x)) for w in (layer.w_q, layer.w_k, layer.w_v)]
    heads = F.scaled_dot_product_attention(*split, enable_gqa=True)
    expected = layer.w_o(heads.transpose(1, 2).reshape(2, 5, 8))
    agree("MultiHeadAttention, grouped", "torch, enable_gqa", layer(x), expected)


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (2, 1, 5), (2, 3, 5, 5), (1, 3, 1, 5)])
def test_masks_of_every_documented_shape(shape):
    layer, x, mask = fill(MultiHeadAttention(6, 3)), normal(2, 5, 6), coins(*shape)
    full = (mask[:, None] if mask.ndim == 3 else mask).expand(2, 3, 5, 5)
    _, weights = layer(x, mask=mask, return_weights=True)
    assert torch.equal(weights > 0, full)
    q, k, v = (layer._split(w(x)) for w in (layer.w_q, layer.w_k, layer.w_v))
    heads = attend_by_loops(q, k, v, full)
    expected = heads.transpose(1, 2).reshape(2, 5, 6) @ layer.w_o.weight.T + layer.w_o.bias
    agree("MultiHeadAttention, masked", "Python loops", layer(x, mask=mask), expected)


def test_rotary_heads_see_distances_only():
    """The cached layer turns positions; without a cache a shift of all positions is invisible."""
    layer = fill(MultiHeadAttention(8, 2, rotary=True))
    x = normal(1, 6, 8)
    out, weights = layer(x, return_weights=True)
    q, k, v = (layer._split(w(x)) for w in (layer.w_q, layer.w_k, layer.w_v))
    angles = torch.outer(torch.arange(6).double(), torch.tensor([1.0, 0.01], dtype=torch.float64))
    turn = torch.polar(torch.ones_like(angles), angles)
    q, k = (torch.view_as_complex(y.unflatten(-1, (2, 2)).contiguous()) * turn for y in (q, k))
    scores = (q[..., :, None, :] * k[..., None, :, :].conj()).real.sum(-1) / 2
    expected = torch.softmax(scores, dim=-1)
    agree("MultiHeadAttention, rotary weights", "complex numbers", weights, expected)
    joined = (expected @ v).transpose(1, 2).reshape(1, 6, 8)
    agree("MultiHeadAttention, rotary", "complex numbers", out, layer.w_o(joined))


def test_rotary_makes_order_matter():
    x, order = normal(1, 5, 8), torch.tensor([3, 0, 4, 1, 2])
    plain, rotary = fill(MultiHeadAttention(8, 2)), fill(MultiHeadAttention(8, 2, rotary=True))
    agree("MultiHeadAttention, reordered", "itself", plain(x[:, order]), plain(x)[:, order])
    assert (rotary(x[:, order]) - rotary(x)[:, order]).abs().max() > 1e-3


@pytest.mark.verifies("MultiHeadAttention, gradients", "finite differences")
@pytest.mark.parametrize(
    "options",
    [
        {"n_kv_heads": 2},
        {"n_kv_heads": 1, "rotary": True},
        {"d_head": 4, "bias": "qv", "scale": 0.7, "rotary": Rotary(pairs="halves")},
        {"qk_norm": RMSNorm, "rotary": Rotary(base=5.0)},
    ],
)
def test_gradients_of_the_parameters(options):
    layer = fill(MultiHeadAttention(4, 2, **options))
    names, values = zip(*layer.named_parameters(), strict=True)
    mask = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 1]]) > 0

    def call(x, *values):
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(layer, state, x, {"mask": mask})

    assert gradcheck(call, (normal(1, 3, 4, seed=1).requires_grad_(), *values))


def test_dropout_in_training_only():
    torch.manual_seed(0)
    layer, x = MultiHeadAttention(8, 2, dropout=0.5).double(), normal(2, 5, 8)
    plain = MultiHeadAttention(8, 2).double()
    plain.load_state_dict(layer.state_dict())
    first, second = layer(x), layer(x)
    assert (first - second).abs().max() > 0.01
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    agree("MultiHeadAttention, eval", "without dropout", layer(x), plain(x))


# ---------------------------------------------------------------- the cache

CHUNKS = [[1] * 7, [4, 1, 1, 1], [2, 3, 2], [1, 5, 1], [7]]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_decoding_in_chunks_is_decoding_at_once(dtype, chunks, rotary, n_kv_heads):
    layer = fill(
        MultiHeadAttention(16, 4, n_kv_heads=n_kv_heads, rotary=rotary), 1, dtype, scale=0.25
    )
    x, cache = normal(2, 7, 16, dtype=dtype), KVCache()
    pieces = [layer(piece, is_causal=True, cache=cache) for piece in x.split(chunks, dim=1)]
    expected = layer(x, is_causal=True)
    agree("MultiHeadAttention, cached", "decoding at once", torch.cat(pieces, dim=1), expected)
    assert len(cache) == 7
    expected = 2 * 2 * n_kv_heads * 7 * 4 * x.element_size()  # 2 · B · G · T · d
    same("KVCache.nbytes", "by hand", cache.nbytes, expected)


def test_one_token_at_a_time_needs_no_mask():
    layer, x, cache = fill(MultiHeadAttention(8, 2, rotary=True)), normal(1, 4, 8), KVCache()
    steps = [layer(x[:, t : t + 1], cache=cache) for t in range(4)]
    expected = layer(x, is_causal=True)
    agree("MultiHeadAttention, cached", "decoding at once", torch.cat(steps, dim=1), expected)


def test_a_fresh_cache_is_empty():
    cache = KVCache()
    assert (len(cache), cache.nbytes) == (0, 0)


def test_cache_returns_old_positions_before_new_ones():
    cache, k, v = KVCache(), normal(2, 3, 5, 4), normal(2, 3, 5, 4, seed=1)
    cache.append(k[..., :2, :], v[..., :2, :])
    keys, values = cache.append(k[..., 2:, :], v[..., 2:, :])
    same("KVCache.append", "torch.cat", keys, k)
    same("KVCache.append", "torch.cat", values, v)


def test_cache_refuses_another_batch_and_stays_as_it_was():
    layer, cache = MultiHeadAttention(8, 2), KVCache()
    layer(torch.zeros(2, 3, 8), cache=cache)
    with pytest.raises(ValueError, match=r"k must continue the cache.*\(2, 2, 3, 4\)"):
        layer(torch.zeros(1, 1, 8), cache=cache)
    assert cache.keys.shape == cache.values.shape == (2, 2, 3, 4)


# ---------------------------------------------------------------- errors

Q = torch.zeros(2, 3, 4)
SHAPES = {
    "q must be": {"q": torch.zeros(4)},
    "k must be": {"k": torch.zeros(4)},
    "v must be": {"v": torch.zeros(4)},
    "q and k must have the same width": {"q": torch.zeros(2, 3, 5)},
    "k and v must have the same number": {"v": torch.zeros(2, 2, 4)},
    "q, k and v must agree": {"q": torch.zeros(3, 3, 4)},
    "k must hold at least one": {"k": torch.zeros(2, 0, 4), "v": torch.zeros(2, 0, 4)},
    r"mask must broadcast .*\(2, 3, 3\), got shape \(2, 3\)": {"mask": torch.ones(2, 3).bool()},
    r"mask must broadcast .*got shape \(5, 1, 3, 3\)": {"mask": torch.zeros(5, 1, 3, 3)},
    r"mask must broadcast .*got shape \(\)": {"mask": torch.tensor(True)},
}


@every_path
@pytest.mark.parametrize("message", SHAPES)
def test_shapes_that_do_not_fit(path, message):
    inputs = {"q": Q, "k": Q, "v": Q, **SHAPES[message]}
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        PATHS[path](**inputs)


@every_path
def test_masks_of_whole_numbers_are_refused(path):
    """A mask of ones and zeros would add 1 where it should show, and nothing would be hidden."""
    with pytest.raises(TypeError, match=r"mask must be boolean or floating, got torch.int64"):
        PATHS[path](Q, Q, Q, mask=torch.ones(3, 3, dtype=torch.int64))


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_dropout_out_of_range(p):
    with pytest.raises(ValueError, match=f"dropout_p .*got {p}"):
        attention.scaled_dot_product_attention(Q, Q, Q, dropout_p=p)
    with pytest.raises(ValueError, match=f"dropout .*got {p}"):
        MultiHeadAttention(4, 2, dropout=p)


def forgetful():
    """Return a cache with a window of 2 that has seen 3 positions of a batch of 2."""
    cache = KVCache(2)
    cache.append(torch.zeros(2, 1, 3, 4), torch.zeros(2, 1, 3, 4))
    return cache


WRONG = {
    "n_heads must divide d_model, got 3 and 8": lambda: MultiHeadAttention(8, 3),
    "n_heads must divide d_model, got 0 and 8": lambda: MultiHeadAttention(8, 0),
    "n_kv_heads must divide n_heads, got 3 and 4": lambda: MultiHeadAttention(8, 4, n_kv_heads=3),
    "n_kv_heads must divide n_heads, got 0 and 4": lambda: MultiHeadAttention(8, 4, n_kv_heads=0),
    "heads of even width, got 3": lambda: MultiHeadAttention(6, 2, rotary=True),
    "block_size must be at least 1, got 0": lambda: online(Q, Q, Q, block_size=0),
    "window must be at least 1, got 0": lambda: attention.sliding_window_mask(3, 0),
    "n_queries must be at least 1, got 0": lambda: attention.causal_mask(0, 3),
    "n_queries must not exceed n_keys.* 5 and 3": lambda: attention.causal_mask(5, 3),
    "n_queries must not exceed n_keys.* 4 and 3": lambda: attention.sliding_window_mask(
        4, 2, n_keys=3, causal=False
    ),
    "n_keys must be at least 1, got 0": lambda: attention.sliding_window_mask(3, 1, n_keys=0),
    r"lengths must lie .*4, got \[5\]": lambda: attention.padding_mask(torch.tensor([5]), 4),
    r"lengths must lie .*got \[-1\]": lambda: attention.padding_mask(torch.tensor([-1]), 4),
    "lengths must hold": lambda: attention.padding_mask(torch.tensor([], dtype=torch.int64)),
    "v must have the shape of k": lambda: KVCache().append(Q[None], Q[None, ..., :2]),
    r"x must have 8 features .*\(1, 2, 4\)": lambda: MultiHeadAttention(8, 2)(torch.zeros(1, 2, 4)),
    r"three dimensions, \(batch, length, 8\), got shape \(2, 8\)": lambda: MultiHeadAttention(8, 2)(
        torch.zeros(2, 8)
    ),
    r"context must have 4 features": lambda: MultiHeadAttention(4, 2)(Q, Q[..., :2]),
    "positions are for a rotary layer": lambda: MultiHeadAttention(4, 2)(
        Q, positions=torch.arange(3)
    ),
    "positions must have one entry": lambda: MultiHeadAttention(4, 2, rotary=True)(
        Q, positions=torch.arange(4)
    ),
    "bias must be True, False, or letters": lambda: MultiHeadAttention(8, 2, bias="qx"),
    "bias must be True, False, or letters .* None": lambda: MultiHeadAttention(8, 2, bias=None),
    "d_head must be at least 1, got 0": lambda: MultiHeadAttention(8, 2, d_head=0),
    "window must be at least 1, got -1": lambda: KVCache(-1),
    "length must be from 0 to 0, got 1": lambda: KVCache().crop(1),
    "holds only the last 2 of 3 positions": lambda: forgetful().crop(1),
    "rows must be from 0 to 1, got 2": lambda: forgetful().reorder(torch.tensor([0, 2])),
    r"k must be \(batch, heads": lambda: KVCache().append(Q, Q),
    r"k must continue .*float32, got .*float64": lambda: forgetful().append(
        *[torch.zeros(2, 1, 1, 4).double()] * 2
    ),
    "context goes with neither": lambda: MultiHeadAttention(4, 2)(Q, Q, cache=KVCache()),
    "context goes .* rotary": lambda: MultiHeadAttention(4, 2, rotary=True)(Q, Q),
}


@pytest.mark.parametrize("message", WRONG)
def test_errors_name_the_argument(message):
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        WRONG[message]()


# ---------------------------------------------------------------- 16 bits

every_16 = pytest.mark.parametrize("dtype", SIXTEEN_BITS)


@every_path
@every_16
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"mask": coins(3, 3)}])
def test_16_bits_at_the_largest_numbers(path, dtype, options):
    """Scores of 65,504² · 64 exceed float16 by far; float32 holds them."""
    top = min(torch.finfo(dtype).max, 1e17)  # beyond, their products exceed float32 too
    signs = torch.tensor([[1.0], [-1.0], [0.5]])
    q = (signs * top).expand(3, 64).to(dtype)
    k = (signs.flip(0) * top).expand(3, 64).to(dtype)
    v = (normal(3, 8) * torch.finfo(dtype).max / 8).to(dtype)
    value = PATHS[path](q, k, v, **options)
    assert value.dtype == dtype
    agree_16(path, value, PATHS[path](q.float(), k.float(), v.float(), **options))


@every_path
def test_forty_in_float16(path):
    """40 · 40 · 64 is more than float16 holds, an eighth of it is not."""
    q = torch.full((2, 3, 64), 40.0, dtype=torch.float16)
    agree_16(f"{path}, q = 40", PATHS[path](q, q, q), torch.full((2, 3, 64), 40.0), "by hand")


@every_16
def test_weights_and_gradients_of_16_bits(dtype):
    inputs = [x.to(dtype) for x in qkv(2, d_v=4, scale=3.0)]
    low = [x.clone().requires_grad_() for x in inputs]
    high = [x.float().requires_grad_() for x in inputs]
    call = attention.scaled_dot_product_attention
    (out, weights), (expected, wanted) = (call(*x, return_weights=True) for x in (low, high))
    agree_16("scaled_dot_product_attention, weights", weights, wanted)
    out.float().square().sum().backward()
    expected.to(dtype).float().square().sum().backward()
    for ours, theirs in zip(low, high, strict=True):
        agree_16("scaled_dot_product_attention, gradient", ours.grad, theirs.grad)


@every_path
def test_a_large_finite_mask_stays_finite_in_float16(path):
    """−10⁹ is beyond float16, but hides nothing where all scores get it."""
    q, k, v = (x.half() for x in qkv(2))
    mask = torch.full((5, 6), -1e9)
    ones = PATHS[path](q, k, torch.ones_like(v), mask=mask)  # the weights' sums
    agree_16(f"{path}, −10⁹ everywhere", ones, torch.ones(2, 5, 3), "by hand")
    mask[:, 3:] = 0.0
    value = PATHS[path](q, k, v, mask=mask)
    hidden_ones = PATHS[path](q, k, v, mask=torch.arange(6) >= 3)
    agree_16(f"{path}, −10⁹", value, hidden_ones, "a boolean mask")


@every_16
@pytest.mark.parametrize("rotary", [False, True])
def test_heads_of_16_bits(dtype, rotary):
    layer = fill(MultiHeadAttention(8, 2, rotary=rotary), dtype=torch.float32).to(dtype)
    x = normal(2, 5, 8, scale=20.0, dtype=torch.float32).to(dtype)
    value, expected = layer(x), copy.deepcopy(layer).float()(x.float())
    unit = (
        8 * torch.finfo(dtype).eps * float(expected.detach().abs().max())
    )  # each projection rounds
    name = "MultiHeadAttention, 16 bits"
    agree(name, "itself in float32", value.float(), expected, unit, limit=str(dtype)[6:])


# ---------------------------------------------------------------- what is no number


@every_path
@pytest.mark.parametrize("d_v", [3, 4])  # PyTorch has another kernel where d_v = d_k
@pytest.mark.parametrize("where", ["q", "k", "v", "q of one query", "all of k"])
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"mask": coins(6, 6)}])
def test_nan_is_not_hidden(path, d_v, where, options):
    q, k, v = qkv(1, 2, n_queries=6, d_v=d_v)
    spoilt = {"q": q, "k": k[..., :1, :], "v": v[..., :1, :], "all of k": k}
    spoilt["q of one query"] = q[..., 2, :]
    spoilt[where][...] = math.nan
    value = PATHS[path](q, k, v, **options)
    sees = ~hidden(size=6, **options).expand(2, 6, 6)
    wanted = {
        "q": sees.any(-1),
        "k": sees[..., 0],
        "all of k": sees.any(-1),
        "q of one query": sees.any(-1) & (torch.arange(6) == 2),
        "v": sees[..., 0],
    }[where]
    if where != "v":
        assert torch.equal(value[0].isnan().all(-1), wanted)
    else:  # weights of 0 times NaN are NaN everywhere
        assert value[0].isnan().all(-1)[wanted].all()


# ---------------------------------------------------------------- what heads may be made of


def take_projections(ours, theirs):
    """Give our layer the four matrices of one of transformers."""
    for name in "qkvo":
        state = getattr(theirs, f"{name}_proj").state_dict()
        getattr(ours, f"w_{name}").load_state_dict(state)


def test_llama_layer_against_transformers():
    """Heads of their own width, grouped, no biases, turned in halves, with positions per row."""
    config = LlamaConfig(
        hidden_size=12,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        attn_implementation="eager",
    )
    config.rope_parameters = {"rope_type": "default", "rope_theta": 500_000.0}
    theirs = modeling_llama.LlamaAttention(config, layer_idx=0).double().eval()
    turn = Rotary(base=500_000.0, pairs="halves")
    ours = MultiHeadAttention(12, 4, n_kv_heads=2, d_head=6, bias=False, rotary=turn).double()
    take_projections(ours, theirs)
    x, positions = normal(2, 5, 12), torch.tensor([[0, 1, 2, 3, 4], [0, 0, 7, 8, 9]])
    turned = modeling_llama.LlamaRotaryEmbedding(config)(x, positions)
    mask = additive(attention.causal_mask(5))[None, None]
    expected, their_weights = theirs(x, turned, mask)
    out, weights = ours(x, is_causal=True, positions=positions, return_weights=True)
    # Llama's angles are float32.
    agree("MultiHeadAttention, Llama", "transformers, Llama", out.float(), expected.float(), 1e-5)
    ours, theirs = weights.float(), their_weights.float()
    agree("MultiHeadAttention, Llama, weights", "transformers, Llama", ours, theirs, 1e-5)


def test_qwen_3_layer_against_transformers():
    """Queries and keys are normalised before they are turned."""
    config = Qwen3Config(
        hidden_size=12,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=6,
        attn_implementation="eager",
    )
    theirs = fill(modeling_qwen3.Qwen3Attention(config, layer_idx=0)).eval()
    ours = MultiHeadAttention(
        12,
        4,
        n_kv_heads=2,
        d_head=6,
        bias=False,
        rotary=Rotary(base=config.rope_parameters["rope_theta"], pairs="halves"),
        qk_norm=functools.partial(RMSNorm, eps=config.rms_norm_eps),
    ).double()
    take_projections(ours, theirs)
    for name in "qk":
        state = getattr(theirs, f"{name}_norm").state_dict()
        getattr(ours, f"{name}_norm").load_state_dict(state)
    x = normal(2, 5, 12)
    turned = modeling_qwen3.Qwen3RotaryEmbedding(config)(x, torch.arange(5)[None])
    expected, _ = theirs(x, turned, additive(attention.causal_mask(5))[None, None])
    out = ours(x, is_causal=True)
    agree("MultiHeadAttention, Qwen 3", "transformers", out.float(), expected.float(), 1e-5)


@pytest.mark.parametrize(
    ("bias", "names"),
    [(True, "qkvo"), (False, ""), ("qkv", "qkv"), ("qvo", "qvo"), ("", "")],
)
def test_which_projections_have_a_bias(bias, names):
    layer = fill(MultiHeadAttention(4, 2, bias=bias))
    biased = [name for name in "qkvo" if getattr(layer, f"w_{name}").bias is not None]
    assert biased == list(names)
    x = normal(1, 3, 4)
    q, k, v = (
        F.linear(x, w.weight, w.bias).unflatten(-1, (2, 2)).transpose(1, 2)
        for w in (layer.w_q, layer.w_k, layer.w_v)
    )
    joined = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    expected = F.linear(joined, layer.w_o.weight, layer.w_o.bias)
    agree("MultiHeadAttention, biases", "torch", layer(x), expected)


def test_a_scale_of_ones_own():
    layer, x = fill(MultiHeadAttention(8, 2, scale=0.1)), normal(2, 5, 8)
    q, k, v = (layer._split(w(x)) for w in (layer.w_q, layer.w_k, layer.w_v))
    heads = F.scaled_dot_product_attention(q, k, v, scale=0.1)
    expected = layer.w_o(heads.transpose(1, 2).flatten(2))
    agree("MultiHeadAttention, scale", "torch", layer(x), expected)


def test_positions_of_padded_sequences():
    """Filled up at the front: with its own positions each text gets what it gets alone."""
    layer, x = fill(MultiHeadAttention(8, 2, rotary=True)), normal(2, 5, 8)
    real = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]) > 0
    positions = real.cumsum(1) - 1
    out = layer(x, mask=real[:, None], is_causal=True, positions=positions.clamp(min=0))
    alone = layer(x[:1, 2:], is_causal=True)
    agree("MultiHeadAttention, positions", "itself, alone", out[:1, 2:], alone)


# ---------------------------------------------------------------- a cache that changes


def test_a_wrong_call_leaves_the_cache_as_it_was():
    layer, x, cache = fill(MultiHeadAttention(8, 2, rotary=True)), normal(1, 4, 8), KVCache()
    layer(x[:, :3], is_causal=True, cache=cache)
    wrong = [
        {"mask": torch.ones(7, 7).bool()},
        {"mask": torch.ones(1, 4).long()},
        {"positions": torch.arange(2)},
        {"mask": [True]},
    ]
    for options in wrong:
        with shapes.unchecked(), pytest.raises((ValueError, TypeError)):
            layer(x[:, 3:], cache=cache, **options)
        assert (len(cache), cache.seen) == (3, 3)
    out = layer(x[:, 3:], is_causal=True, cache=cache)
    expected = layer(x, is_causal=True)[:, 3:]
    agree("MultiHeadAttention, cached, after an error", "decoding at once", out, expected)


def test_an_error_at_the_very_end_leaves_the_cache_as_it_was(monkeypatch):
    layer, x, cache = fill(MultiHeadAttention(8, 2)), normal(1, 4, 8), KVCache()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(layer, "_merge", stop)
    with pytest.raises(KeyboardInterrupt):
        layer(x, cache=cache)
    assert (len(cache), cache.seen, cache.nbytes) == (0, 0, 0)


@pytest.mark.parametrize("rotary", [False, True])
def test_guesses_are_taken_back(rotary):
    layer, x = fill(MultiHeadAttention(8, 2, rotary=rotary)), normal(2, 6, 8)
    cache, guess = KVCache(), normal(2, 3, 8, seed=1)
    layer(x[:, :4], is_causal=True, cache=cache)
    layer(guess, is_causal=True, cache=cache)
    cache.crop(4)
    assert (len(cache), cache.seen) == (4, 4)
    out = layer(x[:, 4:], is_causal=True, cache=cache)
    expected = layer(x, is_causal=True)[:, 4:]
    agree("KVCache.crop", "decoding at once", out, expected)
    cache.crop(0)
    assert (len(cache), cache.nbytes) == (0, 0)


def test_beams_change_places():
    layer, x = fill(MultiHeadAttention(8, 2, rotary=True)), normal(3, 5, 8)
    cache, rows = KVCache(), torch.tensor([2, 0, 0, 1])
    layer(x[:, :4], is_causal=True, cache=cache)
    cache.reorder(rows)
    out = layer(x[rows, 4:], is_causal=True, cache=cache)
    expected = layer(x[rows], is_causal=True)[:, 4:]
    agree("KVCache.reorder", "decoding at once", out, expected)
    KVCache().reorder(rows)  # nothing is held, nothing changes place


@pytest.mark.parametrize("chunks", [*CHUNKS, [3, 4]])
@pytest.mark.parametrize("window", [1, 2, 3, 10])
def test_a_window_is_attention_with_a_sliding_window(chunks, window):
    layer, x = fill(MultiHeadAttention(8, 2, rotary=True)), normal(2, 7, 8)
    cache = KVCache(window)
    pieces = [layer(piece, is_causal=True, cache=cache) for piece in x.split(chunks, dim=1)]
    expected = layer(x, mask=attention.sliding_window_mask(7, window))
    name = "MultiHeadAttention, cache with a window"
    agree(name, "sliding_window_mask", torch.cat(pieces, dim=1), expected)
    assert (len(cache), cache.seen) == (min(7, window), 7)
    same("KVCache.nbytes, window", "by hand", cache.nbytes, 2 * 2 * 2 * min(7, window) * 4 * 8)


@pytest.mark.parametrize("kind", ["boolean", "additive"])
def test_a_mask_and_a_window_both_count(kind):
    layer, x, cache = fill(MultiHeadAttention(8, 2)), normal(1, 6, 8), KVCache(3)
    sees = coins(6, 6).index_fill(1, torch.tensor([5]), True)
    layer(x[:, :4], is_causal=True, cache=cache)
    mask = sees[4:, 1:]  # three keys are held, two are new
    out = layer(
        x[:, 4:],
        mask=mask if kind == "boolean" else additive(mask),
        is_causal=True,
        cache=cache,
    )
    expected = layer(x, mask=sees & attention.sliding_window_mask(6, 3))[:, 4:]
    agree("MultiHeadAttention, window and mask", "sliding_window_mask", out, expected)


# ---------------------------------------------------------------- kinds of arguments

WRONG_KINDS = {
    "positional arguments": lambda: attention.scaled_dot_product_attention(Q, Q, Q, None, 0.1),
    "4 positional|5 were given": lambda: attention.online_softmax_attention(Q, Q, Q, None, 64),
    "2 positional|3 positional|were given": lambda: MultiHeadAttention(8, 2, 0.1),
    "positional arguments but 4": lambda: MultiHeadAttention(4, 2)(Q, Q, Q),
    "q must be a torch tensor, got ndarray": lambda: fused(Q.numpy(), Q, Q),
    "v must be a torch tensor, got list": lambda: fused(Q, Q, [[1.0]]),
    "q must hold floating-point numbers": lambda: fused(Q.long(), Q, Q),
    "q, k and v must have one number format": lambda: fused(Q.double(), Q, Q),
    "one number format, got torch.float16": lambda: fused(Q.half(), Q, Q),
    "one number format, got torch.float32, torch.bfloat16": lambda: weighted(Q, Q.bfloat16(), Q),
    "cache must be a KVCache, got bool": lambda: MultiHeadAttention(4, 2)(Q, cache=True),
    "cache must be a KVCache, got dict": lambda: MultiHeadAttention(4, 2)(Q, cache={}),
    "k must be a torch tensor": lambda: online(Q, Q.numpy(), Q),
    "mask must be a torch tensor, got list": lambda: fused(Q, Q, Q, mask=[[True] * 3] * 3),
    "x must be a torch tensor, got list": lambda: MultiHeadAttention(4, 2)([[[0.0] * 4]]),
    "context must hold floating": lambda: MultiHeadAttention(4, 2)(Q, Q.long()),
    "n_queries must be a whole number, got 2.5": lambda: attention.causal_mask(2.5),
    "n_keys must be a whole number, got 3.0": lambda: attention.causal_mask(2, 3.0),
    "window must be a whole number, got 1.5": lambda: attention.sliding_window_mask(3, 1.5),
    "window must be a whole number, got 2.5": lambda: KVCache(2.5),
    "block_size must be a whole number, got 1.5": lambda: online(Q, Q, Q, block_size=1.5),
    "lengths must be a torch tensor, got list": lambda: attention.padding_mask([1, 2]),
    "lengths must hold whole numbers": lambda: attention.padding_mask(torch.tensor([1.5])),
    "lengths must hold whole numbers, got torch.bool": lambda: attention.padding_mask(
        torch.tensor([True])
    ),
    "max_length must be a whole number": lambda: attention.padding_mask(torch.tensor([1]), 2.5),
    "n_heads must be a whole number, got 2.0": lambda: MultiHeadAttention(8, 2.0),
    "n_kv_heads must be a whole number": lambda: MultiHeadAttention(8, 2, n_kv_heads=0.5),
    "d_head must be a whole number": lambda: MultiHeadAttention(8, 2, d_head=2.5),
    "rotary must be True, False or a Rotary, got 0.5": lambda: MultiHeadAttention(8, 2, rotary=0.5),
    "rows must hold whole numbers": lambda: KVCache().reorder(torch.tensor([True])),
    "length must be a whole number, got 1.5": lambda: KVCache().crop(1.5),
}


@pytest.mark.parametrize("message", WRONG_KINDS)
def test_kinds_of_arguments(message):
    with shapes.unchecked(), pytest.raises(TypeError, match=message):
        WRONG_KINDS[message]()
