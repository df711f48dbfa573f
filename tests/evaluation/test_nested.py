"""Nested folds: what settings are chosen on never holds what is judged by."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from companion import data, evaluation
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import same


def lists(folds):
    return [[part.tolist() for part in pair] for pair in folds]


@shapes_vary
@given(n=st.integers(6, 20), k=st.integers(2, 3), inner=st.integers(2, 3))
def test_folds_inside_of_folds_are_scikit_learn_s(n, k, inner):
    folds = evaluation.nested_folds(n, k, inner, seed=None)
    rows = np.arange(n)
    outer = list(KFold(k).split(rows))
    same("nested_folds", "scikit-learn", lists([fold[:2] for fold in folds]), lists(outer))
    for fold, (train, _) in zip(folds, outer, strict=True):
        expected = [(train[a], train[b]) for a, b in KFold(inner).split(train)]
        same("NestedFold, inner", "scikit-learn", lists(fold.inner), lists(expected))


@pytest.mark.parametrize("kind", ["plain", "labels", "groups"])
@shapes_vary
@given(seed=seeds)
def test_no_row_that_is_judged_by_is_chosen_on(kind, seed):
    labels = np.random.default_rng(seed).permutation([0] * 18 + [1] * 12)
    groups = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), 3))
    given_ = {"plain": {}, "labels": {"labels": labels}, "groups": {"groups": groups}}[kind]
    folds = evaluation.nested_folds(30, 3, 2, seed, **given_)
    assert sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(30))
    for train, test, inner in folds:
        assert set(train) & set(test) == set()
        assert len(train) + len(test) == 30
        assert sorted(np.concatenate([part for _, part in inner]).tolist()) == train.tolist()
        for fit, validation in inner:
            assert sorted([*fit, *validation]) == train.tolist()
            if kind == "labels":
                assert (labels[validation] == 0).sum() == 6
            if kind == "groups":
                assert set(groups[fit]) & set(groups[validation]) == set()
        if kind == "groups":
            assert set(groups[train]) & set(groups[test]) == set()


def test_the_same_seed_gives_the_same_folds():
    first, second, other = (evaluation.nested_folds(12, 3, 2, seed) for seed in (1, 1, 2))
    assert [fold.test.tolist() for fold in first] == [fold.test.tolist() for fold in second]
    assert [fold.test.tolist() for fold in first] != [fold.test.tolist() for fold in other]


def test_plain_folds_and_kappa_are_those_of_data():
    for name in ("k_folds", "stratified_folds", "group_folds", "cohens_kappa"):
        assert getattr(evaluation, name) is getattr(data, name)


nested = evaluation.nested_folds
REFUSED = [
    ("labels and groups must not both", lambda: nested(2, 2, 2, labels=[0, 1], groups=[0, 1])),
    ("n and labels must have the same length, got 4 and 2", lambda: nested(4, 2, 2, labels=[0, 1])),
    ("n and groups must have the same length", lambda: nested(4, 2, 2, groups=torch.zeros(3))),
    ("k must be from 2 to the number of rows, 1; got 2", lambda: nested(2, 2, 2)),
    ("number of groups, 1; got 2", lambda: nested(4, 2, 2, groups=[0, 0, 1, 1])),
]


@pytest.mark.parametrize(("message", "call"), REFUSED)
def test_folds_that_cannot_be_made_are_refused(message, call):
    with unchecked(), pytest.raises(ValueError, match=message):
        call()
