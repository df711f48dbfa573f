r"""Nested folds: settings are chosen within, and what was chosen is judged without.

This file adds: folds inside of folds. Plain, stratified and grouped folds are those of
`companion.data`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from companion._arguments import _require_int
from companion.data.folds import group_folds, k_folds, stratified_folds
from companion.data.keys import Labels, keys
from companion.data.splitting import Seed
from companion.evaluation._checks import _require_same_length

__all__ = ["NestedFold", "nested_folds"]


class NestedFold(NamedTuple):
    r"""One outer fold, and the inner folds of what it trains on."""

    train: np.ndarray
    """Rows to choose settings on, and to train on with those chosen."""
    test: np.ndarray
    """Rows to judge by, once."""
    inner: list[tuple[np.ndarray, np.ndarray]]
    """Pairs of rows to train on and to validate on; together, each time, ``train``."""


def nested_folds(
    n: int,
    k: int,
    inner_k: int,
    seed: Seed = 0,
    *,
    labels: Labels | None = None,
    groups: Labels | None = None,
) -> list[NestedFold]:
    r"""Share out n rows among k folds, and what each of them trains on among inner ones.

    The best of many settings looks better on the rows that chose it than it is. So settings are
    chosen by the inner folds, and judged by the outer test part, which had no say (Cawley and
    Talbot 2010).

    Parameters
    ----------
    n : int
    k, inner_k : int
        How many outer folds there are, and how many inner ones each has.
    seed : int, optional
        None takes the rows as they come.
    labels : sequence, optional
        One a row: each fold has its part of every class.
    groups : sequence, optional
        One a row: rows of one group stay together, in outer and inner folds.

    Returns
    -------
    list of NestedFold
        All indices are of the n rows, those of the inner folds too.

    Raises
    ------
    ValueError
        If there are too few rows, rows of a class or groups, ``labels`` or ``groups`` are not n,
        or both are given.

    Examples
    --------
    >>> fold = nested_folds(6, 3, 2, seed=None)[0]
    >>> fold.test.tolist(), [validation.tolist() for train, validation in fold.inner]
    ([0, 1], [[2, 3], [4, 5]])
    """
    n = _require_int("n", n, least=0)
    if labels is not None and groups is not None:
        raise ValueError("labels and groups must not both be given")
    kinds = {"labels": labels, "groups": groups}
    given = {name: list(keys(values, name)) for name, values in kinds.items() if values is not None}
    if n and given:
        _require_same_length(n=range(n), **given)
    return [
        NestedFold(train, test, _within(train, inner_k, seed, given))
        for train, test in _share_out(np.arange(n), k, seed, given)
    ]


def _share_out(
    rows: np.ndarray, k: int, seed: Seed, given: dict[str, list[Any]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the folds of some of the rows, as places among these."""
    some: dict[str, Sequence[Any]] = {
        name: [values[i] for i in rows] for name, values in given.items()
    }
    if "labels" in some:
        return stratified_folds(some["labels"], k, seed)
    if "groups" in some:
        return group_folds(some["groups"], k, seed)
    return k_folds(len(rows), k, seed)


def _within(
    train: np.ndarray, k: int, seed: Seed, given: dict[str, list[Any]]
) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(train[a], train[b]) for a, b in _share_out(train, k, seed, given)]
