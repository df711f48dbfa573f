"""Write rules that say from its history what is wrong with a run."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import copy
import inspect
import random
from functools import cache
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
The function `toy_run(fault, seed)` below trains a table of logits, one row for each word, on a toy language in which each word depends on the one before. It returns the history of the run, a dictionary of lists with one number for each step: `loss`, `grad_norm`, `lr` and `held_out`. And it returns `marks`, what one knows before training: the loss if all words are alike (`uniform`), that of the best unigram model (`unigram`), and the lowest possible loss of the held-out text (`floor`). The faults are:

- `"healthy"`: none.
- `"shift"`: the targets are the inputs.
- `"rate"`: the learning rate is forty times the right one (which rate is right depends on the seed, so the number alone does not say).
- `"leak"`: the run reads the same 40 words again and again, and the held-out text consists of these words, too.
- `"repeated"`: the run reads the same 40 words again and again, and the held-out text is new.
- `"blind"`: the model does not see its inputs.MORE

Look at a few runs of each kind, then write `diagnose_run(history, marks)`, which returns the name of the fault. Your answer is tried on runs with other seeds, and at most one in ten may be named wrongly.
"""
# What takes the place of MORE.
MORE = {
    "bad batch": """
- `"bad batch"`: one single batch has wrong targets.""",
    "restarted": """
- `"restarted"`: the run was interrupted, and goes on with the schedule from its beginning.""",
}
FAULTS = ["healthy", "shift", "rate", "leak", "repeated", "blind"]
STARTER = '''
TOY_RUN

def diagnose_run(history, marks):
    """dictionaries of lists and of numbers -> the name of a fault"""
    ...
'''
TWISTS = {
    "records": Twist(
        "The history that your function gets is a list of *records*, one dictionary for each step, as `training.History` keeps it, and not a dictionary of lists.",
        {
            "diagnose_run": (
                'names = ("loss", "grad_norm", "lr", "held_out")\nhistory = {name: [r.get(name, math.nan) for r in history] for name in names}',
                "",
            )
        },
        {"dictionaries of lists and of numbers": "list of records, dictionary of numbers"},
    ),
    "sparse": Twist(
        "The held-out loss is measured after steps 5, 15, 25 and so on only: `held_out` has `nan` everywhere else, or a record has no `held_out` at all.",
        {
            "diagnose_run": (
                'measured = [x for x in history["held_out"] if not math.isnan(x)]\nhistory = {**history, "held_out": measured}',
                "",
            )
        },
    ),
}
HINT = "Begin with what proves a fault: which runs end below the floor, in training or on the held-out text, and how far? Then compare with the other marks. A mean over the last steps is steadier than the last loss."
SOLUTION = """
def diagnose_run(history, marks):
    loss, held_out = np.array(history["loss"]), np.array(history["held_out"])
    trained, tested, floor = loss[-20:].mean(), held_out[-1], marks["floor"]
    high = (loss > marks["uniform"] + 0.5).sum()  # steps worse than knowing nothing
    RESTART
    if tested < floor / 4:
        return "shift"
    if tested < floor - 0.08:
        return "leak"
    if trained < floor - 0.08 and tested > floor + 0.3:
        return "repeated"
    if high > 3:
        return "rate"
    BAD
    return "blind" if tested > (floor + marks["unigram"]) / 2 else "healthy"
"""
LINES = {
    "bad batch": (
        "    BAD\n",
        '    if high:\n        return "bad batch"\n',
    ),
    "restarted": (
        "    RESTART\n",
        '    if (np.diff(history["lr"]) < 0).any():\n        return "restarted"\n',
    ),
}
EXPLANATION = """
A loss below the floor proves a fault: below it on the held-out text, the run has seen its answers, and near 0 it copies them. Below it in training alone, the text is known by heart. These rules come first, because nothing else explains such a loss. Above the floor there is no proof, only a suspicion: a loss that is for many steps higher than that of a model that knows nothing points to the rate, one that stays at the unigram's to inputs that do not arrive. The thresholds were chosen by looking at runs of this toy. For another model they would be others; the marks would be the same. And some faults show in no curve at all, such as an evaluation in training mode: each suspicion needs its own test.
"""
TRIAL = """
faults = ["healthy", "shift", "rate", "leak", "repeated", "blind"]
tried = [(fault, seed) for fault in faults for seed in range(100, 104)]
named = [diagnose_run(*toy_run(fault, seed)) == fault for fault, seed in tried]
check("runs named rightly", sum(named) / len(named), at_least=0.9)
"""


def toy_run(fault, seed, steps=60, words=8):
    """Train a table of logits; return its history, and what is known before."""
    rng = np.random.default_rng(seed)
    often = np.array([0.5, 0.3, 0.2, 0, 0, 0, 0, 0])
    p = np.tile([0.5, 0.25, 0.15, 0.06, 0.04, 0, 0, 0], (words, 1))
    p = 0.8 * rng.permuted(p, axis=1) + 0.2 * often  # p[v, w]: w comes after v
    share = np.linalg.matrix_power(p, 200)[0]

    def text(n):  # words, and the words after them
        before = rng.choice(words, size=n, p=share)
        after = (rng.random((n, 1)) > p[before].cumsum(axis=1)).sum(axis=1)
        return before, after.clip(max=words - 1)

    def loss_and_gradient(inputs, targets):
        inputs = 0 * inputs if fault == "blind" else inputs
        targets = inputs if fault == "shift" else targets
        q = np.exp((z := scale * table[inputs]) - z.max(axis=1, keepdims=True))
        q /= q.sum(axis=1, keepdims=True)
        loss = -np.log(q[np.arange(len(q)), targets] + 1e-30).mean()
        q[np.arange(len(q)), targets] -= 1
        gradient = np.zeros((words, words))
        np.add.at(gradient, inputs, scale * q / len(q))
        return loss, gradient

    table, velocity = np.zeros((words, words)), 0
    few, new, scale = text(40), text(400), rng.choice([1.0, 2.0, 4.0])
    highest = (80 if fault == "rate" else 2) / scale**2
    held_out = few if fault == "leak" else new
    history = {"loss": [], "grad_norm": [], "lr": [], "held_out": []}
    for step in range(steps):
        inputs, targets = text(64)
        if fault in ("leak", "repeated"):
            place = rng.integers(40, size=64)
            inputs, targets = few[0][place], few[1][place]
        if fault == "bad batch" and step == 40:
            targets = p[inputs].argmin(axis=1)
        since = 35 if fault == "restarted" and step >= 35 else 0
        rate = highest * min(1, (step - since + 1) / 10)  # warm-up
        loss, gradient = loss_and_gradient(inputs, targets)
        velocity = 0.9 * velocity + gradient
        table = table - rate * velocity
        history["loss"].append(loss)
        history["grad_norm"].append(np.sqrt((gradient**2).sum()))
        history["lr"].append(rate)
        history["held_out"].append(loss_and_gradient(*held_out)[0])
    unigram = -share @ np.log(share.clip(min=1e-30))
    floor = -np.log(p[held_out]).mean()
    return history, {"uniform": np.log(words), "unigram": unigram, "floor": floor}


def exercise(more: tuple[str, ...] = (), seed: int = 8, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise, with more faults than those of the page."""
    twisted = [TWISTS[name] for name in twists]
    given = {"faults": [*FAULTS, *more], "seed": seed, "twists": twists}

    def filled(code: str) -> str:
        for fault, (place, lines) in LINES.items():
            code = code.replace(place, lines if fault in more else "")
        return wrapped(code, {"diagnose_run": "history, marks"}, twisted)

    question = QUESTION.replace("MORE", "".join(MORE[fault] for fault in more))
    starter = STARTER.replace("TOY_RUN", inspect.getsource(toy_run))
    return Exercise(
        id="pretraining-diagnose-run",
        title="What is wrong with this run?",
        kind="code",
        difficulty=3,
        minutes=35,
        points=5,
        question=asked(question, twisted),
        starter=begun(starter, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(clear_cases_are_named, given),),
        hidden=(Check(other_runs_are_named, given),),
        wrong_answers={why: filled(code) for why, code in wrong_answers(more).items()},
        trial="" if twists or more else TRIAL,
    )


def wrong_answers(more: tuple[str, ...]) -> dict[str, str]:
    """Return rules that miss something; those for some faults only where these occur."""
    found = {
        "everything is healthy": 'def diagnose_run(history, marks):\n    return str("healthy")\n',
        "the training loss alone": SOLUTION.replace(
            'np.array(history["held_out"])', 'np.array(history["loss"])'
        ),
        "the held-out loss alone": SOLUTION.replace(
            'np.array(history["loss"])', 'np.array(history["held_out"])'
        ),
        "every loss below the floor is a leak": SOLUTION.replace("floor / 4", "0"),
        "the unigram for the floor": SOLUTION.replace('marks["floor"]', 'marks["unigram"]'),
        "a high loss is a blind model": SOLUTION.replace('"rate"', '"blind"'),
    }
    if "bad batch" in more:
        found["a single high loss is a high rate"] = SOLUTION.replace("high > 3", "high > 0")
    if "restarted" in more:
        found["the schedule is not looked at"] = SOLUTION.replace("    RESTART\n", "")
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw more faults, runs, and twists."""
    chosen = drawn(rng, (*MORE, *TWISTS))
    return {
        "more": tuple(name for name in MORE if name in chosen),
        "seed": rng.randrange(8),  # few, since runs take their time
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


@cache
def a_run(fault, seed):
    """Return a run, computed once."""
    return toy_run(fault, seed)


def name_of(diagnose_run, fault, seed, twists):
    """Return what an answer says of a run, which is handed over as the question says."""
    history, marks = copy.deepcopy(a_run(fault, seed))
    nan = float("nan")
    if "sparse" in twists:
        held_out = history["held_out"]
        history["held_out"] = [x if i % 10 == 4 else nan for i, x in enumerate(held_out)]
    if "records" in twists:
        rows = zip(*history.values(), strict=True)
        history = [
            {name: x for name, x in zip(history, row, strict=True) if x == x} for row in rows
        ]
    return str(diagnose_run(history, marks))


def clear_cases_are_named(diagnose_run, *, faults, seed, twists):
    """Try a healthy run, and one that learns to copy."""
    for fault in ("healthy", "shift"):
        found = name_of(diagnose_run, fault, 1000 + seed, twists)
        assert found in faults, f"diagnose_run should return one of {faults}, got {found!r}"
        assert found == fault, f"A run of the kind {fault!r} is taken for {found!r}"


def other_runs_are_named(diagnose_run, *, faults, seed, twists):
    """Try three new runs of each kind."""
    tried = [(fault, 100 * seed + number) for fault in faults for number in range(3)]
    named = [name_of(diagnose_run, *case, twists) for case in tried]
    wrong = [(case[0], name) for case, name in zip(tried, named, strict=True) if name != case[0]]
    taken = ", ".join(f"{fault} for {name}" for fault, name in wrong)
    assert 10 * len(wrong) <= len(tried), (
        f"{len(wrong)} of {len(tried)} new runs are named wrongly: {taken}"
    )
