"""Predict how many inputs and targets each objective makes of a text."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import torch

from companion import pretraining
from exercises import Check, Exercise

QUESTION = """
A text has {{length}} tokens. How many tokens do these have?

- (a) The targets of causal language modelling.
- (b) The input of span corruption, which cuts out {{percent}} % of the tokens in spans of {{mean}} on average, without a token that ends the text.
- (c) The target of the same span corruption.

And (d): three documents have {{n_1}}, {{n_2}} and {{n_3}} sentences. How many pairs does `sentence_pairs` make for next-sentence prediction?

Write down your predictions first, then run the functions.
"""
STARTER = """
counted_targets = {"a": ..., "b": ..., "c": ..., "d": ...}
"""
HINT = "How many tokens are cut out, and in how many spans? Each span leaves a sentinel in the input and has the same sentinel in the target, which one more sentinel ends. A pair begins with a sentence that another one follows in its document."
EXPLANATION = """
(a) Every token but the first is a target: {{a}}. Of the {{length}} tokens, {{cut}} are cut out in {{spans}} spans. (b) The input keeps {{kept}} tokens and has {{spans}} sentinels, {{b}} together. (c) The target has the {{cut}} tokens, the {{spans}} sentinels, and one more that ends it: {{c}}. (d) The last sentence of a document has none that follows, so each document gives one pair fewer than it has sentences: {{d}}. The numbers of (b) and (c) are the same for every seed; only the places of the spans are drawn.
"""
TRIAL = """
from companion import pretraining

generator = torch.Generator().manual_seed(0)
text = torch.arange(LENGTH)
check("(a)", counted_targets["a"], len(pretraining.causal_lm(text)[1]), 0)
sentinels = range(1000, 1100)
inputs, targets = pretraining.span_corruption(
    text, sentinels, p=SHARE, mean_length=MEAN, generator=generator
)
check("(b)", counted_targets["b"], len(inputs), 0)
check("(c)", counted_targets["c"], len(targets), 0)
documents = [[[7]] * n for n in SENTENCES]
pairs = pretraining.sentence_pairs(documents, cls_id=1, sep_id=2)
check("(d)", counted_targets["d"], len(pairs), 0)
"""


def exercise(
    length: int = 60,
    percent: int = 15,
    mean: float = 3.0,
    sentences: tuple[int, int, int] = (4, 1, 6),
) -> Exercise:
    """Return the exercise for a text of this length and documents of so many sentences."""
    given = {"length": length, "percent": percent, "mean": mean, "sentences": sentences}
    truth = numbers(**given)
    cut = round(length * percent / 100)
    spans = truth["c"] - cut - 1
    trial = TRIAL
    for name, value in (
        ("LENGTH", length),
        ("SHARE", percent / 100),
        ("MEAN", mean),
        ("SENTENCES", list(sentences)),
    ):
        trial = trial.replace(name, str(value))
    return Exercise(
        id="pretraining-how-many",
        title="How many targets?",
        kind="predict",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=f"counted_targets = {truth}",
        explanation=EXPLANATION,
        values={
            "length": length,
            "percent": percent,
            "mean": f"{mean:g}",
            **{f"n_{i}": n for i, n in enumerate(sentences, 1)},
            "cut": cut,
            "spans": spans,
            "kept": length - cut,
            **truth,
        },
        visible=(Check(all_are_counts),),
        hidden=(Check(counts_come_true, given),),
        wrong_answers={
            "the last sentinel forgotten": f"counted_targets = {truth | {'c': truth['c'] - 1}}",
            "the first token taken for a target": f"counted_targets = {truth | {'a': length}}",
            "no sentinels in the input": f"counted_targets = {truth | {'b': length - cut}}",
            "a pair for each sentence": f"counted_targets = {truth | {'d': sum(sentences)}}",
        },
        public_solution=True,
        trial=trial,
    )


def numbers(
    length: int, percent: int, mean: float, sentences: tuple[int, int, int]
) -> dict[str, int]:
    """Return what the functions make."""
    text = torch.arange(length)
    inputs, targets = pretraining.span_corruption(
        text, range(1000, 1100), p=percent / 100, mean_length=mean
    )
    documents = [[[7]] * n for n in sentences]
    return {
        "a": len(pretraining.causal_lm(text)[1]),
        "b": len(inputs),
        "c": len(targets),
        "d": len(pretraining.sentence_pairs(documents, cls_id=1, sep_id=2)),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a text whose cut tokens and spans come out whole, and documents."""
    percent, mean = rng.choice([(10, 2.0), (20, 4.0), (15, 3.0), (20, 2.0)])
    spans = rng.randrange(2, 7)
    length = round(spans * mean * 100 / percent)
    return {
        "length": length,
        "percent": percent,
        "mean": mean,
        "sentences": tuple(rng.sample(range(1, 9), 3)),
    }


# -- checks --------------------------------------------------------------------------------------


def all_are_counts(counted_targets):
    """Check that there are four whole numbers."""
    assert sorted(counted_targets) == ["a", "b", "c", "d"], (
        f"There should be numbers for a, b, c and d, got {sorted(counted_targets)}"
    )
    for name, value in counted_targets.items():
        assert isinstance(value, int), f"({name}) should be a whole number, got {value!r}"


def counts_come_true(counted_targets, *, length, percent, mean, sentences):
    """Compare with what the functions make."""
    truth = numbers(length, percent, mean, tuple(sentences))
    right = {name: counted_targets[name] == truth[name] for name in truth}
    assert right["a"], "(a) is not right: which token has none before it?"
    assert right["b"], "(b) is not right: what stands in each gap?"
    assert right["c"], "(c) is not right: count the tokens, the sentinels, and what ends the target"
    assert right["d"], (
        "(d) is not right: which sentences are followed by another one of their document?"
    )
