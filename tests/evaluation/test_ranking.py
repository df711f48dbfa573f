"""Rankings and correlations: equal to scikit-learn and scipy, and to all orders that ties allow."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from companion import evaluation
from companion.reference import evaluation as twin
from tests.evaluation.support import equal_but_nan, quiet
from tests.plugins.shapes import unchecked
from tests.support import shapes_vary
from tests.verification import agree


@st.composite
def queries(draw, most=2):
    """Draw relevance and scores (Q, D), with ties."""
    shape = draw(st.integers(1, 3)), draw(st.integers(2, 5))
    n = shape[0] * shape[1]
    grid = [st.lists(st.integers(0, high), min_size=n, max_size=n) for high in (most, 3)]
    return [np.array(draw(numbers), dtype=float).reshape(shape) for numbers in grid]


@shapes_vary
@given(rows=queries(), k=st.integers(1, 5))
def test_ndcg(rows, k):
    k = min(k, rows[0].shape[1])
    value = evaluation.ndcg(*rows, k=k)
    agree("ndcg", "scikit-learn", value, metrics.ndcg_score(*rows, k=k))
    agree("ndcg, all ranks", "scikit-learn", evaluation.ndcg(*rows), metrics.ndcg_score(*rows))
    by_orders = [twin.mean_over_ties("ndcg", *row, k) for row in zip(*rows, strict=True)]
    agree("ndcg", "NumPy twin", value, np.mean(by_orders))
    agree("twin: mean_over_ties, ndcg", "scikit-learn", np.mean(by_orders), value)


@shapes_vary
@given(rows=queries(1), k=st.integers(1, 5))
def test_reciprocal_ranks_and_recall_are_means_over_the_orders_of_ties(rows, k):
    k = min(k, rows[0].shape[1])
    value = evaluation.mean_reciprocal_rank(*rows)
    by_orders = [
        twin.mean_over_ties("mean_reciprocal_rank", *row) for row in zip(*rows, strict=True)
    ]
    agree("mean_reciprocal_rank", "NumPy twin", value, np.mean(by_orders))
    value = evaluation.recall_at_k(*rows, k)
    by_orders = [twin.mean_over_ties("recall", *row, k) for row in zip(*rows, strict=True)]
    agree("recall_at_k", "NumPy twin", value, np.mean(by_orders))


@pytest.mark.parametrize("seed", range(5))
def test_with_one_relevant_document_and_no_ties_they_are_scikit_learn_s(seed):
    rng = np.random.default_rng(seed)
    scores, right = rng.normal(size=(30, 7)), rng.integers(0, 7, 30)
    relevant = np.eye(7)[right]
    value = evaluation.mean_reciprocal_rank(relevant, scores)
    theirs = metrics.label_ranking_average_precision_score(relevant, scores)
    agree("mean_reciprocal_rank, one relevant document", "scikit-learn", value, theirs)
    for k in (1, 3, 7):
        theirs = quiet(metrics.top_k_accuracy_score, right, scores, k=k, labels=range(7))
        value = evaluation.recall_at_k(relevant, scores, k)
        agree("recall_at_k, one relevant document", "scikit-learn", value, theirs)


def test_a_model_that_gives_all_the_same_score_gets_what_chance_gives():
    first, last = [[1, 0, 0, 0]], [[0, 0, 0, 1]]
    for measure in (
        evaluation.ndcg,
        evaluation.mean_reciprocal_rank,
        lambda true, score: evaluation.recall_at_k(true, score, 1),
    ):
        assert measure(first, np.zeros((1, 4))) == measure(last, np.zeros((1, 4))) < 0.7
    assert evaluation.recall_at_k(first, np.zeros((1, 4)), 1) == 1 / 4


def test_a_query_without_a_relevant_document_counts_as_0():
    true, score = [[0, 0], [1, 0]], [[2, 1], [2, 1]]
    assert evaluation.ndcg(true, score) == evaluation.mean_reciprocal_rank(true, score) == 0.5
    assert evaluation.recall_at_k(true, torch.tensor(score), 1) == 0.5


# -- correlation ---------------------------------------------------------------------------------

few = st.lists(st.integers(0, 4), min_size=2, max_size=12)


@shapes_vary
@given(x=few, seed=st.integers(0, 99))
def test_correlations_with_ties(x, seed):
    y = np.random.default_rng(seed).integers(0, 4, len(x)) + np.array(x) / 2
    agree("ranks", "scipy.stats", evaluation.ranks(x), stats.rankdata(x))
    for ours, theirs in (
        (evaluation.pearson, stats.pearsonr),
        (evaluation.spearman, stats.spearmanr),
    ):
        expected = quiet(theirs, x, y).statistic
        agree(ours.__name__, "scipy.stats", *equal_but_nan(ours(x, y), expected))


@pytest.mark.parametrize("scale", [1e-200, 1e-8, 1.0, 1e200])
def test_numbers_of_any_size_are_correlated(scale):
    x, y = np.random.default_rng(0).normal(size=(2, 20))
    expected = stats.pearsonr(x, y).statistic
    agree(
        "pearson, very small and very large numbers",
        "itself",
        evaluation.pearson(scale * x, y),
        expected,
    )


def test_without_ties_spearman_is_the_formula():
    x, y = np.array([3, 1, 4, 1.5, 9]), np.array([2, 7, 1, 8, 2.5])
    d, n = stats.rankdata(x) - stats.rankdata(y), 5
    formula = 1 - 6 * (d**2).sum() / (n * (n**2 - 1))
    agree("spearman", "by hand", evaluation.spearman(x, y), formula)


def test_constant_numbers_have_no_correlation():
    assert math.isnan(evaluation.pearson([0.1, 0.1, 0.1], [1, 2, 3]))
    assert math.isnan(evaluation.spearman([1, 2, 3], [5, 5, 5]))
    assert evaluation.spearman([1, 2, 3], [1, 10, 100]) == pytest.approx(1)
    assert evaluation.pearson([1, 2, 3], [1, 10, 100]) < 0.95


GOOD = [[1, 0]]
REFUSED = [
    ("y_true and y_score must have the same shape", lambda: evaluation.ndcg(GOOD, [[1, 2, 3]])),
    ("y_true must be a relevance of at least 0, got -1", lambda: evaluation.ndcg([[-1, 0]], GOOD)),
    (r"y_true must have 2 dimension\(s\)", lambda: evaluation.mean_reciprocal_rank([1, 0], GOOD)),
    ("y_score must not be NaN", lambda: evaluation.ndcg(GOOD, [[1, math.nan]])),
    ("y_score must have rows of the same", lambda: evaluation.ndcg(GOOD, [[1, 2], [3]])),
    ("k must be at most 2, got 3", lambda: evaluation.recall_at_k(GOOD, GOOD, 3)),
    ("k must be at least 1, got 0", lambda: evaluation.ndcg(GOOD, GOOD, k=0)),
    (
        "x and y must have the same length, got 2 and 3",
        lambda: evaluation.pearson([1, 2], [1, 2, 3]),
    ),
    (
        "x and y must have the same length, got 2 and 3",
        lambda: evaluation.spearman([1, 2], [1, 2, 3]),
    ),
    ("x and y must be at least two numbers", lambda: evaluation.spearman([1], [2])),
    ("y must not be NaN, got one at 0", lambda: evaluation.pearson([1, 2], [math.nan, 2])),
    ("x must not be empty", lambda: evaluation.ranks([])),
]


@pytest.mark.parametrize(("message", "call"), REFUSED)
def test_wrong_rows_are_refused(message, call):
    with unchecked(), pytest.raises(ValueError, match=message):
        call()
