"""The exercises on optimisation, held against oracles that the masters do not use."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from assign import texts
from companion import optim
from exercises import optimisation as master
from exercises import run
from exercises.optimisation import (
    adam_by_hand,
    clip_together,
    coverage,
    landing,
    patience,
    thinned,
    two_steps,
    who_decays,
)
from tests.support import normal

BY_ID = {m.page.id.removeprefix("optimisation-"): m.page for m in master.MASTERS}


def solved(exercise):
    return run(master.SETUP, exercise.solution)


def drawn(module, count=30):
    return [module.draw(random.Random(seed)) for seed in range(count)]


# -- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{"hessian": (5, 2, 2), "start": (4, -2)}, *drawn(two_steps, 8)])
def test_two_steps_are_those_of_torch(given):
    a, b, c = given["hessian"]
    hessian = torch.tensor([[a, b], [b, c]], dtype=torch.float64)
    answer = solved(two_steps.exercise(**given))
    for mu, last in ((0.0, "after_two"), (0.5, "after_two_with_momentum")):
        theta = torch.tensor(given["start"], dtype=torch.float64, requires_grad=True)
        sgd = torch.optim.SGD([theta], lr=0.25, momentum=mu)
        for name in ("after_one", last):
            sgd.zero_grad()
            (theta @ hessian @ theta / 2).backward()
            sgd.step()
            assert answer[name] == theta.tolist()
    largest = np.linalg.eigvalsh(hessian.numpy()).max()
    assert answer["rate_limit"] == pytest.approx(2 / largest)
    assert answer["rate_limit"] > 0.25  # so that the steps of the exercise lead down


def test_the_formula_of_the_bowl_is_read_as_it_is_meant():
    exercise = two_steps.exercise((3, -2, 6), (2, 4))
    assert r"\tfrac{1}{2}(3\,\theta_1^2 -4\,\theta_1\theta_2 + 6\,\theta_2^2)" in exercise.text(
        "question"
    )
    assert r"(3\,\theta_1 -2\,\theta_2,\ -2\,\theta_1 + 6\,\theta_2)" in exercise.text(
        "explanation"
    )


@pytest.mark.parametrize("given", [{}, *drawn(adam_by_hand, 8)])
def test_adam_by_hand_is_adam(given):
    exercise = adam_by_hand.exercise(**given)
    shown, answer = exercise.values, solved(exercise)
    places = {}
    for scale in (1, 1000):
        theta = torch.tensor([float(shown["start"])], dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([theta], lr=shown["eta"], betas=(0.5, 0.5), eps=0.0)
        for t in (1, 2):
            theta.grad = torch.full_like(theta, shown[f"g_{t}"] / scale)
            adam.step()
            places[scale, t] = theta.item()
    assert answer["adam_one"] == pytest.approx(places[1, 1], abs=1e-4)
    assert answer["adam_two"] == pytest.approx(places[1, 2], abs=1e-4)
    assert answer["adam_two_small"] == pytest.approx(places[1000, 2], abs=1e-4)
    first = [(1 - beta) * 3.0**power for beta, power in zip(betas(shown), (1, 2), strict=True)]
    assert answer["uncorrected"] == pytest.approx(first[0] / math.sqrt(first[1]), rel=1e-4)


def betas(shown):
    return shown["beta_1"], shown["beta_2"]


def test_roots_are_whole():
    for given in drawn(adam_by_hand):
        x, y = given["gradients"]
        root = math.sqrt((x * x + 2 * y * y) / 3)
        assert root == round(root)


# -- predict -------------------------------------------------------------------------------------

ENDS = {
    "sgd": "same",
    "momentum": "nearer",
    "large": "farther",
    "small": "nearer",
    "scaled": "same",
    "scaled_l2": "farther",
    "both": "same",
    "half": "farther",
}


@pytest.mark.parametrize("given", [{"cases": who_decays.PAGE}, *drawn(who_decays)])
def test_weights_end_where_the_reasons_say(given):
    answer = solved(who_decays.exercise(**given))["decay_predictions"]
    assert [ENDS[case] for case in given["cases"]] == [answer[letter] for letter in "abcde"]


OPTIMISERS = {
    "sgd": lambda w, eta, decay: [
        torch.optim.SGD([w], lr=eta, weight_decay=decay),
        optim.SGD([w], lr=eta, weight_decay=decay),
    ],
    "momentum": lambda w, eta, decay: [
        torch.optim.SGD([w], lr=eta, momentum=0.9, weight_decay=decay),
        optim.SGD([w], lr=eta, momentum=0.9, weight_decay=decay),
    ],
    "adam": lambda w, eta, decay: [
        torch.optim.Adam([w], lr=eta, weight_decay=decay),
        optim.Adam([w], lr=eta, weight_decay=decay),
    ],
    "adamw": lambda w, eta, decay: [
        torch.optim.AdamW([w], lr=eta, weight_decay=decay),
        optim.AdamW([w], lr=eta, weight_decay=decay),
    ],
}


@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("g", [0.01, 20.0])
@pytest.mark.parametrize("whose", [0, 1], ids=["torch", "companion"])
def test_the_weights_of_the_predictions_are_those_of_the_optimisers(kind, g, whose):
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    optimizer = OPTIMISERS[kind](weight, 0.01, 0.1)[whose]
    for step in range(60):
        weight.grad = torch.full_like(weight, g * (-1) ** step)
        optimizer.step()
    expected = who_decays.weight_after(kind, g, 0.01, 0.1, 60)
    assert weight.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_factor_stands_before_the_step(momentum):
    weight = torch.ones(1, dtype=torch.float64, requires_grad=True)
    sgd = torch.optim.SGD([weight], lr=0.01, momentum=momentum)
    for step in range(60):
        weight.data *= 1 - 0.01 * 0.1
        weight.grad = torch.full_like(weight, 0.5 * (-1) ** step)
        sgd.step()
    kind = "momentum factor" if momentum else "sgd factor"
    expected = who_decays.weight_after(kind, 0.5, 0.01, 0.1, 60)
    assert weight.item() == pytest.approx(expected, abs=1e-12)


# -- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "warmup", "total"), [(10, 3, 12), (4, 1, 7), (50, 6, 30)])
def test_the_landing_is_that_of_torchs_schedulers(part, warmup, total):
    """Torch's warm-up ends one step before its cosine begins, at the same rate."""
    rate = solved(landing.exercise(part))["landing_rate"]
    weight = torch.zeros(1, requires_grad=True)
    sgd = torch.optim.SGD([weight], lr=0.3)
    rise = torch.optim.lr_scheduler.LinearLR(sgd, 1 / warmup, 1.0, max(1, warmup - 1))
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(sgd, total - warmup, 0.3 / part)
    both = torch.optim.lr_scheduler.SequentialLR(sgd, [rise, fall], [max(1, warmup - 1)])
    start = 0 if warmup > 1 else 1  # a warm-up of one step is the peak at once
    theirs = []
    for _ in range(total + 1):
        sgd.step()
        theirs.append(both.get_last_lr()[0])
        both.step()
    ours = [rate(step, 0.3, warmup, total) for step in range(total)]
    assert ours == pytest.approx(theirs[start : start + total], abs=1e-12)


@pytest.mark.parametrize("longest", [0.25, 1.0, 5.0])
def test_clipping_is_that_of_torch(longest):
    clip = solved(clip_together.exercise(0, longest))["clip_together"]
    parameters = [torch.zeros(shape, dtype=torch.float64) for shape in ((2, 3), (4,), (1,))]
    for seed, scale in enumerate((0.01, 1.0, 30.0)):
        for parameter in parameters:
            parameter.grad = normal(*parameter.shape, seed=seed, scale=scale)
        ours, length = clip([None, *(p.grad.numpy().copy() for p in parameters)])
        theirs = torch.nn.utils.clip_grad_norm_(parameters, longest)
        assert ours[0] is None
        assert length == pytest.approx(theirs.item())
        for mine, parameter in zip(ours[1:], parameters, strict=True):
            np.testing.assert_allclose(mine, parameter.grad, rtol=1e-4)  # torch adds 1e-6


def test_huge_gradients_are_clipped_as_exact_numbers_say():
    clip = solved(BY_ID["clip-together"])["clip_together"]
    huge = np.array([3e30, -4e30], dtype=np.float32)
    (clipped,), length = clip([huge])
    exact = [Fraction(float(x)) for x in huge]
    squared = sum(x * x for x in exact)
    assert Fraction(length) ** 2 / squared == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(clipped, [0.6, -0.8], rtol=1e-6)


@pytest.mark.parametrize("least", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("patient", [1, 2, 5])
def test_training_stops_where_torchs_plateau_is_noticed(least, patient):
    """ReduceLROnPlateau counts in the same way, and lowers the rate after one more."""
    stop = solved(patience.exercise(0, least))["stop_early"]
    for seed in range(30):
        losses = patience.noisy_losses(seed, least)
        losses[20] = float("nan")
        sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
            sgd, patience=patient - 1, threshold=least, threshold_mode="abs"
        )
        best, last = 0, len(losses) - 1
        for epoch, loss in enumerate(losses):
            plateau.step(loss)
            if plateau.best == loss:
                best = epoch
            if plateau.get_last_lr()[0] < 1:
                last = epoch
                break
        assert stop(losses, patient) == (best, last)


# -- measure and open ----------------------------------------------------------------------------


def test_the_noise_is_that_of_all_masks():
    """Four numbers: every mask, with its probability."""
    n, p = 4, 0.3
    means, chances = [], []
    for mask in itertools.product((0, 1), repeat=n):
        means.append(sum(mask) / n / (1 - p))
        chances.append(math.prod(1 - p if kept else p for kept in mask))
    assert np.dot(means, chances) == pytest.approx(1)
    variance = np.dot((np.array(means) - 1) ** 2, chances)
    assert math.sqrt(variance) == pytest.approx(math.sqrt(p / (1 - p) / n))
    measured = solved(thinned.exercise(n=n, rates=(p, 0.5)))["noise_of_mean"][p]
    assert measured == pytest.approx(math.sqrt(variance), rel=0.05)


def test_torchs_dropout_passes():
    code = """
        def thinned(x, p):
            return torch.nn.functional.dropout(torch.as_tensor(x), p).numpy()
        noise_of_mean = {
            p: thinned(np.ones((4000, 50)), p).mean(axis=1).std() for p in (0.1, 0.2, 0.5, 0.8)
        }
        """
    torch.manual_seed(0)
    assert BY_ID["thinned"].failures(run(master.SETUP, code)) == []


def test_the_wrong_scale_agrees_at_a_half_only():
    """The check that a student may run tries a half; the hidden ones find the mistake."""
    exercise = BY_ID["thinned"]
    answer = run(master.SETUP, exercise.wrong_answers["one over p"])
    assert [check.failure(answer) for check in exercise.visible] == [""]
    assert all(check.failure(answer) for check in exercise.hidden)


def test_the_rate_beyond_which_noise_is_so_many_times_that_of_a_half():
    for times in (2, 3, 4):
        beyond = float(thinned.exercise(times=times).values["beyond"])
        assert math.sqrt(beyond / (1 - beyond)) == pytest.approx(times, rel=0.01)


@pytest.mark.parametrize(("k", "width"), [(3, 0.1), (4, 0.06), (5, 0.15)])
def test_the_windows_are_found_as_often_as_said(k, width):
    """A window in the middle, all shifts of the grid, and every trial by itself."""
    answer = solved(coverage.exercise(k, width))
    shifts = (np.arange(20_000) + 0.5) / 20_000 / k
    first = shifts[:, None] + np.arange(k) / k
    found = (np.abs(first - 0.47) < width / 2).any(axis=1).mean()
    assert answer["grid_finds"] == pytest.approx(found, abs=1e-3)
    missed = math.exp(k * k * math.log1p(-width))
    assert answer["random_finds"] == pytest.approx(1 - missed)


@pytest.mark.parametrize("k", [3, 4, 5])
def test_a_square_as_large_as_a_cell_is_never_missed_by_a_grid(k):
    answer = solved(coverage.exercise(k, 0.05))
    grid, chance = coverage.best_of_searches(answer["grid_wins"], k)
    assert grid.min() == 1
    assert chance.mean() == pytest.approx(1 - (1 - 1 / k**2) ** (k * k), abs=0.03)
    grid, chance = coverage.best_of_searches(answer["random_wins"], k)
    assert grid.mean() == pytest.approx(0.5, abs=0.03)
    assert chance.mean() == pytest.approx(1 - (1 - 0.5 / k) ** (k * k), abs=0.03)


def test_searches_spend_the_same_budget_inside():
    seen = []

    def score(first, second):
        seen.append((first, second))
        return first

    grid, chance = coverage.best_of_searches(score, 3, repeats=100)
    assert [len(first) for first, _ in seen] == [900, 900]
    assert all(x.min() >= 0 and x.max() < 1 for pair in seen for x in pair)
    per_grid = [np.unique(part.round(9)).size for part in seen[0][0].reshape(100, 9)]
    assert per_grid == [3] * 100
    assert grid.shape == chance.shape == (100,)


def test_smooth_scores_are_good_answers_too():
    """No step in sight: a round hill for the grid, a ridge for random search."""
    code = """
        grid_finds, random_finds = 0.3, 1 - 0.9**9

        def grid_wins(first, second):
            return np.exp(-20 * ((first - 0.3) ** 2 + (second - 0.6) ** 2))

        def random_wins(first, second):
            return np.exp(-200 * (first - 0.3) ** 2)
        """
    assert BY_ID["coverage"].failures(run(master.SETUP, code)) == []


def test_texts_name_only_what_they_fill():
    for exercise in (m.page for m in master.MASTERS):
        named = {
            name
            for part in ("question", "hint", "explanation")
            for name in texts.fields(getattr(exercise, part))
        }
        assert named <= set(exercise.values)
