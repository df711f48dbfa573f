"""Measure what a network learns of tic-tac-toe from games against itself, and write its moves.

Settings, training and players are the cells of *Learning from rewards* (tagged ``self-play``), so
that what is measured is what is printed there. Each seed's network is judged before and after
training: losses in 1,000 games against perfect play, wins in 400 games against random moves, and
the share of all positions in which the network's own move is one of the best. ``lines lost`` is how
many games the player with 200 simulations loses if its opponent tries every move there is.

The moves of the network of seed 0, searched with 200 simulations, are what a reader of the site
plays against: ``web/models/tic-tac-toe.json``. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.alignment_rewards [--seeds 3]
"""

import contextlib
import io
from functools import cache
from typing import Any

import numpy as np

from benchmarks import records
from companion.alignment import games
from tools.models import board

CHAPTER = records.chapter("alignment/rewards")
RESULT = records.RESULTS / "alignment_rewards.json"
STAGES = (0, 24)
AGAINST = {"losses": (games.PerfectPlayer(), 1000), "wins": (games.RandomPlayer(), 400)}
RNG = np.random.default_rng(0)  # asked for, and not used, by players that search

Code = dict[str, Any]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "rewards-imports", "self-play")


@cache
def trained(rounds: int, seed: int) -> Any:
    """Return a network after some rounds of self-play."""
    code = chapter_code()
    network = code["new_network"](code["Settings"](), seed)
    if rounds:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code["train"](network, code["Settings"](rounds=rounds), seed)
    return network


def lines_lost(player: games.SearchPlayer) -> int:
    """Return how many games a player loses, on either side, if the other tries every move."""

    def lost(position: games.TicTacToe, own: bool) -> int:
        if position.outcome is not None:
            return int(own and position.outcome == -1)
        moves = [player(position, RNG)] if own else position.moves
        return sum(lost(position.after(move), not own) for move in moves)

    return sum(lost(games.TicTacToe(), own) for own in (True, False))


def measured(rounds: int, seed: int) -> dict[str, float]:
    """Return how well the players of one network play."""
    network, found = trained(rounds, seed), {}
    for what, (opponent, n_games) in AGAINST.items():
        for name, score in chapter_code()["judged"](network, opponent, n_games).items():
            found[f"{name}: {what}"] = getattr(score, what)
    alone = chapter_code()["players_of"](network)["network alone"]
    right = [alone(p, RNG) in games.best_moves(p) for p in board.undecided()]
    found["network alone: best"] = float(np.mean(right))
    searching = games.SearchPlayer(network.evaluate, board.SIMULATIONS)
    return found | {"lines lost": lines_lost(searching)}


def main() -> None:
    """Measure, write the record, and write the moves for the page."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    cases = [{"rounds": rounds, "seed": seed} for seed in seeds for rounds in STAGES]
    runs = records.untimed(records.kept_runs("alignment_rewards", cases, measured))
    board.write(games.SearchPlayer(trained(STAGES[-1], 0).evaluate, board.SIMULATIONS))
    records.write(
        RESULT,
        seeds,
        settings=vars(chapter_code()["Settings"]()),
        games={what: n_games for what, (_, n_games) in AGAINST.items()},
        simulations=board.SIMULATIONS,
        runs=records.by_seed(runs),
    )


if __name__ == "__main__":
    main()
