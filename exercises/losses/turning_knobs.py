"""What happens to cross-entropy when something about a batch is changed."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F

from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

# What is changed: how the question says it, and why it comes out as it does.
CASES = {
    "add": (
        "5 is added to every logit",
        "a softmax sees only differences.",
    ),
    "lead": (
        "the logits of the first sample, classified rightly, are doubled",
        "the right class leads, by more now.",
    ),
    "lag": (
        "the logits of the second sample, classified wrongly, are doubled",
        "a wrong class leads, by more now.",
    ),
    "rival": (
        "the smallest logit of the first sample, of a wrong class, is raised by 1",
        "what a rival gains, the right class loses.",
    ),
    "twice": (
        "every sample is given twice",
        "so does the number that the sum is divided by.",
    ),
    "ignored": (
        "a third sample is added, with the label $-100$",
        "that is `ignore_index`; the sample does not count.",
    ),
    "order": (
        "classes 0 and 2 change places, in the logits and in the labels",
        "the numbers of classes are names, and nothing else.",
    ),
}
# The same in code: the new logits, and the new labels.
CHANGES = {
    "add": "logits + 5, labels",
    "lead": "torch.stack([2 * first, second]), labels",
    "lag": "torch.stack([first, 2 * second]), labels",
    "rival": "torch.stack([first + (first == first.min()), second]), labels",
    "twice": "logits.repeat(2, 1), labels.repeat(2)",
    "ignored": "torch.stack([first, second, -first]), torch.tensor([*labels, -100])",
    "order": "logits.flip(1), 2 - labels",
}
QUESTION = """
Five things are done to the two samples in the code, each to the batch as it was:

{cases}

Does the mean cross-entropy become *smaller*, stay the *same* or become *larger*? Predict first, and say why; then run.
"""
STARTER = """
logits = torch.tensor({rows})
labels = torch.tensor({labels})
loss = losses.cross_entropy(logits, labels)

knob_predictions = {{"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}}
"""
HINT = "The loss is a soft maximum minus one of its arguments. What does each change do to the two?"
TRIAL = """
first, second = logits
changed = {
CASES}
for case, (z, y) in changed.items():
    moved = F.cross_entropy(z, y) - F.cross_entropy(logits, labels)
    fate = "same" if abs(moved) < 1e-5 else "larger" if moved > 0 else "smaller"
    print(f"({case}) the loss changes by {moved:.3f}")
    check(f"prediction ({case})", knob_predictions[case], fate)
"""
PAGE = ("add", "lead", "lag", "twice", "ignored")
ROWS = ((3.0, 1.0, -1.0), (2.0, 0.0, 1.0))


def exercise(
    rows: tuple[tuple[float, ...], ...] = ROWS,
    labels: tuple[int, ...] = (0, 2),
    cases: tuple[str, ...] = PAGE,
) -> Exercise:
    """Return the exercise with five `cases`."""
    truth = knob_outcomes(rows, labels, cases)
    letters = dict(zip(cases, "abcde", strict=True))
    outcomes = {f"{case}_outcome": truth[letter] for case, letter in letters.items()}
    given = {"rows": rows, "labels": labels, "cases": cases}
    listed = [f"- ({{{{{case}}}}}) {CASES[case][0]}" for case in cases]
    reasons = [f"- ({{{{{case}}}}}) {{{{{case}_outcome}}}}: {CASES[case][1]}" for case in cases]
    turned = {"smaller": "larger", "larger": "smaller", "same": "smaller"}
    return Exercise(
        id="losses-turning-knobs",
        title="Turn a knob",
        kind="predict",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION.format(cases="\n".join(listed)),
        starter=STARTER.format(rows=[list(row) for row in rows], labels=list(labels)),
        hint=HINT,
        solution=f"knob_predictions = {truth}",
        explanation="\n".join(reasons),
        values={**letters, **outcomes},
        visible=(Check(knobs_are_complete),),
        hidden=(Check(knobs_come_true, given),),
        wrong_answers={
            "louder is always better": f"knob_predictions = {truth | {letters['lag']: 'smaller'}}",
            "all the other way round": f"knob_predictions = { {k: turned[v] for k, v in truth.items()} }",
            "a word that was not offered": f"knob_predictions = {truth | {'c': 'wrong'}}",
        },
        public_solution=True,
        words=True,
        trial=_trial(letters),
    )


def _trial(letters: dict[str, str]) -> str:
    """Return the page's check, with the changed batch of each case."""
    lines = (f'    "{letter}": ({CHANGES[case]}),\n' for case, letter in letters.items())
    return TRIAL.replace("CASES", "".join(lines))


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a sample that is right, one that is wrong, and five changes."""
    first = rng.sample((-2.0, -1.0, 0.0, 1.0, 2.0, 3.0), 3)
    second = rng.sample((-2.0, -1.0, 0.0, 1.0, 2.0, 3.0), 3)
    right = first.index(max(first))
    wrong = second.index(sorted(second)[1])
    cases = ["lead", "lag", *rng.sample(["add", "rival", "twice", "ignored", "order"], 3)]
    rng.shuffle(cases)
    return {
        "rows": (tuple(first), tuple(second)),
        "labels": (right, wrong),
        "cases": tuple(cases),
    }


# -- checks --------------------------------------------------------------------------------------


def knob_outcomes(rows, labels, cases) -> dict[str, str]:
    """Make each change, and see what the loss does."""
    z, y = torch.tensor(rows, dtype=torch.float64), torch.tensor(labels)
    lead, lag, rival = z.clone(), z.clone(), z.clone()
    lead[0] *= 2
    lag[1] *= 2
    rival[0, z[0].argmin()] += 1
    changed = {
        "add": (z + 5, y),
        "lead": (lead, y),
        "lag": (lag, y),
        "rival": (rival, y),
        "twice": (torch.cat([z, z]), torch.cat([y, y])),
        "ignored": (torch.cat([z, -z[:1]]), torch.cat([y, torch.tensor([-100])])),
        "order": (z.flip(1), 2 - y),
    }
    before = F.cross_entropy(z, y).item()
    found = {}
    for letter, case in zip("abcde", cases, strict=True):
        after = F.cross_entropy(*changed[case]).item()
        moved = "smaller" if after < before else "larger"
        found[letter] = "same" if abs(after - before) < 1e-9 else moved
    return found


def knobs_are_complete(knob_predictions):
    """Check that there is one of the three words for each case."""
    words_for_cases(knob_predictions, ("smaller", "same", "larger"))


def knobs_come_true(knob_predictions, *, rows, labels, cases):
    """Make the changes and compare."""
    truth = knob_outcomes(rows, labels, cases)
    wrong = otherwise(knob_predictions, truth)
    assert not wrong, f"The run says otherwise for {', '.join(wrong)}; make the change and see"
