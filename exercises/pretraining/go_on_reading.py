"""Which rows a run must read after a kill, so that it goes on as if nothing had happened."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
A run reads `n` rows of data again and again, in batches of `size` rows. The order of the rows in epoch `e` (from 0) is `np.random.default_rng((seed, e)).permutation(n)`, and the batches of an epoch are cut from it one after the other. LAST A step reads one batch. The run is killed, and its newest checkpoint was written after `done` steps. Write `batches_to_come(n, size, seed, done, until)`, which returns what an uninterrupted run would have read from there to the end of step `until`: a list with one list of row numbers for each batch. Do not use `training.Epochs`, with which your answer will be compared.
"""
# What takes the place of LAST: the fate of an incomplete batch.
RULES = {
    False: "The last batch of an epoch may be smaller.",
    True: "A last batch of an epoch with fewer than `size` rows is left out; its rows are not read in this epoch.",
}
STARTER = '''
def batches_to_come(n, size, seed, done, until):
    """whole numbers -> (until - done) lists of row numbers"""
    ...
'''
TWISTS = {
    "place": Twist(
        "Return two things: the batches, and the pair of the epoch in which the run goes on and the number of batches of that epoch which have been read already.",
        {"batches_to_come": ("", "result = result, divmod(done, BATCHES)")},
        {"lists of row numbers": "lists of row numbers, and (epoch, batches read of it)"},
    ),
    "pairs": Twist(
        "A step reads *two* batches, as micro-batches: `done` and `until` count steps. Return one list for each step, which holds the two lists of row numbers.",
        {
            "batches_to_come": (
                "done, until = 2 * done, 2 * until",
                "result = [list(pair) for pair in zip(result[::2], result[1::2])]",
            )
        },
        {"(until - done) lists": "(until - done) pairs of lists"},
    ),
    "process": Twist(
        "Three processes share each batch, and you are process number 1 (of 0, 1 and 2): of a batch of $m$ rows you read those from place $\\lfloor m / 3 \\rfloor$ up to place $\\lfloor 2m / 3 \\rfloor$ (without it). Return your rows alone.",
        {
            "batches_to_come": (
                "",
                "result = [b[len(b) // 3 : 2 * len(b) // 3] for b in result]",
            )
        },
    ),
}
HINT = "How many batches has an epoch? From this and from the number of a batch, counted from the beginning of the run, follow its epoch and its place in the epoch. Nothing has to be remembered but that number."
# In these answers BATCHES stands for the number of batches in an epoch.
SOLUTION = """
def batches_to_come(n, size, seed, done, until):
    an_epoch = BATCHES
    found = []
    for i in range(done, until):
        epoch, place = divmod(i, an_epoch)
        order = np.random.default_rng((seed, epoch)).permutation(n)
        found.append(order[place * size : (place + 1) * size].tolist())
    return found
"""
BATCHES = {False: "math.ceil(n / size)", True: "n // size"}
EXPLANATION = """
Each batch is a function of its number, so the place in the data is one number, and the checkpoint needs no list of rows that were read and no state of a generator. If the orders came one after the other from one generator, you would have to draw all of them again, or save its state. Processes that share each batch need nothing more: what they read together does not depend on how many there are, so the run may even go on with another number of them.
"""
TRIAL = """
rows = np.arange(10)
for done, until in ((0, 3), (5, 9), (8, 8)):
    epochs = training.Epochs(torch.from_numpy(rows), 4, seed=7)
    expected = [epochs(i).tolist() for i in range(done, until)]
    found = [list(batch) for batch in batches_to_come(10, 4, 7, done, until)]
    check(f"steps {done + 1} to {until}", found == expected)
"""
WRONG_ANSWERS = {
    "the same order in every epoch": SOLUTION.replace("(seed, epoch)", "(seed, 0)"),
    "the epoch begins anew": SOLUTION.replace(
        "divmod(i, an_epoch)", "divmod(i - done + done // an_epoch * an_epoch, an_epoch)"
    ),
    "from the first batch": SOLUTION.replace("divmod(i, an_epoch)", "divmod(i - done, an_epoch)"),
    "the last batch is read once more": SOLUTION.replace(
        "range(done, until)", "range(done - 1, until - 1)"
    ).replace("divmod(i, an_epoch)", "divmod(max(i, 0), an_epoch)"),
    "batches that belong to two epochs": """
def batches_to_come(n, size, seed, done, until):
    epochs = range(until * size // n + 1)
    orders = [np.random.default_rng((seed, e)).permutation(n) for e in epochs]
    rows = np.concatenate(orders)
    return [rows[i * size : (i + 1) * size].tolist() for i in range(done, until)]
""",
    "orders from one generator": SOLUTION.replace(
        "    found = []", "    found, generator, drawn = [], np.random.default_rng(seed), []"
    ).replace(
        "order = np.random.default_rng((seed, epoch)).permutation(n)",
        "drawn += [generator.permutation(n) for _ in range(epoch + 1 - len(drawn))]\n        order = drawn[epoch]",
    ),
}


def exercise(drop: bool = False, seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; an incomplete batch is read, or dropped."""
    twisted = [TWISTS[name] for name in twists]
    given = {"drop": drop, "seed": seed, "twists": twists}

    def filled(code: str) -> str:
        answer = wrapped(code, {"batches_to_come": "n, size, seed, done, until"}, twisted)
        return answer.replace("BATCHES", BATCHES[drop])

    other = SOLUTION.replace("BATCHES", BATCHES[not drop])
    return Exercise(
        id="pretraining-go-on-reading",
        title="Go on reading",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("LAST", RULES[drop]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(reads_an_epoch, given),),
        hidden=(Check(goes_on_where_it_was, given), Check(cut_anywhere, given)),
        wrong_answers={
            **{mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
            "the other rule for the last batch": filled(other),
        },
        public_solution=True,
        trial="" if twists or drop else TRIAL,
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw what happens to an incomplete batch, a seed, and twists."""
    chosen = drawn(rng, ("drop", *TWISTS))
    return {
        "drop": "drop" in chosen,
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in ("place", "pairs", "process") if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def all_batches(n, size, seed, until, drop):
    """Return the batches of a run from its beginning, epoch after epoch."""
    batches, epoch = [], 0
    while len(batches) < until:
        order = np.random.default_rng((seed, epoch)).permutation(n).tolist()
        cut = [order[i : i + size] for i in range(0, n, size)]
        batches += [batch for batch in cut if len(batch) == size or not drop]
        epoch += 1
    return batches[:until]


def expected(n, size, seed, done, until, drop, twists):
    """Return the batches that are asked for, in the form that is asked for."""
    micro = 2 if "pairs" in twists else 1
    batches = all_batches(n, size, seed, micro * until, drop)[micro * done :]
    if "process" in twists:
        batches = [batch[len(batch) // 3 : 2 * len(batch) // 3] for batch in batches]
    if "pairs" in twists:
        return [batches[i : i + 2] for i in range(0, len(batches), 2)]
    return batches


def plain_lists(value):
    """Return rows as lists, whatever holds them."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [plain_lists(v) for v in value] if isinstance(value, (list, tuple)) else int(value)


def read(batches_to_come, n, size, seed, done, until, drop, twists):
    """Return the batches of an answer, after a look at what else it returns."""
    result = batches_to_come(n, size, seed, done, until)
    if "place" not in twists:
        return plain_lists(result)
    result, place = parts(result, 2)
    an_epoch = n // size if drop else -(-n // size)
    right = list(divmod(2 * done if "pairs" in twists else done, an_epoch))
    assert plain_lists(place) == right, (
        f"With n = {n}, size = {size} and done = {done}, the epoch and the number of its batches "
        f"that have been read are not {place}"
    )
    return plain_lists(result)


def reads_an_epoch(batches_to_come, *, drop, seed, twists):
    """Check the first batches of a run, which is not interrupted."""
    found = read(batches_to_come, 14, 6, seed, 0, 3, drop, twists)
    assert len(found) == 3, f"Steps 1 to 3 should give a list of 3, got {len(found)}"
    right = expected(14, 6, seed, 0, 3, drop, twists)
    assert found == right, (
        f"With n = 14, size = 6 and seed = {seed}, the first three steps read {right}, not {found}"
    )


def goes_on_where_it_was(batches_to_come, *, drop, seed, twists):
    """Check a run that is killed in the middle of an epoch, and goes on into others."""
    for n, size, done, until in ((20, 6, 2, 9), (17, 7, 5, 11), (24, 6, 9, 14)):
        found = read(batches_to_come, n, size, seed, done, until, drop, twists)
        right = expected(n, size, seed, done, until, drop, twists)
        assert len(found) == len(right), (
            f"From step {done + 1} to step {until} there are {len(right)} steps, got {len(found)}"
        )
        wrong = [done + 1 + i for i in range(len(right)) if found[i] != right[i]]
        assert not wrong, (
            f"With n = {n}, size = {size} and done = {done}, step {wrong[0]} reads other rows than "
            "in a run that is not interrupted: which epoch is it in, and which place there?"
        )


def cut_anywhere(batches_to_come, *, drop, seed, twists):
    """Check that a run that is killed at any step reads the same as one that goes through."""
    n, size, until = 13, 6, 8
    whole = expected(n, size, seed, 0, until, drop, twists)
    for done in range(1, until):
        before = read(batches_to_come, n, size, seed, 0, done, drop, twists)
        after = read(batches_to_come, n, size, seed, done, until, drop, twists)
        assert before + after == whole, (
            f"A run that is killed after step {done} and goes on reads other rows than one that "
            "goes through"
        )
