"""What a layer makes of the same words at other places, by kind of position."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion import attention, layers
from exercises import Check, Exercise
from exercises.answers import otherwise, words_for_cases

# What the explanation says of each kind, by what becomes of its output.
REASONS = {
    "none": {
        "same": "nothing tells the layer where it is, and the causal mask hides the same keys as before.",
    },
    "learned": {
        "error": "there is no vector for the last of these positions, and none can be made up.",
        "different": "other vectors are added, and they have nothing to do with the first ones.",
    },
    "sinusoidal": {
        "different": "other vectors are added at the bottom, so queries, keys and values all change. (The dot product of two of these vectors depends on their distance alone, but that of two words with them added does not.)",
    },
    "rotary": {
        "same": "queries and keys are turned by larger angles, but all by the same, so each score stays as it was; values are not turned.",
    },
    "ALiBi": {
        "same": "a penalty for the distance of two words asks only for their distance.",
    },
}
PAGE = ("none", "learned", "sinusoidal", "rotary", "ALiBi")
QUESTION = """
One causal attention layer reads {{n}} words at the positions 0 to {{last}}. Then it reads the same words again, and nothing else, at the positions {{start}} to {{end}}, as if a long text stood before them of which it sees nothing. Learned positions are there for {{places}} places. Is the output the *same*, up to rounding, is it *different*, or is there an *error*, with

{cases}

Write down your predictions, with a reason for each. Then call `read_at` for both places.
"""
STARTER = """
shift_predictions = {"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}

def read_at(kind, start, n=N_WORDS):
    torch.manual_seed(SEED)
    layer = attention.MultiHeadAttention(16, n_heads=2, rotary=kind == "rotary")
    learned = layers.Embedding(PLACES, 16)
    x, end = torch.randn(1, n, 16), start + n
    if kind == "learned":
        x = x + learned(torch.arange(start, end))
    if kind == "sinusoidal":
        x = x + layers.sinusoidal_positions(end, 16)[start:]
    bias = layers.alibi_bias(2, end)[None, :, start:, start:] if kind == "ALiBi" else None
    places = torch.arange(start, end) if kind == "rotary" else None
    return layer(x, mask=bias, is_causal=True, positions=places)
"""
HINT = "Ask for each kind what it changes: the vectors, the queries and keys, or the scores? And does that change depend on a place, or on the distance of two places?"
TRIAL = """
cases = {CASES}
for case, kind in cases.items():
    try:
        gap = (read_at(kind, START) - read_at(kind, 0)).abs().max().item()
        fate = "same" if gap < 1e-4 else "different"
    except ValueError:
        fate = "error"
    check(f"prediction ({case}), {kind}", shift_predictions[case], fate)
"""


def exercise(
    n: int = 8,
    start: int = 100,
    places: int = 64,
    cases: tuple[str, ...] = PAGE,
    seed: int = 0,
) -> Exercise:
    """Return the exercise for `n` words that move to `start`, with so many learned positions."""
    given = {"n": n, "start": start, "places": places, "cases": cases, "seed": seed}
    truth = fates(**given)
    letters = dict(zip(cases, "abcde", strict=True))
    starter = STARTER.replace("N_WORDS", str(n)).replace("SEED", str(seed))
    runs = {letter: kind for kind, letter in letters.items()}
    trial = TRIAL.replace("{CASES}", str(runs).replace("'", '"')).replace("START", str(start))
    return Exercise(
        id="transformer-same-words-later",
        title="The same words, further on",
        kind="predict",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION.replace("{cases}", _listed(cases)),
        starter=starter.replace("PLACES", str(places)),
        hint=HINT,
        solution=f"shift_predictions = {truth}",
        explanation="\n".join(_reason(kind, truth[letters[kind]]) for kind in cases),
        values={
            **{kind.lower(): letter for kind, letter in letters.items()},
            "n": n,
            "last": n - 1,
            "start": start,
            "end": start + n - 1,
            "places": places,
        },
        visible=(Check(fates_are_named),),
        hidden=(Check(fates_come_true, given),),
        wrong_answers=_wrong_answers(truth, letters),
        public_solution=True,
        words=True,
        trial=trial,
    )


def _listed(cases: tuple[str, ...]) -> str:
    names = {
        "none": "no positions",
        "learned": "learned positions",
        "sinusoidal": "sinusoidal positions",
        "rotary": "rotary positions",
        "ALiBi": "ALiBi",
    }
    return ";\n".join(f"- ({{{{{kind.lower()}}}}}) {names[kind]}" for kind in cases) + "?"


def _reason(kind: str, fate: str) -> str:
    return f"- ({{{{{kind.lower()}}}}}) {fate}: {REASONS[kind][fate]}"


def _wrong_answers(truth: dict[str, str], letters: dict[str, str]) -> dict[str, str]:
    learned = "different" if truth[letters["learned"]] == "error" else "error"
    wrong = {
        "rotary positions taken for absolute ones": {letters["rotary"]: "different"},
        "sinusoidal positions taken for relative ones": {letters["sinusoidal"]: "same"},
        "the size of the table forgotten, or misread": {letters["learned"]: learned},
        "a word that was not offered": {letters["none"]: "nothing"},
    }
    return {why: f"shift_predictions = {truth | change}" for why, change in wrong.items()}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw places and sizes; the table of learned positions may be long enough or not."""
    n, start = rng.choice((5, 6, 7, 9, 10)), rng.choice((40, 50, 80, 120))
    cases = list(PAGE)
    rng.shuffle(cases)
    return {
        "n": n,
        "start": start,
        "places": rng.choice((32, start + n - 1, start + n, 256)),
        "cases": tuple(cases),
        "seed": rng.randrange(10_000),
    }


# -- checks --------------------------------------------------------------------------------------


def read_at(kind: str, start: int, n: int, places: int, seed: int) -> torch.Tensor:
    """Let a layer read `n` words from position `start` on."""
    torch.manual_seed(seed)
    layer = attention.MultiHeadAttention(16, n_heads=2, rotary=kind == "rotary").double()
    x, at = torch.randn(1, n, 16).double(), torch.arange(start, start + n)
    if kind == "learned":
        x = x + layers.Embedding(places, 16).double()(at)
    if kind == "sinusoidal":
        x = x + layers.sinusoidal_positions(start + n, 16)[start:]
    distance = (at[:, None] - at).double()
    bias = -distance * torch.tensor([2.0**-4, 2.0**-8])[:, None, None] if kind == "ALiBi" else None
    mask = None if bias is None else bias[None]
    turned = at if kind == "rotary" else None
    result: torch.Tensor = layer(x, mask=mask, is_causal=True, positions=turned)
    return result


def fates(n, start, places, cases, seed) -> dict[str, str]:
    """Read at both places with each kind, and say what becomes of the output."""
    found = {}
    for letter, kind in zip("abcde", cases, strict=True):
        try:
            pair = [read_at(kind, at, n, places, seed) for at in (0, start)]
            found[letter] = "same" if torch.allclose(*pair, atol=1e-5) else "different"
        except ValueError:
            found[letter] = "error"
    return found


def fates_are_named(shift_predictions):
    """Check that there is one of the three words for each case."""
    words_for_cases(shift_predictions, ("same", "different", "error"))


def fates_come_true(shift_predictions, *, n, start, places, cases, seed):
    """Read at both places and compare."""
    truth = fates(n, start, places, cases, seed)
    wrong = otherwise(shift_predictions, truth)
    assert not wrong, f"The run says otherwise for {', '.join(wrong)}; run them with read_at"
