"""Predict which measures change when one of two classes becomes more frequent."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from companion import evaluation
from exercises import Check, Exercise
from exercises.answers import array, close, text

QUESTION = r"""
A classifier gives the positive rows of a test set the scores {{positive}}, and the negative rows the scores {{negative}}. All rows with a score of at least {{threshold}} are called positive. Five measures are computed:

- (a) recall;
- (b) precision;
- (c) the false-positive rate;
- (d) the area under the ROC curve;
- (e) average precision.

COPIED The scores stay as they are. Which of the measures keep their value? And what is the value of each of the five after the change? Write down your predictions first, with three digits after the point, and then run the functions.
"""
# What takes the place of COPIED, by the class that becomes more frequent.
COPIED = {
    "negative": "Now the same classifier is tested where negative rows are more frequent: each negative row occurs {{times}} times.",
    "positive": "Now the same classifier is tested where positive rows are more frequent: each positive row occurs {{times}} times.",
}
STARTER = """
measures_that_stay = [...]  # letters
measures_after = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}
"""
HINT = "Which measures look at the rows of one class alone, or divide by the number of rows of one class? For the ROC curve, think of what happens to its two axes. For average precision, compute the precision at the score of each positive row. The mean of these precisions is taken over the positive rows."
EXPLANATIONS = {
    "negative": r"""
(a), (c) and (d) stay. Recall divides by the number of positive rows, the false-positive rate by that of negative rows, and {{times}} times as many negative rows have {{times}} times as many false positives among them. The ROC curve is made of these two rates, so all of its points stay, and so does its area, ${{auc}}$. (b) Precision mixes both classes: ${{tp}} / ({{tp}} + {{times}} \cdot {{fp}}) = {{b}}$, and it was {{b_before}} before. (e) At the scores of the positive rows the precisions are now {{precisions}}, and their mean is {{e}}; it was {{e_before}}. So a good ROC curve does not say what share of the alarms is false where positive rows are rare, while precision and average precision are only comparable between test sets with the same share of positive rows.
""",
    "positive": r"""
(a), (c) and (d) stay. Recall divides by the number of positive rows, the false-positive rate by that of negative rows, and {{times}} times as many positive rows have {{times}} times as many true positives among them. The ROC curve is made of these two rates, so all of its points stay, and so does its area, ${{auc}}$. (b) Precision mixes both classes: ${{times}} \cdot {{tp}} / ({{times}} \cdot {{tp}} + {{fp}}) = {{b}}$, and it was {{b_before}} before. (e) At the scores of the positive rows the precisions are now {{precisions}}, and their mean is {{e}}; it was {{e_before}}. The classifier has not become better: precision and average precision are only comparable between test sets with the same share of positive rows.
""",
}
TRIAL = """
positive, negative = POSITIVE, NEGATIVE
s = np.array([*positive, *TIMES * negative])
y = np.array([1] * len(positive) + [0] * len(s[len(positive) :]))
called = 1 * (s >= THRESHOLD)
found = {
    "a": evaluation.recall(y, called),
    "b": evaluation.precision(y, called),
    "c": 1 - evaluation.recall(y, called, pos_label=0),
    "d": evaluation.roc_auc(y, s),
    "e": evaluation.average_precision(y, s),
}
for name, value in found.items():
    check(f"({name}) after the change", measures_after[name], value, 1e-3)
check("those that stay", len(set("".join(measures_that_stay)) ^ set("ACD")), 0)
"""
STAY = ["a", "c", "d"]


def exercise(
    positive: tuple[float, ...] = (0.9, 0.7, 0.4),
    negative: tuple[float, ...] = (0.8, 0.5, 0.3, 0.2, 0.1),
    threshold: float = 0.6,
    times: int = 4,
    copied: str = "negative",
) -> Exercise:
    """Return the exercise for scores of both classes, of which one becomes more frequent."""
    given: dict[str, Any] = {
        "positive": positive,
        "negative": negative,
        "threshold": threshold,
        "times": times,
        "copied": copied,
    }
    before, after = measured(**{**given, "times": 1}), measured(**given)
    trial = TRIAL
    for name, value in (
        ("POSITIVE", list(positive)),
        ("NEGATIVE", list(negative)),
        ("TIMES", times),
        ("THRESHOLD", threshold),
        ("ACD", "".join(STAY)),
    ):
        trial = trial.replace(name, str(value))
    return Exercise(
        id="evaluation-more-negatives",
        title="Where one class is rare",
        kind="predict",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION.replace("COPIED", COPIED[copied]),
        starter=STARTER,
        hint=HINT,
        solution=_answer(after),
        explanation=EXPLANATIONS[copied],
        values=_texts(given, before, after),
        visible=(Check(measures_are_possible),),
        hidden=(Check(right_measures_stay), Check(measures_come_true, given)),
        wrong_answers=_wrong_answers(given, before, after),
        public_solution=True,
        trial=trial if copied == "negative" else "",
    )


def measured(
    positive: tuple[float, ...],
    negative: tuple[float, ...],
    threshold: float,
    times: int,
    copied: str,
) -> dict[str, float]:
    """Run the five measures where the rows of one class occur several times."""
    high = list(positive) * (times if copied == "positive" else 1)
    low = list(negative) * (times if copied == "negative" else 1)
    y, s = np.array([1] * len(high) + [0] * len(low)), np.array([*high, *low])
    called = (s >= threshold).astype(int)
    return {
        "a": float(evaluation.recall(y, called)),
        "b": float(evaluation.precision(y, called)),
        "c": 1 - float(evaluation.recall(y, called, pos_label=0)),
        "d": evaluation.roc_auc(y, s),
        "e": evaluation.average_precision(y, s),
    }


def _answer(values: dict[str, float], stay: list[str] = STAY) -> str:
    rounded = {name: round(value, 6) for name, value in values.items()}
    return f"measures_that_stay = {stay}\nmeasures_after = {rounded}"


def _texts(
    given: dict[str, Any], before: dict[str, float], after: dict[str, float]
) -> dict[str, Any]:
    positive, negative = given["positive"], given["negative"]
    up, down = (given["times"] if given["copied"] == c else 1 for c in ("positive", "negative"))
    precisions = []
    for i, s in enumerate(positive):
        false = sum(x >= s for x in negative)
        precisions.append(up * (i + 1) / (up * (i + 1) + down * false))
    return {
        "positive": ", ".join(f"{s:g}" for s in positive),
        "negative": ", ".join(f"{s:g}" for s in negative),
        "threshold": f"{given['threshold']:g}",
        "times": given["times"],
        "tp": sum(s >= given["threshold"] for s in positive),
        "fp": sum(s >= given["threshold"] for s in negative),
        "auc": f"{after['d']:.3f}",
        "b": f"{after['b']:.3f}",
        "b_before": f"{before['b']:.3f}",
        "precisions": ", ".join(f"{p:.3f}" for p in precisions),
        "e": f"{after['e']:.3f}",
        "e_before": f"{before['e']:.3f}",
    }


def _wrong_answers(
    given: dict[str, Any], before: dict[str, float], after: dict[str, float]
) -> dict[str, str]:
    times = given["times"]
    return {
        "nothing changes": _answer(before, list("abcde")),
        "precision is a property of the classifier": _answer(after | {"b": before["b"]}),
        "average precision is like the area under the ROC curve": _answer(
            after | {"e": before["e"]}
        ),
        "the false-positive rate grows with the rows": _answer(
            after | {"c": min(1.0, times * before["c"])}
            if given["copied"] == "negative"
            else after | {"c": before["c"] / times},
            ["a", "d"],
        ),
        "the area changes as precision does": _answer(
            after | {"d": before["d"] * after["b"] / before["b"]}, ["a", "c"]
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw scores without ties, a threshold that errs both ways, and what becomes frequent."""
    while True:
        scores = rng.sample(range(1, 20), 9)
        n = rng.choice((3, 4))
        positive, negative = sorted(scores[:n], reverse=True), sorted(scores[n:], reverse=True)
        cut = rng.choice(range(6, 15))
        tp, fp = (sum(s >= cut for s in part) for part in (positive, negative))
        area = sum(a > b for a in positive for b in negative) / (n * (9 - n))
        if 0 < tp < n and 0 < fp < len(negative) - 1 and 0.6 < area < 0.95:
            return {
                "positive": tuple(s / 20 for s in positive),
                "negative": tuple(s / 20 for s in negative),
                "threshold": cut / 20,
                "times": rng.choice((2, 3, 4, 5, 10)),
                "copied": rng.choice(("negative", "positive")),
            }


# -- checks --------------------------------------------------------------------------------------


def measures_are_possible(measures_that_stay, measures_after):
    """Check that the letters are those of measures, and that there are five shares."""
    letters = [text(name) for name in measures_that_stay]
    assert set(letters) <= set("abcde"), (
        f"measures_that_stay should hold letters from a to e, got {letters}"
    )
    for name in "abcde":
        there = name in measures_after
        assert there, f"measures_after should have a value for ({name})"
        value = array(measures_after[name]).item()
        assert 0 <= value <= 1, f"The measure ({name}) is from 0 to 1, got {value:g}"


def right_measures_stay(measures_that_stay):
    """Check which measures keep their value."""
    letters = {text(name) for name in measures_that_stay}
    staying = set("acd")
    assert letters >= staying, (
        "Another measure keeps its value, too: which ones divide by the rows of one class alone?"
    )
    assert letters <= staying, (
        "One of the measures that you name changes: which ones mix the rows of both classes?"
    )


def measures_come_true(measures_after, *, positive, negative, threshold, times, copied):
    """Run the five measures after the change."""
    truth = measured(tuple(positive), tuple(negative), threshold, times, copied)
    for name, value in truth.items():
        assert close(measures_after[name], value, f"measures_after of ({name})"), (
            f"The measure ({name}) comes out otherwise: count again how many rows of each class "
            "have a score that is high enough"
        )
