"""Bandits and the policy gradient: by autograd, by every possible sample, and by drawing many."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from companion.alignment import (
    Bandit,
    BernoulliBandit,
    baselines,
    best_baseline,
    estimator_variance,
    policy_gradient,
    reinforce_loss,
)
from companion.reference import alignment as twin
from companion.reference.activations import softmax
from tests.plugins import shapes
from tests.support import normal, seeds, shapes_vary
from tests.verification import agree, same

KINDS = ["none", "mean", "leave_one_out"]
LOGITS = torch.tensor([0.3, -0.5, 1.1], dtype=torch.float64)
REWARDS = torch.tensor([2.0, 5.0, 1.0], dtype=torch.float64)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def estimate(logits, rewards, arms, kind):
    """Return the estimate of the gradient from these arms, by autograd."""
    z = logits.clone().requires_grad_()
    loss = reinforce_loss(z.log_softmax(dim=0)[arms], rewards[arms], kind)
    (gradient,) = torch.autograd.grad(-loss, z)
    return gradient


def moments(logits, rewards, n, kind):
    """Return mean and total variance of the estimate over all samples of n arms there can be."""
    p, mean, square = logits.softmax(dim=0), torch.zeros(len(logits)).double(), 0.0
    for arms in itertools.product(range(len(logits)), repeat=n):
        weight, g = p[list(arms)].prod(), estimate(logits, rewards, list(arms), kind)
        mean, square = mean + weight * g, square + weight * g.square().sum()
    return mean, square - mean.square().sum()


# -- the gradient --------------------------------------------------------------------------------


@shapes_vary
@given(k=st.integers(2, 5), n=st.integers(2, 6), seed=seeds)
def test_estimates_against_the_twin(k, n, seed):
    logits, rewards = normal(k, seed=seed), normal(k, seed=seed + 1)
    arms = torch.randint(k, (n,), generator=generator(seed))
    found = policy_gradient(logits, rewards)
    agree(
        "policy_gradient", "NumPy twin", found, twin.policy_gradient(*map(_np, (logits, rewards)))
    )
    for kind in KINDS:
        ours = estimate(logits, rewards, arms, kind)
        expected = twin.reinforce_gradient(_np(logits), _np(arms), _np(rewards[arms]), kind)
        agree(f"reinforce_loss, {kind}, gradient", "NumPy twin", ours, expected)


def _np(x):
    return x.numpy()


@shapes_vary
@given(k=st.integers(2, 5), seed=seeds)
def test_the_policy_gradient_is_that_of_autograd(k, seed):
    logits, rewards = normal(k, seed=seed).requires_grad_(), normal(k, seed=seed + 1)
    (expected,) = torch.autograd.grad((logits.softmax(dim=0) * rewards).sum(), logits)
    found = policy_gradient(logits.detach(), rewards)
    agree("policy_gradient", "autograd", found, expected)
    expected = expected.numpy()
    ours = twin.policy_gradient(logits.detach().numpy(), rewards.numpy())
    agree("twin: policy_gradient", "autograd", ours, expected)


@pytest.mark.parametrize(("kind", "share"), [("none", 1), ("leave_one_out", 1), ("mean", 2 / 3)])
def test_the_expected_estimate_over_all_samples(kind, share):
    """Without bias, but with the mean of all three, which leaves 1 − 1/n."""
    mean, _ = moments(LOGITS, REWARDS, 3, kind)
    expected = share * policy_gradient(LOGITS, REWARDS)
    agree(f"reinforce_loss, {kind}", "every possible sample", mean, expected)
    total = sum(
        softmax(LOGITS.numpy())[list(arms)].prod()
        * twin.reinforce_gradient(LOGITS.numpy(), np.array(arms), REWARDS[list(arms)].numpy(), kind)
        for arms in itertools.product(range(3), repeat=3)
    )
    agree("twin: reinforce_gradient", "the gradient", total, expected)


def test_the_variance_is_that_of_all_samples():
    for b in (0.0, 2.5):
        found = estimator_variance(LOGITS, REWARDS, b)
        _, variance = moments(LOGITS, REWARDS - b, 1, "none")
        agree("estimator_variance", "every possible sample", found, variance)
    _, of_two = moments(LOGITS, REWARDS, 2, "none")
    agree("estimator_variance, n samples", "1/n", of_two, estimator_variance(LOGITS, REWARDS) / 2)
    _, without = moments(LOGITS, REWARDS, 3, "leave_one_out")
    assert without < estimator_variance(LOGITS, REWARDS) / 3 / 2


def test_the_variance_that_is_measured():
    n = 20_000
    arms = torch.multinomial(LOGITS.softmax(dim=0), n, True, generator=generator())
    scores = torch.eye(3).double()[arms] - LOGITS.softmax(dim=0)  # (n, k)
    for b in (0.0, float(best_baseline(LOGITS, REWARDS))):
        measured = ((REWARDS[arms] - b)[:, None] * scores).var(dim=0).sum()
        known = estimator_variance(LOGITS, REWARDS, b)
        agree("estimator_variance", "20,000 samples", measured / known, 1.0, 0.05, limit="1/√n")


@shapes_vary
@given(k=st.integers(2, 5), seed=seeds)
def test_the_best_baseline(k, seed):
    logits, rewards = normal(k, seed=seed), 3 + normal(k, seed=seed + 1)
    found = best_baseline(logits, rewards)
    least = optimize.minimize_scalar(lambda b: float(estimator_variance(logits, rewards, b)))
    agree("best_baseline", "scipy.optimize", found, least.x, 1e-5, limit="√ε")
    assert estimator_variance(logits, rewards, float(found)) <= least.fun + 1e-12


def test_a_constant_added_to_all_rewards_costs_variance_alone():
    g = policy_gradient(LOGITS, REWARDS)
    agree("policy_gradient, other zero", "the same", policy_gradient(LOGITS, REWARDS + 100), g)
    assert estimator_variance(LOGITS, REWARDS + 100) > 100 * estimator_variance(LOGITS, REWARDS)


# -- baselines and the loss ----------------------------------------------------------------------


@shapes_vary
@given(groups=st.integers(1, 4), n=st.integers(2, 5), seed=seeds)
def test_baselines_by_hand(groups, n, seed):
    rewards = normal(groups, n, seed=seed)
    same("baselines, none", "0", baselines(rewards, "none"), torch.zeros_like(rewards))
    mean = np.repeat(rewards.numpy().mean(axis=1, keepdims=True), n, axis=1)
    agree("baselines, mean", "numpy", baselines(rewards, "mean"), mean)
    others = [[np.delete(row, i).mean() for i in range(n)] for row in rewards.numpy()]
    agree("baselines, leave_one_out", "numpy.delete", baselines(rewards, "leave_one_out"), others)


def test_leave_one_out_is_the_mean_stretched():
    rewards = normal(4, 5)
    ours = rewards - baselines(rewards, "leave_one_out")
    expected = (rewards - baselines(rewards, "mean")) * 5 / 4
    agree("baselines, leave_one_out", "n/(n − 1) of the mean's", ours, expected)


def test_the_value_of_the_loss_by_hand():
    log_probs = torch.tensor([0.5, 0.25], dtype=torch.float64).log()
    rewards = torch.tensor([3.0, 1.0], dtype=torch.float64)
    for kind, a, b in (("none", 3, 1), ("mean", 1, -1), ("leave_one_out", 2, -2)):
        expected = -(a * np.log(0.5) + b * np.log(0.25)) / 2
        agree(
            f"reinforce_loss, {kind}", "by hand", reinforce_loss(log_probs, rewards, kind), expected
        )


def test_no_gradient_goes_through_rewards():
    rewards = REWARDS.clone().requires_grad_()
    z = LOGITS.clone().requires_grad_()
    reinforce_loss(z.log_softmax(dim=0), rewards, "mean").backward()
    assert rewards.grad is None
    assert z.grad is not None


# -- the machines --------------------------------------------------------------------------------


def test_the_rewards_of_arms():
    arms = torch.arange(3).repeat_interleave(20_000)
    for bandit, spread in (
        (Bandit([1.0, -2.0, 0.5], noise=0.5), [0.5, 0.5, 0.5]),
        (BernoulliBandit([0.2, 0.5, 0.9]), [0.4, 0.5, 0.3]),
    ):
        drawn = bandit.pull(arms, generator()).double().view(3, -1)
        name = type(bandit).__name__
        options = {"tolerance": 0.02, "limit": "1/√n"}
        agree(f"{name}.pull, mean", "20,000 pulls", drawn.mean(dim=1), bandit.means, **options)
        agree(f"{name}.pull, spread", "20,000 pulls", drawn.std(dim=1), spread, **options)
        again = bandit.pull(arms, generator())
        same(f"{name}.pull", "the same seed", again, drawn.view(-1).to(again.dtype))
    p = torch.tensor([0.5, 0.25, 0.25])
    agree("Bandit.value", "by hand", Bandit([1.0, -2.0, 4.0]).value(p), 1.0)


def test_what_a_machine_says_of_itself():
    assert repr(Bandit([1.0, 2.0], 0.5)) == "Bandit(means=[1.0, 2.0], noise=0.5)"
    assert repr(BernoulliBandit([0.0, 1.0])) == "BernoulliBandit(means=[0.0, 1.0])"


def test_ascent_finds_the_best_arm():
    bandit, z = Bandit([0.0, 1.0, 0.5], noise=0.3), torch.zeros(3, requires_grad=True)
    draws = generator(1)
    for _ in range(300):
        arms = torch.multinomial(z.detach().softmax(dim=0), 8, True, generator=draws)
        loss = reinforce_loss(z.log_softmax(dim=0)[arms], bandit.pull(arms, draws), "leave_one_out")
        (gradient,) = torch.autograd.grad(loss, z)
        z = (z.detach() - 0.5 * gradient).requires_grad_()
    assert bandit.value(z.detach().softmax(dim=0)) > 0.95


# -- wrong calls ---------------------------------------------------------------------------------

WRONG = [
    (ValueError, "means must be", lambda: Bandit([1.0])),
    (ValueError, "means must be finite, got nan", lambda: Bandit([1.0, float("nan")])),
    (ValueError, "noise must be from 0", lambda: Bandit([1.0, 2.0], -1)),
    (ValueError, "means must be from 0 to 1, got", lambda: BernoulliBandit([0.5, 2.0])),
    (ValueError, "arms must be from 0 to 1, got 0 to 2", lambda: pulled([0, 2])),
    (ValueError, "arms must be from 0 to 1, got -1 to 0", lambda: pulled([0, -1])),
    (TypeError, "arms must hold whole numbers", lambda: pulled([0.0])),
    (TypeError, "generator must be a torch.Generator", lambda: Bandit([1, 2]).pull(ARMS, 3)),
    (ValueError, "probabilities must have the shape of means", lambda: Bandit([1, 2]).value(ONE)),
    (ValueError, "kind must be one of", lambda: baselines(REWARDS, "median")),
    (ValueError, "rewards must be of at least 2 samples", lambda: baselines(ONE, "leave_one_out")),
    (ValueError, "rewards must not be empty", lambda: baselines(ONE[:0], "none")),
    (ValueError, "rewards must have the shape of log_probs", lambda: reinforce_loss(REWARDS, ONE)),
    (TypeError, "log_probs must hold floating-point", lambda: reinforce_loss(ARMS, ONE)),
    (ValueError, "logits must be", lambda: policy_gradient(ONE, ONE)),
    (ValueError, "rewards must be finite", lambda: best_baseline(REWARDS, REWARDS / 0)),
    (ValueError, "baseline must be finite", lambda: estimator_variance(LOGITS, REWARDS, np.inf)),
]
ONE, ARMS = torch.ones(1), torch.tensor([0])


def pulled(arms):
    return Bandit([1.0, 2.0]).pull(torch.tensor(arms), generator())


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
