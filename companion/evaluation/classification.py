r"""Classification: what is counted of labels, and what is made of the counts.

This file adds: the confusion matrix, accuracy, also balanced, and Matthews' correlation
coefficient. Names and the order of arguments are those of scikit-learn: what is true comes first.

Symbols: :math:`C_{ij}` how many rows of class i were called j; for one class, ``tp`` true
positives, ``fp`` false positives, ``fn`` false negatives, ``tn`` true negatives.
"""

from typing import Any

import numpy as np

from companion.data.keys import Labels
from companion.evaluation._checks import _label_set, _pairs

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "matthews_corrcoef",
]


def accuracy(y_true: Labels, y_pred: Labels) -> float:
    r"""Share of rows that were labelled right, :math:`\frac1n \sum_i [\hat y_i = y_i]`.

    Parameters
    ----------
    y_true, y_pred : sequence
        Labels: numbers, texts, or an array or tensor of one dimension.

    Returns
    -------
    float
        From 0 to 1.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, or a label is NaN.

    Examples
    --------
    >>> accuracy([0, 1, 1, 0], [0, 1, 0, 0])
    0.75
    """
    true, pred = _pairs(y_true, y_pred)
    return sum(a == b for a, b in zip(true, pred, strict=True)) / len(true)


def confusion_matrix(y_true: Labels, y_pred: Labels, *, labels: Labels | None = None) -> np.ndarray:
    r"""Count for each class what its rows were called.

    Parameters
    ----------
    y_true, y_pred : sequence
    labels : sequence, optional
        The classes, in the order of rows and columns. By default all that occur, sorted.

    Returns
    -------
    ndarray of int64, shape (K, K)
        Row i, column j: how many rows of class i were called j.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, or a label is none of ``labels``.

    Examples
    --------
    >>> confusion_matrix(["cat", "cat", "dog"], ["cat", "dog", "dog"]).tolist()
    [[1, 1], [0, 1]]
    """
    true, pred = _pairs(y_true, y_pred)
    order = _label_set(labels, y_true=true, y_pred=pred)
    return _count(true, pred, order)


def _count(true: list[Any], pred: list[Any], order: list[Any]) -> np.ndarray:
    place = {label: i for i, label in enumerate(order)}
    matrix = np.zeros((len(order), len(order)), dtype=np.int64)
    for a, b in zip(true, pred, strict=True):
        matrix[place[a], place[b]] += 1
    return matrix


def balanced_accuracy(y_true: Labels, y_pred: Labels) -> float:
    r"""Mean over the classes of their recall, :math:`\frac1K \sum_k C_{kk} / \sum_j C_{kj}`.

    Whoever always names one of K classes gets 1/K, however frequent that class is (Brodersen et
    al. 2010).

    Parameters
    ----------
    y_true, y_pred : sequence

    Returns
    -------
    float
        Only classes that occur in ``y_true`` count.

    Raises
    ------
    ValueError
        If the lengths differ or there are no rows.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [0, 0, 0, 0])
    0.5
    """
    matrix = confusion_matrix(y_true, y_pred)
    n = matrix.sum(axis=1)
    return float(np.mean(np.diag(matrix)[n > 0] / n[n > 0]))


def matthews_corrcoef(y_true: Labels, y_pred: Labels) -> float:
    r"""Correlation of true and called classes (Matthews 1975; Gorodkin 2004 for K classes).

    For two classes it is Pearson's correlation of zeros and ones,

    .. math:: \frac{tp \cdot tn - fp \cdot fn}
        {\sqrt{(tp + fp)(tp + fn)(tn + fp)(tn + fn)}}

    and with :math:`t_k` rows of class k, :math:`p_k` called so, c right and n in all, in general
    :math:`(cn - \sum_k t_k p_k) / \sqrt{(n^2 - \sum_k p_k^2)(n^2 - \sum_k t_k^2)}`.

    Parameters
    ----------
    y_true, y_pred : sequence

    Returns
    -------
    float
        1 where all is right, and 0 for as much as chance gives; also 0 where only one class is
        true, or only one is called, as in scikit-learn.

    Raises
    ------
    ValueError
        If the lengths differ or there are no rows.

    Examples
    --------
    >>> round(matthews_corrcoef([1, 1, 0, 0], [1, 1, 1, 0]), 4)
    0.5774
    """
    matrix = confusion_matrix(y_true, y_pred).astype(np.float64)
    t, p, n = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    spread = (n**2 - p @ p) * (n**2 - t @ t)
    return float((np.trace(matrix) * n - t @ p) / np.sqrt(spread)) if spread else 0.0
