"""Judge a claim of a leaderboard, and find how many questions it takes to tell."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from companion import evaluation
from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A leaderboard says that model A is better than model B: A answers {{percent_a}} % of {{n}} questions, and B answers {{percent_b}} % of the same questions. Both models are right on {{both}} questions, only A on {{only_a}}, only B on {{only_b}}, and neither on {{neither}}. Judge the claim.

- What is the p-value of McNemar's exact test?
- What is the 95 % interval of the difference of the accuracies (A minus B)? Use $\delta \pm 1.96 \sqrt{(\psi - \delta^2) / n}$, where $\psi$ is the share of questions on which the models differ and $\delta$ the difference.
- Suppose that the shares are exactly as counted. How many questions would McNemar's test need for a power of {{power}} % at a level of 5 %? And how many would *each* model need if they were tested on different questions?
- The leaderboard has {{models}} models, and somebody tests every pair of them. At which level, in percent, must each single test be made, by Bonferroni, so that the probability of any false alarm is at most 5 %?

You may use the functions of the chapter. Then say in a comment of three or four sentences what the leaderboard could honestly write, and what the organisers should do before they compare such models again.
"""
STARTER = """
p_of_gap = ...
gap_interval = [..., ...]
questions_if_same = ...
questions_if_different = ...
level_in_percent = ...
# The leaderboard could write that ...
"""
HINT = "Questions on which both models are right, or both are wrong, say nothing about which one is better. For the numbers of questions, see `sample_size_paired` and `sample_size_unpaired`. How many pairs can be made of the models?"
SOLUTION = """
only_a, only_b, n = ONLY_A, ONLY_B, ROWS
right_a = [1] * only_a + [0] * only_b  # the other questions do not count
p_of_gap = evaluation.mcnemar(right_a, [1 - x for x in right_a]).p_value

psi, delta = (only_a + only_b) / n, (only_a - only_b) / n
half = 1.96 * math.sqrt((psi - delta**2) / n)
gap_interval = [delta - half, delta + half]

questions_if_same = evaluation.sample_size_paired(
    only_a / n, only_b / n, power=POWER
)
questions_if_different = evaluation.sample_size_unpaired(
    (BOTH + only_a) / n, (BOTH + only_b) / n, power=POWER
)
level_in_percent = 5 / math.comb(MODELS, 2)
"""
EXPLANATION = r"""
The models differ on {{differ}} questions. If they were equally good, a split at least as uneven as {{only_a}} to {{only_b}} would come about with probability {{p}}, which is above 5 %, and far above {{level}} %. The difference is {{delta}}, and its interval goes from {{low}} to {{high}}, so it contains 0. With these shares {{same}} questions would be needed, many more than {{n}}, and {{different}} for each model if their questions were different, because then the difficulty of the questions would add its own variance. Of {{models}} models {{pairs}} pairs can be made, so each test needs the level 5 % / {{pairs}} = {{level}} %.

The record is consistent with A being better, with no difference, and with B being slightly better. It does not show that the models are equally good either: the test was too small for such a gap. An honest leaderboard gives the interval beside the gap and calls both models tied. And before the next comparison the number of questions is chosen for the smallest gap that matters, and the pairs to be tested are named in advance.

To grade by hand, besides the checks: is it said that the data do not decide, and not that the models are equal (1 point), and that the number of questions and of comparisons has to be settled before (1)?
"""
TRIAL = """
rng = np.random.default_rng(1)
uneven = abs(rng.binomial(DIFFER, 0.5, 200_000) - DIFFER / 2)
by_chance = (uneven >= (ONLY_A - ONLY_B) / 2).mean()
check("p-value, by tossing coins", p_of_gap, by_chance, 0.005)

shares = np.array([ONLY_A, ONLY_B, ROWS - DIFFER]) / ROWS
a, b, _ = rng.multinomial(ROWS, shares, 200_000).T
low, high = np.quantile((a - b) / ROWS, [0.025, 0.975])
check("interval, from new questions", gap_interval, [low, high], 0.004)

a, b, _ = rng.multinomial(questions_if_same, shares, 200_000).T
found = (abs(a - b) / np.sqrt(a + b) > 1.96).mean()
check("power with the same questions", found, POWER, 0.01)
n = questions_if_different
a, b = rng.binomial(n, [[RIGHT_A / ROWS], [RIGHT_B / ROWS]], (2, 200_000)) / n
mean = (a + b) / 2
found = (abs(a - b) > 1.96 * np.sqrt(2 * mean * (1 - mean) / n)).mean()
check("power with different questions", found, POWER, 0.01)
pairs = sum(1 for i in range(MODELS) for j in range(i))
check("all levels together", level_in_percent * pairs, 5, 0.1)
"""


def exercise(
    counts: tuple[int, int, int, int] = (296, 40, 28, 36), power: int = 80, models: int = 12
) -> Exercise:
    """Return the exercise for counts of both, only A, only B, neither; the power in percent."""
    right = judged(counts, power, models)
    return Exercise(
        id="evaluation-three-points-ahead",
        title="Ahead by a few points",
        kind="open",
        difficulty=2,
        minutes=30,
        points=6,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_put(SOLUTION, counts, power, models),
        explanation=EXPLANATION,
        values=_texts(counts, power, models, right),
        visible=(
            Check(
                numbers_are_possible,
            ),
        ),
        hidden=(
            Check(gap_is_judged, {"right": right}),
            Check(numbers_of_questions_are_right, {"right": right}),
        ),
        wrong_answers=_wrong_answers(counts, power, models, right),
        words=True,
        by_hand=2,
        trial=_put(TRIAL, counts, power, models),
    )


def judged(counts: tuple[int, int, int, int], power: int, models: int) -> dict[str, Any]:
    """Return what is asked for."""
    both, only_a, only_b, _ = counts
    n = sum(counts)
    psi, delta = (only_a + only_b) / n, (only_a - only_b) / n
    half = 1.96 * math.sqrt((psi - delta**2) / n)
    right_a = [1] * only_a + [0] * only_b
    p = evaluation.mcnemar(right_a, [1 - x for x in right_a]).p_value
    of_a, of_b = (both + only_a) / n, (both + only_b) / n
    return {
        "p_of_gap": round(p, 6),
        "gap_interval": [round(delta - half, 6), round(delta + half, 6)],
        "questions_if_same": evaluation.sample_size_paired(
            only_a / n, only_b / n, power=power / 100
        ),
        "questions_if_different": evaluation.sample_size_unpaired(of_a, of_b, power=power / 100),
        "level_in_percent": round(5 / math.comb(models, 2), 6),
    }


def _put(code: str, counts: tuple[int, int, int, int], power: int, models: int) -> str:
    both, only_a, only_b, _ = counts
    for word, by in (
        ("ONLY_A", only_a),
        ("ONLY_B", only_b),
        ("BOTH", both),
        ("ROWS", sum(counts)),
        ("DIFFER", only_a + only_b),
        ("RIGHT_A", both + only_a),
        ("RIGHT_B", both + only_b),
        ("POWER", power / 100),
        ("MODELS", models),
    ):
        code = code.replace(word, str(by))
    return code


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in values.items())


def _texts(
    counts: tuple[int, int, int, int], power: int, models: int, right: dict[str, Any]
) -> dict[str, Any]:
    both, only_a, only_b, neither = counts
    n, (low, high) = sum(counts), right["gap_interval"]
    return {
        "n": n,
        "both": both,
        "only_a": only_a,
        "only_b": only_b,
        "neither": neither,
        "percent_a": f"{100 * (both + only_a) / n:.1f}",
        "percent_b": f"{100 * (both + only_b) / n:.1f}",
        "power": power,
        "models": models,
        "pairs": math.comb(models, 2),
        "differ": only_a + only_b,
        "delta": f"{(only_a - only_b) / n:.3f}",
        "p": f"{right['p_of_gap']:.3f}",
        "low": f"${low:.3f}$",
        "high": f"${high:.3f}$",
        "same": right["questions_if_same"],
        "different": right["questions_if_different"],
        "level": f"{right['level_in_percent']:.3f}",
    }


def _wrong_answers(
    counts: tuple[int, int, int, int], power: int, models: int, right: dict[str, Any]
) -> dict[str, str]:
    both, only_a, only_b, _ = counts
    n = sum(counts)
    of_a, of_b = (both + only_a) / n, (both + only_b) / n
    apart = math.sqrt((of_a * (1 - of_a) + of_b * (1 - of_b)) / n)
    wide = [of_a - of_b - 1.96 * apart, of_a - of_b + 1.96 * apart]
    same, different = right["questions_if_same"], right["questions_if_different"]
    return {
        "as if the questions were different": _answer(
            right | {"p_of_gap": math.erfc((of_a - of_b) / apart / math.sqrt(2))}
        ),
        "one side of the test": _answer(right | {"p_of_gap": right["p_of_gap"] / 2}),
        "the interval of models that were tested on different questions": _answer(
            right | {"gap_interval": wide}
        ),
        "the two designs exchanged": _answer(
            right | {"questions_if_same": different, "questions_if_different": same}
        ),
        "only the questions on which they differ are counted": _answer(
            right | {"questions_if_same": round(same * (only_a + only_b) / n)}
        ),
        "a level for each model in place of each pair": _answer(
            right | {"level_in_percent": round(5 / models, 6)}
        ),
        "the level of a single test": _answer(right | {"level_in_percent": 5}),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw counts with a gap of a few points that such a test does not show."""
    while True:
        n = rng.choice((300, 400, 500, 600))
        differ = round(n * rng.uniform(0.12, 0.24))
        only_a = round(differ * rng.uniform(0.55, 0.62))
        neither = round(n * rng.uniform(0.08, 0.3))
        counts = (n - differ - neither, only_a, differ - only_a, neither)
        given = {
            "counts": counts,
            "power": rng.choice((80, 90)),
            "models": rng.choice((8, 9, 10, 15, 20)),
        }
        right = judged(**given)
        if (
            0.02 < (2 * only_a - differ) / n < 0.05
            and 0.08 < right["p_of_gap"] < 0.5
            and 1.5 * n < right["questions_if_same"] < 0.9 * right["questions_if_different"]
            and right["gap_interval"][0] < -0.002
        ):
            return given


# -- checks --------------------------------------------------------------------------------------


def numbers_are_possible(
    p_of_gap, gap_interval, questions_if_same, questions_if_different, level_in_percent
):
    """Check that probabilities are probabilities, and that the interval has two ends."""
    assert 0 < array(p_of_gap).item() <= 1, f"p_of_gap should be a probability, got {p_of_gap}"
    assert 0 < array(level_in_percent).item() <= 100, (
        f"level_in_percent should be a percentage, above 0, got {level_in_percent}"
    )
    ends = array(gap_interval).ravel()
    assert len(ends) == 2, f"gap_interval should hold two numbers, got {len(ends)}"
    assert ends[0] < ends[1], "gap_interval should hold the lower number first, then the higher"
    given = {
        "questions_if_same": questions_if_same,
        "questions_if_different": questions_if_different,
    }
    for name, value in given.items():
        assert array(value).item() > 1, f"{name} should be a number of questions, got {value}"


def gap_is_judged(p_of_gap, gap_interval, level_in_percent, *, right):
    """Check the p-value, the interval, and the level for many pairs."""
    assert close(p_of_gap, right["p_of_gap"], "p_of_gap"), (
        "p_of_gap is not right: of how many coin tosses is this the result, and which results are "
        "as far from the middle, on both sides?"
    )
    assert close(gap_interval, right["gap_interval"], "gap_interval"), (
        "gap_interval is not right: use the difference as a share, and the share of the questions "
        "on which exactly one model is right"
    )
    assert close(level_in_percent, right["level_in_percent"], "level_in_percent"), (
        "level_in_percent is not right: how many different pairs do the models make? And is it in "
        "percent?"
    )


def numbers_of_questions_are_right(questions_if_same, questions_if_different, *, right):
    """Check both numbers of questions, to one in fifty."""
    for name, value in (
        ("questions_if_same", questions_if_same),
        ("questions_if_different", questions_if_different),
    ):
        far = abs(array(value).item() / right[name] - 1)
        assert far < 0.02, (
            f"{name} is not right: which shares does the formula ask for, and which power? All "
            "questions count, also those on which the models agree"
        )
