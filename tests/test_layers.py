import copy
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from transformers import LlamaConfig
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama

from companion import layers
from companion.activations import silu
from companion.reference import layers as twin
from tests.plugins import shapes
from tests.support import (
    FLOATS,
    SIXTEEN_BITS,
    agree_16,
    fill,
    normal,
    seeds,
    shapes_vary,
    sizes,
)
from tests.verification import agree

batches = st.lists(st.integers(1, 4), max_size=3)


@shapes_vary
@given(batch=batches, d_in=sizes, d_out=sizes, bias=st.booleans(), seed=seeds)
def test_linear_of_any_shape(batch, d_in, d_out, bias, seed):
    for dtype in FLOATS:
        ours = fill(layers.Linear(d_in, d_out, bias), seed, dtype)
        theirs = nn.Linear(d_in, d_out, bias, dtype=dtype)
        theirs.load_state_dict(ours.state_dict())
        x = normal(*batch, d_in, seed=seed, dtype=dtype)
        agree("Linear", "torch.nn.Linear", ours(x), theirs(x))
        plain = ours.bias.detach().numpy() if bias else 0.0
        expected = twin.linear(x.numpy(), ours.weight.detach().numpy(), plain)
        agree("Linear", "NumPy twin", ours(x), expected)


def test_linear_starts_within_its_bounds():
    torch.manual_seed(0)
    layer = layers.Linear(16, 200)
    for parameter in layer.parameters():  # uniform in ±1/4: the spread is 1/4 / √3
        assert parameter.abs().max() <= 0.25
        assert parameter.std().item() == pytest.approx(0.25 / math.sqrt(3), rel=0.1)
        assert abs(parameter.mean().item()) < 0.03


@pytest.mark.parametrize("name", ["Linear", "LayerNorm", "RMSNorm"])
def test_gradients_of_input_and_parameters(name):
    layer = layers.Linear(4, 3) if name == "Linear" else getattr(layers, name)(4)
    layer = fill(layer)
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), x)

    assert gradcheck(call, (normal(2, 3, 4, seed=1).requires_grad_(), *values))


def test_embedding_looks_up_rows():
    layer, ids = fill(layers.Embedding(7, 3)), torch.tensor([[0, 6, 2], [2, 2, 5]])
    agree("Embedding", "torch.nn.functional.embedding", layer(ids), F.embedding(ids, layer.weight))
    one_hot = F.one_hot(ids, 7).double()
    agree("Embedding", "one-hot product", layer(ids), one_hot @ layer.weight)
    layer(ids).sum().backward()
    used = layer.weight.grad[:, 0].tolist()
    assert used == [1.0, 0.0, 3.0, 0.0, 0.0, 1.0, 1.0]  # how often each id came


NORMS = {"LayerNorm": (nn.LayerNorm, twin.layer_norm), "RMSNorm": (nn.RMSNorm, twin.rms_norm)}


@shapes_vary
@given(batch=batches, d=sizes, eps=st.sampled_from([1e-12, 1e-5, 0.1]), seed=seeds)
@pytest.mark.parametrize("name", NORMS)
def test_norms_of_any_shape(name, batch, d, eps, seed):
    theirs, of_numpy = NORMS[name]
    for dtype in FLOATS:
        ours = fill(getattr(layers, name)(d, eps), seed, dtype)
        oracle = theirs(d, eps, dtype=dtype)
        oracle.load_state_dict(ours.state_dict())
        x = normal(*batch, d, seed=seed, dtype=dtype)
        agree(name, f"torch.nn.{name}", ours(x), oracle(x))
    with torch.no_grad():
        plain = getattr(layers, name)(d, eps).double()(x.double())
    agree(name, "NumPy twin", plain, of_numpy(x.double().numpy(), eps))


def test_norms_by_hand():
    # Mean 2.5, deviations −1.5 −0.5 0.5 1.5, variance (2.25 + 0.25)·2/4 = 1.25 (not ·2/3).
    x = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    root = math.sqrt(1.25)
    layer = layers.LayerNorm(4, eps=0.0).double()
    agree("LayerNorm", "by hand", layer(x), [-1.5 / root, -0.5 / root, 0.5 / root, 1.5 / root])
    # With eps = 0.75 the root is √2; the gain 2 and the shift 1 come last.
    layer = layers.LayerNorm(4, eps=0.75).double()
    nn.init.constant_(layer.weight, 2.0)
    nn.init.constant_(layer.bias, 1.0)
    expected = [
        1 - 3 / math.sqrt(2),
        1 - 1 / math.sqrt(2),
        1 + 1 / math.sqrt(2),
        1 + 3 / math.sqrt(2),
    ]
    agree("LayerNorm", "by hand", layer(x), expected)
    # Mean square (1 + 4 + 9 + 16)/4 = 7.5; with eps = 1.5 the root is 3.
    layer = layers.RMSNorm(4, eps=1.5).double()
    agree("RMSNorm", "by hand", layer(x), [1 / 3, 2 / 3, 1.0, 4 / 3])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", NORMS)
def test_norms_of_large_and_constant_rows(name, dtype):
    x = torch.tensor(
        [[1000.0, -1000.0, 1000.0, -1000.0], [1000.0] * 4, [0.0] * 4], dtype=dtype
    ).requires_grad_()
    y = getattr(layers, name)(4).to(dtype)(x)
    constant = [0.0] * 4 if name == "LayerNorm" else [1.0] * 4
    agree(f"{name} at ±1000", "by hand", y, [[1.0, -1.0, 1.0, -1.0], constant, [0.0] * 4])
    (gradient,) = torch.autograd.grad(y[:, 0].sum(), x)
    assert gradient.isfinite().all()


def test_layer_norm_keeps_small_differences_on_a_large_offset():
    """E[x²] − E[x]² in place of the deviations would lose all digits here."""
    x = torch.tensor([4096.0, 4097.0, 4098.0, 4099.0])
    y = layers.LayerNorm(4)(x)
    agree("LayerNorm on 4096", "torch.nn.LayerNorm", y, F.layer_norm(x.double(), (4,)))


def test_sinusoidal_by_hand():
    # d = 4: frequencies 1 and 1/100. Row t: sin t, cos t, sin t/100, cos t/100.
    expected = [[f(t / b) for b in (1, 100) for f in (math.sin, math.cos)] for t in range(50)]
    agree("sinusoidal_positions", "by hand", layers.sinusoidal_positions(50, 4), expected)
    # base 16, d = 4: the second frequency is 16^(−1/2) = 1/4.
    row = layers.sinusoidal_positions(3, 4, base=16.0)[2]
    expected = [math.sin(2), math.cos(2), math.sin(0.5), math.cos(0.5)]
    agree("sinusoidal_positions", "by hand", row, expected)


@shapes_vary
@given(length=st.integers(1, 40), half=st.integers(1, 8), base=st.sampled_from([10.0, 10_000.0]))
def test_positions_against_their_twins(length, half, base):
    table = layers.sinusoidal_positions(length, 2 * half, base)
    expected = twin.sinusoidal_positions(length, 2 * half, base)
    agree("sinusoidal_positions", "NumPy twin", table, expected)
    x = normal(length, 2 * half, seed=length)
    agree(
        "apply_rotary",
        "NumPy twin",
        layers.apply_rotary(x, base=base),
        twin.apply_rotary(x.numpy(), base),
    )


def test_sinusoidal_far_out():
    """An angle of 100,000 in float32 would be off by 0.004."""
    row = layers.sinusoidal_positions(100_001, 2)[-1]
    agree("sinusoidal_positions at 100,000", "Python's math", row, [math.sin(1e5), math.cos(1e5)])


def test_rotary_by_hand():
    # Position 3, d = 4: (1, 0) turns by 3 to (cos 3, sin 3); (0, 1) by 0.03 to (−sin, cos).
    x = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    expected = [[math.cos(3), math.sin(3), -math.sin(0.03), math.cos(0.03)]]
    agree("apply_rotary", "by hand", layers.apply_rotary(x, torch.tensor([3])), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_rotary_against_gpt_j(dtype):
    """GPT-J pairs neighbours, as this package does; its tables are float32."""
    x = normal(2, 3, 10, 8, dtype=dtype)  # (B, H, T, d)
    sin, cos = modeling_gptj.create_sinusoidal_positions(10, 8)[None].chunk(2, dim=-1)
    expected = modeling_gptj.apply_rotary_pos_emb(x.transpose(1, 2), sin, cos).transpose(1, 2)
    ours = layers.apply_rotary(x).float()  # GPT-J computes its angles in float32
    agree("apply_rotary", "transformers, GPT-J", ours, expected, 3e-6)


@pytest.mark.parametrize("dtype", FLOATS)
def test_rotary_against_llama(dtype):
    """Llama pairs feature i with i + d/2: the same after sorting even features before odd."""
    x, positions = normal(2, 3, 10, 8, dtype=dtype), torch.arange(5, 15)
    angles = positions[:, None] * 10_000.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    angles = torch.cat((angles, angles), dim=-1)[None].to(torch.float64)
    order = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    expected, _ = modeling_llama.apply_rotary_pos_emb(x[..., order], x[..., order], cos, sin)
    agree(
        "apply_rotary",
        "transformers, Llama",
        layers.apply_rotary(x, positions)[..., order],
        expected,
    )


@shapes_vary
@given(m=st.integers(0, 3000), n=st.integers(0, 3000), shift=st.integers(0, 3000), seed=seeds)
def test_rotary_depends_on_the_distance_alone(m, n, shift, seed):
    q, k = normal(2, 1, 8, seed=seed)

    def product(i, j):
        rotated = (layers.apply_rotary(x, torch.tensor([t])) for x, t in ((q, i), (k, j)))
        return torch.mul(*rotated).sum()

    agree("apply_rotary, q·k", "the same distance", product(m, n), product(m + shift, n + shift))


def test_rotary_turns_and_does_not_stretch():
    x = normal(3, 20, 6)
    y = layers.apply_rotary(x)
    agree("apply_rotary, norm", "norm of the input", y.norm(dim=-1), x.norm(dim=-1))
    agree("apply_rotary at position 0", "by hand", y[:, 0], x[:, 0])
    assert ((y - x)[:, 1:].norm(dim=-1) > 0.1).all()
    assert gradcheck(layers.apply_rotary, normal(2, 3, 4).requires_grad_())


WRONG = [
    ("d_in", lambda: layers.Linear(0, 2)),
    ("d_out", lambda: layers.Linear(2, 0)),
    ("vocab_size", lambda: layers.Embedding(0, 2)),
    ("d_model", lambda: layers.Embedding(2, -1)),
    ("d_model", lambda: layers.LayerNorm(0)),
    ("d_model", lambda: layers.RMSNorm(0)),
    ("eps", lambda: layers.LayerNorm(2, eps=-1e-5)),
    ("eps", lambda: layers.RMSNorm(2, eps=-1e-5)),
    ("eps must be finite and not negative, got inf", lambda: layers.LayerNorm(2, eps=math.inf)),
    ("eps must be finite and not negative, got nan", lambda: layers.RMSNorm(2, eps=math.nan)),
    ("length", lambda: layers.sinusoidal_positions(0, 2)),
    ("d_model", lambda: layers.sinusoidal_positions(2, 0)),
    ("d_model must be even", lambda: layers.sinusoidal_positions(2, 3)),
    ("x's last dimension must be even", lambda: layers.apply_rotary(torch.zeros(2, 3))),
    ("positions", lambda: layers.apply_rotary(torch.zeros(2, 4), torch.arange(3))),
    ("x must have 4 features", lambda: layers.Linear(4, 2)(torch.zeros(3))),
    ("x must have 4 features", lambda: layers.LayerNorm(4)(torch.zeros(2, 1))),
    ("x must have 4 features", lambda: layers.LayerNorm(4)(torch.zeros(()))),
    ("ids must be from 0 to 199, got -100", lambda: layers.Embedding(200, 2)(torch.tensor([-100]))),
    ("ids must be from 0 to 3, got 4", lambda: layers.Embedding(4, 2)(torch.tensor([[0, 4]]))),
    ("base must be above 0, got 0", lambda: layers.sinusoidal_positions(2, 2, base=0.0)),
    ("base must be above 0, got -1", lambda: layers.Rotary(base=-1.0)),
    ("low above 0 and below high", lambda: layers.Llama3Scaling(low=4.0, high=4.0)),
    ("factor must be above 0", lambda: layers.Llama3Scaling(factor=0.0)),
    ("trained_length must be at least 1", lambda: layers.Llama3Scaling(trained_length=0)),
    ("pairs must be one of .* got 'half'", lambda: layers.Rotary(pairs="half")),
    ("pairs must be one of", lambda: layers.apply_rotary(torch.zeros(2, 4), pairs="x")),
    ("x must be", lambda: layers.apply_rotary(torch.zeros(4))),
    (
        r"positions .*shape \(3,\) or \(2, 3\), got shape \(3, 3\)",
        lambda: layers.apply_rotary(torch.zeros(2, 3, 4), torch.zeros(3, 3).long()),
    ),
    (
        r"positions .*shape \(3,\), got shape \(1, 3\)",
        lambda: layers.apply_rotary(torch.zeros(3, 4), torch.zeros(1, 3).long()),
    ),
    ("d_out must be at least 1", lambda: layers.SwiGLU(4, 0)),
    ("x must have 4 features", lambda: layers.RMSNorm(4)(torch.zeros(2, 5))),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        call()


# -- turning as checkpoints need it --------------------------------------------------------------

HALVES = torch.tensor([0, 2, 4, 6, 1, 3, 5, 7])  # neighbours to halves, for d = 8


@pytest.mark.parametrize("dtype", FLOATS)
def test_rotary_in_halves_against_llama(dtype):
    config = LlamaConfig(hidden_size=16, num_attention_heads=2, head_dim=8)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 500_000.0}
    x, positions = normal(2, 3, 10, 8, dtype=dtype), torch.arange(5, 15)
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(x, positions[None])
    expected, _ = modeling_llama.apply_rotary_pos_emb(x, x, cos, sin)
    ours = layers.apply_rotary(x, positions, base=500_000.0, pairs="halves")
    # Llama's own angles are float32.
    agree("apply_rotary, halves", "transformers, Llama", ours.float(), expected.float(), 3e-6)
    by_neighbours = layers.apply_rotary(x[..., HALVES.argsort()], positions, base=500_000.0)
    agree("apply_rotary, halves", "itself, reordered", ours, by_neighbours[..., HALVES])
    assert (layers.apply_rotary(x, positions, base=500_000.0) - ours).abs().max() > 0.1


def test_rotary_in_halves_by_hand():
    # Position 3, d = 4: features 0 and 2 turn by 3, features 1 and 3 by 0.03.
    x = torch.tensor([[1.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    expected = [[math.cos(3), -math.sin(0.03), math.sin(3), math.cos(0.03)]]
    ours = layers.apply_rotary(x, torch.tensor([3]), pairs="halves")
    agree("apply_rotary, halves", "by hand", ours, expected)


@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
@pytest.mark.parametrize("heads", [(), (3,), (2, 3)])
def test_each_sequence_has_its_own_positions(pairs, heads):
    x, positions = normal(2, *heads, 4, 8), torch.tensor([[0, 0, 1, 2], [7, 3, 9, 100]])
    ours = layers.apply_rotary(x, positions, pairs=pairs)
    one_by_one = [
        layers.apply_rotary(row, own, pairs=pairs) for row, own in zip(x, positions, strict=True)
    ]
    agree("apply_rotary, positions per sequence", "one by one", ours, torch.stack(one_by_one))
    if pairs == "neighbours" and not heads:
        expected = [twin.apply_rotary(x[i].numpy(), 1e4, positions[i].numpy()) for i in (0, 1)]
        agree("apply_rotary, positions per sequence", "NumPy twin", ours, np.stack(expected))


def test_llama_3_scaling_against_transformers():
    config = LlamaConfig(hidden_size=256, num_attention_heads=2, head_dim=128)
    config.max_position_embeddings = 131_072
    config.rope_parameters = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    theirs = modeling_llama.LlamaRotaryEmbedding(config).inv_freq
    plain = 500_000.0 ** (-torch.arange(0, 128, 2, dtype=torch.float64) / 128)
    ours = layers.Llama3Scaling()(plain)
    agree("Llama3Scaling, relative", "transformers, Llama", (ours / theirs).float(), torch.ones(64))
    changed = ours / plain
    assert (changed == 1).any()
    assert (changed == 1 / 8).any()
    assert ((changed > 0.13) & (changed < 0.99)).any()  # between the two it is blended


@shapes_vary
@given(factor=st.floats(1, 40), low=st.floats(0.5, 2), more=st.floats(0.5, 5), seed=seeds)
def test_llama_3_scaling_against_its_twin(factor, low, more, seed):
    frequencies = 10.0 ** (-4 * torch.rand(20, dtype=torch.float64))
    numbers = factor, low, low + more, 1_000
    ours = layers.Llama3Scaling(*numbers)(frequencies)
    expected = [twin.llama3_scaling(f, *numbers) for f in frequencies.tolist()]
    agree("Llama3Scaling", "NumPy twin", ours, expected)


def test_llama_3_scaling_by_hand():
    # Turns within 2π·10 positions: 100, 0.5 and 2.5, in the middle between 1 and 4.
    turns = torch.tensor([100.0, 0.5, 2.5], dtype=torch.float64)
    scaling = layers.Llama3Scaling(factor=4.0, trained_length=1000)
    ours = scaling(turns * 2 * math.pi / 1000) * 1000 / (2 * math.pi)
    agree("Llama3Scaling", "by hand", ours, [100.0, 0.125, 2.5 * (0.5 + 0.5 / 4)])
    agree("twin: llama3_scaling", "by hand", twin.llama3_scaling(1.0, 4.0, 1.0, 4.0, 1), 0.25)


def test_a_rotary_keeps_its_choices():
    x, positions = normal(2, 3, 5, 8), torch.arange(100, 105)
    options = {"base": 1e3, "pairs": "halves", "scaling": layers.Llama3Scaling(trained_length=50)}
    ours = layers.Rotary(**options)(x, positions)
    agree("Rotary", "apply_rotary", ours, layers.apply_rotary(x, positions, **options))
    for name in options:
        less = {key: value for key, value in options.items() if key != name}
        assert (layers.Rotary(**less)(x, positions) - ours).abs().max() > 0.01, name


def test_any_function_scales_the_angles():
    """Positions that are interpolated, as Chen et al. (2023) do: half the angles."""
    x = normal(6, 8)
    ours = layers.apply_rotary(x, 2 * torch.arange(6), scaling=lambda angles: angles / 2)
    agree("apply_rotary, interpolated", "itself", ours, layers.apply_rotary(x))


# -- gated layers --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bias", [False, True])
def test_swiglu_against_llama(dtype, bias):
    ours = fill(layers.SwiGLU(6, 10, bias=bias), 1, dtype)
    config = LlamaConfig(hidden_size=6, intermediate_size=10, mlp_bias=bias, num_attention_heads=1)
    theirs = modeling_llama.LlamaMLP(config).to(dtype)
    for our_name, their_name in (("gate", "gate"), ("up", "up"), ("down", "down")):
        state = getattr(ours, f"w_{our_name}").state_dict()
        getattr(theirs, f"{their_name}_proj").load_state_dict(state)
    x = normal(2, 3, 6, dtype=dtype)
    agree("SwiGLU", "transformers, Llama", ours(x), theirs(x))
    if not bias:
        arrays = [p.detach().double().numpy() for p in ours.parameters()]
        expected = twin.swiglu(x.double().numpy(), *arrays)
        agree("SwiGLU", "NumPy twin", ours(x), expected)
        if dtype == torch.float64:
            agree("twin: swiglu", "transformers, Llama", expected, theirs(x))


def test_swiglu_by_hand():
    # x = ln 3: the gate is ln 3 · 3/4, up is 2 ln 3, down 4.
    layer = layers.SwiGLU(1, 1).double()
    for parameter, number in zip(layer.parameters(), (1.0, 2.0, 4.0), strict=True):
        nn.init.constant_(parameter, number)
    x = torch.tensor([math.log(3)], dtype=torch.float64)
    agree("SwiGLU", "by hand", layer(x), [6 * math.log(3) ** 2])


@pytest.mark.parametrize("dtype", FLOATS)
def test_layer_norm_without_a_bias(dtype):
    ours = fill(layers.LayerNorm(5, bias=False), 1, dtype)
    theirs = nn.LayerNorm(5, bias=False, dtype=dtype)
    theirs.load_state_dict(ours.state_dict())  # refuses what is missing or too much
    x = normal(2, 5, dtype=dtype)
    agree("LayerNorm, no bias", "torch.nn.LayerNorm", ours(x), theirs(x))


# -- 16 bits -------------------------------------------------------------------------------------

every_16 = pytest.mark.parametrize("dtype", SIXTEEN_BITS)
IN_16_BITS = {
    "Linear": lambda: layers.Linear(4, 4),
    "LayerNorm": lambda: layers.LayerNorm(4),
    "LayerNorm, no bias": lambda: layers.LayerNorm(4, bias=False),
    "RMSNorm": lambda: layers.RMSNorm(4),
    "Dropout": lambda: layers.Dropout(0.5).eval(),
}


def large_rows(dtype):
    """Return rows whose squares exceed a 16-bit format, some with the largest number."""
    top = torch.finfo(dtype).max
    unit = [[1.0, -1.0, 1.0, 1.0], [0.75, 0.5, 0.25, -0.5], [1.0, 1.0, 1.0, 1.0]]
    rows = torch.tensor(unit) * torch.tensor([top, 300.0, top])[:, None]
    return torch.cat((rows, torch.tensor([[0.5, -2.0, 0.0, 1.0]]))).to(dtype)


@every_16
@pytest.mark.parametrize("name", IN_16_BITS)
def test_layers_of_16_bits_are_those_of_float64(name, dtype):
    layer = fill(IN_16_BITS[name](), scale=0.1, dtype=dtype)
    wide = copy.deepcopy(layer).double()
    x, wanted = large_rows(dtype).requires_grad_(), large_rows(dtype).double().requires_grad_()
    found, expected = layer(x), wide(wanted)
    assert found.dtype == dtype
    assert found.isfinite().all()
    if name == "Linear":  # torch rounds the product before the bias is added
        size = expected.abs().clamp(min=1)
        error = ((found.float() - expected).abs() / size).max()
        agree("Linear, 16 bits", "itself in float64", error, 0.0, 0.02, limit=str(dtype)[6:])
        return
    agree_16(name, found, expected, "itself in float64")
    found[:, 0].sum().backward()
    expected[:, 0].sum().backward()
    assert x.grad.isfinite().all()
    kept = slice(1, None, 2)  # the gradient of the largest rows is too small for 16 bits
    agree_16(f"{name}, gradient", x.grad[kept], wanted.grad[kept], "itself in float64")


@pytest.mark.parametrize("name", NORMS)
def test_norms_of_the_largest_numbers(name):
    for dtype in FLOATS:
        top = torch.finfo(dtype).max
        x = torch.tensor([[top, -top, top, -top]], dtype=dtype)
        value = getattr(layers, name)(4).to(dtype)(x)
        agree(f"{name}, largest numbers", "by hand", value, [[1.0, -1.0, 1.0, -1.0]])
    # Each side of the size from which rows are divided: the same row, times a number.
    rows = normal(1, 4) * torch.tensor([[1e14], [1e149], [1e151], [1e300]], dtype=torch.float64)
    values = getattr(layers, name)(4).double()(rows)
    agree(f"{name}, rows times a number", "itself", values, values[:1].expand(4, 4))


def test_rms_norm_of_300_in_float16():
    rows = torch.full((1, 2), 300.0, dtype=torch.float16)
    agree_16("RMSNorm", layers.RMSNorm(2).half()(rows), torch.ones(1, 2), "by hand")


@every_16
@pytest.mark.parametrize("pairs", ["neighbours", "halves"])
def test_rotary_of_16_bits(dtype, pairs):
    x = (normal(3, 50, 8, scale=0.2) * min(torch.finfo(dtype).max, 1e38)).to(dtype)
    ours = layers.apply_rotary(x, pairs=pairs)
    agree_16("apply_rotary", ours, layers.apply_rotary(x.float(), pairs=pairs))


# -- kinds of ids, sizes and inputs --------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64], ids=str)
def test_ids_of_every_whole_number_format(dtype):
    layer, ids = fill(layers.Embedding(200, 3)), torch.tensor([[156, 0], [199, 1]])
    ours = layer(ids.to(dtype))
    agree("Embedding, formats of ids", "torch", ours, F.embedding(ids, layer.weight))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.uint32, torch.uint64], ids=str)
@pytest.mark.parametrize("vocab_size", [256, 300])
def test_a_vocabulary_with_more_ids_than_a_byte_has_numbers(vocab_size, dtype):
    """256 is 0 in uint8, and longer unsigned numbers do not compare in PyTorch."""
    layer, ids = fill(layers.Embedding(vocab_size, 3)), torch.arange(256)
    assert torch.equal(layer(ids.to(dtype)), F.embedding(ids, layer.weight))
    with pytest.raises(ValueError, match="ids must be from 0 to 199, got 200"):
        layers.Embedding(200, 2)(ids.to(dtype))


def test_gradient_of_the_embedding():
    layer, ids = fill(layers.Embedding(5, 3)), torch.tensor([[0, 4], [4, 4]])

    def call(weight):
        return torch.func.functional_call(layer, {"weight": weight}, ids)

    assert gradcheck(call, (layer.weight,))
    (ours,) = torch.autograd.grad(layer(ids).pow(2).sum(), layer.weight)
    (theirs,) = torch.autograd.grad(F.embedding(ids, layer.weight).pow(2).sum(), layer.weight)
    agree("Embedding, gradient", "torch.nn.functional.embedding", ours, theirs)


@pytest.mark.parametrize("name", ["SwiGLU", "LayerNorm", "MLP"])
def test_gradients_at_zero(name):
    """Rows of zeros and of equal numbers, where a formula could have a kink."""
    layer = {
        "SwiGLU": lambda: layers.SwiGLU(3, 4),
        "LayerNorm": lambda: layers.LayerNorm(3, bias=False),
        "MLP": lambda: layers.MLP((3, 4, 2), activation=silu),
    }[name]()
    layer = fill(layer)
    x = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, -2.0, 0.5]], dtype=torch.float64)
    if name == "LayerNorm":  # at eps = 1e-5 a constant row is too steep for differences of 1e-6
        layer.eps = 0.1
    names, values = zip(*layer.named_parameters(), strict=True)

    def call(x, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), x)

    assert gradcheck(call, (x.requires_grad_(), *values))


Q = torch.zeros(2, 4)
KINDS = [
    ("ids must hold whole numbers, got torch.bool", lambda: layers.Embedding(4, 2)(Q > 0)),
    ("ids must hold whole numbers, got torch.float", lambda: layers.Embedding(4, 2)(Q)),
    ("ids must be a torch tensor, got list", lambda: layers.Embedding(4, 2)([1, 2])),
    ("ids must be a torch tensor, got ndarray", lambda: layers.Embedding(4, 2)(np.ones(2, int))),
    ("x must be a torch tensor, got list", lambda: layers.Linear(2, 2)([1.0, 2.0])),
    ("x must be a torch tensor, got ndarray", lambda: layers.LayerNorm(2)(np.ones(2))),
    ("x must hold floating-point numbers", lambda: layers.RMSNorm(2)(torch.ones(2).long())),
    ("x must be a torch tensor, got list", lambda: layers.Dropout(0.5)([1.0])),
    ("x must hold floating-point numbers", lambda: layers.Dropout(0.5)(torch.ones(2).long())),
    ("x must be a torch tensor, got ndarray", lambda: layers.apply_rotary(np.ones((2, 4)))),
    ("positions must hold whole", lambda: layers.apply_rotary(Q, torch.rand(2))),
    ("positions must hold whole", lambda: layers.apply_rotary(Q, torch.ones(2).bool())),
    ("d_in must be a whole number, got 2.5", lambda: layers.Linear(2.5, 2)),
    ("d_out must be a whole number, got True", lambda: layers.Linear(2, True)),
    ("d_in must be a whole number, got 2.5", lambda: layers.MLP((2.5, 2))),
    ("vocab_size must be a whole number", lambda: layers.Embedding(2.5, 2)),
    ("d_model must be a whole number, got 2.0", lambda: layers.LayerNorm(2.0)),
    ("length must be a whole number, got 2.5", lambda: layers.sinusoidal_positions(2.5, 2)),
    ("generator must be a torch.Generator, got 0", lambda: layers.Dropout(0.5, generator=0)),
    (
        "generator must be a torch.Generator, got 0",
        lambda: layers.xavier_uniform_(torch.empty(2, 2), generator=0),
    ),
    (
        "generator must be a torch.Generator, got 0",
        lambda: layers.he_normal_(torch.empty(2, 2), generator=0),
    ),
    ("weight must be a torch tensor", lambda: layers.fans(np.ones((2, 2)))),
    ("positional", lambda: layers.Dropout(0.5, True)),
    ("positional", lambda: layers.LayerNorm(4, 1e-5, False)),
    ("positional", lambda: layers.he_uniform_(torch.empty(2, 2), 1.0)),
    ("positional", lambda: layers.MLP((2, 2), 0.1)),
    ("positional", lambda: layers.apply_rotary(Q, None, 500.0)),
]


@pytest.mark.parametrize(("message", "call"), KINDS)
def test_kinds_of_arguments(message, call):
    with shapes.unchecked(), pytest.raises(TypeError, match=message):
        call()


def test_a_whole_number_of_numpy_is_a_size():
    with shapes.unchecked():
        assert layers.Linear(np.int64(3), np.int32(2)).weight.shape == (2, 3)
