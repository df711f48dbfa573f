"""Tic-tac-toe: counted in full, solved backwards, searched, and learnt by playing."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from companion.alignment.games import (
    Node,
    PerfectPlayer,
    PolicyValueNet,
    RandomPlayer,
    Score,
    SearchPlayer,
    SelfPlayConfig,
    SelfPlayRound,
    TicTacToe,
    best_moves,
    match,
    minimax_value,
    puct_scores,
    search,
    train_self_play,
)
from companion.optim import AdamW
from companion.reference import alignment as twin
from tests.plugins import shapes
from tests.support import fill, normal, seeds, shapes_vary
from tests.verification import agree, same


def reachable():
    """Return all positions, in the order of the number of stones."""
    found, last = [], {TicTacToe(): None}
    while last:
        found += last
        last = dict.fromkeys(p.after(move) for p in last for move in p.moves)
    return list(dict.fromkeys(found))


ALL = reachable()
OPEN = [position for position in ALL if position.outcome is None]


def rng_of(seed=0):
    return np.random.default_rng(seed)


def uniform(_):
    return np.ones(9), 0.0


def exact(position):
    return np.ones(9), minimax_value(position)


# -- the game ------------------------------------------------------------------------------------


def test_the_game_in_numbers():
    """Known since long: 5,478 positions, 958 of them ends, and 255,168 games."""
    games = {}
    for position in reversed(ALL):
        after = [games[position.after(move)] for move in position.moves]
        games[position] = sum(after) if after else 1
    counts = [len(ALL), len(ALL) - len(OPEN), games[TicTacToe()]]
    same("TicTacToe", "known numbers", counts, [5478, 958, 255_168])
    ends = Counter(sum(map(abs, p.board)) % 2 for p in ALL if p.outcome == -1)
    same("TicTacToe, who has won", "known numbers", [ends[1], ends[0]], [626, 316])


def test_outcomes_by_sums():
    for position in ALL[::7]:
        board = np.array(position.board).reshape(3, 3)
        sums = [*board.sum(0), *board.sum(1), np.trace(board), np.trace(board[:, ::-1])]
        expected = -1.0 if -3 in sums else (0.0 if board.all() else None)
        same("TicTacToe.outcome", "NumPy", position.outcome, expected)
        planes = position.planes().reshape(2, 3, 3)
        same("TicTacToe.planes", "NumPy", planes[0] - planes[1], board.astype(np.float32))


def test_what_a_position_looks_like():
    assert str(TicTacToe().after(4).after(0).after(8)) == "O . .\n. X .\n. . X"


def solved():
    """Return the value of each position, from the last ones backwards."""
    values = {}
    for position in reversed(ALL):
        after = [-values[position.after(move)] for move in position.moves]
        values[position] = max(after) if after else position.outcome
    return values


def test_perfect_play():
    values = solved()
    same(
        "minimax_value",
        "solved backwards",
        [minimax_value(p) for p in ALL],
        [values[p] for p in ALL],
    )
    for position in OPEN[::9]:
        best = [m for m in position.moves if -values[position.after(m)] == values[position]]
        same("best_moves", "solved backwards", best_moves(position), best)
    late = [p for p in ALL if sum(map(abs, p.board)) >= 4][::60]
    found = [twin.minimax_value(np.array(p.board).reshape(3, 3)) for p in late]
    same("minimax_value", "NumPy twin", [minimax_value(p) for p in late], found)
    same("twin: minimax_value", "solved backwards", found, [values[p] for p in late])
    corner = TicTacToe().after(0)
    same("best_moves, after a corner", "known", best_moves(corner), [4])


# -- search --------------------------------------------------------------------------------------


@shapes_vary
@given(k=st.integers(1, 9), seed=seeds)
def test_scores_against_the_twin(k, seed):
    rng = rng_of(seed)
    prior, visits = rng.dirichlet(np.ones(k)), rng.integers(0, 4, k)
    totals = np.where(visits > 0, rng.normal(size=k), 0.0)
    found = puct_scores(prior, visits, totals, 2.5)
    expected = twin.puct_scores(prior, visits, totals, 2.5)
    agree("puct_scores", "NumPy twin", found, expected)
    first = puct_scores(prior, visits * 0, totals * 0, 2.5)
    agree("puct_scores, at first", "the priors", first, 2.5 * prior)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.nan_to_num(totals / visits)
    whole = means + 2.5 * prior * np.sqrt(max(visits.sum(), 1)) / (1 + visits)
    agree("twin: puct_scores", "NumPy", expected, whole)


def test_a_search_step_by_step():
    """With a value of 0 everywhere, from a position with three free fields."""
    position = TicTacToe((1, -1, 1, -1, -1, 1, 0, 0, 0))
    visits = search(position, uniform, 1)
    same("search, one look", "by hand", visits.nonzero()[0], [6])
    for n in (2, 3, 10, 50):
        found = search(position, uniform, n)
        same("search, in all", "by hand", int(found.sum()), n)
        assert (found[list(set(range(9)) - set(position.moves))] == 0).all()


def test_the_visits_are_those_of_the_formula():
    """Where first moves end the game, or nearly, the search is a bandit, done by hand."""
    full = TicTacToe((1, -1, 1, 1, -1, -1, -1, 1, 0))
    same("search, one move", "by hand", search(full, uniform, 7)[8], 7)
    two = TicTacToe((1, 1, 0, -1, -1, 1, 1, -1, 0))
    values = {m: two.after(m).outcome for m in two.moves}
    assert values[2] == -1  # wins: the other one finds the game lost
    prior, visits, totals = np.array([0.5, 0.5]), np.zeros(2), np.zeros(2)
    for _ in range(20):
        i = int(puct_scores(prior, visits, totals, 4.0).argmax())
        visits[i] += 1
        totals[i] += 1.0 if two.moves[i] == 2 else -_value_of(two.after(8), visits[i])
    found = search(two, uniform, 20)[two.moves]
    same("search, two moves", "by hand", found, visits.astype(int))


def _value_of(position, n):
    """Return what is found of the position after the worse move: at first 0, then how it ends."""
    if position.outcome is not None:
        return position.outcome
    (move,) = position.moves
    return 0.0 if n == 1 else -position.after(move).outcome


def test_a_search_with_true_values_makes_no_mistake():
    wrong = [p for p in OPEN[::11] if int(search(p, exact, 60).argmax()) not in best_moves(p)]
    same("search, true values", "best_moves", wrong, [])


def test_long_enough_it_finds_wins_by_itself():
    winning = [p for p in OPEN if minimax_value(p) == 1 and len(p.moves) <= 5][::25]
    for position in winning:
        move = int(search(position, uniform, 400).argmax())
        same("search, uniform", "best_moves", move in best_moves(position), True)


def test_noise_opens_what_priors_close():
    closed = np.array([1.0] + [0.0] * 8)

    def sure(_):
        return closed, 0.0

    without = search(TicTacToe(), sure, 40)
    noisy = search(TicTacToe(), sure, 40, noise=0.5, rng=rng_of(1))
    same("search, closed", "by hand", without.tolist(), [40] + [0] * 8)
    assert (noisy > 0).sum() > 3
    again = search(TicTacToe(), sure, 40, noise=0.5, rng=rng_of(1))
    same("search, noise", "the same seed", noisy, again)


def test_nodes():
    position = TicTacToe().after(4)
    node = Node(position, np.arange(9.0))
    kept = np.delete(np.arange(9.0), 4)
    agree("Node, priors", "NumPy", node.prior, kept / kept.sum())
    agree("Node, no priors", "uniform", Node(position, np.zeros(9)).prior, np.full(8, 1 / 8))


# -- the network ---------------------------------------------------------------------------------


def test_the_network_against_torch():
    ours = fill(PolicyValueNet(16))
    x = (normal(5, 18) > 0).double()
    inside = torch.nn.Sequential(
        torch.nn.Linear(18, 16), torch.nn.ReLU(), torch.nn.Linear(16, 16), torch.nn.ReLU()
    ).double()
    inside[0].load_state_dict(ours.first.state_dict())
    inside[2].load_state_dict(ours.second.state_dict())
    h = inside(x)
    logits, values = ours(x)
    agree(
        "PolicyValueNet, logits",
        "torch.nn",
        logits,
        F.linear(h, ours.policy.weight, ours.policy.bias),
    )
    agree(
        "PolicyValueNet, values",
        "torch.nn",
        values,
        F.linear(h, ours.value.weight, ours.value.bias)[:, 0].tanh(),
    )
    visits, outcomes = normal(5, 9, seed=1).softmax(dim=1), normal(5, seed=2).sign()
    expected = F.mse_loss(values, outcomes) + F.cross_entropy(logits, visits)
    agree("PolicyValueNet.loss", "torch", ours.loss(x, visits, outcomes), expected)
    position = OPEN[100]
    prior, value = ours.evaluate(position)
    logits, values = ours(torch.from_numpy(position.planes())[None].double())
    agree("PolicyValueNet.evaluate", "a call", prior, logits[0].softmax(dim=0))
    agree("PolicyValueNet.evaluate, value", "a call", np.float64(value), values[0])


# -- players -------------------------------------------------------------------------------------


def test_matches():
    perfect, anyone = PerfectPlayer(), RandomPlayer()
    same("PerfectPlayer", "itself", match(perfect, perfect, 40, rng_of()), Score(0, 40, 0))
    found = match(perfect, anyone, 200, rng_of())
    assert (found.losses, found.wins > 150) == (0, True)
    other = match(anyone, perfect, 200, rng_of())
    assert (other.wins, other.losses > 150) == (0, True)
    same("Score, in all", "by hand", sum(found), 200)
    begun = []

    def first_free(position, rng):
        begun.append(len(position.moves))
        return position.moves[0]

    same("match, turns", "by hand", match(first_free, first_free, 2, rng_of()), Score(1, 0, 1))
    same("match, first moves", "by hand", begun.count(9), 2)


def test_a_random_game_is_won_as_often_as_counted():
    """Both take any move: who begins wins 0.585 of the games, known from all paths."""
    chance = {}  # that the one to move wins, and that the other does
    for position in reversed(ALL):
        after = [chance[position.after(move)] for move in position.moves]
        ended = 0.0, float(position.outcome == -1)
        chance[position] = tuple(np.mean(after, axis=0)[::-1]) if after else ended
    won, lost = chance[TicTacToe()]
    agree("RandomPlayer, who begins", "known", won, 0.585, 1e-3, limit="three digits")
    games = match(RandomPlayer(), RandomPlayer(), 4000, rng_of())
    found = [games.wins / 4000, games.losses / 4000]
    expected = [(won + lost) / 2] * 2  # they take turns
    agree("RandomPlayer", "all paths", found, expected, 0.03, limit="1/√n")


def test_a_search_player_keeps_what_it_found():
    asked = []

    def counting(position):
        asked.append(position)
        return np.ones(9), 0.0

    player = SearchPlayer(counting, 20)
    moves = [player(TicTacToe(), rng_of()) for _ in range(3)]
    same("SearchPlayer", "search", moves, [int(search(TicTacToe(), uniform, 20).argmax())] * 3)
    assert len(asked) <= 21


# -- learning ------------------------------------------------------------------------------------


def test_it_does_not_lose_to_perfect_play_in_1_000_games():
    torch.manual_seed(0)
    network = PolicyValueNet(128)
    optimizer, config = AdamW(network.parameters(), lr=3e-3, weight_decay=1e-4), SelfPlayConfig(8)

    def against(player, n):
        return match(SearchPlayer(network.evaluate, 200), player, n, rng_of(1))

    with shapes.unchecked():  # of some million calls
        before = against(PerfectPlayer(), 200)
        rounds = list(train_self_play(network, optimizer, config, rng_of(0)))
        after, easy = against(PerfectPlayer(), 1000), against(RandomPlayer(), 200)
    same("train_self_play", "1,000 games", after, Score(0, 1000, 0))
    same("train_self_play, no loss to chance", "200 games", easy.losses, 0)
    assert before.losses > 20
    assert rounds[-1].loss < rounds[0].loss - 0.5
    assert easy.wins > 150
    values = [network.evaluate(p)[1] for p in OPEN[::5]]
    right = np.corrcoef(values, [minimax_value(p) for p in OPEN[::5]])[0, 1]
    agree("PolicyValueNet, trained", "minimax_value", right, 1.0, 0.5, limit="8 rounds")


def test_what_is_reported_and_the_same_seed():
    found = []
    for _ in range(2):
        network = fill(PolicyValueNet(8), dtype=torch.float32)
        optimizer = AdamW(network.parameters(), lr=0.01)
        config = SelfPlayConfig(2, games=3, n_simulations=8, steps=2, batch_size=8)
        found.append(list(train_self_play(network, optimizer, config, rng_of(4))))
    same("train_self_play, twice", "itself", *found)
    same(
        "SelfPlayRound, its parts",
        "by hand",
        SelfPlayRound._fields,
        ("round", "draws", "length", "loss"),
    )
    assert all(5 <= each.length <= 9 and 0 <= each.draws <= 1 for each in found[0])
    same("SelfPlayConfig", "by hand", config, SelfPlayConfig(2, 3, 8, 2, 8))


# -- wrong calls ---------------------------------------------------------------------------------

OVER = TicTacToe((-1, -1, -1, 1, 1, 0, 0, 0, 0))
NET = PolicyValueNet(4)
WRONG = [
    (ValueError, "move must be one of .1, 2", lambda: TicTacToe().after(0).after(0)),
    (ValueError, r"move must be one of \[\], got 5", lambda: OVER.after(5)),
    (ValueError, "move must be at most 8", lambda: TicTacToe().after(9)),
    (TypeError, "move must be a whole number", lambda: TicTacToe().after(1.0)),
    (TypeError, "position must be a TicTacToe, got tuple", lambda: minimax_value((0,) * 9)),
    (ValueError, "position must leave a move", lambda: best_moves(OVER)),
    (ValueError, "position must leave a move", lambda: search(OVER, uniform, 3)),
    (ValueError, "n_simulations must be at least 1", lambda: search(TicTacToe(), uniform, 0)),
    (ValueError, "c must be finite and above 0", lambda: search(TicTacToe(), uniform, 1, c=0.0)),
    (ValueError, "noise must be from 0 to 1", lambda: search(TicTacToe(), uniform, 1, noise=2.0)),
    (
        TypeError,
        "rng must be a numpy.random.Gen",
        lambda: search(TicTacToe(), uniform, 1, noise=0.5),
    ),
    (ValueError, "prior must be 9 finite", lambda: search(TicTacToe(), lambda _: (ONES, 0), 1)),
    (ValueError, "prior must be 9 finite", lambda: Node(TicTacToe(), -np.ones(9))),
    (ValueError, "must have one shape", lambda: puct_scores(ONES, ONES, ONES[:1])),
    (ValueError, "c must be finite and above 0", lambda: puct_scores(ONES, ONES, ONES, -1.0)),
    (ValueError, "d_hidden must be at least 1", lambda: PolicyValueNet(0)),
    (ValueError, "planes must be .batch, 18.", lambda: NET(torch.zeros(2, 9))),
    (
        ValueError,
        "visits and outcomes must be one for each of 2",
        lambda: NET.loss(torch.zeros(2, 18), torch.zeros(1, 9), torch.zeros(2)),
    ),
    (TypeError, "evaluate must be a function", lambda: SearchPlayer(3, 4)),
    (ValueError, "n_simulations must be at least 1", lambda: SearchPlayer(uniform, 0)),
    (ValueError, "n_games must be at least 1", lambda: match(print, print, 0, rng_of())),
    (TypeError, "rng must be a numpy.random.Generator", lambda: match(print, print, 1, 0)),
    (TypeError, "network must be a PolicyValueNet", lambda: train_self_play(3, 3, 3, rng_of())),
    (ValueError, "games must be at least 1", lambda: SelfPlayConfig(1, games=0)),
    (ValueError, "opening must be at least 0", lambda: SelfPlayConfig(1, opening=-1)),
    (ValueError, "noise must be from 0 to 1", lambda: SelfPlayConfig(1, noise=-0.5)),
]
ONES = np.ones(2)


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
