r"""Tic-tac-toe: three in a row, on nine fields.

This file adds: ``TicTacToe``, a position, seen by the player whose turn it is.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from companion._arguments import _require_int

__all__ = ["TicTacToe"]

LINES = (
    *((0, 1, 2), (3, 4, 5), (6, 7, 8)),
    *((0, 3, 6), (1, 4, 7), (2, 5, 8)),
    *((0, 4, 8), (2, 4, 6)),
)


class TicTacToe(NamedTuple):
    r"""A position. Fields are numbered from 0 to 8, row by row.

    Parameters
    ----------
    board : tuple of int
        For each field, 1 for a stone of the player whose turn it is, −1 for one of the other, 0 for
        none.

    Examples
    --------
    >>> position = TicTacToe().after(4).after(0)
    >>> print(position)
    O . .
    . X .
    . . .
    >>> position.moves
    [1, 2, 3, 5, 6, 7, 8]
    """

    board: tuple[int, ...] = (0,) * 9

    def __str__(self) -> str:
        turn = "X" if sum(map(abs, self.board)) % 2 == 0 else "O"
        other = "O" if turn == "X" else "X"
        signs = [{1: turn, -1: other, 0: "."}[stone] for stone in self.board]
        return "\n".join(" ".join(signs[row : row + 3]) for row in (0, 3, 6))

    @property
    def moves(self) -> list[int]:
        """The fields on which a stone can be set; none once the game is over."""
        return list(_moves(self.board))

    @property
    def outcome(self) -> float | None:
        """How the game has ended for the player whose turn it would be, or None: −1 lost, 0 a draw.

        Nobody can find the game won: the other one has moved last.
        """
        return _outcome(self.board)

    def after(self, move: int) -> "TicTacToe":
        r"""Return the position after a move, seen by the other player.

        Parameters
        ----------
        move : int
            A free field.

        Returns
        -------
        TicTacToe

        Raises
        ------
        ValueError
            If the field is not free, or the game is over.
        TypeError
            If ``move`` is no whole number.
        """
        move = _require_int("move", move, least=0, most=8)
        if move not in _moves(self.board):
            raise ValueError(f"move must be one of {self.moves}, got {move}")
        return TicTacToe(tuple(-1 if i == move else -x for i, x in enumerate(self.board)))

    def planes(self) -> np.ndarray:
        r"""Return what a network sees: the own stones, and those of the other.

        Returns
        -------
        ndarray of float32, shape (18,)
        """
        board = np.array(self.board)
        return np.concatenate([board == 1, board == -1]).astype(np.float32)


@cache  # there are only some thousand boards, and a search asks often
def _outcome(board: tuple[int, ...]) -> float | None:
    if any(board[a] == board[b] == board[c] == -1 for a, b, c in LINES):
        return -1.0
    return None if 0 in board else 0.0


@cache
def _moves(board: tuple[int, ...]) -> tuple[int, ...]:
    if _outcome(board) is not None:
        return ()
    return tuple(i for i, stone in enumerate(board) if not stone)
