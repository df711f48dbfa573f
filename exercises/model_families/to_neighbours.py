"""Reorder a map to queries, so that it fits a rotation of neighbours."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion import layers
from exercises import Check, Exercise

QUESTION = r"""
A checkpoint of `transformers` holds the map to the queries for a rotation by halves: in each head, feature $i$ is turned together with $i + d/2$. You want to run it in a program that turns neighbours, $2i$ together with $2i + 1$. Write `to_neighbours(weight, d_head)`, which returns the map with its rows in the order that this program needs. `weight` has shape (H·d, D), for any number of heads; no number is changed, rows only trade places. The scores of rotated queries and rotated keys must come out as before.
"""
STARTER = '''
def to_neighbours(weight, d_head):
    """weight (H·d, D), rows for halves -> (H·d, D), rows for neighbours"""
    ...
'''
HINT = r"In one head of width 4, the rows 0, 1, 2, 3 have to become 0, 2, 1, 3. Cut the rows into heads and each head into its two halves; a transposition puts row $i$ of the first half before row $i$ of the second."
SOLUTION = """
def to_neighbours(weight, d_head):
    halves = weight.unflatten(0, (-1, 2, d_head // 2))  # (H, 2, d/2, D)
    return halves.transpose(1, 2).reshape(weight.shape)
"""
EXPLANATION = r"""
Both rotations turn the same pairs by the same angles; they only look for them in other places. After the reordering, the partners $i$ and $i + d/2$ of a head stand side by side at $2i$ and $2i + 1$. A score is a sum over the features, and a sum does not depend on their order, so if queries *and* keys are reordered alike, every score stays. Values are not rotated and must not be reordered: the output matrix expects their features where they are.
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

expected = scores("halves", w_q, w_k)
moved = [to_neighbours(w, d_head) for w in (w_q, w_k)]
check("the scores stay", scores("neighbours", *moved), expected, 1e-3)
catches("nothing is moved", scores("neighbours", w_q, w_k), expected, 1e-3)
"""
WRONG_ANSWERS = {
    "the other way round": """
def to_neighbours(weight, d_head):
    pairs = weight.unflatten(0, (-1, d_head // 2, 2))
    return pairs.transpose(1, 2).reshape(weight.shape)
""",
    "all heads as if they were one": """
def to_neighbours(weight, d_head):
    halves = weight.unflatten(0, (2, -1))
    return halves.transpose(0, 1).reshape(weight.shape)
""",
    "columns in place of rows": """
def to_neighbours(weight, d_head):
    halves = weight.unflatten(0, (-1, 2, d_head // 2))
    return halves.flip(1).reshape(weight.shape)
""",
    "left as it was": "def to_neighbours(weight, d_head):\n    return weight",
}


def exercise(heads: int = 3, width: int = 8, seed: int = 0) -> Exercise:
    """Return the exercise, tried with so many heads of a width."""
    given = {"heads": heads, "width": width, "seed": seed}
    trial = TRIAL
    for name, value in given.items():
        trial = trial.replace(name.upper(), str(value))
    return Exercise(
        id="model-families-to-neighbours",
        title="Rows that trade places",
        kind="code",
        difficulty=2,
        minutes=20,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=SOLUTION,
        explanation=EXPLANATION,
        visible=(Check(rows_are_all_there, given),),
        hidden=(Check(scores_stay, given),),
        wrong_answers=WRONG_ANSWERS,
        trial=trial,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw heads, a width at which the two orders differ, and numbers."""
    return {
        "heads": rng.randrange(2, 6),
        "width": rng.choice([6, 8, 10, 12]),
        "seed": rng.randrange(10_000),
    }


# -- checks --------------------------------------------------------------------------------------


def rows_are_all_there(to_neighbours, *, heads, width, seed):
    """Check the shape, and that each row is still there once."""
    weight = torch.arange(heads * width)[:, None].expand(-1, 5).double()
    found = to_neighbours(weight.clone(), width)
    assert tuple(found.shape) == tuple(weight.shape), (
        f"The result should have the shape of weight, {tuple(weight.shape)}, "
        f"got {tuple(found.shape)}"
    )
    assert sorted(found[:, 0].tolist()) == weight[:, 0].tolist(), (
        "Each row of weight should stand in the result exactly once"
    )


def scores_stay(to_neighbours, *, heads, width, seed):
    """Rotate queries and keys in both ways and compare their scores."""
    generator = torch.Generator().manual_seed(seed)
    for shape in ((heads, width), (1, width), (heads + 1, 4)):
        rows = shape[0] * shape[1]
        x, w_q, w_k = (
            torch.randn(n, 6, generator=generator, dtype=torch.float64) for n in (5, rows, rows)
        )
        moved = [to_neighbours(w.clone(), shape[1]) for w in (w_q, w_k)]
        found, right = (
            rotated_scores(x, *pair, shape[1], kind)
            for pair, kind in ((moved, "neighbours"), ((w_q, w_k), "halves"))
        )
        assert torch.allclose(found, right, atol=1e-8), (
            f"With {shape[0]} heads of width {shape[1]}, the scores of rotated queries and keys "
            "are others than before"
        )


def rotated_scores(x, w_q, w_k, d_head, kind):
    """Return the scores of all heads after a rotation, (H, T, T)."""
    q, k = ((x @ w.T).unflatten(-1, (-1, d_head)).transpose(0, 1) for w in (w_q, w_k))
    rotary = layers.Rotary(pairs=kind)
    return rotary(q) @ rotary(k).mT
