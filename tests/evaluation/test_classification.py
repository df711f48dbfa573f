"""Measures of labels: equal to scikit-learn's, also where a class is missing, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from companion import evaluation
from companion.reference import evaluation as twin
from tests.evaluation.support import equal_but_nan, labelled, quiet
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import agree, same

ZERO = st.sampled_from([0.0, 1.0, math.nan])
# Ten examples: 4 of 6 positives found, 1 of 4 negatives called positive.
TRUE = [1, 1, 1, 1, 1, 1, 0, 0, 0, 0]
PRED = [1, 1, 1, 1, 0, 0, 1, 0, 0, 0]


def test_ten_examples_by_hand():
    same("confusion_matrix", "by hand", evaluation.confusion_matrix(TRUE, PRED), [[3, 1], [2, 4]])
    agree("accuracy", "by hand", evaluation.accuracy(TRUE, PRED), 7 / 10)
    agree("balanced_accuracy", "by hand", evaluation.balanced_accuracy(TRUE, PRED), 17 / 24)
    agree("evaluation.f_scores.precision", "by hand", evaluation.precision(TRUE, PRED), 4 / 5)
    agree("evaluation.f_scores.recall", "by hand", evaluation.recall(TRUE, PRED), 4 / 6)
    agree("evaluation.f_scores.f1", "by hand", evaluation.f1(TRUE, PRED), 8 / 11)
    mcc = (4 * 3 - 1 * 2) / math.sqrt(5 * 6 * 4 * 5)
    agree("matthews_corrcoef", "by hand", evaluation.matthews_corrcoef(TRUE, PRED), mcc)


@shapes_vary
@given(pair=labelled())
def test_counts_are_those_of_scikit_learn(pair):
    ours = evaluation.confusion_matrix(*pair, labels=[2, 0, 1])
    same(
        "confusion_matrix, labels in an order",
        "scikit-learn",
        ours,
        metrics.confusion_matrix(*pair, labels=[2, 0, 1]),
    )
    same(
        "confusion_matrix",
        "scikit-learn",
        evaluation.confusion_matrix(*pair),
        quiet(metrics.confusion_matrix, *pair),
    )
    agree("accuracy", "scikit-learn", evaluation.accuracy(*pair), metrics.accuracy_score(*pair))
    agree(
        "balanced_accuracy",
        "scikit-learn",
        evaluation.balanced_accuracy(*pair),
        quiet(metrics.balanced_accuracy_score, *pair),
    )
    agree(
        "matthews_corrcoef",
        "scikit-learn",
        evaluation.matthews_corrcoef(*pair),
        quiet(metrics.matthews_corrcoef, *pair),
    )


@pytest.mark.parametrize("average", ["macro", "micro", "weighted", None])
@shapes_vary
@given(pair=labelled(), zero=ZERO)
def test_precision_recall_and_f1_of_several_classes(average, pair, zero):
    """All three classes are named, so that in short lists one has no row, or is never called."""
    settings = {"labels": [0, 1, 2], "average": average, "zero_division": zero}
    for name in ("precision", "recall", "f1"):
        ours = getattr(evaluation, name)(*pair, **settings)
        theirs = quiet(getattr(metrics, f"{name}_score"), *pair, **settings)
        agree(f"{name}, average={average}", "scikit-learn", *equal_but_nan(ours, theirs))


@shapes_vary
@given(pair=labelled(2), zero=ZERO, positive=st.integers(0, 1))
def test_precision_recall_and_f1_of_two_classes(pair, zero, positive):
    settings = {"pos_label": positive, "zero_division": zero}
    for name in ("precision", "recall", "f1"):
        ours = getattr(evaluation, name)(*pair, **settings)
        theirs = quiet(getattr(metrics, f"{name}_score"), *pair, **settings)
        agree(name, "scikit-learn", *equal_but_nan(ours, theirs))


@shapes_vary
@given(pair=labelled(2))
def test_f1_is_the_harmonic_mean(pair):
    true, pred = [1, 0, *pair[0]], [1, 0, *pair[1]]
    agree("f1", "NumPy twin", evaluation.f1(true, pred), twin.f1(true, pred, 1))
    agree("twin: f1", "scikit-learn", twin.f1(true, pred, 1), metrics.f1_score(true, pred))


def test_macro_f1_is_not_the_f1_of_the_macro_means():
    true, pred = [0] * 8 + [1] * 2, [0] * 2 + [1] * 8
    p, r = (f(true, pred, average="macro") for f in (evaluation.precision, evaluation.recall))
    assert evaluation.f1(true, pred, average="macro") < 2 * p * r / (p + r) - 0.1


def test_with_one_label_a_row_micro_averages_are_the_accuracy():
    rng = np.random.default_rng(0)
    true, pred = rng.integers(0, 4, (2, 50))
    for measure in (evaluation.precision, evaluation.recall, evaluation.f1):
        assert measure(true, pred, average="micro") == evaluation.accuracy(true, pred)


def test_labels_may_be_texts_arrays_and_tensors():
    words = ["ham", "spam", "spam", "ham"], ["ham", "spam", "ham", "ham"]
    numbers = [[int(word == "spam") for word in some] for some in words]
    for kind in (np.array, torch.tensor, tuple):
        first, second = map(kind, numbers)
        assert evaluation.f1(first, second) == evaluation.f1(*words, pos_label="spam") == 2 / 3
        assert evaluation.confusion_matrix(first, second).tolist() == [[2, 0], [1, 1]]
    assert evaluation.confusion_matrix(*words).tolist() == [[2, 0], [1, 1]]


def test_always_the_same_answer_gets_what_chance_gives():
    true = [0] * 95 + [1] * 5
    always = [0] * 100
    assert evaluation.accuracy(true, always) == 0.95
    assert evaluation.balanced_accuracy(true, always) == 0.5
    assert evaluation.matthews_corrcoef(true, always) == 0
    assert evaluation.recall(true, always) == 0


EMPTY = [0, 0], [0, 0]
REFUSED = [
    (
        ValueError,
        "y_true and y_pred must have the same length, got 2 and 1",
        "accuracy",
        [0, 1],
        [1],
    ),
    (ValueError, "y_true and y_pred must not be empty", "accuracy", [], []),
    (ValueError, "y_pred must not be NaN, got one in row 1", "f1", [1, 0], [1, math.nan]),
    (TypeError, "y_true must be a list or an array, got str", "accuracy", "ab", "ab"),
    (ValueError, "y_true must have one dimension", "accuracy", np.zeros((2, 2)), [0, 1]),
    (TypeError, "must hold labels of one kind", "confusion_matrix", [1, "a"], [1, "a"]),
    (ValueError, "average must be 'macro'", "f1", [0, 1, 2], [0, 1, 2]),
    (ValueError, "not pos_label=1 and one other", "f1", ["a", "b"], ["a", "b"]),
    (ValueError, "precision is 0/0 for a class without rows; zero_div", "precision", *EMPTY),
    (ValueError, "recall is 0/0", "recall", *EMPTY),
    (ValueError, "f1 is 0/0", "f1", *EMPTY),
]


@pytest.mark.parametrize(("kind", "message", "name", "true", "pred"), REFUSED)
def test_wrong_rows_are_refused(kind, message, name, true, pred):
    with unchecked(), pytest.raises(kind, match=message):
        getattr(evaluation, name)(true, pred)


@pytest.mark.parametrize(
    ("message", "settings"),
    [
        (r"y_pred must hold only \[0, 1\], got 2", {"labels": [0, 1]}),
        (r"labels must be different", {"labels": [0, 1, 2, 2]}),
        (r"zero_division must be 0, 1 or NaN, got 0.5", {"average": "macro", "zero_division": 0.5}),
        (r"average must be one of .*; did you mean 'macro'\?", {"average": "makro"}),
    ],
)
def test_wrong_settings_are_refused(message, settings):
    with unchecked(), pytest.raises(ValueError, match=message):
        evaluation.f1([0, 1, 1], [0, 1, 2], **settings)
