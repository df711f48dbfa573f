"""Positions and mask of a row into which several texts were packed."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Several short texts were packed into one row of tokens for a causal model, and nobody has kept where each of them begins. Write `packed_inputs(ids, mark)`, which finds it out. `ids` is a tensor of shape (T,). Return two tensors: the positions, of shape (T,), which begin at 0 with each text, and a boolean mask of shape (T, T), which is true where the token of the row may see the token of the column. A token sees itself and what stands before it in its own text, and nothing else.

MARKED
"""
# What takes the place of MARKED, and of NUMBERS in the solution.
MARKED = {
    "end": "Each text ends with the token `mark`, which belongs to it. The last text may have been cut off, so that its mark is missing.",
    "begin": "Each text begins with the token `mark`, which belongs to it. The first text may have lost its beginning, so that its mark is missing.",
}
NUMBERS = {
    "end": "(ids == mark).cumsum(dim=0) - 1 * (ids == mark)",
    "begin": "(ids == mark).cumsum(dim=0)",
}
STARTER = '''
def packed_inputs(ids, mark):
    """ids (T,) -> positions (T,), mask (T, T)"""
    ...
'''
PADDED = """
positions, mask = result
pad = ids == 0
mask = mask & ~pad & ~pad[:, None] | torch.eye(len(ids), dtype=torch.bool)
result = positions.masked_fill(pad, 0), mask
"""
TARGETS = """
begins = result[0][1:] == 0
nothing = torch.tensor([-100])
result = *result, torch.cat((ids[1:].masked_fill(begins, -100), nothing))
"""
TWISTS = {
    "hidden": Twist(
        "The mask is turned round, as some programs want it: true where a token is *hidden*.",
        {"packed_inputs": ("", "result = result[0], ~result[1], *result[2:]")},
    ),
    "added": Twist(
        "In place of the boolean mask, return the numbers that are added to the scores: 0 where a token is seen, and minus infinity elsewhere.",
        {
            "packed_inputs": (
                "",
                "result = result[0], torch.zeros(result[1].shape).masked_fill(~result[1], -torch.inf), *result[2:]",
            )
        },
    ),
    "bounds": Twist(
        "Return one more result at the end, as kernels for packed attention want it: the places at which a text begins, in order, and T after the last of them. (Filled-up places, if there are any, begin no text.)",
        {
            "packed_inputs": (
                "",
                "begin = (result[0] == 0) & BEFORE\nresult = *result, torch.tensor([*begin.nonzero()[:, 0].tolist(), len(ids)])",
            )
        },
        {'(T, T)"""': '(T, T), and bounds"""'},
    ),
    "targets": Twist(
        "Return the targets as the third result, of shape (T,): of each token the next one of its own text, and $-100$ where there is none.",
        {"packed_inputs": ("", TARGETS)},
        {"(T, T)": "(T, T), targets (T,)"},
    ),
    "padded": Twist(
        "After the last text, the row may be filled up with the token 0, which occurs nowhere else and belongs to no text. Such a place has the position 0, sees itself alone, and is seen by no other.",
        {"packed_inputs": ("", PADDED)},
    ),
}
HINT = "Give each token the number of its text: `cumsum` over the places of the marks counts them. Two tokens belong together if their numbers are equal. For the positions, subtract from each place the place at which its text begins."
SOLUTION = """
def packed_inputs(ids, mark):
    number = NUMBERS
    same = number == number[:, None]
    positions = same.tril().sum(dim=1) - 1
    return positions, same.tril()
"""
EXPLANATION = """
The number of its text is all that a token needs. The mark counts for the text that it ends, so the sum over the marks has to leave out the token's own place; with a mark at the beginning it does not. The position is the number of tokens of the same text that stand before. The token's row of the mask marks these and the token itself, so the position is the sum of this row, less 1. Without the mask, each text would be trained to be continued from whatever happened to stand before it in the row. Without the new positions, a text would be trained at places where it does not stand when the model reads it alone, and a model with learnt positions notices that. Both mistakes raise no error. A test is to change a token of the first text and to look whether an output of the second one moves.
"""
TRIAL = """
ids = torch.tensor([5, 6, 9, 7, 9, 8, 8, 4])
positions, mask = packed_inputs(ids, 9)
check("positions", list(positions), [0, 1, 2, 0, 1, 0, 1, 2], 0)
numbers = torch.tensor([[1, 1, 1, 2, 2, 3, 3, 3]])
right = finetuning.packed_mask(numbers)[0].tril()
check("mask", bool((torch.as_tensor(mask) == right).all()))
positions, mask = packed_inputs(torch.tensor([9, 9, 3, 9]), 9)
check("texts of one token", list(positions), [0, 0, 0, 1], 0)
seen = torch.as_tensor(mask).sum(dim=1).tolist()
check("tokens that are seen", seen, [1, 1, 1, 2], 0)
"""


def exercise(marked: str = "end", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; a mark stands at the end of each text, or at its beginning."""
    given = {"marked": marked, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"packed_inputs": "ids, mark"}, twisted)
        before = "(ids != 0)" if "padded" in twists else "True"
        return answer.replace("NUMBERS", NUMBERS[marked]).replace("BEFORE", before)

    return Exercise(
        id="fine-tuning-packed-inputs",
        title="Neighbours in a row",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("MARKED", MARKED[marked]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(one_text_alone_is_causal, given),),
        hidden=(Check(small_rows_are_right, given), Check(long_rows_are_right, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(marked).items()},
        trial="" if twists or marked != "end" else TRIAL,
    )


def wrong_answers(marked: str) -> dict[str, str]:
    """Return mistakes."""
    other = NUMBERS["begin" if marked == "end" else "end"]
    return {
        "the mark belongs to the other text": SOLUTION.replace("NUMBERS", other),
        "all that stands before is seen": SOLUTION.replace(
            "return positions, same.tril()", "return positions, torch.ones_like(same).tril()"
        ),
        "later tokens are seen": SOLUTION.replace(
            "return positions, same.tril()", "return positions, same"
        ),
        "positions go on": SOLUTION.replace(
            "positions = same.tril().sum(dim=1) - 1", "positions = torch.arange(len(ids))"
        ),
        "rows and columns exchanged": SOLUTION.replace(
            "return positions, same.tril()", "return positions, same.triu()"
        ),
        "positions begin at 1": SOLUTION.replace(".sum(dim=1) - 1", ".sum(dim=1)"),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw where marks stand, rows, and twists, of which two do not go together."""
    without = rng.choice(("hidden", "added"))
    chosen = drawn(rng, [name for name in ("marked", *TWISTS) if name != without])
    return {
        "marked": "begin" if "marked" in chosen else "end",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def row_of_answer(packed_inputs, ids, mark, twists):
    """Return positions, what is seen, targets and bounds by an answer, as the page has them."""
    extra = [name for name in ("targets", "bounds") if name in twists]
    given = torch.tensor(ids)
    result = parts(packed_inputs(given, mark), 2 + len(extra))
    assert given.tolist() == ids, "packed_inputs writes into the ids that it gets; make new tensors"
    T = len(ids)
    positions, seen = array(result[0]).ravel(), array(result[1])
    assert len(positions) == T, f"{T} tokens have as many positions, got {len(positions)}"
    assert seen.shape == (T, T), f"The mask should have shape {(T, T)}, got {seen.shape}"
    if "added" in twists:
        possible = ((seen == 0) | (seen == float("-inf"))).all()
        assert possible, "What is added should be 0 or minus infinity, and nothing else"
        seen = seen == 0
    elif "hidden" in twists:
        seen = seen == 0
    more = {name: array(part).ravel() for name, part in zip(extra, result[2:], strict=True)}
    return positions.tolist(), seen.astype(bool).tolist(), {k: v.tolist() for k, v in more.items()}


def one_text_alone_is_causal(packed_inputs, *, marked, seed, twists):
    """Check a row with a single text, which is as it would be without packing."""
    ids = [5, 7, 6, 9] if marked == "end" else [9, 5, 7, 6]
    positions, seen, _ = row_of_answer(packed_inputs, ids, 9, twists)
    assert positions == [0, 1, 2, 3], (
        f"A single text of four tokens has the positions 0 to 3, got {positions}"
    )
    right = [[j <= i for j in range(4)] for i in range(4)]
    assert seen == right, (
        "In a single text each token should see itself and all that stands before it, and no more"
    )


def texts_of(ids, mark, marked, twists):
    """Return where each text begins and stops, found token by token."""
    filled = [i for i, token in enumerate(ids) if token == 0] if "padded" in twists else []
    stop = filled[0] if filled else len(ids)
    begins = []
    for i in range(stop):
        if i == 0 or (ids[i] == mark if marked == "begin" else ids[i - 1] == mark):
            begins.append(i)
    return list(zip(begins, [*begins[1:], stop], strict=True))


def compared_rows(packed_inputs, ids, mark, marked, twists):
    """Compare all results for a row with those of its texts, one after the other."""
    positions, seen, more = row_of_answer(packed_inputs, ids, mark, twists)
    T, found = len(ids), texts_of(ids, mark, marked, twists)
    places, targets = [0] * T, [-100] * T
    sees = [[i == j for j in range(T)] for i in range(T)]
    for begin, stop in found:
        for i in range(begin, stop):
            places[i] = i - begin
            targets[i] = ids[i + 1] if i + 1 < stop else -100
            for j in range(begin, i + 1):
                sees[i][j] = True
    assert positions == places, (
        f"For the row {ids} with the mark {mark} the positions are not {positions}: to which text "
        "does the mark belong?"
    )
    wrong = [(i, j) for i in range(T) for j in range(T) if seen[i][j] != sees[i][j]]
    assert not wrong, (
        f"For the row {ids} with the mark {mark}, the entry of the mask in row {wrong[0][0]} and "
        f"column {wrong[0][1]} is not right: is that the same text, and not later?"
    )
    if "targets" in twists:
        assert more["targets"] == targets, (
            f"For the row {ids} with the mark {mark} the targets are not {more['targets']}: what "
            "is the target of the last token of a text?"
        )
    if "bounds" in twists:
        bounds = [*(begin for begin, _ in found), T]
        assert more["bounds"] == bounds, (
            f"For the row {ids} with the mark {mark} the bounds are not {more['bounds']}: where does "
            "each text begin, and where does the last one stop?"
        )


def small_rows_are_right(packed_inputs, *, marked, seed, twists):
    """Check rows of two or three texts, some of them of one token."""
    rows = ([5, 9, 6, 7, 9], [9, 5, 6, 9, 7], [9, 9, 9], [5, 6, 9, 9, 7, 8], [6, 7, 5])
    for ids in rows:
        compared_rows(packed_inputs, ids, 9, marked, twists)
        if "padded" in twists:
            compared_rows(packed_inputs, [*ids, 0, 0], 9, marked, twists)


def long_rows_are_right(packed_inputs, *, marked, seed, twists):
    """Compare drawn rows, token by token."""
    for each in range(seed, seed + 8):
        rng = random.Random(each)
        mark = rng.randrange(3, 12)
        ids = [rng.choice((mark, *range(1, 12))) for _ in range(rng.randint(8, 14))]
        filled = [0] * rng.randint(1, 3) if "padded" in twists else []
        compared_rows(packed_inputs, ids + filled, mark, marked, twists)
