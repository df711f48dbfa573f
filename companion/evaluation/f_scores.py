r"""Precision, recall and F1: of one class, of each class, and averaged over them.

This file adds: the three measures that look at one class at a time. Names and the order of
arguments are those of scikit-learn: what is true comes first.

Symbols, for one class: ``tp`` true positives, ``fp`` false positives, ``fn`` false negatives.
"""

import math
from typing import Any

import numpy as np

from companion._arguments import _require_number
from companion.data.keys import Labels
from companion.evaluation._checks import Number, _label_set, _pairs, _require_choice
from companion.evaluation.classification import _count

__all__ = ["f1", "precision", "recall"]

AVERAGES = ("binary", "macro", "micro", "weighted")


def precision(
    y_true: Labels,
    y_pred: Labels,
    *,
    labels: Labels | None = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: Number | None = None,
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
    zero_division: Number | None = None,
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
    zero_division: Number | None = None,
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
    zero_division: Number | None,
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


def _zero_division(name: str, whole: np.ndarray, value: Number | None) -> float:
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
