"""Probabilities: scores as scikit-learn has them, bins by twin, a temperature that is the best."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn import calibration, metrics
from torch.nn import functional as F

from companion import evaluation, losses
from companion.reference import evaluation as twin
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import agree, same


def rows(seed, n=20, k=3, scale=2.0):
    """Return labels, and probabilities that have something to do with them."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.normal(size=(n, k))
    true = np.array([rng.choice(k, p=p) for p in special.softmax(logits / scale, axis=1)])
    return true, special.softmax(logits, axis=1), logits


@shapes_vary
@given(seed=seeds, n=st.integers(1, 20), k=st.integers(2, 4))
def test_log_loss_and_brier_score(seed, n, k):
    true, p, _ = rows(seed, n, k)
    for name in ("log_loss", "brier_score"):
        theirs = getattr(metrics, name if name == "log_loss" else "brier_score_loss")
        ours = getattr(evaluation, name)(true, p, labels=range(k))
        agree(name, "scikit-learn", ours, theirs(true, p, labels=range(k)))
        if k == 2:
            ours = getattr(evaluation, name)(true, p[:, 1])
            other = {"labels": [0, 1]} if name == "log_loss" else {"pos_label": 1}
            agree(f"{name}, of two classes", "scikit-learn", ours, theirs(true, p[:, 1], **other))


@pytest.mark.parametrize("p", [0.0, 1.0, 1e-300])
def test_a_probability_of_0_costs_a_lot_but_not_all(p):
    for true in ([1], [0]):
        theirs = metrics.log_loss(true, [p], labels=[0, 1])
        agree("log_loss, at 0 and 1", "scikit-learn", evaluation.log_loss(true, [p]), theirs)


def test_log_loss_is_cross_entropy():
    true, p, logits = rows(3)
    ours = evaluation.log_loss(true, p, labels=[0, 1, 2])
    expected = F.cross_entropy(torch.tensor(logits), torch.tensor(true))
    agree("log_loss", "torch.nn.functional", ours, expected)


def test_columns_follow_the_labels():
    words, p = ["b", "a", "b"], np.array([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]])
    same(
        "log_loss",
        "another order",
        evaluation.log_loss(words, p),
        evaluation.log_loss(words, p[:, ::-1], labels=["b", "a"]),
    )
    assert evaluation.log_loss(words, p) == pytest.approx(-np.log([0.8, 0.9, 0.6]).mean())


# -- calibration ---------------------------------------------------------------------------------


@shapes_vary
@given(seed=seeds, n_bins=st.integers(1, 12), by_tenths=st.booleans())
def test_bins_of_two_classes(seed, n_bins, by_tenths):
    """Tenths lie on edges of the bins."""
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 11, 30) / 10 if by_tenths else rng.random(30)
    true = rng.integers(0, 2, 30)
    table = evaluation.reliability_table(true, p, n_bins)
    held = table.counts > 0
    theirs = calibration.calibration_curve(true, p, n_bins=n_bins)
    agree("reliability_table, accuracy", "scikit-learn", table.accuracy[held], theirs[0])
    agree("ReliabilityTable, confidence", "scikit-learn", table.confidence[held], theirs[1])
    assert table.counts.sum() == 30
    assert np.isnan(table.accuracy[~held]).all()


@shapes_vary
@given(seed=seeds, n_bins=st.integers(1, 12))
def test_expected_calibration_error(seed, n_bins):
    true, p, _ = rows(seed, 40)
    ours = evaluation.expected_calibration_error(true, p, n_bins, labels=[0, 1, 2])
    confidence, right = p.max(axis=1), (p.argmax(axis=1) == true).astype(float)
    expected = twin.expected_calibration_error(right, confidence, n_bins)
    agree("expected_calibration_error", "NumPy twin", ours, expected)
    curve = calibration.calibration_curve(right, confidence, n_bins=n_bins)
    edges = np.linspace(0, 1, n_bins + 1)
    sizes = np.histogram(confidence, edges)[0]  # no confidence lies on an edge
    by_curve = sizes[sizes > 0] @ np.abs(curve[0] - curve[1]) / 40
    agree("twin: expected_calibration_error", "scikit-learn's curve", expected, by_curve)


def test_ten_predictions_by_hand():
    """Five bins: (0.2, 0.4] holds 0.3 0.3 0.4, (0.6, 0.8] 0.7 0.7 0.8, (0.8, 1] 0.9 0.9 1 1."""
    p = [0.3, 0.3, 0.4, 0.7, 0.7, 0.8, 0.9, 0.9, 1.0, 1.0]
    true = [0, 1, 0, 1, 0, 1, 1, 1, 1, 0]
    table = evaluation.reliability_table(true, p, 5)
    same("reliability_table, counts", "by hand", table.counts, [0, 3, 0, 3, 4])
    gaps = [3 * (1 / 3 - 1 / 3), 3 * (2.2 / 3 - 2 / 3), 4 * (3.8 / 4 - 3 / 4)]
    ours = evaluation.expected_calibration_error(true, p, 5)
    agree("expected_calibration_error", "by hand", ours, sum(gaps) / 10)


def test_the_table_looks_at_the_largest_probability():
    table = evaluation.reliability_table([0, 1], [[0.7, 0.3], [0.8, 0.2]], 10)
    assert np.flatnonzero(table.counts).tolist() == [6, 7]
    assert table.accuracy[6:8].tolist() == [1, 0]


@shapes_vary
@given(seed=seeds, scale=st.sampled_from([0.5, 2.0, 8.0]))
def test_the_temperature_has_the_smallest_loss(seed, scale):
    true, _, logits = rows(seed, 60, 3, scale)
    temperature = evaluation.fit_temperature(true, logits, labels=[0, 1, 2])

    def loss(t):
        return losses.cross_entropy(torch.tensor(logits / t), torch.tensor(true)).item()

    bounds = (temperature / 20, temperature * 20)
    found = optimize.minimize_scalar(loss, bounds=bounds, options={"xatol": 1e-10})
    agree("fit_temperature", "scipy.optimize", temperature, found.x, 1e-5, limit="√ε")
    assert loss(temperature) <= found.fun + 1e-14


def test_the_temperature_is_found_that_was_used():
    true, _, logits = rows(0, 4000, 4, 3.0)  # drawn from the logits divided by 3
    temperature = evaluation.fit_temperature(true, logits)
    agree("fit_temperature", "what the labels were drawn with", temperature, 3.0, 0.1, limit="1/√n")
    before, after = (
        evaluation.expected_calibration_error(true, special.softmax(logits / t, axis=1))
        for t in (1.0, temperature)
    )
    assert after < 0.03 < 0.2 < before
    assert evaluation.fit_temperature(true, logits + 1e4) == pytest.approx(temperature, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_temperature_may_be_of_any_size(scale):
    logits = scale * np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    by_hand = scale * 4 / math.log(3)  # three of four are right
    agree(
        "fit_temperature",
        "by hand",
        evaluation.fit_temperature([0, 0, 1, 1], logits) / by_hand,
        1.0,
    )


# -- perplexity, which is that of the losses -------------------------------------------------------


def test_perplexity_is_that_of_the_losses():
    assert evaluation.perplexity is losses.perplexity
    assert evaluation.bits_per_byte is losses.bits_per_byte


TWO = [[0.5, 0.5], [0.5, 0.5]]
REFUSED = [
    ("y_prob must sum to 1 in each row, got 1.1 in row 1", [0, 1], [[0.5, 0.5], [0.6, 0.5]]),
    ("y_prob must be probabilities from 0 to 1, got 1.5", [0, 1], [1.5, 0.5]),
    ("y_prob must be probabilities from 0 to 1, got -0.5", [0, 1], [[-0.5, 1.5], [1, 0]]),
    ("y_prob must not be NaN, got one at 1", [0, 1], [0.5, math.nan]),
    (r"y_prob must not be NaN, got one at \[1, 0\]", [0, 1], [[0.5, 0.5], [math.nan, 1]]),
    ("y_true and y_prob must have the same length, got 3 and 2", [0, 1, 1], TWO),
    ("y_true and y_prob must have the same length, got 3 and 2", [0, 1, 1], [0.5, 0.5]),
    (r"y_prob must have one column for each label, got 2 for \[0\]; labels=", [0, 0], TWO),
    (r"y_prob must have one column for each label, got 2 for \[0, 1, 2\]", [0, 1, 2], TWO),
    ("y_prob must not be empty", [], []),
    ("y_true must hold pos_label=1 and one other label", [0, 2], [0.5, 0.5]),
]


@pytest.mark.parametrize(
    "measure",
    [evaluation.log_loss, evaluation.brier_score, evaluation.expected_calibration_error],
)
@pytest.mark.parametrize(("message", "true", "p"), REFUSED)
def test_what_is_no_probability_is_refused(measure, message, true, p):
    with unchecked(), pytest.raises(ValueError, match=message):
        measure(true, p)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("y_true must hold only", lambda: evaluation.log_loss([0, 5], TWO, labels=[0, 1])),
        ("labels must be left out", lambda: evaluation.log_loss([0, 1], [0.5, 0.5], labels=[0, 1])),
        ("n_bins must be at least 1", lambda: evaluation.reliability_table([0, 1], [0.5, 0.5], 0)),
        (
            "otherwise the best temperature is 0",
            lambda: evaluation.fit_temperature([0, 1], [[2, 1], [0, 1]]),
        ),
        (
            "otherwise the best temperature is infinite",
            lambda: evaluation.fit_temperature([0, 1], [[1, 2], [1, 0]]),
        ),
        (
            "logits must be finite",
            lambda: evaluation.fit_temperature([0, 1], [[1, math.inf], [1, 0]]),
        ),
    ],
)
def test_wrong_settings_are_refused(message, call):
    with unchecked(), pytest.raises(ValueError, match=message):
        call()
