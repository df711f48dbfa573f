"""The points of a ROC curve where scores are tied."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `roc_points(y, s)`, where `y` holds n labels, 0 or 1, and `s` holds n scores, both as arrays. Return two arrays of shape (T + 1,), the false-positive rates and the true-positive rates, where T is the number of *different* scores. The first point is (0, 0), where nothing is called positive. After it comes a point for each threshold, the highest first: all rows with a score of at least the threshold are called positive. Do not leave out points that lie on a straight line.
"""
STARTER = '''
def roc_points(y, s):
    """y, s: (n,) each -> fpr (T + 1,), tpr (T + 1,)"""
    ...
'''
TWISTS = {
    "area": Twist(
        "Return the area under the curve, with straight lines between the points, as a third result after the two arrays.",
        {
            "roc_points": (
                "",
                """
                x, h = plain_roc_points(y, s)
                result = *result, (np.diff(x) * (h[1:] + h[:-1])).sum() / 2
                """,
            )
        },
        {"tpr (T + 1,)": "tpr (T + 1,), a number"},
    ),
    "counts": Twist(
        "Return how many rows of each class are called positive, in place of the rates.",
        {"roc_points": ("", "result = result[0] * (y == 0).sum(), result[1] * (y == 1).sum()")},
        {"-> fpr": "-> fp", "tpr": "tp"},
    ),
    "lower": Twist(
        "Here a *low* score speaks for the label 1, as a distance does. All rows with a score of at most the threshold are called positive, and the lowest threshold comes first.",
        {"roc_points": ("s = -s", "")},
    ),
    "signs": Twist(
        "The labels are $-1$ and $+1$, in place of 0 and 1.",
        {"roc_points": ("y = (y + 1) // 2", "")},
        {"y, s:": "y (-1 or 1), s:"},
    ),
}
HINT = "`np.unique(s)` returns the different scores, the lowest first. A comparison of `s` with a column of thresholds gives a table with a row for each threshold. What is the mean of a row of that table over the positive rows alone?"
SOLUTION = """
def roc_points(y, s):
    thresholds = np.unique(s)[::-1]
    called = s >= thresholds[:, None]  # (T, n)
    fpr = called[:, y == 0].mean(axis=1)
    tpr = called[:, y == 1].mean(axis=1)
    return np.append(0, fpr), np.append(0, tpr)
"""
EXPLANATION = r"""
Rows with the same score change sides together, because no threshold separates them. If tied rows contain both classes, the line between two points is slanted, and the area below it counts each pair of a positive and a negative row with the same score as half. With a point for each *row* the curve would depend on the order of the tied rows: with the positive ones first the area is too large, and with the negative ones first it is too small. A model that gives the same score to all rows would then get an area of 1 or 0, and it is 1/2. For many rows one sorts the scores once and adds up, which takes less memory than this table.
"""
TRIAL = """
y = np.array([1, 0, 1, 0, 0, 1])
s = np.array([0.9, 0.6, 0.6, 0.3, 0.6, 0.1])
fpr, tpr = roc_points(y, s)
check("false-positive rates", fpr, [0, 0, 2 / 3, 1, 1], 1e-3)
check("true-positive rates", tpr, [0, 1 / 3, 2 / 3, 2 / 3, 1], 1e-3)
fpr, tpr = roc_points(y, np.zeros(6))
check("all scores are tied", [fpr, tpr], [[0, 1], [0, 1]], 0)
rng = np.random.default_rng(0)
y, s = rng.integers(0, 2, 40), rng.integers(0, 9, 40) / 8
right = evaluation.roc_curve(y, s, drop_intermediate=False)
fpr, tpr = roc_points(y, s)
check("as many points as scores", len(fpr), len(right[0]), 0)
check("false-positive rates of 40 rows", fpr, right[0], 1e-3)
check("true-positive rates of 40 rows", tpr, right[1], 1e-3)
"""


def exercise(seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise."""
    given = {"seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"roc_points": "y, s"}, twisted)

    return Exercise(
        id="evaluation-roc-points",
        title="Tied scores",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(curve_without_ties, given),),
        hidden=(Check(ties_move_together, given), Check(one_score_for_all, given)),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL,
    )


WRONG_ANSWERS = {
    "a point for each row": """
def roc_points(y, s):
    y = y[np.argsort(-s, kind="stable")]
    fpr = np.cumsum(y == 0) / (y == 0).sum()
    tpr = np.cumsum(y == 1) / (y == 1).sum()
    return np.append(0, fpr), np.append(0, tpr)
""",
    "above the threshold": SOLUTION.replace("s >= thresholds", "s > thresholds"),
    "the axes are exchanged": SOLUTION.replace(
        "np.append(0, fpr), np.append(0, tpr)", "np.append(0, tpr), np.append(0, fpr)"
    ),
    "the lowest threshold comes first": SOLUTION.replace("np.unique(s)[::-1]", "np.unique(s)"),
    "of all that are called positive": SOLUTION.replace(
        "fpr = called[:, y == 0].mean(axis=1)",
        "fpr = called[:, y == 0].sum(axis=1) / called.sum(axis=1)",
    ),
    "the first point is missing": SOLUTION.replace(
        "np.append(0, fpr), np.append(0, tpr)", "fpr, tpr"
    ),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw rows, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def curve_of(roc_points, y, s, twists):
    """Return both rates as the page asks for them, and the area if it is asked for."""
    labels = 2 * y - 1 if "signs" in twists else y.copy()
    scores = -s if "lower" in twists else s.copy()
    kept = labels.copy(), scores.copy()
    result = parts(roc_points(labels, scores), 3 if "area" in twists else 2)
    unchanged = (labels == kept[0]).all() and (scores == kept[1]).all()
    assert unchanged, "roc_points writes into the arrays that it gets; make new ones"
    fpr, tpr = (array(part).ravel() for part in result[:2])
    for found in (fpr, tpr):
        assert len(found) == len(set(s.tolist())) + 1, (
            f"{len(set(s.tolist()))} different scores should give one point more than that, got "
            f"{len(found)} points"
        )
    if "counts" in twists:
        fpr, tpr = fpr / (y == 0).sum(), tpr / (y == 1).sum()
    return fpr, tpr, array(result[2]).item() if "area" in twists else None


def counted_points(y, s):
    """Return both rates, counted for one threshold after the other."""
    fpr, tpr = [0.0], [0.0]
    for threshold in sorted(set(s.tolist()), reverse=True):
        rows = [(label, score >= threshold) for label, score in zip(y, s, strict=True)]
        for rates, kind in ((fpr, 0), (tpr, 1)):
            own = [called for label, called in rows if label == kind]
            rates.append(sum(own) / len(own))
    return fpr, tpr


def curve_without_ties(roc_points, *, seed, twists):
    """Check that four different scores give five points from (0, 0) to (1, 1)."""
    y, s = np.array([0, 1, 0, 1]), np.array([0.1, 0.9, 0.4, 0.35])
    fpr, tpr, _ = curve_of(roc_points, y, s, twists)
    for found in (fpr, tpr):
        assert found[0] == 0, "The first point should be (0, 0): nothing is called positive there"
        assert (np.diff(found) >= 0).all(), (
            "With each threshold more rows are called positive, so the numbers should not fall"
        )
        assert abs(found[-1] - 1) < 1e-3, (
            "At the last threshold all rows of both classes should be called positive"
        )


def ties_move_together(roc_points, *, seed, twists):
    """Compare rows of which many have the same score with a count for each threshold."""
    for each in range(seed, seed + 5):
        rng = np.random.default_rng(each)
        y, s = rng.permutation([0] * 12 + [1] * 8), rng.integers(0, 7, 20) / 8
        fpr, tpr, area = curve_of(roc_points, y, s, twists)
        right = counted_points(y, s)
        assert close(fpr, right[0], "The first result"), (
            "The first result is not right where scores are tied: of the rows with label 0, how "
            "many have a score that is high enough?"
        )
        assert close(tpr, right[1], "The second result"), (
            "The second result is not right where scores are tied: of the rows with label 1, how "
            "many have a score that is high enough?"
        )
        if area is not None:
            pairs = np.sign(s[y == 1][:, None] - s[y == 0])
            assert close(area, (pairs.mean() + 1) / 2, "The area"), (
                "The area is not right: between two points the line is straight, and may be slanted"
            )


def one_score_for_all(roc_points, *, seed, twists):
    """Check a model that gives the same score to all rows."""
    y = np.random.default_rng(seed).permutation([0] * 5 + [1] * 3)
    fpr, tpr, area = curve_of(roc_points, y, np.full(8, 0.5), twists)
    assert close([fpr, tpr], [[0, 1], [0, 1]], "roc_points"), (
        "If all scores are the same, there should be two points: nothing or everything is positive"
    )
    if area is not None:
        assert close(area, 0.5, "The area"), "If all scores are the same, they say nothing at all"
