r"""Learning by playing against oneself: search makes the moves, the network learns the search.

This file adds: ``train_self_play``, with its ``SelfPlayConfig``, and ``SelfPlayRound``, what is
reported.

Shape letters: ``B`` positions.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from companion._arguments import _require_generator, _require_int
from companion.alignment._checks import _require_above, _require_from
from companion.alignment.games.networks import PolicyValueNet
from companion.alignment.games.tic_tac_toe import TicTacToe
from companion.alignment.games.trees import Evaluate, search

__all__ = ["SelfPlayConfig", "SelfPlayRound", "train_self_play"]

FIELDS = np.arange(9).reshape(3, 3)
#: The eight ways in which the board can be turned and mirrored.
SYMMETRIES = [
    np.rot90(board, turns).flatten() for board in (FIELDS, FIELDS.T) for turns in range(4)
]


class _Sample(NamedTuple):
    """One position of a game that is over."""

    planes: np.ndarray
    visits: np.ndarray
    outcome: float


@dataclass(frozen=True)
class SelfPlayConfig:
    r"""How a network learns by playing against itself.

    Parameters
    ----------
    rounds : int
        How often games are played, and learnt from.
    games : int
        In each round.
    n_simulations : int
        Of the search for each move.
    steps : int
        Of the optimiser in each round.
    batch_size : int
        Positions in each.
    memory : int
        How many of the last positions are learnt from.
    noise : float
        As for `search`, at the first position of each.
    c : float
        As for `puct_scores`.
    opening : int
        Moves at the beginning of a game that are drawn by the shares of visits. Later ones are the
        most visited.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is of another kind.

    Examples
    --------
    >>> SelfPlayConfig(rounds=2).n_simulations
    48
    """

    rounds: int
    games: int = 32
    n_simulations: int = 48
    steps: int = 64
    batch_size: int = 128
    memory: int = 4096
    noise: float = 0.25
    c: float = 4.0
    opening: int = 4

    def __post_init__(self) -> None:
        for name in ("rounds", "games", "n_simulations", "steps", "batch_size", "memory"):
            _require_int(name, getattr(self, name), least=1)
        _require_int("opening", self.opening, least=0)
        _require_from("noise", self.noise, 0.0, 1.0)
        _require_above("c", self.c)


class SelfPlayRound(NamedTuple):
    """What is reported of a round."""

    round: int
    """From 0."""
    draws: float
    """The share of games that nobody won."""
    length: float
    """Moves of a game."""
    loss: float
    """The mean over the steps."""


def train_self_play(
    network: PolicyValueNet,
    optimizer: torch.optim.Optimizer,
    config: SelfPlayConfig,
    rng: np.random.Generator,
) -> Iterator[SelfPlayRound]:
    r"""Train a network by games against itself (Silver et al. 2017).

    In each round it plays some games, in which a search that it leads makes the moves; then it
    learns to say at once what the search found, and how the games ended.

    Parameters
    ----------
    network : PolicyValueNet
        Changed in place.
    optimizer : Optimizer
        Of its parameters.
    config : SelfPlayConfig
    rng : numpy.random.Generator
        Draws noise, moves and batches.

    Returns
    -------
    iterator of SelfPlayRound
        The network is trained while one goes through it.

    Raises
    ------
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> from companion.optim import AdamW
    >>> network = PolicyValueNet(8)
    >>> config = SelfPlayConfig(rounds=2, games=2, n_simulations=4, steps=1)
    >>> optimizer = AdamW(network.parameters(), lr=0.01)
    >>> rounds = train_self_play(network, optimizer, config, np.random.default_rng(0))
    >>> [each.length >= 5 for each in rounds]
    [True, True]
    """
    kinds = {
        "network": (network, PolicyValueNet),
        "optimizer": (optimizer, torch.optim.Optimizer),
        "config": (config, SelfPlayConfig),
    }
    for name, (value, kind) in kinds.items():
        if not isinstance(value, kind):
            raise TypeError(f"{name} must be a {kind.__name__}, got {type(value).__name__}")
    _require_generator("rng", rng, np.random.Generator)
    return _rounds(network, optimizer, config, rng)


def _rounds(
    network: PolicyValueNet,
    optimizer: torch.optim.Optimizer,
    config: SelfPlayConfig,
    rng: np.random.Generator,
) -> Iterator[SelfPlayRound]:
    memory: deque[_Sample] = deque(maxlen=config.memory)
    for number in range(config.rounds):
        evaluate = _remembering(network)
        games = [_game(evaluate, config, rng) for _ in range(config.games)]
        for game in games:
            memory.extend(game)
        losses = [_step(network, optimizer, memory, config, rng) for _ in range(config.steps)]
        draws = np.mean([game[-1].outcome == 0 for game in games])
        length = np.mean([len(game) for game in games])
        yield SelfPlayRound(number, float(draws), float(length), float(np.mean(losses)))


def _remembering(network: PolicyValueNet) -> Evaluate:
    """Return the network as it is now, asked once for each position."""
    known: dict[TicTacToe, tuple[np.ndarray, float]] = {}

    def evaluate(position: TicTacToe) -> tuple[np.ndarray, float]:
        if position not in known:
            known[position] = network.evaluate(position)
        return known[position]

    return evaluate


def _game(evaluate: Evaluate, config: SelfPlayConfig, rng: np.random.Generator) -> list[_Sample]:
    """Play a game, and return its positions with how it ended for whoever was to move."""
    position, moves = TicTacToe(), []
    while position.outcome is None:
        visits = search(
            position, evaluate, config.n_simulations, c=config.c, noise=config.noise, rng=rng
        )
        share = visits / visits.sum()
        moves.append((position, share))
        early = len(moves) <= config.opening
        position = position.after(int(rng.choice(9, p=share) if early else share.argmax()))
    result, samples = position.outcome, []  # for the player who would be next
    for before, share in reversed(moves):
        result = -result
        samples.append(_Sample(before.planes(), share, result))
    return samples[::-1]


def _step(
    network: PolicyValueNet,
    optimizer: torch.optim.Optimizer,
    memory: deque[_Sample],
    config: SelfPlayConfig,
    rng: np.random.Generator,
) -> float:
    """Make one step of the optimiser on positions of the memory, each turned at random."""
    places = rng.integers(len(memory), size=config.batch_size)
    turns = rng.integers(len(SYMMETRIES), size=config.batch_size)
    samples = [_turned(memory[i], SYMMETRIES[turn]) for i, turn in zip(places, turns, strict=True)]
    like = network.first.weight
    planes, visits, outcomes = (_tensor(part, like) for part in zip(*samples, strict=True))
    loss = network.loss(planes, visits, outcomes)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def _turned(sample: _Sample, fields: np.ndarray) -> _Sample:
    """Return the same position on a board that is turned or mirrored."""
    own, other = sample.planes[:9], sample.planes[9:]
    planes = np.concatenate([own[fields], other[fields]])
    return _Sample(planes, sample.visits[fields], sample.outcome)


def _tensor(values: tuple[np.ndarray | float, ...], like: Tensor) -> Tensor:
    return torch.from_numpy(np.asarray(values)).to(like)
