"""The constant that a loss likes best: the mean, and the median."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise

QUESTION = """
A shop sold {{sold}} umbrellas on five days. Which one number for all five has the smallest mean squared error, and which the smallest mean *absolute* error? Then {{wild}} turns out to be a slip of the pen for {{mended}}. Which are best now, and why?
"""
STARTER = """
for_squares, for_absolutes = ..., ...
for_squares_mended, for_absolutes_mended = ..., ...
"""
HINT = "Set the derivative to 0. That of an absolute error is 1 or minus 1."
EXPLANATION = """
Squared errors are smallest at the mean: {{for_squares}}, and {{for_squares_mended}} after the correction. Absolute errors are smallest where as many values lie below as above, at the median: {{for_absolutes}}, both times. Gaussian noise all but forbids a wild value, so squared error bends the whole answer towards it, by {{moved}}.
"""


def exercise(sold: tuple[int, ...] = (6, 2, 8, 57, 7), mended: int = 17) -> Exercise:
    """Return the exercise in which the largest number `sold` should have been `mended`."""
    after = tuple(mended if n == max(sold) else n for n in sold)
    right = {
        "for_squares": _mean(sold),
        "for_absolutes": sorted(sold)[2],
        "for_squares_mended": _mean(after),
        "for_absolutes_mended": sorted(after)[2],
    }
    return Exercise(
        id="losses-best-constant",
        title="One number for five days",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution="\n".join(f"{name} = {value}" for name, value in right.items()),
        explanation=EXPLANATION,
        values={
            **right,
            "sold": ", ".join(map(str, sold)),
            "wild": max(sold),
            "mended": mended,
            "moved": abs(right["for_squares"] - right["for_squares_mended"]),
        },
        visible=(Check(constants_lie_among_the_values, {"sold": sold, "after": after}),),
        hidden=(Check(constants_are_best, {"sold": sold, "after": after}),),
        wrong_answers=_wrong_answers(right),
        public_solution=True,
        words=True,
    )


def _mean(numbers: tuple[int, ...]) -> int:
    mean = Fraction(sum(numbers), len(numbers))
    assert mean.denominator == 1, "the numbers should have a whole mean"
    return int(mean)


def _wrong_answers(right: dict[str, int]) -> dict[str, str]:
    mean, median, mean_after, median_after = right.values()
    return {
        "the two exchanged": f"""
            for_squares, for_absolutes = {median}, {mean}
            for_squares_mended, for_absolutes_mended = {median_after}, {mean_after}
            """,
        "the mean for both": f"""
            for_squares = for_absolutes = {mean}
            for_squares_mended = for_absolutes_mended = {mean_after}
            """,
        "the wild value left in": f"""
            for_squares, for_absolutes = {mean}, {median}
            for_squares_mended, for_absolutes_mended = {mean}, {median}
            """,
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers of which one is wild, with whole means and a median that stays."""
    while True:
        usual, wild, mended = (
            rng.sample(range(2, 16), 4),
            rng.randrange(40, 100),
            rng.randrange(2, 25),
        )
        sold, after = [*usual, wild], [*usual, mended]
        median = sorted(sold)[2]
        whole = sum(sold) % 5 == sum(after) % 5 == 0
        if whole and median == sorted(after)[2] != sum(after) // 5 and mended not in usual:
            rng.shuffle(sold)
            return {"sold": tuple(sold), "mended": mended}


# -- checks --------------------------------------------------------------------------------------


def constants_lie_among_the_values(
    for_squares, for_absolutes, for_squares_mended, for_absolutes_mended, *, sold, after
):
    """Check that each constant lies between the smallest value and the largest."""
    given = {"for_squares": for_squares, "for_absolutes": for_absolutes}
    given_after = {
        "for_squares_mended": for_squares_mended,
        "for_absolutes_mended": for_absolutes_mended,
    }
    for constants, values in ((given, sold), (given_after, after)):
        for name, constant in constants.items():
            assert min(values) <= constant <= max(values), (
                f"{name} should lie between {min(values)} and {max(values)}, got {constant}"
            )


def constants_are_best(
    for_squares, for_absolutes, for_squares_mended, for_absolutes_mended, *, sold, after
):
    """Check that no other constant has a smaller error."""
    cases = {
        "for_squares": (for_squares, sold, 2),
        "for_absolutes": (for_absolutes, sold, 1),
        "for_squares_mended": (for_squares_mended, after, 2),
        "for_absolutes_mended": (for_absolutes_mended, after, 1),
    }
    for name, (constant, values, power) in cases.items():
        error = sum(abs(value - float(constant)) ** power for value in values)
        for other in (float(constant) - 0.01, float(constant) + 0.01):
            assert error <= sum(abs(value - other) ** power for value in values) + 1e-9, (
                f"{name} is not the best constant: {other:.2f} has a smaller error than "
                f"{float(constant):.2f}"
            )
