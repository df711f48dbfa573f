"""Intervals, tests and what is counted: equal to scipy, to every enumeration, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from companion import evaluation
from companion.reference import evaluation as twin
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import agree, same

P_VALUES = st.lists(
    st.sampled_from([0.0, 0.001, 0.01, 0.02, 0.04, 0.2, 0.5, 1.0]), min_size=1, max_size=6
)
Z = stats.norm.ppf(0.975)


def rng_of(seed):
    return np.random.default_rng(seed)


# -- the bootstrap -------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
@pytest.mark.parametrize("statistic", [np.mean, np.std, np.median])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_intervals_are_scipy_s_to_the_resample(method, theirs, statistic, confidence):
    rows = rng_of(0).exponential(size=23)
    settings = {"n_resamples": 300}
    ours = evaluation.bootstrap_interval(
        rows, statistic, confidence=confidence, method=method, seed=5, **settings
    )
    expected = stats.bootstrap(
        (rows,), statistic, confidence_level=confidence, method=theirs, rng=rng_of(5), **settings
    ).confidence_interval
    agree(f"bootstrap_interval, {method}", "scipy.stats", [ours.low, ours.high], expected)
    agree("Interval, estimate", "numpy", ours.estimate, statistic(rows))


@pytest.mark.parametrize(("method", "theirs"), [("bca", "BCa"), ("percentile", "percentile")])
def test_differences_are_resampled_with_both_models(method, theirs):
    a, b = rng_of(1).integers(0, 2, (2, 40))
    ours = evaluation.bootstrap_difference(a, b, method=method, n_resamples=300, seed=5)
    expected = stats.bootstrap(
        (a, b),
        lambda x, y, axis=-1: np.mean(x, axis=axis) - np.mean(y, axis=axis),
        paired=True,
        method=theirs,
        n_resamples=300,
        rng=rng_of(5),
    ).confidence_interval
    agree(f"bootstrap_difference, {method}", "scipy.stats", [ours.low, ours.high], expected)
    by_rows = evaluation.bootstrap_interval(a - b, method=method, n_resamples=300, seed=5)
    agree("bootstrap_difference", "the interval of the differences", ours, by_rows)


def test_a_paired_difference_is_narrower_than_two_intervals():
    rng = rng_of(2)
    hard = rng.random(200)
    a, b = (hard < 0.7), (hard < 0.6)  # the same items are hard for both
    paired = evaluation.bootstrap_difference(a, b, n_resamples=500)
    one, other = (evaluation.bootstrap_interval(x, n_resamples=500) for x in (a, b))
    assert paired.low > 0
    assert one.low < other.high  # apart, they overlap


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_intervals_hold_what_they_promise(method):
    """Of 200 samples, about 90 % have an interval that holds the true mean."""
    held = 0
    for seed in range(200):
        rows = rng_of(seed).random(40)
        interval = evaluation.bootstrap_interval(
            rows, method=method, confidence=0.9, n_resamples=199, seed=seed
        )
        held += interval.low <= 0.5 <= interval.high
    assert 166 <= held <= 192  # 4 standard deviations around 180, a little lower: n is small


def test_rows_may_be_pairs_of_label_and_prediction():
    true, pred = rng_of(3).integers(0, 2, (2, 50))
    rows = np.stack([true, pred], axis=1)
    interval = evaluation.bootstrap_interval(
        rows, lambda some: evaluation.f1(some[:, 0], some[:, 1]), n_resamples=100
    )
    assert interval.estimate == evaluation.f1(true, pred)
    assert interval.low < interval.estimate < interval.high
    words = [["a", "a"], ["a", "b"], ["b", "b"]]
    of_words = evaluation.bootstrap_interval(
        words, lambda some: evaluation.accuracy(some[:, 0], some[:, 1]), n_resamples=50
    )
    assert of_words.estimate == 2 / 3
    assert evaluation.bootstrap_interval(torch.ones(4), n_resamples=9) == (1, 1, 1)


def test_the_same_seed_gives_the_same_interval():
    rows = rng_of(0).random(30)
    first, second, other = (
        evaluation.bootstrap_interval(rows, n_resamples=99, seed=seed) for seed in (1, 1, 2)
    )
    assert first == second != other


# -- tests of significance -----------------------------------------------------------------------


@shapes_vary
@given(only_a=st.integers(0, 30), only_b=st.integers(0, 30), both=st.integers(0, 3))
def test_mcnemar(only_a, only_b, both):
    a = [1] * only_a + [0] * only_b + [1] * (both + 1)
    b = [0] * only_a + [1] * only_b + [1] * (both + 1)
    n = only_a + only_b
    ours = evaluation.mcnemar(a, b)
    expected = stats.binomtest(only_a, n, 0.5).pvalue if n else 1.0
    agree("mcnemar", "scipy.stats", ours.p_value, expected)
    same("Significance, statistic", "by hand", ours.statistic, min(only_a, only_b))
    for correction in (False, True):
        ours = evaluation.mcnemar(a, b, exact=False, correction=correction)
        if n:
            chi = max(abs(only_a - only_b) - correction, 0) ** 2 / n
            agree("mcnemar, chi-square", "scipy.stats", ours, (chi, stats.chi2.sf(chi, 1)))
        else:
            assert ours == (0, 1)


def test_mcnemar_of_published_counts():
    """Presidential approval (Agresti 1990, page 350), as in R's help of mcnemar.test."""
    a, b = [1] * 150 + [0] * 86, [0] * 150 + [1] * 86
    ours = evaluation.mcnemar(a, b, exact=False)
    agree("mcnemar, chi-square", "R's mcnemar.test, published", round(ours.statistic, 2), 16.82)
    ours = evaluation.mcnemar(a, b, exact=False, correction=False)
    agree("mcnemar, chi-square", "Agresti, published", round(ours.statistic, 2), 17.36)


def test_tests_of_ten_thousand_items_stay_exact():
    p = evaluation.mcnemar([1] * 5200 + [0] * 4800, [0] * 5200 + [1] * 4800).p_value
    agree("mcnemar", "scipy.stats", p, stats.binomtest(4800, 10_000, 0.5).pvalue)


def difference(a, b, axis=-1):
    return np.mean(a, axis=axis) - np.mean(b, axis=axis)


@shapes_vary
@given(seed=seeds, n=st.integers(2, 7))
def test_all_exchanges_of_pairs(seed, n):
    a, b = rng_of(seed).integers(0, 4, (2, n)).astype(float)
    ours = evaluation.paired_permutation_test(a, b)
    theirs = stats.permutation_test((a, b), difference, permutation_type="samples")
    agree("paired_permutation_test", "scipy.stats", ours, (theirs.statistic, theirs.pvalue))
    agree("mean_difference", "scipy.stats", evaluation.mean_difference(a, b), theirs.statistic)


@shapes_vary
@given(seed=seeds, n=st.integers(2, 5), m=st.integers(2, 6))
def test_all_deals_of_two_groups(seed, n, m):
    rng = rng_of(seed)
    a, b = rng.integers(0, 4, n).astype(float), rng.integers(0, 4, m).astype(float)
    ours = evaluation.permutation_test(a, b)
    theirs = stats.permutation_test((a, b), difference)
    agree("permutation_test", "scipy.stats", ours, (theirs.statistic, theirs.pvalue))


def test_some_exchanges_estimate_what_all_would_give():
    a, b = rng_of(4).normal(size=(2, 10))
    a = a + 0.8
    exact = evaluation.paired_permutation_test(a, b).p_value
    some = evaluation.paired_permutation_test(a, b, n_resamples=1000).p_value
    agree("paired_permutation_test, at random", "all exchanges", some, exact, 0.07, limit="1/√n")
    exact = evaluation.permutation_test(a[:6], b[:6]).p_value
    some = evaluation.permutation_test(a[:6], b[:6], n_resamples=900).p_value
    agree("permutation_test, at random", "all deals", some, exact, 0.07, limit="1/√n")
    p = evaluation.paired_permutation_test([1.0] * 30, [0.0] * 30, n_resamples=99).p_value
    assert p == 2 / 100  # never 0: the data are one of the exchanges, on one of two sides


def test_a_permutation_test_of_f1_exchanges_predictions():
    true, a, b = rng_of(5).integers(0, 2, (3, 8))
    ours = evaluation.paired_permutation_test(
        a,
        b,
        lambda x, y: (
            evaluation.f1(true, x, zero_division=0) - evaluation.f1(true, y, zero_division=0)
        ),
    )
    assert ours.statistic == evaluation.f1(true, a) - evaluation.f1(true, b)
    words = [np.where(x, "yes", "no") for x in (true, a, b)]
    other = evaluation.paired_permutation_test(
        words[1],
        words[2],
        lambda x, y: evaluation.accuracy(words[0], x) - evaluation.accuracy(words[0], y),
    )
    assert 0 < other.p_value <= 1


@pytest.mark.parametrize("test", ["paired", "unpaired"])
def test_models_that_are_alike_differ_significantly_as_often_as_promised(test):
    alarms = 0
    for seed in range(300):
        a, b = rng_of(seed).normal(size=(2, 7))
        if test == "paired":
            p = evaluation.paired_permutation_test(a, b, n_resamples=128).p_value
        else:
            p = evaluation.permutation_test(a, b, n_resamples=49, seed=seed).p_value
        alarms += p <= 0.1
    assert alarms <= 30 + 4 * math.sqrt(27)
    assert alarms >= 14


# -- many comparisons ----------------------------------------------------------------------------


@shapes_vary
@given(p=P_VALUES)
def test_adjusted_p_values(p):
    agree(
        "benjamini_hochberg",
        "scipy.stats",
        evaluation.benjamini_hochberg(p),
        stats.false_discovery_control(p),
    )
    agree("holm", "NumPy twin", evaluation.holm(p), twin.holm(p))
    by_hand = [min(1, len(p) * each) for each in p]
    agree("bonferroni", "by hand", evaluation.bonferroni(p), by_hand)
    assert (evaluation.benjamini_hochberg(p) <= evaluation.holm(p)).all()
    assert (evaluation.holm(p) <= evaluation.bonferroni(p)).all()


def test_adjusted_p_values_of_published_comparisons():
    """Fifteen p-values (Benjamini and Hochberg 1995, section 4): 3 by Bonferroni, 4 by theirs."""
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    p += [0.4262, 0.5719, 0.6528, 0.7590, 1.0000]
    found = [
        (adjust(p) <= 0.05).sum()
        for adjust in (evaluation.bonferroni, evaluation.benjamini_hochberg)
    ]
    same("benjamini_hochberg", "its paper", found, [3, 4])
    agree("twin: holm", "by hand", twin.holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])


# -- attempts, judged pairs ----------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            ours = evaluation.pass_at_k(n, c, k)
            agree("pass_at_k", "NumPy twin", ours, twin.pass_at_k(n, c, k))
            agree("twin: pass_at_k", "scipy.stats", ours, 1 - stats.hypergeom.pmf(0, n, c, k))


def test_pass_at_k_is_right_on_average_and_for_many_answers():
    """The mean over draws is what k answers give; the naive estimate is smaller."""
    p, n, k = 0.3, 6, 3
    counts = np.arange(n + 1)
    weights = stats.binom.pmf(counts, n, p)
    estimates = [evaluation.pass_at_k(n, c, k) for c in counts.tolist()]
    agree("pass_at_k", "its expectation", weights @ estimates, 1 - (1 - p) ** k)
    assert weights @ (1 - (1 - counts / n) ** k) < 1 - (1 - p) ** k - 0.02
    assert evaluation.pass_at_k(10_000, 1, 5_000) == 0.5


@shapes_vary
@given(seed=seeds, m=st.integers(2, 5))
def test_bradley_terry(seed, m):
    wins = rng_of(seed).integers(1, 9, (m, m)) / 2.0  # draws are halves
    np.fill_diagonal(wins, 0)
    ours = evaluation.bradley_terry(wins)
    expected = twin.bradley_terry(wins, 400)
    agree("bradley_terry", "NumPy twin", ours, expected)
    games = wins + wins.T
    chances = 1 / (1 + np.exp(expected[None] - expected[:, None]))
    agree("twin: bradley_terry", "wins that are expected", (games * chances).sum(1), wins.sum(1))


def test_bradley_terry_is_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    wins = np.array([[0, 7, 9], [3, 0, 6], [2, 4, 0]])
    pairs = [(i, j) for i in range(3) for j in range(3) if i != j]
    x = np.array([np.eye(3)[i] - np.eye(3)[j] for i, j in pairs for _ in range(wins[i, j])])
    x, y = np.concatenate([x, -x]), [1] * len(x) + [0] * len(x)
    fit = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000).fit(x, y)
    expected = fit.coef_[0] - fit.coef_[0].mean()
    agree(
        "bradley_terry",
        "scikit-learn",
        evaluation.bradley_terry(wins),
        expected,
        1e-6,
        limit="its optimiser",
    )


@pytest.mark.parametrize("wins", [[[0, 1e6], [1, 0]], [[0, 99, 1], [1, 0, 99], [0.001, 1, 0]]])
def test_strengths_may_be_far_apart(wins):
    wins = np.array(wins, dtype=float)
    theta = evaluation.bradley_terry(wins)
    chances = 1 / (1 + np.exp(theta[None] - theta[:, None]))
    games = wins + wins.T
    agree(
        "bradley_terry",
        "wins that are expected",
        (games * chances).sum(1) / games.sum(),
        wins.sum(1) / games.sum(),
    )


def test_elo():
    games = [("a", "b", 1), ("b", "c", 0.5), ("a", "c", 0)]
    a, b, c = 1000 + 16, 1000 - 16, 1000.0
    gain = 32 * (0.5 - 1 / (1 + 10 ** ((c - b) / 400)))
    b, c = b + gain, c - gain
    gain = 32 * (0 - 1 / (1 + 10 ** ((c - a) / 400)))
    a, c = a + gain, c - gain
    ours = evaluation.elo_ratings(games)
    agree("elo_ratings", "by hand", [ours[player] for player in "abc"], [a, b, c])
    assert sum(ours.values()) == pytest.approx(3000)
    assert evaluation.elo_ratings(reversed(games)) != ours


def test_many_games_of_elo_come_near_bradley_terry():
    rng = rng_of(0)
    truth = np.array([0.5, 0.0, -0.5])
    wins, games = np.zeros((3, 3)), []
    for _ in range(4000):
        i, j = rng.permutation(3)[:2].tolist()
        won = rng.random() < 1 / (1 + math.exp(truth[j] - truth[i]))
        games.append((i, j, float(won)))
        wins[(i, j) if won else (j, i)] += 1
    fitted = evaluation.bradley_terry(wins)
    agree("bradley_terry", "what games were drawn with", fitted, truth, 0.15, limit="1/√n")
    ratings = evaluation.elo_ratings(games, k=2.0)
    scaled = evaluation.elo_scale(fitted)
    agree(
        "elo_scale",
        "Elo's ratings after many games",
        [ratings[i] / 1000 for i in range(3)],
        scaled / 1000,
        0.03,
        limit="1/√n",
    )


# -- power ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p1", "p2"), [(0.3, 0.6), (0.5, 0.75), (0.85, 0.6)])
@pytest.mark.parametrize("n", [20, 50])
def test_power_of_unpaired_shares(p1, p2, n):
    ours = evaluation.power_unpaired(p1, p2, n)
    exact = twin.power_unpaired(p1, p2, n, Z)
    agree("power_unpaired", "NumPy twin", ours, exact, 0.06, limit="1/√n")


@pytest.mark.parametrize(("only_a", "only_b"), [(0.3, 0.1), (0.15, 0.05), (0.1, 0.4)])
@pytest.mark.parametrize("n", [40, 80])
def test_power_of_paired_shares(only_a, only_b, n):
    ours = evaluation.power_paired(only_a, only_b, n)
    agree(
        "power_paired",
        "NumPy twin",
        ours,
        twin.power_paired(only_a, only_b, n, Z),
        0.06,
        limit="1/√n",
    )


def test_power_as_simulated():
    rng, n = rng_of(0), 60
    a, b = rng.binomial(n, 0.5, 4000), rng.binomial(n, 0.75, 4000)
    mean = (a + b) / (2 * n)
    simulated = np.mean(np.abs(a - b) / n >= Z * np.sqrt(2 * mean * (1 - mean) / n))
    agree(
        "twin: power_unpaired",
        "a simulation",
        twin.power_unpaired(0.5, 0.75, n, Z),
        simulated,
        0.03,
        limit="1/√n",
    )
    only_a, only_b, _ = rng.multinomial(n, [0.3, 0.1, 0.6], 4000).T
    simulated = np.mean((only_a - only_b) ** 2 >= Z**2 * (only_a + only_b))
    agree(
        "twin: power_paired",
        "a simulation",
        twin.power_paired(0.3, 0.1, n, Z),
        simulated,
        0.03,
        limit="1/√n",
    )


def test_published_sample_sizes():
    """The examples in R's help of power.prop.test."""
    agree(
        "power_unpaired",
        "R's power.prop.test, published",
        round(evaluation.power_unpaired(0.50, 0.75, 50), 3),
        0.740,
    )
    same(
        "sample_size_unpaired",
        "R's power.prop.test, published",
        evaluation.sample_size_unpaired(0.5, 0.75, power=0.9),
        77,
    )


@shapes_vary
@given(
    p1=st.sampled_from([0.1, 0.4, 0.5]),
    p2=st.sampled_from([0.3, 0.45, 0.9]),
    power=st.sampled_from([0.5, 0.8, 0.95]),
)
def test_the_sample_size_is_the_smallest_that_has_the_power(p1, p2, power):
    n = evaluation.sample_size_unpaired(p1, p2, power=power, alpha=0.01)
    smallest = evaluation.power_unpaired(p1, p2, n, alpha=0.01) >= power - 1e-9
    same("sample_size_unpaired", "power_unpaired", smallest, True)
    assert n == 1 or evaluation.power_unpaired(p1, p2, n - 1, alpha=0.01) < power
    n = evaluation.sample_size_paired(p1 / 4, p2 / 2, power=power)
    same(
        "sample_size_paired",
        "power_paired",
        evaluation.power_paired(p1 / 4, p2 / 2, n) >= power - 1e-9,
        True,
    )
    assert n == 1 or evaluation.power_paired(p1 / 4, p2 / 2, n - 1) < power


def test_models_that_never_disagree_the_other_way():
    assert evaluation.power_paired(1.0, 0.0, 3) == 0
    assert evaluation.power_paired(1.0, 0.0, 5) == 1
    assert evaluation.sample_size_paired(1.0, 0.0) == 4


# -- what is refused -----------------------------------------------------------------------------

interval, compare = evaluation.bootstrap_interval, evaluation.bootstrap_difference
paired, unpaired = evaluation.paired_permutation_test, evaluation.permutation_test
terry, elo = evaluation.bradley_terry, evaluation.elo_ratings
REFUSED = [
    (ValueError, "rows must be at least two, got one", lambda: interval([1])),
    (ValueError, "rows must not be empty", lambda: interval([])),
    (ValueError, "rows must not be NaN, got one in row 1", lambda: interval([1, math.nan])),
    (ValueError, "rows must have rows of the same length", lambda: interval([[1], [1, 2]])),
    (TypeError, "rows must be a list or an array, got int", lambda: interval(3)),
    (TypeError, "statistic must be a function", lambda: interval([1, 2], "mean")),
    (
        ValueError,
        "confidence must be above 0 and below 1, got 95",
        lambda: interval([1, 2], confidence=95),
    ),
    (ValueError, "method must be one of", lambda: interval([1, 2], method="normal")),
    (ValueError, "n_resamples must be at least 1", lambda: interval([1, 2], n_resamples=0)),
    (TypeError, "seed must be a whole number", lambda: interval([1, 2], seed="x")),
    (
        ValueError,
        "statistic must be a finite number for every resample, got 10 of 10",
        lambda: interval([1, 2], lambda rows: math.nan, n_resamples=9),
    ),
    (
        ValueError,
        "must have resamples on both sides",
        lambda: interval(
            [1, 2], lambda rows: float(rows.tolist() != [1, 2]), n_resamples=3, seed=4
        ),
    ),
    (
        ValueError,
        "a and b must have the same length, got 2 and 3",
        lambda: compare([1, 2], [1, 2, 3]),
    ),
    (
        ValueError,
        "a and b must have the same length, got 2 and 3",
        lambda: paired([1, 2], [1, 2, 3]),
    ),
    (
        ValueError,
        "statistic must be a finite number for every perm",
        lambda: paired([1], [2], lambda a, b: math.nan),
    ),
    (ValueError, "b must not be NaN", lambda: unpaired([1], [math.nan])),
    (ValueError, "b must not be empty", lambda: unpaired([1], [])),
    (ValueError, "a and b must have rows of one shape", lambda: unpaired([1], [[1]])),
    (ValueError, "correct_b must be 0 or 1, got 2", lambda: evaluation.mcnemar([1], [2])),
    (
        ValueError,
        "correct_a and correct_b must have the same",
        lambda: evaluation.mcnemar([1], [1, 0]),
    ),
    (TypeError, "exact must be True or False", lambda: evaluation.mcnemar([1], [1], exact="no")),
    (
        ValueError,
        "p_values must be probabilities from 0 to 1, got 1.2",
        lambda: evaluation.holm([0.5, 1.2]),
    ),
    (ValueError, "p_values must not be empty", lambda: evaluation.bonferroni([])),
    (ValueError, "p_values must not be NaN", lambda: evaluation.benjamini_hochberg([math.nan])),
    (ValueError, "c must be at most 5, got 6", lambda: evaluation.pass_at_k(5, 6, 1)),
    (ValueError, "k must be at most 5, got 6", lambda: evaluation.pass_at_k(5, 1, 6)),
    (ValueError, r"wins must be \(m, m\)", lambda: terry([[0, 1]])),
    (ValueError, "wins must be at least 0, and 0 on the diagonal", lambda: terry([[1, 1], [1, 0]])),
    (ValueError, "1 beat 0 neither directly nor", lambda: terry([[0, 3], [0, 0]])),
    (
        ValueError,
        "wins must link every player",
        lambda: terry(np.kron(np.eye(2), [[0, 1], [1, 0]])),
    ),
    (ValueError, "games must be of two players", lambda: elo([("a", "a", 1)])),
    (ValueError, "with a score from 0 to 1", lambda: elo([("a", "b", 2)])),
    (ValueError, "k must be above 0", lambda: elo([], k=0)),
    (ValueError, "p1 and p2 must differ", lambda: evaluation.power_unpaired(0.5, 0.5, 9)),
    (
        ValueError,
        "p2 must be above 0 and below 1, got 1.5",
        lambda: evaluation.sample_size_unpaired(0.5, 1.5),
    ),
    (
        ValueError,
        "only_a and only_b must differ and be at most 1",
        lambda: evaluation.power_paired(0.7, 0.6, 9),
    ),
    (ValueError, "only_b must be from 0 to 1", lambda: evaluation.sample_size_paired(0.5, -0.1)),
    (
        ValueError,
        "power must be above 0 and below 1",
        lambda: evaluation.sample_size_paired(0.2, 0.1, power=80),
    ),
    (
        ValueError,
        "alpha must be above 0 and below 1",
        lambda: evaluation.power_paired(0.2, 0.1, 9, alpha=5),
    ),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_wrong_calls_are_refused(kind, message, call):
    with unchecked(), pytest.raises(kind, match=message):
        call()
