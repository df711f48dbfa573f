"""The answer to a question in a document that was read in windows."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
A document is longer than what the model can read, so it was cut into windows, which may overlap. Write `window_answer(starts, ends, offsets, max_length)`, which finds the answer to a question in it. `starts` and `ends` hold one array of logits for each window, for the first and for the last token of the answer. Entry 0 of such an array stands for *no answer in this window*; entry $1 + i$ stands for token `offsets[k] + i` of the document, if the array is that of window `k`. A span has at most `max_length` tokens, and its score is the logit of its first token plus that of its last one, both from the same window. Return the first and the last token of the span with the highest score in the whole document, as two whole numbers. But each window also has a score for no answer, the sum of its two entries 0. If even the smallest of these scores is higher than that of the best span, return `None`.
"""
STARTER = '''
def window_answer(starts, ends, offsets, max_length):
    """lists of logits, one array for each window -> (first, last) or None"""
    ...
'''
TWISTS = {
    "moved": Twist(
        "*No answer* stands at the *end* of each array: entry $i$ is token `offsets[k] + i`, and the last entry is no token.",
        {
            "window_answer": (
                "starts, ends = ([np.roll(z, 1) for z in part] for part in (starts, ends))",
                "",
            )
        },
    ),
    "probabilities": Twist(
        "The logits of different windows have no common zero, so scores are sums of *log-probabilities*: take the softmax over all entries of a window, that for no answer included, and its logarithm, before anything is added.",
        {
            "window_answer": (
                "starts, ends = ([z - np.log(np.exp(z).sum()) for z in part] for part in (starts, ends))",
                "",
            )
        },
    ),
    "penalty": Twist(
        "Long answers are seldom right: for each token after its first one, a span loses 0.5 of its score.",
        {
            "window_answer": (
                """
                starts = [z + 0.5 * np.arange(len(z)) for z in starts]
                ends = [z - 0.5 * np.arange(len(z)) for z in ends]
                """,
                "",
            )
        },
    ),
    "threshold": Twist(
        "A wrong `None` costs more than a wrong answer, so return `None` only if the smallest score for no answer is higher by more than 2.",
        {"window_answer": ("starts = [np.append(z[:1] - 2, z[1:]) for z in starts]", "")},
    ),
    "outside": Twist(
        "Return the first token and the one *after* the last, as Python writes ranges.",
        {"window_answer": ("", "result = result and (result[0], result[1] + 1)")},
        {"(first, last)": "(first, stop)"},
    ),
}
HINT = "For one window, `start[:, None] + end` is a table with the scores of all pairs of places. Which part of the table belongs to spans that end before they start, and which to spans that are too long? Keep the best span of all windows, and translate its places into tokens of the document."
SOLUTION = """
def window_answer(starts, ends, offsets, max_length):
    best, answer = -np.inf, None
    for start, end, offset in zip(starts, ends, offsets):
        score = start[1:, None] + end[1:]
        length = np.arange(len(score)) - np.arange(len(score))[:, None] + 1
        score = np.where((length >= 1) & (length <= max_length), score, -np.inf)
        i, j = np.unravel_index(score.argmax(), score.shape)
        if score[i, j] > best:
            best, answer = score[i, j], (int(offset + i), int(offset + j))
    nothing = min(start[0] + end[0] for start, end in zip(starts, ends))
    return None if nothing > best else answer
"""
EXPLANATION = """
Most windows do not contain the answer, and each of these rightly gives a high score to *no answer*. Only if every window does so is there no answer in the document. So the smallest of these scores decides; with the largest one, a single window without the answer would be enough for `None`. Start and end have to come from one window, since a token that stands in two windows has two logits that were computed from different texts. The best start and the best end, each taken by itself, may not even be in order; in a table of pairs such spans are just left out. In training, each window has a softmax of its own, and a constant that is added to all logits of a window changes no loss. So nothing forces the logits of different windows to have a common zero. Log-probabilities over all entries of a window, that for no answer included, do not depend on such a constant.
"""
TRIAL = """
def is_span(name, found, right):
    same = found is not None and [int(place) for place in found] == right
    check(f"{name}: {right}", same)

start = np.array([0.0, 1.0, 5.0, 0.0, 0.0])
end = np.array([0.0, 4.0, 2.0, 3.5, 6.0])
for length, right in ((4, [11, 13]), (2, [11, 12]), (1, [11, 11])):
    found = window_answer([start], [end], [10], length)
    is_span(f"at most {length} tokens", found, right)
apart = [start, start - 9], [end - 8, end]  # a good start, a good end
is_span("no span in two windows", window_answer(*apart, [10, 12], 4), [11, 13])
sure = np.array([8.0, 0.0, 0.0, 0.0, 0.0])
half = window_answer([sure, start], [sure, end], [0, 3], 4)
is_span("one window has an answer", half, [4, 6])
half = window_answer([start, sure], [end, sure], [0, 3], 4)
is_span("the other one has it", half, [1, 3])
none = window_answer([sure, sure], [sure, sure], [0, 3], 4)
check("no window has an answer", none is None)

rng = np.random.default_rng(0)
for number in range(5):
    start, end = rng.normal(size=(2, 9))
    start[0] = -9
    logits = torch.tensor(start[1:]), torch.tensor(end[1:])
    right = list(finetuning.best_span(*logits, 3))
    is_span(f"window {number}", window_answer([start], [end], [0], 3), right)
"""


def exercise(seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise."""
    given = {"seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"window_answer": "starts, ends, offsets, max_length"}, twisted)

    return Exercise(
        id="fine-tuning-window-answer",
        title="Somewhere in a long document",
        kind="code",
        difficulty=3,
        minutes=30,
        points=5,
        question=asked(QUESTION, twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(one_clear_answer_is_found, given),),
        hidden=(
            Check(spans_are_possible_ones, given),
            Check(nothing_is_found_where_nothing_is, given),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        trial="" if twists else TRIAL,
    )


WRONG_ANSWERS = {
    "the largest score for no answer": SOLUTION.replace("nothing = min(", "nothing = max("),
    "there always is an answer": SOLUTION.replace("None if nothing > best else answer", "answer"),
    "one token too long": SOLUTION.replace("length <= max_length", "length <= max_length + 1"),
    "the end may come first": SOLUTION.replace("(length >= 1) & ", ""),
    "start and end each by itself": SOLUTION.replace(
        "i, j = np.unravel_index(score.argmax(), score.shape)",
        "i, j = start[1:].argmax(), end[1:].argmax()",
    ),
    "the entry for no answer is a token": SOLUTION.replace(
        "int(offset + i)", "int(offset + i + 1)"
    ).replace("int(offset + j)", "int(offset + j + 1)"),
    "the last window that has a span": SOLUTION.replace("score[i, j] > best", "True"),
    "places in the window": SOLUTION.replace("int(offset + i), int(offset + j)", "int(i), int(j)"),
    "start and end of different windows": """
def window_answer(starts, ends, offsets, max_length):
    n = max(offset + len(z) - 1 for z, offset in zip(starts, offsets))
    first, last = np.full((2, n), -np.inf)
    for start, end, offset in zip(starts, ends, offsets):
        place = slice(offset, offset + len(start) - 1)
        first[place] = np.maximum(first[place], start[1:])
        last[place] = np.maximum(last[place], end[1:])
    spans = [(i, j) for i in range(n) for j in range(i, min(n, i + max_length))]
    i, j = max(spans, key=lambda span: first[span[0]] + last[span[1]])
    nothing = min(start[0] + end[0] for start, end in zip(starts, ends))
    return None if nothing > first[i] + last[j] else (i, j)
""",
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw documents, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def span_of_answer(window_answer, starts, ends, offsets, max_length, twists):
    """Return first and last token by an answer, or None; windows as the question says."""
    given = [[np.array(z) for z in part] for part in (starts, ends)]
    if "moved" in twists:
        given = [[np.append(z[1:], z[0]) for z in part] for part in given]
    result = window_answer(*given, list(offsets), max_length)
    if result is None:
        return None
    found = array(result).ravel()
    assert len(found) == 2, f"A span should be given by two numbers, got {len(found)}"
    first, last = found.tolist()
    return [first, last - 1 if "outside" in twists else last]


def one_clear_answer_is_found(window_answer, *, seed, twists):
    """Check one window in which one token is the answer, and nothing else comes near."""
    z = np.full(7, -9.0)
    z[4] = 9.0  # entry 4 is token 3 of the window
    found = span_of_answer(window_answer, [z], [z], [20], 5, twists)
    assert found is not None, "The best span is far better than no answer, so it should be returned"
    assert found[0] == 23, (
        f"In a window that begins with token 20, the span should begin with token 23, got {found[0]:g}"
    )
    assert found[1] == 23, (
        f"The answer is one token, so its last token is its first one, {found[0]:g}"
    )


def best_by_trying(starts, ends, offsets, max_length, twists):
    """Return the best span of all windows, and by how much it is better than no answer."""
    spans, nothing = [], []
    for start, end, offset in zip(starts, ends, offsets, strict=True):
        shift = 0.0
        if "probabilities" in twists:
            shift = -float(np.logaddexp.reduce(start) + np.logaddexp.reduce(end))
        nothing.append(start[0] + end[0] + shift)
        for i in range(1, len(start)):
            for j in range(i, min(len(start), i + max_length)):
                cost = 0.5 * (j - i) if "penalty" in twists else 0.0
                spans.append((start[i] + end[j] + shift - cost, offset + i - 1, offset + j - 1))
    score, first, last = max(spans)
    return [first, last], score - min(nothing) + (2 if "threshold" in twists else 0)


def some_windows(seed, high):
    """Draw windows of a document, and how high the logits for no answer are."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([rng.integers(0, 5), 3, rng.integers(3, 8)]).tolist()
    starts, ends = ([2 * rng.normal(size=8) for _ in offsets] for _ in "se")
    for z in (*starts, *ends):
        z[0] = high + rng.normal()
    return starts, ends, offsets


def compared_spans(window_answer, high, seed, twists, many=20):
    """Compare spans in drawn documents with those that are found by trying all."""
    for each in range(60 * seed, 60 * seed + many):
        starts, ends, offsets = some_windows(each, high)
        length = 1 + each % 4
        right, better = best_by_trying(starts, ends, offsets, length, twists)
        found = span_of_answer(window_answer, starts, ends, offsets, length, twists)
        if better < 0:
            assert found is None, (
                f"In {len(offsets)} windows a span was returned, although the smallest score for "
                "no answer is higher: compare them once more"
            )
            continue
        assert found is not None, (
            f"In {len(offsets)} windows None was returned, although the best span is better than "
            "the smallest score for no answer"
        )
        assert found[1] - found[0] < length, (
            f"With at most {length} tokens the span has {found[1] - found[0] + 1:g}"
        )
        assert found[1] >= found[0], "The span that was returned ends before it begins"
        assert found == right, (
            f"With windows from the tokens {offsets} on and at most {length} tokens, another span "
            f"is better than {found}: are both logits from one window, and the places those of the "
            "document?"
        )


def spans_are_possible_ones(window_answer, *, seed, twists):
    """Compare the best spans of documents that have an answer."""
    compared_spans(window_answer, -2.0, seed, twists, many=60)


def nothing_is_found_where_nothing_is(window_answer, *, seed, twists):
    """Compare documents of which some have no answer."""
    for high in (2.0, 3.5, 5.0):
        compared_spans(window_answer, high, seed, twists)
