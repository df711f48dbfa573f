"""Reorder a map to queries, so that it fits a rotation of other pairs."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion import layers
from exercises import Check, Exercise
from exercises.answers import array
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = r"""
FROM Here $d$ is the number of features of a head, `d_head`. Write `reorder_rows(weight, d_head)`, which returns the matrix with its rows in the order that your program needs. `weight` has shape (H·d, D), for any number $H$ of heads; only whole rows move. If the matrix of the keys is reordered in the same way, the scores of rotated queries and rotated keys must be the same as before.
"""
# What takes the place of FROM, by the rotation that the program makes.
FROM = {
    "neighbours": "In a checkpoint of `transformers`, the matrix that makes the queries is meant for a rotation by halves: in each head, feature $i$ is rotated together with feature $i + d/2$. You want to use it in a program that rotates neighbours, $2i$ together with $2i + 1$.",
    "halves": "In llama.cpp's file of a Llama, the matrix that makes the queries is meant for a rotation of neighbours: in each head, feature $2i$ is rotated together with feature $2i + 1$. You want to use it in a program that rotates by halves, $i$ together with $i + d/2$.",
}
STARTER = '''
def reorder_rows(weight, d_head):
    """weight (H·d, D) -> (H·d, D), its rows in another order"""
    ...
'''
TWISTS = {
    "columns": Twist(
        "Here the matrix is stored the other way round, to be applied as `x @ weight`: it has shape (D, H·d), and whole *columns* move.",
        {"reorder_rows": ("weight = weight.T", "result = result.T")},
        {
            "weight (H·d, D) -> (H·d, D), its rows in another order": "weight (D, H·d) -> (D, H·d), its columns in another order"
        },
    ),
    "heads": Twist(
        "The second argument is not $d$ but the number of heads, $H$.",
        {"reorder_rows": ("d_head = weight.shape[0] // d_head", "")},
        {'order"""': 'order\n\n    d_head is the number of heads here, H"""'},
    ),
}
HINTS = {
    "neighbours": "In one head of width 6, the rows 0, 1, 2, 3, 4, 5 have to become 0, 3, 1, 4, 2, 5. Cut the rows into heads and each head into its two halves; a transposition puts row $i$ of the first half before row $i$ of the second.",
    "halves": "In one head of width 6, the rows 0, 1, 2, 3, 4, 5 have to become 0, 2, 4, 1, 3, 5. Cut the rows into heads and each head into its pairs; a transposition puts the first ones of all pairs before the second ones.",
}
SOLUTIONS = {
    "neighbours": """
def reorder_rows(weight, d_head):
    halves = weight.unflatten(0, (-1, 2, d_head // 2))  # (H, 2, d/2, D)
    return halves.transpose(1, 2).reshape(weight.shape)
""",
    "halves": """
def reorder_rows(weight, d_head):
    pairs = weight.unflatten(0, (-1, d_head // 2, 2))  # (H, d/2, 2, D)
    return pairs.transpose(1, 2).reshape(weight.shape)
""",
}
EXPLANATION = r"""
Both rotations turn the same pairs by the same angles; only the places differ. Two features that stand at $i$ and $i + d/2$ in one order stand side by side, at $2i$ and $2i + 1$, in the other. A score is a sum over the features, and a sum does not depend on their order. So every score stays the same if queries *and* keys are reordered alike. Values are not rotated and must not be reordered: the output matrix expects their features where they are.
"""
TRIAL = """
torch.manual_seed(SEED)
x, d_head = torch.randn(1, 6, 10), WIDTH
w_q, w_k = torch.randn(2, HEADS * d_head, 10)
rotations = {kind: layers.Rotary(pairs=kind) for kind in ("halves", "neighbours")}

def scores(kind, w_q, w_k):
    q, k = (
        rotations[kind]((x @ w.T).unflatten(-1, (-1, d_head)).transpose(1, 2))
        for w in (w_q, w_k)
    )
    return q @ k.mT  # (1, H, 6, 6)

expected = scores("BEFORE", w_q, w_k)
moved = [reorder_rows(w, d_head) for w in (w_q, w_k)]
check("the scores stay", scores("AFTER", *moved), expected, 1e-3)
catches("nothing is moved", scores("AFTER", w_q, w_k), expected, 1e-3)
"""
WRONG_ANSWERS = {
    "all heads as if they were one": """
def reorder_rows(weight, d_head):
    halves = weight.unflatten(0, (2, -1))
    return halves.transpose(0, 1).reshape(weight.shape)
""",
    "the halves exchanged": """
def reorder_rows(weight, d_head):
    halves = weight.unflatten(0, (-1, 2, d_head // 2))
    return halves.flip(1).reshape(weight.shape)
""",
    "left as it was": "def reorder_rows(weight, d_head):\n    return weight",
}


def exercise(
    heads: int = 3,
    width: int = 8,
    seed: int = 0,
    after: str = "neighbours",
    twists: tuple[str, ...] = (),
) -> Exercise:
    """Return the exercise, tried with heads of a width, for a program that turns `after`."""
    (before,) = set(FROM) - {after}
    given = {"heads": heads, "width": width, "seed": seed, "after": after, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"reorder_rows": "weight, d_head"}, twisted)

    numbers = {"HEADS": heads, "WIDTH": width, "SEED": seed, "BEFORE": before, "AFTER": after}
    trial = TRIAL
    for name, value in numbers.items():
        trial = trial.replace(name, str(value))
    return Exercise(
        id="model-families-reorder-rows",
        title="Rows that trade places",
        kind="code",
        difficulty=2,
        minutes=20,
        points=3,
        question=asked(QUESTION.replace("FROM", FROM[after]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINTS[after],
        solution=filled(SOLUTIONS[after]),
        explanation=EXPLANATION,
        visible=(Check(rows_are_all_there, given),),
        hidden=(Check(scores_stay, given),),
        wrong_answers={
            mistake: filled(code)
            for mistake, code in {"the other way round": SOLUTIONS[before], **WRONG_ANSWERS}.items()
        },
        trial="" if twists else trial,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw heads, a width at which the two orders differ, and numbers."""
    chosen = drawn(rng, ("halves", *TWISTS))
    return {
        "heads": rng.randrange(2, 6),
        "width": rng.choice([6, 8, 10, 12]),
        "seed": rng.randrange(10_000),
        "after": "halves" if "halves" in chosen else "neighbours",
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(reorder_rows, twists):
    """Return the function as the page asks for it."""

    def as_on_the_page(weight, d_head):
        given = weight.T if "columns" in twists else weight
        number = weight.shape[0] // d_head if "heads" in twists else d_head
        found = array(reorder_rows(given, number))
        return found.T if "columns" in twists else found

    return as_on_the_page


def rows_are_all_there(reorder_rows, *, heads, width, seed, after, twists):
    """Check the shape, and that each row is still there once."""
    reorder_rows = plain(reorder_rows, twists)
    weight = torch.arange(heads * width)[:, None].expand(-1, 5).double()
    found = array(reorder_rows(weight.clone(), width))
    assert tuple(found.shape) == tuple(weight.shape), (
        f"The result should have the shape of weight, {tuple(weight.shape)}, "
        f"got {tuple(found.shape)}"
    )
    assert sorted(found[:, 0].tolist()) == weight[:, 0].tolist(), (
        "Each row of weight should stand in the result exactly once"
    )


def scores_stay(reorder_rows, *, heads, width, seed, after, twists):
    """Rotate queries and keys in both ways and compare their scores."""
    reorder_rows = plain(reorder_rows, twists)
    generator = torch.Generator().manual_seed(seed)
    (before,) = {"halves", "neighbours"} - {after}
    for shape in ((heads, width), (1, width), (heads + 1, 6)):
        rows = shape[0] * shape[1]
        x, w_q, w_k = (
            torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (5, rows, rows)
        )
        moved = [torch.tensor(array(reorder_rows(w.clone(), shape[1]))) for w in (w_q, w_k)]
        found, right = (
            rotated_scores(x, *pair, shape[1], kind)
            for pair, kind in ((moved, after), ((w_q, w_k), before))
        )
        assert torch.allclose(found, right, atol=0.1), (
            f"With {shape[0]} heads of width {shape[1]}, the scores of rotated queries and keys "
            "are others than before"
        )


def rotated_scores(x, w_q, w_k, d_head, kind):
    """Return the scores of all heads after a rotation, (H, T, T)."""
    q, k = ((x @ w.T).unflatten(-1, (-1, d_head)).transpose(0, 1) for w in (w_q, w_k))
    rotary = layers.Rotary(pairs=kind)
    return rotary(q) @ rotary(k).mT
