r"""Players, and matches between them.

This file adds: ``PerfectPlayer``, ``RandomPlayer`` and ``SearchPlayer``; ``match``, with its
``Score``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from companion._arguments import _require_generator, _require_int
from companion.alignment._checks import _require_above
from companion.alignment.games.minimax import best_moves
from companion.alignment.games.tic_tac_toe import TicTacToe
from companion.alignment.games.trees import Evaluate, search

__all__ = ["Player", "PerfectPlayer", "RandomPlayer", "SearchPlayer", "Score", "match"]

#: From a position and a source of random numbers to a move.
Player = Callable[[TicTacToe, np.random.Generator], int]


class PerfectPlayer:
    r"""A player who never makes a mistake, and takes any of the best moves, each as often.

    Examples
    --------
    >>> PerfectPlayer()(TicTacToe().after(0), np.random.default_rng(0))
    4
    """

    def __call__(self, position: TicTacToe, rng: np.random.Generator) -> int:
        """Return one of the best moves."""
        return int(rng.choice(best_moves(position)))


class RandomPlayer:
    r"""A player who takes any move, each as often.

    Examples
    --------
    >>> RandomPlayer()(TicTacToe(), np.random.default_rng(0)) in range(9)
    True
    """

    def __call__(self, position: TicTacToe, rng: np.random.Generator) -> int:
        """Return any of the moves."""
        return int(rng.choice(position.moves))


class SearchPlayer:
    r"""A player who searches, and takes the move that was tried most often.

    What was found for a position is kept: it plays the same each time.

    Parameters
    ----------
    evaluate : function
        As for `search`.
    n_simulations : int
        For each move.
    c : float

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If ``evaluate`` is no function.

    Examples
    --------
    >>> player = SearchPlayer(lambda position: (np.ones(9), 0.0), n_simulations=50)
    >>> player(TicTacToe((1, 1, 0, -1, -1, 0, 0, 0, 0)), np.random.default_rng(0))
    2
    """

    def __init__(self, evaluate: Evaluate, n_simulations: int, c: float = 4.0) -> None:
        if not callable(evaluate):
            raise TypeError(f"evaluate must be a function of a position, got {evaluate!r}")
        self.evaluate, self.c = evaluate, _require_above("c", c)
        self.n_simulations = _require_int("n_simulations", n_simulations, least=1)
        self.known: dict[TicTacToe, int] = {}

    def __call__(self, position: TicTacToe, rng: np.random.Generator) -> int:
        """Return the move that was tried most often; of several, the first."""
        if position not in self.known:
            visits = search(position, self.evaluate, self.n_simulations, c=self.c)
            self.known[position] = int(visits.argmax())
        return self.known[position]


class Score(NamedTuple):
    """How games ended for the first of two players."""

    wins: int
    draws: int
    losses: int


def match(first: Player, second: Player, n_games: int, rng: np.random.Generator) -> Score:
    r"""Let two players play; they take turns in who begins, the first one in the first game.

    Parameters
    ----------
    first, second : function
        From a position and ``rng`` to a move.
    n_games : int
    rng : numpy.random.Generator

    Returns
    -------
    Score
        Of the first player.

    Raises
    ------
    ValueError
        If a player makes a move that cannot be made, or ``n_games`` is below 1.
    TypeError
        If ``rng`` is no generator.

    Examples
    --------
    >>> match(PerfectPlayer(), PerfectPlayer(), 10, np.random.default_rng(0))
    Score(wins=0, draws=10, losses=0)
    """
    n_games = _require_int("n_games", n_games, least=1)
    _require_generator("rng", rng, np.random.Generator)
    counts = {1: 0, 0: 0, -1: 0}
    for game in range(n_games):
        players = (first, second) if game % 2 == 0 else (second, first)
        result = _play(players, rng)  # for who began
        counts[result if game % 2 == 0 else -result] += 1
    return Score(counts[1], counts[0], counts[-1])


def _play(players: tuple[Player, Player], rng: np.random.Generator) -> int:
    """Return how a game ends for the player who begins: 1, 0 or −1."""
    position, turn = TicTacToe(), 0
    while position.outcome is None:
        position, turn = position.after(players[turn](position, rng)), 1 - turn
    return int(position.outcome) * (1 if turn == 0 else -1)
