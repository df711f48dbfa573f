"""DPO and IPO: by hand, and what they make of a policy that can be seen as a whole."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given

from companion.alignment import dpo_loss, implicit_rewards, ipo_loss, preference_loss
from companion.reference import alignment as twin
from tests.alignment.support import PAIRS, pairs, rows
from tests.plugins import shapes
from tests.support import normal, seeds, shapes_vary, sizes
from tests.verification import agree


@shapes_vary
@given(n=sizes, seed=seeds)
def test_losses_against_twins(n, seed):
    some = pairs(n, seed)
    policy, reference = rows(*some)
    for smoothing in (0.0, 0.1):
        ours = dpo_loss(*some, beta=0.3, label_smoothing=smoothing)
        expected = twin.dpo_loss(policy, reference, 0.3, smoothing)
        agree(f"dpo_loss, smoothing {smoothing}", "NumPy twin", ours, expected)
    agree("ipo_loss", "NumPy twin", ipo_loss(*some, 0.3), twin.ipo_loss(policy, reference, 0.3))


def test_the_twins_by_another_way():
    some = pairs()
    policy, reference = rows(*some)
    h = (policy - reference) @ [1, -1]
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    expected = bce(torch.from_numpy(0.3 * h), torch.full((5,), 0.9, dtype=torch.float64))
    agree("twin: dpo_loss", "torch", twin.dpo_loss(policy, reference, 0.3, 0.1), expected)
    found = torch.nn.functional.mse_loss(
        torch.from_numpy(h), torch.full((5,), 1 / 0.6, dtype=torch.float64)
    )
    agree("twin: ipo_loss", "torch", twin.ipo_loss(policy, reference, 0.3), found)


def test_the_gradient_by_hand():
    """β σ(r̂_l − r̂_w): a pair that is already right pulls little, and both sides equally."""
    chosen, rejected, *reference = pairs()
    chosen.requires_grad_(), rejected.requires_grad_()
    dpo_loss(chosen, rejected, *reference, beta=0.3).backward()
    found = torch.stack([chosen.grad, rejected.grad], dim=1)
    policy, others = rows(chosen.detach(), rejected.detach(), *reference)
    expected = twin.dpo_gradient(policy, others, 0.3)
    agree("dpo_loss, gradient", "NumPy twin", found, expected)
    step = 1e-6 * np.array([1, 0])
    numeric = (
        twin.dpo_loss(policy + step, others, 0.3) - twin.dpo_loss(policy - step, others, 0.3)
    ) / 2e-6
    agree("twin: dpo_gradient", "differences", expected[:, 0].sum(), numeric, 1e-8, limit="h²")


def test_gradcheck():
    chosen, rejected, *reference = pairs()
    for loss in (dpo_loss, ipo_loss):
        check = lambda a, b, loss=loss: loss(a, b, *reference, beta=0.3)  # noqa: E731
        inputs = chosen.clone().requires_grad_(), rejected.clone().requires_grad_()
        assert torch.autograd.gradcheck(check, inputs)


def test_no_gradient_reaches_the_reference():
    some = [x.requires_grad_() for x in pairs()]
    for loss in (dpo_loss, ipo_loss):
        loss(*some).backward()
    assert [x.grad is None for x in some] == [False, False, True, True]


def test_before_training():
    a, b, *_ = pairs()
    agree("dpo_loss, the reference", "ln 2", dpo_loss(a, b, a, b), math.log(2))
    agree("dpo_loss, smoothed", "ln 2", dpo_loss(a, b, a, b, 0.5, 0.2), math.log(2))
    agree("ipo_loss, the reference", "1/(2β)²", ipo_loss(a, b, a, b, 0.5), 1.0)


def test_dpo_is_the_loss_of_its_implicit_rewards():
    chosen, rejected, *reference = pairs()
    some = chosen, rejected
    rewards = [implicit_rewards(x, ref, 0.3) for x, ref in zip(some, reference, strict=True)]
    ours = dpo_loss(chosen, rejected, *reference, beta=0.3)
    agree("implicit_rewards", "dpo_loss", preference_loss(*rewards), ours)


def test_the_best_policy_has_its_own_reward():
    """π ∝ π_ref exp(r/β), so that β ln(π/π_ref) is r up to a constant."""
    reference, r = normal(6).log_softmax(dim=0), normal(6, seed=1)
    best = (reference + r / 0.4).log_softmax(dim=0)
    found = implicit_rewards(best, reference, 0.4)
    agree("implicit_rewards, the best policy", "its reward", found - found.mean(), r - r.mean())


def trained(loss, steps=400, **options):
    """Return a policy over 4 answers after all expected comparisons of a reward."""
    reference, r = normal(4).log_softmax(dim=0), torch.tensor([1.0, 0.0, -1.0, 0.5]).double()
    z = reference.clone().requires_grad_()
    first, second = torch.triu_indices(4, 4, 1)
    p = torch.sigmoid(r[first] - r[second])
    optimizer = torch.optim.LBFGS(
        [z],
        max_iter=steps,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-12,
        tolerance_change=1e-16,
    )

    def closure():
        optimizer.zero_grad()
        log_p, total = z.log_softmax(dim=0), 0.0
        for i, j, often in zip(first, second, p, strict=True):
            for a, b, weight in ((i, j, often), (j, i, 1 - often)):
                some = [x[k][None] for x in (log_p, reference) for k in (a, b)]
                total = total + weight * loss(*some, **options)
        total.backward()
        return total

    optimizer.step(closure)
    return z.detach().log_softmax(dim=0), reference, r


def test_all_comparisons_lead_to_the_best_policy():
    found, reference, r = trained(dpo_loss, beta=0.5)
    best = (reference + r / 0.5).log_softmax(dim=0)
    agree("dpo_loss, trained", "π ∝ π_ref exp(r/β)", found, best, 1e-6, limit="LBFGS")


def test_one_comparison_has_no_best_policy_but_for_ipo():
    """One pair, always the same way: DPO's loss falls as long as one likes, IPO's stops."""
    zero = torch.zeros(1, dtype=torch.float64)
    h = [dpo_loss(zero + m, zero, zero, zero, 1.0) for m in (1.0, 10.0, 100.0)]
    assert h[0] > h[1] > h[2]
    ipo = [ipo_loss(zero + m, zero, zero, zero, 0.5) for m in (0.5, 1.0, 1.5)]
    assert ipo[1] == 0 < ipo[0] == ipo[2]
    smoothed = [dpo_loss(zero + m, zero, zero, zero, 1.0, 0.1) for m in (1.0, 2.197, 3.0)]
    assert smoothed[1] < min(smoothed[0], smoothed[2])  # ln(0.9/0.1) = 2.197


# -- wrong calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [dpo_loss, ipo_loss])
@pytest.mark.parametrize("name", PAIRS[1:])
def test_wrong_shapes(loss, name):
    some = dict(zip(PAIRS, pairs(), strict=True))
    with shapes.unchecked():
        with pytest.raises(ValueError, match=f"{name} must have the shape of policy_chosen"):
            loss(**some | {name: some[name][:2]})
        with pytest.raises(ValueError, match=f"{name} must be finite, got -inf"):
            loss(**some | {name: torch.full((5,), -math.inf)})


def test_wrong_options():
    some = pairs()
    with shapes.unchecked():
        for call in (lambda b: dpo_loss(*some, b), lambda b: ipo_loss(*some, b)):
            with pytest.raises(ValueError, match="beta must be finite and above 0, got 0"):
                call(0)
        with pytest.raises(ValueError, match=r"label_smoothing must be from 0 to 0\.5, got 0.6"):
            dpo_loss(*some, label_smoothing=0.6)
        with pytest.raises(ValueError, match="reference must have the shape of policy"):
            implicit_rewards(some[0], some[1][:2])
        with pytest.raises(ValueError, match="beta must be finite"):
            implicit_rewards(some[0], some[1], math.inf)
