"""Grid and random search, and for which tasks each is the better one."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = r"""
Two hyperparameters between 0 and 1, and a budget of {{n}} trials. A **grid** takes {{k}} values of each, $1/{{k}}$ apart, shifted by a random amount (less than $1/{{k}}$) in each direction. **Random search** draws all of its points anew. A score is good where the *first* hyperparameter lies in a certain window of width {{width}}, whatever the second: with which probability does each search find it?

Then invent two scores, functions of two arrays; higher is better. In the mean of many searches the grid's best trial should win on one, that of random search on the other. Say what decides.
"""
STARTER = """
grid_finds, random_finds = ..., ...

def grid_wins(first, second):
    ...

def random_wins(first, second):
    ...
"""
HINT = "How many values of the first hyperparameter does each search try? And how large are the holes that it leaves?"
SOLUTION = """
grid_finds = K * WIDTH
random_finds = 1 - (1 - WIDTH) ** N

def grid_wins(first, second):  # good in a square as large as a cell
    side = 0.5 / K
    return 1.0 * ((abs(first - 0.5) < side) & (abs(second - 0.4) < side))

def random_wins(first, second):  # good in a band, half as wide
    return 1.0 * (abs(first - 0.5) < 0.25 / K)
"""
TRIAL = """
rng = np.random.default_rng(1)
cells = np.array(list(itertools.product(range(SIDE), repeat=2))).T / SIDE
grids = cells[:, None] + rng.random((2, 5000, 1)) / SIDE  # 5000 grids
drawn = rng.random((2, 5000, SIDE**2))
for name, found, points in (("grid", grid_finds, grids), ("random", random_finds, drawn)):
    simulated = (abs(points[0] - 0.5) < WIDTH / 2).any(axis=1).mean()
    check(f"chance of a {name} search, in 5000 searches", found, simulated, 0.025)

def mean_best(score, points):
    return np.asarray(score(*points.reshape(2, -1))).reshape(5000, -1).max(axis=1).mean()

ahead = mean_best(grid_wins, grids) - mean_best(grid_wins, drawn)
check("grid's lead on grid_wins, in 5000 searches", ahead, at_least=0.005)
ahead = mean_best(random_wins, drawn) - mean_best(random_wins, grids)
check("random search's lead on random_wins", ahead, at_least=0.005)
"""
EXPLANATION = r"""
The grid tries {{k}} values of the first hyperparameter, each of them {{k}} times: one lies in the window with the probability ${{k}} \cdot {{width}} = {{grid_finds}}$. Random search tries {{n}}, and misses with all of them with the probability $(1 - {{width}})^{ {{n}} }$: it finds the window with {{random_finds}}.

So random search is better where few of the hyperparameters matter, since every trial says something new about those that do. A grid is better where all matter and what is good is as large as a cell: it leaves no hole larger than a cell, whereas {{n}} random points leave one of that size open more often than one might think, with probability $(1 - 1/{{n}})^{ {{n}} } = {{missed}}$ for any given cell. With more hyperparameters the first case is the rule.

To grade by hand, besides the checks: is it said that it depends on how many hyperparameters matter (1 point), and that the grid leaves smaller holes (1)?
"""
INVENTED = """
def grid_wins(first, second):
    return {grid}

def random_wins(first, second):
    return {rand}
"""


def exercise(k: int = 3, width: float = 0.1) -> Exercise:
    """Return the exercise for a grid of `k` times `k` and a window of this width."""
    n, grid = k * k, round(k * width, 6)
    found = 1 - (1 - width) ** n
    first = f"grid_finds, random_finds = {grid}, {found:.6f}\n"
    square = f"1.0 * ((abs(first - 0.5) < 0.5 / {k}) & (abs(second - 0.4) < 0.5 / {k}))"
    band = f"1.0 * (abs(first - 0.5) < 0.25 / {k})"
    invented = INVENTED.format(grid=square, rand=band)
    solution = SOLUTION
    for name, value in {"K": k, "N": n, "WIDTH": width}.items():
        solution = solution.replace(name, str(value))
    return Exercise(
        id="optimisation-coverage",
        title="Holes in a search",
        kind="open",
        difficulty=3,
        minutes=40,
        points=6,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=solution,
        explanation=EXPLANATION,
        values={
            "k": k,
            "n": n,
            "width": width,
            "missed": f"{(1 - 1 / n) ** n:.3f}",
            "grid_finds": f"{grid:g}",
            "random_finds": f"{found:.3f}",
        },
        visible=(Check(scores_are_scores),),
        hidden=(
            Check(windows_are_found, {"k": k, "width": width}),
            Check(grid_is_better, {"k": k}),
            Check(chance_is_better, {"k": k}),
        ),
        wrong_answers={
            "as many values as trials": f"grid_finds = random_finds = {found:.6f}\n{invented}",
            "chances added up": f"grid_finds, random_finds = {grid}, {min(1.0, n * width):.6f}\n{invented}",
            "the two exchanged": first + INVENTED.format(grid=band, rand=square),
            "a slope along the first alone": first
            + INVENTED.format(grid="1 - abs(first - 0.5)", rand=band),
            "both matter alike": first
            + INVENTED.format(grid=square, rand="1 - ((first - 0.5)**2 + (second - 0.4)**2)"),
            "nothing matters": first
            + INVENTED.format(grid="0.5 + 0 * first", rand="0.5 + 0 * first"),
        },
        words=True,
        by_hand=2,
        trial=TRIAL.replace("SIDE", str(k)).replace("WIDTH", str(width)),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the size of the grid, and a window narrower than its cells."""
    k = rng.choice((3, 4, 5))
    return {"k": k, "width": rng.choice((0.04, 0.05, 0.06, 0.08, 0.12, 0.15))}


# -- checks --------------------------------------------------------------------------------------


def scores_are_scores(grid_wins, random_wins):
    """Check that both functions give a number between 0 and 1 for each trial, always the same."""
    x, y = np.random.default_rng(0).random((2, 500))
    for name, score in {"grid_wins": grid_wins, "random_wins": random_wins}.items():
        got, again = (np.asarray(score(x.copy(), y.copy()), dtype=float) for _ in range(2))
        assert got.shape == x.shape, f"{name} should give a score for each trial, got {got.shape}"
        assert ((got >= 0) & (got <= 1)).all(), f"{name} should give scores from 0 to 1"
        assert (got == again).all(), f"{name} should give the same score for the same trial"


def windows_are_found(grid_finds, random_finds, *, k, width):
    """Check both probabilities."""
    assert close(grid_finds, k * width, "grid_finds"), (
        "grid_finds is not right: how many different values of the first hyperparameter does the "
        "grid try, and how likely is it that one of them is in the window?"
    )
    assert close(random_finds, 1 - (1 - width) ** (k * k), "random_finds"), (
        "random_finds is not right: how likely is it that one trial misses the window, and that "
        "all of them do?"
    )


def best_of_searches(score, k, repeats=4000):
    """Return the best scores of many grids and of as many random searches."""
    rng = np.random.default_rng(0)
    steps = np.arange(k) / k
    shift = rng.random((2, repeats, 1, 1)) / k
    first = shift[0] + steps[:, None] + 0 * steps
    second = shift[1] + steps + 0 * steps[:, None]
    drawn = rng.random((2, repeats * k * k))
    grid = np.asarray(score(first.ravel(), second.ravel()), dtype=float)
    chance = np.asarray(score(drawn[0], drawn[1]), dtype=float)
    return grid.reshape(repeats, -1).max(axis=1), chance.reshape(repeats, -1).max(axis=1)


def clearly_above(higher, lower) -> bool:
    """Tell whether a mean lies above another by more than luck and by more than a hair."""
    error = np.sqrt((higher.var() + lower.var()) / len(higher))
    return bool(higher.mean() - lower.mean() > max(4 * error, 0.005))


def grid_is_better(grid_wins, *, k):
    """Search with grids and at random, on the score made for the grid."""
    grid, chance = best_of_searches(grid_wins, k)
    assert clearly_above(grid, chance), (
        f"On grid_wins the grid's best score is {grid.mean():.3f} in the mean and that of random "
        f"search {chance.mean():.3f}; the grid should be clearly above, wherever it begins"
    )


def chance_is_better(random_wins, *, k):
    """Search with grids and at random, on the score made for random search."""
    grid, chance = best_of_searches(random_wins, k)
    assert clearly_above(chance, grid), (
        f"On random_wins the grid's best score is {grid.mean():.3f} in the mean and that of random "
        f"search {chance.mean():.3f}; random search should be clearly above"
    )
