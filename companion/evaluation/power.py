r"""Power: how many items it takes to tell two models apart.

This file adds: power and sample size of the comparison of two shares, such as accuracies, where
each model has items of its own (unpaired) and where both have the same (paired). All is by the
normal distribution, so that small numbers are approximate, and two-sided.

Symbols: :math:`\alpha` the level, :math:`z = \Phi^{-1}(1 - \alpha/2)`, n items for each model.
"""

import math
from statistics import NormalDist

from companion._arguments import _require_int, _require_number
from companion.evaluation._checks import Number, _require_share

__all__ = ["power_paired", "power_unpaired", "sample_size_paired", "sample_size_unpaired"]

NORMAL = NormalDist()


def power_unpaired(p1: Number, p2: Number, n: int, *, alpha: float = 0.05) -> float:
    r"""Probability that the difference of two shares, each of n items, is found significant.

    .. math:: \Phi \left( \frac{\sqrt n \, |p_1 - p_2| - z \sqrt{2 \bar p (1 - \bar p)}}
        {\sqrt{p_1 (1 - p_1) + p_2 (1 - p_2)}} \right)

    with :math:`\bar p = (p_1 + p_2)/2` (Fleiss, Levin and Paik 2003, section 4.2; as R's
    ``power.prop.test``).

    Parameters
    ----------
    p1, p2 : float
        The true shares, above 0 and below 1.
    n : int
    alpha : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a share or ``alpha`` is not between 0 and 1, the shares are equal, or n is below 1.

    Examples
    --------
    >>> round(power_unpaired(0.50, 0.75, 50), 3)
    0.74
    """
    return _power(*_unpaired(p1, p2), n, alpha)


def sample_size_unpaired(p1: Number, p2: Number, *, power: float = 0.8, alpha: float = 0.05) -> int:
    r"""Items that each model needs, so that `power_unpaired` is at least ``power``.

    .. math:: n = \left( \frac{z \sqrt{2 \bar p (1 - \bar p)} +
        \Phi^{-1}(\text{power}) \sqrt{p_1 (1 - p_1) + p_2 (1 - p_2)}}{p_1 - p_2} \right)^2

    Parameters
    ----------
    p1, p2 : float
        The true shares, above 0 and below 1.
    power, alpha : float

    Returns
    -------
    int
        Rounded up.

    Raises
    ------
    ValueError
        If a share, ``power`` or ``alpha`` is not between 0 and 1, or the shares are equal.

    Examples
    --------
    >>> sample_size_unpaired(0.50, 0.75, power=0.9)
    77
    """
    return _sample_size(*_unpaired(p1, p2), power, alpha)


def power_paired(only_a: Number, only_b: Number, n: int, *, alpha: float = 0.05) -> float:
    r"""Probability that McNemar's test finds the difference of two models on the same n items.

    .. math:: \Phi \left( \frac{\sqrt n \, |\delta| - z \sqrt \psi}{\sqrt{\psi - \delta^2}} \right)

    where :math:`\psi = p_a + p_b` is the share of items on which the models differ, and
    :math:`\delta = p_a - p_b` the difference of their accuracies (Connor 1987).

    Parameters
    ----------
    only_a, only_b : float
        :math:`p_a` and :math:`p_b`: the true shares of items that only a, or only b, gets right.
    n : int
    alpha : float

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If a share is below 0, the two are equal or exceed 1, n is below 1, or ``alpha`` is not
        between 0 and 1.

    Examples
    --------
    >>> round(power_paired(0.06, 0.03, 500), 3)
    0.609
    """
    return _power(*_paired(only_a, only_b), n, alpha)


def sample_size_paired(
    only_a: Number, only_b: Number, *, power: float = 0.8, alpha: float = 0.05
) -> int:
    r"""Items that both models need, so that `power_paired` is at least ``power``.

    .. math:: n = \left( \frac{z \sqrt \psi + \Phi^{-1}(\text{power}) \sqrt{\psi - \delta^2}}
        {\delta} \right)^2

    The less the models differ on single items, the fewer it takes.

    Parameters
    ----------
    only_a, only_b : float
        The true shares of items that only a, or only b, gets right.
    power, alpha : float

    Returns
    -------
    int
        Rounded up.

    Raises
    ------
    ValueError
        If a share is below 0, the two are equal or exceed 1, or ``power`` or ``alpha`` is not
        between 0 and 1.

    Examples
    --------
    >>> sample_size_paired(0.06, 0.03), sample_size_unpaired(0.80, 0.83)
    (783, 2629)
    """
    return _sample_size(*_paired(only_a, only_b), power, alpha)


def _power(difference: float, under_null: float, truly: float, n: int, alpha: float) -> float:
    n = _require_int("n", n, least=1)
    z = NORMAL.inv_cdf(1 - _require_share("alpha", alpha) / 2)
    distance = math.sqrt(n) * difference - z * under_null
    if not truly:  # every item says the same
        return float(distance > 0)
    return NORMAL.cdf(distance / truly)


def _sample_size(
    difference: float, under_null: float, truly: float, power: float, alpha: float
) -> int:
    z = NORMAL.inv_cdf(1 - _require_share("alpha", alpha) / 2)
    reach = z * under_null + NORMAL.inv_cdf(_require_share("power", power)) * truly
    return max(1, math.ceil(round((max(reach, 0.0) / difference) ** 2, 9)))


def _unpaired(p1: Number, p2: Number) -> tuple[float, float, float]:
    """Return the difference, and its standard deviation for two items, if alike and as it is."""
    p1, p2 = _require_share("p1", p1), _require_share("p2", p2)
    if p1 == p2:
        raise ValueError(f"p1 and p2 must differ, got {p1} for both")
    mean = (p1 + p2) / 2
    truly = math.sqrt(p1 * (1 - p1) + p2 * (1 - p2))
    return abs(p1 - p2), math.sqrt(2 * mean * (1 - mean)), truly


def _paired(only_a: Number, only_b: Number) -> tuple[float, float, float]:
    """Return the difference, and its standard deviation for one item, if alike and as it is."""
    for name, share in (("only_a", only_a), ("only_b", only_b)):
        if not 0 <= _require_number(name, share) <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    if only_a == only_b or only_a + only_b > 1:
        raise ValueError(
            f"only_a and only_b must differ and be at most 1 together, got {only_a} and {only_b}"
        )
    psi, delta = float(only_a + only_b), float(abs(only_a - only_b))
    return delta, math.sqrt(psi), math.sqrt(max(psi - delta**2, 0.0))
