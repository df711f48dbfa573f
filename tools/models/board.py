"""The moves of the player of tic-tac-toe against whom a reader plays in the page.

There are 4,520 positions in which a move is left, so all replies of a player are kept: `write`
puts them into ``web/models/tic-tac-toe.json``, one digit for each position, at the place that
`place` names. A script of ``benchmarks/`` that has trained the player calls it.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np

from companion.alignment.games import SearchPlayer, TicTacToe
from tools.book import contents

FILE = contents.ROOT / "web" / "models" / "tic-tac-toe.json"
SIMULATIONS = 200
NONE = "."  # where no position is, or no move is left


def place(position: TicTacToe) -> int:
    """Return where the reply to a position stands: its fields read as a number of base three.

    An own stone counts 1, one of the other player 2; the first field is the last digit.
    """
    return sum((stone % 3) * 3**field for field, stone in enumerate(position.board))


@cache
def undecided() -> tuple[TicTacToe, ...]:
    """Return all positions of games in which a move is left."""
    found, last = [], [TicTacToe()]
    while last:
        last = [position for position in last if position.moves]
        found += last
        last = list(dict.fromkeys(p.after(move) for p in last for move in p.moves))
    return tuple(found)


def write(player: SearchPlayer, path: Path = FILE) -> None:
    """Write the reply of a player to every position."""
    rng, replies = np.random.default_rng(0), [NONE] * 3**9
    for position in undecided():
        replies[place(position)] = str(player(position, rng))
    path.write_text(json.dumps({"replies": "".join(replies)}) + "\n", encoding="utf-8")


def reply(position: TicTacToe, path: Path = FILE) -> int:
    """Return the stored reply to a position."""
    return int(_replies(path)[place(position)])


@cache
def _replies(path: Path) -> str:
    return str(json.loads(path.read_text(encoding="utf-8"))["replies"])
