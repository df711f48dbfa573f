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
from exercises.twists import Twist, asked, begun, drawn, wrapped

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
TWISTS = {
    "columns": Twist(
        "Here features come before positions: `x` is (..., D, T), and in each head the features of a position stand one below the other, too. (In `multi_head` the matrices are applied as before, each to the features of one position.)",
        {
            "split_heads": ("x = x.mT", "result = result.mT"),
            "join_heads": ("x = x.mT", "result = result.mT"),
            "multi_head": ("x = x.mT", "result = result.mT"),
        },
        {"(..., T, D)": "(..., D, T)", "T, D/H)": "D/H, T)"},
    ),
    "dealt": Twist(
        "Here features are dealt out in turn, as cards are: of $H$ heads, head 0 gets the features $0, H, 2H, \\dots$, head 1 gets $1, H + 1, 2H + 1, \\dots$, and so on.",
        {
            "split_heads": (
                "x = x.unflatten(-1, (-1, n_heads)).transpose(-2, -1).flatten(-2)",
                "",
            ),
            "join_heads": (
                "n_heads = x.shape[HEADS]",
                "result = result.unflatten(-1, (n_heads, -1)).transpose(-2, -1).flatten(-2)",
            ),
            "multi_head": (
                """
                order = torch.arange(x.shape[-1]).unflatten(0, (-1, n_heads)).T.flatten()
                w_q, w_k, w_v, w_o = w_q[:, order], w_k[:, order], w_v[:, order], w_o[order]
                """,
                "",
            ),
        },
    ),
}
CALLS = {
    "split_heads": "x, n_heads",
    "join_heads": "x",
    "multi_head": "x, w_q, w_k, w_v, w_o, n_heads",
}
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


def exercise(
    seed: int = 0,
    n_heads: int = 3,
    width: int = 4,
    front: bool = False,
    twists: tuple[str, ...] = (),
) -> Exercise:
    """Return the exercise with heads beside positions or in `front` of everything, and `twists`."""
    given = [{"seed": seed + i, "n_heads": n_heads, "width": width} for i in range(4)]
    layout = {"front": front, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: tuple[str, str]) -> str:
        answer = wrapped(code[front].strip() + FORMULA, CALLS, twisted)
        return answer.replace("HEADS", "0" if front else "-3")

    return Exercise(
        id="attention-heads",
        title="Cut and join",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(f"{QUESTION}{IN_FRONT}" if front else QUESTION, twisted),
        starter=begun(
            STARTER.format(shape="(H, ..., T, D/H)" if front else "(..., H, T, D/H)"), twisted
        ),
        hint=HINT_IN_FRONT if front else HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(
            Check(join_undoes_split, given[0] | layout),
            Check(heads_have_their_shape, {"n_heads": n_heads, "width": width} | layout),
        ),
        hidden=(
            Check(positions_stay_apart, given[1] | layout),
            Check(leading_dimensions_are_free, given[2] | layout),
            Check(agrees_with_formula, given[3] | layout),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if front or twists else TRIAL,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, sizes, where the heads go, and what else is otherwise than on the page."""
    chosen = drawn(rng, ("front", *TWISTS))
    return {
        "seed": rng.randrange(10_000),
        "n_heads": rng.choice((2, 3, 5, 6)),
        "width": rng.choice((3, 4, 7)),
        "front": "front" in chosen,
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def normal(*shape: int, seed: int) -> torch.Tensor:
    """Draw standard normal numbers."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def dealt(x, n_heads):
    """Return features in the order in which heads that are dealt them in turn hold them."""
    return x.unflatten(-1, (-1, n_heads)).transpose(-2, -1).flatten(-2)


def plain_split(split_heads, twists):
    """Return split_heads as the page asks for it."""

    def as_on_the_page(x, n_heads):
        if "dealt" in twists:
            x = dealt(x, x.shape[-1] // n_heads)
        return split_heads(x.mT, n_heads).mT if "columns" in twists else split_heads(x, n_heads)

    return as_on_the_page


def plain_join(join_heads, twists, n_heads):
    """Return join_heads as the page asks for it."""

    def as_on_the_page(x):
        out = join_heads(x.mT).mT if "columns" in twists else join_heads(x)
        return dealt(out, n_heads) if "dealt" in twists else out

    return as_on_the_page


def join_undoes_split(split_heads, join_heads, *, seed, n_heads, width, front, twists):
    """Check that splitting and joining gives back what went in."""
    split_heads = plain_split(split_heads, twists)
    join_heads = plain_join(join_heads, twists, n_heads)
    x = normal(2, 5, n_heads * width, seed=seed)
    back = join_heads(split_heads(x, n_heads))
    assert back.shape == x.shape, f"split and joined, {tuple(x.shape)} gives {tuple(back.shape)}"
    assert torch.equal(back, x), "join_heads(split_heads(x, n)) should be x, number for number"


def heads_have_their_shape(split_heads, *, n_heads, width, front, twists):
    """Check that the axis of heads stands where it should."""
    split_heads = plain_split(split_heads, twists)
    shape = tuple(split_heads(torch.zeros(2, 5, n_heads * width), n_heads).shape)
    wanted = (n_heads, 2, 5, width) if front else (2, n_heads, 5, width)
    assert shape == wanted, f"split_heads should give {wanted}, not {shape}"


def positions_stay_apart(split_heads, *, seed, n_heads, width, front, twists):
    """Change one position, and look for the change in every head."""
    split_heads = plain_split(split_heads, twists)
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


def leading_dimensions_are_free(split_heads, join_heads, *, seed, n_heads, width, front, twists):
    """Try no, one and two leading dimensions."""
    split_heads = plain_split(split_heads, twists)
    join_heads = plain_join(join_heads, twists, n_heads)
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


def agrees_with_formula(multi_head, *, seed, n_heads, width, front, twists):
    """Compare with a loop over heads."""
    size = n_heads * width
    x, *matrices = normal(5, size, size, seed=seed)
    x = x[:7]
    expected = reference.multi_head_attention(
        *(m.numpy() for m in (x, x, *matrices)), n_heads=n_heads
    )
    if "dealt" in twists:
        *inner, outer = matrices
        matrices = [*(dealt(w, width) for w in inner), dealt(outer.mT, width).mT]
    given = x.mT if "columns" in twists else x
    out = multi_head(given, *matrices, n_heads)
    error = float(((out.mT if "columns" in twists else out) - torch.tensor(expected)).abs().max())
    assert error < 6e-4, (
        f"multi_head differs from a loop over heads by {error:.2g}: head h should use the h-th "
        "block of neighbouring columns, and the heads be joined before w_o"
    )
