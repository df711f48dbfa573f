"""ROC and precision-recall curves: as scikit-learn, with ties and one class, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from companion import evaluation
from companion.reference import evaluation as twin
from tests.evaluation.support import equal_but_nan, quiet, scored
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import agree, same


@shapes_vary
@given(rows=scored(), drop=st.booleans())
def test_roc_curve(rows, drop):
    ours = evaluation.roc_curve(*rows, drop_intermediate=drop)
    theirs = quiet(metrics.roc_curve, *rows, pos_label=1, drop_intermediate=drop)
    for mine, other in zip(ours, theirs, strict=True):
        agree("roc_curve", "scikit-learn", *equal_but_nan(mine, other))


@shapes_vary
@given(rows=scored())
def test_precision_recall_curve_and_average_precision(rows):
    ours = evaluation.precision_recall_curve(*rows)
    theirs = quiet(metrics.precision_recall_curve, *rows, pos_label=1)
    for mine, other in zip(ours, theirs, strict=True):
        agree("precision_recall_curve", "scikit-learn", mine, other)
    value = evaluation.average_precision(*rows)
    agree("average_precision", "scikit-learn", value, quiet(metrics.average_precision_score, *rows))
    if rows[0].any():
        expected = twin.average_precision(*rows)
        agree("average_precision", "NumPy twin", value, expected)
        theirs = metrics.average_precision_score(*rows)
        agree("twin: average_precision", "scikit-learn", expected, theirs)


@shapes_vary
@given(rows=scored())
def test_roc_auc(rows):
    value = evaluation.roc_auc(*rows)
    theirs = quiet(metrics.roc_auc_score, *rows) if len(set(rows[0])) > 1 else math.nan
    agree("roc_auc", "scikit-learn", *equal_but_nan(value, theirs))
    if not math.isnan(value):
        agree("roc_auc", "NumPy twin", value, twin.roc_auc(*rows))
        agree("twin: roc_auc", "scikit-learn", twin.roc_auc(*rows), theirs)


@shapes_vary
@given(y=st.lists(st.floats(-2, 2), min_size=2, max_size=9), falls=st.booleans())
def test_auc(y, falls):
    x = np.cumsum(np.arange(len(y)) % 3).astype(float)[:: -1 if falls else 1]
    agree("auc", "scikit-learn", evaluation.auc(x, y), abs(metrics.auc(x, y)))


def test_eight_scores_by_hand():
    """Each negative that stands above a positive costs one of the 16 pairs; a tie half of one."""
    true = [1, 1, 0, 1, 0, 0, 1, 0]
    score = [0.9, 0.8, 0.7, 0.6, 0.6, 0.4, 0.3, 0.1]
    fpr, tpr, thresholds = evaluation.roc_curve(true, score, drop_intermediate=False)
    points = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 3), (3, 3), (3, 4), (4, 4)]
    same("roc_curve", "by hand", np.stack([fpr, tpr], 1), [[a / 4, b / 4] for a, b in points])
    assert thresholds.tolist() == [math.inf, 0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.1]
    agree("roc_auc", "by hand", evaluation.roc_auc(true, score), 1 - (1 + 0.5 + 3) / 16)
    precisions = [1, 1, 3 / 5, 4 / 7]  # where each positive is let in, the third with a negative
    agree(
        "average_precision",
        "by hand",
        evaluation.average_precision(true, score),
        np.mean(precisions),
    )
    agree("auc", "by hand", evaluation.auc(fpr, tpr), 1 - 4.5 / 16)


def test_what_scores_of_one_class_are_worth():
    fpr, tpr, _ = evaluation.roc_curve([0, 0], [0.1, 0.2])
    assert np.isnan(tpr).all()
    assert fpr[-1] == 1
    assert np.isnan(evaluation.roc_curve([1, 1], [0.1, 0.2])[0]).all()
    assert math.isnan(evaluation.roc_auc([1, 1], [0.1, 0.2]))
    assert evaluation.average_precision([0, 0], [0.1, 0.2]) == 0
    assert evaluation.average_precision([1, 1], [0.1, 0.2]) == 1


def test_areas_do_not_change_with_the_scale_and_are_half_for_equal_scores():
    rng = np.random.default_rng(0)
    true, score = rng.integers(0, 2, 60), rng.normal(size=60)
    assert evaluation.roc_auc(true, score) == evaluation.roc_auc(true, np.exp(3 * score))
    assert evaluation.roc_auc(true, score) == pytest.approx(1 - evaluation.roc_auc(true, -score))
    assert evaluation.roc_auc(true, np.zeros(60)) == 0.5
    assert evaluation.average_precision(true, np.zeros(60)) == true.mean()


def test_labels_may_be_texts_and_scores_tensors():
    words, scores = ["ham", "spam", "spam"], torch.tensor([0.1, 0.9, 0.4])
    assert evaluation.roc_auc(words, scores, pos_label="spam") == 1
    assert evaluation.roc_auc([-1, 1, 1], scores) == 1
    assert evaluation.roc_auc([False, True, True], scores.half()) == 1


REFUSED = [
    (ValueError, "y_true and y_score must have the same length, got 2 and 3", [0, 1], [1, 2, 3]),
    (ValueError, "y_true must not be empty", [], []),
    (ValueError, "y_score must not be NaN, got one at 1", [0, 1], [0.5, math.nan]),
    (ValueError, "y_score must be finite, got inf", [0, 1], [0.5, math.inf]),
    (ValueError, "y_true must hold pos_label=1 and one other label", [0, 1, 2], [1, 2, 3]),
    (ValueError, "y_true must hold pos_label=1 and one other label", ["a", "b"], [1, 2]),
    (ValueError, r"y_score must have 1 dimension\(s\), got shape \(2, 1\)", [0, 1], [[1], [2]]),
    (TypeError, "y_score must hold numbers", [0, 1], ["a", "b"]),
    (TypeError, "y_score must hold numbers", [0, 1], [None, 1]),
]


@pytest.mark.parametrize(
    "name", ["roc_curve", "roc_auc", "precision_recall_curve", "average_precision"]
)
@pytest.mark.parametrize(("kind", "message", "true", "score"), REFUSED)
def test_wrong_rows_are_refused(name, kind, message, true, score):
    with unchecked(), pytest.raises(kind, match=message):
        getattr(evaluation, name)(true, score)


@pytest.mark.parametrize(
    ("message", "x", "y"),
    [
        ("x must rise or fall throughout", [0, 2, 1], [0, 1, 2]),
        ("x and y must be at least two points", [0], [1]),
        ("x and y must have the same length, got 2 and 3", [0, 1], [0, 1, 2]),
    ],
)
def test_points_that_are_no_curve_are_refused(message, x, y):
    with pytest.raises(ValueError, match=message):
        evaluation.auc(x, y)
