"""Predict how many outputs of an encoder-decoder move when a token is changed."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion.attention import padding_mask
from companion.models import Seq2Seq, Seq2SeqConfig
from exercises import Check, Exercise

QUESTION = """
A `Seq2Seq` reads a source of {{source}} tokens, of which the last {{filler}} are filler, and gets {{target}} tokens of the target as input. So it gives {{target}} rows of logits. One token is replaced, and you count the rows that move:

- (a) a real token of the source is replaced;
- (b) a filler token of the source is replaced;
- (c) the target's token at position {{place}} is replaced (positions count from 0);
- (d) a filler token of the source is replaced, but PART gets no mask.

Write the four numbers down before you run anything. Then run all four with `rows_that_move`, which gets two runs of the model.
"""
# What takes the place of PART, by the mask that is left out.
PARTS = {"cross": "cross-attention", "encoder": "the encoder"}
STARTER = """
def rows_that_move(before, after):  # logits, (1, T, V) each
    return int((before != after).any(dim=-1).sum())

row_predictions = {"a": ..., "b": ..., "c": ..., "d": ...}
"""
HINT = "Which of the three attention layers sees the token, and which rows of logits depend on what it gives? A row sees its own input token."
EXPLANATION = r"""
(a) {{a}}: every position of the target looks at the memory, and every vector of the memory depends on every real token. (b) {{b}}: both attention layers that see the source hide the filler. (c) {{c}}: the causal mask lets the rows {{place}} to {{last}} see position {{place}}, and no earlier one. (d) {{d}}: one open door is enough. REASON
"""
# What takes the place of REASON.
REASONS = {
    "cross": "The encoder has a mask, so its real positions do not move; but it returns a vector for the filler, too, which cross-attention now reads.",
    "encoder": "Cross-attention hides the filler's own vectors, but the real positions of the encoder have read it.",
}
TRIAL = """
torch.manual_seed(0)
sizes = models.Seq2SeqConfig(20, 16, 2, 2, 32, dropout=0.0)
small = models.Seq2Seq(sizes).eval()
S, T, FILLER, PLACE = {numbers}
source, target = torch.arange(S)[None], torch.arange(T)[None]
mask = attention.padding_mask(torch.tensor([S - FILLER]), S)
other_word, other_filler, other_target = source.clone(), source.clone(), target.clone()
other_word[0, 0] = other_filler[0, -1] = other_target[0, PLACE] = 19

def run(source, target, encoder_mask=mask, cross_mask=mask):
    return small.decode(target, small.encode(source, encoder_mask), cross_mask)

with torch.no_grad():
    whole, opened = run(source, target), run(source, target, {masks})
    found = {{
        "a": rows_that_move(whole, run(other_word, target)),
        "b": rows_that_move(whole, run(other_filler, target)),
        "c": rows_that_move(whole, run(source, other_target)),
        "d": rows_that_move(opened, run(other_filler, target, {masks})),
    }}
for case, rows in found.items():
    check(f"prediction ({{case}})", row_predictions[case], rows, 0)
"""
MASKS = {"cross": "mask, None", "encoder": "None, mask"}


def exercise(
    source: int = 9, filler: int = 3, target: int = 7, place: int = 2, broken: str = "cross"
) -> Exercise:
    """Return the exercise with these lengths, and a mask left out at ``broken``."""
    given = {
        "source": source,
        "filler": filler,
        "target": target,
        "place": place,
        "broken": broken,
    }
    truth = rows_found(**given)
    return Exercise(
        id="transformer-what-moves",
        title="How many rows move?",
        kind="predict",
        difficulty=1,
        minutes=10,
        points=3,
        question=QUESTION.replace("PART", PARTS[broken]),
        starter=STARTER,
        hint=HINT,
        solution=_answer(truth),
        explanation=EXPLANATION.replace("REASON", REASONS[broken]),
        values={
            **truth,
            "source": source,
            "filler": filler,
            "target": target,
            "place": place,
            "last": target - 1,
        },
        visible=(Check(predictions_are_counts, {"target": target}),),
        hidden=(Check(predictions_come_true, given),),
        wrong_answers={
            "no causal mask": _answer(truth | {"c": target}),
            "the token's own row is left out": _answer(truth | {"c": target - place - 1}),
            "filler is read": _answer(truth | {"b": target}),
            "one mask is enough": _answer(truth | {"d": 0}),
        },
        public_solution=True,
        trial=TRIAL.format(numbers=(source, target, filler, place), masks=MASKS[broken]),
    )


def _answer(predictions: dict[str, int]) -> str:
    return f"{STARTER.split('row_predictions')[0]}row_predictions = {predictions}"


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw lengths, a place that is neither the first nor the last, and the missing mask."""
    target = rng.randrange(5, 10)
    return {
        "source": rng.randrange(7, 12),
        "filler": rng.randrange(2, 5),
        "target": target,
        "place": rng.randrange(1, target - 1),
        "broken": rng.choice(sorted(PARTS)),
    }


# -- checks --------------------------------------------------------------------------------------


@torch.no_grad()
def rows_found(source: int, filler: int, target: int, place: int, broken: str) -> dict[str, int]:
    """Run the four experiments on a small model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Seq2Seq(Seq2SeqConfig(20, 16, 2, 2, 32, dropout=0.0)).double().eval()
    words, written = torch.arange(source)[None], torch.arange(target)[None]
    mask = padding_mask(torch.tensor([source - filler]), source)
    open_at = {"cross": (mask, None), "encoder": (None, mask)}[broken]

    def moves(new_words: torch.Tensor, new_written: torch.Tensor, masks: tuple) -> int:
        before, after = (
            model.decode(t, model.encode(s, masks[0]), masks[1])
            for s, t in ((words, written), (new_words, new_written))
        )
        return int((before != after).any(dim=-1).sum())

    closed = (mask, mask)
    return {
        "a": moves(_other(words, 0), written, closed),
        "b": moves(_other(words, source - 1), written, closed),
        "c": moves(words, _other(written, place), closed),
        "d": moves(_other(words, source - 1), written, open_at),
    }


def _other(ids: torch.Tensor, place: int) -> torch.Tensor:
    """Return the ids with another token at one place."""
    ids = ids.clone()
    ids[0, place] = 19
    return ids


def predictions_are_counts(row_predictions, *, target):
    """Check that there is a possible number for each case."""
    for case in "abcd":
        given = row_predictions.get(case)
        assert given in range(target + 1), (
            f"({case}) should be a whole number of rows from 0 to {target}, got {given!r}"
        )


def predictions_come_true(row_predictions, *, source, filler, target, place, broken):
    """Run the experiments and compare."""
    truth = rows_found(source, filler, target, place, broken)
    wrong = [case for case in truth if row_predictions[case] != truth[case]]
    assert not wrong, f"The run says otherwise for {', '.join(wrong)}: count with rows_that_move"
