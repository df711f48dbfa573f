import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama

from companion import layers
from companion.reference import layers as twin
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal, seeds, shapes_vary, sizes
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
    ("length", lambda: layers.sinusoidal_positions(0, 2)),
    ("d_model", lambda: layers.sinusoidal_positions(2, 0)),
    ("d_model must be even", lambda: layers.sinusoidal_positions(2, 3)),
    ("x's last dimension must be even", lambda: layers.apply_rotary(torch.zeros(2, 3))),
    ("positions", lambda: layers.apply_rotary(torch.zeros(2, 4), torch.arange(3))),
    ("x must have 4 features", lambda: layers.Linear(4, 2)(torch.zeros(3))),
    ("x must have 4 features", lambda: layers.LayerNorm(4)(torch.zeros(2, 1))),
    ("x must have 4 features", lambda: layers.RMSNorm(4)(torch.zeros(2, 5))),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        call()
