r"""Bootstrap intervals: how far a score might be off because other items could have been drawn.

This file adds: the percentile interval and the bias-corrected and accelerated one (BCa), of any
statistic of rows, and of the difference of two models on the same rows.

Symbols: :math:`\hat\theta` the statistic, :math:`\theta^*_b` that of resample b of B,
:math:`\Phi` the normal distribution function, :math:`\alpha` half of what is outside.
"""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np

from companion._arguments import _require_int, _require_rng
from companion.data.splitting import Seed
from companion.evaluation._checks import (
    Numbers,
    _require_choice,
    _require_function,
    _require_same_length,
    _require_share,
    _rows,
)

__all__ = ["Interval", "bootstrap_difference", "bootstrap_interval"]

Statistic = Callable[[Any], Any]
NORMAL = NormalDist()


class Interval(NamedTuple):
    r"""An estimate, and the interval around it."""

    estimate: float
    low: float
    high: float


def bootstrap_interval(
    rows: Numbers,
    statistic: Statistic = np.mean,
    *,
    confidence: float = 0.95,
    method: str = "bca",
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> Interval:
    r"""Interval of a statistic, from resamples of the rows with replacement (Efron 1979).

    The percentile interval lies between the :math:`\alpha` and the :math:`1 - \alpha` quantile of
    :math:`\theta^*`. BCa (Efron 1987) takes other quantiles,

    .. math:: \alpha' = \Phi \Big( z_0 + \frac{z_0 + z_\alpha}{1 - a (z_0 + z_\alpha)} \Big)

    where :math:`z_0 = \Phi^{-1}` of the share of :math:`\theta^*_b < \hat\theta` (of those that
    are equal, half) corrects the bias, and the acceleration
    :math:`a = \sum_i u_i^3 / 6 (\sum_i u_i^2)^{3/2}` the skewness; :math:`u_i` is how much less
    than their mean the statistic without row i is. With the same seed it is the interval that
    ``scipy.stats.bootstrap`` gives.

    Parameters
    ----------
    rows : array-like
        One row for each item that was drawn independently: numbers, or rows of several, such as
        label and prediction. What belongs together (one author's items) must be one row.
    statistic : callable
        From an array of rows to a number.
    confidence : float
        :math:`1 - 2\alpha`.
    method : {"bca", "percentile"}
    n_resamples : int
        How many resamples there are, B.
    seed : int

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If there are fewer than two rows, a number is NaN, the statistic is in some resample, a
        setting is out of range, or every resample is on one side of the estimate, where BCa has
        no value.

    Examples
    --------
    >>> right = [1] * 80 + [0] * 20
    >>> interval = bootstrap_interval(right, n_resamples=999)
    >>> interval.estimate, round(interval.low, 2), round(interval.high, 2)
    (0.8, 0.72, 0.87)
    """
    rows = _rows("rows", rows)
    level = _require_resampling(rows, statistic, confidence, method, n_resamples)
    rng = _require_rng(seed)
    estimate = float(statistic(rows))
    n = len(rows)
    resampled = [float(statistic(rows[rng.integers(0, n, n)])) for _ in range(n_resamples)]
    values = _require_finite(np.array([estimate, *resampled]))[1:]
    if method == "bca":
        level = _corrected(level, values, estimate, _acceleration(rows, statistic))
    low, high = np.quantile(values, level)
    return Interval(estimate, float(low), float(high))


def bootstrap_difference(
    a: Numbers,
    b: Numbers,
    statistic: Statistic = np.mean,
    *,
    confidence: float = 0.95,
    method: str = "bca",
    n_resamples: int = 9999,
    seed: Seed = 0,
) -> Interval:
    r"""Interval of the difference of two models on the same items, statistic(a) − statistic(b).

    Items are drawn, and both models' rows with them: an item that is hard for both does not blur
    the difference (Efron and Tibshirani 1993; Koehn 2004 for translation).

    Parameters
    ----------
    a, b : array-like
        Row i of both is of the same item.
    statistic : callable
        From an array of one model's rows to a number.
    confidence : float
        As for `bootstrap_interval`, like all that follows.
    method : {"bca", "percentile"}
    n_resamples : int
    seed : int

    Returns
    -------
    Interval

    Raises
    ------
    ValueError
        If the lengths differ, there are fewer than two rows, or as for `bootstrap_interval`.

    Examples
    --------
    >>> a, b = [1] * 80 + [0] * 20, [1] * 70 + [0] * 30
    >>> interval = bootstrap_difference(a, b, n_resamples=999)
    >>> round(interval.estimate, 2), interval.low > 0
    (0.1, True)
    """
    a, b = _rows("a", a), _rows("b", b)
    n = _require_same_length(a=a, b=b)
    _require_function("statistic", statistic)
    return bootstrap_interval(
        np.arange(n),
        lambda items: float(statistic(a[items])) - float(statistic(b[items])),
        confidence=confidence,
        method=method,
        n_resamples=n_resamples,
        seed=seed,
    )


def _acceleration(rows: np.ndarray, statistic: Statistic) -> float:
    """Return how skewed the influence of single rows is, from the statistics without each."""
    left_out = [float(statistic(np.delete(rows, i, axis=0))) for i in range(len(rows))]
    without = _require_finite(np.array(left_out))
    u = without.mean() - without
    spread = float(u @ u)
    return float((u**3).sum() / (6 * spread**1.5)) if spread else 0.0


def _corrected(
    level: tuple[float, float], values: np.ndarray, estimate: float, acceleration: float
) -> tuple[float, float]:
    """Return the quantiles that BCa takes instead of those for a symmetric distribution."""
    below = float(np.mean(values < estimate) + np.mean(values <= estimate)) / 2
    if not 0 < below < 1:
        raise ValueError(
            "method 'bca' must have resamples on both sides of the estimate, got all on one; "
            "method='percentile' has a value"
        )
    z0 = NORMAL.inv_cdf(below)
    shifted = [z0 + NORMAL.inv_cdf(each) for each in level]
    low, high = (NORMAL.cdf(z0 + z / (1 - acceleration * z)) for z in shifted)
    return low, high


def _require_resampling(
    rows: np.ndarray, statistic: Any, confidence: float, method: str, n_resamples: int
) -> tuple[float, float]:
    """Refuse what cannot be resampled; return the two levels of the percentile interval."""
    if len(rows) < 2:
        raise ValueError("rows must be at least two, got one")
    _require_function("statistic", statistic)
    _require_choice("method", method, ("bca", "percentile"))
    _require_int("n_resamples", n_resamples, least=1)
    alpha = (1 - _require_share("confidence", confidence)) / 2
    return alpha, 1 - alpha


def _require_finite(values: np.ndarray) -> np.ndarray:
    off = int((~np.isfinite(values)).sum())
    if off:
        raise ValueError(
            f"statistic must be a finite number for every resample, got {off} of {len(values)} "
            "that are not"
        )
    return values
