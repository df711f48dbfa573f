"""Comparisons of two: by hand, against scipy and scikit-learn, and on Tiny World's own reader."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from scipy import optimize, special
from sklearn.linear_model import LogisticRegression

from companion import evaluation
from companion.alignment import (
    fit_preferences,
    preference_entropy,
    preference_loss,
    preference_probability,
)
from companion.reference import alignment as twin
from companion.tinyworld import TinyWorld
from companion.tinyworld.grammar import KINDS
from tests.plugins import shapes
from tests.support import normal, seeds, shapes_vary, sizes
from tests.verification import agree, same


@shapes_vary
@given(n=sizes, seed=seeds)
def test_against_twins(n, seed):
    a, b, m = (normal(n, seed=seed + i) for i in range(3))
    found = preference_probability(a, b)
    agree("preference_probability", "scipy.special.expit", found, special.expit((a - b).numpy()))
    by_twin = [
        twin.preference_probability(*pair) for pair in zip(a.tolist(), b.tolist(), strict=True)
    ]
    agree("twin: preference_probability", "scipy.special.expit", by_twin, found)
    zero = [0.0] * n
    expected = twin.preference_loss(a.tolist(), b.tolist(), zero)
    agree("preference_loss", "NumPy twin", preference_loss(a, b), expected)
    expected = twin.preference_loss(a.tolist(), b.tolist(), m.tolist())
    agree("preference_loss, margins", "NumPy twin", preference_loss(a, b, m), expected)
    agree(
        "preference_loss, one margin",
        "NumPy twin",
        preference_loss(a, b, 0.5),
        twin.preference_loss(a.tolist(), b.tolist(), [0.5] * n),
    )
    floor = twin.preference_entropy(a.tolist(), b.tolist())
    agree("preference_entropy", "NumPy twin", preference_entropy(a, b), floor)
    p = special.expit((a - b).numpy())
    entropy = special.entr(p) + special.entr(1 - p)
    agree("twin: preference_entropy", "scipy.special.entr", floor, entropy.mean())
    logistic = np.log1p(np.exp(-(a - b - m).numpy())).mean()
    agree(
        "twin: preference_loss",
        "numpy.log1p",
        twin.preference_loss(a.tolist(), b.tolist(), m.tolist()),
        logistic,
    )


def test_the_loss_is_binary_cross_entropy_and_can_be_differentiated():
    a, b = normal(6).requires_grad_(), normal(6, seed=1).requires_grad_()
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    agree("preference_loss", "torch", preference_loss(a, b), cross(a - b, torch.ones(6).double()))
    assert torch.autograd.gradcheck(preference_loss, (a, b))
    preference_loss(a, b).backward()
    agree("preference_loss, gradient", "by hand", a.grad, -torch.sigmoid(b - a).detach() / 6)
    agree("preference_loss, gradient", "by hand", b.grad, torch.sigmoid(b - a).detach() / 6)


def test_a_model_without_an_opinion_pays_ln_2():
    agree("preference_loss, equal", "ln 2", preference_loss(normal(4), normal(4)), math.log(2))


def test_large_differences_do_not_overflow():
    a, b = torch.tensor([0.0, 900.0]).double(), torch.tensor([900.0, 0.0]).double()
    agree("preference_loss, far apart", "by hand", preference_loss(a, b), 450.0)
    same("preference_entropy, far apart", "0", float(preference_entropy(a, b)), 0.0)


def test_the_entropy_is_the_least_expected_loss():
    """Both outcomes of each pair, weighted: at the true rewards nothing is lower."""
    a, b = normal(4), normal(4, seed=1)
    p = preference_probability(a, b)

    def expected(differences):
        d = torch.as_tensor(differences)
        right, wrong = (torch.log1p(torch.exp(sign * d)) for sign in (-1, 1))
        return float((p * right + (1 - p) * wrong).mean())

    agree("preference_entropy", "the loss at the truth", expected(a - b), preference_entropy(a, b))
    found = optimize.minimize(expected, np.zeros(4), tol=1e-12)
    agree(
        "preference_entropy",
        "scipy.optimize",
        preference_entropy(a, b),
        found.fun,
        1e-8,
        limit="its optimiser",
    )


# -- fitting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_weights_against_scikit_learn(penalty):
    chosen, rejected = normal(60, 3), normal(60, 3, seed=1)
    x = (chosen - rejected).numpy()
    strength = np.inf if penalty == 0 else 1 / penalty
    options = {"fit_intercept": False, "tol": 1e-12, "max_iter": 10_000}
    both, y = np.concatenate([x, -x]), [1] * 60 + [0] * 60  # it wants two classes
    fit = LogisticRegression(C=strength / 2 if penalty else strength, **options).fit(both, y)
    found = fit_preferences(chosen, rejected, penalty)
    agree("fit_preferences", "scikit-learn", found, fit.coef_[0], 1e-6, limit="its optimiser")


def test_weights_against_scipy():
    chosen, rejected = normal(60, 3), normal(60, 3, seed=1)
    x = (chosen - rejected).numpy()
    found = optimize.minimize(
        lambda w: np.logaddexp(0, -x @ w).sum(), np.zeros(3), method="BFGS", options={"gtol": 1e-9}
    )
    agree(
        "fit_preferences",
        "scipy.optimize",
        fit_preferences(chosen, rejected),
        found.x,
        1e-6,
        limit="its optimiser",
    )


def test_strengths_of_players_are_those_of_evaluation():
    wins = np.array([[0, 7, 9], [3, 0, 6], [2, 4, 0]])
    games = [(i, j) for i in range(3) for j in range(3) for _ in range(wins[i, j])]
    players = torch.eye(3, dtype=torch.float64)[:, :2]  # the last one has strength 0
    won, lost = (players[[game[side] for game in games]] for side in (0, 1))
    found = fit_preferences(won, lost)
    strengths = evaluation.bradley_terry(wins)
    agree("fit_preferences", "bradley_terry", found, strengths[:2] - strengths[2], 1e-9)


def test_a_hidden_reward_is_found():
    """The reader of Tiny World counts good events, bad ones, and a good end, with weights of 1."""
    world = TinyWorld(seed=0)
    rows = [world.preference() for _ in range(3000)]
    ours = [[features(row["prompt"] + " " + row[side]) for row in rows] for side in SIDES]
    chosen, rejected = torch.tensor(ours, dtype=torch.float64)
    found = fit_preferences(chosen, rejected)
    options = {"tolerance": 0.15, "limit": "1/√n"}
    agree("fit_preferences, a hidden reward", "Tiny World", found, [1.0, -1.0, 1.0], **options)
    rewards = [
        torch.tensor([world.reward(row["prompt"] + " " + row[side]) for row in rows]).double()
        for side in SIDES
    ]
    loss, floor = preference_loss(*rewards), preference_entropy(*rewards)
    agree("preference_entropy", "3,000 comparisons", loss, floor, 0.03, limit="1/√n")


SIDES = ("chosen", "rejected")


def features(text):
    from companion.tinyworld import grammar, tasks

    story = grammar.read(text)
    moods = [KINDS[event.kind].mood for event in story.events]
    return [moods.count(1), moods.count(-1), tasks.is_good(story)]


# -- wrong calls ---------------------------------------------------------------------------------

TWO, THREE = torch.zeros(2), torch.zeros(3)
TABLE = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
WRONG = [
    (ValueError, "second must have the shape of first", lambda: preference_probability(TWO, THREE)),
    (ValueError, "rejected must have the shape of chosen", lambda: preference_loss(TWO, THREE)),
    (ValueError, "chosen must not be empty", lambda: preference_loss(TWO[:0], TWO[:0])),
    (ValueError, "margin must have the shape of chosen", lambda: preference_loss(TWO, TWO, THREE)),
    (ValueError, "margin must be finite", lambda: preference_loss(TWO, TWO, float("nan"))),
    (TypeError, "first must be a torch tensor", lambda: preference_entropy([1.0], TWO)),
    (ValueError, "second must have the shape", lambda: preference_entropy(TWO, THREE)),
    (ValueError, "chosen must be .n, features., got", lambda: fit_preferences(TWO, TWO)),
    (ValueError, "penalty must be from 0", lambda: fit_preferences(TABLE, TABLE, -1.0)),
    (ValueError, "rejected must be finite", lambda: fit_preferences(TABLE, TABLE / 0)),
    (ValueError, "must settle the weights", lambda: fit_preferences(TABLE, TABLE.flip(0))),
    (ValueError, "must settle the weights", lambda: fit_preferences(TABLE[:1, :1], TABLE[1:, :1])),
]


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()


def test_a_penalty_settles_what_the_comparisons_do_not():
    found = fit_preferences(TABLE[:1, :1], TABLE[1:, :1], penalty=1.0)
    w = optimize.brentq(lambda w: special.expit(-w) - w, 0, 1)
    agree("fit_preferences, one comparison", "scipy.optimize", found, [w])
