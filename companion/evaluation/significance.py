r"""Tests of significance: how rare a difference would be between models that are alike.

This file adds: McNemar's test, which counts the items on which two models differ.
The test is two-sided.

A p-value is the probability of a difference as large as the one seen, or larger, if the two models
were alike. It is not the probability that they are alike.
"""

import math
from typing import NamedTuple

import numpy as np

from companion._arguments import _require_flag
from companion.evaluation._checks import Numbers, _numbers, _require_same_length

__all__ = ["Significance", "mcnemar"]


class Significance(NamedTuple):
    r"""What a test has measured, and how rare that would be by chance."""

    statistic: float
    p_value: float


def mcnemar(
    correct_a: Numbers, correct_b: Numbers, *, exact: bool = True, correction: bool = True
) -> Significance:
    r"""McNemar's test of two models on the same items, by the items that one of them gets right.

    Of :math:`n_a` items that only a got right and :math:`n_b` that only b did, each is as likely
    if the models are alike (McNemar 1947). Exactly, :math:`n_a` is binomial, and

    .. math:: p = \min \Big( 1, 2 \sum_{i=0}^{\min(n_a, n_b)} \binom{n_a + n_b}{i} 2^{-(n_a+n_b)}
        \Big)

    For many items, :math:`(|n_a - n_b| - 1)^2 / (n_a + n_b)` is about chi-square with one degree
    of freedom (Edwards 1948; without the 1, McNemar).

    Parameters
    ----------
    correct_a, correct_b : sequence of bool
        Which items each model got right.
    exact : bool
        The binomial distribution, rather than chi-square.
    correction : bool
        Subtract the 1; only where ``exact`` is False.

    Returns
    -------
    Significance
        The smaller of :math:`n_a` and :math:`n_b`, or chi-square. Where the models agree on every
        item, p is 1.

    Raises
    ------
    ValueError
        If the lengths differ, there are no items, or a number is neither 0 nor 1.

    Examples
    --------
    >>> a, b = [1] * 9 + [0] * 3, [1] * 2 + [0] * 9 + [1]
    >>> result = mcnemar(a, b)  # only a: 7, only b: 1
    >>> result.statistic, round(result.p_value, 4)
    (1.0, 0.0703)
    """
    _require_flag("exact", exact)
    _require_flag("correction", correction)
    a, b = _is_right("correct_a", correct_a), _is_right("correct_b", correct_b)
    _require_same_length(correct_a=a, correct_b=b)
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    if exact:
        return Significance(float(min(only_a, only_b)), _binomial_p(only_a, only_b))
    if not (n := only_a + only_b):
        return Significance(0.0, 1.0)
    statistic = max(abs(only_a - only_b) - correction, 0) ** 2 / n
    return Significance(statistic, math.erfc(math.sqrt(statistic / 2)))


def _binomial_p(heads: int, tails: int) -> float:
    """Return how probable it is that a fair coin falls at least as unequally, in exact numbers."""
    n, ways, total = heads + tails, 1, 0
    for i in range(min(heads, tails) + 1):
        total += ways
        ways = ways * (n - i) // (i + 1)
    return min(1.0, 2 * total / 2**n)


def _is_right(name: str, values: Numbers) -> np.ndarray:
    numbers = _numbers(name, values)
    if not np.isin(numbers, (0, 1)).all():
        raise ValueError(f"{name} must be 0 or 1, got {numbers[~np.isin(numbers, (0, 1))][0]:.4g}")
    return numbers == 1
