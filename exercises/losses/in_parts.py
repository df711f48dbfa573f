"""One gradient from several parts of a batch, which hold different numbers of tokens."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = """
A batch comes in parts, with `logits = x @ weight`; labels of ${{ignored}}$ do not count. Call `backward` once a part. At the end `weight.grad` must be the gradient of the mean loss over all labels that count, as if in one piece. Return that loss. A part may have no label that counts.
"""
STARTER = '''
def backward_in_parts(weight, parts):
    """weight (D, C), requires grad; parts a list of x (n, D), labels (n,)

    Fill weight.grad, and return the mean loss, a float."""
    ...
'''
HINT = "`backward` adds to `weight.grad`. By what must the sums be divided, and can you know that before the first part?"
SOLUTION = """
def backward_in_parts(weight, parts):
    total = sum(int((labels != IGNORED).sum()) for _, labels in parts)
    loss = 0.0
    for x, labels in parts:
        part = F.cross_entropy(
            x @ weight, labels, ignore_index=IGNORED, reduction="sum"
        )
        (part / total).backward()
        loss += part.item() / total
    return loss
"""
TRIAL = """
torch.manual_seed(0)
x, y = torch.randn(12, 3), torch.randint(4, (12,))
y[0], y[5:8] = IGNORED, IGNORED
w = torch.randn(3, 4, requires_grad=True)
whole = F.cross_entropy(x @ w, y, ignore_index=IGNORED)
(gradient,) = torch.autograd.grad(whole, w)
for sizes in [12], [4, 8], [5, 3, 4]:
    w.grad = None
    loss_of_parts = backward_in_parts(w, list(zip(x.split(sizes), y.split(sizes))))
    check(f"loss of parts of {sizes}, and of one piece", loss_of_parts, whole, 1e-5)
    check(f"gradient of parts of {sizes}, and of one piece", w.grad, gradient, 1e-5)
"""
EXPLANATION = """
Labels are small, so all can be counted first. Each part contributes its *sum* over that count. A part without labels that count contributes 0, where its mean would be 0 divided by 0.
"""
WRONG_ANSWERS = {
    "a mean of means": """
        def backward_in_parts(weight, parts):
            loss = 0.0
            for x, labels in parts:
                if (labels != IGNORED).any():
                    part = F.cross_entropy(x @ weight, labels, ignore_index=IGNORED)
                    (part / len(parts)).backward()
                    loss += part.item() / len(parts)
            return loss
        """,
    "divided by all labels": """
        def backward_in_parts(weight, parts):
            total = sum(len(labels) for _, labels in parts)
            loss = 0.0
            for x, labels in parts:
                part = F.cross_entropy(
                    x @ weight, labels, ignore_index=IGNORED, reduction="sum"
                )
                (part / total).backward()
                loss += part.item() / total
            return loss
        """,
    "the gradient of the last part alone": """
        def backward_in_parts(weight, parts):
            total = sum(int((labels != IGNORED).sum()) for _, labels in parts)
            loss = 0.0
            for x, labels in parts:
                weight.grad = None
                part = F.cross_entropy(
                    x @ weight, labels, ignore_index=IGNORED, reduction="sum"
                )
                (part / total).backward()
                loss += part.item() / total
            return loss
        """,
    "a part without labels that count": """
        def backward_in_parts(weight, parts):
            total = sum(int((labels != IGNORED).sum()) for _, labels in parts)
            loss = 0.0
            for x, labels in parts:
                n = int((labels != IGNORED).sum())
                part = F.cross_entropy(x @ weight, labels, ignore_index=IGNORED) * n / total
                part.backward()
                loss += part.item()
            return loss
        """,
}


def exercise(seed: int = 0, ignored: int = -100) -> Exercise:
    """Return the exercise in which labels of `ignored` do not count."""
    given = [{"seed": seed + i, "ignored": ignored} for i in range(3)]
    number = str(ignored)
    return Exercise(
        id="losses-in-parts",
        title="As if in one piece",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=SOLUTION.replace("IGNORED", number),
        explanation=EXPLANATION,
        values={"ignored": number},
        visible=(Check(one_part_is_as_the_whole, given[0]),),
        hidden=(
            Check(unequal_parts_are_as_the_whole, given[1]),
            Check(empty_parts_are_harmless, given[2]),
        ),
        wrong_answers={
            mistake: code.replace("IGNORED", number) for mistake, code in WRONG_ANSWERS.items()
        },
        public_solution=True,
        trial=TRIAL.replace("IGNORED", number),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, and the label that does not count."""
    return {"seed": rng.randrange(10_000), "ignored": rng.choice((-1, -7, -99, 255))}


# -- checks --------------------------------------------------------------------------------------


def batch_in_parts(seed: int, ignored: int, sizes, left_out):
    """Draw a weight and parts of these sizes, with so many labels in each that do not count."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    parts = []
    for size, out in zip(sizes, left_out, strict=True):
        x = torch.randn(size, 3, generator=generator, dtype=torch.float64)
        labels = torch.randint(4, (size,), generator=generator)
        labels[:out] = ignored
        parts.append((x, labels))
    return weight, parts


def compare_with_one_piece(backward_in_parts, weight, parts, ignored):
    """Compare loss and gradient with those of all parts joined."""
    whole = weight.clone().requires_grad_()
    x, labels = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    expected = F.cross_entropy(x @ whole, labels, ignore_index=ignored)
    expected.backward()
    mine = weight.clone().requires_grad_()
    loss = float(backward_in_parts(mine, parts))
    assert mine.grad is not None, "weight.grad is empty afterwards; call backward for each part"
    counts = ", ".join(f"{(labels != ignored).sum()}/{len(labels)}" for _, labels in parts)
    assert close(loss, expected, "The loss"), (
        f"With parts of which {counts} labels count, the loss should be {expected.item():.6f}, "
        f"got {loss:.6f}"
    )
    error = (mine.grad - whole.grad).abs().max().item()
    assert error < 1e-5, (
        f"With parts of which {counts} labels count, the gradient differs from that of one piece "
        f"by {error:.2g}"
    )


def one_part_is_as_the_whole(backward_in_parts, *, seed, ignored):
    """Try a single part, in which every label counts."""
    weight, parts = batch_in_parts(seed, ignored, [6], [0])
    compare_with_one_piece(backward_in_parts, weight, parts, ignored)


def unequal_parts_are_as_the_whole(backward_in_parts, *, seed, ignored):
    """Try parts of different sizes, with labels that do not count."""
    weight, parts = batch_in_parts(seed, ignored, [6, 2, 9], [1, 0, 6])
    compare_with_one_piece(backward_in_parts, weight, parts, ignored)


def empty_parts_are_harmless(backward_in_parts, *, seed, ignored):
    """Try a part in which no label counts."""
    weight, parts = batch_in_parts(seed, ignored, [4, 3, 5], [0, 3, 1])
    compare_with_one_piece(backward_in_parts, weight, parts, ignored)
