r"""Judged pairs: a ranking from answers of which a judge preferred one to the other.

This file adds: the Bradley–Terry model, fitted by maximum likelihood, and Elo's ratings, which are
updated game by game and so depend on the order of the games.
"""

import math
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from companion._arguments import _require_number
from companion.evaluation._checks import Number, Numbers, _numbers

__all__ = ["bradley_terry", "elo_ratings", "elo_scale"]


def bradley_terry(wins: Numbers) -> np.ndarray:
    r"""Strengths of players: i beats j with probability :math:`\sigma(\theta_i - \theta_j)`.

    The strengths of maximum likelihood (Bradley and Terry 1952): with them, each player is
    expected to win as often as it did. Found by Newton's method.

    Parameters
    ----------
    wins : array-like, shape (m, m)
        How often i beat j; a draw is half a win for both. The diagonal is 0.

    Returns
    -------
    ndarray, shape (m,)
        In logits, with mean 0: 1 more means odds of e to 1.

    Raises
    ------
    ValueError
        If ``wins`` is not square, has a number below 0 or not finite or on the diagonal, or the
        players fall into two groups of which one was never beaten by the other: its strength
        would be infinite, or not known at all (Ford 1957).

    Examples
    --------
    >>> bradley_terry([[0, 3], [1, 0]]).round(4).tolist()  # odds of 3 to 1: ln 3 apart
    [0.5493, -0.5493]
    """
    w = _require_wins(wins)
    games, won = w + w.T, w.sum(axis=1)
    theta = np.zeros(len(w))
    for _ in range(100):
        chances = 1 / (1 + np.exp(theta[None] - theta[:, None]))  # of the row against the column
        gradient = won - (games * chances).sum(axis=1)
        spread = games * chances * (1 - chances)
        hessian = np.diag(spread.sum(axis=1)) - spread
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        theta = theta + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
        if np.abs(step).max() < 1e-12:
            break
    return np.asarray(theta - theta.mean())


def _require_wins(wins: Numbers) -> np.ndarray:
    w = _numbers("wins", wins, ndim=2)
    if w.shape[0] != w.shape[1] or len(w) < 2:
        raise ValueError(f"wins must be (m, m) with m at least 2, got shape {w.shape}")
    if (w < 0).any() or np.diag(w).any():
        raise ValueError("wins must be at least 0, and 0 on the diagonal")
    reached = np.eye(len(w), dtype=bool) | (w > 0)
    for _ in range(len(w).bit_length()):  # who beat whoever beat …, twice as far each time
        reached = (reached.astype(np.int64) @ reached.astype(np.int64)) > 0
    if not reached.all():
        i, j = np.argwhere(~reached)[0].tolist()
        raise ValueError(
            f"wins must link every player to every other: {i} beat {j} neither directly nor "
            "through others, so the strengths of the two cannot be told, or are infinite"
        )
    return w


def elo_scale(strengths: Numbers, mean: Number = 1000.0) -> np.ndarray:
    r"""Strengths in Elo's points, :math:`\frac{400}{\ln 10} \theta + \text{mean}`.

    Parameters
    ----------
    strengths : sequence of float
        In logits, as `bradley_terry` gives them.
    mean : float

    Returns
    -------
    ndarray
        400 points more mean odds of 10 to 1.

    Raises
    ------
    ValueError
        If there are none, or a number is not finite.

    Examples
    --------
    >>> elo_scale([0.0, math.log(10)]).round(6).tolist()
    [1000.0, 1400.0]
    """
    return _numbers("strengths", strengths) * (400 / math.log(10)) + _require_number("mean", mean)


def elo_ratings(
    games: Iterable[tuple[Hashable, Hashable, Any]], *, k: Number = 32.0, start: Number = 1000.0
) -> dict[Any, float]:
    r"""Elo's ratings after some games (Elo 1978).

    .. math:: R_a \leftarrow R_a + k \, \Big( s - \frac{1}{1 + 10^{(R_b - R_a)/400}} \Big)

    and :math:`R_b` loses what :math:`R_a` gains. The last games count most: fit
    `bradley_terry` where players do not change.

    Parameters
    ----------
    games : iterable of (player, player, float)
        In order, with the first player's score s: 1, 1/2 for a draw, 0.
    k : float
        How many points are at stake.
    start : float
        Where a new player begins.

    Returns
    -------
    dict
        The rating of each player.

    Raises
    ------
    ValueError
        If a score is not from 0 to 1, a player plays against itself, or ``k`` is not above 0.

    Examples
    --------
    >>> elo_ratings([("a", "b", 1), ("a", "b", 1)])["a"].__round__(2)
    1030.53
    """
    if not _require_number("k", k) > 0:
        raise ValueError(f"k must be above 0, got {k}")
    ratings: dict[Any, float] = {}
    for a, b, score in games:
        if a == b or not 0 <= _require_number("the score of a game", score) <= 1:
            raise ValueError(
                f"games must be of two players, with a score from 0 to 1; got {(a, b, score)}"
            )
        mine, other = (ratings.setdefault(player, float(start)) for player in (a, b))
        gain = k * (score - 1 / (1 + 10 ** ((other - mine) / 400)))
        ratings[a], ratings[b] = mine + gain, other - gain
    return ratings
