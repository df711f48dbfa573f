"""Variants: every seed gives an exercise that can be solved, and another one than the page's."""

import itertools
import json
import math
import random
import re
from fractions import Fraction

import numpy as np
import pytest

from assign import texts
from exercises import run, twists
from exercises.attention import (
    cache_by_hand,
    cache_timing,
    find_a_head,
    shuffling,
    softmax_by_hand,
)
from tests.exercises.quick import MASTERS, quick  # noqa: F401

SEEDS = range(200)


def each(masters):
    return pytest.mark.parametrize(
        ("setup", "master"), masters, ids=lambda x: getattr(x, "exercise", x) and ""
    )


def drawn(module):
    return [module.draw(random.Random(seed)) for seed in SEEDS]


# -- what holds for all --------------------------------------------------------------------------


@each(MASTERS)
def test_a_seed_always_draws_the_same(setup, master):
    assert [master.arguments(s) for s in SEEDS] == [master.arguments(s) for s in SEEDS]
    assert master.arguments() == {}


@each(MASTERS)
def test_seeds_differ_from_one_another_and_from_the_page(setup, master):
    variants = [json.dumps(master.arguments(seed)) for seed in SEEDS]
    assert len(set(variants)) >= 5
    page = master.variant()
    for exercise in itertools.islice(master.variants(5), 1, None):
        told = [(e.starter, e.solution, e.text("question"), e.hidden) for e in (page, exercise)]
        assert told[0] != told[1]


@each(MASTERS)
def test_what_is_drawn_can_be_written_down(setup, master):
    """In a record, and in test files."""
    for exercise in master.variants(20):
        for check in (*exercise.visible, *exercise.hidden):
            assert eval(repr(dict(check.given))) == dict(check.given)
    assert all(json.dumps(master.arguments(seed)) for seed in SEEDS)


@each(MASTERS)
def test_every_text_is_filled(setup, master):
    for exercise in master.variants(20):
        for part in ("title", "question", "hint", "explanation"):
            assert not texts.FIELD.search(exercise.text(part))
            assert exercise.text(part) == exercise.text(part, lambda message: message)


@pytest.mark.usefixtures("quick")
@each(MASTERS)
def test_the_answer_to_one_variant_fails_another(setup, master):
    """Where the answer is a measurement or a function, another size or task is asked for."""
    page = master.variant()
    answer = run(setup, page.solution)
    others = [master.variant(seed) for seed in range(6)]
    assert any(other.failures(answer) for other in others)


# -- what holds for one --------------------------------------------------------------------------


def test_softmax_answers_are_whole_and_pulled_by_the_largest():
    for given in drawn(softmax_by_hand):
        parts, values = (np.array(given[name], dtype=float) for name in ("parts", "values"))
        one, two = ((parts**n / (parts**n).sum()) @ values for n in (1, 2))
        assert one == pytest.approx(round(one))
        assert two == pytest.approx(round(two))
        assert len({round(one), round(two)}) == 2
        assert not {round(one), round(two)} <= {values.mean()}
        pull = values[parts.argmax()]
        assert abs(two - pull) < abs(one - pull)
        assert len(set(parts)) == len(set(values)) == 3


def test_the_fractions_in_the_text_are_those_of_the_solution():
    exercise = softmax_by_hand.exercise(**softmax_by_hand.draw(random.Random(1)))
    weights = run("from fractions import Fraction", exercise.solution)["weights"]
    for weight in weights:
        total = exercise.values["total"]
        assert rf"\tfrac{{{weight * total}}}{{{total}}}" in exercise.text("explanation")
    assert isinstance(weights[0], Fraction)


def test_a_cache_always_leaves_a_number_of_groups_that_cannot_share():
    for given in drawn(cache_by_hand):
        per_head = 4 * given["n_layers"] * given["width"]
        fit = given["gib"] * 2**30 // (given["users"] * given["length"] * per_head)
        assert 2 < fit < given["n_heads"]
        assert given["n_heads"] % fit
        assert per_head * given["n_heads"] % 1024 == 0


def test_nothing_stays_in_its_place_and_each_outcome_occurs():
    for given in drawn(shuffling)[:50]:
        assert sorted(given["order"]) == list(range(6))
        assert all(i != j for i, j in enumerate(given["order"]))
        cases = (*given["cases"], given["masked"])
        found = shuffling.shuffle_outcomes(given["seed"], given["order"], cases)
        expected = {"kv": "same", "q": "shuffled", "qkv": "shuffled"}
        outcomes = [expected.get(case, "different") for case in given["cases"]] + ["different"]
        assert list(found.values()) == outcomes


def test_lengths_double_and_stay_short():
    for given in drawn(cache_timing):
        lengths = given["lengths"]
        assert [b / a for a, b in itertools.pairwise(lengths)] == [2, 2, 2]
        assert max(lengths) <= 500


@pytest.mark.parametrize("n", [14, 16, 18, 20, 22, 24])
def test_a_coin_reaches_the_bound_in_fewer_than_5_of_100_trials(n):
    tails = np.cumsum([math.comb(n, k) for k in range(n, -1, -1)])[::-1] / 2**n
    needed = find_a_head.bound(n)
    assert tails[needed] < 0.05 <= tails[needed - 1]
    assert find_a_head.by_chance(n, needed) == pytest.approx(tails[needed])
    assert find_a_head.exercise(n).values["needed"] == needed


# -- structure: what a solution from the page is worth -------------------------------------------

MANY = [pytest.param(40), pytest.param(200, marks=pytest.mark.release)]
CODED = [(setup, master) for setup, master in MASTERS if master.variant().kind == "code"]


def structure(exercise):
    """Return what is asked for, without numbers."""
    return re.sub(r"\d+(\.\d+)?", "", exercise.solution)


@each(CODED)
def test_a_coded_exercise_comes_in_eight_structures_or_more(setup, master):
    """Another order of axes, another meaning of a mask, one more output; not numbers alone."""
    assert len({structure(exercise) for exercise in master.variants(200)}) >= 8


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("seeds", MANY)
@each(MASTERS)
def test_the_page_s_solution_passes_one_variant_in_eight_at_most(setup, master, seeds):
    answer = run(setup, master.variant().solution)
    drawn = (master.variant(seed) for seed in range(seeds))
    passed = [variant for variant in drawn if not variant.failures(answer)]
    assert len(passed) <= seeds / 8


@pytest.mark.usefixtures("quick")
@each(CODED)
def test_every_structure_can_be_solved_and_gotten_wrong(setup, master):
    """The solution passes, each wrong answer fails with words of a check, the starter fails."""
    variants = {structure(exercise): exercise for exercise in master.variants(40)}
    for exercise in variants.values():
        assert exercise.failures(run(setup, exercise.solution)) == []
        checks = len(exercise.visible) + len(exercise.hidden)
        assert len(exercise.failures(run(setup, exercise.starter))) == checks
        for mistake, code in exercise.wrong_answers.items():
            found = exercise.failures(run(setup, code))
            assert [w for w in found if not w.startswith("The answer could not")], mistake


def test_twists_stand_around_an_answer_in_order():
    rows = twists.Twist("Rows are columns.", {"f": ("x = x.T", "result = result.T")}, {"x": "x.T"})
    more = twists.Twist("And the sum.", {"f": ("", "result = result, result.sum()")})
    code = twists.wrapped("def f(x):\n    return 2 * x\n\ng = f", {"f": "x"}, [more, rows])
    names = run("import numpy as np", code)
    out, total = names["f"](np.arange(6.0).reshape(2, 3))
    assert out.shape == (2, 3)
    assert total == 30
    assert names["g"](1) == 2, "what the answer itself calls is the plain function"
    assert twists.asked("What?\n", [more, rows]) == "What?\n\nAnd the sum.\n\nRows are columns."
    assert twists.begun("def f(x): ...", [rows]) == "def f(x.T): ..."
    assert twists.wrapped("y = 1", {"f": "x"}, []) == "y = 1"


def test_the_page_s_own_structure_is_hardly_ever_drawn():
    drawn = [twists.drawn(random.Random(seed), "abc") for seed in range(2000)]
    assert set(drawn) >= {("a", "b", "c"), ("b",), ()}
    assert drawn.count(()) < 2000 / 40
