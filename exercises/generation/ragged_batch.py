"""Pad prompts of different lengths so that each row is read as if it were alone."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `ragged_batch(rows, filler)`, which makes one batch of prompts of different lengths. `rows` is a list of B prompts, each a list of at least one id. Return three tensors. `ids`, of shape (B, T), has the prompts, filled up SIDE with `filler`; T is as small as it can be. `positions`, of shape (B, T), counts the tokens of each prompt from 0, and the filler gets 0, too. `sees`, a boolean tensor of shape (B, T, T), is true where the token of the row may look at the token of the column: a token of a prompt sees itself and those before it in its prompt, and a filler sees only itself. The filler's id may also occur in a prompt, where it is a token like any other.
"""
SIDES = {"left": "on the left", "right": "on the right"}
WITHIN = {"left": "column >= len(column) - n", "right": "column < n"}
REAL = {"left": "T - len(row), T", "right": "0, len(row)"}
STARTER = '''
def ragged_batch(rows, filler):
    """rows: B lists of ids -> ids (B, T), positions (B, T), sees (B, T, T)"""
    ...
'''
TWISTS = {
    "next": Twist(
        "Return a fourth tensor, of shape (B,): the position of the token that will be written next in each row.",
        {
            "ragged_batch": (
                "",
                "result = *result, plain_ragged_batch(rows, filler)[1].amax(dim=1) + 1 + FIRST",
            )
        },
        {"sees (B, T, T)": "sees (B, T, T), next (B,)"},
    ),
    "hidden": Twist(
        "The third tensor says the opposite, as in `torch.nn.MultiheadAttention`: it is true where a token must *not* look.",
        {"ragged_batch": ("", "result = *result[:2], ~result[2]")},
        {"sees (B, T, T)": "hidden (B, T, T)"},
    ),
    "from two": Twist(
        "Positions begin with 2, and the filler gets 1, as in RoBERTa.",
        {
            "ragged_batch": (
                "",
                """
                n, column = torch.tensor([[len(row)] for row in rows]), torch.arange(max(map(len, rows)))
                result = result[0], torch.where(WITHIN, result[1] + 2, 1), result[2]
                """,
            )
        },
    ),
}
HINT = "For each prompt, find the columns in which its tokens stand; as a `slice` they can be used for all three tensors. Begin with tensors in which everything is filler, and then write each prompt into its columns. What does a softmax make of a row in which nothing may be seen?"
# In these answers REAL stands for the columns of a prompt.
SOLUTION = """
def ragged_batch(rows, filler):
    B, T = len(rows), max(map(len, rows))
    ids = torch.full((B, T), filler)
    positions = torch.zeros(B, T, dtype=torch.long)
    sees = torch.eye(T, dtype=torch.bool).repeat(B, 1, 1)
    for i, row in enumerate(rows):
        n, real = len(row), slice(REAL)
        ids[i, real] = torch.tensor(row)
        positions[i, real] = torch.arange(n)
        sees[i, real, real] = torch.ones(n, n, dtype=torch.bool).tril()
    return ids, positions, sees
"""
EXPLANATIONS = {
    "left": "The columns of a prompt are the last ones, so the newest token of every row stands in the last column, and the next one goes on from there. A filler that saw nothing would get a softmax of nothing but minus infinity, which is not a number, and a later layer would spread it; seeing itself is harmless, since nobody sees the filler. To find the filler by its id is a mistake as soon as the id occurs in a prompt, and many models use the token that ends a text.",
    "right": "The columns of a prompt are the first ones, so positions come out right without any care, and the causal mask alone hides the filler from the prompt. The price comes when tokens are written: the newest token of each row stands in another column. A filler that saw nothing would get a softmax of nothing but minus infinity, which is not a number, and a later layer would spread it. To find the filler by its id is a mistake as soon as the id occurs in a prompt, and many models use the token that ends a text.",
}
TRIAL = """
ids, positions, sees = ragged_batch([[7, 8, 0], [5], [0, 9]], filler=0)
check("ids", ids, [[7, 8, 0], [0, 0, 5], [0, 0, 9]], 0)
check("positions", positions, [[0, 1, 2], [0, 0, 0], [0, 0, 1]], 0)
whole = [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
check("seen in a whole row", 1 * sees[0], whole, 0)
check("seen beside filler", 1 * sees[1], [[1, 0, 0], [0, 1, 0], [0, 0, 1]], 0)
check("in between", 1 * sees[2], [[1, 0, 0], [0, 1, 0], [0, 1, 1]], 0)
"""


def exercise(side: str = "left", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with the filler on one of the sides."""
    given = {"side": side, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str, real: str = REAL[side]) -> str:
        answer = wrapped(code, {"ragged_batch": "rows, filler"}, twisted)
        answer = answer.replace("FIRST", "2" if "from two" in twists else "0")
        answer = answer.replace(" + 1 + 0", " + 1").replace("WITHIN", WITHIN[side])
        return answer.replace("REAL", real)

    return Exercise(
        id="generation-ragged-batch",
        title="A batch of different lengths",
        kind="code",
        difficulty=2,
        minutes=25,
        points=5,
        question=asked(QUESTION.replace("SIDE", SIDES[side]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATIONS[side],
        visible=(Check(tensors_have_their_shapes, given),),
        hidden=(
            Check(prompts_are_in_their_places, given),
            Check(positions_count_each_prompt, given),
            Check(nobody_sees_the_filler, given),
        ),
        wrong_answers={
            **{mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
            "filled up on the other side": filled(
                SOLUTION, next(real for name, real in REAL.items() if name != side)
            ),
        },
        public_solution=True,
        trial="" if twists or side != "left" else TRIAL,
    )


WRONG_ANSWERS = {
    "positions end together": SOLUTION.replace("torch.arange(n)", "torch.arange(T - n, T)"),
    "the filler is seen": SOLUTION.replace(
        "sees = torch.eye(T, dtype=torch.bool).repeat(B, 1, 1)",
        "sees = torch.ones(T, T, dtype=torch.bool).tril().repeat(B, 1, 1)",
    ).replace("        sees[i, real, real] = torch.ones(n, n, dtype=torch.bool).tril()\n", ""),
    "the future is seen": SOLUTION.replace(".tril()", ""),
    "the filler sees nothing": SOLUTION.replace(
        "torch.eye(T, dtype=torch.bool).repeat(B, 1, 1)",
        "torch.zeros(B, T, T, dtype=torch.bool)",
    ),
    "the filler is found by its id": SOLUTION.replace(
        "    return ids",
        "    real = ids != filler\n"
        "    positions = (real.cumsum(dim=1) - 1).clamp(min=0) * real\n"
        "    sees = (real[:, None] & real[:, :, None]).tril() | torch.eye(T, dtype=torch.bool)\n"
        "    return ids",
    ),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a side, rows, and twists."""
    chosen = drawn(rng, ("right", *TWISTS))
    return {
        "side": "right" if "right" in chosen else "left",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------

FILLER = 3


def some_prompts(seed):
    """Draw prompts of different lengths, which hold the id of the filler, too."""
    rng = random.Random(seed)
    lengths = rng.sample(range(1, 9), 4)
    rows = [[rng.randrange(4, 50) for _ in range(n)] for n in lengths]
    for row in rows:
        row[rng.randrange(len(row))] = FILLER
        row[0] = rng.choice((FILLER, row[0]))
    return rows


def places_of(row, T, side):
    """Return the columns of a prompt."""
    return range(T - len(row), T) if side == "left" else range(len(row))


def read(ragged_batch, rows, twists):
    """Return ids, positions and what is seen, as the page asks for them."""
    result = parts(ragged_batch([list(row) for row in rows], FILLER), 4 if "next" in twists else 3)
    ids, positions, sees, *following = (array(part) for part in result)
    B, T = len(rows), max(map(len, rows))
    for part, shape in ((ids, (B, T)), (positions, (B, T)), (sees, (B, T, T))):
        assert part.shape == shape, (
            f"{B} prompts, the longest of {T} tokens, should give a tensor of shape {shape}, got "
            f"{part.shape}"
        )
    if following:
        first = 2 if "from two" in twists else 0
        assert following[0].tolist() == [first + len(row) for row in rows], (
            "The fourth tensor is not right: after the last position of a prompt comes the next "
            "one, however long the other prompts are"
        )
    return ids, positions, 1 - sees if "hidden" in twists else sees


def tensors_have_their_shapes(ragged_batch, *, side, seed, twists):
    """Check that ids and positions are (B, T) and the mask is (B, T, T), and that rows stay."""
    rows = some_prompts(seed)
    read(ragged_batch, rows, twists)
    kept = [list(row) for row in rows]
    ragged_batch(kept, FILLER)
    assert kept == rows, "ragged_batch writes into the lists that it gets; copy them"


def prompts_are_in_their_places(ragged_batch, *, side, seed, twists):
    """Check the ids of several batches."""
    for each in range(seed, seed + 3):
        rows = some_prompts(each)
        ids, _, _ = read(ragged_batch, rows, twists)
        for row, found in zip(rows, ids.tolist(), strict=True):
            places = places_of(row, len(found), side)
            assert [found[i] for i in places] == row, (
                "A prompt does not stand in its columns: on which side is the filler?"
            )
            assert all(found[i] == FILLER for i in set(range(len(found))) - set(places)), (
                "Where no prompt stands, ids should be the filler"
            )


def positions_count_each_prompt(ragged_batch, *, side, seed, twists):
    """Check the positions of several batches."""
    first, filler = (2, 1) if "from two" in twists else (0, 0)
    for each in range(seed, seed + 3):
        rows = some_prompts(each)
        _, positions, _ = read(ragged_batch, rows, twists)
        for row, found in zip(rows, positions.tolist(), strict=True):
            places = places_of(row, len(found), side)
            assert [found[i] for i in places] == list(range(first, first + len(row))), (
                "The tokens of a prompt should have the positions that they have when it is alone, "
                "even if one of them has the id of the filler"
            )
            assert all(found[i] == filler for i in set(range(len(found))) - set(places)), (
                f"The filler should have the position {filler}"
            )


def nobody_sees_the_filler(ragged_batch, *, side, seed, twists):
    """Check what each token sees in several batches."""
    for each in range(seed, seed + 3):
        rows = some_prompts(each)
        _, _, sees = read(ragged_batch, rows, twists)
        for row, found in zip(rows, sees, strict=True):
            places = set(places_of(row, len(found), side))
            for i, line in enumerate(found):
                seen = set(np.flatnonzero(line).tolist())
                if i in places:
                    assert seen <= places, "A token of a prompt sees filler"
                    assert max(seen, default=i) <= i, "A token sees another one that comes later"
                    assert seen == {j for j in places if j <= i}, (
                        "A token should see itself and all tokens before it in its prompt"
                    )
                else:
                    assert seen == {i}, (
                        "A filler should see itself and nothing else: a softmax over nothing is "
                        "not a number"
                    )
