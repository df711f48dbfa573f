r"""Probabilities: whether a model that says 80 % is right in 80 of 100 cases.

This file adds: proper scores of probabilities (log loss, Brier score), the reliability table and
the expected calibration error made of it, and temperature scaling, which puts overconfidence
right.

Shape letters: ``n`` rows, ``K`` classes, ``B`` bins.
"""

from typing import NamedTuple

import numpy as np

from companion._arguments import _require_int
from companion.data.keys import Labels
from companion.evaluation._checks import (
    Numbers,
    _array,
    _chances,
    _columns,
    _is_positive,
    _numbers,
    _require_same_length,
)

__all__ = [
    "ReliabilityTable",
    "brier_score",
    "expected_calibration_error",
    "fit_temperature",
    "log_loss",
    "reliability_table",
]

LEAST = np.finfo(np.float64).eps  # as in scikit-learn: what a probability of 0 counts as


def log_loss(y_true: Labels, y_prob: Numbers, *, labels: Labels | None = None) -> float:
    r"""Mean cross-entropy, :math:`-\frac1n \sum_i \log \hat p_{i, y_i}`, in nats.

    Parameters
    ----------
    y_true : sequence
    y_prob : array-like, shape (n, K) or (n,)
        Of each class in the order of ``labels``; or of the positive class alone, which is then
        the label 1.
    labels : sequence, optional
        The classes, by default those of ``y_true``, sorted; only for shape (n, K).

    Returns
    -------
    float
        A probability below 2⁻⁵² (that of 0) counts as 2⁻⁵², as in scikit-learn: otherwise one row
        would make the mean infinite.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a probability is not from 0 to 1, a row does not
        sum to 1, or a label has no column.

    Examples
    --------
    >>> round(log_loss([0, 1], [[0.9, 0.1], [0.2, 0.8]]), 4)
    0.1643
    """
    p, target = _table(y_true, y_prob, labels)
    chosen = p[target.astype(bool)]
    return float(-np.mean(np.log(np.clip(chosen, LEAST, 1 - LEAST))))


def brier_score(y_true: Labels, y_prob: Numbers, *, labels: Labels | None = None) -> float:
    r"""Mean squared error of the probabilities (Brier 1950).

    For two classes :math:`\frac1n \sum_i (\hat p_i - y_i)^2`, from 0 to 1; for more,
    :math:`\frac1n \sum_i \sum_k (\hat p_{ik} - [y_i = k])^2`, from 0 to 2. The second form of two
    classes would be twice the first; scikit-learn and this function halve it.

    Parameters
    ----------
    y_true : sequence
    y_prob : array-like, shape (n, K) or (n,)
        Of each class in the order of ``labels``; or of the positive class alone, which is then
        the label 1.
    labels : sequence, optional
        The classes, by default those of ``y_true``, sorted; only for shape (n, K).

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a probability is not from 0 to 1, a row does not
        sum to 1, or a label has no column.

    Examples
    --------
    >>> round(brier_score([1, 0, 1], [0.9, 0.2, 0.4]), 4)
    0.1367
    """
    p, target = _table(y_true, y_prob, labels)
    errors = ((p - target) ** 2).sum(axis=1)
    return float(np.mean(errors) / (2 if p.shape[1] == 2 else 1))


def _table(y_true: Labels, y_prob: Numbers, labels: Labels | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities of all classes, and 1 for the right one, both (n, K)."""
    if _array("y_prob", y_prob).ndim == 1:
        if labels is not None:
            raise ValueError("labels must be left out where y_prob has shape (n,)")
        p = _chances("y_prob", y_prob)
        p, right = np.stack([1 - p, p], axis=1), _is_positive(y_true, 1).astype(np.int64)
    else:
        p = _chances("y_prob", y_prob, ndim=2)
        right = _columns(y_true, labels, p.shape[1])
    _require_same_length(y_true=right, y_prob=p)
    return p, np.eye(p.shape[1])[right]


class ReliabilityTable(NamedTuple):
    r"""What rows of similar confidence have in common: one entry for each bin."""

    edges: np.ndarray
    """Shape (B + 1,): bin b holds confidences above ``edges[b]``, up to ``edges[b + 1]``."""
    counts: np.ndarray
    """Shape (B,): how many rows it holds."""
    confidence: np.ndarray
    """Shape (B,): their mean confidence; NaN where there are none."""
    accuracy: np.ndarray
    """Shape (B,): the share of them that is right; NaN where there are none."""


def reliability_table(
    y_true: Labels, y_prob: Numbers, n_bins: int = 10, *, labels: Labels | None = None
) -> ReliabilityTable:
    r"""Sort rows into bins by confidence, and see how many of each bin are right.

    Parameters
    ----------
    y_true : sequence
    y_prob : array-like, shape (n, K) or (n,)
        With (n, K), the confidence is the largest probability, and a row is right if that is the
        one of its class (the first one of several as large). With (n,), it is the probability of
        the label 1, and "right" are the rows that are 1.
    n_bins : int
        How many bins of equal width there are between 0 and 1.
    labels : sequence, optional
        The classes, by default those of ``y_true``, sorted; only for shape (n, K).

    Returns
    -------
    ReliabilityTable

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a probability is not from 0 to 1, a row does not
        sum to 1, a label has no column, or ``n_bins`` is below 1.

    Examples
    --------
    >>> table = reliability_table([1, 1, 0, 1], [0.9, 0.7, 0.6, 0.1], n_bins=2)
    >>> table.counts.tolist(), table.confidence.round(2).tolist(), table.accuracy.round(2).tolist()
    ([1, 3], [0.1, 0.73], [1.0, 0.67])
    """
    n_bins = _require_int("n_bins", n_bins, least=1)
    p, target = _table(y_true, y_prob, labels)
    alone = _array("y_prob", y_prob).ndim == 1
    column = np.ones(len(p), dtype=np.int64) if alone else p.argmax(axis=1)
    rows = np.arange(len(p))
    confidence, right = p[rows, column], target[rows, column]
    edges = np.linspace(0, 1, n_bins + 1)
    places = np.searchsorted(edges[1:-1], confidence)  # an edge belongs to the bin below it
    counts = np.bincount(places, minlength=n_bins)
    sums = (np.bincount(places, each, minlength=n_bins) for each in (confidence, right))
    with np.errstate(invalid="ignore"):
        means = [total / counts for total in sums]
    return ReliabilityTable(edges, counts, *means)


def expected_calibration_error(
    y_true: Labels, y_prob: Numbers, n_bins: int = 10, *, labels: Labels | None = None
) -> float:
    r"""Mean distance of confidence and accuracy over the bins (Guo et al. 2017, eq. 3).

    .. math:: \text{ECE} = \sum_b \frac{n_b}{n} \, |\text{acc}_b - \text{conf}_b|

    It depends on the bins, and is not 0 for a calibrated model either: with few rows a bin, acc
    is off by chance.

    Parameters
    ----------
    y_true : sequence
    y_prob : array-like, shape (n, K) or (n,)
        As for `reliability_table`.
    n_bins : int
    labels : sequence, optional

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a probability is not from 0 to 1, a row does not
        sum to 1, a label has no column, or ``n_bins`` is below 1.

    Examples
    --------
    >>> round(expected_calibration_error([1, 1, 0, 1], [0.9, 0.7, 0.6, 0.1], n_bins=2), 4)
    0.275
    """
    table = reliability_table(y_true, y_prob, n_bins, labels=labels)
    held = table.counts > 0
    gaps = np.abs(table.accuracy[held] - table.confidence[held])
    return float(table.counts[held] @ gaps / table.counts.sum())


def fit_temperature(y_true: Labels, logits: Numbers, *, labels: Labels | None = None) -> float:
    r"""Temperature T for which :math:`\text{softmax}(z / T)` has the smallest log loss.

    One number for all rows, so that no decision changes (Guo et al. 2017, section 4.2). With
    :math:`\beta = 1/T` the loss is convex, and its slope is what the model expects of its logits,
    less what it gets: :math:`\frac1n \sum_i (\sum_k p_{ik} z_{ik} - z_{i, y_i})`. Its zero is
    found by halving.

    Parameters
    ----------
    y_true : sequence
        Of rows that the model was not trained on, and is not judged by.
    logits : array-like, shape (n, K)
    labels : sequence, optional
        The classes in the order of the columns; by default those of ``y_true``, sorted.

    Returns
    -------
    float
        Above 1 for a model that is too sure of itself.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a logit is not finite, a label has no column, or
        no temperature is best: every row is right, which 0 would suit, or the logits are no
        better than the uniform distribution, which infinity would suit.

    Examples
    --------
    >>> logits = [[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]]
    >>> round(fit_temperature([0, 0, 1, 1], logits), 4)  # 3 of 4 are right
    3.641
    """
    z = _numbers("logits", logits, ndim=2)
    right = _columns(y_true, labels, z.shape[1])
    _require_same_length(y_true=right, logits=z)
    z = z - z[np.arange(len(z)), right][:, None]  # the right class is at 0
    _require_a_best(z)
    low, high = 0.0, 1.0 / np.abs(z).max()
    while _slope(z, high) < 0:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:  # until they are neighbouring numbers
        low, high = (middle, high) if _slope(z, middle) < 0 else (low, middle)
    return float(1 / high)


def _slope(z: np.ndarray, beta: float) -> float:
    """Return the derivative of the log loss, where the right class has logit 0."""
    powers = np.exp(beta * (z - z.max(axis=1, keepdims=True)))
    return float(np.mean((powers * z).sum(axis=1) / powers.sum(axis=1)))


def _require_a_best(z: np.ndarray) -> None:
    if (z <= 0).all():
        raise ValueError("logits must be wrong in some row: otherwise the best temperature is 0")
    if _slope(z, 0.0) >= 0:
        raise ValueError(
            "logits must be better than the uniform distribution: otherwise the best temperature "
            "is infinite"
        )
