r"""Search in a tree of moves, led by a policy and a value (Silver et al. 2017).

This file adds: ``search``, with what is known of a position in a ``Node``, and ``puct_scores``, by
which it decides where to look next.

Shape letters: ``k`` moves.
"""

import math
from collections.abc import Callable

import numpy as np

from companion._arguments import _require_generator, _require_int
from companion.alignment._checks import _require_above, _require_from
from companion.alignment.games.minimax import _require_position
from companion.alignment.games.tic_tac_toe import TicTacToe

__all__ = ["Evaluate", "Node", "puct_scores", "search"]

#: From a position to a probability for each of 9 fields, and a value from −1 to 1 for the player
#: whose turn it is.
Evaluate = Callable[[TicTacToe], tuple[np.ndarray, float]]


class Node:
    r"""What is known of a position: for each move its prior, how often it was tried, with what sum.

    Parameters
    ----------
    position : TicTacToe
    prior : ndarray, shape (9,)
        Probabilities of the fields. Those that are not free are left out, and the others stretched
        to 1.

    Raises
    ------
    ValueError
        If the priors are not 9 finite numbers, at least 0.

    Examples
    --------
    >>> node = Node(TicTacToe().after(4), np.ones(9))
    >>> node.prior, node.visits.sum()
    (array([0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125, 0.125]), np.int64(0))
    """

    def __init__(self, position: TicTacToe, prior: np.ndarray) -> None:
        prior = np.asarray(prior, dtype=np.float64)
        if prior.shape != (9,) or not np.isfinite(prior).all() or (prior < 0).any():
            raise ValueError(f"prior must be 9 finite numbers, at least 0; got {prior}")
        self.position, self.moves = position, position.moves
        own = prior[self.moves]
        total = own.sum()
        self.prior = own / total if total > 0 else np.full(len(own), 1 / max(len(own), 1))
        self.visits = np.zeros(len(own), dtype=np.int64)
        self.totals = np.zeros(len(own))
        self.children: dict[int, Node] = {}


def puct_scores(
    prior: np.ndarray, visits: np.ndarray, totals: np.ndarray, c: float = 4.0
) -> np.ndarray:
    r"""Return how worth a look each move is.

    .. math:: Q_a + c\, P_a \frac{\sqrt{\sum_b N_b}}{1 + N_a}, \qquad Q_a = \frac{W_a}{N_a}

    The mean of what came of it, and more, where the prior is large and the move has been tried
    seldom. A move that was not tried yet has Q = 0. Before the first visit of all, the priors
    decide.

    Parameters
    ----------
    prior, visits, totals : ndarray, shape (k,)
        P, N and W.
    c : float
        Above 0.

    Returns
    -------
    ndarray, shape (k,)

    Raises
    ------
    ValueError
        If shapes differ, or ``c`` is not above 0.

    Examples
    --------
    >>> puct_scores(np.array([0.5, 0.5]), np.array([3, 1]), np.array([1.5, -1.0]), c=1.0)
    array([ 0.75, -0.5 ])
    """
    if not prior.shape == visits.shape == totals.shape or prior.ndim != 1:
        raise ValueError(
            f"prior, visits and totals must have one shape (k,), got {prior.shape}, "
            f"{visits.shape} and {totals.shape}"
        )
    return _scores(prior, visits, totals, _require_above("c", c))


def _scores(prior: np.ndarray, visits: np.ndarray, totals: np.ndarray, c: float) -> np.ndarray:
    means = totals / np.maximum(visits, 1)
    tried = max(int(visits.sum()), 1)
    return np.asarray(means + c * prior * math.sqrt(tried) / (1 + visits))


def search(
    position: TicTacToe,
    evaluate: Evaluate,
    n_simulations: int,
    *,
    c: float = 4.0,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> np.ndarray:
    r"""Return how often each field was tried first in a search, which tells how good it is.

    Each simulation walks down the tree, to the move with the largest `puct_scores` each time,
    until it comes to a position that is new or in which the game is over; the new one is evaluated,
    and its value is added to all moves on the way, with the sign of whoever made them.

    Parameters
    ----------
    position : TicTacToe
        One in which the game is not over.
    evaluate : function
        From a position to priors (9,) and a value, such as a `PolicyValueNet`.
    n_simulations : int
    c : float
        How much priors count against what was found.
    noise : float
        The share of the first priors that is replaced by draws from a Dirichlet distribution with
        parameter 1, so that all moves have a chance to be tried.
    rng : numpy.random.Generator, optional
        Needed if there is noise.

    Returns
    -------
    ndarray of int, shape (9,)
        Visits; together ``n_simulations``.

    Raises
    ------
    ValueError
        If the game is over, a number is out of range, or what ``evaluate`` returns is no prior.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> wins_at_2 = TicTacToe((1, 1, 0, -1, -1, 0, 0, 0, 0))
    >>> uniform = lambda position: (np.ones(9), 0.0)
    >>> int(search(wins_at_2, uniform, 50).argmax())
    2
    """
    if not _require_position(position).moves:
        raise ValueError(f"position must leave a move, got one that is over:\n{position}")
    n_simulations = _require_int("n_simulations", n_simulations, least=1)
    c, noise = _require_above("c", c), _require_from("noise", noise, 0.0, 1.0)
    root = Node(position, evaluate(position)[0])
    if noise:
        _require_generator("rng", rng, np.random.Generator)
        assert rng is not None
        drawn = rng.dirichlet(np.ones(len(root.moves)))
        root.prior = (1 - noise) * root.prior + noise * drawn
    for _ in range(n_simulations):
        _simulate(root, evaluate, c)
    visits = np.zeros(9, dtype=np.int64)
    visits[root.moves] = root.visits
    return visits


def _simulate(node: Node, evaluate: Evaluate, c: float) -> float:
    """Look once more below a position, and return its value for the player whose turn it is."""
    if not node.moves:
        outcome = node.position.outcome
        assert outcome is not None
        return outcome
    i = int(_scores(node.prior, node.visits, node.totals, c).argmax())
    if i in node.children:
        value = -_simulate(node.children[i], evaluate, c)
    else:
        value = -_expand(node, i, evaluate)
    node.visits[i] += 1
    node.totals[i] += value
    return value


def _expand(node: Node, i: int, evaluate: Evaluate) -> float:
    """Add the position after a move to the tree, and return its value for the next player."""
    position = node.position.after(node.moves[i])
    outcome = position.outcome
    prior, value = (np.ones(9), outcome) if outcome is not None else evaluate(position)
    node.children[i] = Node(position, prior)
    return float(value)
