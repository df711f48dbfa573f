"""The answers of the exercises on losses, held against oracles that the masters do not use."""

import itertools
import math
import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from mpmath import mp
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F

from assign import texts
from exercises import losses as master
from exercises import run
from exercises.losses import (
    best_constant,
    code_by_hand,
    entropy_from_counts,
    focal,
    in_parts,
    own_rule,
    smoothed_numpy,
    turning_knobs,
)
from tests.support import normal

BY_ID = {m.page.id.removeprefix("losses-"): m.page for m in master.MASTERS}


def solve(name):
    return run(master.SETUP, BY_ID[name].solution)


def solved(exercise):
    return run(master.SETUP, exercise.solution)


def entropy(p):
    """Return the entropy in nats, as torch's distributions have it."""
    return Categorical(torch.tensor(p, dtype=torch.float64)).entropy().item()


def divergence(p, q):
    """Return KL of p from q in nats, as torch's distributions have it."""
    return kl_divergence(*(Categorical(torch.from_numpy(x)) for x in (p, q))).item()


def drawn(module, count=30):
    return [module.draw(random.Random(seed)) for seed in range(count)]


# -- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, *drawn(best_constant, 5)])
def test_constants_are_the_mean_and_the_median(given):
    exercise = best_constant.exercise(**given)
    sold = [int(n) for n in exercise.values["sold"].split(", ")]
    after = [exercise.values["mended"] if n == max(sold) else n for n in sold]
    answer = solved(exercise)
    for values, ending in ((sold, ""), (after, "_mended")):
        assert answer[f"for_squares{ending}"] == np.mean(values)
        assert answer[f"for_absolutes{ending}"] == np.median(values)
    assert answer["for_squares_mended"] < answer["for_squares"]
    assert answer["for_absolutes_mended"] == answer["for_absolutes"]
    assert exercise.failures(answer) == []


@pytest.mark.parametrize("given", [{}, *drawn(code_by_hand, 5)])
def test_bits_are_those_of_torch(given):
    exercise = code_by_hand.exercise(**given)
    texts_of = exercise.values
    p, q = (
        np.array([float(Fraction(1, int(part[part.rindex("{") + 1 : -1]))) for part in row])
        for row in (texts_of["sent"].split(", "), texts_of["believed"].split(", "))
    )
    answer = solved(exercise)
    assert p.sum() == q.sum() == 1
    assert float(answer["shortest"]) == pytest.approx(entropy(p) / math.log(2))
    assert float(answer["wasted"]) == pytest.approx(divergence(p, q) / math.log(2))
    assert float(answer["wasted_exchanged"]) == pytest.approx(divergence(q, p) / math.log(2))
    assert answer["as_sent"] == answer["shortest"] + answer["wasted"]
    assert answer["wasted"] != answer["wasted_exchanged"]


# -- predict -------------------------------------------------------------------------------------

MOVES = {
    "add": "same",
    "lead": "smaller",
    "lag": "larger",
    "rival": "larger",
    "twice": "same",
    "ignored": "same",
    "order": "same",
}


@pytest.mark.parametrize("given", [{"cases": turning_knobs.PAGE}, *drawn(turning_knobs)])
def test_knobs_do_what_the_reasons_say(given):
    answer = solved(turning_knobs.exercise(**given))["knob_predictions"]
    assert [MOVES[case] for case in given["cases"]] == [answer[letter] for letter in "abcde"]


def test_the_first_sample_is_right_and_the_second_wrong():
    for given in drawn(turning_knobs):
        first, second = (int(np.argmax(row)) for row in given["rows"])
        assert (first == given["labels"][0], second == given["labels"][1]) == (True, False)


# -- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ignored", "seed"), [(-100, 0), (-1, 1), (255, 2)])
def test_smoothed_loss_is_that_of_targets_written_out(ignored, seed):
    loss = solved(smoothed_numpy.exercise(seed, ignored))["smoothed_loss"]
    logits = normal(8, 5, seed=seed).numpy()
    labels = np.arange(8) % 5
    labels[[1, 6]] = ignored
    keep = np.delete(np.arange(8), [1, 6])
    target = 0.7 * np.eye(5)[labels[keep]] + 0.3 / 5
    with mp.workdps(40):
        rows = [[mp.mpf(float(x)) for x in row] for row in logits[keep]]
        log_p = [[z - mp.log(sum(map(mp.exp, row))) for z in row] for row in rows]
        pairs = zip(target.ravel(), itertools.chain(*log_p), strict=True)
        expected = float(-sum(t * x for t, x in pairs) / len(keep))
    assert loss(logits, labels, 0.3) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("ignored", [-100, -7])
def test_parts_have_the_gradient_of_the_formula(ignored):
    """Softmax minus one-hot, row by row, without autograd."""
    answer = solved(in_parts.exercise(0, ignored))["backward_in_parts"]
    weight, parts = in_parts.batch_in_parts(3, ignored, [2, 7, 4], [0, 3, 4])
    mine = weight.clone().requires_grad_()
    loss = answer(mine, parts)
    gradient, value, count = torch.zeros_like(weight), 0.0, 0
    for x, labels in parts:
        for row, label in zip(x, labels.tolist(), strict=True):
            if label != ignored:
                p = (row @ weight).softmax(0)
                value, count = value - p[label].log().item(), count + 1
                gradient += row[:, None] * (p - torch.eye(4).double()[label])
    torch.testing.assert_close(mine.grad, gradient / count, atol=1e-12, rtol=0)
    assert loss == pytest.approx(value / count)


@pytest.mark.parametrize("gamma", [1, 2, 4])
def test_focal_loss_at_gamma_is_weighted_cross_entropy(gamma):
    answer = solved(focal.exercise(0, gamma, 0.8))
    logits, targets = normal(20, seed=5), (normal(20, seed=6) > 0).double()
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    expected = ((1 - torch.exp(-each)) ** gamma * each).mean()
    torch.testing.assert_close(answer["focal_loss"](logits, targets), expected)
    easy = torch.logit(torch.tensor([0.8]).double())
    one = torch.ones(1).double()
    ratio = F.binary_cross_entropy_with_logits(easy, one) / answer["focal_loss"](easy, one)
    assert answer["turned_down"] == pytest.approx(ratio.item(), rel=1e-6)


# -- measure and open ----------------------------------------------------------------------------


def test_the_expected_shortfall_is_that_of_all_samples():
    """Four letters drawn from three: every sample, with its probability."""
    chances = (0.5, 0.3, 0.2)
    mean = 0.0
    for sample in itertools.product(range(3), repeat=4):
        counts = np.bincount(sample, minlength=3)
        mean += entropy(counts / 4) * np.prod([chances[i] for i in sample])
    expected = entropy(chances) - mean
    assert entropy_from_counts.expected_shortfall(chances, 4) == pytest.approx(expected)


def test_the_shortfall_is_near_what_the_text_says():
    for given in drawn(entropy_from_counts, 5):
        n = given["sizes"][-1]
        rule = (len(given["chances"]) - 1) / (2 * n)
        exact = entropy_from_counts.expected_shortfall(given["chances"], n)
        assert exact == pytest.approx(rule, rel=0.1)
        assert sum(given["chances"]) == pytest.approx(1)


@pytest.mark.parametrize("n", [3, 4])
def test_forecasts_of_the_grid_are_all_there_are(n):
    grid = own_rule.grid_of_forecasts(n, 8)
    assert np.allclose(grid.sum(axis=1), 1)
    assert len({tuple(row) for row in grid}) == len(grid)
    assert len(grid) == {3: 21, 4: 35}[n]


def test_the_spherical_rule_is_proper_and_the_root_is_not():
    """By a search of another kind: random beliefs against random lies."""
    rng = np.random.default_rng(0)
    beliefs, lies = rng.dirichlet(np.ones(3), 200), rng.dirichlet(np.ones(3), 400)
    for code, pays in ((own_rule.SPHERICAL, True), (own_rule.ROOT, False)):
        rule = run(master.SETUP, code)["own_rule"]
        truth = [sum(b[j] * rule(list(b), j) for j in range(3)) for b in beliefs]
        cost = own_rule.expected_penalties(rule, beliefs, lies).min(axis=1)
        assert bool((cost >= np.array(truth) - 1e-12).all()) == pays


def test_an_honest_report_of_a_lie_passes():
    """An improper rule is a good answer, too, if the lie is real."""
    exercise = BY_ID["own-rule"]
    first = exercise.solution.partition("def own_rule")[0]
    lie = "honesty_pays, cheaper_lie = False, ([0.5, 0.3, 0.2], [1.0, 0.0, 0.0])"
    assert exercise.failures(run(master.SETUP, f"{first}{own_rule.ROOT}\n{lie}")) == []


def test_texts_name_only_what_they_fill():
    for exercise in (m.page for m in master.MASTERS):
        named = {
            name
            for part in ("question", "hint", "explanation")
            for name in texts.fields(getattr(exercise, part))
        }
        assert named <= set(exercise.values)
