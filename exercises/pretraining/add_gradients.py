"""Add up gradients of micro-batches so that they are those of the whole batch."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from exercises import Check, Exercise
from exercises.answers import close
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
The loss of a step is LOSS. A target of `-100` does not count, and a text without any target does not count either. The batch is too large for the memory and comes in parts: `batches` is a list of CONTENT. `model(inputs)` returns logits of shape (B, T, V). Write `add_gradients(model, batches)`, which runs one part after the other forward and backward. Afterwards `.grad` of each parameter must be the gradient of the loss of the step. At the beginning no parameter has a gradient. Parts may differ in B and in T, and a part may have no target at all.
"""
# What takes the place of LOSS and of CONTENT.
LOSSES = {
    "texts": "a mean over texts: for each text the mean cross-entropy of its own targets, and the mean of these numbers over all texts of the step, so that a short answer counts as much as a long one",
    "targets": "the mean cross-entropy of all targets of the step",
    "weights": "a weighted mean over all targets of the step: the sum of weight times cross-entropy, divided by the sum of the weights of all targets that count",
}
PAIRS = "pairs `inputs`, `targets` (whole numbers, both of shape (B, T))"
TRIPLES = "triples `inputs`, `targets`, `weights` (the first two whole numbers, the weights above 0; all of shape (B, T))"
CONTENTS = {"texts": PAIRS, "targets": PAIRS, "weights": TRIPLES}
STARTER = '''
def add_gradients(model, batches):
    """batches: list of (inputs, targets), each (B, T)"""
    ...
'''
TWISTS = {
    "loss": Twist(
        "Return the loss of the step, a Python number.",
        {},
        {"each (B, T)": "each (B, T) -> loss, a float"},
    ),
    "once": Twist(
        "`batches` is an iterator here: its parts can be gone through only once. (They are small, since they hold nothing but whole numbers. What is too large is what the model keeps for the backward pass.)",
        {"add_gradients": ("batches = list(batches)", "")},
        {"batches: list of": "batches: iterator of"},
    ),
    "minus": Twist(
        "The loss is to be made as *large* as possible, by an optimiser that makes it small: `.grad` must hold the gradient times $-1$.",
        {
            "add_gradients": (
                "",
                "for p in model.parameters():\n    p.grad.neg_()",
            )
        },
    ),
}
HINT = 'By what must the sum over all parts be divided? It is known before the first part is run. `losses.cross_entropy(..., reduction="none")` returns one number for each target, and 0 where none counts.'
# In these answers COUNT is what a part adds to the denominator, and TOTAL the sum of its losses.
SOLUTION = """
def add_gradients(model, batches):
    n, step_loss = sum(COUNT for UNPACK in batches), 0.0
    for UNPACK in batches:
        each = losses.cross_entropy(model(inputs), targets, reduction="none")
        loss = TOTAL / n
        loss.backward()
        step_loss += loss.item()
    RETURN
"""
NO_LOSS = {
    ", step_loss = sum(": " = sum(",
    ", 0.0\n": "\n",
    "        step_loss += loss.item()\n": "",
    "    step_loss = whole.item()\n": "",
    "    RETURN\n": "",
}
ONE_PASS = """
def add_gradients(model, batches):
    n, whole = sum(COUNT for UNPACK in batches), 0
    for UNPACK in batches:
        each = losses.cross_entropy(model(inputs), targets, reduction="none")
        whole = whole + TOTAL / n
    whole.backward()
    step_loss = whole.item()
    RETURN
"""
UNPACK = {
    "texts": "inputs, targets",
    "targets": "inputs, targets",
    "weights": "inputs, targets, weights",
}
COUNT = {
    "texts": "(targets != -100).any(dim=1).sum()",
    "targets": "(targets != -100).sum()",
    "weights": "weights[targets != -100].sum()",
}
TOTAL = {
    "texts": "(each.sum(dim=1) / (targets != -100).sum(dim=1).clamp(min=1)).sum()",
    "targets": "each.sum()",
    "weights": "(weights * each).sum()",
}
# What is counted if targets that do not count are taken for some that do.
ALL_COUNT = {"texts": "len(targets)", "targets": "targets.numel()", "weights": "weights.sum()"}
EXPLANATION = """
The gradient of a sum is the sum of the gradients, and `backward` adds. So each part contributes its *sum*, divided by a number that belongs to the whole step and is known before it begins. A mean over a part is right only if all parts count the same. Which number it is depends on the loss: targets, texts or weights. A part without a target adds 0; a mean over it would be 0 divided by 0, and `losses.cross_entropy` refuses to take it. And `backward` is called for each part before the next is run; a single call at the end would give the same numbers, but the model would have to keep everything for it.
"""
TRIAL = """
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Linear(4, 9)).double()
inputs = torch.randint(9, (5, 6))
targets = torch.full((5, 6), -100)
for row, n in enumerate([6, 1, 0, 3, 2]):
    targets[row, :n] = torch.arange(1, n + 1)
# all texts in one part, by PyTorch alone
each = torch.nn.functional.cross_entropy(model(inputs).mT, targets, reduction="none")
per_text = [each[i, :n].mean() for i, n in ((0, 6), (1, 1), (3, 3), (4, 2))]
sum(per_text).div(4).backward()
right = [p.grad.clone() for p in model.parameters()]
model.zero_grad()
add_gradients(model, [(inputs[i:j], targets[i:j]) for i, j in ((0, 2), (2, 3), (3, 5))])
for p, expected in zip(model.parameters(), right):
    check("gradient", p.grad, expected, 1e-12)
running = []  # parts whose backward pass has not been run


def watched(inputs):
    check("one part at a time", not running)
    running.append(1)
    logits = model(inputs)
    logits.register_hook(lambda _: running.clear())
    return logits


watched.parameters = model.parameters
model.zero_grad()
add_gradients(watched, [(inputs[:2], targets[:2]), (inputs[3:], targets[3:])])
"""


def _code(code: str, rule: str, loss: bool) -> str:
    """Return an answer for a kind of loss, which returns its value or does not."""
    changes = {"RETURN": "return step_loss"} if loss else NO_LOSS
    for old, new in (changes | {"COUNT": COUNT[rule], "TOTAL": TOTAL[rule]}).items():
        code = code.replace(old, new)
    return code.replace("UNPACK", UNPACK[rule])


def wrong_answers(rule: str) -> dict[str, str]:
    """Return mistakes, for each kind of loss."""
    other = "texts" if rule == "targets" else "targets"
    own = f"loss = (TOTAL / {COUNT[rule]} if {COUNT[rule]} else 0 * each.sum()) / len(batches)"
    return {
        "the mean of the means": SOLUTION.replace("loss = TOTAL / n", own),
        "what does not count is counted": SOLUTION.replace("COUNT", ALL_COUNT[rule]),
        "the last part alone": SOLUTION.replace(
            "        each =",
            "        for p in model.parameters():\n            p.grad = None\n        each =",
        ),
        "another loss": SOLUTION.replace("COUNT", COUNT[other]).replace("TOTAL", TOTAL[other]),
        "one backward pass at the end": ONE_PASS,
    }


def exercise(rule: str = "texts", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise for a mean over texts, over targets, or over weighted targets."""
    twisted = [TWISTS[name] for name in twists]
    given = {"rule": rule, "seed": seed, "twists": twists}

    def filled(code: str) -> str:
        answer = _code(code, rule, "loss" in twists)
        return wrapped(answer, {"add_gradients": "model, batches"}, twisted)

    question = QUESTION.replace("LOSS", LOSSES[rule]).replace("CONTENT", CONTENTS[rule])
    starter = STARTER.replace("inputs, targets", UNPACK[rule])
    return Exercise(
        id="pretraining-add-gradients",
        title="A batch in parts",
        kind="code",
        difficulty=2,
        minutes=25,
        points=4,
        question=asked(question, twisted),
        starter=begun(starter, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(one_part_is_the_whole, given),),
        hidden=(Check(parts_add_up, given), Check(parts_without_targets_add_nothing, given)),
        wrong_answers={mistake: filled(code) for mistake, code in wrong_answers(rule).items()},
        public_solution=True,
        trial="" if twists or rule != "texts" else TRIAL,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a kind of loss, numbers, and twists."""
    chosen = drawn(rng, ("rule", *TWISTS))
    return {
        "rule": rng.choice(("targets", "weights")) if "rule" in chosen else "texts",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------

V = 7


# A small model that notices if a part is run before the one before it is done.
class Watched(nn.Module):
    """A watchful model."""

    def __init__(self, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table, self.out = (
            nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))
            for shape in ((V, 3), (3, V))
        )
        self.running = False

    def forward(self, inputs):
        """Return logits."""
        assert not self.running, (
            "The next part is run before the backward pass of the one before it: the model has to "
            "keep everything for both"
        )
        logits = self.table[inputs] @ self.out
        if logits.requires_grad and inputs.any():  # a part of zeros has no targets
            self.running = True
            logits.register_hook(self.done)
        return logits

    def done(self, _):
        """Stop watching."""
        self.running = False


def a_part(counts, length, seed):
    """Return inputs, targets and weights of texts with so many targets each."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randint(1, V, (len(counts), length), generator=generator)
    targets = torch.randint(V, (len(counts), length), generator=generator)
    weights = 0.5 + torch.rand(inputs.shape, generator=generator, dtype=torch.float64)
    for row, count in enumerate(counts):
        targets[row, count:] = -100
    return inputs * bool(sum(counts)), targets, weights


def right_step(batches, rule, seed):
    """Return the loss of a step and its gradients, text by text."""
    model, texts = Watched(seed), []
    for inputs, targets, weights in batches:
        logits = model.table[inputs] @ model.out
        each = F.cross_entropy(logits.mT, targets, reduction="none")
        counts = targets != -100
        rows = [row for row in range(len(targets)) if counts[row].any()]
        texts += [(each[row][counts[row]], weights[row][counts[row]]) for row in rows]
    if rule == "texts":
        loss = torch.stack([each.mean() for each, _ in texts]).mean()
    else:
        each, weights = (torch.cat(column) for column in zip(*texts, strict=True))
        weights = weights if rule == "weights" else torch.ones_like(weights)
        loss = (weights * each).sum() / weights.sum()
    return loss.item(), torch.autograd.grad(loss, tuple(model.parameters()))


def agrees(add_gradients, batches, rule, seed, twists):
    """Tell whether a step has the right gradients, and return the loss that it gives, and ours."""
    model, (loss, right) = Watched(seed), right_step(batches, rule, seed)
    given = [part if rule == "weights" else part[:2] for part in batches]
    told = add_gradients(model, iter(given) if "once" in twists else given)
    sign = -1 if "minus" in twists else 1
    found = [p.grad for p in model.parameters()]
    assert all(grad is not None for grad in found), (
        "After add_gradients some parameter has no gradient: its .grad is None"
    )
    if "loss" in twists:
        assert isinstance(told, float), (
            f"add_gradients should return the loss as a Python number, got {type(told).__name__}"
        )
    same = all(
        torch.allclose(sign * grad, wanted, rtol=0, atol=1e-6)
        for grad, wanted in zip(found, right, strict=True)
    )
    return same, told, loss


def one_part_is_the_whole(add_gradients, *, rule, seed, twists):
    """Check a step of a single part, in which all targets count."""
    batches = [a_part([4, 4], 4, seed)]
    same, told, loss = agrees(add_gradients, batches, rule, seed, twists)
    assert same, "With a single part, .grad is not the gradient of the loss of this part"
    if "loss" in twists:
        assert close(told, loss, "the loss"), f"The loss of a single part is {loss:.4f}, not {told}"


def parts_add_up(add_gradients, *, rule, seed, twists):
    """Check parts with different numbers of texts and of targets."""
    batches = [a_part([5, 3, 1], 5, seed), a_part([2], 2, seed + 1), a_part([6, 1, 0], 8, seed + 2)]
    same, told, loss = agrees(add_gradients, batches, rule, seed, twists)
    assert same, (
        "With parts of 9, 2 and 7 targets in 3, 1 and 2 texts, .grad is not the gradient of the "
        "whole batch: is each sum divided by a number that belongs to the whole step, and is only "
        "counted what counts?"
    )
    if "loss" in twists:
        assert close(told, loss, "the loss"), f"The loss of a step of three parts is not {told}"


def parts_without_targets_add_nothing(add_gradients, *, rule, seed, twists):
    """Check a step in which no target of one part counts."""
    batches = [a_part([3, 1], 3, seed), a_part([0, 0], 6, seed + 1), a_part([2], 4, seed + 2)]
    try:
        same, told, loss = agrees(add_gradients, batches, rule, seed, twists)
    except (ValueError, ZeroDivisionError) as error:
        raise AssertionError(f"A part in which no target counts fails: {error}") from None
    assert same, (
        "With a part in which no target counts, .grad is not the gradient of the other parts: "
        "such a part adds 0, and is not counted"
    )
    if "loss" in twists:
        assert close(told, loss, "the loss"), f"A part without targets should add 0, got {told}"
