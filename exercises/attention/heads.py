"""Cut features into heads, join them, and make multi-head attention of it."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion.reference import attention as reference
from exercises import Check, Exercise
from exercises.attention.answers_on_heads import FORMULA, SOLUTION, WRONG_ANSWERS

QUESTION = """
Write `split_heads` and its exact inverse `join_heads`, for any number of leading dimensions (also none). With them, write `multi_head` of equation {eq}`eq-multihead`.
"""
IN_FRONT = """
Here the heads come first of all, in front of every leading dimension: `split_heads` gives `(H, ..., T, D/H)`.
"""
STARTER = '''
def split_heads(x, n_heads):
    """(..., T, D) to {shape}"""
    ...

def join_heads(x):
    """{shape} to (..., T, D)"""
    ...

def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
    """x (..., T, D) and four matrices (D, D), applied as x @ w"""
    ...
'''
HINT = "First cut the last dimension in two, then move the heads in front of the positions. Joining undoes the steps in the opposite order. Count dimensions from the end."
HINT_IN_FRONT = "First cut the last dimension in two, then move the heads to the very front. Joining undoes the steps in the opposite order. Count the other dimensions from the end."
TRIAL = """
torch.manual_seed(0)
for lead in (), (2,), (2, 5):
    x = torch.randn(*lead, 7, 12)
    heads = split_heads(x, 3)
    check(f"shape of the heads, {len(lead)} dimensions lead", heads.shape, (*lead, 3, 7, 4))
    check("the last head has the last features", heads[..., 2, :, :], x[..., 8:])
    check("split and joined again", join_heads(heads), x)
x, w_q, w_k, w_v, w_o = torch.randn(5, 12, 12, dtype=torch.float64)
theirs = torch.nn.MultiheadAttention(12, 3, bias=False, dtype=torch.float64)
with torch.no_grad():
    theirs.in_proj_weight[:] = torch.cat([w_q, w_k, w_v], dim=1).T
    theirs.out_proj.weight[:] = w_o.T
    check("multi_head, by PyTorch", multi_head(x, w_q, w_k, w_v, w_o, 3), theirs(x, x, x)[0])
"""
EXPLANATION = """
Features may be cut and moved, positions may not. That joining undoes splitting does not show that splitting is right: two plain `reshape`s undo each other as well, with rows cut in the wrong place. What shows it is to change one position and to see which positions of each head move, or to compare with an implementation that you did not write.
"""


def exercise(seed: int = 0, n_heads: int = 3, width: int = 4, front: bool = False) -> Exercise:
    """Return the exercise with the heads beside the positions, or in `front` of everything."""
    given = [{"seed": seed + i, "n_heads": n_heads, "width": width} for i in range(4)]
    layout = {"front": front}
    return Exercise(
        id="attention-heads",
        title="Cut and join",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=f"{QUESTION}{IN_FRONT}" if front else QUESTION,
        starter=STARTER.format(shape="(H, ..., T, D/H)" if front else "(..., H, T, D/H)"),
        hint=HINT_IN_FRONT if front else HINT,
        solution=SOLUTION[front].strip() + FORMULA,
        explanation=EXPLANATION,
        visible=(
            Check(join_undoes_split, given[0]),
            Check(heads_have_their_shape, {"n_heads": n_heads, "width": width} | layout),
        ),
        hidden=(
            Check(positions_stay_apart, given[1] | layout),
            Check(leading_dimensions_are_free, given[2] | layout),
            Check(agrees_with_formula, given[3]),
        ),
        wrong_answers={
            mistake: code[front].strip() + FORMULA for mistake, code in WRONG_ANSWERS.items()
        },
        public_solution=True,
        trial="" if front else TRIAL,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, sizes, and where the heads go."""
    return {
        "seed": rng.randrange(10_000),
        "n_heads": rng.choice((2, 3, 5, 6)),
        "width": rng.choice((3, 4, 7)),
        "front": rng.random() < 0.5,
    }


# -- checks --------------------------------------------------------------------------------------


def normal(*shape: int, seed: int) -> torch.Tensor:
    """Draw standard normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def join_undoes_split(split_heads, join_heads, *, seed, n_heads, width):
    """Check that splitting and joining gives back what went in."""
    x = normal(2, 5, n_heads * width, seed=seed)
    back = join_heads(split_heads(x, n_heads))
    assert back.shape == x.shape, f"split and joined, {tuple(x.shape)} gives {tuple(back.shape)}"
    assert torch.equal(back, x), "join_heads(split_heads(x, n)) should be x, number for number"


def heads_have_their_shape(split_heads, *, n_heads, width, front):
    """Check that the axis of heads stands where it should."""
    shape = tuple(split_heads(torch.zeros(2, 5, n_heads * width), n_heads).shape)
    wanted = (n_heads, 2, 5, width) if front else (2, n_heads, 5, width)
    assert shape == wanted, f"split_heads should give {wanted}, not {shape}"


def positions_stay_apart(split_heads, *, seed, n_heads, width, front):
    """Change one position, and look for the change in every head."""
    x = normal(1, 5, n_heads * width, seed=seed)
    other = x.clone()
    other[:, 3] += 1.0
    moved = (split_heads(x, n_heads) != split_heads(other, n_heads)).any(-1)
    moved = moved[:, 0] if front else moved[0]  # head, position
    expected = torch.zeros_like(moved)
    expected[:, 3] = True
    assert torch.equal(moved, expected), (
        "After a change at position 3 alone, each head should differ at position 3 and nowhere "
        f"else; they differ at {[m.nonzero()[:, 0].tolist() for m in moved]}"
    )


def leading_dimensions_are_free(split_heads, join_heads, *, seed, n_heads, width, front):
    """Try no, one and two leading dimensions."""
    x = normal(2, 3, 5, n_heads * width, seed=seed)
    for part in (x, x[0], x[0, 0]):
        lead = part.shape[:-2]
        try:
            split = split_heads(part, n_heads)
        except Exception as error:
            raise AssertionError(
                f"With {len(lead)} leading dimensions split_heads fails: {error}"
            ) from error
        shape = (n_heads, *lead, 5, width) if front else (*lead, n_heads, 5, width)
        assert split.shape == shape, (
            f"With {len(lead)} leading dimensions split_heads should give {shape}, not "
            f"{tuple(split.shape)}"
        )
        assert torch.equal(join_heads(split), part), (
            f"With {len(lead)} leading dimensions joining does not give back what was split"
        )


def agrees_with_formula(multi_head, *, seed, n_heads, width):
    """Compare with a loop over heads."""
    size = n_heads * width
    x, w_q, w_k, w_v, w_o = normal(5, size, size, seed=seed)
    x = x[:7]
    expected = reference.multi_head_attention(
        *(m.numpy() for m in (x, x, w_q, w_k, w_v, w_o)), n_heads=n_heads
    )
    error = float((multi_head(x, w_q, w_k, w_v, w_o, n_heads) - torch.tensor(expected)).abs().max())
    assert error < 6e-4, (
        f"multi_head differs from a loop over heads by {error:.2g}: head h should use the h-th "
        "block of neighbouring columns, and the heads be joined before w_o"
    )
