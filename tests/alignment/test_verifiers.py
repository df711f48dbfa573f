"""Answers that can be checked, and choosing among several: by hand and over all rows of draws."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from companion.alignment import (
    FaultyVerifier,
    NoisyVerifier,
    best_of_n,
    best_of_n_kl_bound,
    best_of_n_policy,
    frontier,
    majority_vote,
    trade_off,
    verify_task,
    vote_accuracy,
    world_outcomes,
)
from companion.evaluation import pass_at_k
from companion.finetuning import world_tasks
from companion.reference import alignment as twin
from companion.tinyworld import TinyWorld, grammar
from tests.plugins import shapes
from tests.support import normal, seeds, shapes_vary
from tests.verification import agree, same

TASK = {"instruction": "How many sentences has the story?", "input": "A story.", "output": "4"}
TELL = {
    "instruction": "Tell a story about Anna at the lake.",
    "input": "",
    "output": "One day Anna went to the lake. It began to rain. In the end Anna felt sad.",
}


# -- verifiers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["ask", "count", "translate", "tell"])
def test_right_answers_are_right(kind, language):
    tasks, _ = world_tasks(30, 1, kinds=[kind], language=language)
    given = [verify_task(task, f" {task['output']}\n") for task in tasks]
    same(f"verify_task, {kind}", "world_tasks", given, [1.0] * 30)
    others = [verify_task(a, b["output"]) for a, b in itertools.pairwise(tasks)]
    equal = [float(a["output"] == b["output"]) for a, b in itertools.pairwise(tasks)]
    if kind != "tell":
        same(f"verify_task, {kind}, other answers", "by hand", others, equal)


STORIES = [
    (TELL["output"], 1.0),
    ("One day Anna went to the lake. She took a nap. In the end Anna felt happy.", 1.0),
    ("One day Anna went to the lake. He took a nap. In the end Anna felt happy.", 0.0),
    ("One day Anna went to the lake. She took a nap. In the end Anna felt", 0.0),
    ("One day Anna went to the river. She took a nap. In the end Anna felt happy.", 0.0),
    ("", 0.0),
]


def test_any_story_of_the_kind_is_right():
    given = [verify_task(TELL, text) for text, _ in STORIES]
    same("verify_task, stories", "by hand", given, [right for _, right in STORIES])
    other = grammar.write(grammar.read(TELL["output"]), "zh")
    same("verify_task, the other language", "by hand", verify_task(TELL, other), 0.0)


def rates(verifier, n=4000):
    """Return how often wrong answers pass, and right ones are refused."""
    tasks = [TASK | {"input": f"Story {i}."} for i in range(n)]
    wrong = statistics.fmean(verifier(task, "5") for task in tasks)
    return wrong, 1 - statistics.fmean(verifier(task, "4") for task in tasks)


@pytest.mark.parametrize("kind", [FaultyVerifier, NoisyVerifier])
def test_mistakes_are_as_frequent_as_said(kind):
    options = {"tolerance": 0.03, "limit": "1/√n"}
    for shares in ((0.3, 0.1), (0.0, 0.5), (1.0, 0.0)):
        agree(kind.__name__, "4,000 answers", rates(kind(*shares, seed=1)), shares, **options)
    same(f"{kind.__name__}, without faults", "verify_task", rates(kind(), 50), (0.0, 0.0))


def test_one_stays_with_what_it_said_and_one_does_not():
    answers = [str(i) for i in range(200)]
    faulty, noisy = FaultyVerifier(0.5, seed=2), NoisyVerifier(0.5, seed=2)
    first, second = ([faulty(TASK, a) for a in answers] for _ in range(2))
    same("FaultyVerifier, twice", "itself", first, second)
    same(
        "FaultyVerifier, the same seed",
        "another one",
        first,
        [FaultyVerifier(0.5, seed=2)(TASK, f" {a} ") for a in answers],
    )
    assert first != [FaultyVerifier(0.5, seed=3)(TASK, a) for a in answers]
    first, second = ([noisy(TASK, a) for a in answers] for _ in range(2))
    assert first != second
    again = NoisyVerifier(0.5, seed=2)
    same("NoisyVerifier, the same seed", "another one", [again(TASK, a) for a in answers], first)


def test_any_verifier_can_be_made_faulty():
    long = FaultyVerifier(0.0, 1.0, verify=lambda task, answer: float(len(answer) > 3))
    same(
        "FaultyVerifier, another verifier",
        "by hand",
        [long(TASK, "ab"), long(TASK, "abcd")],
        [0.0, 0.0],
    )
    assert repr(long) == "FaultyVerifier(false_positive=0.0, false_negative=1.0, seed=0)"


# -- votes ---------------------------------------------------------------------------------------


@shapes_vary
@given(answers=st.lists(st.sampled_from("abcd"), min_size=1, max_size=9))
def test_votes(answers):
    same("majority_vote", "statistics.mode", majority_vote(answers), statistics.mode(answers))


@pytest.mark.parametrize("p", [[0.6, 0.4], [0.4, 0.35, 0.25], [0.2, 0.8], [1.0], [0.5, 0.5, 0.0]])
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_how_often_a_vote_is_right(p, n):
    agree("vote_accuracy", "NumPy twin", np.float64(vote_accuracy(p, n)), twin.vote_accuracy(p, n))
    if len(p) == 2:
        more = stats.binom.sf(n // 2, n, p[0])
        half = stats.binom.pmf(n / 2, n, p[0]) / 2 if n % 2 == 0 else 0.0
        agree(
            "twin: vote_accuracy",
            "scipy.stats.binom",
            np.float64(twin.vote_accuracy(p, n)),
            more + half,
        )


def test_votes_make_the_likeliest_answer_sure():
    """Which helps where it is right, and hurts where it is not; one of n is right all the more."""
    right, wrong = (
        [vote_accuracy(p, n) for n in (1, 5, 25)] for p in ([0.4, 0.3, 0.3], [0.4, 0.6])
    )
    assert right == sorted(right)
    assert wrong == sorted(wrong)[::-1]
    assert pass_at_k(100, 40, 5) > 0.9 > wrong[1]


# -- the best of n -------------------------------------------------------------------------------


@shapes_vary
@given(k=st.integers(1, 4), n=st.integers(1, 4), seed=seeds)
def test_the_policy_over_all_draws(k, n, seed):
    log_probs = normal(k, seed=seed).log_softmax(dim=0)
    scores = (normal(k, seed=seed + 1) * 1.5).round()  # with equals
    found = best_of_n_policy(log_probs, scores, n).exp()
    p, s = log_probs.exp().numpy(), scores.numpy()
    agree("best_of_n_policy", "NumPy twin", found, twin.best_of_n_policy(p, s, n))
    values = np.unique(s)
    up_to = [p[s <= v].sum() ** n - p[s < v].sum() ** n for v in values]
    levels = [twin.best_of_n_policy(p, s, n)[s == v].sum() for v in values]
    agree("twin: best_of_n_policy", "distribution functions", levels, up_to)


def test_choosing_and_what_it_is_expected_to_bring():
    log_probs, scores = normal(5).log_softmax(dim=0), normal(5, seed=1)
    drawn = torch.multinomial(
        log_probs.exp(), 4 * 20_000, True, generator=torch.Generator().manual_seed(0)
    ).view(-1, 4)
    best = [best_of_n(row, scores[row].tolist()) for row in drawn]
    counts = np.bincount([int(i) for i in best], minlength=5) / len(best)
    found = best_of_n_policy(log_probs, scores, 4).exp()
    agree("best_of_n", "best_of_n_policy", counts, found, 0.015, limit="1/√n")


@shapes_vary
@given(k=st.integers(1, 6), n=st.integers(1, 40), seed=seeds)
def test_the_divergence_is_within_its_bound(k, n, seed):
    log_probs, scores = normal(k, seed=seed).log_softmax(dim=0), normal(k, seed=seed + 1)
    found = trade_off(best_of_n_policy(log_probs, scores, n), log_probs, scores)
    assert found.kl <= best_of_n_kl_bound(n) + 1e-12


def test_the_bound_is_reached_by_many_improbable_outcomes():
    many = torch.full((20_000,), -math.log(20_000), dtype=torch.float64)
    found = best_of_n_policy(many, torch.arange(20_000.0).double(), 8)
    kl = trade_off(found, many, many * 0).kl
    agree("best_of_n_kl_bound", "20,000 outcomes", best_of_n_kl_bound(8), kl, 1e-3, limit="1/n")
    q = np.arange(1, 100_001) / 100_000  # n u^(n−1) for u from 0 to 1
    density = 8 * q**7
    agree(
        "best_of_n_kl_bound",
        "its integral",
        best_of_n_kl_bound(8),
        np.mean(density * np.log(density)),
        1e-3,
        limit="1/n",
    )


def test_the_best_of_n_is_under_the_frontier_and_near_it():
    begun = "One day Anna went to the lake. She found a red ball. She met Lily. It began to rain. "
    found = world_outcomes(TinyWorld(), begun + "She sang a song. She took a nap.")
    for n in (2, 4, 16):
        policy = best_of_n_policy(found.log_probs, found.rewards, n)
        here = trade_off(policy, found.log_probs, found.rewards)
        points = frontier(found.log_probs, found.rewards, [0.02 * 1.05**i for i in range(200)])
        above = min((p for p in points if p.kl >= here.kl), key=lambda p: p.kl)
        assert here.reward <= above.reward
        assert here.reward > 0.97 * above.reward


def test_outcomes_that_never_occur():
    log_probs = torch.tensor([0.0, 0.5, 0.5, 0.0], dtype=torch.float64).log()
    scores = torch.tensor([-1.0, 0.0, 1.0, 9.0], dtype=torch.float64)
    found = best_of_n_policy(log_probs, scores, 2).exp()
    agree("best_of_n_policy, never", "by hand", found, [0.0, 0.25, 0.75, 0.0])
    one = best_of_n_policy(log_probs, scores, 1).exp()
    agree("best_of_n_policy, n 1", "one draw", one, log_probs.exp())


# -- wrong calls ---------------------------------------------------------------------------------

LOGS = torch.tensor([0.5, 0.5]).log()
WRONG = [
    (ValueError, "task must have", lambda: verify_task({"output": "4"}, "4")),
    (TypeError, "task must be a dict", lambda: verify_task("4", "4")),
    (TypeError, r"task\['output'\] must be a str", lambda: verify_task(TASK | {"output": 4}, "4")),
    (TypeError, "answer must be a str", lambda: verify_task(TASK, 4)),
    (ValueError, "false_positive must be from 0 to 1", lambda: FaultyVerifier(1.5)),
    (ValueError, "false_negative must be from 0 to 1", lambda: NoisyVerifier(0, -0.1)),
    (ValueError, "seed must be at least 0", lambda: FaultyVerifier(0, 0, -1)),
    (TypeError, "verify must be a function", lambda: FaultyVerifier(verify="exact")),
    (ValueError, "answers must hold at least one", lambda: majority_vote([])),
    (TypeError, "answers must have an order", lambda: majority_vote({"a", "b"})),
    (ValueError, r"probabilities must add up to 1, got 0\.9", lambda: vote_accuracy([0.5, 0.4], 3)),
    (ValueError, "each of probabilities must be from 0", lambda: vote_accuracy([1.5, -0.5], 3)),
    (ValueError, "n must be at least 1", lambda: vote_accuracy([1.0], 0)),
    (ValueError, "scores must be one for each of answers", lambda: best_of_n(["a"], [1, 2])),
    (ValueError, "scores must be one for each of answers", lambda: best_of_n([], [])),
    (ValueError, "scores must be numbers, got nan", lambda: best_of_n(["a"], [math.nan])),
    (TypeError, "each of scores must be a number", lambda: best_of_n(["a"], ["1"])),
    (ValueError, "add up to 1", lambda: best_of_n_policy(LOGS - 1, LOGS, 2)),
    (ValueError, "n must be at least 1", lambda: best_of_n_policy(LOGS, LOGS, 0)),
    (ValueError, "n must be at least 1", lambda: best_of_n_kl_bound(0)),
]


@pytest.mark.parametrize(("error", "message", "call"), WRONG)
def test_wrong_calls(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
