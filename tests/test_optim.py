"""Optimisers step by step against torch's, against their NumPy twins, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from companion import optim
from companion.reference import optim as twin
from tests.support import normal, seeds, shapes_vary, sizes
from tests.verification import agree

STEPS = 12
# Ours, torch's, the keywords of both, and the twin with its own.
PAIRS = {
    "SGD": (optim.SGD, torch.optim.SGD, {"lr": 0.1}),
    "SGD, momentum": (optim.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "SGD, Nesterov": (
        optim.SGD,
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.8, "nesterov": True},
    ),
    "SGD, decay": (
        optim.SGD,
        torch.optim.SGD,
        {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.3},
    ),
    "Adam": (optim.Adam, torch.optim.Adam, {"lr": 0.05}),
    "Adam, other betas": (
        optim.Adam,
        torch.optim.Adam,
        {"lr": 0.05, "betas": (0.5, 0.7), "eps": 1e-3},
    ),
    "Adam, L2": (optim.Adam, torch.optim.Adam, {"lr": 0.05, "weight_decay": 0.3}),
    "AdamW": (optim.AdamW, torch.optim.AdamW, {"lr": 0.05, "weight_decay": 0.3}),
}


def leaf(*shape, seed=0, dtype=torch.float64):
    return normal(*shape, seed=seed, dtype=dtype).requires_grad_()


def gradients(*shape, seed=0, steps=STEPS):
    return [normal(*shape, seed=seed + 100 + t, scale=3.0) for t in range(steps)]


def walk(optimizer, parameter, grads):
    """Take a step for each gradient; return the parameter after every one."""
    path = []
    for grad in grads:
        parameter.grad = grad.clone()
        optimizer.step()
        path.append(parameter.detach().clone())
    return torch.stack(path)


# -- against torch -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds)
def test_each_step_is_torch_s(name, rows, columns, seed):
    ours, theirs, keywords = PAIRS[name]
    a, b = leaf(rows, columns, seed=seed), leaf(rows, columns, seed=seed)
    grads = gradients(rows, columns, seed=seed)
    path = walk(ours([a], **keywords), a, grads)
    agree(ours.__name__, "torch", path, walk(theirs([b], **keywords), b, grads), 1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_a_real_loss_with_several_parameters(name):
    """The gradients depend on the path here, so that an early difference would grow."""
    ours, theirs, keywords = PAIRS[name]
    x, y = normal(16, 3, seed=1), normal(16, 2, seed=2)
    sets = []
    for make in (ours, theirs):
        weights = [leaf(3, 4, seed=3), leaf(4, seed=4), leaf(4, 2, seed=5)]
        optimizer = make(weights, **keywords)
        for _ in range(STEPS):
            optimizer.zero_grad()
            ((torch.tanh(x @ weights[0] + weights[1]) @ weights[2] - y) ** 2).mean().backward()
            optimizer.step()
        sets.append(weights)
    for a, b in zip(*sets, strict=True):
        agree(ours.__name__, "torch", a.detach(), b.detach(), 1e-12)


def test_muon_is_torch_s_as_far_as_torch_s_sixteen_bits_go():
    a, b = leaf(5, 3), leaf(5, 3)
    grads = gradients(5, 3)
    path = walk(optim.Muon([a], lr=0.02), a, grads)
    theirs = walk(torch.optim.Muon([b], lr=0.02), b, grads)
    agree("Muon", "torch", path, theirs, 0.02, limit="bfloat16")


GROUPS = {
    "SGD": ({"lr": 0.1, "momentum": 0.9}, {"lr": 0.02, "momentum": 0.5, "weight_decay": 0.2}),
    "Adam": ({"lr": 0.05}, {"lr": 0.01, "betas": (0.5, 0.7), "weight_decay": 0.3}),
    "AdamW": ({"lr": 0.05, "weight_decay": 0.3}, {"lr": 0.01, "weight_decay": 0.0}),
}


@pytest.mark.parametrize("name", GROUPS)
def test_one_optimiser_a_group_is_torch_s_one_with_groups(name):
    """The biases and the weights of one network, each with settings of their own."""
    x, y = normal(16, 3, seed=1), normal(16, 2, seed=2)
    weights, biases = GROUPS[name]
    sets = []
    for ours in (True, False):
        parameters = [leaf(3, 4, seed=3), leaf(4, 2, seed=5), leaf(4, seed=4), leaf(2, seed=6)]
        w, v, b, c = parameters
        groups = [{"params": [w, v], **weights}, {"params": [b, c], **biases}]
        make = getattr(optim if ours else torch.optim, name)
        optimizers = [make([w, v], **weights), make([b, c], **biases)] if ours else [make(groups)]
        for _ in range(STEPS):
            for parameter in parameters:
                parameter.grad = None
            ((torch.tanh(x @ w + b) @ v + c - y) ** 2).mean().backward()
            for optimizer in optimizers:
                optimizer.step()
        sets.append(parameters)
    for a, b in zip(*sets, strict=True):
        agree(name, "torch", a.detach(), b.detach(), 1e-12)


@pytest.mark.parametrize("name", PAIRS)
def test_a_rate_that_changes_at_every_step(name):
    ours, theirs, keywords = PAIRS[name]
    a, b = leaf(3, 2), leaf(3, 2)
    mine, torchs = ours([a], **keywords), theirs([b], **keywords)
    for step, grad in enumerate(gradients(3, 2)):
        rate = optim.warmup_cosine(step, 0.1, 4, STEPS)
        mine.lr = torchs.param_groups[0]["lr"] = rate
        for parameter, optimizer in ((a, mine), (b, torchs)):
            parameter.grad = grad.clone()
            optimizer.step()
        agree(ours.__name__, "torch", a.detach(), b.detach(), 1e-12)


def published_muon(theta, grads, lr, momentum, decay):
    """Jordan et al. (2024), as printed there, in float64: Nesterov momentum, five iterations."""
    path, buffer = [], np.zeros_like(theta)
    for g in grads:
        buffer = buffer + (1 - momentum) * (g - buffer)  # buf.lerp_(g, 1 - momentum)
        x = g + momentum * (buffer - g)  # g.lerp(buf, momentum)
        transposed = x.shape[0] > x.shape[1]
        x = x.T if transposed else x
        x = x / np.linalg.norm(x)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        x = x.T if transposed else x
        theta = theta * (1 - lr * decay)
        theta = theta - lr * max(1, theta.shape[0] / theta.shape[1]) ** 0.5 * x
        path.append(theta)
    return np.stack(path)


@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds, decay=st.sampled_from([0.0, 0.3]))
def test_each_step_of_muon_is_the_published_formula(rows, columns, seed, decay):
    grads = gradients(rows, columns, seed=seed)
    theta = leaf(rows, columns, seed=seed)
    start = theta.detach().numpy().copy()
    path = walk(optim.Muon([theta], lr=0.02, momentum=0.9, weight_decay=decay), theta, grads)
    expected = published_muon(start, [g.numpy() for g in grads], 0.02, 0.9, decay)
    agree("Muon", "Jordan et al. (2024)", path, expected, 1e-12)


def test_muon_turns_with_the_valley_and_adam_does_not():
    """In the valley of a matrix, turned by Q on the right and P on the left, as in the chapter."""
    turn = [torch.linalg.qr(normal(6, 6, seed=seed))[0] for seed in (1, 2)]
    curvature = torch.logspace(0, -2, 6, dtype=torch.float64)

    def end(make, left, right):
        w = (left @ normal(6, 6, seed=3) @ right).requires_grad_()
        optimizer = make([w])
        for _ in range(10):
            optimizer.zero_grad()
            ((w @ right.T) ** 2 * curvature).sum().backward()
            optimizer.step()
        return left.T @ w.detach() @ right.T

    straight = [torch.eye(6, dtype=torch.float64)] * 2
    for name, make, follows in (
        ("SGD", lambda p: optim.SGD(p, 0.1, 0.9), True),
        ("Muon", lambda p: optim.Muon(p, 0.1), True),
        ("Adam", lambda p: optim.Adam(p, 0.1), False),
    ):
        difference = (end(make, *straight) - end(make, *turn)).abs().max()
        assert bool(difference < 1e-8) is follows, name


# -- against the twins ---------------------------------------------------------------------------


@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds, decay=st.sampled_from([0.0, 0.2]))
def test_twins(rows, columns, seed, decay):
    grads = gradients(rows, columns, seed=seed)
    arrays = [g.numpy() for g in grads]
    start = normal(rows, columns, seed=seed)
    cases = [
        (optim.SGD, {"lr": 0.1, "momentum": 0.9}, twin.sgd(start.numpy(), arrays, 0.1, 0.9)),
        (optim.Adam, {"lr": 0.05}, twin.adam(start.numpy(), arrays, 0.05)),
        (
            optim.AdamW,
            {"lr": 0.05, "weight_decay": decay},
            twin.adam(start.numpy(), arrays, 0.05, decay=decay),
        ),
        (
            optim.Muon,
            {"lr": 0.02, "weight_decay": decay},
            twin.muon(start.numpy(), arrays, 0.02, decay=decay),
        ),
    ]
    for make, keywords, expected in cases:
        theta = leaf(rows, columns, seed=seed)
        path = walk(make([theta], **keywords), theta, grads)
        agree(make.__name__, "NumPy twin", path[-1], expected, 1e-9)


@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds, steps=st.integers(0, 8))
def test_orthogonalize_acts_on_singular_values(rows, columns, seed, steps):
    matrix = normal(rows, columns, seed=seed)
    ours = optim.orthogonalize(matrix, steps)
    agree("orthogonalize", "NumPy twin", ours, twin.orthogonalize(matrix.numpy(), steps), 1e-9)


def test_orthogonalize_brings_all_singular_values_near_1():
    matrix = normal(20, 30) * torch.logspace(0, -1, 30, dtype=torch.float64)
    before = torch.linalg.svdvals(matrix)
    after = torch.linalg.svdvals(optim.orthogonalize(matrix, 6))
    assert before[0] / before[-1] > 4
    assert 0.6 < after.min() < after.max() < 1.3


@shapes_vary
@given(rows=sizes, columns=sizes, seed=seeds)
def test_the_twins_are_torch_s(rows, columns, seed):
    grads = gradients(rows, columns, seed=seed)
    arrays, start = [g.numpy() for g in grads], normal(rows, columns, seed=seed).numpy()
    cases = {
        "twin: sgd": (twin.sgd(start, arrays, 0.1, 0.9), "SGD, momentum"),
        "twin: adam": (twin.adam(start, arrays, 0.05), "Adam"),
        "twin: adam, decoupled decay": (twin.adam(start, arrays, 0.05, decay=0.3), "AdamW"),
    }
    for subject, (ours, name) in cases.items():
        theta = leaf(rows, columns, seed=seed)
        path = walk(PAIRS[name][1]([theta], **PAIRS[name][2]), theta, grads)
        agree(subject, "torch", ours, path[-1], 1e-9)


def test_the_twins_of_muon():
    matrix, grads = normal(5, 3), gradients(5, 3)
    near = torch.optim._muon._zeropower_via_newtonschulz
    theirs = near(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7).double()
    ours = twin.orthogonalize(matrix.numpy())
    agree("twin: orthogonalize", "torch", ours, theirs, 0.02, limit="bfloat16")
    theta = leaf(5, 3)
    path = walk(torch.optim.Muon([theta], lr=0.02), theta, grads)
    ours = twin.muon(normal(5, 3).numpy(), [g.numpy() for g in grads], 0.02)
    agree("twin: muon", "torch", ours, path[-1], 0.02, limit="bfloat16")


# -- by hand -------------------------------------------------------------------------------------


def test_two_steps_of_adam_by_hand():
    theta = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    path = walk(
        optim.Adam([theta], lr=0.1, eps=0.0),
        theta,
        [torch.tensor([g]).double() for g in (2.0, 1.0)],
    )
    # m̂: 2, (0.9·0.2 + 0.1)/0.19; v̂: 4, (0.999·0.004 + 0.001)/0.001999
    second = (0.28 / 0.19) / math.sqrt(0.004996 / 0.001999)
    agree("Adam", "by hand", path.squeeze(), [0.9, 0.9 - 0.1 * second], 1e-12)


def test_three_steps_down_a_parabola_by_hand():
    theta = torch.tensor([4.0], dtype=torch.float64, requires_grad=True)
    optimizer, path = optim.SGD([theta], lr=0.25), []
    for _ in range(3):
        optimizer.zero_grad()
        (theta**2).sum().backward()
        optimizer.step()
        path.append(theta.item())
    agree("SGD", "by hand", np.array(path), [2.0, 1.0, 0.5])


@pytest.mark.parametrize(("rate", "converges"), [(1.99, True), (2.01, False)])
def test_the_largest_learning_rate_is_two_over_the_largest_curvature(rate, converges):
    curvature = torch.tensor([1.0, 10.0], dtype=torch.float64)
    theta = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
    optimizer = optim.SGD([theta], lr=rate / 10)
    for _ in range(1000):
        optimizer.zero_grad()
        (curvature * theta**2 / 2).sum().backward()
        optimizer.step()
    assert bool(theta.detach().abs().max() < 1) is converges


def test_l2_in_adam_decays_a_weight_with_large_gradients_less_and_adamw_does_not():
    def left(make):
        theta = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
        optimizer = make([theta], lr=0.01, weight_decay=0.1)
        for t in range(200):
            sign = 1 if t % 2 else -1
            theta.grad = sign * torch.tensor([100.0, 0.01], dtype=torch.float64)
            optimizer.step()
        return theta.detach()

    with_l2, decoupled = left(optim.Adam), left(optim.AdamW)
    assert with_l2[0] - with_l2[1] > 0.1
    assert abs(decoupled[0] - decoupled[1]) < 0.02


# -- what the classes share ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [*PAIRS, "Muon"])
def test_going_on_from_a_saved_state(name):
    make, keywords = (
        (optim.Muon, {"lr": 0.02}) if name == "Muon" else (PAIRS[name][0], PAIRS[name][2])
    )
    grads = gradients(4, 3)
    whole = leaf(4, 3)
    expected = walk(make([whole], **keywords), whole, grads)[-1]
    theta = leaf(4, 3)
    first = make([theta], **keywords)
    walk(first, theta, grads[:5])
    saved, copy = first.state_dict(), theta.detach().clone().requires_grad_()
    walk(first, theta, grads[5:])  # going on does not change what was saved
    resumed = make([copy], **keywords)
    resumed.load_state_dict(saved)
    assert torch.equal(walk(resumed, copy, grads[5:])[-1], expected)


def test_a_parameter_without_a_gradient_stays():
    a, b = leaf(2), leaf(2, seed=1)
    before = b.detach().clone()
    a.grad = torch.ones(2, dtype=torch.float64)
    optim.AdamW([a, b], lr=0.1).step()
    assert torch.equal(b.detach(), before)


def test_zero_grad_forgets():
    a = leaf(2)
    a.grad = torch.ones(2, dtype=torch.float64)
    optim.SGD([a], lr=0.1).zero_grad()
    assert a.grad is None


# -- schedules -----------------------------------------------------------------------------------


@shapes_vary
@given(warmup=st.integers(0, 20), rest=st.integers(1, 50))
def test_warmup_cosine_is_that_of_transformers(warmup, rest):
    total = warmup + rest
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    make = transformers.get_cosine_schedule_with_warmup
    theirs = make(optimizer, warmup, total).lr_lambdas[0]
    steps = range(total + 5)
    ours = [optim.warmup_cosine(t, 0.5, warmup, total) for t in steps]
    expected = [0.5 * theirs(min(t, total)) for t in steps]
    agree("warmup_cosine", "transformers", np.array(ours), expected)


def test_warmup_cosine_ends_at_its_floor():
    values = [optim.warmup_cosine(t, 1.0, 3, 10, floor=0.1) for t in range(15)]
    agree("warmup_cosine", "by hand", np.array(values[:4]), [0, 1 / 3, 2 / 3, 1])
    agree("warmup_cosine", "by hand", np.array(values[10:]), [0.1] * 5)


@shapes_vary
@given(period=st.integers(1, 9), growth=st.integers(1, 3), floor=st.sampled_from([0.0, 0.01]))
def test_restarts_are_torch_s(period, growth, floor):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    make = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts
    schedule, expected = make(optimizer, period, growth, eta_min=floor), []
    for _ in range(40):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    ours = [optim.cosine_restarts(t, 0.5, period, growth, floor) for t in range(40)]
    agree("cosine_restarts", "torch", np.array(ours), expected)


def test_the_first_transformer_s_schedule_by_hand():
    # at the end of the warm-up both branches meet: d^-½ w^-½
    values = [optim.inverse_square_root(t, 512, 4000) for t in (1, 4000, 16000)]
    peak = 512**-0.5 * 4000**-0.5
    agree("inverse_square_root", "by hand", np.array(values), [peak / 4000, peak, peak / 2])


# -- clipping ------------------------------------------------------------------------------------


@shapes_vary
@given(rows=sizes, seed=seeds, limit=st.sampled_from([0.01, 1.0, 100.0]))
def test_clipping_is_torch_s(rows, seed, limit):
    ours, theirs = ([leaf(rows, 2), leaf(rows)] for _ in range(2))
    for parameters in (ours, theirs):
        for i, parameter in enumerate(parameters):
            parameter.grad = normal(*parameter.shape, seed=seed + i)
    a = optim.clip_grad_norm(ours, limit)
    b = torch.nn.utils.clip_grad_norm_(theirs, limit)
    agree("clip_grad_norm", "torch", a, b)
    for x, y in zip(ours, theirs, strict=True):
        exact = y.grad * (b + 1e-6) / b if b + 1e-6 > limit else y.grad  # torch adds 1e-6 to b
        agree("clip_grad_norm", "torch", x.grad, exact)


def test_clipping_without_gradients_and_with_broken_ones():
    theta = leaf(2)
    assert optim.clip_grad_norm([theta], 1.0) == 0
    theta.grad = torch.tensor([math.nan, 1.0]).double()
    with pytest.raises(ValueError, match="length is nan"):
        optim.clip_grad_norm([theta], 1.0)


# -- what is wrong is named ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.SGD([], lr=0.1), "nothing to optimise"),
        (lambda: optim.SGD([leaf(1)], lr=-1.0), "lr must be at least 0, got -1.0"),
        (lambda: optim.SGD([leaf(1)], lr=math.nan), "lr must be at least 0, got nan"),
        (lambda: optim.SGD([leaf(1)], lr=1.0, momentum=1.0), "momentum must be from 0 to below 1"),
        (lambda: optim.SGD([leaf(1)], lr=1.0, nesterov=True), "nesterov needs a momentum"),
        (lambda: optim.Adam([leaf(1)], betas=(0.9, 1.0)), "beta_2 must be from 0 to below 1"),
        (lambda: optim.AdamW([leaf(1)], weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: optim.Muon([leaf(3)]), r"must be matrices, got shape \(3,\)"),
        (lambda: optim.orthogonalize(normal(3)), "two dimensions"),
        (lambda: optim.warmup_cosine(0, 1.0, 5, 5), "below total 5, got 5"),
        (lambda: optim.warmup_cosine(-1, 1.0, 0, 5), "step must be at least 0"),
        (lambda: optim.cosine_restarts(0, 1.0, 0), "at least 1, got 0 and 1"),
        (lambda: optim.inverse_square_root(0, 8, 8), "at least 1, got 0, 8, 8"),
        (lambda: optim.clip_grad_norm([leaf(1)], 0.0), "max_norm must be above 0"),
        (
            lambda: optim.SGD([leaf(1)], lr=1.0).load_state_dict({"lr": 1.0, "states": []}),
            "for 1 parameters, got 0",
        ),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.verifies("Optimizer", "what its subclasses share: saving, passing over, clearing")
def test_a_new_optimiser_must_say_how_it_updates():
    theta = leaf(1)
    theta.grad = torch.ones(1, dtype=torch.float64)
    with pytest.raises(NotImplementedError):
        optim.Optimizer([theta], lr=0.1).step()
