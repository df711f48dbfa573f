"""Find out by calling it what is wrong with somebody's loss of preferences."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
Somebody gives you a function `loss(policy, reference, answer, beta)`, which should compute the loss of direct preference optimisation, the mean over B pairs. You cannot read its code, but you can call it. The three arrays have the shape (2, B, T): log-probabilities of tokens by the policy and by the reference, and whether a token belongs to an answer; part 0 belongs to the answers that were preferred. The loss is right, or it has exactly one of these faults:

- `"exchanged"`: the two answers of a pair have changed places.
- `"mean"`: the mean over the tokens of an answer is taken in place of their sum.
- `"prompt"`: all tokens count, also those of the prompt and padding.
- `"no reference"`: the reference is left out.
- `"added"`: the reference's log-probabilities are added, not subtracted.MORE

Write `name_fault(loss)`, which calls the function with arrays of your choice and returns the name of the fault, or `"right"`. A value of the loss for a single pair gives back what stands in the sigmoid: if $L = -\ln \sigma(z)$, then $z = -\ln(e^L - 1)$.
"""
# What takes the place of MORE, and the lines of the solution that find it.
MORE = {
    "no beta": """
- `"no beta"`: the price `beta` is left out.""",
    "sum": """
- `"sum"`: the losses of the pairs are added up, and no mean is taken.""",
    "not frozen": """
- `"not frozen"`: in place of the reference, the function uses the policy itself.""",
}
FAULTS = ["right", "exchanged", "mean", "prompt", "no reference", "added"]
STARTER = '''
def name_fault(loss):
    """a function of policy, reference, answer, beta -> the name of a fault"""
    ...
'''
TWISTS = {
    "pairs": Twist(
        "The arrays that `loss` expects have the shape (B, 2, T).",
        {
            "name_fault": (
                """
                theirs = loss

                def loss(policy, reference, answer, beta):
                    arrays = (x.swapaxes(0, 1) for x in (policy, reference, answer))
                    return theirs(*arrays, beta)
                """,
                "",
            )
        },
    ),
    "marks": Twist(
        "Return a list of names in place of one name: a loss may have any one of the faults, or be right, and for a right one the list is empty.",
        {"name_fault": ("", 'result = [result] if result != "right" else []')},
        {"the name of a fault": "a list of names"},
    ),
}
HINT = "Begin with arrays of zeros, for which a right loss is $\\ln 2$. Then change a single number and see how far $z$ moves: a token of the preferred answer of the policy, the same token of the reference, a token of the prompt. What should each of these changes do, and what does it do with each of the faults? An answer must have more than one token: why?"
SOLUTION = """
def name_fault(loss):
    def moved(name, part, place, pairs=1):
        arrays = {x: np.zeros((2, pairs, 3)) for x in ("policy", "reference")}
        arrays[name][part, :, place] = 1.0
        answer = np.arange(3) > np.zeros((2, pairs, 1))  # the first token is the prompt
        value = loss(arrays["policy"], arrays["reference"], answer, 0.5)
        return -np.log(np.exp(value) - 1)  # what stands in the sigmoid

    chosen, frozen = moved("policy", 0, 1), moved("reference", 0, 1)
    FIND
    if chosen < -0.1:
        return "exchanged"
    if chosen < 0.4:
        return "mean"
    if abs(moved("policy", 0, 0)) > 0.1:
        return "prompt"
    if abs(frozen) < 0.1:
        return "no reference"
    return "added" if frozen > 0 else "right"
"""
FINDS = {
    "no beta": 'if chosen > 0.9:\n        return "no beta"',
    "sum": 'if abs(moved("policy", 0, 1, pairs=2) - chosen) > 0.1:\n        return "sum"',
    "not frozen": 'if abs(chosen) < 0.1:\n        return "not frozen"',
}
EXPLANATION = r"""
Each call changes one number, of which one knows what it must do: $z$ moves by $\beta$ for a token of the preferred answer, by $-\beta$ for the same token of the reference, and not at all for a token of the prompt. Three such calls tell the faults apart. The first loss of a training does not: while the policy is the reference it is $\ln 2$ for a right loss, for exchanged answers, for the mean over tokens and if the prompt counts. And later every one of these losses falls, because each is minimised by something. A loss that falls is therefore no test. What is: small cases whose result is known, a comparison with an independent implementation, and a look at what the policy writes. These tests take a few lines, and they belong beside the loss, so that they run after every change of it.
"""
TRIAL = """
def some_loss(fault):
    def loss(policy, reference, answer, beta):
        rows = [torch.as_tensor(x).double() for x in (policy, reference)]
        counts = torch.as_tensor(answer).bool() | (fault == "prompt")
        size = counts.sum(dim=2) if fault == "mean" else 1
        sums = [(x * counts).sum(dim=2) / size for x in rows]
        if fault in ("no reference", "added"):
            sums[1] = sums[1] * (0 if fault == "no reference" else -1)
        if fault == "exchanged":
            sums = [x.flip(0) for x in sums]
        return alignment.dpo_loss(*sums[0], *sums[1], beta=beta).item()

    return loss


for fault in ("right", "exchanged", "mean", "prompt", "no reference", "added"):
    check(f"found: {fault}", int(name_fault(some_loss(fault)) == fault), 1, 0)
"""


def exercise(more: tuple[str, ...] = (), seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise, with more faults than those of the page."""
    twisted = [TWISTS[name] for name in twists]
    given = {"faults": [*FAULTS, *more], "seed": seed, "twists": twists}
    finds = "\n    ".join(FINDS[fault] for fault in more)

    def filled(code: str) -> str:
        code = code.replace("    FIND\n", f"    {finds}\n" if more else "")
        return wrapped(code, {"name_fault": "loss"}, twisted)

    question = QUESTION.replace("MORE", "".join(MORE[fault] for fault in more))
    return Exercise(
        id="alignment-name-fault",
        title="What is wrong with this loss?",
        kind="code",
        difficulty=3,
        minutes=30,
        points=5,
        question=asked(question, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(right_loss_is_right, given),),
        hidden=(Check(faults_are_named, given),),
        wrong_answers={why: filled(code) for why, code in wrong_answers(more).items()},
        trial="" if twists or more else TRIAL,
    )


def wrong_answers(more: tuple[str, ...]) -> dict[str, str]:
    """Return ways to test that miss something."""
    found = {
        "everything is right": 'def name_fault(loss):\n    return str("right")\n',
        "only the first loss is looked at": """
def name_fault(loss):
    zeros = np.zeros((2, 1, 3))
    value = loss(zeros, zeros, zeros == 0, 0.5)
    return "right" if abs(value - np.log(2)) < 1e-3 else "added"
""",
        "the prompt is not tried": SOLUTION.replace('moved("policy", 0, 0)', "0 * chosen"),
        "the reference is not tried": SOLUTION.replace(
            'moved("policy", 0, 1), moved("reference", 0, 1)', 'moved("policy", 0, 1), -0.5'
        ),
        "an answer of a single token": SOLUTION.replace(
            "np.arange(3) > np.zeros((2, pairs, 1))", "np.arange(3) == np.ones((2, pairs, 1))"
        ),
        "the sign is not looked at": SOLUTION.replace("chosen < -0.1", "chosen < -9"),
        "all tokens belong to the answer": SOLUTION.replace("> np.zeros", ">= np.zeros"),
    }
    if "sum" in more:
        found["a single pair"] = SOLUTION.replace("pairs=1):", "pairs=1):\n        pairs = 1")
    if "no beta" in more:
        found["a price of 1"] = SOLUTION.replace("answer, 0.5)", "answer, 1.0)")
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw more faults, how losses are asked, and twists."""
    chosen = drawn(rng, (*MORE, *TWISTS))
    return {
        "more": tuple(name for name in MORE if name in chosen),
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def loss_with(fault, twists):
    """Return a loss of preferences with a fault, or without one."""

    def loss(policy, reference, answer, beta):
        a, b, mask = (np.array(x, dtype=float) for x in (policy, reference, answer))
        same = a.ndim == 3 and a.shape == b.shape == mask.shape
        assert same, (
            "policy, reference and answer should be three arrays of one shape, with three axes"
        )
        if "pairs" in twists:
            a, b, mask = (x.swapaxes(0, 1) for x in (a, b, mask))
        assert len(a) == 2, "There should be two answers in each pair, at the place that is given"
        b = {"no reference": 0 * b, "added": -b, "not frozen": a}.get(fault, b)
        mask = np.ones_like(mask) if fault == "prompt" else mask
        sums = ((a - b) * mask).sum(axis=2)
        sums = sums / mask.sum(axis=2) if fault == "mean" else sums
        z = (1.0 if fault == "no beta" else beta) * (sums[0] - sums[1])
        z = -z if fault == "exchanged" else z
        each = np.log1p(np.exp(-z))
        return float(each.sum() if fault == "sum" else each.mean())

    return loss


def name_of(name_fault, fault, twists):
    """Return what an answer says of a loss."""
    said = name_fault(loss_with(fault, twists))
    if "marks" in twists:
        names = [str(name) for name in said]
        assert len(names) < 2, f"A loss has one fault at most; for one of them you named {names}"
        return names[0] if names else "right"
    return str(said)


def right_loss_is_right(name_fault, *, faults, seed, twists):
    """Try the right loss, and one with exchanged answers."""
    for fault in ("right", "exchanged"):
        found = name_of(name_fault, fault, twists)
        assert found in faults, f"name_fault should return one of {faults}, got {found!r}"
        assert found == fault, f"The loss with the fault {fault!r} is taken for {found!r}"


def faults_are_named(name_fault, *, faults, seed, twists):
    """Try all faults, in an order of its own."""
    for fault in random.Random(seed).sample(faults, len(faults)):
        found = name_of(name_fault, fault, twists)
        assert found == fault, (
            f"The loss with the fault {fault!r} is taken for {found!r}: which single change would "
            "this fault answer in another way than a loss that is right?"
        )
