r"""Retrieval: whether what is relevant stands at the top of a list.

This file adds: nDCG, the mean reciprocal rank and recall at k. Each row is a query, each column a
document; documents with the same score stand in any order, and the measures are means over all of
these orders (McSherry and Najork 2008), so that a model that gives all the same score is not
praised for the order of the data.

Shape letters: ``Q`` queries, ``D`` documents.
"""

import math

import numpy as np

from companion._arguments import _require_int
from companion.evaluation._checks import Numbers, _numbers

__all__ = ["mean_reciprocal_rank", "ndcg", "recall_at_k"]


def ndcg(y_true: Numbers, y_score: Numbers, *, k: int | None = None) -> float:
    r"""Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002).

    .. math:: \text{DCG} = \sum_{r=1}^{k} \frac{g_r}{\log_2 (r + 1)}

    where :math:`g_r` is the relevance of the document at rank r, divided by the DCG of the best
    order; the mean over the queries.

    Parameters
    ----------
    y_true : array-like, shape (Q, D)
        Relevance, 0 or more.
    y_score : array-like, shape (Q, D)
    k : int, optional
        How many ranks count; by default all.

    Returns
    -------
    float
        From 0 to 1. A query without a relevant document counts as 0, as in scikit-learn.

    Raises
    ------
    ValueError
        If the shapes differ or are not (Q, D), a relevance is below 0, or a number is not finite.

    Examples
    --------
    >>> ndcg([[3, 0, 2]], [[0.9, 0.5, 0.1]]).__round__(4)
    0.9386
    """
    true, score = _queries(y_true, y_score)
    n = true.shape[1]
    ranks = np.arange(1, n + 1)
    discounts = np.where(ranks <= _cutoff(k, n), 1 / np.log2(ranks + 1), 0.0)
    ideal = -np.sort(-true, axis=1) @ discounts
    gains = np.array([_expected_dcg(*query, discounts) for query in zip(true, score, strict=True)])
    return float(np.mean(np.divide(gains, ideal, out=np.zeros(len(gains)), where=ideal > 0)))


def _expected_dcg(true: np.ndarray, score: np.ndarray, discounts: np.ndarray) -> float:
    """Return the DCG; each document of a tie gets the mean of the tie's discounts."""
    return float(sum(true[tie].mean() * discounts[places].sum() for tie, places in _ties(score)))


def _ties(score: np.ndarray) -> list[tuple[np.ndarray, slice]]:
    """Return the documents of each score, from the highest on, and the places they share."""
    groups, start = [], 0
    for value in np.unique(score)[::-1]:
        tie = np.flatnonzero(score == value)
        groups.append((tie, slice(start, start + len(tie))))
        start += len(tie)
    return groups


def mean_reciprocal_rank(y_true: Numbers, y_score: Numbers) -> float:
    r"""Mean of 1/r, r being the rank of the first relevant document (Voorhees 1999).

    In a tie of t documents of which m are relevant, after g others, the first relevant one is the
    j-th of the tie with probability :math:`\binom{t-j}{m-1} / \binom{t}{m}`, and has rank
    :math:`g + j`.

    Parameters
    ----------
    y_true : array-like, shape (Q, D)
        Above 0 where a document is relevant.
    y_score : array-like, shape (Q, D)

    Returns
    -------
    float
        A query without a relevant document counts as 0.

    Raises
    ------
    ValueError
        If the shapes differ or are not (Q, D), a relevance is below 0, or a number is not finite.

    Examples
    --------
    >>> mean_reciprocal_rank([[0, 1, 0], [1, 0, 0]], [[0.9, 0.8, 0.1], [0.9, 0.8, 0.1]])
    0.75
    """
    true, score = _queries(y_true, y_score)
    return float(np.mean([_expected_reciprocal(*query) for query in zip(true, score, strict=True)]))


def _expected_reciprocal(true: np.ndarray, score: np.ndarray) -> float:
    for tie, places in _ties(score):
        t, m = len(tie), int((true[tie] > 0).sum())
        if m:
            ways = [math.comb(t - j, m - 1) / (places.start + j) for j in range(1, t - m + 2)]
            return math.fsum(ways) / math.comb(t, m)
    return 0.0


def recall_at_k(y_true: Numbers, y_score: Numbers, k: int) -> float:
    r"""Of the relevant documents, the share among the first k; the mean over the queries.

    Parameters
    ----------
    y_true : array-like, shape (Q, D)
        Above 0 where a document is relevant.
    y_score : array-like, shape (Q, D)
    k : int
        From 1 to D.

    Returns
    -------
    float
        With one relevant document a query, the share of queries that find it (top-k accuracy). A
        query without one counts as 0.

    Raises
    ------
    ValueError
        If the shapes differ or are not (Q, D), a relevance is below 0, a number is not finite, or
        k is out of range.

    Examples
    --------
    >>> recall_at_k([[1, 0, 1]], [[0.9, 0.8, 0.1]], k=2)
    0.5
    """
    true, score = _queries(y_true, y_score)
    k = _cutoff(_require_int("k", k), true.shape[1])
    found = np.zeros(len(true))
    for i, row in enumerate(score):
        for tie, places in _ties(row):
            share = min(max(k - places.start, 0), len(tie)) / len(tie)  # of the tie that is seen
            found[i] += share * (true[i, tie] > 0).sum()
    relevant = (true > 0).sum(axis=1)
    return float(np.mean(np.divide(found, relevant, out=np.zeros(len(found)), where=relevant > 0)))


def _cutoff(k: int | None, n: int) -> int:
    return n if k is None else _require_int("k", k, least=1, most=n)


def _queries(y_true: Numbers, y_score: Numbers) -> tuple[np.ndarray, np.ndarray]:
    true, score = _numbers("y_true", y_true, ndim=2), _numbers("y_score", y_score, ndim=2)
    if true.shape != score.shape:
        raise ValueError(
            f"y_true and y_score must have the same shape, got {true.shape} and {score.shape}"
        )
    if (true < 0).any():
        raise ValueError(f"y_true must be a relevance of at least 0, got {true.min():.4g}")
    return true, score
