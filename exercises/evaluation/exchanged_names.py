"""The exact paired permutation test where there are far too many exchanges to list."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Judges have given points to the answers of two models, and `differences` is a list of n whole numbers: for each question, the points of A minus those of B. If the models were equally good, the names of the models could be exchanged at each question without any consequence; such an exchange changes the sign of the question's difference. All $2^n$ exchanges are then equally likely. Write `exact_p(differences)`, which returns the *exact* p-value of the sum: the share of all exchanges in which the sum is SIDE

There may be 100 questions, so the exchanges cannot all be listed, and a drawn part of them is not exact. But the sum has few different values: find out how many exchanges lead to each of them.
"""
# What takes the place of SIDE, and of FAR in the solution.
SIDES = {
    "two": "at least as far from 0 as it is in the data, on either side.",
    "one": "at least as *large* as it is in the data, with its sign.",
}
FAR = {"two": "abs(total) >= abs(seen)", "one": "total >= seen"}
STARTER = '''
def exact_p(differences):
    """differences: n whole numbers -> a probability"""
    ...
'''
TWISTS = {
    "scores": Twist(
        "The function gets the points themselves, as two lists: it is called as `exact_p(a, b)`. Items of the two lists belong together in their order.",
        {
            "exact_p": (
                "differences = [np.sum(x) - np.sum(y) for x, y in zip(*differences)]",
                "",
            )
        },
        {"(differences)": "(a, b)", "differences: n": "a, b: n"},
    ),
    "blocks": Twist(
        "Questions about one text belong together, so names are exchanged for whole texts: each item of a list is itself a list, with the numbers of all questions about one text.",
        {"exact_p": ("differences = [np.sum(block) for block in differences]", "")},
        {"n whole numbers": "n lists of whole numbers"},
    ),
    "tenths": Twist(
        "Judges may give tenths of a point, so that the numbers are multiples of 0.1. Two sums that differ only by the rounding errors of floating-point numbers must count as the same sum.",
        {"exact_p": ("differences = [round(10 * float(d)) for d in differences]", "")},
        {"whole numbers": "multiples of 0.1"},
    ),
}
HINT = "Begin with no question at all: there is one exchange, and its sum is 0. What does one more question do to a sum? Keep a dictionary from each possible sum to the number of exchanges that lead to it; Python's whole numbers may be as large as you like."
SOLUTION = """
def exact_p(differences):
    ways = {0: 1}
    for d in differences:
        longer = {}
        for total, count in ways.items():
            for new in (total + d, total - d):
                longer[new] = longer.get(new, 0) + count
        ways = longer
    seen = sum(differences)
    far = sum(count for total, count in ways.items() if FAR)
    return far / sum(ways.values())
"""
EXPLANATION = r"""
After each question the dictionary holds as many sums as there are different ones, a few hundred, and for each of them the number of ways that lead to it. The numbers of ways add up to $2^n$; with 100 questions that has 31 digits, which Python's whole numbers hold exactly. This is dynamic programming: what is counted once for a sum need not be counted again for each way that led there. A question with the difference 0 doubles all counts and changes no share. Among the exchanges is the one that changes nothing, so the p-value is never 0. It is exact for any differences, where a normal distribution is an approximation, and in contrast to McNemar's test it uses how large the differences are.
"""
TRIAL = """
check("three questions", exact_p([1, 2, 3]), 2 / 8, 1e-3)
check("two questions", exact_p([3, -1]), 1, 1e-3)
check("differences of 0 say nothing", exact_p([1, 0, 2, 0, 3]), 2 / 8, 1e-3)
check("the other model", exact_p([-1, -2, -3]), 2 / 8, 1e-3)
rng = np.random.default_rng(0)
for n in (9, 12):
    d = rng.integers(-3, 6, n)
    right = evaluation.paired_permutation_test(d, 0 * d).p_value
    check(f"{n} questions, all exchanges", exact_p(d.tolist()), right, 1e-3)
d = rng.integers(-5, 6, 100)
signs = rng.choice([-1, 1], (100_000, 100))
right = (abs(signs @ d) >= abs(d.sum())).mean()
check("100 questions", exact_p(d.tolist()), right, 0.01)
"""


def exercise(side: str = "two", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise for both sides, or for one."""
    given = {"side": side, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str, far: str = FAR[side]) -> str:
        code = wrapped(code.replace("FAR", far), {"exact_p": "differences"}, twisted)
        if "scores" in twists:
            code = code.replace("def exact_p(differences)", "def exact_p(*differences)")
        return code

    other = next(far for name, far in FAR.items() if name != side)
    return Exercise(
        id="evaluation-exchanged-names",
        title="If the names were exchanged",
        kind="code",
        difficulty=3,
        minutes=30,
        points=5,
        question=asked(QUESTION.replace("SIDE", SIDES[side]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(small_tests_are_right, given),),
        hidden=(Check(larger_tests_are_right, given), Check(many_questions_are_counted, given)),
        wrong_answers={
            **{mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
            "the other side of the question": filled(SOLUTION, other),
        },
        trial="" if twists or side != "two" else TRIAL,
    )


WRONG_ANSWERS = {
    "further away than in the data": SOLUTION.replace("if FAR", "if FAR and total != seen"),
    "each sum counts once": SOLUTION.replace(
        "longer[new] = longer.get(new, 0) + count", "longer[new] = 1"
    ),
    "signs alone": SOLUTION.replace(
        "    ways = {0: 1}\n",
        "    differences = [int(np.sign(d)) for d in differences]\n    ways = {0: 1}\n",
    ),
    "the normal distribution": """
def exact_p(differences):
    squares = sum(d * d for d in differences)
    z = sum(differences) / math.sqrt(squares)
    return math.erfc(abs(z) / math.sqrt(2))
""",
    "a hundred exchanges at random": """
def exact_p(differences):
    rng = np.random.default_rng(1)
    seen = sum(differences)
    totals = rng.choice([-1, 1], (100, len(differences))) @ np.array(differences)
    return float(np.mean([FAR for total in totals]))
""",
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a side, points, and twists."""
    chosen = drawn(rng, ("one", *TWISTS))
    return {
        "side": "one" if "one" in chosen else "two",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_points(seed, n, ahead=0):
    """Draw the differences of two models, as whole numbers, of which the first one leads."""
    return np.random.default_rng(seed).integers(-4 + ahead, 6, n).tolist()


def p_found(exact_p, differences, seed, twists):
    """Return what an answer says of differences, which are handed over as the question says."""
    rng = random.Random(seed)
    first = [rng.randrange(5, 10) for _ in differences]
    a, b = [first[i] + d for i, d in enumerate(differences)], first
    if "tenths" in twists:
        a, b = [x / 10 for x in a], [y / 10 for y in b]
    if "blocks" in twists:  # a text's questions have this difference together
        a = [[x + 1, 2 * i % 5] for i, x in enumerate(a)]
        b = [[y, 2 * i % 5 + 1] for i, y in enumerate(b)]
    if "scores" in twists:
        found = exact_p(a, b)
    elif "blocks" in twists:
        pairs = list(zip(a, b, strict=True))
        found = exact_p([[x - y for x, y in zip(*pair, strict=True)] for pair in pairs])
    else:
        found = exact_p([x - y for x, y in zip(a, b, strict=True)])
    p = array(found).item()
    assert 0 <= p <= 1, f"exact_p should return a probability, from 0 to 1, got {p:g}"
    return p


def listed(differences, side):
    """Return the p-value from a list of all exchanges."""
    seen, count = sum(differences), 0
    for signs in itertools.product((-1, 1), repeat=len(differences)):
        total = sum(s * d for s, d in zip(signs, differences, strict=True))
        count += total >= seen if side == "one" else abs(total) >= abs(seen)
    return count / 2 ** len(differences)


def by_waves(differences, side):
    """Return the p-value from the probabilities of all sums, a Fourier sum of cosines."""
    most = sum(map(abs, differences))
    size = 2 * most + 1
    turns = 2 * np.pi * np.arange(size) / size
    waves = np.prod([np.cos(turns * d) for d in differences], axis=0)
    totals = np.arange(-most, most + 1)
    probability = np.cos(np.outer(totals, turns)) @ waves / size
    seen = sum(differences)
    far = totals >= seen if side == "one" else abs(totals) >= abs(seen)
    return probability[far].sum()


def small_tests_are_right(exact_p, *, side, seed, twists):
    """Check three and four questions, whose exchanges can be written down."""
    for differences in ([1, 2, 3], [2, 2, -1, 3]):
        found = p_found(exact_p, differences, seed, twists)
        assert close(found, listed(differences, side), "exact_p"), (
            f"With the differences {differences} there are few exchanges: write all their sums "
            "down, and count those that the question asks for"
        )


def larger_tests_are_right(exact_p, *, side, seed, twists):
    """Compare tests of up to eleven questions with a list of all exchanges."""
    for number, n in enumerate((5, 8, 9, 10, 11)):
        differences = some_points(seed + number, n, number % 3)
        found = p_found(exact_p, differences, seed, twists)
        assert close(found, listed(differences, side), "exact_p"), (
            f"With {n} questions the share of the exchanges is not right: how many of them lead to "
            "each sum, and does the sum of the data count, too?"
        )


def many_questions_are_counted(exact_p, *, side, seed, twists):
    """Check a hundred questions, of which no list of exchanges can be made."""
    for number in range(2):
        differences = some_points(seed + number, 100)
        differences[0] -= sum(differences) - 25 * (1 + number)  # so that p is not too small
        found = p_found(exact_p, differences, seed, twists)
        assert close(found, by_waves(differences, side), "exact_p"), (
            "With 100 questions the p-value is not right: are all exchanges counted, exactly and "
            "not by drawing some of them?"
        )
