"""A board of tic-tac-toe in a running notebook, on which the reader plays against a player."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

__all__ = ["play"]

VIEW = "application/vnd.jupyter.widget-view+json"
STILL = "The board works while the notebook runs, in Jupyter or on Colab."
ENDS = {1: "You have won.", 0: "The game is a draw.", -1: "The player has won."}


@runtime_checkable
class _Position(Protocol):
    """A position of the game. Printed, it has a sign for each field, ``.`` for a free one."""

    @property
    def moves(self) -> list[int]:
        """The fields on which a stone can be set."""

    @property
    def outcome(self) -> float | None:
        """How the game has ended for the player whose turn it would be, or None."""

    def after(self, move: int) -> _Position:
        """Return the position after a move, seen by the other player."""


def play(start: _Position, player: Callable[[Any, Any], int]) -> None:
    r"""Show a board of tic-tac-toe on which one plays against a player.

    Where no kernel runs, as on the book's pages, a sentence stands in its place.

    Parameters
    ----------
    start : position
        Where a game begins, such as ``companion.alignment.games.TicTacToe()``.
    player : callable
        From a position and a `numpy.random.Generator` to a field from 0 to 8, such as a
        `companion.alignment.games.SearchPlayer`.

    Raises
    ------
    TypeError
        If `start` is no position, or `player` no function.
    """
    from IPython.display import display

    if isinstance(start, type) or not isinstance(start, _Position):
        raise TypeError(f"start must have moves, outcome and after, as TicTacToe(), got {start!r}")
    if not callable(player):
        raise TypeError(f"player must be a function of a position and rng, got {player!r}")
    display(_Board(start, player))


class _Board:
    """Nine buttons, a sentence, and two buttons that begin a game."""

    def __init__(self, start: _Position, player: Callable[[Any, Any], int]) -> None:
        import numpy as np
        from ipywidgets import HTML, Button, GridBox, HBox, Layout, VBox

        self.start, self.player, self.rng = start, player, np.random.default_rng()
        size = Layout(width="56px", height="56px")
        self.fields = [Button(layout=size, tooltip=f"field {i}") for i in range(9)]
        for i, field in enumerate(self.fields):
            field.on_click(partial(self.move, i))
        starts = {"New game: you begin": True, "New game: the player begins": False}
        self.starts = [Button(description=name, layout=Layout(width="auto")) for name in starts]
        for button, own in zip(self.starts, starts.values(), strict=True):
            button.on_click(partial(self.begin, own))
        self.says = HTML()
        grid = GridBox(self.fields, layout=Layout(grid_template_columns="repeat(3, 62px)"))
        self.box = VBox([grid, self.says, HBox(self.starts)])
        self.begin(True)

    def begin(self, own: bool, _button: Any = None) -> None:
        """Begin a game, with the reader or the player."""
        self.position, self.first, self.own_turn = self.start, own, own
        if not own:
            self.answer()
        self.show()

    def move(self, field: int, _button: Any = None) -> None:
        """Set the reader's stone on a free field, and let the player answer."""
        if field not in self.position.moves:
            return
        self.set_stone(field)
        if self.position.outcome is None:
            self.answer()
        self.show()

    def answer(self) -> None:
        """Let the player move."""
        self.set_stone(self.player(self.position, self.rng))

    def set_stone(self, field: int) -> None:
        """Go on to the position after a move."""
        self.position, self.own_turn = self.position.after(field), not self.own_turn

    def show(self) -> None:
        """Write the stones, and how the game stands."""
        for field, sign in zip(self.fields, str(self.position).split(), strict=True):
            field.description = sign.replace(".", " ")
        self.says.value = self.said()

    def said(self) -> str:
        """Return how the game stands for the reader."""
        outcome = self.position.outcome
        if outcome is None:
            return f"Your turn. You set {'X' if self.first else 'O'}."
        return ENDS[int(outcome if self.own_turn else -outcome)]

    def __repr__(self) -> str:
        return STILL

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        """Return the board, or where its state is stored and no kernel runs, a sentence."""
        if os.environ.get("COMPANION_WIDGETS") == "stored":
            return {"text/plain": STILL}
        view = {"version_major": 2, "version_minor": 0, "model_id": self.box.model_id}
        return {"text/plain": STILL, VIEW: view}
