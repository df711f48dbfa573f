"""A pipeline that finds a pattern in coin flips, and the step at which it cheats."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise

QUESTION = """
The labels in the code are coin flips, so nobody can predict them; the pipeline does. Which of its steps, (a) to (d), use what they must not? Which one does the harm? Mend the pipeline and report the mean accuracy of both on 50 draws. How would you notice such a leak where labels are *not* coin flips?
"""
STARTER = """
def coin_flips(seed, n={rows}, features={features}):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, features)), rng.integers(2, size=n)
    order = rng.permutation(n)
    return x, y, order[n // 3 :], order[: n // 3]  # training and test rows

def leaky_accuracy(x, y, train, test):
    x = (x - x.mean(axis=0)) / x.std(axis=0)  # (a) standardise
    gap = np.abs(x[y == 1].mean(axis=0) - x[y == 0].mean(axis=0))
    x = x[:, np.argsort(gap)[-{kept}:]]  # (b) keep the {kept} best features
    centres = [x[train][y[train] == k].mean(axis=0) for k in (0, 1)]  # (c) learn
    far = [((x[test] - centre) ** 2).sum(axis=1) for centre in centres]
    return (np.argmin(far, axis=0) == y[test]).mean()  # (d) judge

steps_that_leak = {{...}}  # letters
does_the_harm = ...  # a letter

def honest_accuracy(x, y, train, test):
    ...

leaky_mean, honest_mean = ..., ...
"""
HINT = "For each step ask: would its result be another one if a row of the test part, or its label, were different? Judging may look at the test part; nothing before it may."
MENDED = """
def honest_accuracy(x, y, train, test):
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    x = (x - mean) / std
    known, labels = x[train], y[train]
    gap = np.abs(known[labels == 1].mean(axis=0) - known[labels == 0].mean(axis=0))
    kept = np.argsort(gap)[-KEPT:]
    centres = [known[labels == k][:, kept].mean(axis=0) for k in (0, 1)]
    far = [((x[test][:, kept] - centre) ** 2).sum(axis=1) for centre in centres]
    return (np.argmin(far, axis=0) == y[test]).mean()
"""
MEASURED = """
draws = [coin_flips(seed) for seed in range(50)]
leaky_mean = np.mean([leaky_accuracy(*draw) for draw in draws])
honest_mean = np.mean([honest_accuracy(*draw) for draw in draws])
"""
TRIAL = """
accuracies = []
for seed in range(100, 120):
    x, y, train, test = coin_flips(seed)
    some, rest, turned, others = test[:10], test[10:], y.copy(), x.copy()
    turned[test] = 1 - y[test]
    others[rest] *= np.arange(x.shape[1])
    cases = [(x, y, test), (x, turned, test), (x, y, some), (x, y, rest)]
    cases += [(others, y, some), (x + 2 * y[:, None], y, test)]
    accuracies.append([honest_accuracy(a, b, train, rows) for a, b, rows in cases])
plain, flipped, first, second, beside, shown = np.array(accuracies).T
check("accuracy with other test labels", flipped, 1 - plain)
check("accuracy of two halves", (first + second) / 2, plain)
check("accuracy with other rows beside", beside, first)
check("accuracy where labels show", shown, at_least=0.9)
check("honest mean, on other draws", honest_mean, plain.mean(), 0.1)
more = [coin_flips(seed) for seed in range(200, 250)]
found = np.mean([leaky_accuracy(*draw) for draw in more])
check("leaky mean, on other draws", leaky_mean, found, 0.1)
idle = np.mean([leaky_accuracy(x[:, :KEPT], *rest) for x, *rest in more])  # (b) keeps all
check("the step that harms", does_the_harm, "b" if idle < found - 0.1 else "a")
check("it is among those that leak", does_the_harm in steps_that_leak)
"""
EXPLANATION = r"""
(a) takes mean and deviation from all rows, (b) chooses features by all labels. Both leak; (b) does the harm. Among {{features}} features of pure chance some fit {{rows}} labels well, those of the test part included, and exactly these are kept. Fitted on the training part, both steps leave what there is: about one half.

Where labels mean something one can still flip a coin for each of them and run the whole pipeline: whatever it then has above chance, it has from a leak.

To grade by hand, besides the checks: is there a test for leaks that works with real labels, such as shuffling them (1 point)? Is it said why many features and few rows make it worse (1)?
"""
STEPS = 'steps_that_leak, does_the_harm = {"a", "b"}, "b"\n'


def exercise(rows: int = 60, features: int = 800, kept: int = 20) -> Exercise:
    """Return the exercise for so many rows and features, of which some are kept."""
    given = {"rows": rows, "features": features, "kept": kept}
    starter = STARTER.format(**given)
    pipeline = starter[: starter.index("steps_that_leak")]
    mended = MENDED.replace("KEPT", str(kept))
    return Exercise(
        id="data-and-tokens-hidden-leak",
        title="It predicts coin flips",
        kind="open",
        difficulty=3,
        minutes=35,
        points=6,
        question=QUESTION,
        starter=starter,
        hint=HINT,
        solution=f"{pipeline}{STEPS}{mended}{MEASURED}",
        explanation=EXPLANATION,
        values={"rows": str(rows), "features": str(features)},
        visible=(Check(accuracies_are_shares, given),),
        hidden=(
            Check(leaks_are_found),
            Check(rows_of_the_test_part_are_not_used, given),
            Check(what_is_there_is_found, given),
            Check(means_are_measured, given),
        ),
        wrong_answers=_wrong_answers(pipeline, mended),
        words=True,
        by_hand=2,
        trial=TRIAL.replace("KEPT", str(kept)),
    )


def _wrong_answers(pipeline: str, mended: str) -> dict[str, str]:
    half = mended.replace("known, labels = x[train], y[train]", "known, labels = x, y")
    by_test = mended.replace("gap = np.abs(known[", "gap = np.abs(x[test][").replace(
        "known[labels == 0].mean", "x[test][y[test] == 0].mean"
    )
    by_test = by_test.replace("x[test][labels == 1]", "x[test][y[test] == 1]")
    scaled_by_all = mended.replace(
        "x[train].mean(axis=0), x[train].std(axis=0)", "x.mean(axis=0), x.std(axis=0)"
    )
    return {
        "only the standardisation mended": f"{pipeline}{STEPS}{half}{MEASURED}",
        "features chosen by the test part": f"{pipeline}{STEPS}{by_test}{MEASURED}",
        "only the choice mended": f"{pipeline}{STEPS}{scaled_by_all}{MEASURED}",
        "the wrong step accused": f'{pipeline}steps_that_leak, does_the_harm = {{"a", "d"}}, "a"\n{mended}{MEASURED}',
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the sizes of the data."""
    return {
        "rows": rng.choice((54, 66, 72, 90)),
        "features": rng.choice((100, 150, 200)),
        "kept": rng.choice((15, 25, 30)),
    }


# -- checks --------------------------------------------------------------------------------------


def flips_and_parts(seed, rows, features, signal=0.0):
    """Draw features and labels that have nothing to do with each other, or a little."""
    rng = np.random.default_rng([seed, rows])
    x, y = rng.standard_normal((rows, features)), rng.integers(2, size=rows)
    x[:, :5] += signal * (2 * y[:, None] - 1)
    x *= rng.uniform(0.5, 20, size=features)
    order = rng.permutation(rows)
    return x, y, order[rows // 3 :], order[: rows // 3]


def accuracy_by_the_book(x, y, train, test, kept, chosen_by):
    """Choose features by some rows, learn from the training part, judge by the test part."""
    scaled = (x - x[chosen_by].mean(axis=0)) / x[chosen_by].std(axis=0)
    rows, labels = scaled[chosen_by], y[chosen_by]
    gap = np.abs(rows[labels == 1].mean(axis=0) - rows[labels == 0].mean(axis=0))
    best = np.argsort(gap)[-kept:]
    middle = [scaled[train][y[train] == k].mean(axis=0)[best] for k in (0, 1)]
    far = [((scaled[test][:, best] - centre) ** 2).sum(axis=1) for centre in middle]
    return float((np.argmin(far, axis=0) == y[test]).mean())


def accuracies_are_shares(honest_accuracy, leaky_mean, honest_mean, *, rows, features, kept):
    """Check that accuracies are shares, and the honest mean the smaller one."""
    got = float(honest_accuracy(*flips_and_parts(0, rows, features)))
    assert 0 <= got <= 1, f"honest_accuracy should return a share from 0 to 1, got {got:g}"
    for name, mean in {"leaky_mean": leaky_mean, "honest_mean": honest_mean}.items():
        assert 0 <= mean <= 1, f"{name} should be a share from 0 to 1, got {float(mean):g}"
    assert honest_mean < leaky_mean, "what looks better by a leak should look worse without it"


def leaks_are_found(steps_that_leak, does_the_harm):
    """Check which steps were named."""
    assert set(steps_that_leak) == {"a", "b"}, (
        "steps_that_leak is not right: name each step whose result depends on rows or labels of "
        "the test part, but for the one that judges"
    )
    assert does_the_harm == "b", (
        "does_the_harm is not right: mend one step at a time, and measure the accuracy each time"
    )


def rows_of_the_test_part_are_not_used(honest_accuracy, *, rows, features, kept):
    """Flip the labels of the test part, and change rows that are in neither part."""
    for seed in range(3):
        x, y, train, test = flips_and_parts(seed, rows, features)
        before = float(honest_accuracy(x.copy(), y.copy(), train, test))
        flipped = y.copy()
        flipped[test] = 1 - flipped[test]
        after = float(honest_accuracy(x.copy(), flipped, train, test))
        assert abs(before + after - 1) < 2e-3, (
            "With all labels of the test part flipped the accuracy should be 1 minus what it was; "
            "the labels of the test part are used before judging"
        )
        some, others = test[: rows // 6], test[rows // 6 :]
        apart = float(honest_accuracy(x.copy(), y.copy(), train, some))
        changed = x.copy()
        changed[others] *= 100.0
        again = float(honest_accuracy(changed, y.copy(), train, some))
        assert abs(apart - again) < 2e-3, (
            "Rows that are in neither part should have no influence; does a step look at all rows?"
        )


def what_is_there_is_found(honest_accuracy, *, rows, features, kept):
    """Compare on data that do hold a pattern."""
    for seed in range(3):
        x, y, train, test = flips_and_parts(seed, rows, features, signal=1.0)
        right = accuracy_by_the_book(x, y, train, test, kept, chosen_by=train)
        got = float(honest_accuracy(x.copy(), y.copy(), train, test))
        assert abs(got - right) < 2e-3, (
            f"On data with a pattern the accuracy should be {right:.3f}, got {got:.3f}: keep all "
            f"four steps and the {kept} features, fitted on the training part"
        )


def means_are_measured(leaky_mean, honest_mean, *, rows, features, kept):
    """Measure both means on other draws."""
    every = np.arange(rows)
    draws = [flips_and_parts(seed, rows, features) for seed in range(25)]
    leaky = np.mean([accuracy_by_the_book(*draw, kept, chosen_by=every) for draw in draws])
    for name, got, expected in (
        ("leaky_mean", leaky_mean, leaky),
        ("honest_mean", honest_mean, 0.5),
    ):
        assert abs(float(got) - expected) < 0.07, (
            f"{name} should be about {expected:.2f} on coin flips, got {float(got):.2f}; take the "
            "mean of 50 draws"
        )
