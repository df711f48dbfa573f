r"""Permutation tests: what a difference would be if the models exchanged their names.

This file adds: the paired test, for models on the same items, and the unpaired one. They suppose
nothing of how scores are distributed, and take any statistic. Both are two-sided.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from companion._arguments import _require_int, _require_rng
from companion.data.splitting import Seed
from companion.evaluation._checks import Numbers, _require_function, _require_same_length, _rows
from companion.evaluation.significance import Significance

__all__ = ["mean_difference", "paired_permutation_test", "permutation_test"]

Difference = Callable[[Any, Any], Any]


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
        How many exchanges are made at random, B.
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
