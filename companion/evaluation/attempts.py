r"""Several attempts: how often at least one of k answers is right.

This file adds: pass@k, by which programs that models write are judged.
"""

import math

from companion._arguments import _require_int

__all__ = ["pass_at_k"]


def pass_at_k(n: int, c: int, k: int) -> float:
    r"""Probability that of k answers at least one is right, from n answers of which c are.

    .. math:: 1 - \binom{n - c}{k} \Big/ \binom{n}{k}

    Unbiased (Chen et al. 2021, eq. 1), unlike :math:`1 - (1 - c/n)^k`, which is too small. Take
    the mean over the problems.

    Parameters
    ----------
    n : int
        How many answers were drawn, at least k.
    c : int
        How many of them are right.
    k : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If c is not from 0 to n, or k not from 1 to n.

    Examples
    --------
    >>> pass_at_k(n=5, c=2, k=1), pass_at_k(n=5, c=2, k=2)
    (0.4, 0.7)
    """
    n = _require_int("n", n, least=1)
    c = _require_int("c", c, least=0, most=n)
    k = _require_int("k", k, least=1, most=n)
    all_wrong, ways = math.comb(n - c, k), math.comb(n, k)
    return (ways - all_wrong) / ways
