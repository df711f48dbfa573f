r"""Tests of significance: how rare a difference would be between models that are alike.

This file adds: McNemar's test and the sign test, which count the items on which two models differ,
and permutation tests, which exchange the models' names. All are two-sided.

A p-value is the probability of a difference as large as the one seen, or larger, if the two models
were alike. It is not the probability that they are alike.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from companion._arguments import _require_flag, _require_int, _require_rng
from companion.data.splitting import Seed
from companion.evaluation._checks import (
    Numbers,
    _numbers,
    _require_function,
    _require_same_length,
    _rows,
)

__all__ = [
    "Significance",
    "mcnemar",
    "mean_difference",
    "paired_permutation_test",
    "permutation_test",
    "sign_test",
]

Difference = Callable[[Any, Any], Any]


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


def sign_test(a: Numbers, b: Numbers) -> Significance:
    r"""Sign test of paired scores: on how many items a is the larger one, ties left out.

    Like McNemar's exact test, but for scores of any kind: only who is better counts, not by how
    much (Arbuthnot 1710).

    Parameters
    ----------
    a, b : sequence of float

    Returns
    -------
    Significance
        The number of items with :math:`a_i > b_i`.

    Raises
    ------
    ValueError
        If the lengths differ, there are no items, or a score is not finite.

    Examples
    --------
    >>> result = sign_test([3, 2, 5, 4, 1, 2], [1, 1, 1, 1, 1, 3])
    >>> result.statistic, result.p_value
    (4.0, 0.375)
    """
    a, b = _numbers("a", a), _numbers("b", b)
    _require_same_length(a=a, b=b)
    larger, smaller = int((a > b).sum()), int((a < b).sum())
    return Significance(float(larger), _binomial_p(larger, smaller))


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


# -- permutations --------------------------------------------------------------------------------


def mean_difference(a: Any, b: Any) -> float:
    r"""Difference of the means, :math:`\bar a - \bar b`.

    Parameters
    ----------
    a, b : ndarray

    Returns
    -------
    float

    Examples
    --------
    >>> mean_difference([1, 2], [0, 1])
    1.0
    """
    return float(np.mean(a) - np.mean(b))


def paired_permutation_test(
    a: Numbers,
    b: Numbers,
    statistic: Difference = mean_difference,
    *,
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> Significance:
    r"""Permutation test of two models on the same items: on some items, they exchange their rows.

    If the models were alike, it would not matter whose output is whose (Fisher 1935; for F1 and
    the like Yeh 2000, as approximate randomisation). All :math:`2^n` exchanges are made where
    there are no more than ``n_resamples``, else as many at random, to which the data are added:
    p is then at least 1 / (B + 1) (Phipson and Smyth 2010).

    Parameters
    ----------
    a, b : array-like
        Row i of both is of the same item: scores, or predictions for a statistic that compares
        them with the labels.
    statistic : callable
        From the rows of both to a number that is 0 where they are equally good.
    n_resamples : int
        B.
    seed : int

    Returns
    -------
    Significance
        The statistic of the data, and twice the smaller of the two one-sided p-values.

    Raises
    ------
    ValueError
        If the lengths differ, there are no rows, a score is NaN, or the statistic is.

    Examples
    --------
    >>> result = paired_permutation_test([3, 2, 5, 4], [1, 1, 1, 1])
    >>> result.statistic, result.p_value  # 2 of the 16 exchanges are as far from 0
    (2.5, 0.125)
    """
    a, b = _rows("a", a), _rows("b", b)
    n = _require_same_length(a=a, b=b)
    exact = _require_permutations(statistic, n_resamples, 2**n)
    exchanges = _all_exchanges(n) if exact else _some_exchanges(n, n_resamples, seed)
    values = [statistic(*_exchange(a, b, which)) for which in exchanges]
    return _two_sided(statistic(a, b), values, exact)


def permutation_test(
    a: Numbers,
    b: Numbers,
    statistic: Difference = mean_difference,
    *,
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> Significance:
    r"""Permutation test of two models on different items: all rows are dealt out anew.

    Parameters
    ----------
    a, b : array-like
        Rows of the two; there may be more of one. For the same items,
        `paired_permutation_test` finds smaller differences.
    statistic : callable
        From the rows of both to a number that is 0 where they are equally good.
    n_resamples : int
        All deals are made where there are no more, else as many at random.
    seed : int

    Returns
    -------
    Significance
        The statistic of the data, and twice the smaller of the two one-sided p-values.

    Raises
    ------
    ValueError
        If one has no rows, a score is NaN, or the statistic is.

    Examples
    --------
    >>> result = permutation_test([5, 6, 7], [1, 2, 3])
    >>> result.statistic, result.p_value  # 2 of 20 deals are as far from 0
    (4.0, 0.1)
    """
    a, b = _rows("a", a), _rows("b", b)
    if a.shape[1:] != b.shape[1:]:
        raise ValueError(f"a and b must have rows of one shape, got {a.shape} and {b.shape}")
    rows, n = np.concatenate([a, b]), len(a) + len(b)
    exact = _require_permutations(statistic, n_resamples, math.comb(n, len(a)))
    deals = _all_deals(n, len(a)) if exact else _some_deals(n, n_resamples, seed)
    values = [statistic(rows[deal[: len(a)]], rows[deal[len(a) :]]) for deal in deals]
    return _two_sided(statistic(a, b), values, exact)


def _require_permutations(statistic: Any, n_resamples: int, n_ways: int) -> bool:
    """Refuse what cannot be permuted; say whether all permutations are made."""
    _require_function("statistic", statistic)
    return n_ways <= _require_int("n_resamples", n_resamples, least=1)


def _all_exchanges(n: int) -> Iterator[np.ndarray]:
    return map(np.array, itertools.product([False, True], repeat=n))


def _some_exchanges(n: int, n_resamples: int, seed: Seed) -> Iterator[np.ndarray]:
    rng = _require_rng(seed)
    return (rng.random(n) < 0.5 for _ in range(n_resamples))


def _exchange(a: np.ndarray, b: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    which = which.reshape(-1, *[1] * (a.ndim - 1))
    return np.where(which, b, a), np.where(which, a, b)


def _all_deals(n: int, n_first: int) -> Iterator[np.ndarray]:
    every = np.arange(n)
    for first in itertools.combinations(range(n), n_first):
        yield np.concatenate([first, np.setdiff1d(every, first)])


def _some_deals(n: int, n_resamples: int, seed: Seed) -> Iterator[np.ndarray]:
    rng = _require_rng(seed)
    return (rng.permutation(n) for _ in range(n_resamples))


def _two_sided(observed: Any, values: list[Any], exact: bool) -> Significance:
    """Count the permutations that are as far out, on the side where there are fewer."""
    observed, null = float(observed), np.array(values, dtype=np.float64)
    if not (math.isfinite(observed) and np.isfinite(null).all()):
        raise ValueError("statistic must be a finite number for every permutation")
    near = 1e-12 * max(abs(observed), float(np.abs(null).max()))  # equal, but for rounding
    above, below = int((null >= observed - near).sum()), int((null <= observed + near).sum())
    itself = 0 if exact else 1  # among all permutations, the data are one of them
    p = 2 * (min(above, below) + itself) / (len(null) + itself)
    return Significance(observed, min(1.0, p))
