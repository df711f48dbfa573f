"""The answers of the exercises of *Pretraining*, held against what must come out."""

import itertools
import math

import pytest

from exercises import pretraining as master
from exercises import run
from exercises.pretraining import fill_gaps, gap_floor, how_many, trust_by_hand

pytestmark = pytest.mark.chapter("pretraining")


def test_counts_by_hand():
    """60 tokens, 9 of them cut out in 3 spans; 3, 0 and 5 pairs."""
    found = how_many.numbers(60, 15, 3.0, (4, 1, 6))
    assert found == {"a": 59, "b": 60 - 9 + 3, "c": 9 + 3 + 1, "d": 8}


@pytest.mark.parametrize(("percent", "hidden", "replaced"), [(20, 70, 20), (40, 50, 30)])
def test_the_shares_are_those_of_all_cases(percent, hidden, replaced):
    p, m, r = percent / 100, hidden / 100, replaced / 100
    cases = {"not": 1 - p, "mask": p * m, "random": p * r, "kept": p * (1 - m - r)}
    assert math.isclose(sum(cases.values()), 1)
    found = trust_by_hand.answers(p, m, r, 3)
    shown = cases["not"] + cases["random"] + cases["kept"]
    assert math.isclose(found["wrong_of_shown"], cases["random"] / shown)
    assert math.isclose(found["asked_of_shown"], (cases["random"] + cases["kept"]) / shown)
    none = sum(
        math.prod(cases[case] for case in text)
        for text in itertools.product(cases, repeat=3)
        if set(text) == {"not"}
    )
    assert math.isclose(found["without_target"], none)


@pytest.mark.parametrize(("missing", "expected"), [("empty", [1, 2]), ("kept", [1, 100, 2])])
def test_a_gap_without_an_answer(missing, expected):
    answer = run(master.SETUP, fill_gaps.exercise(missing).solution)
    assert answer["fill_gaps"]([1, 100, 2], [101, 5], [100, 101]) == expected


def test_floors_by_hand():
    """Of two texts, one three times as probable: the second word is certain after the first."""
    texts = {("a", "b"): 0.75, ("c", "b"): 0.25}

    def log_prob(row):
        return math.log(texts[tuple(row)]) if tuple(row) in texts else -math.inf

    entropy = run(master.SETUP, gap_floor.exercise("entropy").solution)["gap_floor"]
    surprise = run(master.SETUP, gap_floor.exercise("surprise").solution)["gap_floor"]
    h = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert entropy(log_prob, ["a", "b"], ["a", "b", "c"]) == pytest.approx([h, 0])
    assert surprise(log_prob, ["c", "b"], ["a", "b", "c"]) == pytest.approx([-math.log(0.25), 0])
