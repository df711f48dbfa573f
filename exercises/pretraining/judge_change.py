"""Judge a change of a speedrun: how much time it saves, and how sure that is."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import close, parts
from exercises.twists import drawn

QUESTION = """
You want to add a row to the speedrun: a change of the recipe that might save time. Both recipes were run with the same seeds, one after the other on the same machine. `before` and `after` hold the runs without and with the change: RUNS. A run is a list of pairs (seconds, loss), one for each evaluation, in order. Every run begins above the loss `target` and ends at or below it.

The *time* of a run is the second in which REACHED. INTERPOLATED

Write `judge_change(before, after, target)`, which returns two numbers: DIFFERENCES It is positive if the change saves time.
"""
# What takes the place of RUNS, REACHED, INTERPOLATED and DIFFERENCES.
RUNS = {
    False: "lists with one run for each seed, in the same order",
    True: "dictionaries with one run for each seed, by the number of the seed. Some seeds may stand in one of them only, and these do not count; the order of the seeds may differ",
}
REACHED = {
    False: "its loss goes from above `target` to `target` or below for the first time",
    True: "its loss goes from above `target` to `target` or below for the last time, so that it stays there to the end",
}
INTERPOLATED = {
    True: "This happens between two evaluations; suppose that the loss falls linearly between them.",
    False: "Take the seconds of the first evaluation after this, and do not interpolate.",
}
DIFFERENCES = {
    True: "the speedup, which is $e^{\\bar d}$ where $\\bar d$ is the mean over the seeds of $d = \\ln (\\text{time before} / \\text{time after})$, and the statistic of the paired $t$-test, $t = \\bar d / (s / \\sqrt n)$, where $s$ is the standard deviation of the $n$ differences (divided by $n - 1$).",
    False: "the mean time before divided by the mean time after, and the statistic of the paired $t$-test on the differences of the seconds, $d = \\text{time before} - \\text{time after}$. It is $t = \\bar d / (s / \\sqrt n)$, where $s$ is the standard deviation of the $n$ differences (divided by $n - 1$).",
}
STARTER = '''
def judge_change(before, after, target):
    """runs with and without the change, and a loss -> two numbers"""
    ...
'''
HINT = "Write a function for the time of one run first. `zip(run, run[1:])` gives each evaluation with the next one. Then the differences, one for each seed; `np.std` divides by $n$ unless you say `ddof=1`."
EXPLANATION = """
A pair of runs shares its seed, so what makes a seed easy or hard is in both and cancels in the difference. A test that compares the two means without the pairs would have to find the change in the noise of the seeds. Logarithms are natural here, because a change saves a share of the time rather than a number of seconds. Before the row is accepted, look up $t$: with five seeds, four degrees of freedom, it must be above 4.604 for $p < 0.01$ on both sides. To race with a change of your own, give it to `speedrun.Runner`, as the page shows, with several seeds.
"""
SOLUTION = """
def judge_change(before, after, target):
    def time_of(run):
        crossings = [
            CROSSED
            for (s0, l0), (s1, l1) in zip(run, run[1:])
            if l0 > target >= l1
        ]
        return crossings[WHICH]

    pairs = PAIRS
    old, new = np.array([[time_of(a), time_of(b)] for a, b in pairs]).T
    d = DISTANCE
    t = d.mean() / (d.std(ddof=1) / np.sqrt(len(d)))
    return SPEEDUP, t
"""
CROSSED = {True: "s0 + (l0 - target) / (l0 - l1) * (s1 - s0)", False: "s1"}
WHICH = {False: "0", True: "-1"}
PAIRS = {
    False: "list(zip(before, after))",
    True: "[(before[seed], after[seed]) for seed in before if seed in after]",
}
DISTANCE = {True: "np.log(old / new)", False: "old - new"}
SPEEDUP = {True: "np.exp(d.mean())", False: "old.mean() / new.mean()"}
TRIAL = """
before = [
    [(0, 4.0), (10, 2.0), (20, 1.8), (25, 1.95), (33, 1.85)],
    [(0, 4.0), (11, 2.2), (22, 1.8), (26, 1.92), (31, 1.80)],
    [(0, 4.0), (9, 2.1), (18, 1.8), (24, 2.00), (30, 1.80)],
]
after = [
    [(0, 4.0), (5, 2.0), (9, 1.8), (12, 1.95), (15, 1.85)],
    [(0, 4.0), (4, 2.2), (10, 1.8), (13, 1.92), (17, 1.80)],
    [(0, 4.0), (5, 2.1), (11, 1.8), (14, 2.00), (16, 1.80)],
]
speedup, t = judge_change(before, after, 1.9)
check("speedup", speedup, {speedup:.4f}, 0.0005)
check("t", t, {t:.4f}, 0.0005)
"""
# The times at which the six runs above pass 1.9 for the first time.
TRIAL_TIMES = [[15.0, 7.0], [19.25, 8.5], [15.0, 9.0]]
PAGE = {"by_seed": False, "lasting": False, "interpolated": True, "logs": True}


def exercise(
    by_seed: bool = False,
    lasting: bool = False,
    interpolated: bool = True,
    logs: bool = True,
    seed: int = 0,
) -> Exercise:
    """Return the exercise: how runs come, what their time is, and what is compared."""
    form = {"by_seed": by_seed, "lasting": lasting, "interpolated": interpolated, "logs": logs}
    given = {"form": form, "seed": seed}
    question = QUESTION
    for word, by in (
        ("RUNS", RUNS[by_seed]),
        ("REACHED", REACHED[lasting]),
        ("INTERPOLATED", INTERPOLATED[interpolated]),
        ("DIFFERENCES", DIFFERENCES[logs]),
    ):
        question = question.replace(word, by)
    speedup, t = judged(TRIAL_TIMES, PAGE)
    return Exercise(
        id="pretraining-judge-change",
        title="A row for the speedrun",
        kind="code",
        difficulty=2,
        minutes=30,
        points=5,
        question=question,
        starter=STARTER,
        hint=HINT,
        solution=filled(SOLUTION, form),
        explanation=EXPLANATION,
        visible=(Check(judges_an_exact_change, given),),
        hidden=(Check(judges_scattered_runs, given),),
        wrong_answers={name: filled(code, form) for name, code in wrong_answers(form).items()},
        trial=TRIAL.format(speedup=speedup, t=t) if form == PAGE else "",
    )


def filled(code: str, form: dict[str, bool]) -> str:
    """Return code in which words in capitals are replaced by what the variant needs."""
    for word, by in (
        ("CROSSED", CROSSED[form["interpolated"]]),
        ("WHICH", WHICH[form["lasting"]]),
        ("PAIRS", PAIRS[form["by_seed"]]),
        ("DISTANCE", DISTANCE[form["logs"]]),
        ("SPEEDUP", SPEEDUP[form["logs"]]),
    ):
        code = code.replace(word, by)
    return code


def wrong_answers(form: dict[str, bool]) -> dict[str, str]:
    """Return mistakes, for each form of the question."""
    unpaired = "t = d.mean() / np.sqrt(np.var(old, ddof=1) / len(d) + np.var(new, ddof=1) / len(d))"
    paired = "t = d.mean() / (d.std(ddof=1) / np.sqrt(len(d)))"
    found = {
        "the pairs are not used": SOLUTION.replace(paired, unpaired),
        "divided by n": SOLUTION.replace("ddof=1", "ddof=0"),
        "the spread of one run": SOLUTION.replace(" / np.sqrt(len(d))", ""),
        "after before": SOLUTION.replace("old, new =", "new, old ="),
        "another crossing": SOLUTION.replace("WHICH", WHICH[not form["lasting"]]),
        "another time": SOLUTION.replace("CROSSED", CROSSED[not form["interpolated"]]),
        "other differences": SOLUTION.replace("DISTANCE", DISTANCE[not form["logs"]]),
        "other means": SOLUTION.replace("SPEEDUP", "(old / new).mean()"),
    }
    if form["by_seed"]:
        values = "list(zip(before.values(), after.values()))"
        found["the order of the seeds"] = SOLUTION.replace("PAIRS", values)
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the form of the question, and runs."""
    chosen = drawn(rng, PAGE)
    form = {name: usual != (name in chosen) for name, usual in PAGE.items()}
    return {**form, "seed": rng.randrange(10_000)}


# -- checks --------------------------------------------------------------------------------------


def some_run(rng, slower):
    """Return a run that passes 2.0 twice, and the four times that it may have."""
    seconds = np.cumsum(slower * rng.uniform(3, 6, size=8))
    reached = 2 - rng.uniform(0.05, 0.2, size=8)
    losses = np.array([4.0, 3.0, 2.4, *reached[:2], 2 + rng.uniform(0.05, 0.2), *reached[2:4]])
    run = [(float(s), float(loss)) for s, loss in zip(seconds, losses, strict=True)]
    times = {}
    for lasting, (i, j) in {False: (2, 3), True: (5, 6)}.items():
        times[lasting, False] = seconds[j]
        times[lasting, True] = np.interp(-2.0, -losses[[i, j]], seconds[[i, j]])
    return run, times


def some_runs(seed, form, scatter):
    """Return the runs of both recipes for five seeds or more, and the times that count."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 9))
    easy = np.exp(0.4 * rng.standard_normal(n))  # some seeds are easy with both recipes
    share = np.exp(-0.3 + scatter * rng.standard_normal(n))
    key = form["lasting"], form["interpolated"]
    rows = [(some_run(rng, a), some_run(rng, a * b)) for a, b in zip(easy, share, strict=True)]
    times = np.array([[old[1][key], new[1][key]] for old, new in rows])
    before, after = [old[0] for old, _ in rows], [new[0] for _, new in rows]
    if not form["by_seed"]:
        return before, after, times
    names = [int(name) for name in rng.permutation(40)[: n + 2]]
    before = dict(zip(names[:n], before, strict=True)) | {names[n]: some_run(rng, 3.0)[0]}
    shuffled = [(names[i], after[i]) for i in np.roll(np.arange(n), 2)]
    after = {names[n + 1]: some_run(rng, 1.0)[0]} | dict(shuffled)
    return before, after, times


def judged(times, form):
    """Return the speedup and the statistic of pairs of times."""
    times = np.array(times)
    d = np.log(times[:, 0]) - np.log(times[:, 1]) if form["logs"] else times[:, 0] - times[:, 1]
    speedup = np.exp(np.mean(d)) if form["logs"] else np.sum(times[:, 0]) / np.sum(times[:, 1])
    variance = np.sum((d - np.mean(d)) ** 2) / (len(d) - 1)
    return float(speedup), float(np.mean(d) / np.sqrt(variance / len(d)))


def judge(judge_change, seed, form, scatter):
    """Compare what an answer says of some runs."""
    before, after, times = some_runs(seed, form, scatter)
    with np.errstate(all="ignore"):  # a number that is none is judged below
        speedup, t = parts(judge_change(before, after, 2.0), 2)
    right = judged(times, form)
    assert close(speedup, right[0], "speedup"), (
        f"The speedup is not right for {len(times)} pairs of runs: it should be near "
        f"{right[0]:.2f}. Which second is the time of a run, and which runs belong together?"
    )
    assert close(t, right[1], "t"), (
        "The speedup is right, but t is not: it comes from the differences of the pairs, and the "
        "error of their mean gets smaller with more pairs"
    )


def judges_an_exact_change(judge_change, *, form, seed):
    """Check runs with a change that saves much with every seed."""
    judge(judge_change, seed, form, 0.02)


def judges_scattered_runs(judge_change, *, form, seed):
    """Check runs with a change that helps with some seeds alone."""
    for number in range(1, 4):
        judge(judge_change, seed + number, form, 0.4)
