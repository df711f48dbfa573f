"""One gradient from several parts of a batch, which hold different numbers of tokens."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch
import torch.nn.functional as F

from exercises import Check, Exercise
from exercises.answers import close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
A batch comes in parts, with `logits = x @ weight`; labels of ${{ignored}}$ do not count. Call `backward` once a part. At the end `weight.grad` must be the gradient of the mean loss over all labels that count, as if in one piece. Return that loss. A part may have no label that counts.
"""
STARTER = '''
def backward_in_parts(weight, parts):
    """weight (D, C), requires grad; parts a list of x (n, D), labels (n,)

    Fill weight.grad, and return the mean loss, a float."""
    ...
'''
TWISTS = {
    "count": Twist(
        "Return two numbers: the loss, and how many labels counted.",
        {
            "backward_in_parts": (
                "",
                "result = result, sum(int((y != IGNORED).sum()) for _, y in parts)",
            )
        },
        {"return the mean loss, a float": "return the mean loss, a float, and the count"},
    ),
    "rows": Twist(
        "The weight has a row for each class, as in `nn.Linear`: it is (C, D), and `logits = x @ weight.T`.",
        {
            "backward_in_parts": (
                "leaf, weight = weight, weight.detach().T.clone().requires_grad_()",
                "leaf.grad = weight.grad.T if leaf.grad is None else leaf.grad + weight.grad.T",
            )
        },
        {"weight (D, C)": "weight (C, D)"},
    ),
    "marks": Twist(
        "No label is special here; instead, each part is a triple of `x`, `labels` and `counts`, a boolean tensor (n,) that says which labels count.",
        {
            "backward_in_parts": (
                "parts = [(x, torch.where(counts, y, IGNORED)) for x, y, counts in parts]",
                "",
            )
        },
        {"x (n, D), labels (n,)": "x (n, D), labels (n,), counts (n,)"},
    ),
}
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


def exercise(seed: int = 0, ignored: int = -100, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise in which labels of `ignored` do not count, with `twists`."""
    given = [{"seed": seed + i, "ignored": ignored, "twists": twists} for i in range(3)]
    number = str(ignored)
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"backward_in_parts": "weight, parts"}, twisted)
        return answer.replace("IGNORED", number)

    return Exercise(
        id="losses-in-parts",
        title="As if in one piece",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"ignored": number},
        visible=(Check(one_part_is_as_the_whole, given[0]),),
        hidden=(
            Check(unequal_parts_are_as_the_whole, given[1]),
            Check(empty_parts_are_harmless, given[2]),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("IGNORED", number),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, the label that does not count, and twists."""
    return {
        "seed": rng.randrange(10_000),
        "ignored": rng.choice((-1, -7, -99, 255)),
        "twists": drawn(rng, TWISTS),
    }


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


def plain(backward_in_parts, twists, ignored):
    """Return the function as the page asks for it."""

    def as_on_the_page(weight, parts_of_batch):
        counted = sum(int((y != ignored).sum()) for _, y in parts_of_batch)
        own = weight.detach().T.clone().requires_grad_() if "rows" in twists else weight
        if "marks" in twists:
            parts_of_batch = [(x, y.clamp(0, 3), y != ignored) for x, y in parts_of_batch]
        result = backward_in_parts(own, parts_of_batch)
        if "count" in twists:
            result, told = parts(result, 2)
            assert told == counted, f"{counted} labels count, and not {told}"
        weight.grad = own.grad if own is weight or own.grad is None else own.grad.T
        return result

    return as_on_the_page


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


def one_part_is_as_the_whole(backward_in_parts, *, seed, ignored, twists):
    """Try a single part, in which every label counts."""
    backward_in_parts = plain(backward_in_parts, twists, ignored)
    weight, parts = batch_in_parts(seed, ignored, [6], [0])
    compare_with_one_piece(backward_in_parts, weight, parts, ignored)


def unequal_parts_are_as_the_whole(backward_in_parts, *, seed, ignored, twists):
    """Try parts of different sizes, with labels that do not count."""
    backward_in_parts = plain(backward_in_parts, twists, ignored)
    weight, parts = batch_in_parts(seed, ignored, [6, 2, 9], [1, 0, 6])
    compare_with_one_piece(backward_in_parts, weight, parts, ignored)


def empty_parts_are_harmless(backward_in_parts, *, seed, ignored, twists):
    """Try a part in which no label counts."""
    backward_in_parts = plain(backward_in_parts, twists, ignored)
    weight, parts = batch_in_parts(seed, ignored, [4, 3, 5], [0, 3, 1])
    compare_with_one_piece(backward_in_parts, weight, parts, ignored)
