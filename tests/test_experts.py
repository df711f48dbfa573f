import copy
import io
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from transformers import MixtralConfig
from transformers.models.mixtral.modeling_mixtral import (
    MixtralSparseMoeBlock,
    load_balancing_loss_func,
)

from companion.layers import FeedForward, SwiGLU
from companion.models import MoE, Routing, balance_loss, expert_load
from companion.reference import layers as reference_layers
from companion.reference import models as reference
from tests.plugins import shapes
from tests.support import FLOATS, coins, fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree, same


def moe(n_experts=4, n_active=2, dtype=torch.float64, d_model=5, d_hidden=7, seed=0, **options):
    return fill(MoE(d_model, d_hidden, n_experts, n_active, **options), seed, dtype)


def numpy_experts(layer):
    """Return each expert as a function of one token."""

    def expert(swiglu):
        weights = [part.weight.detach().numpy() for part in (swiglu.w_gate, swiglu.w_up)]
        weights.append(swiglu.w_down.weight.detach().numpy())
        return lambda x: reference_layers.swiglu(x, *weights)

    return [expert(each) for each in layer.experts]


def dense(layer, x):
    """Let every expert compute for every token; what was not chosen counts nothing."""
    probabilities = F.softmax(layer.router(x), dim=-1)
    kept = probabilities.topk(layer.n_active, dim=-1)
    gates = torch.zeros_like(probabilities).scatter(-1, kept.indices, kept.values)
    gates = gates / gates.sum(dim=-1, keepdim=True)
    return sum(gates[..., i, None] * expert(x) for i, expert in enumerate(layer.experts))


# -- the layer -----------------------------------------------------------------------------------


@shapes_vary
@given(sizes, sizes, st.integers(1, 5), st.integers(1, 5), seeds)
def test_moe_against_the_twin_and_a_dense_loop(batch, length, n_experts, n_active, seed):
    n_active = min(n_experts, n_active)
    layer, x = moe(n_experts, n_active, seed=seed), normal(batch, length, 5, seed=seed)
    y = layer(x)
    agree("MoE", "every expert for every token", y, dense(layer, x))
    router = layer.router.weight.detach().numpy()
    rows = x.flatten(0, 1).numpy()
    expected = reference.mixture_of_experts(rows, router, numpy_experts(layer), n_active)
    agree("MoE", "NumPy twin", y.flatten(0, 1), expected)
    twin = torch.from_numpy(expected).reshape(x.shape)
    agree("twin: mixture_of_experts", "every expert for every token", twin, dense(layer, x))


@pytest.mark.parametrize("n_active", [1, 2, 4])
def test_moe_against_transformers(n_active):
    config = MixtralConfig(
        hidden_size=5, intermediate_size=7, num_local_experts=4, num_experts_per_tok=n_active
    )
    theirs = fill(MixtralSparseMoeBlock(config), dtype=torch.float32)
    ours, x = moe(4, n_active, torch.float32), normal(3, 6, 5, dtype=torch.float32)
    with torch.no_grad():
        ours.router.weight.copy_(theirs.gate.weight)
        for i, expert in enumerate(ours.experts):
            gate, up = theirs.experts.gate_up_proj[i].chunk(2)
            parts = (gate, up, theirs.experts.down_proj[i])
            for layer, weight in zip(
                (expert.w_gate, expert.w_up, expert.w_down), parts, strict=True
            ):
                layer.weight.copy_(weight)
    oracle = "transformers.MixtralSparseMoeBlock"
    agree("MoE", oracle, ours(x), theirs(x))
    logits, gates, chosen = theirs.gate(x)
    agree(
        "Routing.probabilities",
        oracle,
        ours.routing.probabilities.flatten(0, 1),
        F.softmax(logits, -1),
    )
    agree("Routing.gates", oracle, ours.routing.gates.flatten(0, 1), gates)
    same("Routing.chosen", oracle, ours.routing.chosen.flatten(0, 1), chosen)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_routing_is_a_renormalised_softmax(dtype):
    layer, x = moe(dtype=dtype), normal(3, 6, 5, dtype=dtype)
    layer(x)
    routing, again = layer.routing, layer.route(x)
    probabilities = torch.softmax(x @ layer.router.weight.T, dim=-1)
    agree("Routing.probabilities", "torch.softmax", routing.probabilities, probabilities)
    order = probabilities.argsort(dim=-1, descending=True)[..., :2]
    same("Routing.chosen", "torch.argsort", routing.chosen, order)
    best = probabilities.gather(-1, order)
    agree("Routing.gates", "by hand", routing.gates, best / best.sum(dim=-1, keepdim=True))
    agree("MoE.route", "MoE", again.gates, routing.gates)


def test_one_of_one_expert_is_the_expert():
    layer, x = moe(1, 1), normal(2, 3, 5)
    agree("MoE, one expert", "SwiGLU", layer(x), layer.experts[0](x))


def test_experts_may_be_any_feed_forward_layer():
    layer, x = moe(expert=FeedForward), normal(2, 3, 5)
    assert all(isinstance(expert, FeedForward) for expert in layer.experts)
    agree("MoE, FeedForward", "every expert for every token", layer(x), dense(layer, x))


def test_experts_compute_for_their_tokens_alone():
    layer, x = moe(5, 2), normal(3, 6, 5)
    seen = [0] * 5
    for i, expert in enumerate(layer.experts):
        expert.register_forward_hook(lambda _, args, __, i=i: seen.__setitem__(i, len(args[0])))
    layer(x)
    assert seen == torch.bincount(layer.routing.chosen.flatten(), minlength=5).tolist()
    assert sum(seen) == 3 * 6 * 2


def test_the_number_of_active_experts_matters():
    x = normal(2, 3, 5)
    outputs = [moe(4, k)(x) for k in (1, 2, 3, 4)]  # all filled with the same numbers
    for one, other in pairwise(outputs):
        assert (one - other).abs().max() > 1e-3


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 2, 3, 5), (0, 5), (2, 0, 5)])
def test_tokens_may_stand_in_any_shape(shape):
    layer, x = moe(), normal(*shape)
    assert layer(x).shape == shape
    assert layer.routing.chosen.shape == (*shape[:-1], 2)


def test_gradients():
    layer, x = moe(3, 2, d_model=3, d_hidden=2), normal(5, 3).requires_grad_()
    names = [name for name, _ in layer.named_parameters()]
    weights = [p.detach().requires_grad_() for p in layer.parameters()]

    def call(x, *weights):
        return torch.func.functional_call(layer, dict(zip(names, weights, strict=True)), (x,))

    assert torch.autograd.gradcheck(call, (x, *weights))
    ours = torch.autograd.grad(layer(x).square().sum(), [x, *layer.parameters()])
    theirs = torch.autograd.grad(dense(layer, x).square().sum(), [x, *layer.parameters()])
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.abs().max() > 1e-6
        agree("MoE, gradient", "every expert for every token", mine, other)


def test_an_expert_that_nobody_chose_has_gradient_zero():
    layer = moe(3, 1)
    with torch.no_grad():
        layer.router.weight.copy_(torch.eye(3, 5) * torch.tensor([[9.0], [9.0], [0.0]]))
    layer(normal(4, 5).abs()).sum().backward()
    assert all((p.grad == 0).all() for p in layer.experts[2].parameters())
    assert any((p.grad != 0).any() for p in layer.experts[0].parameters())


def test_one_active_expert_teaches_the_router_nothing():
    layer = moe(3, 1)
    layer(normal(4, 5)).sum().backward()
    assert (layer.router.weight.grad == 0).all()
    layer.zero_grad()
    layer(normal(4, 5))
    balance_loss(layer.routing).backward()
    assert (layer.router.weight.grad != 0).any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits(dtype):
    layer, x = moe(dtype=dtype), normal(3, 6, 5).to(dtype)
    y = layer(x)
    assert y.dtype == dtype
    assert layer.routing.probabilities.dtype == layer.routing.gates.dtype == torch.float32
    limit = str(dtype).removeprefix("torch.")
    wide = copy.deepcopy(layer).float()
    agree("MoE, 16 bits", "itself in float32", y.float(), wide(x.float()), 0.03, limit=limit)


def test_mixed_precision():
    layer, x = moe(dtype=torch.float32), normal(3, 6, 5, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = layer(x)
    assert mixed.dtype == torch.float32
    agree("MoE, autocast", "itself in float32", mixed, layer(x), 0.03, limit="bfloat16")


def test_copies_begin_without_a_routing():
    layer, x = moe(), normal(2, 3, 5)
    y = layer(x)
    with shapes.unchecked():
        twins = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        twins.append(torch.load(file, weights_only=False))
    for twin in twins:
        assert twin.routing is None
        assert torch.equal(twin(x), y)
    assert layer.routing is not None
    assert repr(layer).startswith("MoE(\n  n_experts=4, n_active=2")


# -- balance -------------------------------------------------------------------------------------


def routings(k=2, layers=3, shape=(4, 6), seed=0):
    """Return what layers decide about the same tokens, and their logits."""
    made, logits = [], []
    for i in range(layers):
        layer = moe(5, k, seed=seed + i)
        x = normal(*shape, 5, seed=seed + 10 + i)
        made.append(layer.route(x))
        logits.append((x @ layer.router.weight.T).flatten(0, -2))
    return made, tuple(logits)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_balance_loss_against_transformers(k, layers, masked):
    made, logits = routings(k, layers)
    mask = coins(4, 6) if masked else None
    loss = balance_loss(*made, mask=mask)
    expected = load_balancing_loss_func(logits, 5, k, None if mask is None else mask.long())
    oracle = "transformers, load_balancing_loss_func"
    # They add up in float32.
    agree("balance_loss", oracle, loss, expected, 1e-6, limit="float32")
    if masked:
        assert abs(loss - balance_loss(*made)) > 1e-4 or k == 5


@shapes_vary
@given(sizes, sizes, st.integers(1, 5), st.booleans(), seeds)
def test_balance_loss_and_load_against_the_twin(batch, length, k, masked, seed):
    (routing,), _ = routings(k, 1, (batch, length), seed)
    mask = coins(batch, length, seed=seed) if masked else torch.ones(batch, length).bool()
    mask[0, 0] = True
    kept = routing.probabilities[mask].detach().numpy(), routing.chosen[mask].numpy()
    option = {"mask": mask} if masked else {}
    agree(
        "balance_loss", "NumPy twin", balance_loss(routing, **option), reference.balance_loss(*kept)
    )
    share = expert_load(routing, **option)
    agree("expert_load", "NumPy twin", share, reference.expert_load(kept[1], 5))
    by_hand = F.one_hot(routing.chosen[mask], 5).sum(1).double().mean(0)
    agree("expert_load", "torch.nn.functional.one_hot", share, by_hand)
    agree(
        "twin: expert_load",
        "torch.nn.functional.one_hot",
        torch.tensor(reference.expert_load(kept[1], 5)),
        by_hand,
    )
    loss = 5 * (by_hand * routing.probabilities[mask].mean(0)).sum()
    agree(
        "twin: balance_loss",
        "torch",
        torch.tensor(reference.balance_loss(*kept), dtype=torch.float64),
        loss,
    )
    assert share.sum().item() == pytest.approx(k)


def test_balance_loss_at_its_ends():
    n, k = 6, 2
    gates = torch.full((12, k), 0.5)
    even = torch.arange(24).reshape(12, 2) % n
    uniform = Routing(torch.full((12, n), 1 / n), even, gates)
    agree("balance_loss, even", "k", balance_loss(uniform), torch.tensor(float(k)))
    agree("expert_load, even", "k/n", expert_load(uniform), torch.full((n,), k / n))
    same_two = F.one_hot(torch.tensor([0]), n).float().expand(12, n) * 0.5
    same_two = same_two + same_two.roll(1, 1)
    crowded = Routing(same_two, torch.tensor([[0, 1]]).expand(12, 2), gates)
    agree("balance_loss, the same two for all", "n", balance_loss(crowded), torch.tensor(float(n)))


def test_the_gradient_of_the_balance_loss_goes_through_the_probabilities():
    layer, x = moe(4, 2), normal(3, 6, 5)
    layer(x)
    (gradient,) = torch.autograd.grad(balance_loss(layer.routing), layer.router.weight)
    w = layer.router.weight.detach().clone().requires_grad_()
    share = expert_load(layer.routing).detach()
    p = torch.softmax(x.flatten(0, 1) @ w.T, dim=-1)
    (expected,) = torch.autograd.grad(4 * (share * p.mean(0)).sum(), w)
    agree("balance_loss, gradient", "autograd, with constant load", gradient, expected)


def test_descent_on_the_balance_loss_balances():
    torch.manual_seed(0)
    layer, x = moe(4, 1, torch.float32), normal(200, 5, dtype=torch.float32) + 1
    layer(x)
    before = expert_load(layer.routing).max().item()
    optimizer = torch.optim.SGD(layer.router.parameters(), lr=0.3)
    for _ in range(200):
        layer.routing = layer.route(x)
        optimizer.zero_grad()
        balance_loss(layer.routing).backward()
        optimizer.step()
    after = expert_load(layer.route(x)).max().item()
    assert before > 0.4
    assert after < 0.33


def test_padding_does_not_count():
    layer, x = moe(), normal(2, 4, 5)
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    layer(x)
    whole = balance_loss(layer.routing, mask=mask)
    real = torch.cat([x[0, :3], x[1, :2]])
    agree("balance_loss, padding", "without padding", whole, balance_loss(layer.route(real)))
    share = expert_load(layer.routing, mask=mask)
    agree("expert_load, padding", "without padding", share, expert_load(layer.route(real)))


ONE = Routing(torch.full((3, 2), 0.5), torch.zeros(3, 1).long(), torch.ones(3, 1))
OTHER = Routing(torch.full((4, 2), 0.5), torch.zeros(4, 1).long(), torch.ones(4, 1))
NONE = Routing(torch.ones(0, 2), torch.zeros(0, 1).long(), torch.ones(0, 1))
ALL = torch.ones(3, dtype=torch.bool)


@pytest.mark.parametrize("function", [balance_loss, expert_load])
@pytest.mark.parametrize(
    ("message", "given", "mask"),
    [
        ("routings must hold at least one Routing, got none", (), None),
        ("routings must be Routings, which a MoE has after a call, got None", (None,), None),
        ("routings must have one shape", (ONE, OTHER), None),
        ("no token counts", (NONE,), None),
        ("no token counts", (ONE,), ~ALL),
        (
            "mask must have one entry for each token, shape \\(3,\\), got \\(4,\\)",
            (ONE,),
            torch.ones(4).bool(),
        ),
        ("mask must be boolean, got torch.int64", (ONE,), ALL.long()),
        ("mask must be a torch tensor", (ONE,), np.ones(3, bool)),
    ],
)
def test_errors_of_the_balance(function, message, given, mask):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        function(*given, mask=mask)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("n_active must be at most n_experts, 4, got 5", lambda: moe(4, 5)),
        ("n_active must be at least 1", lambda: moe(4, 0)),
        ("n_experts must be at least 1", lambda: moe(0, 1)),
        ("n_experts must be a whole number", lambda: moe(2.0, 1)),
        ("d_model must be at least 1|d_in must be at least 1", lambda: moe(d_model=0)),
        ("expert must make a layer", lambda: moe(expert=SwiGLU(5, 7))),
        ("expert must make a layer", lambda: moe(expert="swiglu")),
        ("x must have 5 features", lambda: moe()(normal(2, 4))),
        ("x must hold floating-point numbers", lambda: moe()(torch.zeros(2, 5).long())),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises((ValueError, TypeError), match=message):
        call()
