r"""Many comparisons: of twenty models that are alike, one will look better at the 5 % level.

This file adds: p-values that are adjusted for how many there are. Compare the adjusted ones with
the level: up to it, a difference is significant.

Symbols: :math:`p_{(i)}` the i-th smallest of m p-values.
"""

import numpy as np

from companion.evaluation._checks import Numbers, _chances

__all__ = ["benjamini_hochberg", "bonferroni", "holm"]


def bonferroni(p_values: Numbers) -> np.ndarray:
    r"""Multiply by the number of comparisons, :math:`\min(1, m p_i)` (Dunn 1961).

    The probability of even one false alarm stays below the level, whatever the tests have to do
    with one another.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    ValueError
        If there are none, or one is not from 0 to 1.

    Examples
    --------
    >>> bonferroni([0.01, 0.02, 0.4]).round(2).tolist()
    [0.03, 0.06, 1.0]
    """
    p = _chances("p_values", p_values)
    return np.minimum(len(p) * p, 1.0)


def holm(p_values: Numbers) -> np.ndarray:
    r"""Step down: the smallest by m, the next by m − 1, and so on (Holm 1979).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1) \, p_{(j)})

    It promises what `bonferroni` does and is never larger, so there is no reason for the other.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    ValueError
        If there are none, or one is not from 0 to 1.

    Examples
    --------
    >>> holm([0.02, 0.01, 0.4]).round(2).tolist()
    [0.04, 0.03, 0.4]
    """
    p = _chances("p_values", p_values)
    order = np.argsort(p, kind="stable")
    steps = np.arange(len(p), 0, -1) * p[order]
    return _back(np.minimum(np.maximum.accumulate(steps), 1.0), order)


def benjamini_hochberg(p_values: Numbers) -> np.ndarray:
    r"""Control the share of false alarms among all alarms (Benjamini and Hochberg 1995).

    .. math:: \tilde p_{(i)} = \min_{j \ge i} \min \big( 1, \tfrac{m}{j} p_{(j)} \big)

    A weaker promise, for independent tests (or such as rise and fall together), which finds more
    where many are to be found.

    Parameters
    ----------
    p_values : sequence of float

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    ValueError
        If there are none, or one is not from 0 to 1.

    Examples
    --------
    >>> benjamini_hochberg([0.02, 0.01, 0.4]).round(2).tolist()
    [0.03, 0.03, 0.4]
    """
    p = _chances("p_values", p_values)
    order = np.argsort(p, kind="stable")
    steps = len(p) / np.arange(1, len(p) + 1) * p[order]
    return _back(np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1.0), order)


def _back(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Put what was sorted back in its place."""
    out = np.empty(len(values))
    out[order] = values
    return out
