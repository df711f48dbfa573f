"""Spans from BIO tags: by trying every stretch, by hand, and as classes of whole spans."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from companion import evaluation
from companion.evaluation import Span
from companion.reference import evaluation as twin
from tests.evaluation.support import equal_but_nan, quiet
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
tags = st.lists(st.sampled_from(TAGS), max_size=8)

# Read strictly, as the documentation of seqeval has it for mode="strict", scheme=IOB2.
BY_HAND = [
    ([], []),
    (["O", "O"], []),
    (["B-PER", "I-PER", "O", "B-LOC"], [("PER", 0, 2), ("LOC", 3, 4)]),
    (["B-PER", "B-PER", "I-PER"], [("PER", 0, 1), ("PER", 1, 3)]),  # two names side by side
    (["I-PER", "I-PER"], []),  # no beginning
    (["O", "I-PER", "B-PER"], [("PER", 2, 3)]),
    (["B-PER", "I-LOC", "I-PER"], [("PER", 0, 1)]),  # what follows is of another kind
    (["B-PER", "O", "I-PER"], [("PER", 0, 1)]),
    (["B-A-1", "I-A-1"], [("A-1", 0, 2)]),  # a kind may have a dash
]


@pytest.mark.parametrize(("row", "spans"), BY_HAND)
def test_spans_by_hand(row, spans):
    same("bio_spans", "by hand", evaluation.bio_spans(row), spans)
    same("twin: bio_spans", "by hand", twin.bio_spans(row), spans)


@shapes_vary
@given(row=tags)
def test_spans_are_all_stretches_that_look_like_one(row):
    ours = evaluation.bio_spans(row)
    same("bio_spans", "NumPy twin", ours, twin.bio_spans(row))
    same(
        "Span, the tokens of",
        "NumPy twin",
        [row[s.start][2:] for s in ours],
        [s.kind for s in ours],
    )


def texts(seed, n=4):
    rng = random.Random(seed)
    return [rng.choices(TAGS, [4, 3, 3, 1, 1], k=rng.randint(0, 6)) for _ in range(n)]


def as_rows(y_true, y_pred):
    """Return one row for each stretch that is a span on one side: kinds, or nothing."""
    rows = []
    for one, other in zip(y_true, y_pred, strict=True):
        wanted, given_ = ({(s[1], s[2]): s[0] for s in twin.bio_spans(x)} for x in (one, other))
        rows += [(wanted.get(p, "-"), given_.get(p, "-")) for p in sorted({*wanted, *given_})]
    return rows


@pytest.mark.parametrize("average", ["micro", "macro", "weighted", None])
@shapes_vary
@given(seed=seeds, zero=st.sampled_from([0.0, 1.0, math.nan]))
def test_scores_are_those_of_whole_spans_as_rows(average, seed, zero):
    """A stretch is one row, and "-" a class that does not count: scikit-learn scores the rest."""
    y_true = [["B-PER", "O", "B-LOC"], *texts(seed)]
    rng = random.Random(seed)
    y_pred = [
        ["B-PER", "O", "B-LOC"],
        *([tag if rng.random() < 0.6 else rng.choice(TAGS) for tag in row] for row in y_true[1:]),
    ]
    ours = evaluation.span_scores(y_true, y_pred, average=average, zero_division=zero)
    settings = {"labels": ["LOC", "PER"], "average": average, "zero_division": zero}
    theirs = quiet(
        metrics.precision_recall_fscore_support,
        *zip(*as_rows(y_true, y_pred), strict=True),
        **settings,
    )
    for field, value, other in zip(ours._fields, ours, theirs[:3], strict=True):
        agree(f"span_scores, average={average}", "scikit-learn", *equal_but_nan(value, other))
        agree(f"SpanScores, {field}", "scikit-learn", *equal_but_nan(value, other))


def test_half_a_name_is_no_name():
    y_true, y_pred = [["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "B-LOC"]]
    same("span_scores", "by hand", evaluation.span_scores(y_true, y_pred), (0.5, 0.5, 0.5))
    by_kind = evaluation.span_scores(y_true, y_pred, average=None)
    assert by_kind.f1.tolist() == [1, 0]  # LOC, PER
    assert evaluation.accuracy(*y_true, *y_pred) == 0.75  # tags alone look better


def test_where_there_are_no_spans_the_caller_says_what_counts():
    nothing, something = [["O", "O"]], [["B-PER", "O"]]
    for average in ("micro", "macro", "weighted"):
        scores = evaluation.span_scores(nothing, nothing, average=average, zero_division=1.0)
        assert scores == (1, 1, 1)
        scores = evaluation.span_scores(nothing, something, average=average, zero_division=0.0)
        assert scores == (0, 0, 0)
    empty = evaluation.span_scores(nothing, nothing, average=None, zero_division=0.0)
    assert [np.size(each) for each in empty] == [0, 0, 0]


def test_a_span_is_a_slice():
    words = ["Ada", "Lovelace", "met", "Charles"]
    (first, second) = evaluation.bio_spans(["B-PER", "I-PER", "O", "B-PER"])
    assert first == Span("PER", 0, 2)
    assert words[first.start : first.stop] == ["Ada", "Lovelace"]
    assert words[second.start : second.stop] == ["Charles"]


ONE = [["B-PER", "O"]]
REFUSED = [
    (
        ValueError,
        "tags must be 'O', or 'B-' or 'I-' and a kind, got 'S-PER'",
        lambda: evaluation.bio_spans(["S-PER"]),
    ),
    (ValueError, "got 'B-'", lambda: evaluation.bio_spans(["B-"])),
    (ValueError, "got 'B'", lambda: evaluation.bio_spans(["B"])),
    (TypeError, "tags must be a list of texts, got one text", lambda: evaluation.bio_spans("O")),
    (
        ValueError,
        "y_true and y_pred must have the same length, got 1 and 2",
        lambda: evaluation.span_scores(ONE, ONE * 2),
    ),
    (
        ValueError,
        "as many tags in text 0, got 2 and 1",
        lambda: evaluation.span_scores(ONE, [["O"]]),
    ),
    (ValueError, "y_true and y_pred must not be empty", lambda: evaluation.span_scores([], [])),
    (ValueError, "precision is 0/0", lambda: evaluation.span_scores(ONE, [["O", "O"]])),
    (ValueError, "recall is 0/0", lambda: evaluation.span_scores([["O", "O"]], ONE)),
    (
        ValueError,
        "average must be one of",
        lambda: evaluation.span_scores(ONE, ONE, average="binary"),
    ),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_wrong_tags_are_refused(kind, message, call):
    with unchecked(), pytest.raises(kind, match=message):
        call()
