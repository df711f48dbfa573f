"""The answers of the exercises of *Evaluation*, held against other packages and the book's."""

import math
import random

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from companion import evaluation
from exercises import evaluation as master
from exercises import run
from exercises.evaluation import (
    confusion_by_hand,
    equal_groups,
    exchanged_names,
    more_negatives,
    name_spans,
    roc_points,
    same_resamples,
    three_points_ahead,
)
from tests.exercises.quick import plainly

pytestmark = pytest.mark.chapter("evaluation")


def drawn(module, seeds):
    return [{}, *(module.draw(random.Random(seed)) for seed in range(seeds))]


def solved(exercise):
    return run(master.SETUP, exercise.solution)


# -- by hand, and predicted ----------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(confusion_by_hand, 8), ids=str)
def test_a_confusion_matrix_gives_what_scikit_learn_computes(given):
    matrix = np.array(given.get("matrix", confusion_by_hand.PAGE))
    true, said = (np.repeat(index.ravel(), matrix.ravel()) for index in np.indices(matrix.shape))
    right = solved(confusion_by_hand.exercise(**given))
    theirs = sklearn.metrics.precision_recall_fscore_support(true, said)
    assert right["complaint_precision"] == pytest.approx(theirs[0][2], abs=1e-6)
    assert right["complaint_recall"] == pytest.approx(theirs[1][2], abs=1e-6)
    assert right["f1_of_classes"] == pytest.approx(theirs[2].tolist(), abs=1e-6)
    for average in ("macro", "micro"):
        f1 = sklearn.metrics.f1_score(true, said, average=average)
        assert right[f"{average}_f1"] == pytest.approx(f1, abs=1e-6)
    assert right["micro_f1"] == pytest.approx(np.diag(matrix).sum() / matrix.sum(), abs=1e-6)


@pytest.mark.parametrize("given", drawn(more_negatives, 8), ids=str)
def test_measures_where_a_class_is_rare_are_those_of_scikit_learn(given):
    page = {"positive": (0.9, 0.7, 0.4), "negative": (0.8, 0.5, 0.3, 0.2, 0.1), "times": 4}
    given = {**page, "threshold": 0.6, "copied": "negative", **given}
    weight = {1: 1.0, 0: 1.0}
    weight[1 if given["copied"] == "positive" else 0] = given["times"]
    s = np.array([*given["positive"], *given["negative"]])
    y = np.repeat([1, 0], [len(given["positive"]), len(given["negative"])])
    weights = np.array([weight[label] for label in y])
    said = s >= given["threshold"]
    right = solved(more_negatives.exercise(**given))
    theirs = {
        "a": sklearn.metrics.recall_score(y, said, sample_weight=weights),
        "b": sklearn.metrics.precision_score(y, said, sample_weight=weights),
        "c": 1 - sklearn.metrics.recall_score(y, said, pos_label=0, sample_weight=weights),
        "d": sklearn.metrics.roc_auc_score(y, s, sample_weight=weights),
        "e": sklearn.metrics.average_precision_score(y, s, sample_weight=weights),
    }
    assert right["measures_after"] == pytest.approx(theirs, abs=1e-6)
    before = more_negatives.measured(**{**given, "times": 1})
    same = [name for name in theirs if math.isclose(before[name], theirs[name], abs_tol=1e-9)]
    assert same == right["measures_that_stay"]


def test_precisions_on_the_page_are_those_of_which_the_mean_is_taken():
    for given in drawn(more_negatives, 8):
        values = more_negatives.exercise(**given).values
        precisions = list(map(float, values["precisions"].split(", ")))
        assert np.mean(precisions) == pytest.approx(float(values["e"]), abs=1e-3)


# -- curves, spans, calibration ------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_points_of_a_curve_are_those_of_scikit_learn_and_of_the_package(seed):
    rng = np.random.default_rng(seed)
    y, s = rng.permutation([0] * 17 + [1] * 13), rng.integers(0, 9, 30) / 8
    fpr, tpr = solved(roc_points.exercise())["roc_points"](y, s)
    for curve in (sklearn.metrics.roc_curve, evaluation.roc_curve):
        theirs = curve(y, s, drop_intermediate=False)
        np.testing.assert_allclose([fpr, tpr], theirs[:2], rtol=0, atol=1e-12)
    np.testing.assert_allclose([fpr, tpr], roc_points.counted_points(y, s), rtol=0, atol=1e-12)


def test_the_area_of_a_variant_is_that_of_scikit_learn():
    answer = solved(roc_points.exercise(twists=("area", "lower", "signs")))["roc_points"]
    rng = np.random.default_rng(3)
    y, s = rng.permutation([-1] * 17 + [1] * 13), rng.integers(0, 9, 30) / 8
    assert answer(y, s)[2] == pytest.approx(sklearn.metrics.roc_auc_score(y, -s))


@pytest.mark.parametrize("seed", range(10))
def test_names_are_scored_as_by_the_package(seed):
    true, found = name_spans.some_tags(seed)
    theirs = evaluation.span_scores(true, found, zero_division=0)
    assert solved(name_spans.exercise())["name_scores"](true, found) == pytest.approx(theirs)
    assert name_spans.scored(true, found, ()) == pytest.approx(theirs)


def test_tags_without_a_beginning_are_read_as_conll_does():
    """Worked out by hand: strictly there are two names, leniently four."""
    true = [["B-PER", "I-LOC", "I-LOC", "O", "I-PER", "B-PER"]]
    whole = {("PER", 0, 1), ("PER", 5, 6)}
    assert name_spans.names_of(true[0], ()) == whole
    more = whole | {("LOC", 1, 3), ("PER", 4, 5)}
    assert name_spans.names_of(true[0], ("lenient",)) == more
    lenient = solved(name_spans.exercise(twists=("lenient",)))["name_scores"]
    assert lenient(true, [["B-PER", "B-LOC", "I-LOC", "O", "B-PER", "B-PER"]]) == (1, 1, 1)


@pytest.mark.parametrize("seed", range(5))
def test_edges_of_equal_width_give_the_calibration_error_of_the_package(seed):
    p, right = equal_groups.some_rows(seed)
    gap = solved(equal_groups.exercise(grouped="edges"))["calibration_gap"]
    edges = np.linspace(0, 1, 11)
    theirs = evaluation.expected_calibration_error(
        np.where(right, 0, 1), np.stack([p, 1 - p], axis=1), labels=[0, 1]
    )
    assert gap(p, right, edges) == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_equal_size_are_the_quantiles_of_scikit_learn(seed):
    p, right = equal_groups.some_rows(seed)
    shares, means = sklearn.calibration.calibration_curve(right, p, n_bins=4, strategy="quantile")
    gap = solved(equal_groups.exercise())["calibration_gap"](p, right, 4)
    assert gap == pytest.approx(np.mean(np.abs(shares - means)))


# -- chance --------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", drawn(three_points_ahead, 8), ids=str)
def test_a_claim_is_judged_as_by_scipy_and_by_repeating_the_test(given):
    counts = given.get("counts", (296, 40, 28, 36))
    power, models = given.get("power", 80), given.get("models", 12)
    right = solved(three_points_ahead.exercise(**given))
    both, only_a, only_b, _ = counts
    n = sum(counts)
    p = scipy.stats.binomtest(only_a, only_a + only_b).pvalue
    assert right["p_of_gap"] == pytest.approx(p)
    low, high = right["gap_interval"]
    assert low < 0 < high
    a, b = np.array([1] * only_a + [0] * (n - only_a)), np.array([0] * (n - only_b) + [1] * only_b)
    error = (a - b).std() / math.sqrt(n)
    assert (high - low) / 2 == pytest.approx(1.96 * error)
    assert right["level_in_percent"] * models * (models - 1) / 2 == pytest.approx(5)
    rng = np.random.default_rng(0)
    m = right["questions_if_same"]
    a, b, _ = rng.multinomial(m, [only_a / n, only_b / n, 1 - (only_a + only_b) / n], 40_000).T
    assert np.mean(abs(a - b) / np.sqrt(a + b) > 1.96) == pytest.approx(power / 100, abs=0.015)
    m = right["questions_if_different"]
    a, b = (rng.binomial(m, (both + k) / n, 40_000) for k in (only_a, only_b))
    pooled = (a + b) / (2 * m)
    z = (a - b) / m / np.sqrt(2 * pooled * (1 - pooled) / m)
    assert np.mean(abs(z) > 1.96) == pytest.approx(power / 100, abs=0.015)


def test_an_interval_is_that_of_the_package_where_resamples_are_the_same():
    y, a, b, _, _ = same_resamples.some_test(0, ())
    rng, n = np.random.default_rng(0), len(y)
    draws = np.array([rng.integers(0, n, n) for _ in range(200)])
    theirs = evaluation.bootstrap_difference(
        np.stack([y, a], axis=1),
        np.stack([y, b], axis=1),
        lambda rows: sklearn.metrics.f1_score(rows[:, 0], rows[:, 1]),
        method="percentile",
        n_resamples=200,
        seed=0,
    )
    found = solved(same_resamples.exercise())["paired_interval"](y, a, b, draws)
    assert found == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize(("score", "theirs"), [("f1", "f1_score"), ("jaccard", "jaccard_score")])
def test_scores_of_resamples_are_those_of_scikit_learn(score, theirs):
    score_of = getattr(sklearn.metrics, theirs)
    y, a, b, draws, document = same_resamples.some_test(2, ())
    found = same_resamples.differences(y, a, b, draws[:5], document, score, ())
    right = [score_of(y[i], a[i]) - score_of(y[i], b[i]) for i in draws[:5]]
    assert found == pytest.approx(right)


def test_the_basic_interval_is_that_of_scipy():
    y, a, b, _, _ = same_resamples.some_test(1, ())
    n = len(y)

    def difference(rows):
        f1 = sklearn.metrics.f1_score
        return f1(y[rows], a[rows]) - f1(y[rows], b[rows])

    result = scipy.stats.bootstrap(
        (np.arange(n),),
        difference,
        vectorized=False,
        n_resamples=100,
        method="basic",
        rng=np.random.default_rng(5),
    )
    draws = np.random.default_rng(5).integers(0, n, (100, n))
    found = solved(same_resamples.exercise(twists=("basic",)))["paired_interval"](y, a, b, draws)
    assert found == pytest.approx(tuple(result.confidence_interval))


@pytest.mark.parametrize("n", [4, 9, 12])
def test_a_p_value_is_that_of_scipy_over_all_exchanges(n):
    both = solved(exchanged_names.exercise())["exact_p"]
    one = solved(exchanged_names.exercise(side="one"))["exact_p"]
    for seed in range(3):
        differences = exchanged_names.some_points(seed, n, seed)
        for answer, alternative in ((both, "two-sided"), (one, "greater")):
            theirs = scipy.stats.permutation_test(
                (np.array(differences), np.zeros(n)),
                lambda a, b: (a - b).sum(),
                permutation_type="samples",
                n_resamples=np.inf,
                alternative=alternative,
            )
            assert answer(differences) == pytest.approx(theirs.pvalue)


def test_many_questions_are_counted_as_by_mcnemar_if_points_are_0_or_1():
    answer = solved(exchanged_names.exercise())["exact_p"]
    differences = [1] * 40 + [-1] * 28 + [0] * 32
    assert answer(differences) == pytest.approx(scipy.stats.binomtest(40, 68).pvalue)
    assert exchanged_names.by_waves(differences, "two") == pytest.approx(answer(differences))


def test_tenths_are_no_exact_numbers_and_count_as_equal_all_the_same():
    answer = solved(exchanged_names.exercise(twists=("tenths",)))["exact_p"]
    assert answer([0.1, 0.2, 0.3]) == pytest.approx(exchanged_names.listed([1, 2, 3], "two"))
    assert 0.1 + 0.2 != 0.3
    assert answer([0.1, 0.2, -0.3]) == 1


@pytest.mark.parametrize("module", [roc_points, name_spans, same_resamples, exchanged_names])
def test_variants_without_twists_are_solved_by_the_page_s_answer(module):
    """So the oracles of a check and the page ask for the same."""
    for seed in range(3):
        given = plainly(module, seed)
        exercise = module.exercise(**given)
        assert exercise.failures(solved(exercise)) == []
