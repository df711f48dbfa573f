"""Groups, ratios, clips and divergences: by hand, by enumeration, against scipy and torch."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from companion.alignment import (
    KLEstimates,
    aggregate,
    baselines,
    group_advantages,
    grpo_loss,
    importance_ratios,
    kl_estimates,
    ppo_clip_loss,
    silent_groups,
)
from companion.reference import alignment as twin
from tests.plugins import shapes
from tests.support import coins, normal, seeds, shapes_vary
from tests.verification import agree, same

LEVELS = pytest.mark.parametrize("level", ["token", "sequence"])
OPTIONS = [("sequence_mean", None), ("token_mean", None), ("fixed_length", 7)]


def tokens(answers=4, length=5, seed=0):
    """Return log-probabilities by a policy, an older one and a reference, advantages, a mask."""
    policy = -normal(answers, length, seed=seed).abs() - 0.1
    old, reference = (policy - 0.3 * normal(answers, length, seed=seed + i) for i in (1, 2))
    mask = coins(answers, length, seed=seed)
    mask[:, 0] = True
    return policy, old, reference, normal(answers, seed=seed + 3), mask


# -- groups --------------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(1, 4), size=st.integers(2, 5), seed=seeds)
def test_advantages(n, size, seed):
    rewards = normal(n, size, seed=seed)
    for scale, eps in (("std", 1e-4), ("none", None)):
        found = group_advantages(rewards, scale)
        expected = twin.group_advantages(rewards.numpy(), eps)
        agree(f"group_advantages, {scale}", "NumPy twin", found, expected)
    scores = stats.zscore(rewards.numpy(), axis=1, ddof=1)
    agree(
        "twin: group_advantages",
        "scipy.stats.zscore",
        twin.group_advantages(rewards.numpy(), 0.0),
        scores,
    )
    agree(
        "group_advantages, no eps", "scipy.stats.zscore", group_advantages(rewards, eps=0.0), scores
    )
    ours = rewards - baselines(rewards, "mean")
    agree("group_advantages, none", "baselines", group_advantages(rewards, "none"), ours)


def test_silent_groups():
    rewards = torch.tensor([[0.1, 0.1, 0.1], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
    same("silent_groups", "by hand", silent_groups(rewards), torch.tensor([True, False, True]))
    for scale in ("std", "none"):  # the mean of three times 0.1 is not 0.1
        found = group_advantages(rewards, scale, eps=0.0)
        same("group_advantages, silent", "0", found[[0, 2]], torch.zeros(2, 3))


def test_the_division_lifts_easy_and_hard_prompts():
    one_of_eight = torch.eye(8)[:1]
    half = torch.tensor([[1.0, 0.0] * 4])
    lift = [
        float(group_advantages(x).max() / group_advantages(x, "none").max())
        for x in (one_of_eight, half)
    ]
    agree(
        "group_advantages, hard prompts",
        "1/s",
        lift,
        [1 / (float(x.std()) + 1e-4) for x in (one_of_eight, half)],
        1e-5,
    )
    assert lift[0] > lift[1]


# -- divergences ---------------------------------------------------------------------------------

POLICY = normal(6).log_softmax(dim=0)
REFERENCE = (POLICY + 0.4 * normal(6, seed=1)).log_softmax(dim=0)


@shapes_vary
@given(n=st.integers(2, 6), seed=seeds)
def test_estimates_over_all_samples(n, seed):
    policy, reference = (normal(n, seed=seed + i).log_softmax(dim=0) for i in (0, 1))
    found = kl_estimates(policy, reference)
    p, q = policy.exp().numpy(), reference.exp().numpy()
    by_twin = np.array([twin.kl_estimates(*pair) for pair in zip(p, q, strict=True)]).T
    agree("kl_estimates", "NumPy twin", torch.stack(found), by_twin)
    known = stats.entropy(p, q)
    for name in ("k1", "k3"):
        mean = (policy.exp() * getattr(found, name)).sum()
        agree(f"KLEstimates, mean of {name}", "scipy.stats.entropy", mean, known)
    agree("twin: kl_estimates", "scipy.stats.entropy", p @ by_twin[2], known)
    assert (found.k2 >= 0).all()
    assert (found.k3 >= 0).all()


def moments(x):
    mean = (POLICY.exp() * x).sum()
    return float(mean), float((POLICY.exp() * (x - mean).square()).sum())


def test_bias_and_variance():
    found = kl_estimates(POLICY, REFERENCE)
    known = stats.entropy(POLICY.exp().numpy(), REFERENCE.exp().numpy())
    (m1, v1), (m2, v2), (m3, v3) = (moments(x) for x in found)
    assert (m1, m3) == (pytest.approx(known), pytest.approx(known))
    assert abs(m2 - known) > 1e-4  # a bias, which is small near the reference
    assert abs(m2 - known) < known / 2
    assert v3 < v1 / 5
    assert v2 < v1 / 5
    assert (found.k1 < 0).any()
    same("KLEstimates, its parts", "by hand", KLEstimates._fields, ("k1", "k2", "k3"))


def expected_gradient(name):
    """Return the gradient of an estimate, with the samples held fixed, over all samples."""
    z = POLICY.clone().requires_grad_()
    estimate = getattr(kl_estimates(z.log_softmax(dim=0), REFERENCE), name)
    (gradient,) = torch.autograd.grad((POLICY.exp() * estimate).sum(), z)
    return gradient


def gradient_of(divergence):
    z = POLICY.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(z.log_softmax(dim=0)), z)
    return gradient


def test_what_is_minimised_when_estimates_are():
    forward = gradient_of(lambda p: (p.exp() * (p - REFERENCE)).sum())
    backward = gradient_of(lambda p: (REFERENCE.exp() * (REFERENCE - p)).sum())
    agree("kl_estimates, gradient of k1", "0", expected_gradient("k1"), torch.zeros(6).double())
    agree("kl_estimates, gradient of k2", "KL(π ‖ ref)", expected_gradient("k2"), forward)
    agree("kl_estimates, gradient of k3", "KL(ref ‖ π)", expected_gradient("k3"), backward)
    assert (forward - backward).abs().max() > 1e-3


# -- ratios and sums -----------------------------------------------------------------------------


def test_ratios():
    policy, old, _, _, mask = tokens()
    found = importance_ratios(policy, old, mask)
    expected = torch.where(mask, policy.exp() / old.exp(), 1.0)
    agree("importance_ratios, token", "by hand", found, expected)
    whole = importance_ratios(policy, old, mask, "sequence")
    means = [stats.gmean((policy - old)[i, mask[i]].exp().numpy()) for i in range(len(policy))]
    expected = torch.where(mask, torch.tensor(means)[:, None], 1.0)
    agree("importance_ratios, sequence", "scipy.stats.gmean", whole, expected)
    same(
        "importance_ratios, the old policy", "1", importance_ratios(old, old, mask), mask * 0 + 1.0
    )


def test_expectations_by_ratios_are_those_of_the_policy():
    """All texts of two tokens: what the old policy wrote, weighted, counts as by the policy."""
    old, new = (normal(3, 3, seed=s).log_softmax(dim=1) for s in (0, 1))
    start = [normal(3, seed=s).log_softmax(dim=0) for s in (2, 3)]
    total = reward = 0.0
    for a, b in itertools.product(range(3), repeat=2):
        logs = [
            torch.stack([s[a], table[a, b]])[None]
            for s, table in zip(start, (old, new), strict=True)
        ]
        ratios = importance_ratios(logs[1], logs[0], torch.ones(1, 2, dtype=torch.bool))
        total += logs[0].sum().exp() * ratios.prod() * (a + 2 * b)
        reward += logs[1].sum().exp() * (a + 2 * b)
    agree("importance_ratios", "every possible text", total, reward)


def test_aggregates():
    losses, mask = normal(4, 5), tokens()[4]
    rows = [losses[i, mask[i]] for i in range(4)]
    expected = np.mean([row.mean() for row in rows])
    agree("aggregate, sequence_mean", "numpy", aggregate(losses, mask), expected)
    agree(
        "aggregate, token_mean",
        "numpy",
        aggregate(losses, mask, "token_mean"),
        np.concatenate(rows).mean(),
    )
    agree(
        "aggregate, fixed_length",
        "numpy",
        aggregate(losses, mask, "fixed_length", 7),
        np.concatenate(rows).sum() / 28,
    )
    nan = losses.masked_fill(~mask, math.nan)
    for name, length in OPTIONS:
        same(
            "aggregate, outside",
            "not seen",
            float(aggregate(nan, mask, name, length)),
            float(aggregate(losses, mask, name, length)),
        )


# -- clipped losses ------------------------------------------------------------------------------


def by_twin(policy, old, reference, advantages, mask, **options):
    answers = [
        list(zip(*(x[i, mask[i]].exp().tolist() for x in (policy, old, reference)), strict=True))
        for i in range(len(policy))
    ]
    return twin.grpo_loss(answers, advantages.tolist(), **options)


@LEVELS
@pytest.mark.parametrize("reduction", ["sequence_mean", "token_mean"])
@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_losses_against_the_twin(level, reduction, beta):
    for seed in range(5):
        some = tokens(seed=seed)
        policy, old, _, advantages, mask = some
        options = {"clip_low": 0.1, "clip_high": 0.3, "level": level, "reduction": reduction}
        found = grpo_loss(*some, beta=beta, **options)
        expected = by_twin(
            *some,
            beta=beta,
            clip=(0.1, 0.3),
            sequence=level == "sequence",
            by_tokens=reduction == "token_mean",
        )
        agree(f"grpo_loss, {level}, {reduction}", "NumPy twin", found, expected)
        if not beta:
            found = ppo_clip_loss(policy, old, advantages, mask, **options)
            agree(f"ppo_clip_loss, {level}, {reduction}", "NumPy twin", found, expected)


def test_the_twin_without_a_clip():
    """A wide range clips nothing, and what is left is a weighted mean."""
    some = tokens()
    policy, old, _, advantages, mask = some
    found = by_twin(*some, beta=0.0, clip=(1.0, 1e9), sequence=False, by_tokens=True)
    ratios = (policy - old).exp() * advantages[:, None]
    agree("twin: grpo_loss", "torch", found, -ratios[mask].mean())


@LEVELS
def test_the_first_step_is_that_of_reinforce(level):
    """Where the policy is the old one, the gradient is A ∇ log π, whatever the clip."""
    policy, _, _, advantages, mask = tokens()
    policy.requires_grad_()
    ppo_clip_loss(policy, policy.detach(), advantages, mask, level=level).backward()
    expected = -torch.where(mask, advantages[:, None] / mask.sum(1, keepdim=True), 0.0) / 4
    agree(f"ppo_clip_loss, {level}, gradient", "REINFORCE", policy.grad, expected)


@pytest.mark.parametrize(
    ("ratio", "advantage", "slope"),
    [(1.5, 1.0, 0.0), (1.5, -1.0, 1.5), (0.5, 1.0, -0.5), (0.5, -1.0, 0.0), (1.1, 1.0, -1.1)],
)
def test_where_the_clip_stops_the_gradient(ratio, advantage, slope):
    policy = torch.tensor([[math.log(ratio) - 3]], dtype=torch.float64, requires_grad=True)
    old, mask = torch.tensor([[-3.0]]).double(), torch.tensor([[True]])
    ppo_clip_loss(policy, old, torch.tensor([advantage]).double(), mask).backward()
    agree("ppo_clip_loss, slope", "by hand", policy.grad, [[slope]])


def test_gradients():
    policy, old, reference, advantages, mask = tokens()
    policy.requires_grad_()
    for name, length in OPTIONS:

        def loss(x, name=name, length=length):
            return grpo_loss(x, old, reference, advantages, mask, reduction=name, length=length)

        assert torch.autograd.gradcheck(loss, (policy,))
    rest = [x.clone().requires_grad_() for x in (old, reference, advantages)]
    grpo_loss(policy, *rest, mask).backward()
    assert [x.grad for x in rest] == [None] * 3


def test_what_stands_outside_of_answers_does_not_count():
    policy, old, reference, advantages, mask = tokens()
    other = [x.masked_fill(~mask, -math.inf) for x in (policy, old, reference)]
    for name, length in OPTIONS:
        options = {"reduction": name, "length": length}
        found = grpo_loss(*other, advantages, mask, **options)
        expected = grpo_loss(policy, old, reference, advantages, mask, **options)
        same("grpo_loss, outside", "not seen", float(found), float(expected))
    other[0].requires_grad_()
    grpo_loss(*other, advantages, mask).backward()
    assert other[0].grad.isfinite().all()


# -- wrong calls ---------------------------------------------------------------------------------

X, Y, _, A, MASK = tokens()
ROW = torch.zeros(3)
WRONG = [
    (
        ValueError,
        "rewards must be .prompts, 2 or more",
        lambda: group_advantages(torch.zeros(3, 1)),
    ),
    (ValueError, "rewards must be .prompts, 2 or more", lambda: silent_groups(ROW)),
    (ValueError, "rewards must be finite", lambda: group_advantages(X / 0)),
    (ValueError, "scale must be one of", lambda: group_advantages(X, "var")),
    (ValueError, "eps must be from 0", lambda: group_advantages(X, eps=-1.0)),
    (ValueError, "reference must have the shape of policy", lambda: kl_estimates(X, ROW)),
    (ValueError, "reference must be finite", lambda: kl_estimates(ROW, ROW - math.inf)),
    (ValueError, "old must have the shape of policy", lambda: importance_ratios(X, Y[1:], MASK)),
    (ValueError, "policy must be .answers, length.", lambda: importance_ratios(ROW, ROW, MASK)),
    (ValueError, "level must be one of", lambda: importance_ratios(X, Y, MASK, "text")),
    (TypeError, "mask must be boolean", lambda: importance_ratios(X, Y, MASK.long())),
    (ValueError, "mask must leave a token", lambda: importance_ratios(X, Y, MASK & False)),
    (ValueError, "mask must be .batch, length.", lambda: aggregate(X, MASK[:, 1:])),
    (ValueError, "reduction must be one of", lambda: aggregate(X, MASK, "mean")),
    (ValueError, 'length must be given for "fixed', lambda: aggregate(X, MASK, "fixed_length")),
    (ValueError, 'length must be given for "fixed', lambda: aggregate(X, MASK, "token_mean", 3)),
    (ValueError, "length must be at least 1", lambda: aggregate(X, MASK, "fixed_length", 0)),
    (ValueError, "advantages must have the shape of", lambda: ppo_clip_loss(X, Y, ROW, MASK)),
    (ValueError, "advantages must be finite", lambda: ppo_clip_loss(X, Y, A / 0, MASK)),
    (ValueError, "clip_low must be from 0 to 1", lambda: ppo_clip_loss(X, Y, A, MASK, clip_low=2)),
    (ValueError, "clip_high must be from 0", lambda: ppo_clip_loss(X, Y, A, MASK, clip_high=-1)),
    (ValueError, "policy must be finite", lambda: ppo_clip_loss(X - math.inf, Y, A, MASK)),
    (ValueError, "beta must be from 0", lambda: grpo_loss(X, Y, Y, A, MASK, beta=-1)),
    (ValueError, "reference must have the shape", lambda: grpo_loss(X, Y, ROW, A, MASK)),
]


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
