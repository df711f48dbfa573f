"""The best trade of reward against divergence: by searching, and on stories of Tiny World."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from companion.alignment import (
    Outcomes,
    TradeOff,
    best_reward,
    best_value,
    frontier,
    tilted,
    trade_off,
    world_outcomes,
)
from companion.reference import alignment as twin
from companion.tinyworld import TinyWorld
from companion.tokenizers import Words
from tests.plugins import shapes
from tests.support import normal, seeds, shapes_vary
from tests.verification import agree, same

REFERENCE = normal(5).log_softmax(dim=0)
REWARDS = normal(5, seed=1)
BETAS = [4.0, 2.0, 1.0, 0.5, 0.25, 0.1]


# -- one policy ----------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(1, 6), seed=seeds, beta=st.sampled_from(BETAS))
def test_against_twins(n, seed, beta):
    reference, rewards = normal(n, seed=seed).log_softmax(dim=0), normal(n, seed=seed + 1)
    policy = normal(n, seed=seed + 2).log_softmax(dim=0)
    p, q, r = (x.numpy() for x in (policy.exp(), reference.exp(), rewards))
    best = tilted(reference, rewards, beta)
    agree("tilted", "NumPy twin", best.exp(), twin.tilted(q, r, beta))
    agree(
        "twin: tilted",
        "scipy.special",
        twin.tilted(q, r, beta),
        special.softmax(np.log(q) + r / beta),
    )
    found, expected = trade_off(policy, reference, rewards, beta), twin.trade_off(p, q, r)
    agree("trade_off", "NumPy twin", np.array([found.reward, found.kl]), expected)
    agree(
        "twin: trade_off", "scipy.stats.entropy", np.array(expected), [p @ r, stats.entropy(p, q)]
    )
    agree("trade_off, value", "by hand", np.float64(found.value), expected[0] - beta * expected[1])
    value = best_value(reference, rewards, beta)
    agree(
        "best_value",
        "the value of the best",
        value,
        trade_off(best, reference, rewards, beta).value,
    )
    gap = beta * special.rel_entr(p, best.exp().numpy()).sum()
    agree("best_value, gap", "β KL to the best", value - found.value, gap)


def searched(beta):
    """Return the best value that is found by climbing in the logits of a policy."""

    def loss(z):
        p = special.softmax(z)
        return -(p @ REWARDS.numpy() - beta * stats.entropy(p, REFERENCE.exp().numpy()))

    return -optimize.minimize(loss, np.zeros(5), tol=1e-14).fun


@pytest.mark.parametrize("beta", BETAS)
def test_no_policy_is_found_that_is_better(beta):
    value = best_value(REFERENCE, REWARDS, beta)
    agree("best_value", "scipy.optimize", value, searched(beta), 1e-6, limit="its optimiser")
    for seed in range(20):
        other = normal(5, seed=seed + 7, scale=2.0).log_softmax(dim=0)
        assert trade_off(other, REFERENCE, REWARDS, beta).value < value


def test_prices_at_both_ends():
    agree(
        "tilted, dear", "the reference", tilted(REFERENCE, REWARDS, 1e9), REFERENCE, 1e-8, limit="β"
    )
    cheap = tilted(REFERENCE, REWARDS, 1e-3).exp()
    agree("tilted, cheap", "the largest reward", cheap, (REWARDS.max() == REWARDS).double())
    free = trade_off(REFERENCE, REFERENCE, REWARDS, 0.0)
    agree("TradeOff, free", "by hand", free, [0.0, free.reward, 0.0, free.reward])
    same("TradeOff, its parts", "by hand", TradeOff._fields, ("beta", "reward", "kl", "value"))


def test_what_never_occurs_stays_away():
    reference = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float64).log()
    rewards = torch.tensor([0.0, 1.0, 99.0], dtype=torch.float64)
    same("tilted, never", "0", float(tilted(reference, rewards, 0.5).exp()[2]), 0.0)
    agree(
        "best_value, never",
        "without it",
        best_value(reference, rewards, 0.5),
        best_value(reference[:2], rewards[:2], 0.5),
    )
    same("best_reward, never", "without it", best_reward(reference, rewards, 9.0), 1.0)
    leaves = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).log()
    same("trade_off, outside", "∞", trade_off(leaves, reference, rewards).kl, math.inf)


# -- the curve -----------------------------------------------------------------------------------


def test_the_curve_rises_ever_less_with_slope_beta():
    points = frontier(REFERENCE, REWARDS, BETAS)
    same("frontier, prices", "those given", [each.beta for each in points], BETAS)
    for beta, point in zip(BETAS, points, strict=True):
        alone = trade_off(tilted(REFERENCE, REWARDS, beta), REFERENCE, REWARDS, beta)
        agree("frontier", "trade_off", np.array(point), alone)
    for a, b in itertools.pairwise(points):
        assert a.kl < b.kl
        assert a.reward < b.reward
        assert b.beta < (b.reward - a.reward) / (b.kl - a.kl) < a.beta
    near = frontier(REFERENCE, REWARDS, [0.5001, 0.4999])
    slope = (near[1].reward - near[0].reward) / (near[1].kl - near[0].kl)
    agree("frontier, slope", "β", slope, 0.5, 1e-6, limit="h²")


def test_the_largest_reward_within_a_divergence():
    for point in frontier(REFERENCE, REWARDS, BETAS):
        agree(
            "best_reward",
            "frontier",
            best_reward(REFERENCE, REWARDS, point.kl),
            point.reward,
            1e-8,
            limit="bisection",
        )
    q, r = REFERENCE.exp().numpy(), REWARDS.numpy()
    within = {"type": "ineq", "fun": lambda z: 0.2 - stats.entropy(special.softmax(z), q)}
    found = optimize.minimize(
        lambda z: -special.softmax(z) @ r,
        np.log(q),
        constraints=[within],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )
    agree(
        "best_reward",
        "scipy.optimize",
        best_reward(REFERENCE, REWARDS, 0.2),
        -found.fun,
        1e-6,
        limit="its optimiser",
    )
    most = float(-REFERENCE[REWARDS.argmax()])
    same("best_reward, all", "max", best_reward(REFERENCE, REWARDS, most), float(REWARDS.max()))
    agree(
        "best_reward, nothing",
        "the reference",
        best_reward(REFERENCE, REWARDS, 0.0),
        float(REFERENCE.exp() @ REWARDS),
    )
    same("best_reward, equal rewards", "by hand", best_reward(REFERENCE, REWARDS * 0 + 2, 0.1), 2.0)


# -- stories -------------------------------------------------------------------------------------

BEGINNING = {
    "en": "One day Anna went to the lake. She found a red ball. She met Lily. It began to rain. "
    "She sang a song. She took a nap.",
}


def beginning(language):
    """Return the first sentences of a story of five events, and of one of six."""
    from companion.tinyworld import grammar

    story = grammar.read(BEGINNING["en"] + " In the end Anna felt happy.")
    parts = grammar.sentences(story, language)[:-1]
    return ("" if language == "zh" else " ").join(parts)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_all_ways_in_which_a_story_can_go_on(language):
    world, begun = TinyWorld(language=language), beginning(language)
    found = world_outcomes(world, begun)
    agree("world_outcomes, together", "1", found.log_probs.exp().sum(), 1.0)
    assert len(set(found.texts)) == len(found.texts) > 500
    whole = [world.log_prob(begun + text) for text in found.texts]
    expected = torch.tensor(whole, dtype=torch.float64)
    expected = expected - expected.logsumexp(dim=0)
    agree("world_outcomes", "TinyWorld.log_prob", found.log_probs, expected)
    rewards = [world.reward(begun + text) for text in found.texts]
    same(
        "world_outcomes, rewards", "TinyWorld.reward", found.rewards, torch.tensor(rewards).double()
    )
    same("Outcomes, its parts", "by hand", Outcomes._fields, ("texts", "log_probs", "rewards"))


def test_they_are_as_probable_as_token_after_token():
    world, begun = TinyWorld(), beginning("en")
    words = Words.train(world.sentences(), ["<|end|>"])
    found = world_outcomes(world, begun)
    for i in range(0, len(found.texts), 97):
        text, total = begun, 0.0
        tokens = words.encode(found.texts[i])
        for token in [*tokens, words.special_ids["<|end|>"]]:
            total += math.log(world.next_tokens(text, words)[token])
            text += words.decode([token]) if token in tokens else ""
        agree("world_outcomes", "TinyWorld.next_tokens", found.log_probs[i], total)


def test_the_best_teller_of_stories():
    found = world_outcomes(TinyWorld(), beginning("en"))
    one = frontier(found.log_probs, found.rewards, [1.0])[0]
    by_levels = [
        (float(found.log_probs[found.rewards == r].exp().sum()), float(r))
        for r in found.rewards.unique()
    ]
    value = math.log(sum(p * math.exp(r) for p, r in by_levels))
    agree("frontier, Tiny World", "by levels of reward", np.float64(one.value), value)


# -- wrong calls ---------------------------------------------------------------------------------

WORLD = TinyWorld()
WRONG = [
    (ValueError, r"add up to 1; got 0\.5", lambda: tilted(REFERENCE - math.log(2), REWARDS, 1.0)),
    (ValueError, "rewards must have the shape of ref", lambda: tilted(REFERENCE, REWARDS[1:], 1.0)),
    (ValueError, "rewards must be finite", lambda: tilted(REFERENCE, REWARDS / 0, 1.0)),
    (ValueError, "beta must be finite and above 0", lambda: tilted(REFERENCE, REWARDS, 0.0)),
    (ValueError, "beta must be finite and above 0", lambda: best_value(REFERENCE, REWARDS, -1.0)),
    (ValueError, r"reference must be \(n,\)", lambda: best_value(REFERENCE[None], REWARDS, 1.0)),
    (ValueError, "policy must be log-prob", lambda: trade_off(REWARDS, REFERENCE, REWARDS)),
    (ValueError, "policy must have the shape", lambda: trade_off(REWARDS[1:], REFERENCE, REWARDS)),
    (ValueError, "beta must be from 0", lambda: trade_off(REFERENCE, REFERENCE, REWARDS, -1.0)),
    (ValueError, "betas must hold at least one", lambda: frontier(REFERENCE, REWARDS, [])),
    (ValueError, "each of betas must be finite", lambda: frontier(REFERENCE, REWARDS, [1.0, 0.0])),
    (TypeError, "betas must be a list", lambda: frontier(REFERENCE, REWARDS, 1.0)),
    (ValueError, "kl must be at least 0", lambda: best_reward(REFERENCE, REWARDS, -0.1)),
    (TypeError, "world must be a TinyWorld", lambda: world_outcomes(3, "")),
    (TypeError, "beginning must be a str", lambda: world_outcomes(WORLD, 3)),
    (ValueError, "beginning must be one whole", lambda: world_outcomes(WORLD, "One day Anna")),
    (ValueError, "beginning must be one whole", lambda: world_outcomes(WORLD, "")),
    (ValueError, "beginning must be one whole", lambda: world_outcomes(WORLD, WORLD.story())),
    (ValueError, "must be the beginning of a story", lambda: world_outcomes(WORLD, "Anna ran.")),
    (
        ValueError,
        "at most 9 ways",
        lambda: world_outcomes(WORLD, "One day Anna went to the lake.", 9),
    ),
    (ValueError, "most must be at least 1", lambda: world_outcomes(WORLD, "", 0)),
]


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
