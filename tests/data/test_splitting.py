"""Splits and folds: nothing on two sides, nothing lost, and as scikit-learn shares out."""

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, StratifiedShuffleSplit

from companion import data
from companion.data import splitting
from companion.data.keys import keys
from companion.reference import data as twin
from tests.plugins.shapes import unchecked
from tests.support import seeds, shapes_vary
from tests.verification import same

FRACTIONS = st.sampled_from([(0.8, 0.1, 0.1), (0.7, 0.3), (0.5, 0.25, 0.25), (0.29, 0.7, 0.01)])
many = st.integers(200, 400)


def rows_of(parts):
    """Return all rows of all parts, and see that each part is sorted."""
    assert all((np.diff(part) > 0).all() for part in parts)
    assert all(part.dtype == np.int64 for part in parts)
    return sorted(np.concatenate(parts).tolist())


def by_twin(n, fractions):
    return twin.shares(n, [Fraction(str(f)) for f in fractions])


# -- shares --------------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(0, 1000), fractions=FRACTIONS)
def test_shares(n, fractions):
    same("shares", "NumPy twin", data.shares(n, fractions), by_twin(n, fractions))
    assert sum(data.shares(n, fractions)) == n
    same(
        "twin: shares",
        "by hand",
        twin.shares(11, [Fraction(4, 5), *[Fraction(1, 10)] * 2]),
        [9, 1, 1],
    )


def test_shares_do_not_lose_a_row_to_rounding():
    assert [data.shares(10, (0.7, 0.3)), data.shares(100, (0.29, 0.71))] == [[7, 3], [29, 71]]


@pytest.mark.parametrize("fractions", [(0.5, 0.4), (1.2, -0.2), (1.0, 0.0), ()])
def test_fractions_must_make_sense(fractions):
    with pytest.raises(ValueError, match="fractions must be above 0 and sum to 1, got"):
        data.shares(10, fractions)


# -- splits --------------------------------------------------------------------------------------


@shapes_vary
@given(n=many, fractions=FRACTIONS, seed=seeds)
def test_random_split(n, fractions, seed):
    parts = data.random_split(n, fractions, seed)
    sizes = [len(part) for part in parts]
    same("random_split", "NumPy twin", sizes, by_twin(n, fractions))
    assert rows_of(parts) == list(range(n))
    again = data.random_split(n, fractions, seed)
    assert all((a == b).all() for a, b in zip(parts, again, strict=True))
    other = data.random_split(n, fractions, seed + 1)
    assert (parts[0][: len(other[0])] != other[0]).any()


def test_every_row_is_drawn_equally_often():
    times = np.zeros(10)
    for seed in range(2000):
        times[data.random_split(10, (0.7, 0.3), seed)[1]] += 1
    assert np.abs(times / 2000 - 0.3).max() < 4 * np.sqrt(0.3 * 0.7 / 2000)


@shapes_vary
@given(n=many, fractions=FRACTIONS, seed=seeds)
def test_stratified_split(n, fractions, seed):
    labels = np.random.default_rng(seed).choice(["a", "b", "c"], size=n, p=[0.6, 0.3, 0.1])
    labels[:6] = ["a", "b", "c"] * 2
    parts = data.stratified_split(labels, fractions, seed)
    assert rows_of(parts) == list(range(n))
    for label, count in Counter(labels.tolist()).items():
        found = [int((labels[part] == label).sum()) for part in parts]
        whole = np.floor(np.round(count * np.array(fractions), 9))
        assert all(np.isin(np.array(found) - whole, (0, 1)))
    for part, share in zip(parts, fractions, strict=True):
        assert abs(len(part) - n * share) < len(fractions)


def test_stratified_split_as_scikit_learn():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    ours = data.stratified_split(labels, (0.8, 0.2))
    theirs = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(labels, labels))
    counts = [[np.bincount(labels[part]).tolist() for part in parts] for parts in (ours, theirs)]
    same("stratified_split", "scikit-learn", *counts)


@pytest.mark.parametrize("order", [sorted, list], ids=["sorted", "as they come"])
def test_what_is_left_of_many_classes_does_not_all_go_to_one_part(order):
    """Of 14 rows a class, 11.2, 1.4 and 1.4: one row is left in each of 100 classes."""
    labels = order(list(range(100)) * 14)
    parts = data.stratified_split(labels)
    same("stratified_split", "by hand", [len(part) for part in parts], [1120, 140, 140])
    for part, least in zip(parts, (11, 1, 1), strict=True):
        counts = Counter(labels[i] for i in part)
        assert set(counts.values()) <= {least, least + 1}
        assert len(counts) == 100


# Labels as a tensor, as an array, and as lists of either's elements are the same labels.
FORMS = {
    "tensor": torch.tensor,
    "array": np.array,
    "list": list,
    "list of tensors": lambda labels: list(torch.tensor(labels)),
    "list of array elements": lambda labels: list(np.array(labels)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_labels_are_told_apart_by_what_they_hold(form):
    groups = [0, 0, 1, 1, 2, 2, 3, 3]
    labels = form(groups)
    same("keys", "a list of numbers", list(keys(labels)), groups)
    for split in (data.group_split, data.stratified_split):
        found, expected = (lists(split(x, (0.5, 0.5))) for x in (labels, groups))
        same(split.__name__, "a list of numbers", found, expected)
    for folds in (data.group_folds, data.stratified_folds):
        found, expected = ([lists(fold) for fold in folds(x, 2)] for x in (labels, groups))
        same(folds.__name__, "a list of numbers", found, expected)
    counts = data.confusion(labels, labels)
    same("confusion", "by hand", counts, 2 * np.eye(4, dtype=int))


def lists(parts):
    return [part.tolist() for part in parts]


@pytest.mark.parametrize("form", [np.array, torch.tensor, list], ids=["array", "tensor", "list"])
@pytest.mark.parametrize(
    "use",
    [
        lambda labels: data.group_split(labels, (0.5, 0.5)),
        lambda labels: data.stratified_split(labels, (0.5, 0.5)),
        lambda labels: data.group_folds(labels, 2),
        lambda labels: data.stratified_folds(labels, 2),
        lambda labels: data.confusion(labels, labels),
    ],
)
def test_nan_is_no_label(use, form):
    """It is not equal to itself: each row would be a group of its own. scikit-learn refuses it."""
    with pytest.raises(ValueError, match="must not be NaN, got one in row 2"):
        use(form([1.0, 1.0, math.nan, math.nan, math.nan, math.nan]))


MISSING = {
    "a date": np.array(["NaT", "NaT", "2020-01-01"], dtype="datetime64[s]"),
    "masked": np.ma.array([1, 2, 1], mask=[1, 1, 0]),
    "in a tuple": [(math.nan, 1), (math.nan, 1), (2, 2)],
    "a decimal": [Decimal("nan"), Decimal("nan"), 1],
}


@pytest.mark.parametrize("labels", MISSING.values(), ids=MISSING)
@pytest.mark.parametrize("split", [data.group_split, data.time_split])
def test_what_is_missing_is_no_label(split, labels):
    with pytest.raises(ValueError, match=r"must not be (NaN|missing), got one in row 0"):
        split(labels, (0.5, 0.5))


class Column(list):
    """As a column of a table, whose rows have other numbers than their places."""

    def __getitem__(self, row):
        raise KeyError(row)


SAME = {
    "tuples of tensors": [(torch.tensor(1), "a"), (torch.tensor(2), "b"), (torch.tensor(1), "a")],
    "objects": np.array(["x", None, "x"], dtype=object),
    "zeros with signs": [0.0, 1.0, -0.0],
    "dates": np.array(["2020", "2021", "2020"], dtype="datetime64[Y]"),
    "nanoseconds": np.array(["2020", "2021", "2020"], dtype="datetime64[ns]"),
    "fields": np.array([(1, 2.0), (3, 4.0), (1, 2.0)], dtype=[("a", int), ("b", float)]),
    "half precision": torch.tensor([1, 2, 1], dtype=torch.bfloat16),
    "truth": torch.tensor([True, False, True]),
    "a column": Column(["x", "y", "x"]),
}


@pytest.mark.parametrize("labels", SAME.values(), ids=SAME)
def test_labels_of_any_kind_are_told_apart_by_what_they_hold(labels):
    same("group_split", "by hand", lists(data.group_split(labels, (2 / 3, 1 / 3))), [[0, 2], [1]])


NO_LABELS = {
    "a text": "aabb",
    "bytes": b"aabb",
    "a set": {1, 2},
    "a dict": {1: 2, 3: 4},
    "a number": 7,
    "nothing": None,
    "lists": [[1, 2], [3, 4]],
    "rows of an array": [np.arange(2), np.arange(2)],
}


@pytest.mark.parametrize("labels", NO_LABELS.values(), ids=NO_LABELS)
@pytest.mark.parametrize("split", [data.group_split, data.stratified_split, data.time_split])
def test_what_is_no_list_of_labels_is_refused(split, labels):
    with unchecked(), pytest.raises(TypeError, match=r"(groups|labels|times).* must be a "):
        split(labels, (0.5, 0.5))


def test_labels_may_come_one_by_one():
    rows = [0, 1] * 10
    for split in (data.group_split, data.stratified_split, data.time_split):
        found = lists(split((row for row in rows), (0.5, 0.5)))
        same(split.__name__, "a list", found, lists(split(rows, (0.5, 0.5))))


def test_times_that_cannot_be_sorted():
    for times in ([1, "a"], [1, None, 2]):
        with pytest.raises(TypeError, match="times must be of one kind"):
            data.time_split(times, (0.5, 0.5))
    with pytest.raises(TypeError, match="labels must be of one kind"):
        data.confusion([1, "a"], [1, "a"])


def test_times_may_be_tuples():
    times = [(2020, 12), (2019, 5), (2020, 2), (2021, 1)]
    same("time_split", "by hand", lists(data.time_split(times, (0.5, 0.5))), [[1, 2], [0, 3]])


@pytest.mark.parametrize("wrong", [2.5, 2.0, True, "2", None, np.float64(2)])
def test_a_number_of_folds_or_rows_is_whole(wrong):
    uses = {
        "k": lambda k: data.k_folds(10, k),
        "n": lambda n: data.random_split(n, (0.5, 0.5)),
        "size": lambda size: data.batches(10, size),
    }
    with unchecked():
        for name, use in uses.items():
            with pytest.raises(TypeError, match=f"{name} must be a whole number, got"):
                use(wrong)
        for folds in (data.stratified_folds, data.group_folds):
            with pytest.raises(TypeError, match="k must be a whole number, got"):
                folds([0, 0, 1, 1], wrong)


@pytest.mark.parametrize("n", [np.int64(10), np.uint8(10), torch.tensor(10)], ids=str)
def test_rows_may_be_counted_in_any_whole_numbers(n):
    with unchecked():
        for found, expected in zip(data.random_split(n), data.random_split(10), strict=True):
            assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", [0.5, "a", -1])
def test_a_seed_is_a_whole_number(seed):
    with unchecked(), pytest.raises(TypeError, match="seed must be a whole number from 0"):
        data.random_split(10, (0.5, 0.5), seed)


def test_batches_of_more_than_there_is():
    """Training on no batch at all would look like training."""
    with pytest.raises(ValueError, match="size must be at most n, 5, where the last batch is"):
        data.batches(5, 6, drop_last=True)
    assert [batch.tolist() for batch in data.batches(3, 6)] == [[0, 1, 2]]
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        data.batches(0, 6)


def test_labels_have_one_dimension():
    with pytest.raises(ValueError, match=r"one dimension, got shape \(2, 1\)"):
        data.group_split(np.zeros((2, 1)), (0.5, 0.5))


@shapes_vary
@given(n=many, fractions=FRACTIONS, seed=seeds)
def test_group_split(n, fractions, seed):
    groups = np.random.default_rng(seed).integers(60, size=n)
    groups[:60] = np.arange(60)
    parts = data.group_split(groups, fractions, seed)
    assert rows_of(parts) == list(range(n))
    sides = [set(groups[part].tolist()) for part in parts]
    assert sum(map(len, sides)) == 60  # no group on two sides
    largest = max(Counter(groups.tolist()).values())
    for part, share in zip(parts, data.shares(n, fractions), strict=True):
        assert abs(len(part) - share) <= largest


@pytest.mark.verifies("group_split", "no group on two sides, the shares met but for a group")
def test_group_split_by_hand():
    groups = ["a"] * 5 + ["b"] * 3 + ["c"] * 2
    train, test = data.group_split(groups, (0.5, 0.5))
    assert [train.tolist(), test.tolist()] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]


def test_a_random_split_leaks_where_one_by_groups_does_not():
    groups = np.repeat(np.arange(50), 4)
    leaks = [
        bool(set(groups[train]) & set(groups[test]))
        for train, test in (
            data.random_split(200, (0.8, 0.2)),
            data.group_split(groups, (0.8, 0.2)),
        )
    ]
    assert leaks == [True, False]


@shapes_vary
@given(n=many, fractions=st.sampled_from([(0.8, 0.1, 0.1), (0.7, 0.3)]), seed=seeds)
def test_time_split(n, fractions, seed):
    times = np.random.default_rng(seed).integers(1000, size=n)
    parts = data.time_split(times, fractions)
    assert rows_of(parts) == list(range(n))
    for past, future in pairwise(parts):
        assert times[past].max() < times[future].min()
    order = sorted(range(n), key=lambda i: times[i])
    cut = data.shares(n, fractions)[0]
    while cut < n and times[order[cut]] == times[order[cut - 1]]:
        cut += 1
    same("time_split", "by hand", parts[0], sorted(order[:cut]))


def test_time_split_of_dates():
    dates = np.array(["2024-03-01", "2023-01-01", "2024-02-01", "2023-06-01"], "datetime64[D]")
    past, future = data.time_split(dates, (0.5, 0.5))
    same("time_split", "by hand", [past.tolist(), future.tolist()], [[1, 3], [0, 2]])


@pytest.mark.parametrize(
    "split",
    [
        lambda: data.random_split(2),
        lambda: data.stratified_split([0], (0.5, 0.5)),
        lambda: data.group_split(["a", "a", "b"]),
        lambda: data.time_split([1, 1, 1], (0.5, 0.5)),
        lambda: data.time_split([], (0.5, 0.5)),
    ],
)
def test_no_part_is_empty(split):
    with pytest.raises(ValueError, match=r"each part must hold a row, got parts of \["):
        split()


# -- folds ---------------------------------------------------------------------------------------


def as_lists(folds):
    return [[part.tolist() for part in pair] for pair in folds]


@shapes_vary
@given(n=st.integers(2, 40), k=st.integers(2, 10))
def test_k_folds(n, k):
    k = min(k, n)
    ours = as_lists(data.k_folds(n, k, seed=None))
    same("k_folds", "scikit-learn", ours, as_lists(KFold(k).split(np.zeros(n))))
    shuffled = data.k_folds(n, k, seed=1)
    assert [len(test) for _, test in shuffled] == [len(test) for _, test in ours]
    assert rows_of([test for _, test in shuffled]) == list(range(n))
    assert all(rows_of(pair) == list(range(n)) for pair in shuffled)


@shapes_vary
@given(n=st.integers(40, 100), k=st.integers(2, 5), seed=seeds)
def test_stratified_folds(n, k, seed):
    labels = np.random.default_rng(seed).integers(3, size=n)
    labels[:15] = np.arange(15) % 3
    labels = np.sort(labels)  # the order in which scikit-learn numbers classes
    ours, theirs = data.stratified_folds(labels, k, seed), StratifiedKFold(k).split(labels, labels)
    assert all(rows_of(pair) == list(range(n)) for pair in ours)
    counts = [
        [np.bincount(labels[test], minlength=3).tolist() for _, test in folds]
        for folds in (ours, theirs)
    ]
    same("stratified_folds", "scikit-learn", *counts)


@shapes_vary
@given(n=st.integers(40, 100), k=st.integers(2, 5), seed=seeds)
def test_group_folds(n, k, seed):
    groups = np.random.default_rng(seed).integers(12, size=n)
    groups[:12] = np.arange(12)
    ours = data.group_folds(groups, k, seed)
    for train, test in ours:
        assert rows_of((train, test)) == list(range(n))
        assert not set(groups[train]) & set(groups[test])
    theirs = GroupKFold(k).split(groups, groups=groups)
    sizes = [sorted(len(test) for _, test in folds) for folds in (ours, theirs)]
    same("group_folds", "scikit-learn", *sizes)


@pytest.mark.parametrize(
    ("folds", "why"),
    [
        (lambda: data.k_folds(3, 4), "number of rows, 3; got 4"),
        (lambda: data.k_folds(3, 1), "number of rows, 3; got 1"),
        (lambda: data.stratified_folds([0, 0, 0, 1], 2), "number of rows of each class, 1; got 2"),
        (lambda: data.group_folds(["a", "a"], 2), "number of groups, 1; got 2"),
    ],
)
def test_as_many_folds_as_there_can_be(folds, why):
    with pytest.raises(ValueError, match=why):
        folds()


def test_rows_by_label_and_groups_by_size():
    members = splitting.by_label(["x", "y", "x", "z", "x", "y"])
    same("by_label", "by hand", [m.tolist() for m in members], [[0, 2, 4], [1, 5], [3]])
    largest = splitting.largest_first(members[::-1], seed=0)
    same("largest_first", "by hand", [m.tolist() for m in largest], [[0, 2, 4], [1, 5], [3]])
    ties = {tuple(splitting.largest_first([np.array([0]), np.array([1])], s)[0]) for s in range(9)}
    assert ties == {(0,), (1,)}


# -- batches -------------------------------------------------------------------------------------


@shapes_vary
@given(n=st.integers(12, 50), size=st.integers(1, 12), drop_last=st.booleans())
def test_batches(n, size, drop_last):
    from torch.utils.data import BatchSampler

    ours = [batch.tolist() for batch in data.batches(n, size, drop_last=drop_last)]
    same("batches", "torch", ours, list(BatchSampler(range(n), size, drop_last)))
    shuffled = list(data.batches(n, size, seed=3, drop_last=drop_last))
    assert [len(batch) for batch in shuffled] == [len(batch) for batch in ours]
    rows = [row for batch in shuffled for row in batch.tolist()]
    assert len(set(rows)) == len(rows)
    assert set(rows) <= set(range(n))


def test_batches_by_seed_and_epoch():
    first = torch.tensor(np.concatenate(list(data.batches(50, 7, seed=(0, 0)))))
    again = torch.tensor(np.concatenate(list(data.batches(50, 7, seed=(0, 0)))))
    other = torch.tensor(np.concatenate(list(data.batches(50, 7, seed=(0, 1)))))
    assert first.equal(again)
    assert not first.equal(other)
    assert sorted(other.tolist()) == list(range(50))


def test_batches_of_nothing():
    with pytest.raises(ValueError, match="size must be at least 1, got 0"):
        data.batches(3, 0)
