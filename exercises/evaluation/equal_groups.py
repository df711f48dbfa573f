"""Another calibration error: rows are grouped or summed up otherwise than in the chapter."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close
from exercises.twists import Twist, begun, wrapped
from exercises.twists import asked as told

QUESTION = """
Write `calibration_gap(p, right, BINS)`, which asks whether a model is as often right as it says. `p` holds the n confidences of the model, all different, and `right` is 1 where it was right and 0 elsewhere; both are arrays. GROUPED The gap of a group is the distance between its mean confidence and the share of its rows that are right. Return SUMMED
"""
# What takes the place of GROUPED, of SUMMED, and of GROUPS and SUMMARY in the solution.
GROUPED = {
    "size": "In place of bins of equal width, form `n_bins` groups of *equal size*: the least confident rows make the first group, and so on. (n is a multiple of `n_bins`.)",
    "edges": "In place of bins of equal width, form groups by the ascending numbers `edges`: a group holds the rows with a confidence above one edge and at most the next one. All confidences lie above the first edge, and at most at the last one. Groups without rows do not count.",
}
BINS = {"size": "n_bins", "edges": "edges"}
SUMMED = {
    "size": {
        "mean": "the mean of the gaps.",
        "largest": "the largest gap.",
        "square": "the root of the mean of the squared gaps.",
    },
    "edges": {
        "mean": "the mean of the gaps, in which each group counts as often as it has rows.",
        "largest": "the largest gap.",
        "square": "the root of the mean of the squared gaps, in which each group counts as often as it has rows.",
    },
}
SUMMARY = {
    "size": {
        "mean": "np.mean(gaps)",
        "largest": "max(gaps)",
        "square": "np.mean(np.square(gaps)) ** 0.5",
    },
    "edges": {
        "mean": "np.average(gaps, weights=list(map(len, groups)))",
        "largest": "max(gaps)",
        "square": "np.average(np.square(gaps), weights=list(map(len, groups))) ** 0.5",
    },
}
GROUPS = {
    "size": "np.argsort(p).reshape(n_bins, -1)",
    "edges": "[np.flatnonzero((p > a) & (p <= b)) for a, b in zip(edges, edges[1:])]\n    groups = [rows for rows in groups if len(rows)]",
}
STARTER = '''
def calibration_gap(p, right, BINS):
    """p, right: (n,) each -> a number"""
    ...
'''
TWISTS = {
    "overall": Twist(
        "Return a second number: the mean confidence of all rows minus the share of all rows that are right.",
        {"calibration_gap": ("", "result = result, p.mean() - right.mean()")},
        {"-> a number": "-> two numbers"},
    ),
    "classes": Twist(
        "Here the first argument holds the probabilities of K classes, of shape (n, K), and the second one the n true classes, numbers from 0. The confidence is the largest probability of a row, and the row is right if that is the one of its true class.",
        {"calibration_gap": ("p, right = p.max(axis=1), p.argmax(axis=1) == right", "")},
        {"p, right: (n,) each": "p: (n, K), right: true classes (n,)"},
    ),
}
HINTS = {
    "size": "`np.argsort` gives the numbers of the rows in the order of their confidence. How is a list of n numbers cut into equal pieces? Take both means over the same rows.",
    "edges": "For two neighbouring edges, a comparison says which rows lie between them. Take both means over the same rows, and leave out a group that has none.",
}
SOLUTION = """
def calibration_gap(p, right, BINS):
    groups = GROUPS
    gaps = [abs(p[rows].mean() - right[rows].mean()) for rows in groups]
    return SUMMARY
"""
EXPLANATIONS = {
    "size": "Most models are sure of most rows, so bins of equal width hold very different numbers of rows. In a bin of five rows the share that is right is mostly chance, and on average chance makes the gap larger, not smaller. Groups of equal size have the same noise everywhere. In exchange, the groups of two models have different edges. Whichever groups one takes, the number belongs to them: two calibration errors can only be compared if they were computed in the same way and from similar numbers of rows.",
    "edges": "With edges of one's own, the bins can be narrow where the confidences are. In a bin of five rows the share that is right is mostly chance, and on average chance makes the gap larger, not smaller. The largest gap suffers most from it, since it is often that of the smallest group. Whichever groups one takes, the number belongs to them: two calibration errors can only be compared if they were computed in the same way and from similar numbers of rows.",
}
TRIAL = """
p = np.array([0.9, 0.55, 0.8, 0.6, 0.95, 0.7])
right = np.array([1, 0, 1, 1, 1, 0])
check("three pairs", calibration_gap(p, right, 3), 0.4 / 3, 1e-3)
check("two groups", calibration_gap(p, right, 2), 0.2, 1e-3)
check("one group", calibration_gap(p, right, 1), 0.25 / 3, 1e-3)
turned = calibration_gap(p[::-1], right[::-1], 3)
check("the order of the rows does not matter", turned, 0.4 / 3, 1e-3)
sure = 0.9 + p / 10
check("all of them sure", calibration_gap(sure, right, 3), 0.94 / 3, 1e-3)
"""
PAGE = {"grouped": "size", "summed": "mean"}


def exercise(
    grouped: str = "size", summed: str = "mean", seed: int = 0, twists: tuple[str, ...] = ()
) -> Exercise:
    """Return the exercise for a way to form groups, and a way to sum up their gaps."""
    form = {"grouped": grouped, "summed": summed}
    given = {**form, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        for word, by in (
            ("GROUPS", GROUPS[grouped]),
            ("SUMMARY", SUMMARY[grouped][summed]),
            ("BINS", BINS[grouped]),
        ):
            code = code.replace(word, by)
        return wrapped(code, {"calibration_gap": f"p, right, {BINS[grouped]}"}, twisted)

    question = QUESTION.replace("GROUPED", GROUPED[grouped]).replace(
        "SUMMED", SUMMED[grouped][summed]
    )
    return Exercise(
        id="evaluation-equal-groups",
        title="As often right as it says?",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=told(question.replace("BINS", BINS[grouped]), twisted),
        starter=begun(STARTER.replace("BINS", BINS[grouped]), twisted),
        hint=HINTS[grouped],
        solution=filled(SOLUTION),
        explanation=EXPLANATIONS[grouped],
        visible=(Check(gap_of_one_group, given),),
        hidden=(Check(gaps_are_right, given),),
        wrong_answers={why: filled(code) for why, code in wrong_answers(**form).items()},
        public_solution=True,
        trial="" if twists or form != PAGE else TRIAL,
    )


def wrong_answers(grouped: str, summed: str) -> dict[str, str]:
    """Return mistakes, for each form of the question."""
    places = "(p * n_bins).astype(int)"
    widths = f"[np.flatnonzero({places} == b) for b in set({places})]"
    sizes = "np.array_split(np.argsort(p), len(edges) - 1)"
    other = {"mean": "largest", "largest": "mean", "square": "mean"}[summed]
    found = {
        "every row by itself": SOLUTION.replace(
            "abs(p[rows].mean() - right[rows].mean())", "abs(p[rows] - right[rows]).mean()"
        ),
        "other groups": SOLUTION.replace("GROUPS", widths if grouped == "size" else sizes),
        "summed up in another way": SOLUTION.replace("SUMMARY", SUMMARY[grouped][other]),
        "p is compared with all that is right": SOLUTION.replace(
            "right[rows].mean()", "right.mean()"
        ),
    }
    if summed == "mean":
        found["gaps of different signs make up for one another"] = SOLUTION.replace(
            "gaps = [abs(p[rows].mean() - right[rows].mean())",
            "gaps = [p[rows].mean() - right[rows].mean()",
        )
    if grouped == "size":
        found["rows are not sorted"] = SOLUTION.replace(
            "GROUPS", "np.arange(len(p)).reshape(n_bins, -1)"
        )
    elif summed != "largest":
        found["each group counts the same"] = SOLUTION.replace("SUMMARY", SUMMARY["size"][summed])
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw how rows are grouped and gaps summed up, rows, and twists."""
    while True:
        form = {
            "grouped": rng.choice(sorted(GROUPS)),
            "summed": rng.choice(("largest", "mean", "square")),
        }
        twists = tuple(name for name in TWISTS if rng.random() < 0.5)
        if twists or form != PAGE:
            return {**form, "seed": rng.randrange(10_000), "twists": twists}


# -- checks --------------------------------------------------------------------------------------


def some_rows(seed, n=24):
    """Draw confidences, which are too high, and whether the rows are right."""
    rng = np.random.default_rng(seed)
    p = 0.52 + 0.47 * np.sqrt(rng.permutation(n) / n + rng.uniform(0, 0.5 / n, n))
    return p, (rng.random(n) < p - 0.15).astype(int)


def gap_found(calibration_gap, p, right, bins, twists):
    """Return what an answer says of rows, which are handed over as the question says."""
    first, second = p.copy(), right.copy()
    if "classes" in twists:
        true = np.arange(len(p)) % 3
        rest = (1 - p) / 2
        first = np.stack([rest, rest, rest], axis=1)
        said = np.where(right == 1, true, (true + 1) % 3)
        first[np.arange(len(p)), said] = p
        second = true
    result = array(calibration_gap(first, second, bins)).ravel()
    number = 2 if "overall" in twists else 1
    assert len(result) == number, (
        f"calibration_gap returns {len(result)} numbers, and the question asks for another number "
        f"of them: {number}"
    )
    if "overall" in twists:
        assert close(result[1], p.mean() - right.mean(), "The second number"), (
            "The second number is not right: it is the mean confidence of all rows minus the share "
            "that is right, with its sign"
        )
    return result[0]


def gap_by_counting(p, right, bins, grouped, summed):
    """Return the gap, one row after the other."""
    rows = sorted(zip(p.tolist(), right.tolist(), strict=True))
    if grouped == "size":
        size = len(rows) // bins
        groups = [rows[i : i + size] for i in range(0, len(rows), size)]
    else:
        borders = list(itertools.pairwise(bins))
        groups = [[row for row in rows if low < row[0] <= high] for low, high in borders]
    weighted = []
    for group in groups:
        if group:
            says, is_right = (sum(column) for column in zip(*group, strict=True))
            weighted.append((len(group), abs(says - is_right) / len(group)))
    if summed == "largest":
        return max(gap for _, gap in weighted)
    power = 2 if summed == "square" else 1
    return (sum(n * gap**power for n, gap in weighted) / len(rows)) ** (1 / power)


def gap_of_one_group(calibration_gap, *, grouped, summed, seed, twists):
    """Check that one group with all rows has their mean confidence and their share of right ones."""
    p, right = some_rows(seed)
    one = 1 if grouped == "size" else [0.5, 1.0]
    found = gap_found(calibration_gap, p, right, one, twists)
    assert close(found, abs(p.mean() - right.mean()), "calibration_gap"), (
        "If one group holds all rows, the result should be the distance between their mean "
        "confidence and the share of them that is right"
    )


def gaps_are_right(calibration_gap, *, grouped, summed, seed, twists):
    """Compare several sets of rows and groups with a count of rows."""
    choices = {
        "size": (2, 3, 4, 6, 12),
        "edges": ([0.5, 0.8, 1], [0.4, 0.5, 0.6, 0.9, 0.92, 1], [0.5, 0.55, 0.7, 0.95, 1]),
    }
    for each in range(seed, seed + 5):
        p, right = some_rows(each)
        for bins in choices[grouped]:
            found = gap_found(calibration_gap, p, right, bins, twists)
            wanted = gap_by_counting(p, right, bins, grouped, summed)
            given = f"n_bins = {bins}" if grouped == "size" else f"edges = {bins}"
            assert close(found, wanted, "calibration_gap"), (
                f"With {given} the result is {found:.3f}, which is not right: which rows does "
                "each group hold, what is its gap, and how are the gaps of all groups combined?"
            )
