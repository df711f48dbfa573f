"""Put spans back into their gaps, also where a model's answer is incomplete."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from companion.reference import pretraining as twin
from exercises import Check, Exercise
from exercises.answers import parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
A T5 has read `inputs`, a list of tokens with sentinels in the gaps, and has written `outputs`: sentinels, each followed by the tokens of its gap. Write `fill_gaps(inputs, outputs, sentinels)`, which returns the whole text as a list. The model may make mistakes, and your function must not fail: a gap that the outputs do not name stays EMPTY; tokens before the first sentinel are left out; if a sentinel is named twice, the first answer counts.
"""
# What stands in a gap that nothing is said of.
RULES = {
    "empty": "empty (nothing stands there)",
    "kept": "marked (its sentinel stands in the text)",
}
STARTER = '''
def fill_gaps(inputs, outputs, sentinels):
    """lists of tokens -> the whole text, a list"""
    ...
'''
HINT = "First go through the outputs and collect, in a dictionary, the tokens that belong to each sentinel. Then go through the inputs: a sentinel is replaced by what was collected for it, any other token stays."
SOLUTION = """
def fill_gaps(inputs, outputs, sentinels):
    spans, at = {}, None
    for token in outputs:
        if token in sentinels:
            at = [] if token in spans else spans.setdefault(token, [])
        elif at is not None:
            at.append(token)
    text = []
    for token in inputs:
        if token in sentinels:
            text += spans.get(token, MISSING)
        else:
            text.append(token)
    return text
"""
MISSING = {"empty": "[]", "kept": "[token]"}
TWISTS = {
    "lacking": Twist(
        "Return two lists: the text, and the sentinels of the gaps in `inputs` that the outputs do not name, in the order of `inputs`.",
        {
            "fill_gaps": (
                "",
                "result = result, [t for t in inputs if t in sentinels and t not in outputs]",
            )
        },
        {"-> the whole text, a list": "-> the whole text, and the sentinels without an answer"},
    ),
    "pairs": Twist(
        "The model's answer comes cut up already: `outputs` is a list of pairs, each of a sentinel (or `None`, for what stands before the first one) and the list of tokens that follow it.",
        {
            "fill_gaps": (
                "outputs = [t for name, span in outputs for t in ([] if name is None else [name]) + span]",
                "",
            )
        },
        {"lists of tokens": "inputs, sentinels lists; outputs a list of pairs"},
    ),
}
LACKING = {"empty": "Thank you me last week", "kept": "Thank you <X> me last week"}
EXPLANATION = """
The sentinels name the gaps, so their order does not matter, and one missing answer does not shift the others. `at` is the list that tokens are added to at the moment. When a sentinel comes a second time, `at` becomes a new list that nobody keeps. In `join_spans` of the package such outputs are errors, because there they come from `cut_spans` and must be whole.
"""
TRIAL = """
X, Y, Z = "<X>", "<Y>", "<Z>"
inputs = ["Thank", "you", X, "me", Y, "week"]
filled = fill_gaps(inputs, [X, "for", "inviting", Y, "last", Z], [X, Y, Z])
whole = "Thank you for inviting me last week"
check("a whole answer", " ".join(filled), whole)
other_order = fill_gaps(inputs, [Y, "last", X, "for", "inviting"], [X, Y, Z])
check("another order", " ".join(other_order), whole)
twice = fill_gaps(inputs, ["so", X, "for", "inviting", Y, "last", X, "no"], [X, Y, Z])
check("named twice", " ".join(twice), whole)
lacking = fill_gaps(inputs, [Y, "last"], [X, Y, Z])
check("a gap not named", " ".join(lacking), "LACKING")
"""


def exercise(missing: str = "empty", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; a gap without an answer stays empty, or its sentinel is kept."""
    solution = SOLUTION.replace("MISSING", MISSING[missing])
    given = {"missing": missing, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"fill_gaps": "inputs, outputs, sentinels"}, twisted)

    other = next(kind for kind in MISSING if kind != missing)
    return Exercise(
        id="pretraining-fill-gaps",
        title="Fill the gaps",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("EMPTY", RULES[missing]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(solution),
        explanation=EXPLANATION,
        visible=(Check(fills_the_gaps_of_the_paper, {"twists": twists}),),
        hidden=(Check(fills_any_text, given), Check(forgives_mistakes, given)),
        wrong_answers={
            "gaps filled in the order of the answer": filled(IN_ORDER),
            "the last answer counts": filled(
                solution.replace(
                    "[] if token in spans else spans.setdefault(token, [])",
                    "spans[token] = []",
                ).replace("at = spans[token] = []", "spans[token] = at = []")
            ),
            "nothing after a gap that is not named": filled(
                solution.replace(
                    f"text += spans.get(token, {MISSING[missing]})",
                    "if token not in spans:\n                break\n            text += spans[token]",
                )
            ),
            "the other rule for gaps": filled(SOLUTION.replace("MISSING", MISSING[other])),
        },
        public_solution=True,
        trial="" if twists else TRIAL.replace("LACKING", LACKING[missing]),
    )


IN_ORDER = """
def fill_gaps(inputs, outputs, sentinels):
    spans = []
    for token in outputs:
        if token in sentinels:
            spans.append([])
        elif spans:
            spans[-1].append(token)
    text = []
    for token in inputs:
        text += (spans.pop(0) if spans else []) if token in sentinels else [token]
    return text
"""


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a rule for gaps without an answer, and texts."""
    chosen = drawn(rng, ("kept", *TWISTS))
    return {
        "missing": "kept" if "kept" in chosen else "empty",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(fill_gaps, twists):
    """Return the function as the page asks for it."""

    def as_on_the_page(inputs, outputs, sentinels):
        lacking = [token for token in inputs if token in sentinels and token not in outputs]
        pairs = [(None, [])]
        for part in outputs:
            if part in sentinels:
                pairs.append((part, []))
            else:
                pairs[-1][1].append(part)
        given = [pair for pair in pairs if pair[0] is not None or pair[1]]
        result = fill_gaps(inputs, given if "pairs" in twists else outputs, sentinels)
        if "lacking" in twists:
            result, told = parts(result, 2)
            assert list(told) == lacking, (
                f"Of the inputs {inputs} with the outputs {outputs}, the gaps without an answer "
                f"are {lacking}, and not {list(told)}"
            )
        return result.tolist() if hasattr(result, "tolist") else result

    return as_on_the_page


def fills_the_gaps_of_the_paper(fill_gaps, *, twists):
    """Check the sentence of the T5 paper."""
    fill_gaps = plain(fill_gaps, twists)
    found = fill_gaps(
        ["Thank", "you", "X", "me", "Y", "week"],
        ["X", "for", "inviting", "Y", "last", "Z"],
        ["X", "Y", "Z"],
    )
    assert isinstance(found, list), f"fill_gaps should return a list, got {type(found).__name__}"
    whole = ["Thank", "you", "for", "inviting", "me", "last", "week"]
    assert found == whole, f"The sentence of the T5 paper comes out as {found}"


def fills_any_text(fill_gaps, *, missing, seed, twists):
    """Check that random texts come back whole."""
    fill_gaps = plain(fill_gaps, twists)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        text, hidden = rng.integers(50, size=20), rng.random(20) < 0.3
        sentinels = list(range(100, 121))
        inputs, targets = (row.tolist() for row in twin.cut_spans(text, hidden, sentinels))
        assert fill_gaps(inputs, targets, sentinels) == text.tolist(), (
            "A text that was cut does not come back as it was"
        )


def forgives_mistakes(fill_gaps, *, missing, seed, twists):
    """Check answers in another order, with a gap left out, and with one named twice."""
    fill_gaps = plain(fill_gaps, twists)
    a, b, c = np.random.default_rng(seed).permutation(50)[:3].tolist()
    inputs, sentinels = [1, 100, 2, 101, 3], [100, 101, 102]

    def fill(outputs):
        try:
            return fill_gaps(list(inputs), outputs, list(sentinels))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise AssertionError(f"fill_gaps fails for {outputs}: {error!r}") from None

    assert fill([101, b, 100, a]) == [1, a, 2, b, 3], (
        "The sentinels name the gaps: the order of the answers does not matter"
    )
    gap = [] if missing == "empty" else [100]
    assert fill([101, b, 102]) == [1, *gap, 2, b, 3], (
        "Look again at what stands in a gap that the outputs do not name"
    )
    assert fill([c, 100, a, 101, b]) == [1, a, 2, b, 3], (
        "Tokens before the first sentinel belong to no gap"
    )
    assert fill([100, a, 101, b, 100, c]) == [1, a, 2, b, 3], (
        "If a sentinel is named twice, the first answer counts"
    )
