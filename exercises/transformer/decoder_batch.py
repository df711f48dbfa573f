"""Make what a decoder reads in training, and what it has to predict."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write `decoder_batch(rows, start, end)`, which makes a batch for teacher forcing. `rows` is a list of translations, each a list of ids without special tokens. Return two tensors of whole numbers, both of shape (B, T): what the decoder gets as input, which begins with `start`, and what it has to predict, which ends with `end`. T is as small as it can be. The input is filled up with `end`. Labels that shall not count are {{ignored}}.
"""
STARTER = '''
def decoder_batch(rows, start, end):
    """rows: B lists of ids -> inputs (B, T), labels (B, T)"""
    ...
'''
TWISTS = {
    "counts": Twist(
        "Return a third tensor, a boolean one of the same shape: where the labels count.",
        {
            "decoder_batch": (
                "",
                "result = *result, plain_decoder_batch(rows, start, end)[1] != IGNORED",
            )
        },
        {"labels (B, T)": "labels (B, T), counts (B, T)"},
    ),
    "labels first": Twist(
        "Return the labels first, and then the inputs.",
        {"decoder_batch": ("", "result = result[1], result[0]")},
        {"inputs (B, T), labels (B, T)": "labels (B, T), inputs (B, T)"},
    ),
    "time first": Twist(
        "Time is the first dimension, as in many recurrent networks: each tensor has the shape (T, B).",
        {"decoder_batch": ("", "result = tuple(part.T for part in result)")},
    ),
}
HINT = "At position $t$ the decoder has read `start` and the first $t$ ids. What is the next one, and what after the last id? A row of n ids has n + 1 things to predict."
# In these answers IGNORED stands for the label that does not count.
SOLUTION = """
def decoder_batch(rows, start, end):
    T = max(map(len, rows)) + 1
    inputs = torch.full((len(rows), T), end)
    labels = torch.full((len(rows), T), IGNORED)
    for i, row in enumerate(rows):
        n = len(row) + 1
        inputs[i, :n] = torch.tensor([start, *row])
        labels[i, :n] = torch.tensor([*row, end])
    return inputs, labels
"""
EXPLANATION = r"""
Both are the same row, shifted by one place: position $t$ of the labels stands at position $t + 1$ of the input. The first label is the first id, so the model learns to begin, and the last one is `end`, so it learns to stop. What fills the input does not matter, since no real position sees it; what fills the labels does, since every label that counts is learnt.
"""
TRIAL = """
inputs, labels = decoder_batch([[7, 8, 9], [5]], start=1, end=2)
check("inputs", inputs, [[1, 7, 8, 9], [1, 5, 2, 2]], 0)
check("labels", labels, [[7, 8, 9, 2], [5, 2, IGNORED, IGNORED]], 0)
"""
WRONG_ANSWERS = {
    "not shifted": SOLUTION.replace("[*row, end]", "[start, *row]"),
    "the end is not learnt": SOLUTION.replace("[*row, end]", "[*row, IGNORED]"),
    "filler counts": SOLUTION.replace("(len(rows), T), IGNORED", "(len(rows), T), end"),
    "shifted twice": """
def decoder_batch(rows, start, end):
    T = max(map(len, rows)) + 1
    inputs = torch.full((len(rows), T), end)
    labels = torch.full((len(rows), T), IGNORED)
    for i, row in enumerate(rows):
        n = len(row) + 1
        inputs[i, :n] = torch.tensor([start, *row])
        labels[i, : n - 1] = torch.tensor([*row[1:], end])
    return inputs, labels
""",
    "one position too many": SOLUTION.replace("+ 1\n    inputs", "+ 2\n    inputs"),
}


def exercise(seed: int = 0, ignored: int = -100, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with ``ignored`` as the label that does not count, and `twists`."""
    given = [{"seed": seed + i, "ignored": ignored, "twists": twists} for i in range(2)]
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"decoder_batch": "rows, start, end"}, twisted)
        if "time first" in twists:
            answer = answer.replace("(rows, start, end)[1]", "(rows, start, end)[1].T")
        return answer.replace("IGNORED", str(ignored))

    return Exercise(
        id="transformer-decoder-batch",
        title="One place to the right",
        kind="code",
        difficulty=1,
        minutes=15,
        points=3,
        question=asked(QUESTION, twisted),
        starter=_starter(twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        values={"ignored": f"`{ignored}`"},
        visible=(Check(shapes_fit, given[0]),),
        hidden=(
            Check(inputs_are_right, given[0]),
            Check(labels_are_right, given[0]),
            Check(rows_stay_as_they_are, given[1]),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("IGNORED", str(ignored)),
    )


def _starter(twists: list[Twist]) -> str:
    """Return the code to begin with; with time first, it is so in all shapes."""
    first = TWISTS["time first"]
    code = begun(STARTER, [twist for twist in reversed(twists) if twist is not first])
    return code.replace("(B, T)", "(T, B)") if first in twists else code


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw rows, the label that does not count, and twists."""
    return {
        "seed": rng.randrange(10_000),
        "ignored": rng.choice((-100, -1)),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------

START, END = 1, 2


def some_rows(seed: int) -> list[list[int]]:
    """Draw four rows of different lengths."""
    rng = random.Random(seed)
    lengths = rng.sample(range(1, 8), 4)
    return [[rng.randrange(3, 30) for _ in range(n)] for n in lengths]


def padded(rows: list[list[int]], filler: int) -> list[list[int]]:
    """Fill rows up to the longest."""
    longest = max(map(len, rows))
    return [row + [filler] * (longest - len(row)) for row in rows]


def plain(decoder_batch, twists, ignored):
    """Return the function as the page asks for it."""

    def as_on_the_page(rows, start, end):
        result = parts(decoder_batch(rows, start, end), 3 if "counts" in twists else 2)
        found = [array(part).T if "time first" in twists else array(part) for part in result]
        first, second, *counts = found
        inputs, labels = (second, first) if "labels first" in twists else (first, second)
        if counts:
            right = counts[0].shape == labels.shape and (counts[0] == (labels != ignored)).all()
            assert right, "The third tensor should be true where a label counts, and only there"
        return inputs, labels

    return as_on_the_page


def shapes_fit(decoder_batch, *, seed, ignored, twists):
    """Check that both tensors are (B, T), with no position too many."""
    decoder_batch = plain(decoder_batch, twists, ignored)
    rows = some_rows(seed)
    shapes = [array(part).shape for part in decoder_batch(rows, START, END)]
    right = (4, max(map(len, rows)) + 1)
    assert shapes == [right, right], (
        f"4 rows, the longest of {right[1] - 1} ids, should give two tensors of shape {right}, "
        f"got {shapes}"
    )


def inputs_are_right(decoder_batch, *, seed, ignored, twists):
    """Check what the decoder reads."""
    decoder_batch = plain(decoder_batch, twists, ignored)
    rows = some_rows(seed)
    right = padded([[START, *row] for row in rows], END)
    assert array(decoder_batch(rows, START, END)[0]).tolist() == right, (
        "inputs should be start and then the ids of each row, filled up with end"
    )


def labels_are_right(decoder_batch, *, seed, ignored, twists):
    """Check what the decoder has to predict."""
    decoder_batch = plain(decoder_batch, twists, ignored)
    rows = some_rows(seed)
    right = padded([[*row, END] for row in rows], ignored)
    assert array(decoder_batch(rows, START, END)[1]).tolist() == right, (
        "labels should be, at each position, the id that comes next, once end after the last id, "
        "and then only labels that do not count"
    )


def rows_stay_as_they_are(decoder_batch, *, seed, ignored, twists):
    """Check that the lists are not written to."""
    decoder_batch = plain(decoder_batch, twists, ignored)
    rows = some_rows(seed)
    decoder_batch(rows, START, END)
    assert rows == some_rows(seed), "decoder_batch writes into the lists that it gets; copy them"
