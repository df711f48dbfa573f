"""The answers of the exercises of *Pretraining*, held against what must come out."""

import collections
import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit, minimize_scalar
from scipy.stats import ttest_rel

from companion import losses, models, training
from companion.training import rows
from exercises import pretraining as master
from exercises import run
from exercises.pretraining import (
    add_gradients,
    diagnose_run,
    extend_law,
    fill_gaps,
    gap_floor,
    go_on_reading,
    how_many,
    judge_change,
    ladder_by_hand,
    trust_by_hand,
)

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


@pytest.mark.parametrize("p", [(3, 4), (9, 10), (1, 5)])
@pytest.mark.parametrize("second", ["same", "other", "free"])
@pytest.mark.parametrize("longer", [False, True])
def test_the_ladder_is_that_of_all_pairs_of_sentences(p, second, longer):
    """Count tokens and pairs in two sentences that follow each other, in all cases."""
    share = p[0] / p[1]
    names = {"Mia": share, "Ben": 1 - share}
    tail = ["too", "."] if longer else ["."]
    allowed = {"same": lambda a, b: a == b, "other": lambda a, b: a != b, "free": lambda a, b: True}
    sentences = {
        (a, "likes", b, *tail): names[a] * (names[b] if second == "free" else 1)
        for a, b in itertools.product(names, repeat=2)
        if allowed[second](a, b)
    }
    n, pairs = 4 + longer, collections.Counter()
    for (one, p_one), (two, p_two) in itertools.product(sentences.items(), repeat=2):
        text = one + two
        for i in range(n):
            pairs[text[i], text[i + 1]] += p_one * p_two / n
    tokens = collections.Counter()
    for (token, _), value in pairs.items():
        tokens[token] += value

    def entropy(values):
        return -sum(v * math.log(v) for v in values if v)

    found = ladder_by_hand.rungs(share, second, n)
    assert found["uniform_loss"] == pytest.approx(math.log(len(tokens)))
    assert found["unigram_loss"] == pytest.approx(entropy(tokens.values()))
    assert found["bigram_loss"] == pytest.approx(entropy(pairs.values()) - entropy(tokens.values()))
    assert found["lowest_loss"] == pytest.approx(entropy(sentences.values()) / n)


def test_a_run_goes_on_with_the_batches_of_the_package():
    found = run(master.SETUP, go_on_reading.exercise().solution)["batches_to_come"]
    epochs = training.Epochs(torch.arange(17), 5, seed=3)
    assert found(17, 5, 3, 2, 11) == [epochs(i).tolist() for i in range(2, 11)]


def test_three_processes_read_what_the_package_cuts(monkeypatch):
    found = run(master.SETUP, go_on_reading.exercise(twists=("process",)).solution)
    epochs = training.Epochs(torch.arange(16), 8, seed=3)
    monkeypatch.setattr(rows, "world", lambda: (1, 3))
    expected = [rows.shard(epochs(i)).tolist() for i in range(1, 5)]
    assert found["batches_to_come"](16, 8, 3, 1, 5) == expected


def test_gradients_of_parts_are_those_of_a_gpt_s_whole_batch():
    """As on the page, with texts of many lengths; the mean over targets is the package's own."""
    torch.manual_seed(0)
    gpt = models.GPT(models.GPTConfig(20, 8, d_model=8, n_layers=1, n_heads=2)).double()
    inputs, targets = torch.randint(20, (2, 5, 8))
    for row, count in enumerate((8, 1, 0, 3, 2)):
        targets[row, count:] = losses.IGNORE
    answer = run(master.SETUP, add_gradients.exercise("targets").solution)["add_gradients"]
    answer(gpt, [(inputs[i:j], targets[i:j]) for i, j in ((0, 1), (1, 4), (4, 5))])
    found = [p.grad.clone() for p in gpt.parameters()]
    gpt.zero_grad()
    losses.cross_entropy(gpt(inputs), targets).backward()
    for grad, p in zip(found, gpt.parameters(), strict=True):
        torch.testing.assert_close(grad, p.grad, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_law_is_fitted_as_by_scipy(seed):
    sizes, reached, runs, floor, target = extend_law.some_runs(seed, 0.12)

    def law(x, height, slope):
        return height + slope * x

    (height, slope), _ = curve_fit(
        law, np.log(sizes), np.log(reached - floor), sigma=1 / np.sqrt(runs)
    )
    loss, factor = extend_law.extended(sizes, reached, floor, runs, target, "loss")
    assert loss == pytest.approx(floor + math.exp(law(math.log(target), height, slope)), rel=1e-5)
    assert factor == pytest.approx(2 ** (-1 / slope), rel=1e-4)
    best = minimize_scalar(
        lambda h: extend_law.line_of(sizes, reached, h, runs)[2],
        bounds=(0, min(reached) - 1e-9),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert extend_law.best_floor(sizes, reached, runs) == pytest.approx(best.x, abs=1e-5)


@pytest.mark.parametrize("fault", [*diagnose_run.FAULTS, *diagnose_run.MORE])
def test_the_fault_shows_in_every_toy_run(fault):
    """By the rules of the solution; in as many runs again as a check looks at."""
    more = tuple(diagnose_run.MORE)
    answer = run(master.SETUP, diagnose_run.exercise(more).solution)["diagnose_run"]
    found = [answer(*diagnose_run.toy_run(fault, seed)) for seed in range(2000, 2010)]
    assert found == [fault] * 10


def test_a_healthy_toy_run_ends_near_its_floor():
    history, marks = diagnose_run.toy_run("healthy", 7)
    assert history["loss"][0] == pytest.approx(marks["uniform"])
    assert marks["floor"] - 0.02 < history["held_out"][-1] < marks["floor"] + 0.15
    assert marks["floor"] + 0.3 < marks["unigram"] < marks["uniform"]


@pytest.mark.parametrize("logs", [False, True])
@pytest.mark.parametrize("lasting", [False, True])
def test_a_change_is_judged_as_by_scipy(logs, lasting):
    form = {**judge_change.PAGE, "logs": logs, "lasting": lasting}
    before, after, times = judge_change.some_runs(3, form, 0.3)
    answer = run(master.SETUP, judge_change.exercise(**form).solution)["judge_change"]
    speedup, t = answer(before, after, 2.0)
    old, new = np.log(times.T) if logs else times.T
    assert t == pytest.approx(ttest_rel(old, new).statistic)
    expected = math.exp((old - new).mean()) if logs else old.mean() / new.mean()
    assert speedup == pytest.approx(expected)
    for one, time in zip(before, times[:, 0], strict=True):
        seconds, losses_of_run = np.array(one).T
        assert losses_of_run[seconds < time].min() > 2 or lasting
        assert losses_of_run[seconds >= time].max() <= 2 or not lasting
