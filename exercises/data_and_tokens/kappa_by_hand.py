"""Cohen's kappa of two people who sort complaints."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = r"""
Ann and Bob sort {{rows}} complaints into *urgent* and *not urgent*. Both say urgent for {{both}} of them, only Ann for {{only_a}}, only Bob for {{only_b}}, neither for {{neither}}. How often do they agree, how often would they if each said urgent as often as now but at random, and what is Cohen's kappa? The two agree on {{percent}} % of the rows: is that good?
"""
STARTER = """
agreed = ...
agreed_by_chance = ...
kappa = ...
"""
HINT = "How often does Ann say urgent, and how often Bob? By chance they meet on urgent with the product of the two, and on not urgent with the product of what is left."
EXPLANATION = r"""
They agree on ${{both}} + {{neither}}$ of {{rows}} rows, a share of {{agreed}}. Ann says urgent with a share of {{share_a}}, Bob with {{share_b}}, so by chance they would agree with ${{share_a}} \cdot {{share_b}} + {{rest_a}} \cdot {{rest_b}} = {{agreed_by_chance}}$. Kappa is the part of the way from chance to certainty that they went: $({{agreed}} - {{agreed_by_chance}}) / (1 - {{agreed_by_chance}}) = {{kappa}}$.

Where one answer is frequent, two people who never look at the text agree often; the share alone flatters them.
"""


def exercise(table: tuple[int, int, int, int] = (6, 4, 6, 34)) -> Exercise:
    """Return the exercise for counts of both, only Ann, only Bob, neither."""
    right = _agreement(table)
    both, only_a, only_b, neither = table
    n = sum(table)
    shares = {"share_a": (both + only_a) / n, "share_b": (both + only_b) / n}
    rest = {"rest_a": 1 - shares["share_a"], "rest_b": 1 - shares["share_b"]}
    return Exercise(
        id="data-and-tokens-kappa-by-hand",
        title="Agreed, but on what?",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution="\n".join(f"{name} = {value!r}" for name, value in right.items()),
        explanation=EXPLANATION,
        values={
            "rows": n,
            "both": both,
            "only_a": only_a,
            "only_b": only_b,
            "neither": neither,
            "percent": round(100 * right["agreed"]),
            **{name: f"{float(value):.4g}" for name, value in right.items()},
            **{name: f"{value:.4g}" for name, value in (shares | rest).items()},
        },
        visible=(Check(shares_are_shares),),
        hidden=(Check(agreement_is_right, {"table": table}),),
        wrong_answers=_wrong_answers(right),
        public_solution=True,
        words=True,
    )


def _agreement(table: tuple[int, int, int, int]) -> dict[str, Fraction]:
    both, only_a, only_b, neither = table
    n = sum(table)
    chance = Fraction(
        (both + only_a) * (both + only_b) + (neither + only_b) * (neither + only_a), n * n
    )
    observed = Fraction(both + neither, n)
    return {
        "agreed": observed,
        "agreed_by_chance": chance,
        "kappa": (observed - chance) / (1 - chance),
    }


def _wrong_answers(right: dict[str, Fraction]) -> dict[str, str]:
    observed, chance = (float(right[name]) for name in ("agreed", "agreed_by_chance"))
    return {
        "chance taken for a coin": f"""
            agreed, agreed_by_chance = {observed}, 0.5
            kappa = (agreed - agreed_by_chance) / (1 - agreed_by_chance)
            """,
        "the difference alone": f"""
            agreed, agreed_by_chance = {observed}, {chance}
            kappa = agreed - agreed_by_chance
            """,
        "percent for shares": f"""
            agreed, agreed_by_chance = {100 * observed}, {100 * chance}
            kappa = {float(right["kappa"])}
            """,
        "agreement taken for kappa": f"""
            agreed, agreed_by_chance = {observed}, {chance}
            kappa = agreed
            """,
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw counts for 50 rows, with shares in tenths and fewer urgent than not."""
    while True:
        urgent_a, urgent_b = (5 * rng.randrange(1, 5) for _ in range(2))
        both = rng.randrange(1, min(urgent_a, urgent_b))
        table = (both, urgent_a - both, urgent_b - both, 50 - urgent_a - urgent_b + both)
        right = _agreement(table)
        far = abs(right["agreed_by_chance"] - Fraction(1, 2)) > Fraction(1, 20)
        if far and Fraction(1, 10) < right["kappa"] < Fraction(9, 10) and table != (6, 4, 6, 34):
            return {"table": table}


# -- checks --------------------------------------------------------------------------------------


def shares_are_shares(agreed, agreed_by_chance, kappa):
    """Check that agreement is a share, by chance or not, and kappa no larger."""
    for name, value in {"agreed": agreed, "agreed_by_chance": agreed_by_chance}.items():
        assert 0 <= value <= 1, f"{name} should be a share from 0 to 1, got {float(value):g}"
    assert float(kappa) <= float(agreed) + 1e-9, (
        "kappa should not be larger than the share on which they agree"
    )


def agreement_is_right(agreed, agreed_by_chance, kappa, *, table):
    """Check all three numbers against the counts."""
    both, only_a, only_b, neither = table
    n = sum(table)
    urgent_a, urgent_b = (both + only_a) / n, (both + only_b) / n
    chance = urgent_a * urgent_b + (1 - urgent_a) * (1 - urgent_b)
    observed = (both + neither) / n
    assert close(agreed, observed, "agreed"), (
        "agreed is not right: count the rows where both said the same, urgent or not"
    )
    assert close(agreed_by_chance, chance, "agreed_by_chance"), (
        "agreed_by_chance is not right: it follows from how often each of them says urgent"
    )
    # It may be computed from the other two as they were rounded.
    assert abs(float(kappa) - (observed - chance) / (1 - chance)) < 4e-3, (
        "kappa is not right: how far did they come on the way from chance to full agreement?"
    )
