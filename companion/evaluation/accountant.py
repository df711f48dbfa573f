r"""The accountant of DP-SGD: how much a training run gives away of any one row, at most.

This file adds: the Rényi divergence of one step on a batch drawn at random, and the epsilon that
follows from it for a whole run.

Symbols: q the probability that a row is in a batch; :math:`\sigma` the noise multiplier;
:math:`\alpha` the order of a Rényi divergence; :math:`(\varepsilon, \delta)` what is promised.
"""

import math
from collections.abc import Sequence

import numpy as np

from companion._arguments import _require_int, _require_number
from companion.evaluation._checks import Number, _require_share

__all__ = ["dp_epsilon", "rdp_subsampled_gaussian"]

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 384, 512)


def rdp_subsampled_gaussian(q: Number, noise_multiplier: Number, order: int) -> float:
    r"""Rényi divergence of one step, with and without a row (Mironov, Talwar and Zhang 2019).

    .. math:: \frac{1}{\alpha - 1} \ln \sum_{k=0}^{\alpha} \binom{\alpha}{k} (1 - q)^{\alpha - k}
        q^k \exp \Big( \frac{k^2 - k}{2 \sigma^2} \Big)

    Divergences of several steps add up.

    Parameters
    ----------
    q : float
        Above 0, at most 1.
    noise_multiplier : float
        :math:`\sigma`, above 0.
    order : int
        :math:`\alpha`, at least 2.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> rdp_subsampled_gaussian(1.0, 2.0, 8)  # all rows in every batch: alpha / (2 sigma²)
    1.0
    """
    q = _require_rate(q)
    _require_positive(noise_multiplier=noise_multiplier)
    order = _require_int("order", order, least=2)
    if q == 1:
        return order / (2 * noise_multiplier**2)
    k = np.arange(order + 1)
    log_ways = [_log_choose(order, int(each)) for each in k]
    terms = log_ways + (order - k) * math.log1p(-q) + k * math.log(q)
    terms = terms + (k**2 - k) / (2 * noise_multiplier**2)
    return max(0.0, float(np.logaddexp.reduce(terms))) / (order - 1)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def dp_epsilon(
    q: Number,
    noise_multiplier: Number,
    n_steps: int,
    delta: float,
    *,
    orders: Sequence[int] = ORDERS,
) -> float:
    r"""Epsilon of a training run with DP-SGD, at the order that says least.

    .. math:: \varepsilon = \min_\alpha \Big( T \, \text{RDP}(\alpha) +
        \ln \frac{\alpha - 1}{\alpha} - \frac{\ln \delta + \ln \alpha}{\alpha - 1} \Big)

    (Canonne, Kamath and Steinke 2020, proposition 12). With and without any one row, each
    outcome of the training is at most :math:`e^\varepsilon` times as probable, but for
    :math:`\delta`.

    Parameters
    ----------
    q : float
        The share of rows that a batch holds on average, drawn by `poisson_sample`.
    noise_multiplier : float
        :math:`\sigma`, above 0.
    n_steps : int
        How many steps there are, T.
    delta : float
        Between 0 and 1, well below 1 / n.
    orders : sequence of int
        Which orders to try.

    Returns
    -------
    float
        An upper bound: at least 0.

    Raises
    ------
    ValueError
        If a number is out of range, or there are no orders.

    Examples
    --------
    >>> round(dp_epsilon(0.01, 4.0, 10_000, 1e-5), 2)
    1.04
    """
    n_steps = _require_int("n_steps", n_steps, least=0)
    log_delta = math.log(_require_share("delta", delta))
    if not len(orders):
        raise ValueError("orders must hold at least one order")
    bounds = [
        n_steps * rdp_subsampled_gaussian(q, noise_multiplier, order)
        + math.log1p(-1 / order)
        - (log_delta + math.log(order)) / (order - 1)
        for order in orders
    ]
    return max(0.0, min(bounds)) if n_steps else 0.0


def _require_rate(q: Number) -> float:
    if not 0 < _require_number("q", q) <= 1:
        raise ValueError(f"q must be above 0 and at most 1, got {q}")
    return float(q)


def _require_positive(**numbers: Number) -> None:
    for name, number in numbers.items():
        if not 0 < _require_number(name, number) < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {number}")
