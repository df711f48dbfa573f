"""Compute the exact floor of a masked word, for any language whose probabilities are known."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `gap_floor(log_prob, row, words)` for any language of which the log-probability of each text is known. `row` is a text, a list of words; `log_prob(row)` returns $\\ln p$ of a whole text, or $-\\infty$ if it is impossible; `words` are all words of the language. Hide each position of `row` in turn, one at a time, and compute the exact distribution over the words there, given all the others. Return RESULT, a list with one number for each position, in nats. Leave `row` as it was. The log-probabilities may be below $-1000$, so that their exponentials are 0 in a computer.
"""
# What is asked for at each position, and how it is computed.
RESULTS = {
    "entropy": "the entropy of each distribution, which is the floor of the expected loss",
    "surprise": "$-\\ln p$ of the word that stands there in each distribution, which is the loss of a perfect model on this text",
}
CODE = {
    "entropy": "-sum(q * math.log(q) for q in p if q > 0)",
    "surprise": "-math.log(p[list(words).index(row[place])])",
}
STARTER = '''
def gap_floor(log_prob, row, words):
    """log_prob(list) -> float; row, words: lists -> list of len(row) numbers"""
    ...
'''
TWISTS = {
    "by place": Twist(
        "Return a dictionary from each position to its number.",
        {"gap_floor": ("", "result = dict(enumerate(result))")},
        {"list of len(row) numbers": "{position: number}"},
    ),
    "bits": Twist(
        "Give the numbers in *bits*; the log-probabilities are in nats as ever.",
        {"gap_floor": ("", "result = [number / math.log(2) for number in result]")},
        {"row, words: lists": "in bits; row, words: lists"},
    ),
}
HINT = "For each position, make a copy of the text for each word, and collect the log-probabilities. Before you take exponentials, subtract the largest of them: the quotient does not change. Then divide by the sum."
SOLUTION = """
def gap_floor(log_prob, row, words):
    floors = []
    for place in range(len(row)):
        scores = [log_prob([*row[:place], w, *row[place + 1 :]]) for w in words]
        largest = max(scores)
        powers = [math.exp(score - largest) for score in scores]
        p = [power / sum(powers) for power in powers]
        floors.append(RESULT)
    return floors
"""
EXPLANATION = """
By Bayes' rule the probability of a word in the gap is that of the whole text with it, divided by the sum over all words. Subtracting the largest logarithm is the trick of the stable softmax: the largest power is 1, so the sum cannot be 0. No model can do better on average. At a position where only one word is possible, the number is 0: a model that has a loss there has not yet learnt a rule of the language.
"""
TRIAL = """
texts = {("a", "cat"): 0.5, ("a", "dog"): 0.3, ("no", "dog"): 0.2}


def log_prob(row):
    p = texts.get(tuple(row), 0)
    return math.log(p) - 2000 if p else -math.inf


found = gap_floor(log_prob, ["a", "dog"], ["no", "a", "cat", "dog"])
first, second = [0.6, 0.4], [0.625, 0.375]
expected = EXPECTED
check("two positions", found, expected)
"""
EXPECTED = {
    "entropy": "[-sum(q * math.log(q) for q in p) for p in (first, second)]",
    "surprise": "[-math.log(first[0]), -math.log(second[1])]",
}


def exercise(result: str = "entropy", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise, which asks for entropies or for the surprise at the words."""
    solution = SOLUTION.replace("RESULT", CODE[result])
    given = {"result": result, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]
    text = QUESTION.replace("RESULT", RESULTS[result])

    def filled(code: str) -> str:
        return wrapped(code, {"gap_floor": "log_prob, row, words"}, twisted)

    other = next(kind for kind in CODE if kind != result)
    return Exercise(
        id="pretraining-gap-floor",
        title="The floor of a gap",
        kind="code",
        difficulty=3,
        minutes=25,
        points=5,
        question=asked(text, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(solution),
        explanation=EXPLANATION,
        visible=(Check(returns_a_number_each, given), Check(row_stays, given)),
        hidden=(Check(floors_are_exact, given), Check(tiny_probabilities, given)),
        wrong_answers={
            "not divided by the sum": filled(solution.replace("power / sum(powers)", "power")),
            "underflow": filled(
                solution.replace("score - largest", "score").replace(
                    "power / sum(powers)", "power / max(sum(powers), 1e-300)"
                )
            ),
            "the other quantity": filled(SOLUTION.replace("RESULT", CODE[other])),
            "gaps add up": filled(
                solution.replace("    for place", "    row = list(row)\n    for place").replace(
                    "    return", "        row[place] = words[0]\n    return"
                )
            ),
            "a logarithm of another base": filled(solution.replace("math.log(", "math.log2(")),
        },
        trial="" if twists else TRIAL.replace("EXPECTED", EXPECTED[result]),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw what is asked for, and a language."""
    chosen = drawn(rng, ("surprise", *TWISTS))
    return {
        "result": "surprise" if "surprise" in chosen else "entropy",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------

WORDS = ("a", "b", "c", "d")


def a_language(seed, shift=0.0):
    """Return the log-probability of texts of three words, some of them impossible, and a text."""
    rng = random.Random(seed)
    texts = [(x, y, z) for x in WORDS for y in WORDS for z in WORDS]
    weights = {text: rng.choice([0, 1, 2, 5]) * rng.random() for text in texts}
    weights["c", "b", "d"] = weights["c", "a", "d"] = weights["c", "b", "a"] = 1.0
    weights["a", "b", "d"] = 0.5
    total = sum(weights.values())

    def log_prob(row):
        weight = weights.get(tuple(row), 0)
        return math.log(weight / total) + shift if weight else -math.inf

    return log_prob, ["c", "b", "d"]


def right_floors(log_prob, row, result):
    """Return what is asked for, from probabilities that are not small."""
    found = []
    for place in range(len(row)):
        p = {w: math.exp(log_prob([*row[:place], w, *row[place + 1 :]])) for w in WORDS}
        total = sum(p.values())
        p = {w: value / total for w, value in p.items()}
        entropy = -sum(value * math.log(value) for value in p.values() if value)
        found.append(entropy if result == "entropy" else -math.log(p[row[place]]))
    return found


def plain(gap_floor, twists):
    """Return the function as the page asks for it."""

    def as_on_the_page(log_prob, row, words):
        found, n = gap_floor(log_prob, row, words), len(row)
        if "by place" in twists:
            places = sorted(found) if isinstance(found, dict) else []
            assert places == list(range(n)), (
                f"{n} positions should give a dictionary with the keys 0 to {n - 1}, got {found}"
            )
            found = [found[place] for place in range(n)]
        return [float(value) * math.log(2) for value in found] if "bits" in twists else found

    return as_on_the_page


def returns_a_number_each(gap_floor, *, result, seed, twists):
    """Check that there is a number for each position."""
    gap_floor = plain(gap_floor, twists)
    log_prob, row = a_language(seed)
    found = gap_floor(log_prob, row, list(WORDS))
    assert len(found) == 3, f"3 positions should give 3 numbers, got {len(found)}"
    assert all(value >= 0 for value in found), f"No number is below 0, got {found}"


def row_stays(gap_floor, *, result, seed, twists):
    """Check that the text is not written to."""
    gap_floor = plain(gap_floor, twists)
    log_prob, row = a_language(seed)
    gap_floor(log_prob, row, list(WORDS))
    assert row == ["c", "b", "d"], "gap_floor writes into row; change a copy of it"


def floors_are_exact(gap_floor, *, result, seed, twists):
    """Compare several languages with the exact values."""
    gap_floor = plain(gap_floor, twists)
    for each in (seed, seed + 1, seed + 2):
        log_prob, row = a_language(each)
        found = gap_floor(log_prob, list(row), list(WORDS))
        for value, right in zip(found, right_floors(log_prob, row, result), strict=True):
            assert close(value, right, "gap_floor"), (
                "A position is not right: is each distribution divided by its own sum, and are "
                "all other words those of the text?"
            )


def tiny_probabilities(gap_floor, *, result, seed, twists):
    """Check that probabilities too small for a computer's exponential make no difference."""
    gap_floor = plain(gap_floor, twists)
    log_prob, row = a_language(seed)
    small, _ = a_language(seed, shift=-2000.0)
    try:
        found = gap_floor(small, list(row), list(WORDS))
    except (ZeroDivisionError, ValueError, OverflowError) as error:
        raise AssertionError(f"Log-probabilities below -1000 fail: {error}") from None
    for value, right in zip(found, right_floors(log_prob, row, result), strict=True):
        assert close(value, right, "gap_floor"), (
            "With log-probabilities below -1000 the result is another one: subtract the largest "
            "before you take exponentials"
        )
