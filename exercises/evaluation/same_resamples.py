"""A bootstrap interval for the difference of two models on the same rows."""

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
Two models were tested on the same n rows. Write `paired_interval(y, a, b, draws)`, where `y` holds the true labels (0 or 1), and `a` and `b` hold what the two models said, all of them arrays of shape (n,). SCORE `draws` has shape (B, n): each of its rows is one resample, the numbers of n rows that were drawn with replacement. Return two numbers, the 2.5 % and the 97.5 % quantile of the B differences, score of `a` minus score of `b`. (Take quantiles with `np.quantile`.)
"""
# What takes the place of SCORE, and of STATISTIC in the solution.
SCORES = {
    "f1": "The score of a model is the *F1* of the label 1, $2\\,\\mathit{tp} / (2\\,\\mathit{tp} + \\mathit{fp} + \\mathit{fn})$, or 0 where this is 0/0.",
    "jaccard": "The score of a model is the *Jaccard index* of the label 1, $\\mathit{tp} / (\\mathit{tp} + \\mathit{fp} + \\mathit{fn})$, or 0 where this is 0/0.",
}
STATISTICS = {
    "f1": "2 * (y & x).sum() / max(y.sum() + x.sum(), 1)",
    "jaccard": "(y & x).sum() / max((y | x).sum(), 1)",
}
STARTER = '''
def paired_interval(y, a, b, draws):
    """y, a, b: (n,) each, draws: (B, n) -> two numbers"""
    ...
'''
TWISTS = {
    "share": Twist(
        "Return a third number: the share of the resamples in which the score of `a` is *less* than that of `b`.",
        {
            "paired_interval": (
                "",
                """
                each = [plain_paired_interval(y, a, b, [rows])[0] for rows in draws]
                result = *result, np.mean(np.array(each) < -1e-9)
                """,
            )
        },
        {"-> two numbers": "-> three numbers"},
    ),
    "basic": Twist(
        "Return the *basic* interval. Let $d$ be the difference on the rows as they are, and $l$ and $h$ the two quantiles. Then the basic interval goes from $2d - h$ to $2d - l$.",
        {
            "paired_interval": (
                "",
                """
                d, _ = plain_paired_interval(y, a, b, [np.arange(len(y))])
                result = 2 * d - result[1], 2 * d - result[0]
                """,
            )
        },
    ),
    "documents": Twist(
        "The rows belong to documents, and rows of a document are alike. So whole documents are drawn, and a fifth argument, `document`, of shape (n,), holds for each row the number of its document, counted from 0. A row of `draws` holds the numbers of documents that were drawn; each of them brings all of its rows along, as often as it was drawn.",
        {
            "paired_interval": (
                "draws = [np.concatenate([np.flatnonzero(document == i) for i in row]) for row in draws]",
                "",
            )
        },
        {
            "(y, a, b, draws)": "(y, a, b, draws, document)",
            "draws: (B, n)": "draws: (B, documents), document: (n,)",
        },
    ),
}
HINT = "For one resample, take the rows `y[rows]`, `a[rows]` and `b[rows]`, compute both scores from these, and subtract. The score of a resample is not the mean of something that could be computed row by row before. Why must both models get the same resample?"
SOLUTION = """
def paired_interval(y, a, b, draws):
    def score(y, x):
        return STATISTIC

    found = [score(y[i], a[i]) - score(y[i], b[i]) for i in draws]
    low, high = np.quantile(found, [0.025, 0.975])
    return low, high
"""
EXPLANATION = r"""
A resample stands for another test set that could have been drawn. Both models would have been tested on it, so both get the same rows. Rows that are hard are hard for both, and most of what their scores owe to the choice of rows cancels in the difference. If each model gets resamples of its own, the interval is wider, often much wider, and it does not belong to the comparison that was made. The score is computed anew in each resample because F1, the Jaccard index and the like are no means over rows: their denominators change as well. And whatever was drawn together, such as the rows of one document, has to be drawn together again; otherwise the interval is too narrow.
"""
TRIAL = """
rng = np.random.default_rng(0)
y = (rng.random(200) < 0.3).astype(int)
hard = rng.random(200) < 0.3
a, b = (np.where(hard & (rng.random(200) < p), 1 - y, y) for p in (0.6, 0.8))
draws = rng.integers(0, 200, (400, 200))
low, high = paired_interval(y, a, b, draws)
right = evaluation.bootstrap_interval(
    np.stack([y, a, b], axis=1),
    lambda r: evaluation.f1(r[:, 0], r[:, 1]) - evaluation.f1(r[:, 0], r[:, 2]),
    method="percentile",
    n_resamples=250,
)
check("low, with resamples of its own", low, right.low, 0.035)
check("high, with resamples of its own", high, right.high, 0.035)
still = [list(range(200))]
d = evaluation.f1(y, a) - evaluation.f1(y, b)
check("all rows as they are", paired_interval(y, a, b, still), [d, d], 1e-3)
check("a model against itself", paired_interval(y, a, a, draws), [0, 0], 1e-6)
y, a, b = np.array([[1, 1], [1, 1], [0, 1]])
few = np.array([[0, 0]] * 4 + [[1, 1]] * 96)
check("4 of 100 resamples", paired_interval(y, a, b, few), [0, 1], 1e-3)
"""


def exercise(score: str = "f1", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise for one of the scores."""
    given = {"score": score, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        code = code.replace("STATISTIC", STATISTICS[score])
        code = wrapped(code, {"paired_interval": "y, a, b, draws"}, twisted)
        return _of_documents(code) if "documents" in twists else code

    return Exercise(
        id="evaluation-same-resamples",
        title="The same resamples for both",
        kind="code",
        difficulty=3,
        minutes=25,
        points=5,
        question=asked(QUESTION.replace("SCORE", SCORES[score]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(twins_do_not_differ, given),),
        hidden=(Check(one_resample_is_scored, given), Check(intervals_are_right, given)),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        trial="" if twists or score != "f1" else TRIAL,
    )


def _of_documents(code: str) -> str:
    """Return a wrapped answer that takes the numbers of documents, too."""
    before, name, after = code.rpartition("def paired_interval(y, a, b, draws")
    return f"{before}{name}, document{after}"


WRONG_ANSWERS = {
    "each model has resamples of its own": SOLUTION.replace(
        "score(y[i], b[i]) for i in draws]",
        "score(y[j], b[j]) for i, j in zip(draws, draws[::-1])]",
    ),
    "the mean over rows": SOLUTION.replace("return STATISTIC", "return (y == x).mean()"),
    "quantiles of each model": SOLUTION.replace(
        "    found = [score(y[i], a[i]) - score(y[i], b[i]) for i in draws]\n"
        "    low, high = np.quantile(found, [0.025, 0.975])\n",
        "    of_a = np.quantile([score(y[i], a[i]) for i in draws], [0.025, 0.975])\n"
        "    of_b = np.quantile([score(y[i], b[i]) for i in draws], [0.025, 0.975])\n"
        "    low, high = of_a - of_b\n",
    ),
    "the labels are not drawn": SOLUTION.replace("y[i]", "y[: len(i)]")
    .replace("[: len(i)], a[i]", "[np.arange(len(i)) % len(y)], a[i]")
    .replace("[: len(i)], b[i]", "[np.arange(len(i)) % len(y)], b[i]"),
    "the mean and twice the spread": SOLUTION.replace(
        "low, high = np.quantile(found, [0.025, 0.975])",
        "low, high = np.mean(found) + np.array([-2, 2]) * np.std(found)",
    ),
    "5 % on each side": SOLUTION.replace("[0.025, 0.975]", "[0.05, 0.95]"),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a score, rows, and twists."""
    chosen = drawn(rng, ("jaccard", *TWISTS))
    return {
        "score": "jaccard" if "jaccard" in chosen else "f1",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_test(seed, twists, n=60):
    """Draw labels, what two models said, resamples, and the documents of the rows."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    hard = rng.random(n) < 0.4
    a, b = (np.where(hard & (rng.random(n) < p), 1 - y, y) for p in (0.6, 0.8))
    document = np.sort(np.concatenate([np.arange(15), rng.integers(0, 15, n - 15)]))
    number = 15 if "documents" in twists else n
    return y, a, b, rng.integers(0, number, (40, number)), document


def differences(y, a, b, draws, document, score, twists):
    """Return the difference in each resample, counted row by row."""
    found = []
    for row in draws.tolist():
        rows = row
        if "documents" in twists:
            rows = [i for d in row for i in range(len(y)) if document[i] == d]
        scores = []
        for said in (a, b):
            tp = sum(1 for i in rows if said[i] == 1 and y[i] == 1)
            wrong = sum(1 for i in rows if said[i] != y[i])
            weight = 2 if score == "f1" else 1
            scores.append(weight * tp / (weight * tp + wrong) if tp else 0.0)
        found.append(scores[0] - scores[1])
    return np.array(found)


def ends_of(paired_interval, y, a, b, draws, document, twists):
    """Return the numbers of an answer, which gets copies."""
    given = [y.copy(), a.copy(), b.copy(), draws.copy()]
    if "documents" in twists:
        given.append(document.copy())
    result = array(paired_interval(*given)).ravel()
    number = 3 if "share" in twists else 2
    assert len(result) == number, (
        f"paired_interval should return two numbers, or three if the question asks for them; got "
        f"{len(result)}"
    )
    return result


def twins_do_not_differ(paired_interval, *, score, seed, twists):
    """Check that the interval of a model and itself goes from 0 to 0."""
    y, a, _, draws, document = some_test(seed, twists)
    found = ends_of(paired_interval, y, a, a, draws, document, twists)
    assert close(found, np.zeros(len(found)), "paired_interval"), (
        "A model does not differ from itself in any resample, so all numbers should be 0; is each "
        "resample used for both?"
    )


def one_resample_is_scored(paired_interval, *, score, seed, twists):
    """Check single resamples, for which both quantiles are the difference itself."""
    for each in range(seed, seed + 3):
        y, a, b, draws, document = some_test(each, twists)
        every = np.arange(draws.shape[1])[None]
        for one in (every, draws[:1], draws[1:2]):
            found = ends_of(paired_interval, y, a, b, one, document, twists)
            there, here = (
                differences(y, a, b, rows, document, score, twists)[0] for rows in (one, every)
            )
            right = 2 * here - there if "basic" in twists else there
            assert close(found[:2], [right, right], "paired_interval"), (
                "With a single resample both quantiles should be the same: the difference of the "
                "two scores (or, for the basic interval, its mirror image)"
            )


def intervals_are_right(paired_interval, *, score, seed, twists):
    """Compare intervals of several tests with a count in each resample."""
    for each in range(seed, seed + 4):
        y, a, b, draws, document = some_test(each, twists)
        found = ends_of(paired_interval, y, a, b, draws, document, twists)
        values = differences(y, a, b, draws, document, score, twists)
        right = np.quantile(values, [0.025, 0.975])
        if "basic" in twists:
            every = np.arange(draws.shape[1])[None]
            whole = differences(y, a, b, every, document, score, twists)[0]
            right = 2 * whole - right[::-1]
        assert close(found[:2], right, "paired_interval"), (
            f"The interval is from {found[0]:.3f} to {found[1]:.3f}, which is not right: compute "
            "the difference in each resample, and only then take quantiles"
        )
        if "share" in twists:
            share = (values < -1e-9).mean()
            assert close(found[2], share, "The third number"), (
                "The third number is not right: in how many of the resamples is the score of a the "
                "lower one?"
            )
