r"""Correlation: whether two lists of numbers rise together, as two of GLUE's tasks are scored.

This file adds: Pearson's and Spearman's correlation, and ranks with ties.
"""

import numpy as np

from companion.evaluation._checks import Numbers, _numbers, _require_same_length

__all__ = ["pearson", "ranks", "spearman"]


def pearson(x: Numbers, y: Numbers) -> float:
    r"""Correlation of two lists, by the angle between their deviations from the mean.

    .. math:: \frac{\sum_i (x_i - \bar x)(y_i - \bar y)}
        {\sqrt{\sum_i (x_i - \bar x)^2 \sum_i (y_i - \bar y)^2}}

    Parameters
    ----------
    x, y : sequence of float

    Returns
    -------
    float
        From −1 to 1; 1 where y is on a rising line over x. NaN where one of them is constant.

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than two numbers, or one is not finite.

    Examples
    --------
    >>> round(pearson([1, 2, 3, 4], [1, 2, 3, 10]), 4)
    0.8854
    """
    x, y = _numbers("x", x), _numbers("y", y)
    if _require_same_length(x=x, y=y) < 2:
        raise ValueError("x and y must be at least two numbers each, got one")
    if (x == x[0]).all() or (y == y[0]).all():
        return float("nan")
    unit_x, unit_y = _unit(x), _unit(y)
    return float(np.clip(unit_x @ unit_y, -1, 1))  # rounding must not exceed the bound


def _unit(x: np.ndarray) -> np.ndarray:
    """Return the deviations from the mean, scaled to length 1."""
    deviation = x - x.mean()
    deviation = deviation / np.abs(deviation).max()  # so that no square under- or overflows
    return np.asarray(deviation / np.sqrt(deviation @ deviation))


def ranks(x: Numbers) -> np.ndarray:
    r"""Place of each number in rising order, from 1; equal numbers share the mean of their places.

    Parameters
    ----------
    x : sequence of float

    Returns
    -------
    ndarray of float64

    Raises
    ------
    ValueError
        If there are no numbers, or one is not finite.

    Examples
    --------
    >>> ranks([10, 30, 20, 20]).tolist()
    [1.0, 4.0, 2.5, 2.5]
    """
    _, place, counts = np.unique(_numbers("x", x), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[place])


def spearman(x: Numbers, y: Numbers) -> float:
    r"""Correlation of ranks: 1 for whatever rises with x, on a line or not (Spearman 1904).

    Pearson's correlation of `ranks`. Without ties it is
    :math:`1 - \frac{6 \sum_i d_i^2}{n (n^2 - 1)}`, where :math:`d_i` is the difference of two
    ranks.

    Parameters
    ----------
    x, y : sequence of float

    Returns
    -------
    float
        From −1 to 1; NaN where one of them is constant.

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than two numbers, or one is not finite.

    Examples
    --------
    >>> round(spearman([1, 2, 3, 4], [1, 2, 3, 10]), 4)
    1.0
    """
    x, y = _numbers("x", x), _numbers("y", y)
    _require_same_length(x=x, y=y)
    return pearson(ranks(x), ranks(y))
