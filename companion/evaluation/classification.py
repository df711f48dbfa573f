r"""Classification: what is counted of labels, and what is made of the counts.

This file adds: the confusion matrix, and all that is computed from it: accuracy, precision,
recall, F1 with its averages, and Matthews' correlation coefficient. Names and the order of
arguments are those of scikit-learn: what is true comes first.

Symbols: :math:`C_{ij}` how many rows of class i were called j; for one class, ``tp`` true
positives, ``fp`` false positives, ``fn`` false negatives.
"""

import math
from typing import Any

import numpy as np

from companion._arguments import _require_number
from companion.data.keys import Labels
from companion.evaluation._checks import _label_set, _pairs, _require_choice

__all__ = [
    "accuracy",
    "balanced_accuracy",
    "confusion_matrix",
    "f1",
    "matthews_corrcoef",
    "precision",
    "recall",
]

AVERAGES = ("binary", "macro", "micro", "weighted")


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


def precision(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: float | None = None,
) -> float | np.ndarray:
    r"""Of the rows that were called positive, the share that is: :math:`tp / (tp + fp)`.

    Parameters
    ----------
    y_true, y_pred : sequence
    labels : sequence, optional
        All classes, in order. By default those that occur, sorted.
    pos_label : label
        Which class is the positive one, for ``average="binary"``.
    average : {"binary", "macro", "micro", "weighted"}, optional
        ``"binary"`` looks at one of two classes. ``"macro"`` is the mean over the classes,
        ``"weighted"`` that mean weighted by how often each is true, and ``"micro"`` adds up the
        counts of all classes first. None returns one number for each class.
    zero_division : float, optional
        What 0/0 counts as, where no row was called by a class: 0, 1, or NaN, which leaves the
        class out of a mean. By default it is an error.

    Returns
    -------
    float, or ndarray of shape (K,)

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a label is none of ``labels``, there are three
        classes and no other ``average``, or the result is 0/0.

    Examples
    --------
    >>> precision([0, 1, 1, 0], [0, 1, 1, 1])
    0.6666666666666666
    """
    tp, called, true = _class_counts(y_true, y_pred, labels, pos_label, average)
    return _averaged("precision", tp, called, true, average, zero_division)


def recall(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: float | None = None,
) -> float | np.ndarray:
    r"""Of the positive rows, the share that was called so: :math:`tp / (tp + fn)`.

    Parameters
    ----------
    y_true, y_pred : sequence
    labels : sequence, optional
        All classes, in order. By default those that occur, sorted.
    pos_label : label
        Which class is the positive one, for ``average="binary"``.
    average : {"binary", "macro", "micro", "weighted"}, optional
        As for `precision`.
    zero_division : float, optional
        What 0/0 counts as, where no row is of a class: 0, 1, or NaN, which leaves the class out
        of a mean. By default it is an error.

    Returns
    -------
    float, or ndarray of shape (K,)

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a label is none of ``labels``, there are three
        classes and no other ``average``, or the result is 0/0.

    Examples
    --------
    >>> recall([0, 1, 1, 0], [0, 1, 0, 1])
    0.5
    """
    tp, _, true = _class_counts(y_true, y_pred, labels, pos_label, average)
    return _averaged("recall", tp, true, true, average, zero_division)


def f1(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: float | None = None,
) -> float | np.ndarray:
    r"""Harmonic mean of precision P and recall R, :math:`\frac{2PR}{P + R}`.

    Computed from the counts, :math:`\frac{2\,tp}{2\,tp + fp + fn}`, which is the same and has a
    value where only one of the two is 0/0 (van Rijsbergen 1979, chapter 7, with
    :math:`\beta = 1`). With ``"macro"`` it is the mean of the classes' F1, not the F1 of their
    mean precision and recall (Opitz and Burst 2019).

    Parameters
    ----------
    y_true, y_pred : sequence
    labels : sequence, optional
        All classes, in order. By default those that occur, sorted.
    pos_label : label
        Which class is the positive one, for ``average="binary"``.
    average : {"binary", "macro", "micro", "weighted"}, optional
        As for `precision`. With one label a row, ``"micro"`` is the accuracy.
    zero_division : float, optional
        What 0/0 counts as, where a class is neither true nor called: 0, 1, or NaN, which leaves
        the class out of a mean. By default it is an error.

    Returns
    -------
    float, or ndarray of shape (K,)

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a label is none of ``labels``, there are three
        classes and no other ``average``, or the result is 0/0.

    Examples
    --------
    >>> f1([0, 1, 1, 0], [0, 1, 1, 1])
    0.8
    """
    tp, called, true = _class_counts(y_true, y_pred, labels, pos_label, average)
    return _averaged("f1", 2 * tp, called + true, true, average, zero_division)


def _class_counts(
    y_true: Labels, y_pred: Labels, labels: Labels | None, pos_label: Any, average: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return of each class that counts: true positives, rows called so, rows that are so."""
    if average is not None:
        _require_choice("average", average, AVERAGES)
    true, pred = _pairs(y_true, y_pred)
    order = _label_set(labels, y_true=true, y_pred=pred)
    matrix = _count(true, pred, order)
    counts = np.stack([np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)])
    if average == "micro":
        counts = counts.sum(axis=1, keepdims=True)
    elif average == "binary":
        counts = counts[:, _one_of_two(order, pos_label)]
    return counts[0], counts[1], counts[2]


def _one_of_two(order: list[Any], pos_label: Any) -> list[int]:
    """Return the place of the positive class; nothing where it occurs nowhere."""
    if len({*order, pos_label}) > 2:
        raise ValueError(
            f"average must be 'macro', 'micro', 'weighted' or None, because the labels {order} "
            f"are not pos_label={pos_label!r} and one other; got 'binary'"
        )
    return [order.index(pos_label)] if pos_label in order else []


def _averaged(
    name: str,
    part: np.ndarray,
    whole: np.ndarray,
    true: np.ndarray,
    average: str | None,
    zero_division: float | None,
) -> float | np.ndarray:
    """Divide for each class, and take the mean that was asked for."""
    if average is not None and not whole.size:
        return _zero_division(name, np.zeros(1), zero_division)
    shares = np.full(len(whole), _zero_division(name, whole, zero_division))
    np.divide(part, whole, out=shares, where=whole > 0)
    if average is None:
        return shares
    weights = true if average == "weighted" else np.ones(len(shares))
    counts = ~np.isnan(shares)
    if not (total := weights[counts].sum()):
        return float(np.mean(shares))
    return float(weights[counts] @ shares[counts] / total)


def _zero_division(name: str, whole: np.ndarray, value: float | None) -> float:
    """Return what 0/0 counts as; refuse to guess it."""
    if value is not None:
        value = float(_require_number("zero_division", value))
        if value not in (0.0, 1.0) and not math.isnan(value):
            raise ValueError(f"zero_division must be 0, 1 or NaN, got {value}")
        return value
    if (whole == 0).any():
        raise ValueError(
            f"{name} is 0/0 for a class without rows; zero_division=0 (or 1, or NaN) says what "
            "that counts as"
        )
    return math.nan


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
