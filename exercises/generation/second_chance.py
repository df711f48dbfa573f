"""Judge two guesses for one place so that the target's distribution is kept."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
Two drafts guess the same token. The first guess is drawn from $q$. If it is rejected, a second guess is drawn from $r$, independently of the first. If this one is rejected as well, a token is drawn from a last distribution. (It may be a token that has been rejected.) All together, the token that is written must have the distribution $p$ of the target, and each guess must be accepted as often as this allows: first the first one, and then, given that it was rejected, the second one.

Write `second_chance(p, q, r)`. The arguments are arrays of shape (V,). Return three arrays of shape (V,): for each token the probability that it is accepted as the first guess, the probability that it is accepted as the second guess (given that the first guess was rejected), and the last distribution. For a token that a draft never guesses, give the probability 1. If a guess is never rejected, what follows it does not matter for the result; let it be as if the guess had not been made.
"""
STARTER = '''
def second_chance(p, q, r):
    """p, q, r: (V,) each -> first (V,), second (V,), last (V,)"""
    ...
'''
TWISTS = {
    "share": Twist(
        "Return a fourth result: the probability that one of the two guesses is accepted.",
        {
            "second_chance": (
                "",
                """
                one, two, _ = plain_second_chance(p, q, r)
                refused = 1 - (q * one).sum()
                result = *result, 1 - refused * (1 - (r * two).sum())
                """,
            )
        },
        {"last (V,)": "last (V,), a number"},
    ),
    "rejected": Twist(
        "The first two results are the probabilities that the token is *rejected*, each by its own guess.",
        {"second_chance": ("", "result = 1 - result[0], 1 - result[1], result[2]")},
        {"first (V,), second (V,)": "first (V,), second (V,) (both of a rejection)"},
    ),
    "logits": Twist(
        "Instead of probabilities, the three arguments are logits, of which some may be minus infinity.",
        {
            "second_chance": (
                "p, q, r = (np.exp(z - z.max()) / np.exp(z - z.max()).sum() for z in (p, q, r))",
                "",
            )
        },
        {"p, q, r: (V,) each": "p, q, r: logits, (V,) each"},
    ),
    "together": Twist(
        "The three arguments come as the rows of one array of shape (3, V), which is the only argument: the function is called as `second_chance(rows)`.",
        {},
        {"(p, q, r)": "(rows)", "p, q, r: ": "rows: p, q, r below one another, "},
    ),
}
HINT = "After the first rejection the token must be drawn from the residual. So this is what the second guess has to imitate: for it, the residual is the target."
SOLUTION = """
def second_chance(p, q, r):
    accepted, target = [], p
    for draft in (q, r):
        ratio = np.divide(target, draft, out=np.ones(len(p)), where=draft > 0)
        accepted.append(np.minimum(ratio, 1))
        lacking = np.maximum(target - draft, 0)
        if lacking.sum() > 0:
            target = lacking / lacking.sum()
    return *accepted, target
"""
EXPLANATION = r"""
The proof of the chapter holds for any target. A guess from $q$ that is judged by $\min(1, p / q)$ leaves the residual $p' \propto \max(0, p - q)$ to whatever comes after a rejection, and does not ask how a token of that distribution is made. So a second guess, from $r$, is judged by $\min(1, p' / r)$, and after it the residual of $p'$ and $r$ is left. By induction any number of guesses can be judged in this way. A second guess that is judged by $p$ again gives too much to the tokens that were accepted at first.
"""
TRIAL = """
p, q = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.2, 0.1, 0.3, 0.4])
for r in (q, np.array([0.5, 0.1, 0.2, 0.2]), np.array([0.0, 0.6, 0.4, 0.0])):
    one, two, last = second_chance(p, q, r)
    refused = 1 - (q * one).sum()
    refused_again = 1 - (r * two).sum()
    found = q * one + refused * (r * two + refused_again * last)
    check("what is written has the distribution p", found, p, 2e-3)
    least = np.abs(p - q).sum() / 2
    check("how often the first guess is rejected", refused, least, 2e-3)
    check("how often the second one is accepted", (r * two).sum(), SHARES[r[0]], 2e-3)
    check("the last distribution sums to 1", last.sum(), 1, 2e-3)
"""
# On the page: how often the second guess is accepted, by its probability of the first token.
SHARES = "{0.2: 0.3, 0.5: 0.6, 0.0: 0.5}"


def exercise(seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise."""
    given = {"seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"second_chance": "p, q, r"}, twisted)
        return _of_rows(answer) if "together" in twists else answer

    return Exercise(
        id="generation-second-chance",
        title="A second chance",
        kind="code",
        difficulty=3,
        minutes=30,
        points=5,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(results_are_probabilities, given),),
        hidden=(
            Check(distribution_is_kept, given),
            Check(guesses_are_accepted_as_often_as_can_be, given),
            Check(borders_are_right, given),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        trial="" if twists else TRIAL.replace("SHARES", SHARES),
    )


def _of_rows(code: str) -> str:
    """Return an answer that takes one array in place of three."""
    code = code.replace("second_chance", "of_three")
    return f"{code}\n\ndef second_chance(rows):\n    return of_three(*rows)"


WRONG_ANSWERS = {
    "the second guess is judged by p again": SOLUTION.replace(
        "np.divide(target, draft", "np.divide(p, draft"
    ),
    "the last distribution is the first residual": SOLUTION.replace(
        "        if lacking.sum() > 0:", "        if lacking.sum() > 0 and draft is q:"
    ),
    "the residual is not divided by its sum": SOLUTION.replace(
        "target = lacking / lacking.sum()", "target = lacking"
    ),
    "the distance in place of what is lacking": SOLUTION.replace(
        "np.maximum(target - draft, 0)", "np.abs(target - draft)"
    ),
    "no guess is ever accepted": """
def second_chance(p, q, r):
    return np.where(q > 0, 0.0, 1.0), np.where(r > 0, 0.0, 1.0), p
""",
    "the draft divided by the target": SOLUTION.replace(
        "np.divide(target, draft, out=np.ones(len(p)), where=draft > 0)",
        "np.divide(draft, target, out=np.ones(len(p)), where=target > 0)",
    ),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw distributions, and twists."""
    return {"seed": rng.randrange(10_000), "twists": drawn(rng, TWISTS)}


# -- checks --------------------------------------------------------------------------------------


def some_distributions(seed, V=6):
    """Draw a target and two drafts."""
    p, q, r = np.random.default_rng(seed).dirichlet(np.ones(V), size=3)
    return p, q, r


def judged(second_chance, p, q, r, twists):
    """Return the three results as the page asks for them."""
    given = [p, q, r]
    if "logits" in twists:
        with np.errstate(divide="ignore"):
            given = [np.log(x) + shift for x, shift in zip(given, (0.5, 0.5, -3.0), strict=True)]
    copies = [x.copy() for x in given]
    result = second_chance(np.stack(copies)) if "together" in twists else second_chance(*copies)
    found = [array(part) for part in parts(result, 4 if "share" in twists else 3)]
    for part in found[:3]:
        assert part.shape == p.shape, (
            f"For {len(p)} tokens each of the three results should have {len(p)} numbers, got the "
            f"shape {part.shape}"
        )
    if "rejected" in twists:
        found[:2] = [1 - found[0], 1 - found[1]]
    one, two, last = found[:3]
    if "share" in twists:
        share = 1 - (1 - (q * one).sum()) * (1 - (r * two).sum())
        assert abs(found[3] - share) < 3e-3, (
            "The fourth result is not the probability that one of the two guesses is accepted"
        )
    return one, two, last


def results_are_probabilities(second_chance, *, seed, twists):
    """Check that all results are probabilities, and that the last ones sum to 1."""
    one, two, last = judged(second_chance, *some_distributions(seed), twists)
    for found in (one, two, last):
        assert ((found >= 0) & (found <= 1)).all(), (
            f"All results are probabilities, from 0 to 1, but some are {found}"
        )
    assert abs(last.sum() - 1) < 4e-3, (
        f"The last distribution should sum to 1, but sums to {last.sum():.3f}"
    )


def written_by_both(one, two, last, q, r):
    """Return the distribution of the token that is written, as an exact sum."""
    first, second = q * one, r * two
    return first + (1 - first.sum()) * (second + (1 - second.sum()) * last)


def distribution_is_kept(second_chance, *, seed, twists):
    """Add up all ways in which each token can be written."""
    for each in range(seed, seed + 5):
        p, q, r = some_distributions(each)
        for draft in (r, q):
            one, two, last = judged(second_chance, p, q, draft, twists)
            found = written_by_both(one, two, last, q, draft)
            assert np.abs(found - p).max() < 3e-3, (
                f"The token that is written has the distribution {found.round(3)}, and the target "
                f"has {p.round(3)}"
            )


def guesses_are_accepted_as_often_as_can_be(second_chance, *, seed, twists):
    """Compare how often each guess is accepted with what is possible."""
    for each in range(seed, seed + 5):
        p, q, r = some_distributions(each)
        one, two, _ = judged(second_chance, p, q, r, twists)
        most = 1 - np.abs(p - q).sum() / 2
        assert abs((q * one).sum() - most) < 3e-3, (
            f"The first guess is accepted with probability {(q * one).sum():.3f}, and {most:.3f} "
            "is possible"
        )
        wanted = (p - q).clip(min=0) / (p - q).clip(min=0).sum()
        most = 1 - np.abs(wanted - r).sum() / 2
        assert abs((r * two).sum() - most) < 3e-3, (
            f"The second guess is accepted with probability {(r * two).sum():.3f}, and {most:.3f} "
            "is possible"
        )


def borders_are_right(second_chance, *, seed, twists):
    """Check drafts that never guess some tokens, and one that is the target itself."""
    p, q, r = some_distributions(seed)
    q[:2], r[1:3] = 0, 0
    q, r = q / q.sum(), r / r.sum()
    one, two, last = judged(second_chance, p, q, r, twists)
    for found, draft in ((one, q), (two, r)):
        assert np.isfinite(found).all(), "Where a draft has the probability 0, nothing is divided"
        assert close(found[draft == 0], np.ones((draft == 0).sum()), "second_chance"), (
            "For a token that a draft never guesses, the answer should be 1 (or 0, if rejections "
            "are asked for)"
        )
    assert np.abs(written_by_both(one, two, last, q, r) - p).max() < 3e-3, (
        "If a draft never guesses some tokens, the token that is written has another distribution "
        "than the target"
    )
    p = np.array([0.5, 0.25, 0.125, 0.125])
    r = np.array([0.25, 0.5, 0.125, 0.125])
    one, two, last = judged(second_chance, p, p, r, twists)
    assert close(one, np.ones(4), "second_chance"), "What the target itself guesses is accepted"
    assert close(two, np.array([1, 0.5, 1, 1]), "second_chance"), (
        "If the first guess is never rejected, the second one should be judged as if it were the "
        "first"
    )
    assert close(last, np.array([1, 0, 0, 0]), "second_chance"), (
        "If the first guess is never rejected, the last distribution should be the residual of p "
        "and r"
    )
