"""Invent a penalty, and find out whether honesty pays under it."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = """
Now there are {{kinds}} kinds of weather. Under the absolute rule, what is it best to say for the belief {{belief}}, and how much does that lie save in the mean?

Then invent a rule that is not one of the chapter's three: `said` is a list of {{kinds}} probabilities, `happened` the number of what came, from 0. Is a lie ever cheaper than the truth? Search, report one or `None`, and say why.
"""
STARTER = """
best_lie = [...]  # under the absolute rule
saved = ...

def own_rule(said, happened):
    ...

honesty_pays = ...  # True or False
cheaper_lie = ...  # (belief, said) or None
"""
HINT = "Try a grid of beliefs and a grid of lies. If honesty shall pay, let all probabilities have a say, not only that of what happened."
TRIAL = """
rng = np.random.default_rng(0)
belief, some = np.array(BELIEF), rng.dirichlet(np.ones(KINDS), size=300)
pays = 1 - belief @ np.array(best_lie)  # under the absolute rule
check("what 300 other forecasts pay", 1 - some @ belief, at_least=pays)
check("what the lie saves", saved, (1 - belief @ belief) - pays, 2e-3)
table = np.array([[own_rule(list(said), k) for k in range(KINDS)] for said in some])
for rule in (1 - some, (1 - some) ** 2, -np.log(some)):
    alike = np.corrcoef(table.ravel(), rule.ravel())[0, 1]
    check("correlation with a rule of the chapter", abs(alike), at_most=0.99999)
check("honest, or a lie is shown", honesty_pays == (cheaper_lie is None))
if cheaper_lie is None:
    paid = some @ table.T  # belief i, forecast j
    check("a lie is no cheaper, 300 tried", paid - np.diag(paid)[:, None], at_least=-1e-9)
else:
    p, *forecasts = cheaper_lie[0], *cheaper_lie
    honest, lie = (sum(p[k] * own_rule(list(q), k) for k in range(KINDS)) for q in forecasts)
    check("what the lie saves under your rule", honest - lie, at_least=1e-9)
"""
EXPLANATION = r"""
Under the absolute rule the expected penalty is $1 - \sum_j p_j \hat p_j$, smallest where all is put on the likeliest; that pays ${{lie_pays}}$ instead of ${{truth_pays}}$.

One rule under which honesty pays is the *spherical* one: minus the probability of what happened, divided by the length of the vector of all probabilities. The expectation is minus the length of the belief times the cosine between belief and forecast, and the cosine is largest where the two point the same way.

To grade by hand, besides the checks: is there a reason, and not only a search (1 point); does it say what the search could have missed (1)?
"""
SPHERICAL = """
def own_rule(said, happened):
    said = np.array(said, dtype=float)
    return -said[happened] / np.linalg.norm(said)
"""
ROOT = """
def own_rule(said, happened):
    return np.sqrt(1 - said[happened])
"""


def exercise(belief: tuple[float, ...] = (0.5, 0.3, 0.2)) -> Exercise:
    """Return the exercise for as many kinds of weather as `belief` has."""
    n = len(belief)
    lie = [float(p == max(belief)) for p in belief]
    truth_pays, lie_pays = 1 - sum(p * p for p in belief), 1 - max(belief)
    first = f"best_lie = {lie}\nsaved = {round(truth_pays - lie_pays, 6)}\n"
    given = {"belief": belief}
    return Exercise(
        id="losses-own-rule",
        title="A rule of your own",
        kind="open",
        difficulty=3,
        minutes=45,
        points=6,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=f"{first}{SPHERICAL}\nhonesty_pays, cheaper_lie = True, None",
        explanation=EXPLANATION,
        values={
            "kinds": n,
            "belief": ", ".join(map(str, belief)),
            "truth_pays": f"{truth_pays:g}",
            "lie_pays": f"{lie_pays:g}",
        },
        visible=(Check(rule_is_a_rule, {"n": n}), Check(lie_is_a_forecast, {"n": n})),
        hidden=(
            Check(absolute_rule_is_understood, given),
            Check(rule_is_new, {"n": n}),
            Check(claim_is_borne_out, {"n": n}),
        ),
        wrong_answers=_wrong_answers(n, first, belief),
        words=True,
        by_hand=2,
        trial=TRIAL.replace("BELIEF", str(list(belief))).replace("KINDS", str(n)),
    )


def _wrong_answers(n: int, first: str, belief: tuple[float, ...]) -> dict[str, str]:
    lie = [1.0] + [0.0] * (n - 1)
    return {
        "a rule that is not proper, taken for one": f"{first}{ROOT}\nhonesty_pays, cheaper_lie = True, None",
        "a lie that saves nothing": f"{first}{SPHERICAL}\nhonesty_pays, cheaper_lie = False, ({list(belief)}, {lie})",
        "the logarithm in disguise": f"""{first}
def own_rule(said, happened):
    return 3 - 2 * np.log2(max(said[happened], 1e-300))

honesty_pays, cheaper_lie = True, None""",
        "honesty under the absolute rule": f"""
best_lie, saved = {list(belief)}, 0.0
{SPHERICAL}
honesty_pays, cheaper_lie = True, None""",
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a belief over three or four kinds, in twentieths, with one likeliest."""
    while True:
        n = rng.choice((3, 4))
        parts = [rng.randrange(1, 12) for _ in range(n - 1)]
        parts.append(20 - sum(parts))
        if parts[-1] > 0 and sorted(parts)[-1] > sorted(parts)[-2]:
            return {"belief": tuple(part / 20 for part in parts)}


# -- checks --------------------------------------------------------------------------------------


def grid_of_forecasts(n, steps):
    """Return all forecasts over n kinds in shares of 1/steps, none of them 0."""
    whole = itertools.product(range(1, steps), repeat=n - 1)
    found = [(*parts, steps - sum(parts)) for parts in whole if sum(parts) < steps]
    return np.array(found) / steps


def expected_penalties(own_rule, beliefs, forecasts):
    """Return what is to be expected for each belief (rows) and each forecast (columns)."""
    n = forecasts.shape[1]
    table = [[float(own_rule(list(said), j)) for said in forecasts] for j in range(n)]
    return beliefs @ np.array(table)


def rule_is_a_rule(own_rule, *, n):
    """Check that the rule gives a finite number for every forecast."""
    forecasts = grid_of_forecasts(n, 8)
    costs = expected_penalties(own_rule, np.eye(n), forecasts)
    assert np.isfinite(costs).all(), "own_rule should give a finite number for each forecast"
    assert np.ptp(costs) > 1e-6, "own_rule gives the same number whatever was said and happened"


def lie_is_a_forecast(best_lie, *, n):
    """Check that the best lie is a forecast."""
    said = array(best_lie).ravel()
    assert said.shape == (n,), f"best_lie should hold {n} probabilities, got {best_lie}"
    assert abs(said.sum() - 1) < 2e-3, f"best_lie should sum to 1, not to {said.sum():.3f}"


def absolute_rule_is_understood(best_lie, saved, *, belief):
    """Check the lie, and what it saves."""
    cheapest = 1 - max(belief)
    pays = 1 - sum(p * float(q) for p, q in zip(belief, array(best_lie).ravel(), strict=True))
    assert abs(pays - cheapest) < 1e-6, (
        f"With best_lie one expects to pay {pays:.3f} under the absolute rule; {cheapest:.3f} is "
        "possible"
    )
    right = 1 - sum(p * p for p in belief) - cheapest
    assert close(saved, right, "saved"), (
        f"saved should be what the truth pays minus what the lie pays, not {float(saved):.3f}"
    )


def rule_is_new(own_rule, *, n):
    """Check that the rule is no rescaled form of one of the chapter's three."""
    forecasts = grid_of_forecasts(n, 8)
    own = expected_penalties(own_rule, np.eye(n), forecasts).ravel()
    given = forecasts.T.ravel()  # the probability of what happened
    known = {"1 - q": 1 - given, "(1 - q) ** 2": (1 - given) ** 2, "-ln(q)": -np.log(given)}
    for formula, rule in known.items():
        fit = np.stack([rule, np.ones_like(rule)], axis=1)
        rest = own - fit @ np.linalg.lstsq(fit, own, rcond=None)[0]
        assert np.abs(rest).max() > 1e-6 * np.ptp(own), (
            f"own_rule is a rule of the chapter, {formula}, scaled or shifted; invent another one"
        )


def claim_is_borne_out(own_rule, honesty_pays, cheaper_lie, *, n):
    """Search for a lie, and compare with the claim."""
    if cheaper_lie is not None:
        belief, said = (np.array(part, dtype=float)[None] for part in cheaper_lie)
        truth = expected_penalties(own_rule, belief, belief)
        saved = float((truth - expected_penalties(own_rule, belief, said))[0, 0])
        assert saved > 1e-9, (
            f"cheaper_lie saves nothing: it pays {-saved:.4f} more than the truth in the mean"
        )
        assert not honesty_pays, "honesty_pays should be False where a lie is cheaper"
        return
    assert honesty_pays, "Where honesty does not pay, cheaper_lie should say which lie is cheaper"
    grid = grid_of_forecasts(n, 14)
    costs = expected_penalties(own_rule, grid, grid)
    savings = costs.diagonal() - costs.min(axis=1)
    worst = savings.argmax()
    assert savings[worst] < 1e-9, (
        f"A search finds a lie: with the belief {grid[worst].round(2).tolist()} it saves "
        f"{savings[worst]:.4f} in the mean to say {grid[costs[worst].argmin()].round(2).tolist()}"
    )
