"""Fit a power law to the excess over a floor, and extend it to a larger model."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, begun, drawn
from exercises.twists import asked as told

QUESTION = """
Models with different numbers of parameters, `sizes`, were trained on the same text and reached the losses `reached`, in nats a token. Suppose that the *excess* over the floor follows a power law, $L - h = A / N^\\alpha$. FLOOR Fit $A$ and $\\alpha$ by least squares to the *logarithm* of the excessWEIGHTED. Write `extend_law(ARGUMENTS)`, which returns ASKED. Both `sizes` and `reached` are arrays of the same length.
"""
# What takes the place of FLOOR, of WEIGHTED and of ASKED.
FLOORS = {
    False: "The floor $h$ is known: `floor`.",
    True: "The floor is not known, and is fitted, too: it is the number $h$ from 0 up to the lowest loss for which the squares of the errors, with the best $A$ and $\\alpha$ for this $h$, have the smallest sum. A search among 1,000 values will do.",
}
WEIGHTED = {
    False: ", where each model counts the same",
    True: ", where model number $i$ counts `runs[i]` times, since its loss is the mean over so many runs",
}
ASKED = {
    "loss": "the *loss* that the law predicts for a model with `target` parameters",
    "size": "the *number of parameters* with which a model would reach the loss `target`, by this law",
}
STARTER = '''
def extend_law(ARGUMENTS):
    """arrays (n,), and numbers -> one number"""
    ...
'''
HALVING = Twist(
    "Return two numbers, the second of which is the factor by which the number of parameters must grow so that the excess is halved.",
    {},
    {"-> one number": "-> two numbers"},
)
HINT = "In logarithms the law is a straight line: what are its slope and its intercept? `np.polyfit` or `np.linalg.lstsq` fits it. A line is fitted to the excess, but a loss is asked for, or given."
EXPLANATION = """
The logarithm of the excess is $\\ln A - \\alpha \\ln N$, a straight line. Subtract the floor *before* you take the logarithm: a line through the logarithms of the losses themselves would go on falling, below any floor. A floor that has to be fitted is the least certain number of all, because the small differences to it are multiplied by the extension. And a law holds for what it was fitted to; how far it can be extended, it does not say. For a weight $w$ the squares are multiplied by $w$, so rows of the linear system are multiplied by $\\sqrt w$. The excess is halved when $N$ is multiplied by $2^{1/\\alpha}$.
"""
# Words in capitals stand for what depends on the variant.
SOLUTION = """
def extend_law(ARGUMENTS):
    w = np.sqrt(WEIGHTS)

    def fit(h):
        excess = np.array(reached) - h
        columns = np.stack([np.ones(len(excess)), np.log(sizes)], axis=1)
        line = np.linalg.lstsq(columns * w[:, None], w * np.log(excess), rcond=None)[0]
        errors = w * (columns @ line - np.log(excess))
        return (errors**2).sum(), line

    SEARCH
    _, (a, slope) = fit(h)
    found = RESULT
    RETURN
"""
WEIGHTS = {False: "np.ones(len(sizes))", True: "np.array(runs, dtype=float)"}
SEARCH = {
    False: "h = floor",
    True: "h = min(np.linspace(0, min(reached), 1000, endpoint=False), key=lambda h: fit(h)[0])",
}
RESULT = {
    "loss": "h + np.exp(a + slope * np.log(target))",
    "size": "np.exp((np.log(target - h) - a) / slope)",
}
RETURN = {False: "found", True: "found, 2 ** (-1 / slope)"}
ENDS = "a, slope = np.polyfit(np.log(sizes)[[0, -1]], np.log(reached - h)[[0, -1]], 1)[::-1]"
TRIAL = """
exact = np.array([1e4, 1e5, 1e6])
found = extend_law(exact, 1.5 + 20 / np.sqrt(exact), 1.5, 4e6)
check("an exact law", found, 1.51, 0.001)
sizes = np.array({sizes})
reached = np.array({reached})
found = extend_law(sizes, reached, {floor}, {target})
check("five runs", found, {right:.4f}, 0.0005)
"""
RUNS = [1.0e4, 3.2e4, 1.1e5, 3.6e5, 6.2e5], [1.93, 1.31, 1.24, 0.90, 0.91]


def exercise(
    unknown: bool = False,
    weighted: bool = False,
    asked: str = "loss",
    halving: bool = False,
    seed: int = 0,
) -> Exercise:
    """Return the exercise; the floor is known or not, runs count alike or not."""
    form = {"unknown": unknown, "weighted": weighted, "asked": asked, "halving": halving}
    given = {"form": form, "seed": seed}
    known = "" if unknown else ", floor"
    arguments = f"sizes, reached{known}, target" + (", runs" if weighted else "")
    question = QUESTION.replace("FLOOR", FLOORS[unknown]).replace("WEIGHTED", WEIGHTED[weighted])
    question = question.replace("ASKED", ASKED[asked]).replace("ARGUMENTS", arguments)
    twisted = [HALVING] if halving else []

    def filled(code: str) -> str:
        for word, by in (
            ("ARGUMENTS", arguments),
            ("WEIGHTS", WEIGHTS[weighted]),
            ("SEARCH", SEARCH[unknown]),
            ("RESULT", RESULT[asked]),
            ("RETURN", f"return {RETURN[halving]}"),
        ):
            code = code.replace(word, by)
        return code

    trial = TRIAL.format(
        sizes=RUNS[0],
        reached=RUNS[1],
        floor=0.77,
        target=2.5e6,
        right=extended(*RUNS, 0.77, [1] * 5, 2.5e6, "loss")[0],
    )
    return Exercise(
        id="pretraining-extend-law",
        title="What would a larger model reach?",
        kind="code",
        difficulty=3,
        minutes=30,
        points=5,
        question=told(question, twisted),
        starter=begun(STARTER.replace("ARGUMENTS", arguments), twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(finds_an_exact_law, given),),
        hidden=(Check(fits_scattered_runs, given),),
        wrong_answers={mistake: filled(code) for mistake, code in wrong_answers(**form).items()},
        trial=trial if form == PAGE else "",
    )


PAGE = {"unknown": False, "weighted": False, "asked": "loss", "halving": False}


def wrong_answers(unknown: bool, weighted: bool, asked: str, halving: bool) -> dict[str, str]:
    """Return mistakes, for each form of the question."""
    without = {
        "loss": "np.exp(a + slope * np.log(target))",
        "size": "np.exp((np.log(target) - a) / slope)",
    }
    straight = {
        "loss": "h + a + slope * np.log(target)",
        "size": "np.exp((target - h - a) / slope)",
    }
    bases = {
        "loss": "h + np.exp(a + slope * np.log10(target))",
        "size": "10 ** ((np.log(target - h) - a) / slope)",
    }
    found = {
        "the floor is not subtracted": SOLUTION.replace("SEARCH", "h = 0.0"),
        "the excess in place of the loss": SOLUTION.replace("RESULT", without[asked]),
        "no logarithm of the excess": SOLUTION.replace("np.log(excess)", "excess").replace(
            "RESULT", straight[asked]
        ),
        "the first model and the last alone": SOLUTION.replace("_, (a, slope) = fit(h)", ENDS),
        "two kinds of logarithm": SOLUTION.replace("RESULT", bases[asked]),
    }
    if weighted:
        found["the weights are squared"] = SOLUTION.replace("np.sqrt(WEIGHTS)", "WEIGHTS")
        found["the runs are not counted"] = SOLUTION.replace("WEIGHTS", WEIGHTS[False])
    else:
        found["large models count more"] = SOLUTION.replace("WEIGHTS", "np.array(sizes)")
    if unknown:
        found["a floor that is guessed"] = SOLUTION.replace("SEARCH", "h = 0.5 * min(reached)")
    if halving:
        found["what halving the parameters does"] = SOLUTION.replace(
            "RETURN", "return found, 2 ** -slope"
        )
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the form of the question, and runs."""
    chosen = drawn(rng, ("unknown", "weighted", "size", "halving"))
    return {
        "unknown": "unknown" in chosen,
        "weighted": "weighted" in chosen,
        "asked": "size" if "size" in chosen else "loss",
        "halving": "halving" in chosen,
        "seed": rng.randrange(10_000),
    }


# -- checks --------------------------------------------------------------------------------------


def some_runs(seed, scatter):
    """Return sizes, losses, how many runs each is the mean of, the floor, and a larger size."""
    rng = np.random.default_rng(seed)
    alpha, floor = rng.uniform(0.3, 0.5), rng.uniform(0.6, 1.2)
    sizes = np.round(1e4 * 2.0 ** np.arange(8) * rng.uniform(0.9, 1.1, 8))
    runs = np.array([1, *rng.permutation([2, 3, 6, 9, 16, 16]), 1])
    noise = scatter * rng.standard_normal(8) / np.sqrt(runs)
    excess = rng.uniform(1.5, 2.5) * (sizes[0] / sizes) ** alpha * np.exp(noise)
    return sizes, floor + excess, runs, floor, 4 * sizes[-1]


def line_of(sizes, reached, floors, weights):
    """Return slope, height, and the mean square of the errors, for each of some floors."""
    w = np.array(weights) / np.sum(weights)
    x, y = np.log(sizes), np.log(np.array(reached) - np.array(floors)[..., None])
    slope = y @ (w * (x - x @ w)) / (w @ (x - x @ w) ** 2)
    height = y @ w - slope * (x @ w)
    return slope, height, (y - height[..., None] - slope[..., None] * x) ** 2 @ w


def best_floor(sizes, reached, weights):
    """Return the floor with the smallest sum of squares, from ever finer searches."""
    low, high = 0.0, min(reached) * (1 - 1e-6)
    for _ in range(4):
        tried = np.linspace(low, high, 500)
        best = int(np.argmin(line_of(sizes, reached, tried, weights)[2]))
        low, high = tried[max(best - 2, 0)], tried[min(best + 2, 499)]
    return tried[best]


def extended(sizes, reached, floor, weights, target, asked):
    """Return what is asked for, and the factor that halves the excess."""
    slope, height, _ = line_of(sizes, reached, floor, weights)
    if asked == "loss":
        found = floor + np.exp(height + slope * np.log(target))
    else:
        found = np.exp((np.log(target - floor) - height) / slope)
    return float(found), float(2 ** (-1 / slope))


def asked_and_found(extend_law, seed, scatter, form):
    """Return what an answer says of some runs, and what is right."""
    sizes, reached, runs, floor, target = some_runs(seed, scatter)
    weights = runs if form["weighted"] else np.ones(len(runs))
    h = best_floor(sizes, reached, weights) if form["unknown"] else floor
    if form["asked"] == "size":
        target = h + 0.6 * (min(reached) - h)
    given = (
        [sizes.copy(), reached.copy(), target]
        if form["unknown"]
        else [sizes.copy(), reached.copy(), floor, target]
    )
    given = [*given, runs.copy()] if form["weighted"] else given
    with np.errstate(all="ignore"):  # a number that is none is judged below
        found = extend_law(*given)
    found = parts(found, 2) if form["halving"] else [found]
    right = extended(sizes, reached, h, weights, target, form["asked"])
    return [float(array(number).squeeze()) for number in found], right


def judge(found, right, form):
    """Compare one or two numbers."""
    loose = 3 if form["unknown"] else 1
    if form["asked"] == "loss":
        assert abs(found[0] - right[0]) < 0.001 * loose, (
            f"The predicted loss should be near {right[0]:.3f}, got {found[0]:.3f}: the line is "
            "fitted to the logarithm of the excess, and the floor is added again"
        )
    else:
        assert abs(found[0] / right[0] - 1) < 0.01 * loose, (
            f"The number of parameters should be near {right[0]:.4g}, got {found[0]:.4g}: which "
            "excess has the loss that is to be reached, and where does the line have it?"
        )
    if len(found) == 2:
        assert abs(found[1] / right[1] - 1) < 0.01 * loose, (
            f"The excess is not halved by {found[1]:.4g} times as many parameters: what does a "
            "line with this slope say?"
        )


def finds_an_exact_law(extend_law, *, form, seed):
    """Check losses that follow a law exactly."""
    found, right = asked_and_found(extend_law, seed, 0.0, form)
    judge(found, right, form)


def fits_scattered_runs(extend_law, *, form, seed):
    """Check losses that lie beside the law, each in its own way."""
    for number in range(3):
        found, right = asked_and_found(extend_law, seed + number, 0.12, form)
        judge(found, right, form)
