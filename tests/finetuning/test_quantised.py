import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from torch import nn

from companion.finetuning import (
    NF4Linear,
    NF4Tensor,
    count_trainable,
    nf4_levels,
    quantise_linears,
    quantise_nf4,
)
from companion.layers import Linear
from companion.reference import finetuning as twin
from tests.finetuning.support import copy_of, ids, model, unchanged
from tests.plugins import shapes
from tests.support import fill, normal, seeds, shapes_vary
from tests.verification import agree, same

#: Dettmers, Pagnoni, Holtzman and Zettlemoyer, "QLoRA: Efficient Finetuning of Quantized LLMs"
#: (2023), appendix E: the exact values of NF4, which bitsandbytes has in its code, too.
PUBLISHED = [
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
]


# -- the levels ----------------------------------------------------------------------------------


def test_the_levels_are_those_of_the_paper():
    """The paper gives them in float32, made with an outermost probability of seven digits."""
    options = {"tolerance": 2e-6, "limit": "float32"}
    agree("nf4_levels", "QLoRA, appendix E", nf4_levels(), PUBLISHED, **options)
    agree("twin: nf4_levels", "QLoRA, appendix E", twin.nf4_levels(), PUBLISHED, **options)


def test_the_levels_are_quantiles():
    outer = (29 / 30 + 31 / 32) / 2
    above = norm.ppf(np.linspace(0.5, outer, 9)[1:])
    below = -norm.ppf(np.linspace(0.5, outer, 8)[:0:-1])
    expected = np.array([*below, 0, *above]) / above[-1]
    agree("nf4_levels", "scipy", nf4_levels(), expected)
    agree("nf4_levels", "NumPy twin", nf4_levels(), twin.nf4_levels())
    assert (nf4_levels().diff() > 0).all()


# -- rounding ------------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(1, 200), block=st.sampled_from([2, 8, 64]), seed=seeds)
def test_rounding_against_its_twin(n, block, seed):
    w = normal(n, seed=seed)
    kept = quantise_nf4(w, block, double=False)
    expected = twin.nf4_round(w.tolist(), block)
    agree("quantise_nf4", "NumPy twin", kept.dequantise(), expected)
    agree("NF4Tensor.dequantise", "NumPy twin", kept.dequantise(), expected)


def test_the_twin_against_the_published_table():
    """Each weight divided by the largest of its block is the nearest number of the table."""
    w = normal(128).numpy()
    rounded = np.array(twin.nf4_round(w.tolist(), 64))
    blocks, largest = w.reshape(2, 64), np.abs(w.reshape(2, 64)).max(axis=1, keepdims=True)
    table = np.array(PUBLISHED)
    nearest = table[np.abs(blocks[..., None] / largest[..., None] - table).argmin(axis=-1)]
    agree(
        "twin: nf4_round",
        "QLoRA, appendix E",
        rounded,
        (nearest * largest).ravel(),
        1e-5,
        limit="float32",
    )


def test_levels_are_kept_as_they_are():
    w = (3 * nf4_levels()).repeat(4)
    kept = quantise_nf4(w, 16, double=False)
    agree("quantise_nf4, of levels", "the levels", kept.dequantise(), w)
    same("NF4Tensor, codes", "by hand", kept.codes[:3], [0x01, 0x23, 0x45])
    again = quantise_nf4(kept.dequantise(), 16, double=False)
    same("quantise_nf4, twice", "once", again.codes, kept.codes)


def test_zeros_ends_and_odd_numbers():
    kept = quantise_nf4(torch.zeros(3, 5), 4)
    same("quantise_nf4, of zeros", "zeros", kept.dequantise(), torch.zeros(3, 5))
    w = torch.tensor([[1.0, -2.0, 0.0], [4.0, 0.0, -1.0]])
    for double in (False, True):
        found = quantise_nf4(w, 4, double=double).dequantise()
        assert found.shape == w.shape
        assert (found == 0).tolist() == (w == 0).tolist()


def test_one_large_weight_spoils_its_block_alone():
    w = normal(256)
    off = (quantise_nf4(w, 64, double=False).dequantise() - w).abs().view(4, 64).amax(dim=1)
    w[70] = 1000.0
    after = (quantise_nf4(w, 64, double=False).dequantise() - w).abs().view(4, 64).amax(dim=1)
    assert (after == off).tolist() == [True, False, True, True]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_formats_come_back(dtype):
    w = normal(40, 7, dtype=dtype)
    for double in (False, True):
        found = quantise_nf4(w, double=double).dequantise()
        assert (found.dtype, found.shape) == (dtype, w.shape)


def test_double_quantisation_by_hand():
    """Scales less their mean, in steps of one 127th of the largest of 256."""
    w = normal(600, 64, scale=0.02)
    plain, double = quantise_nf4(w, double=False), quantise_nf4(w)
    same("quantise_nf4, double", "the same levels", double.codes, plain.codes)
    scales = plain.scales.numpy()
    expected = np.empty_like(scales)
    for start in range(0, 600, 256):
        off = scales[start : start + 256] - scales.mean()
        step = np.abs(off).max() / 127
        expected[start : start + 256] = scales.mean() + step * np.rint(off / step)
    agree("NF4Tensor.absmax, double", "by hand", double.absmax(), expected)
    worst = float((double.absmax() - plain.absmax()).abs().max())
    assert 0 < worst <= float(double.steps.max()) / 2 * 1.0001
    assert double.scales.dtype == torch.int8


def test_bits_of_a_weight():
    """4 for the level; 32 for the scale of 64 weights, or 8, and 32 for each 256 of those."""
    w = normal(256, 64, dtype=torch.float32)
    same("NF4Tensor.bits_per_weight", "by hand", quantise_nf4(w, double=False).bits_per_weight, 4.5)
    by_hand = 4 + 8 / 64 + 32 / (64 * 256) + 32 / (64 * 256)
    agree("NF4Tensor.bits_per_weight, double", "by hand", quantise_nf4(w).bits_per_weight, by_hand)


def test_normal_weights_lose_less_than_by_equal_steps():
    w = normal(1000, 64)
    nf4 = (quantise_nf4(w, double=False).dequantise() - w).square().mean()
    largest = w.abs().amax(dim=1, keepdim=True)
    equal = ((w / largest * 7).round() / 7 * largest - w).square().mean()  # 15 levels of one step
    assert nf4 < 0.85 * equal


# -- layers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Linear, nn.Linear])
def test_a_layer_multiplies_with_the_rounded_weights(kind):
    plain = fill(kind(70, 6))
    ours, x = NF4Linear(plain, double=False), normal(3, 70)
    rounded = np.reshape(twin.nf4_round(plain.weight.flatten().tolist(), 64), (6, 70))
    expected = x.numpy() @ rounded.T + plain.bias.detach().numpy()
    agree("NF4Linear", "NumPy twin", ours(x), expected)
    agree("NF4Linear.weight", "NumPy twin", ours.weight, rounded)
    x.requires_grad_()
    assert torch.autograd.gradcheck(ours, x)


def test_weights_can_be_set_and_stored():
    ours, other = NF4Linear(fill(Linear(64, 4))), NF4Linear(fill(Linear(64, 4), seed=1))
    w = normal(4, 64, seed=5)
    ours.set_weight(w)
    same("NF4Linear.set_weight", "quantise_nf4", ours.weight, quantise_nf4(w).dequantise())
    other.load_state_dict(ours.state_dict())
    same("NF4Linear, state", "the layer it came from", other.weight, ours.weight)
    before = copy_of(ours)
    with shapes.unchecked(), pytest.raises(ValueError, match=r"shape \(4, 64\), got \(64, 4\)"):
        ours.set_weight(w.T)
    with pytest.raises(ValueError, match="weight must be finite"):
        ours.set_weight(w / 0)
    assert unchanged(ours, before)


def test_a_model_is_rounded():
    one, some = model().float(), ids(2, 5)
    expected, before = one(some), count_trainable(one)
    quantise_linears(one)
    after = count_trainable(one)
    same("quantise_linears, parameters", "the model before", after.total, before.total)
    assert after.bytes < 0.35 * before.bytes
    assert 0 < (one(some) - expected).abs().max() < 1
    rounded = model().float()
    with torch.no_grad():
        for name, each in rounded.named_modules():
            if isinstance(each, Linear):
                each.weight.copy_(one.get_submodule(name).weight)
    agree("quantise_linears", "the model with rounded weights", one(some), rounded(some))


def test_wrong_calls():
    w = torch.ones(4)
    with shapes.unchecked():
        for error, message, call in (
            (
                ValueError,
                "block_size must be even, since bytes hold two, got 7",
                lambda: quantise_nf4(w, 7),
            ),
            (ValueError, "block_size must be at least 1", lambda: quantise_nf4(w, 0)),
            (ValueError, "weight must not be empty", lambda: quantise_nf4(torch.ones(0, 3))),
            (ValueError, "weight must be finite", lambda: quantise_nf4(w / 0)),
            (TypeError, "weight must hold floating", lambda: quantise_nf4(w.long())),
            (TypeError, "weight must be a torch tensor", lambda: quantise_nf4([1.0])),
            (TypeError, "double must be True or False", lambda: quantise_nf4(w, double="no")),
            (TypeError, "layer must be a Linear, got ReLU", lambda: NF4Linear(nn.ReLU())),
            (ValueError, "has no 'w_g'", lambda: quantise_linears(model(), ["w_g"])),
            (
                ValueError,
                "x must have 64 features",
                lambda: NF4Linear(Linear(64, 2))(torch.ones(1, 3)),
            ),
        ):
            with pytest.raises(error, match=message):
                call()
    assert isinstance(quantise_nf4(w), NF4Tensor)
    assert "block_size=64, double=True" in repr(NF4Linear(Linear(64, 2)))
