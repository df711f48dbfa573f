"""Predict which of LoRA's matrices change in the first step, and in the second."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

# How the question says it, and why it comes out as it does.
CASES = {
    "standard": (
        "$B$ starts as 0 and $A$ at random, as usual",
        "the gradient of $A$ has $B$ as a factor, so $A$ waits until $B$ has moved.",
    ),
    "turned": (
        "$A$ starts as 0 and $B$ at random",
        "the gradient of $B$ has $Ax$ as a factor, so here $B$ waits for $A$. This works as well.",
    ),
    "zeros": (
        "both start as 0",
        "each gradient has the other matrix as a factor, so both are 0 for ever.",
    ),
    "random": (
        "both start at random",
        "both have a gradient at once, but the model is no longer the pretrained one when training begins.",
    ),
    "zeros_adam": (
        "both start as 0, and Adam takes the place of gradient descent",
        "Adam divides by the size of the gradients, but 0 remains 0.",
    ),
    "standard_adam": (
        "$B$ starts as 0 and $A$ at random, and Adam takes the place of gradient descent",
        "the gradient of $A$ is 0 in the first step, whatever an optimiser makes of it.",
    ),
    "decay": (
        "$B$ starts as 0 and $A$ at random, and there is weight decay on both",
        "weight decay shrinks $A$ in the first step, before it has a gradient. $B$ has a gradient.",
    ),
    "frozen": (
        "$B$ starts as 0, and $A$ starts at random and is frozen",
        "only $B$ is trained, on a random projection of the input that stays.",
    ),
    "exact": (
        "$B$ starts as 0 and $A$ at random, and the frozen matrix gives exactly the targets already",
        "the error is 0, and with it all gradients.",
    ),
    "silent": (
        "$B$ starts as 0 and $A$ at random, and all inputs are 0",
        "both gradients have the input as a factor.",
    ),
}
QUESTION = r"""
A frozen matrix $W$ has LoRA of rank 2 beside it, and both $A$ and $B$ are trained by gradient descent, without weight decay, on the squared distance to some targets. The inputs and targets are random numbers, the same in every step. All of this holds in each case below, except for what the case says. Which of the two matrices has changed after one step, and which after two?

{cases}

Write `"A"`, `"B"`, `"both"` or `"neither"`. Predict first, with a reason for each; then run it.
"""
STARTER = """
moved_after_one = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}
moved_after_two = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}
"""
HINT = r"Write down the two gradients: with the error $e$ and the input $x$, that of $B$ is $e\,(Ax)^\top$ and that of $A$ is $B^\top e\, x^\top$, but for a factor. Which of their parts is 0? Does anything besides the gradient move a weight?"
EXPLANATION = r"""
{reasons}

A change that is a product needs one factor that is not 0 to begin with. It does not matter which of the two that is.
"""
TRIAL = """
def moved(steps, start=("random", "zero"), kind=torch.optim.SGD, decay=0.0,
          frozen=False, exact=False, silent=False):
    torch.manual_seed(0)
    W, x, t = torch.randn(4, 3), torch.randn(8, 3), torch.randn(8, 4)
    if silent:
        x = 0 * x
    if exact:
        t = x @ W.T
    A, B = torch.randn(2, 3), torch.randn(4, 2)
    if start[0] == "zero":
        A = 0 * A
    if start[1] == "zero":
        B = 0 * B
    before = A.clone(), B.clone()
    A.requires_grad_(not frozen)
    B.requires_grad_()
    trained = [B] if frozen else [A, B]
    optimiser = kind(trained, lr=0.01, weight_decay=decay)
    for _ in range(steps):
        optimiser.zero_grad()
        (x @ W.T + x @ A.T @ B.T - t).square().sum().backward()
        optimiser.step()
    a, b = (not torch.equal(p, q) for p, q in zip((A, B), before))
    return "both" if a and b else "A" if a else "B" if b else "neither"

cases = {
CASES}
for case, options in cases.items():
    one, two = moved(1, **options), moved(2, **options)
    print(f"({case}) after one step {one}, after two {two}")
    check(f"after one step ({case})", moved_after_one[case], one)
    check(f"after two steps ({case})", moved_after_two[case], two)
"""
# The same as options of `moved`.
OPTIONS: dict[str, dict[str, Any]] = {
    "standard": {},
    "turned": {"start": ("zero", "random")},
    "zeros": {"start": ("zero", "zero")},
    "random": {"start": ("random", "random")},
    "zeros_adam": {"start": ("zero", "zero"), "kind": "Adam"},
    "standard_adam": {"kind": "Adam"},
    "decay": {"decay": 0.1},
    "frozen": {"frozen": True},
    "exact": {"exact": True},
    "silent": {"silent": True},
}
PAGE = ("turned", "zeros", "decay", "standard_adam", "random")


def exercise(cases: tuple[str, ...] = PAGE) -> Exercise:
    """Return the exercise with five `cases`."""
    one, two = fates_of(cases, 1), fates_of(cases, 2)
    letters = dict(zip(cases, "abcde", strict=True))
    listed = [f"- ({{{{{case}}}}}) {CASES[case][0]}" for case in cases]
    reasons = [
        f"- ({{{{{case}}}}}) {{{{{case}_one}}}}, then {{{{{case}_two}}}}: {CASES[case][1]}"
        for case in cases
    ]
    return Exercise(
        id="fine-tuning-who-moves",
        title="Who moves first?",
        kind="predict",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION.replace("{cases}", "\n".join(listed)),
        starter=STARTER,
        hint=HINT,
        solution=_answer(one, two),
        explanation=EXPLANATION.replace("{reasons}", "\n".join(reasons)),
        values={
            **letters,
            **{f"{case}_one": one[letter] for case, letter in letters.items()},
            **{f"{case}_two": two[letter] for case, letter in letters.items()},
        },
        visible=(Check(fates_of_both_are_named),),
        hidden=(
            Check(first_step_comes_true, {"cases": cases}),
            Check(second_step_comes_true, {"cases": cases}),
        ),
        wrong_answers=_wrong_answers(letters, one, two),
        public_solution=True,
        words=True,
        trial=TRIAL.replace("CASES", _calls(letters)),
    )


def _answer(one: dict[str, str], two: dict[str, str]) -> str:
    return f"moved_after_one = {one}\nmoved_after_two = {two}"


def _calls(letters: dict[str, str]) -> str:
    lines = ""
    for case, letter in letters.items():
        options = str(OPTIONS[case]).replace("'Adam'", "torch.optim.Adam").replace("'", '"')
        lines += f'    "{letter}": {options},\n'
    return lines


def _wrong_answers(
    letters: dict[str, str], one: dict[str, str], two: dict[str, str]
) -> dict[str, str]:
    turned = {"A": "B", "B": "A", "both": "both", "neither": "neither"}
    first = {k: turned[v] for k, v in one.items()}
    if first == one:  # if no case moves one of them alone
        first = one | {"a": "A"}
    zero = letters.get("zeros") or letters["zeros_adam"]
    return {
        "whatever is trained moves at once": _answer(dict.fromkeys(one, "both"), two),
        "nothing new in the second step": _answer(one, one),
        "the roles are exchanged": _answer(first, two),
        "two zeros find a way": _answer(one, two | {zero: "both"}),
        "a word that was not offered": _answer(one | {"c": "none of them"}, two),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw five cases: one in which something waits, one of zeros, three more."""
    while True:
        waits = rng.choice(["standard", "turned", "standard_adam"])
        stuck = rng.choice(["zeros", "zeros_adam"])
        rest = [case for case in CASES if case not in (waits, stuck)]
        cases = [waits, stuck, *rng.sample(rest, 3)]
        rng.shuffle(cases)
        if tuple(cases) != PAGE:
            return {"cases": tuple(cases)}


# -- checks --------------------------------------------------------------------------------------


def fates_of(cases, steps) -> dict[str, str]:
    """Train each case in double precision and say which matrices have changed."""
    return {
        letter: one_fate(steps, **OPTIONS[case])
        for letter, case in zip("abcde", cases, strict=True)
    }


def one_fate(
    steps,
    start=("random", "zero"),
    kind="SGD",
    decay=0.0,
    frozen=False,
    exact=False,
    silent=False,
):
    """Return which of both matrices have changed after some steps."""
    generator = torch.Generator().manual_seed(3)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    W, x, t, A, B = normal(4, 3), normal(8, 3), normal(8, 4), normal(2, 3), normal(4, 2)
    x = 0 * x if silent else x
    t = x @ W.T if exact else t
    A, B = (0 * p if how == "zero" else p for p, how in zip((A, B), start, strict=True))
    parameters = [torch.nn.Parameter(p.clone()) for p in (A, B)]
    parameters[0].requires_grad_(not frozen)
    trained = [p for p in parameters if p.requires_grad]
    optimiser = getattr(torch.optim, kind)(trained, lr=0.01, weight_decay=decay)
    for _ in range(steps):
        optimiser.zero_grad()
        (x @ W.T + x @ parameters[0].T @ parameters[1].T - t).square().sum().backward()
        optimiser.step()
    a, b = (not torch.equal(p.detach(), q) for p, q in zip(parameters, (A, B), strict=True))
    return "both" if a and b else "A" if a else "B" if b else "neither"


def fates_of_both_are_named(moved_after_one, moved_after_two):
    """Check that each case has one of the four words, for both steps."""
    for given in (moved_after_one, moved_after_two):
        words_for_cases(given, ("A", "B", "both", "neither"))


def first_step_comes_true(moved_after_one, *, cases):
    """Take one step in each case."""
    truth = fates_of(cases, 1)
    wrong = otherwise(moved_after_one, truth)
    assert not wrong, (
        f"One step gives another result for {', '.join(wrong)}: which factors of the two gradients "
        "are 0, and does anything else move a weight?"
    )


def second_step_comes_true(moved_after_two, *, cases):
    """Take two steps in each case."""
    truth = fates_of(cases, 2)
    wrong = otherwise(moved_after_two, truth)
    assert not wrong, (
        f"Two steps give another result for {', '.join(wrong)}: what has the first step made of "
        "the factor that was 0?"
    )
