r"""Curves over all thresholds: what two classes' scores are worth before a threshold is chosen.

This file adds: the ROC curve (true-positive rate against false-positive rate) and the
precision-recall curve, and the areas under them. Names, order and edges are those of
scikit-learn.

Symbols: P positive and N negative rows; at a threshold, all rows whose score is at least that
high are called positive: ``tp`` of the P, and ``fp`` of the N.
"""

from typing import Any

import numpy as np

from companion._arguments import _require_flag
from companion.data.keys import Labels
from companion.evaluation._checks import Numbers, _numbers, _require_same_length, _scored

__all__ = ["auc", "average_precision", "precision_recall_curve", "roc_auc", "roc_curve"]


def roc_curve(
    y_true: Labels, y_score: Numbers, *, pos_label: Any = 1, drop_intermediate: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""True-positive rate :math:`tp/P` against false-positive rate :math:`fp/N`.

    Rows with the same score change sides together, so that a tie is a slanted line.

    Parameters
    ----------
    y_true : sequence
        Two kinds of labels.
    y_score : sequence of float
        Higher for rows that are rather positive: probabilities, logits, any score.
    pos_label : label
    drop_intermediate : bool
        Leave out points on a straight line between others, which change neither the drawn curve
        nor the area.

    Returns
    -------
    fpr, tpr : ndarray
        From (0, 0) to (1, 1). NaN where there is no row of that class, as in scikit-learn.
    thresholds : ndarray
        Falling, from infinity, above which no row is.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a score is not finite, or ``y_true`` has a third
        label.

    Examples
    --------
    >>> fpr, tpr, thresholds = roc_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    >>> fpr.tolist(), tpr.tolist()
    ([0.0, 0.0, 0.5, 0.5, 1.0], [0.0, 0.5, 0.5, 1.0, 1.0])
    """
    _require_flag("drop_intermediate", drop_intermediate)
    fp, tp, thresholds = _counts(y_true, y_score, pos_label)
    if drop_intermediate and len(fp) > 2:
        corner = (np.diff(fp, 2) != 0) | (np.diff(tp, 2) != 0)
        keep = np.concatenate([[True], corner, [True]])
        fp, tp, thresholds = fp[keep], tp[keep], thresholds[keep]
    fp, tp, thresholds = (
        np.concatenate([[start], curve])
        for start, curve in ((0, fp), (0, tp), (np.inf, thresholds))
    )
    return _rate(fp), _rate(tp), thresholds


def _counts(
    y_true: Labels, y_score: Numbers, pos_label: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many negatives and positives are called positive, at each score downwards."""
    positive, scores = _scored(y_true, y_score, pos_label)
    order = np.argsort(-scores, kind="stable")
    positive, scores = positive[order], scores[order]
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # of each run of ties
    tp = np.cumsum(positive)[last]
    return 1 + last - tp, tp, scores[last]


def _rate(counts: np.ndarray) -> np.ndarray:
    return counts / counts[-1] if counts[-1] else np.full(len(counts), np.nan)


def auc(x: Numbers, y: Numbers) -> float:
    r"""Area under a curve of straight lines, :math:`\sum_i (x_{i+1} - x_i) (y_i + y_{i+1}) / 2`.

    Parameters
    ----------
    x, y : sequence of float
        Points, with x rising or falling throughout.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than two points, x goes up and down, or a number is
        not finite.

    Examples
    --------
    >>> auc([0, 0.5, 1], [0, 1, 1])
    0.75
    """
    x, y = _numbers("x", x), _numbers("y", y)
    if _require_same_length(x=x, y=y) < 2:
        raise ValueError("x and y must be at least two points, got one")
    steps = np.diff(x)
    if (steps < 0).any() and (steps > 0).any():
        raise ValueError(f"x must rise or fall throughout, got steps {steps.min()}, {steps.max()}")
    return float(abs(steps @ (y[1:] + y[:-1]) / 2))


def roc_auc(y_true: Labels, y_score: Numbers, *, pos_label: Any = 1) -> float:
    r"""Area under the ROC curve: how often a positive row has a higher score than a negative one.

    .. math:: \frac{1}{PN} \sum_{i\,\text{pos.}} \sum_{j\,\text{neg.}}
        \big([s_i > s_j] + \tfrac12 [s_i = s_j]\big)

    (Hanley and McNeil 1982).

    Parameters
    ----------
    y_true : sequence
    y_score : sequence of float
    pos_label : label

    Returns
    -------
    float
        1/2 for scores that say nothing; NaN where all rows are of one class.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a score is not finite, or ``y_true`` has a third
        label.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    fpr, tpr, _ = roc_curve(y_true, y_score, pos_label=pos_label)
    if np.isnan(fpr).any() or np.isnan(tpr).any():
        return float("nan")
    return auc(fpr, tpr)


def precision_recall_curve(
    y_true: Labels, y_score: Numbers, *, pos_label: Any = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r"""Precision :math:`tp / (tp + fp)` and recall :math:`tp / P` at each threshold.

    Parameters
    ----------
    y_true : sequence
    y_score : sequence of float
    pos_label : label

    Returns
    -------
    precision, recall : ndarray, shape (T + 1,)
        The last point, (1, 0), has no threshold: it is where the curve would begin. Where no row
        is positive, recall is 1 throughout, as in scikit-learn.
    thresholds : ndarray, shape (T,)
        Rising.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a score is not finite, or ``y_true`` has a third
        label.

    Examples
    --------
    >>> precision, recall, thresholds = precision_recall_curve([0, 0, 1, 1], [0.1, 0.4, 0.4, 0.8])
    >>> precision.round(2).tolist(), recall.tolist()
    ([0.5, 0.67, 1.0, 1.0], [1.0, 1.0, 0.5, 0.0])
    """
    fp, tp, thresholds = _counts(y_true, y_score, pos_label)
    precision = tp / (tp + fp)
    recall = tp / tp[-1] if tp[-1] else np.ones(len(tp))
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1].copy()


def average_precision(y_true: Labels, y_score: Numbers, *, pos_label: Any = 1) -> float:
    r"""Precision, weighted by what recall gains, :math:`\sum_t (R_t - R_{t-1}) P_t`.

    A sum of steps: straight lines between the points would promise precision that no threshold
    has (Davis and Goadrich 2006).

    Parameters
    ----------
    y_true : sequence
    y_score : sequence of float
    pos_label : label

    Returns
    -------
    float
        About the share of positive rows for scores that say nothing; 0 where no row is positive.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a score is not finite, or ``y_true`` has a third
        label.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    precision, recall, _ = precision_recall_curve(y_true, y_score, pos_label=pos_label)
    return float(-np.diff(recall) @ precision[:-1])
