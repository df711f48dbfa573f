r"""Games: a player that learns by playing against itself, with a search in a tree of moves.

This folder adds: `TicTacToe`, a position of the game; what perfect play makes of it, by
`minimax_value` and `best_moves`; `search` in a tree, led by `puct_scores`, with what is seen of a
move in a `Node`; a `PolicyValueNet` that says which moves are good and who is winning, and
`train_self_play`, which makes it right, as a `SelfPlayConfig` says, and reports each
`SelfPlayRound`. `PerfectPlayer`, `RandomPlayer` and `SearchPlayer` are players, and `match` lets
two of them play, with a `Score`.
"""

from companion.alignment.games.minimax import best_moves, minimax_value
from companion.alignment.games.networks import PolicyValueNet
from companion.alignment.games.players import (
    PerfectPlayer,
    RandomPlayer,
    Score,
    SearchPlayer,
    match,
)
from companion.alignment.games.self_play import SelfPlayConfig, SelfPlayRound, train_self_play
from companion.alignment.games.tic_tac_toe import TicTacToe
from companion.alignment.games.trees import Node, puct_scores, search

__all__ = [
    "TicTacToe",
    "minimax_value",
    "best_moves",
    "Node",
    "puct_scores",
    "search",
    "PolicyValueNet",
    "SelfPlayConfig",
    "SelfPlayRound",
    "train_self_play",
    "PerfectPlayer",
    "RandomPlayer",
    "SearchPlayer",
    "Score",
    "match",
]
