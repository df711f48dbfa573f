r"""Folds: every row is tested on once, by a model that was not trained on it."""

from collections.abc import Sequence

import numpy as np

from companion._arguments import _require_int, _require_rng
from companion.data.keys import Labels
from companion.data.splitting import Seed, by_label, largest_first

__all__ = ["group_folds", "k_folds", "stratified_folds"]


def k_folds(n: int, k: int, seed: Seed = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    r"""Share out n rows among k folds, each of which is the test part once.

    Parameters
    ----------
    n, k : int
    seed : int, optional
        None takes the rows as they come.

    Returns
    -------
    list of pairs of ndarray
        What to train on, and what to test on.

    Raises
    ------
    ValueError
        If k is not from 2 to n.

    Examples
    --------
    >>> [test.tolist() for train, test in k_folds(5, 2, seed=None)]
    [[0, 1, 2], [3, 4]]
    """
    k = _require_folds(k, _require_int("n", n, least=0), "rows")
    order = np.arange(n) if seed is None else _require_rng(seed).permutation(n)
    return _folds(np.array_split(order, k))


def stratified_folds(labels: Labels, k: int, seed: Seed = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    r"""Share out rows among k folds so that each has its part of every class.

    The rows of one class after those of another are dealt out like cards.

    Parameters
    ----------
    labels : sequence
    k : int
    seed : int

    Returns
    -------
    list of pairs of ndarray

    Raises
    ------
    ValueError
        If a class has fewer than k rows, or k is not at least 2.

    Examples
    --------
    >>> folds = stratified_folds([0, 0, 0, 0, 1, 1], 2)
    >>> [np.bincount(np.array([0, 0, 0, 0, 1, 1])[test]).tolist() for train, test in folds]
    [[2, 1], [2, 1]]
    """
    rng = _require_rng(seed)
    classes = [rng.permutation(members) for members in by_label(labels)]
    k = _require_folds(k, min(map(len, classes), default=0), "rows of each class")
    deck = np.concatenate(classes)
    return _folds([deck[i::k] for i in range(k)])


def group_folds(groups: Labels, k: int, seed: Seed = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    r"""Share out rows among k folds so that rows of one group stay together.

    From the largest group on, each goes to the fold that has fewest rows.

    Parameters
    ----------
    groups : sequence
    k : int
    seed : int

    Returns
    -------
    list of pairs of ndarray

    Raises
    ------
    ValueError
        If there are fewer than k groups, or k is not at least 2.

    Examples
    --------
    >>> folds = group_folds(["ann", "ann", "bob", "cid"], 2)
    >>> [test.tolist() for train, test in folds]
    [[0, 1], [2, 3]]
    """
    members = by_label(groups, "groups")
    folds: list[list[int]] = [[] for _ in range(_require_folds(k, len(members), "groups"))]
    for some in largest_first(members, seed):
        min(folds, key=len).extend(some.tolist())
    return _folds([np.array(fold, dtype=np.int64) for fold in folds])


def _folds(tests: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    every = np.sort(np.concatenate(tests)).astype(np.int64)
    return [(np.setdiff1d(every, test), np.sort(test).astype(np.int64)) for test in tests]


def _require_folds(k: int, most: int, of_what: str) -> int:
    k = _require_int("k", k)
    if not 2 <= k <= most:
        raise ValueError(f"k must be from 2 to the number of {of_what}, {most}; got {k}")
    return k
