r"""Perfect play, by looking at all that can follow.

This file adds: ``minimax_value``, how a game ends if both play as well as one can, and
``best_moves``.
"""

from functools import cache

from companion.alignment.games.tic_tac_toe import TicTacToe

__all__ = ["minimax_value", "best_moves"]


def minimax_value(position: TicTacToe) -> float:
    r"""Return how the game ends for the player whose turn it is, if nobody makes a mistake.

    .. math:: v(s) = \max_a -v(s_a)

    What is good for one is as bad for the other (von Neumann 1928).

    Parameters
    ----------
    position : TicTacToe

    Returns
    -------
    float
        1 won, 0 a draw, −1 lost.

    Raises
    ------
    TypeError
        If it is no position.

    Examples
    --------
    >>> minimax_value(TicTacToe())
    0.0
    >>> minimax_value(TicTacToe().after(0).after(1))
    1.0
    """
    return _value(_require_position(position))


@cache
def _value(position: TicTacToe) -> float:
    if position.outcome is not None:
        return position.outcome
    return max(0.0 - _value(position.after(move)) for move in position.moves)


def best_moves(position: TicTacToe) -> list[int]:
    r"""Return all moves after which the game ends as well as it can.

    Parameters
    ----------
    position : TicTacToe
        One in which the game is not over.

    Returns
    -------
    list of int
        In ascending order.

    Raises
    ------
    ValueError
        If the game is over.
    TypeError
        If it is no position.

    Examples
    --------
    >>> best_moves(TicTacToe().after(0))
    [4]
    """
    if not _require_position(position).moves:
        raise ValueError(f"position must leave a move, got one that is over:\n{position}")
    values = {move: 0.0 - _value(position.after(move)) for move in position.moves}
    return [move for move, value in values.items() if value == max(values.values())]


def _require_position(position: object) -> TicTacToe:
    if not isinstance(position, TicTacToe):
        raise TypeError(f"position must be a TicTacToe, got {type(position).__name__}")
    return position
