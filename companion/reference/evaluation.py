r"""Measures by their definitions: every pair, every order, every subset."""

import itertools
import math
from collections.abc import Sequence

import numpy as np

__all__ = [
    "average_precision",
    "bio_spans",
    "bradley_terry",
    "expected_calibration_error",
    "f1",
    "holm",
    "longest_common",
    "mean_over_ties",
    "pass_at_k",
    "power_paired",
    "power_unpaired",
    "rdp_subsampled_gaussian",
    "roc_auc",
]


def f1(y_true: Sequence[object], y_pred: Sequence[object], label: object) -> float:
    r"""Return the harmonic mean of precision and recall of one class; 0 where both are 0."""
    called = [a == label for a, b in zip(y_true, y_pred, strict=True) if b == label]
    found = [b == label for a, b in zip(y_true, y_pred, strict=True) if a == label]
    precision, recall = sum(called) / len(called), sum(found) / len(found)
    return 2 / (1 / precision + 1 / recall) if precision and recall else 0.0


def roc_auc(y_true: np.ndarray, y_score: np.ndarray) -> float:
    r"""Return how often a positive beats a negative, over all pairs; a tie is half a win."""
    wins, pairs = 0.0, 0
    for i in np.flatnonzero(y_true == 1):
        for j in np.flatnonzero(y_true == 0):
            wins += float(y_score[i] > y_score[j]) + 0.5 * float(y_score[i] == y_score[j])
            pairs += 1
    return wins / pairs


def average_precision(y_true: np.ndarray, y_score: np.ndarray) -> float:
    r"""Return the mean over the positives of the precision where each is let in."""
    total = 0.0
    for score in y_score[y_true == 1]:
        total += float(y_true[y_score >= score].mean())
    return total / int(y_true.sum())


def expected_calibration_error(right: np.ndarray, confidence: np.ndarray, n_bins: int) -> float:
    r"""Return the distance of confidence and accuracy, bin by bin."""
    total = 0.0
    for b in range(n_bins):
        low, high = b / n_bins, (b + 1) / n_bins
        held = (confidence > low) & (confidence <= high) | ((confidence == 0) & (b == 0))
        if held.any():
            total += held.mean() * abs(right[held].mean() - confidence[held].mean())
    return float(total)


def bio_spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    r"""Return every stretch that looks like a name from its first tag to what follows its last."""
    spans, n = [], len(tags)
    for start in range(n):
        for stop in range(start + 1, n + 1):
            kind = tags[start][2:]
            inside = [f"I-{kind}"] * (stop - start - 1)
            whole = stop == n or tags[stop] != f"I-{kind}"
            if tags[start] == f"B-{kind}" and list(tags[start + 1 : stop]) == inside and whole:
                spans.append((kind, start, stop))
    return spans


def mean_over_ties(
    measure: str, y_true: np.ndarray, y_score: np.ndarray, k: int | None = None
) -> float:
    r"""Return a measure of one query, the mean over all orders that the scores allow."""
    values = []
    for order in itertools.permutations(range(len(y_true))):
        if all(y_score[a] >= y_score[b] for a, b in itertools.pairwise(order)):
            values.append(_of_one_order(measure, y_true[list(order)], k or len(y_true)))
    return float(np.mean(values))


def _of_one_order(measure: str, gains: np.ndarray, k: int) -> float:
    if not gains.any():
        return 0.0
    if measure == "ndcg":
        discounts = [1 / math.log2(rank + 1) for rank in range(1, k + 1)]
        best = sorted(gains.tolist(), reverse=True)
        return float(np.dot(gains[:k], discounts) / np.dot(best[:k], discounts))
    if measure == "mean_reciprocal_rank":
        return 1 / (1 + int(np.flatnonzero(gains)[0]))
    return int((gains[:k] > 0).sum()) / int((gains > 0).sum())


def longest_common(a: Sequence[str], b: Sequence[str]) -> int:
    r"""Return the length of the longest common subsequence, by trying all of a's."""
    for length in range(len(a), 0, -1):
        for some in itertools.combinations(a, length):
            rest = iter(b)
            if all(token in rest for token in some):
                return length
    return 0


def pass_at_k(n: int, c: int, k: int) -> float:
    r"""Return in how many of all choices of k from n answers one of the first c is."""
    choices = list(itertools.combinations(range(n), k))
    return sum(min(choice) < c for choice in choices) / len(choices)


def holm(p: Sequence[float]) -> list[float]:
    r"""Return for each hypothesis the largest Bonferroni p-value of the sets that it is in.

    Closed testing (Marcus, Peritz and Gabriel 1976), of which Holm's steps are a short cut.
    """
    m = len(p)
    sets = [s for size in range(1, m + 1) for s in itertools.combinations(range(m), size)]
    bounds = {s: min(1.0, len(s) * min(p[i] for i in s)) for s in sets}
    return [max(bound for s, bound in bounds.items() if i in s) for i in range(m)]


def bradley_terry(wins: np.ndarray, n_rounds: int = 20_000) -> np.ndarray:
    r"""Return strengths by Hunter's updates (2004, eq. 3), one player after the other."""
    games, won = wins + wins.T, wins.sum(axis=1)
    p = np.ones(len(wins))
    for _ in range(n_rounds):
        for i in range(len(p)):
            p[i] = won[i] / sum(games[i, j] / (p[i] + p[j]) for j in range(len(p)) if j != i)
    return np.log(p) - np.log(p).mean()


def power_unpaired(p1: float, p2: float, n: int, z: float) -> float:
    r"""Return how probable counts are whose difference is z standard errors or more."""
    total = 0.0
    for i in range(n + 1):
        for j in range(n + 1):
            mean = (i + j) / (2 * n)
            error = math.sqrt(2 * mean * (1 - mean) / n)
            if abs(i - j) / n >= z * error and i != j:
                total += _binomial(n, i, p1) * _binomial(n, j, p2)
    return total


def power_paired(only_a: float, only_b: float, n: int, z: float) -> float:
    r"""Return how probable counts are for which McNemar's chi-square is z² or more."""
    differ, total = only_a + only_b, 0.0
    for d in range(1, n + 1):
        for a in range(d + 1):
            if (2 * a - d) ** 2 / d >= z * z:
                total += _binomial(n, d, differ) * _binomial(d, a, only_a / differ)
    return total


def _binomial(n: int, k: int, p: float) -> float:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def rdp_subsampled_gaussian(
    q: float, sigma: float, order: int, reach: float = 60.0, n: int = 200_001
) -> float:
    r"""Return the divergence of :math:`(1-q) N(0, \sigma^2) + q N(1, \sigma^2)` by its integral."""
    x = np.linspace(-reach * sigma, reach * sigma, n)
    log_without = -(x**2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
    log_ratio = np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * sigma**2))
    terms = np.exp(log_without + order * log_ratio)
    return math.log(float(terms.sum()) * float(x[1] - x[0])) / (order - 1)
