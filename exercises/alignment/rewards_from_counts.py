"""Rewards of several answers from how often each was preferred to each."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
People have compared k answers in pairs. `wins` is an array of shape (k, k): `wins[i, j]` says how often answer i was preferred to answer j, and some pairs were compared far more often than others. Write `rewards_from_counts(wins)`, which returns k rewards, shape (k,), that add up to 0. By Bradley and Terry, answer i is preferred to answer j with probability $\sigma(r_i - r_j)$. WANTED Every answer has won and lost, directly or along a chain of others, against every other one, so there is exactly one solution. Three digits after the point must be right. Use NumPy alone, and no function that fits such rewards.
"""
# What takes the place of WANTED, and of PENALTY and RIDGE in the solution.
WANTED = {
    False: "Return the rewards for which these counts are the most probable.",
    True: r"Return the rewards for which the negative logarithm of the probability of all counts, plus $\tfrac12 \sum_i r_i^2$, is the smallest.",
}
STARTER = '''
def rewards_from_counts(wins):
    """wins: (k, k) -> (k,)"""
    ...
'''
TWISTS = {
    "table": Twist(
        "In place of the rewards, return an array of shape (k, k) with the probability that i is preferred to j, by these rewards; on its diagonal stands 1/2.",
        {
            "rewards_from_counts": (
                "",
                "result = 1 / (1 + np.exp(np.subtract.outer(-result, -result)))",
            )
        },
        {"-> (k,)": "-> (k, k)"},
    ),
    "against": Twist(
        "Here `wins[i, j]` says how often answer *j* was preferred to answer *i*: a row holds what was counted against an answer.",
        {"rewards_from_counts": ("wins = wins.T", "")},
    ),
    "ties": Twist(
        "A second argument, `ties`, of shape (k, k) and symmetrical, says how often people found the answers i and j equally good. Such a comparison counts as half a win for each of the two.",
        {"rewards_from_counts": ("wins = wins + ties / 2", "")},
        {"(wins)": "(wins, ties)", "wins: (k, k)": "wins: (k, k), ties: (k, k)"},
    ),
}
HINT = "At the solution each answer has won exactly as often as the rewards predict: the number of comparisons with j, times the probability of winning one of them, summed over j. The number of wins minus this prediction is the gradient of the log-probability. Follow it in small steps, or use Newton's method. Do not take the mean of the logarithms of shares: it gives a pair that was compared once as much weight as one that was compared a hundred times."
SOLUTION = """
def rewards_from_counts(wins):
    together = wins + wins.T  # how often the two were compared
    r = np.zeros(len(wins))
    for _ in range(50):
        p = 1 / (1 + np.exp(r - r[:, None]))  # (k, k): i is preferred to j
        gradient = (wins - together * p).sum(axis=1)PENALTY
        weight = together * p * (1 - p)
        hessian = np.diag(weight.sum(axis=1)) - weight + 1RIDGE
        r = r + np.linalg.solve(hessian, gradient)
    return r - r.mean()
"""
EXPLANATION = r"""
The gradient with respect to $r_i$ is the number of wins of answer i minus the expected number. Both sums run over all opponents, so it counts against whom an answer has won: seven wins against good answers raise a reward more than seven against bad ones. Neither the share of wins nor the difference of wins and losses knows this. The log-probability is concave, and so every method that climbs ends at the same place. Only differences of rewards matter, therefore some convention must fix their level; here they add up to 0. The 1 that is added to all of the Hessian does the same, because the matrix is otherwise singular along the direction in which all rewards rise together. Without a win along some chain there would be no maximum: the reward of an answer that always wins would grow without bound, and a penalty on large rewards prevents this.
"""
TRIAL = """
wins = np.array([[0, 3, 0], [1, 0, 4], [0, 2, 0]])  # a chain: 0 and 2 never met
r = np.asarray(rewards_from_counts(wins.copy()), dtype=float).ravel()
check("0 against 1", r[0] - r[1], math.log(3), 2e-3)
check("1 against 2", r[1] - r[2], math.log(2), 2e-3)
check("sum", r.sum(), 0, 2e-3)
rng = np.random.default_rng(0)
wins = rng.poisson(np.exp(rng.normal(2, 1, (5, 5)))) + 1
np.fill_diagonal(wins, 0)
r = np.asarray(rewards_from_counts(wins.copy()), dtype=float).ravel()
p = 1 / (1 + np.exp(r - r[:, None]))
expected = ((wins + wins.T) * p).sum(axis=1)
check("wins, as expected", expected / wins.sum(axis=1), np.ones(5), 5e-3)
check("sum of five", r.sum(), 0, 3e-3)
"""


def exercise(penalty: bool = False, seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; large rewards may have a penalty."""
    given = {"penalty": penalty, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        code = wrapped(code, {"rewards_from_counts": "wins"}, twisted)
        code = code.replace("PENALTY", " - r" if penalty else "")
        code = code.replace("RIDGE", " + np.eye(len(r))" if penalty else "")
        return _with_ties(code) if "ties" in twists else code

    return Exercise(
        id="alignment-rewards-from-counts",
        title="A reward from comparisons",
        kind="code",
        difficulty=2,
        minutes=25,
        points=5,
        question=asked(QUESTION.replace("WANTED", WANTED[penalty]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(equals_have_the_same_reward, given),),
        hidden=(Check(few_answers_are_right, given), Check(many_answers_are_right, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(penalty, twists).items()},
        trial="" if twists or penalty else TRIAL,
    )


def _with_ties(code: str) -> str:
    """Return a wrapped answer that takes how often two were equally good, too."""
    before, name, after = code.rpartition("def rewards_from_counts(wins")
    return f"{before}{name}, ties{after}"


def wrong_answers(penalty: bool, twists: tuple[str, ...]) -> dict[str, str]:
    """Return mistakes, each where it can be made."""
    found = {
        "the share of wins": """
def rewards_from_counts(wins):
    won, lost = wins.sum(axis=1), wins.sum(axis=0)
    r = np.log(won / lost)
    return r - r.mean()
""",
        "the difference of wins and losses": """
def rewards_from_counts(wins):
    return (wins.sum(axis=1) - wins.sum(axis=0)) / len(wins)
""",
        "each pair counts the same": """
def rewards_from_counts(wins):
    odds = np.log((wins + 0.5) / (wins.T + 0.5))
    return odds.mean(axis=1)
""",
        "losses are taken for wins": SOLUTION.replace("(wins - ", "(wins.T - "),
        "a few small steps": SOLUTION.replace("range(50)", "range(3)").replace(
            "np.linalg.solve(hessian, gradient)", "0.01 * gradient"
        ),
    }
    if "table" not in twists:  # there, differences are all that counts
        found["strengths in place of their logarithms"] = SOLUTION.replace(
            "return r - r.mean()", "return np.exp(r - r.mean())"
        )
        found["the first reward is 0"] = SOLUTION.replace("r - r.mean()", "r - r[0]")
    if penalty:
        found["no penalty"] = SOLUTION.replace("PENALTY", "").replace("RIDGE", "")
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw whether there is a penalty, counts, and twists."""
    chosen = drawn(rng, ("penalty", *TWISTS))
    return {
        "penalty": "penalty" in chosen,
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_counts(seed, k):
    """Draw wins and ties among k answers, some of which met often and others seldom."""
    rng = np.random.default_rng(seed)
    r = rng.normal(size=k)
    often = rng.integers(2, 9, (k, k)) * rng.choice([1, 8], (k, k))
    often = np.triu(often, 1) + np.triu(often, 1).T
    p = 1 / (1 + np.exp(r[None] - r[:, None]))
    upper = np.triu(rng.binomial(often, p), 1)
    wins = upper + np.tril(often - upper.T, -1)
    for i in range(k):  # a chain along which each has won against each
        wins[i, (i + 1) % k] += 1
    ties = np.triu(rng.integers(0, 6, (k, k)), 1)
    return wins, ties + ties.T


def likeliest(wins, penalty):
    """Return the rewards that are asked for, found by many small steps uphill."""
    k, together = len(wins), wins + wins.T
    weight = 1.0 if penalty else 0.0
    rate = 1 / (together.sum(axis=1).max() / 2 + weight)
    r = np.zeros(k)
    for _ in range(100_000):
        p = 1 / (1 + np.exp(r[None] - r[:, None]))
        slope = wins.sum(axis=1) - (together * p).sum(axis=1) - weight * r
        r += rate * slope
        if np.abs(slope).max() < 1e-9:
            break
    return r - r.mean()


def rewards_of(rewards_from_counts, wins, ties, twists):
    """Return the numbers of an answer, which gets copies."""
    told = (wins.T if "against" in twists else wins).copy()
    given = [told, ties.copy()] if "ties" in twists else [told]
    kept = [part.copy() for part in given]
    result = array(rewards_from_counts(*given))
    unchanged = all((a == b).all() for a, b in zip(given, kept, strict=True))
    assert unchanged, "rewards_from_counts writes into the arrays that it gets; make new ones"
    k = len(wins)
    if "table" in twists:
        assert result.shape == (k, k), f"The shape should be {(k, k)}, got {result.shape}"
        return result
    assert result.size == k, f"There should be {k} rewards, got {result.size} numbers"
    return result.ravel()


def wanted_of(wins, ties, penalty, twists):
    """Return what is asked for."""
    r = likeliest(wins + ties / 2 if "ties" in twists else wins, penalty)
    return 1 / (1 + np.exp(r[None] - r[:, None])) if "table" in twists else r


def equals_have_the_same_reward(rewards_from_counts, *, penalty, seed, twists):
    """Check three answers of which each has won as often against each."""
    wins = 2 * (1 - np.eye(3, dtype=int))
    found = rewards_of(rewards_from_counts, wins, 0 * wins, twists)
    right = np.full((3, 3), 0.5) if "table" in twists else np.zeros(3)
    assert close(found, right, "rewards_from_counts"), (
        "If each answer has won as often as it has lost, against each other one, none is better "
        "than another"
    )


def few_answers_are_right(rewards_from_counts, *, penalty, seed, twists):
    """Compare two answers, and three of which two never met."""
    two = np.array([[0, 6], [2, 0]])
    chain = np.array([[0, 9, 0], [3, 0, 1], [0, 4, 0]])
    for wins in (two, two.T, chain):
        ties = np.zeros_like(wins)
        if "ties" in twists:
            ties[0, 1] = ties[1, 0] = 3
        found = rewards_of(rewards_from_counts, wins, ties, twists)
        assert close(found, wanted_of(wins, ties, penalty, twists), "rewards_from_counts"), (
            f"For the counts {wins.tolist()}, written as wins of the row, the result is not right: "
            "what does each pair that met say of the difference of two rewards?"
        )


def many_answers_are_right(rewards_from_counts, *, penalty, seed, twists):
    """Compare answers that met some often and others seldom."""
    for each in range(seed, seed + 5):
        wins, ties = some_counts(each, 4 + each % 3)
        found = rewards_of(rewards_from_counts, wins, ties, twists)
        assert close(found, wanted_of(wins, ties, penalty, twists), "rewards_from_counts"), (
            f"For {len(wins)} answers the result is not right: with the probabilities that follow "
            "from it, does each answer win as often as it should? Have enough steps been made?"
        )
