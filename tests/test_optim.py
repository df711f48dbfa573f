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
    "SGD, Nesterov": (
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.02, "weight_decay": 0.2},
    ),
    "Adam": ({"lr": 0.05}, {"lr": 0.01, "betas": (0.5, 0.7), "weight_decay": 0.3}),
    "AdamW": ({"lr": 0.05, "weight_decay": 0.3}, {"lr": 0.01, "weight_decay": 0.0, "eps": 1e-3}),
}


def two_groups(make, name, later=False, seed=3):
    """Return a network of weights and biases, and an optimiser with a group of each."""
    w, v, b, c = leaf(3, 4, seed=seed), leaf(4, 2, seed=5), leaf(4, seed=4), leaf(2, seed=6)
    weights, biases = GROUPS[name]
    groups = [{"params": [w, v], **weights}, {"params": [b, c], **biases}]
    optimizer = make(groups[: 1 if later else 2], lr=0.5)
    if later:
        optimizer.add_param_group(groups[1])
    return (w, v, b, c), optimizer


def network_loss(w, v, b, c):
    x, y = normal(16, 3, seed=1), normal(16, 2, seed=2)
    return ((torch.tanh(x @ w + b) @ v + c - y) ** 2).mean()


@pytest.mark.parametrize("later", [False, True], ids=["at once", "added"])
@pytest.mark.parametrize("name", GROUPS)
def test_groups_step_by_step_as_torch_s(name, later):
    """The biases and the weights of one network, each with settings of their own."""
    kind = name.partition(",")[0]
    ours, mine = two_groups(getattr(optim, kind), name, later)
    theirs, torchs = two_groups(getattr(torch.optim, kind), name, later)
    for _ in range(STEPS):
        for parameters, optimizer in ((ours, mine), (theirs, torchs)):
            optimizer.zero_grad()
            network_loss(*parameters).backward()
            optimizer.step()
        for a, b in zip(ours, theirs, strict=True):
            agree(f"{kind}, groups", "torch", a.detach(), b.detach(), 1e-12)


@pytest.mark.parametrize("name", GROUPS)
def test_groups_and_one_optimiser_for_each_are_the_same(name):
    make = getattr(optim, name.partition(",")[0])
    together, one = two_groups(make, name)
    apart, _ = two_groups(make, name)
    weights, biases = GROUPS[name]
    two = [make(apart[:2], **weights), make(apart[2:], **biases)]
    for _ in range(STEPS):
        for parameters, optimizers in ((together, [one]), (apart, two)):
            for parameter in parameters:
                parameter.grad = None
            network_loss(*parameters).backward()
            for optimizer in optimizers:
                optimizer.step()
    for a, b in zip(together, apart, strict=True):
        assert torch.equal(a, b)


def test_the_groups_of_muon_are_those_of_the_published_formula():
    a, b = leaf(5, 3), leaf(2, 4)
    starts = [x.detach().numpy().copy() for x in (a, b)]
    settings = [(0.02, 0.9, 0.3), (0.1, 0.5, 0.0)]
    names = ("lr", "momentum", "weight_decay")
    groups = [
        {"params": [x], **dict(zip(names, numbers, strict=True))}
        for x, numbers in zip((a, b), settings, strict=True)
    ]
    optimizer, grads = optim.Muon(groups), [gradients(5, 3), gradients(2, 4)]
    for pair in zip(*grads, strict=True):
        a.grad, b.grad = (g.clone() for g in pair)
        optimizer.step()
    for x, start, gs, numbers in zip((a, b), starts, grads, settings, strict=True):
        expected = published_muon(start, [g.numpy() for g in gs], *numbers)[-1]
        agree("Muon, groups", "Jordan et al. (2024)", x.detach(), expected, 1e-12)


SCHEDULES = torch.optim.lr_scheduler
MAKERS = {
    "StepLR": lambda o: SCHEDULES.StepLR(o, 3, 0.5),
    "LambdaLR": lambda o: SCHEDULES.LambdaLR(o, lambda t: 1 / (1 + t)),
    "CosineAnnealingLR": lambda o: SCHEDULES.CosineAnnealingLR(o, STEPS),
    "OneCycleLR": lambda o: SCHEDULES.OneCycleLR(o, 0.2, STEPS),
    "CyclicLR": lambda o: SCHEDULES.CyclicLR(o, 0.01, 0.1, 3),
    "SequentialLR": lambda o: SCHEDULES.SequentialLR(
        o, [SCHEDULES.LinearLR(o, 0.1), SCHEDULES.ExponentialLR(o, 0.9)], [4]
    ),
    "ReduceLROnPlateau": lambda o: SCHEDULES.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("schedule", MAKERS)
@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_torch_s_schedules_drive_our_optimisers(name, schedule):
    """Rates, and the momentum or first beta that a cycle changes, group by group."""
    sets = []
    for module in (optim, torch.optim):
        parameters, optimizer = two_groups(getattr(module, name), name)
        driver = MAKERS[schedule](optimizer)
        for step in range(STEPS):
            optimizer.zero_grad()
            network_loss(*parameters).backward()
            optimizer.step()
            driver.step(*([float(step)] if schedule == "ReduceLROnPlateau" else []))
        sets.append((parameters, [group["lr"] for group in optimizer.param_groups]))
    (ours, rates), (theirs, expected) = sets
    assert rates == expected
    for a, b in zip(ours, theirs, strict=True):
        agree(f"{name}, torch's schedules", "torch", a.detach(), b.detach(), 1e-12)


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


def test_a_matrix_shorter_than_the_docstring_says_counts_as_that_long():
    matrix = torch.tensor([[1e-7, 0.0], [0.0, 0.0]], dtype=torch.float64)
    agree("orthogonalize", "by hand", optim.orthogonalize(matrix / 4, 0)[0, 0], 0.25)


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


ALL = {**{name: (ours, keywords) for name, (ours, _, keywords) in PAIRS.items()}}
ALL["Muon"] = (optim.Muon, {"lr": 0.02})


def stepped(name, dtype=torch.float64, shape=(4, 3)):
    """Return an optimiser after five steps, and its parameter."""
    make, keywords = ALL[name]
    theta = leaf(*shape, dtype=dtype)
    optimizer = make([theta], **keywords)
    walk(optimizer, theta, [g.to(dtype) for g in gradients(*shape)[:5]])
    return optimizer, theta


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ALL)
def test_ten_steps_after_a_round_trip_are_the_same_bits(name, dtype, tmp_path):
    make, keywords = ALL[name]
    first, theta = stepped(name, dtype)
    copy = theta.detach().clone().requires_grad_()
    torch.save(first.state_dict(), tmp_path / "state.pt")
    grads = [g.to(dtype) for g in gradients(4, 3, seed=9, steps=10)]
    expected = walk(first, theta, grads)
    resumed = make([copy], **{**keywords, "lr": 1.0})
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(walk(resumed, copy, grads), expected)


@pytest.mark.parametrize("name", ALL)
def test_what_was_saved_stays_as_it_was(name):
    first, theta = stepped(name)
    saved, copy = first.state_dict(), theta.detach().clone().requires_grad_()
    rest = gradients(4, 3)[5:]
    expected = walk(first, theta, rest)  # going on does not change what was saved
    make, keywords = ALL[name]
    for _ in range(2):  # nor does going on from it
        again = copy.detach().clone().requires_grad_()
        resumed = make([again], **keywords)
        resumed.load_state_dict(saved)
        assert torch.equal(walk(resumed, again, rest), expected)


@pytest.mark.parametrize("name", GROUPS)
def test_groups_and_what_a_schedule_has_noted_come_back(name):
    make = getattr(optim, name.partition(",")[0])
    parameters, first = two_groups(make, name)
    schedule = MAKERS["OneCycleLR"](first)
    for _ in range(4):
        first.zero_grad()
        network_loss(*parameters).backward()
        first.step()
        schedule.step()
    others, second = two_groups(make, name, seed=8)
    second.load_state_dict(first.state_dict())
    for group, other in zip(first.param_groups, second.param_groups, strict=True):
        assert {**group, "params": 0} == {**other, "params": 0}
    for a, b in zip(parameters, others, strict=True):
        with torch.no_grad():
            b.copy_(a)
            b.grad = a.grad.clone()
    first.step()
    second.step()
    for a, b in zip(parameters, others, strict=True):
        assert torch.equal(a, b)


def spoilt(name, change):
    """Return an optimiser of the kind, and a saved state with something wrong in it."""
    saved = stepped(name)[0].state_dict()
    change(saved)
    return saved


def put(*path):
    """Return a function that puts the last of the path where the others lead."""
    *way, last, value = path

    def change(saved):
        for step in way:
            saved = saved[step]
        saved[last] = value

    return change


def drop(*path):
    *way, last = path

    def change(saved):
        for step in way:
            saved = saved[step]
        del saved[last]

    return change


GROUP = ("param_groups", 0)
WRONG_STATES = {
    "one number for a matrix": ("Adam", put("state", 0, "m", torch.ones(1)), r"shape \(4, 3\)"),
    "a row": ("Adam", put("state", 0, "v", torch.ones(1, 3)), r"got \(1, 3\)"),
    "turned": ("SGD, momentum", put("state", 0, "buffer", torch.ones(3, 4)), r"got \(3, 4\)"),
    "no tensor": ("Muon", put("state", 0, "buffer", 0.5), "must be a real tensor"),
    "complex": ("Muon", put("state", 0, "buffer", torch.ones(4, 3) * 1j), "must be a real tensor"),
    "a moment too few": ("AdamW", drop("state", 0, "v"), r"must have \['m', 't', 'v'\]"),
    "one too many": ("AdamW", put("state", 0, "w", torch.ones(4, 3)), "got .*'w'"),
    "steps not counted": ("Adam", put("state", 0, "t", 0), "t must be at least 1"),
    "steps in a tensor": (
        "Adam",
        put("state", 0, "t", torch.tensor(2)),
        "t must be a whole number",
    ),
    "steps for each entry": (
        "Adam",
        put("state", 0, "t", torch.full((4, 3), 2.0)),
        "t must be a whole number",
    ),
    "half a step": ("Adam", put("state", 0, "t", 2.5), "t must be a whole number"),
    "no dict of a state": ("Adam", put("state", 0, [1]), "must be a dict"),
    "a state of nobody": ("Adam", put("state", 7, {}), r"parameters \[7\]"),
    "another kind": ("Adam", put("optimizer", "AdamW"), "that of our Adam, got AdamW"),
    "no kind": ("Adam", drop("optimizer"), "that of our Adam"),
    "no groups": ("Adam", drop("param_groups"), "a list 'param_groups'"),
    "no states": ("Adam", drop("state"), "a dict 'state'"),
    "no parameters": ("Adam", drop(*GROUP, "params"), "without a list 'params'"),
    "too many parameters": (
        "Adam",
        put(*GROUP, "params", [0, 1]),
        r"\[1\] parameters, got .*\[2\]",
    ),
    "one of them twice": ("Adam", put(*GROUP, "params", [0, 0]), "twice"),
    "a setting too few": ("Adam", drop(*GROUP, "eps"), r"lacks the settings \['eps'\]"),
    "an unknown setting": ("Adam", put(*GROUP, "momentun", 0.5), "no setting 'momentun'"),
    "a negative rate": ("Adam", put(*GROUP, "lr", -1.0), "lr must be at least 0"),
    "a rate in words": ("Adam", put(*GROUP, "lr", "0.1"), "lr must be a number, got '0.1'"),
    "betas out of range": ("Adam", put(*GROUP, "betas", (0.9, 1.0)), "beta_2 must be from 0"),
}


@pytest.mark.parametrize("case", WRONG_STATES)
def test_a_state_that_does_not_fit_is_refused_and_changes_nothing(case):
    name, change, message = WRONG_STATES[case]
    optimizer, theta = stepped(name)
    twin_of_it, copy = stepped(name)
    with pytest.raises((ValueError, TypeError), match=message):
        optimizer.load_state_dict(spoilt(name, change))
    rest = gradients(4, 3)[5:]
    assert torch.equal(walk(optimizer, theta, rest), walk(twin_of_it, copy, rest))


@pytest.mark.parametrize("kinds", [("Adam", "AdamW"), ("SGD, momentum", "Muon"), ("Muon", "Adam")])
def test_a_state_of_another_optimiser_is_refused(kinds):
    with pytest.raises(ValueError, match=f"that of our {kinds[1].partition(',')[0]}, got"):
        stepped(kinds[1])[0].load_state_dict(stepped(kinds[0])[0].state_dict())


def test_a_state_of_torch_s_is_refused_and_no_dict_too():
    ours = optim.Adam([leaf(4, 3)])
    theirs = torch.optim.Adam([leaf(4, 3)])
    with pytest.raises(ValueError, match="that of our Adam, got a dict of"):
        ours.load_state_dict(theirs.state_dict())
    with pytest.raises(TypeError, match="must be a dict, got list"):
        ours.load_state_dict([])


def test_a_parameter_without_a_gradient_stays():
    a, b = leaf(2), leaf(2, seed=1)
    before = b.detach().clone()
    a.grad = torch.ones(2, dtype=torch.float64)
    optim.AdamW([a, b], lr=0.1).step()
    assert torch.equal(b.detach(), before)


def test_zero_grad_forgets_or_sets_to_zero():
    a = leaf(2)
    optimizer = optim.SGD([a], lr=0.1)
    a.grad = torch.ones(2, dtype=torch.float64)
    optimizer.zero_grad(set_to_none=False)
    assert a.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert a.grad is None


@pytest.mark.parametrize("name", ALL)
def test_a_closure_computes_the_gradient_before_the_step(name):
    make, keywords = ALL[name]
    with_closure, plain = leaf(3, 2), leaf(3, 2)
    first, second = make([with_closure], **keywords), make([plain], **keywords)

    def closure():
        first.zero_grad()
        loss = (with_closure**2).sum()
        loss.backward()
        return loss

    for _ in range(3):
        expected = (plain**2).sum()
        second.zero_grad()
        expected.backward()
        assert second.step() is None
        assert first.step(closure).item() == expected.item()
        assert torch.equal(with_closure, plain)


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="this PyTorch has none for a CPU")
@pytest.mark.parametrize("name", ["SGD, momentum", "AdamW", "Muon"])
def test_a_grad_scaler_unscales_clips_and_leaves_out_what_overflowed(name):
    """In two steps of three the gradient is finite; the scaler is enabled."""
    make, keywords = ALL[name]
    scaled, plain = (leaf(3, 2, dtype=torch.float32) for _ in range(2))
    first, second = make([scaled], **keywords), make([plain], **keywords)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for factor in (1.0, math.inf, 2.0):
        first.zero_grad()
        scaler.scale((factor * scaled**2).sum()).backward()
        scaler.unscale_(first)
        length = optim.clip_grad_norm([scaled], 0.5)
        scaler.step(first)
        scaler.update()
        assert bool(length.isfinite()) is math.isfinite(factor)
        if math.isfinite(factor):
            second.zero_grad()
            (factor * plain**2).sum().backward()
            optim.clip_grad_norm([plain], 0.5)
            second.step()
        agree(f"{make.__name__}, scaled", "unscaled", scaled.detach(), plain.detach())
    assert scaler.get_scale() == 512.0


def break_shape(parameter):
    parameter.grad = torch.ones_like(parameter)
    parameter.data = torch.zeros(2, 2, dtype=parameter.dtype)


def make_sparse(parameter):
    parameter.grad = torch.ones_like(parameter).to_sparse()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [(break_shape, r"shape of its parameter, \(2, 2\), got \(4, 3\)"), (make_sparse, "dense")],
)
@pytest.mark.parametrize("name", ALL)
def test_a_bad_gradient_in_the_third_parameter_changes_none(name, break_it, message):
    make, keywords = ALL[name]
    parameters = [leaf(4, 3, seed=i) for i in range(3)]
    optimizer = make(parameters, **keywords)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    before = [p.detach().clone() for p in parameters[:2]]
    states = [dict(optimizer.state[p]) for p in parameters[:2]]
    break_it(parameters[2])
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    with pytest.raises(ValueError, match=message):
        optim.clip_grad_norm(parameters, 0.1)
    for parameter, copy, state in zip(parameters, before, states, strict=False):
        assert torch.equal(parameter, copy)
        assert parameter.grad.eq(1).all()
        assert all(optimizer.state[parameter][key] is value for key, value in state.items())


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name][0].keeps and "SGD" not in name])
def test_a_parameter_that_changed_its_shape_does_not_meet_its_old_state(name):
    optimizer, theta = stepped(name, shape=(1, 1))
    theta.grad = None
    theta.data = torch.zeros(3, 2, dtype=theta.dtype)
    theta.grad = torch.ones_like(theta)
    with pytest.raises(ValueError, match=r"has shape \(3, 2\) now, .* before \(1, 1\)"):
        optimizer.step()
    assert not theta.any()


def test_a_rate_that_is_not_finite_is_refused_at_the_step():
    theta = leaf(2)
    theta.grad = torch.ones_like(theta)
    optimizer = optim.SGD([theta], lr=0.1)
    optimizer.param_groups[0]["lr"] = math.nan
    with pytest.raises(ValueError, match="lr must be finite, got nan"):
        optimizer.step()
    with pytest.raises(ValueError, match="lr must be at least 0, got nan"):
        optimizer.lr = math.nan


def test_the_rate_of_all_groups():
    _, optimizer = two_groups(optim.Adam, "Adam")
    with pytest.raises(ValueError, match=r"lr differs between param_groups: \[0.01, 0.05\]"):
        _ = optimizer.lr
    optimizer.lr = 0.3
    assert optimizer.lr == 0.3
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.3]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sixteen_bits_take_the_steps_of_thirty_two(dtype):
    """Gradients whose squares leave the range of 16 bits, at both ends."""
    numbers = torch.tensor([[3e4, -300.0, 1e-4, 0.0], [1.0, -6e4, -1e-7, 2.0]])
    for name, (make, keywords) in ALL.items():
        low, high = (torch.ones(2, 4, dtype=d, requires_grad=True) for d in (dtype, torch.float32))
        high.grad = numbers.to(dtype).float()
        low.grad = numbers.to(dtype)
        if "SGD" in name:
            keywords = {**keywords, "lr": 1e-5}
        make([low], **keywords).step()
        make([high], **keywords).step()
        eps = torch.finfo(dtype).eps
        agree(
            make.__name__,
            "itself in float32",
            low.detach().float(),
            high.detach(),
            eps,
            limit=str(dtype)[6:],
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_lengths_beyond_sixteen_bits(dtype):
    matrix = torch.full((4, 6), 3e4, dtype=dtype)
    matrix[0, 0] = -3e4
    expected = optim.orthogonalize(matrix.double())
    eps = torch.finfo(dtype).eps
    ours = optim.orthogonalize(matrix)
    assert ours.dtype == dtype
    agree("orthogonalize", "itself in float64", ours.double(), expected, eps, limit=str(dtype)[6:])
    theta = torch.zeros(4, 6, dtype=dtype, requires_grad=True)
    theta.grad = matrix.clone()
    length = optim.clip_grad_norm([theta], 1.0)
    agree("clip_grad_norm", "itself in float64", length, matrix.double().norm(), 1e-6)
    shorter = matrix.double() / matrix.double().norm()
    agree(
        "clip_grad_norm",
        "itself in float64",
        theta.grad.double(),
        shorter,
        eps,
        limit=str(dtype)[6:],
    )


def test_the_printed_form_shows_the_groups():
    _, optimizer = two_groups(optim.AdamW, "AdamW")
    _, theirs = two_groups(torch.optim.AdamW, "AdamW")
    ours = repr(optimizer).splitlines()
    assert set(ours) <= set(repr(theirs).splitlines())
    assert "    lr: 0.01" in ours
    assert "Parameter Group 1" in ours


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


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_clipping_what_is_not_finite_is_torch_s(bad):
    ours, theirs = ([leaf(2), leaf(3)] for _ in range(2))
    for parameters in (ours, theirs):
        parameters[0].grad = torch.tensor([bad, 1.0]).double()
        parameters[1].grad = torch.ones(3).double()
    a = optim.clip_grad_norm(ours, 1.0)
    b = torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    assert a.isfinite() == b.isfinite() == False  # noqa: E712
    assert str(a) == str(b)
    for x, y in zip(ours, theirs, strict=True):
        assert str(x.grad) == str(y.grad)


def test_clipping_can_refuse_and_then_changes_nothing():
    theta = leaf(2)
    assert optim.clip_grad_norm([theta], 1.0) == 0
    theta.grad = torch.tensor([math.inf, 1.0]).double()
    with pytest.raises(ValueError, match="length is inf"):
        optim.clip_grad_norm([theta], 1.0, error_if_nonfinite=True)
    assert theta.grad.tolist() == [math.inf, 1.0]


def test_clipping_one_tensor_a_generator_and_one_that_comes_twice():
    def theta():
        made = torch.zeros(2, 2, requires_grad=True)
        made.grad = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
        return made

    for parameters in (lambda t: t, lambda t: (x for x in [t]), lambda t: [t, t]):
        one = theta()
        assert optim.clip_grad_norm(parameters(one), 1.0) == 5
        agree("clip_grad_norm", "by hand", one.grad, [[0.6, 0], [0, 0.8]])


def test_clipping_parameters_of_two_types():
    a, b = leaf(1, dtype=torch.float32), leaf(1)
    a.grad, b.grad = torch.tensor([3.0]), torch.tensor([4.0]).double()
    agree("clip_grad_norm", "by hand", optim.clip_grad_norm([a, b], 1.0).float(), 5.0)
    agree("clip_grad_norm", "by hand", torch.cat([a.grad, b.grad]).float(), [0.6, 0.8])


# -- what is wrong is named ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.SGD([], lr=0.1), "nothing to optimise"),
        (lambda: optim.SGD((p for p in []), lr=0.1), "nothing to optimise"),
        (lambda: optim.SGD([leaf(1)], lr=-1.0), "lr must be at least 0, got -1.0"),
        (lambda: optim.SGD([leaf(1)], lr=math.nan), "lr must be at least 0, got nan"),
        (lambda: optim.SGD([leaf(1)], lr=math.inf), "lr must be at least 0, got inf"),
        (lambda: optim.SGD([leaf(1)], lr=1.0, momentum=1.0), "momentum must be from 0 to below 1"),
        (lambda: optim.SGD([leaf(1)], lr=1.0, nesterov=True), "nesterov needs a momentum"),
        (lambda: optim.SGD([leaf(1) * 2], lr=1.0), "non-leaf"),
        (lambda: optim.SGD([leaf(1)] * 2, lr=1.0), "twice"),
        (lambda: optim.SGD([{"params": leaf(1), "learning_rate": 1}]), "no setting 'learning_rat"),
        (lambda: optim.SGD([{"params": leaf(1), "weight_deacy": 1}]), "you mean 'weight_decay'"),
        (lambda: optim.SGD([{"params": leaf(1), "lr": -1}]), "lr must be at least 0, got -1"),
        (lambda: optim.SGD([{"lr": 1.0}]), "must have 'params'"),
        (lambda: optim.Adam([leaf(1)], betas=(0.9, 1.0)), "beta_2 must be from 0 to below 1"),
        (lambda: optim.Adam([leaf(1)], betas=(-0.1, 0.9)), "beta_1 must be from 0 to below 1"),
        (lambda: optim.Adam([leaf(1)], betas=(0.9,)), "betas must be two numbers"),
        (lambda: optim.Adam([leaf(1)], eps=-1e-8), "eps must be at least 0"),
        (lambda: optim.AdamW([leaf(1)], weight_decay=-1), "weight_decay must be at least 0"),
        (lambda: optim.Muon([leaf(3)]), r"must be matrices, got shape \(3,\)"),
        (lambda: optim.Muon([leaf(3, 0)]), r"must be matrices, got shape \(3, 0\)"),
        (lambda: optim.Muon([leaf(3, 1)], steps=-1), "steps must be at least 0"),
        (lambda: optim.orthogonalize(normal(3)), "two dimensions"),
        (lambda: optim.orthogonalize(normal(3, 2), -1), "steps must be at least 0"),
        (lambda: optim.warmup_cosine(0, 1.0, 5, 5), "below total 5, got 5"),
        (lambda: optim.warmup_cosine(-1, 1.0, 0, 5), "step must be at least 0"),
        (lambda: optim.warmup_cosine(1, 1.0, -1, 5), "warmup must be at least 0"),
        (lambda: optim.warmup_cosine(1, math.nan, 0, 5), "peak must be at least 0, got nan"),
        (lambda: optim.warmup_cosine(1, 1.0, 0, 5, floor=2.0), "floor must be from 0 to peak 1.0"),
        (lambda: optim.cosine_restarts(0, 1.0, 0), "period must be at least 1, got 0"),
        (lambda: optim.cosine_restarts(0, 1.0, 1, 0), "growth must be at least 1, got 0"),
        (lambda: optim.cosine_restarts(0, 1.0, 1, floor=-1), "floor must be at least 0"),
        (lambda: optim.inverse_square_root(0, 8, 8), "step must be at least 1, got 0"),
        (lambda: optim.clip_grad_norm([leaf(1)], 0.0), "max_norm must be above 0"),
        (lambda: optim.clip_grad_norm([leaf(1)], math.nan), "max_norm must be above 0, got nan"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.AdamW, optim.Muon])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        (leaf(3, 2), "params must be a list .* got Tensor"),
        ("weights", "got str"),
        ({"w": leaf(3, 2)}, "got dict"),
        (None, "got NoneType"),
        (torch.nn.Linear(2, 2), "got Linear"),
        ([1.0], "can only optimize Tensors"),
        (["w"], "can only optimize Tensors"),
        ([leaf(3, 2), None], "can only optimize Tensors"),
        ([leaf(3, 2) * 1j], "real numbers"),
        ([{"params": [leaf(3, 2)]}, leaf(3, 2)], "param_group must be a dict"),
        ([{"params": "w"}], "got str"),
        ([{"params": {leaf(3, 2)}}], "got set"),
    ],
)
def test_what_is_no_list_of_parameters(make, params, message):
    with pytest.raises(TypeError, match=message):
        make(params, lr=0.1)
    if not isinstance(params, list) and not isinstance(params, torch.Tensor):
        with pytest.raises(TypeError, match=message):
            optim.clip_grad_norm(params, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: optim.SGD([leaf(1)], lr="0.1"), "lr must be a number, got '0.1'"),
        (lambda: optim.SGD([leaf(1)], lr=None), "lr must be a number, got None"),
        (lambda: optim.SGD([leaf(1)], lr=True), "lr must be a number, got True"),
        (lambda: optim.SGD([leaf(1)], 0.1, 0.9, 0), "positional argument"),
        (lambda: optim.SGD([leaf(1)], 0.1, 0.9, nesterov=1), "nesterov must be True or False"),
        (lambda: optim.SGD([leaf(1)], 0.1, dampening=0.1), "dampening"),
        (lambda: optim.Adam([leaf(1)], betas=0.9), "betas must be two numbers"),
        (lambda: optim.Adam([leaf(1)], betas="ab"), "betas must be two numbers"),
        (lambda: optim.Adam([leaf(1)], betas=("a", 0.9)), "beta_1 must be a number"),
        (lambda: optim.Muon([leaf(2, 2)], 0.1, 0.1), "positional argument"),
        (lambda: optim.Muon([leaf(2, 2)], steps=2.5), "steps must be a whole number, got 2.5"),
        (lambda: optim.orthogonalize([[1.0]]), "must be a tensor of floating-point"),
        (lambda: optim.orthogonalize(torch.ones(2, 2).long()), "must be a tensor of floating-po"),
        (lambda: optim.orthogonalize(normal(2, 2), 2.5), "steps must be a whole number"),
        (lambda: optim.warmup_cosine(1.5, 1.0, 0, 5), "step must be a whole number, got 1.5"),
        (lambda: optim.warmup_cosine(1, "1", 0, 5), "peak must be a number, got '1'"),
        (lambda: optim.warmup_cosine(1, 1.0, 0.5, 5), "warmup must be a whole number"),
        (lambda: optim.cosine_restarts(1, 1.0, 2, 1.5), "growth must be a whole number"),
        (lambda: optim.inverse_square_root(1, 8.5, 4), "d_model must be a whole number"),
        (lambda: optim.clip_grad_norm([leaf(1)], "1"), "max_norm must be a number"),
        (lambda: optim.clip_grad_norm([1.0], 1.0), "parameters must be tensors, got float"),
        (lambda: optim.clip_grad_norm([np.ones(2)], 1.0), "must be tensors, got ndarray"),
        (lambda: optim.SGD([leaf(1)]).step("loss"), "closure must be a function, got 'loss'"),
    ],
)
def test_what_is_of_the_wrong_type(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("number", [np.int8, np.uint8, torch.tensor])
def test_steps_may_be_counted_in_any_whole_numbers(number):
    """In 8 bits the periods would soon be negative, and the cycles never end."""
    for step in (0, 3, 100):
        ours = [
            optim.warmup_cosine(number(step), 1.0, number(2), number(90)),
            optim.cosine_restarts(number(step), 1.0, number(50), number(3)),
            optim.inverse_square_root(number(step + 1), number(64), number(100)),
        ]
        assert ours == [
            optim.warmup_cosine(step, 1.0, 2, 90),
            optim.cosine_restarts(step, 1.0, 50, 3),
            optim.inverse_square_root(step + 1, 64, 100),
        ]


def test_a_group_that_is_refused_is_not_added():
    a, b = leaf(2), leaf(2)
    optimizer = optim.Adam([a])
    for group in (
        {"params": [b], "lr": -1.0},
        {"params": [b], "eps": "small"},
        {"params": [b, b]},
        {"params": [a]},  # it is in the first group
        {"params": [b * 2]},
        {"params": [b], "momentum": 0.9},
    ):
        kept = dict(group)
        with pytest.raises((ValueError, TypeError)):
            optimizer.add_param_group(group)
        assert group == kept
        assert [list(each["params"]) for each in optimizer.param_groups] == [[a]]
    shared = {"params": [b], "lr": 0.5}
    optimizer.add_param_group(shared)
    optimizer.param_groups[1]["lr"] = 0.1
    assert shared == {"params": [b], "lr": 0.5}


@pytest.mark.verifies("Optimizer", "what its subclasses share: saving, passing over, clearing")
def test_a_new_optimiser_must_say_how_it_updates():
    theta = leaf(1)
    theta.grad = torch.ones(1, dtype=torch.float64)
    with pytest.raises(NotImplementedError):
        optim.Optimizer([theta], lr=0.1).step()
