r"""Splitting: which rows a model learns from, and which it is judged by.

Every function returns indices (NumPy arrays of int64, in ascending order): parts that have no
row in common and together all rows. What must not be on two sides decides which one to take:
nothing in particular (``random_split``), a class that would be missing (``stratified_split``),
rows that belong together, such as one author's (``group_split``), the future (``time_split``).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from companion._arguments import _require_int, _require_rng
from companion.data.keys import Labels, keys

__all__ = [
    "Seed",
    "by_label",
    "group_split",
    "largest_first",
    "random_split",
    "shares",
    "stratified_split",
    "time_split",
]

USUAL = (0.8, 0.1, 0.1)  # training, development and test part
Seed = int | Sequence[int] | None


def shares(n: int, fractions: Sequence[float] = USUAL) -> list[int]:
    r"""Share out n rows: whole numbers, as near to the fractions as can be.

    Each part gets :math:`\lfloor n f_i \rfloor`, and what is left goes, one each, to those with
    the largest remainders.

    Parameters
    ----------
    n : int
    fractions : sequence of float
        Each above 0; they sum to 1.

    Returns
    -------
    list of int
        They sum to n.

    Raises
    ------
    ValueError
        If a fraction is not above 0 or they do not sum to 1.

    Examples
    --------
    >>> shares(11, (0.8, 0.1, 0.1))
    [9, 1, 1]
    """
    exact = _exact_shares(_require_int("n", n, least=0), fractions)
    whole = np.floor(exact).astype(np.int64)
    order = np.argsort(whole - exact, kind="stable")
    whole[order[: n - whole.sum()]] += 1
    return whole.tolist()


def _exact_shares(n: int, fractions: Sequence[float]) -> np.ndarray:
    """Return each fraction of n rows, whole or not; refuse fractions that do not sum to 1."""
    parts = _fractions(fractions)
    if parts.ndim != 1 or not parts.size or not (parts > 0).all() or abs(parts.sum() - 1) > 1e-9:
        raise ValueError(f"fractions must be above 0 and sum to 1, got {fractions}")
    return np.round(n * parts, 9)  # 0.7 * 10 is not quite 7


def _fractions(fractions: Any) -> np.ndarray:
    """Return fractions as an array; not every array is one of fractions."""
    try:
        return np.asarray(fractions, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(f"fractions must be numbers, got {fractions!r}") from None


def random_split(
    n: int, fractions: Sequence[float] = USUAL, seed: Seed = 0
) -> tuple[np.ndarray, ...]:
    r"""Split n rows at random.

    Parameters
    ----------
    n : int
        How many rows there are.
    fractions : sequence of float
        How large the parts are.
    seed : int
        The same seed gives the same parts.

    Returns
    -------
    tuple of ndarray

    Raises
    ------
    ValueError
        If a part would be empty.

    Examples
    --------
    >>> [len(part) for part in random_split(10)]
    [8, 1, 1]
    """
    n = _require_int("n", n, least=0)
    sizes = shares(n, fractions)
    order = _require_rng(seed).permutation(n)
    return _parts(np.split(order, np.cumsum(sizes)[:-1]))


def stratified_split(
    labels: Labels, fractions: Sequence[float] = USUAL, seed: Seed = 0
) -> tuple[np.ndarray, ...]:
    r"""Split so that each class is shared out in the same way.

    Parameters
    ----------
    labels : sequence
        The class of each row.
    fractions : sequence of float
    seed : int

    Returns
    -------
    tuple of ndarray
        Of each class, and of all rows, a part holds its fraction, up to about one row.

    Raises
    ------
    ValueError
        If a part would be empty.

    Examples
    --------
    >>> train, test = stratified_split(["ham"] * 90 + ["spam"] * 10, (0.8, 0.2))
    >>> (test >= 90).sum().item()  # of the 10 spam
    2
    """
    rng = _require_rng(seed)
    classes = by_label(labels)
    sizes_of_classes = _shares_of_classes(classes, fractions)
    parts: list[list[np.ndarray]] = [[] for _ in fractions]
    for members, sizes in zip(classes, sizes_of_classes, strict=True):
        cuts = np.cumsum(sizes)[:-1]
        for part, some in zip(parts, np.split(rng.permutation(members), cuts), strict=True):
            part.append(some)
    return _parts([np.concatenate(part) for part in parts if part])


def _shares_of_classes(classes: list[np.ndarray], fractions: Sequence[float]) -> list[list[int]]:
    """Share out each class so that the parts get their fractions of all rows, too.

    Each class has rows left when every part has its whole number. They go to the parts that
    lack most by then, the classes before counted in: if each class were shared out by itself,
    the same part would get what is left of every class.
    """
    lacking = np.zeros(_exact_shares(0, fractions).size)
    sizes = []
    for members in classes:
        n = len(members)
        exact = _exact_shares(n, fractions)
        whole = np.floor(exact).astype(np.int64)
        lacking += exact - whole
        chosen = np.argsort(np.round(-lacking, 9), kind="stable")[: n - whole.sum()]
        whole[chosen] += 1
        lacking[chosen] -= 1
        sizes.append(whole.tolist())
    return sizes


def group_split(
    groups: Labels, fractions: Sequence[float] = USUAL, seed: Seed = 0
) -> tuple[np.ndarray, ...]:
    r"""Split so that rows of one group stay together.

    Whose sentences are in training must not be judged by: a model would be praised for knowing
    the author. From the largest group on, each goes to the part that lacks most of its share.

    Parameters
    ----------
    groups : sequence
        What must stay together: the author, the patient, the English sentence of a pair.
    fractions : sequence of float
        Met as nearly as the groups' sizes allow.
    seed : int

    Returns
    -------
    tuple of ndarray
        No group is in two of them.

    Raises
    ------
    ValueError
        If a part would be empty.

    Examples
    --------
    >>> train, test = group_split(["ann", "bob", "ann", "cid"], (0.5, 0.5))
    >>> train.tolist(), test.tolist()
    ([0, 2], [1, 3])
    """
    members_of_groups = by_label(groups, "groups")
    lacking = np.array(shares(sum(map(len, members_of_groups)), fractions))
    parts: list[list[np.ndarray]] = [[] for _ in lacking]
    for members in largest_first(members_of_groups, seed):
        chosen = int(np.argmax(lacking))
        parts[chosen].append(members)
        lacking[chosen] -= len(members)
    return _parts([np.concatenate(part) if part else np.empty(0, np.int64) for part in parts])


def time_split(times: Labels, fractions: Sequence[float] = USUAL) -> tuple[np.ndarray, ...]:
    r"""Split into past and future: every row of a part is earlier than every row of the next.

    Parameters
    ----------
    times : sequence
        Anything that can be sorted: numbers, dates.
    fractions : sequence of float
        Rows of the same time stay together, in the earlier part.

    Returns
    -------
    tuple of ndarray

    Raises
    ------
    ValueError
        If a part would be empty, or a time is missing.
    TypeError
        If the times cannot be sorted, as numbers among texts.

    Examples
    --------
    >>> past, future = time_split([2021, 2024, 2022, 2023], (0.5, 0.5))
    >>> past.tolist(), future.tolist()
    ([0, 2], [1, 3])
    """
    moments = list(keys(times, "times"))
    place = {moment: i for i, moment in enumerate(_sorted(set(moments), "times"))}
    ranks = np.array([place[moment] for moment in moments], dtype=np.int64)
    order = np.argsort(ranks, kind="stable")
    ordered = ranks[order]
    cuts = np.cumsum(shares(len(order), fractions))[:-1]
    last = ordered[np.maximum(cuts - 1, 0)] if len(order) else ordered
    return _parts(np.split(order, np.searchsorted(ordered, last, side="right")))


def _sorted(values: Iterable[Any], name: str) -> list[Any]:
    try:
        return sorted(values)
    except TypeError as error:
        raise TypeError(
            f"{name} must be of one kind, so that they can be sorted: {error}"
        ) from None


# -- what all of them need -----------------------------------------------------------------------


def by_label(labels: Labels, name: str = "labels") -> list[np.ndarray]:
    r"""Return the rows of each label.

    Parameters
    ----------
    labels : sequence
        A list, or an array or tensor of one dimension.
    name : str
        What they are called in an error.

    Returns
    -------
    list of ndarray of int64
        Labels in the order in which they first occur.

    Raises
    ------
    ValueError
        If a label is NaN, which is equal to nothing, not even to itself; or if an array of
        labels has more dimensions than one.
    """
    rows: dict[Any, list[int]] = {}
    for i, label in enumerate(keys(labels, name)):
        rows.setdefault(label, []).append(i)
    return [np.array(some, dtype=np.int64) for some in rows.values()]


def largest_first(members: list[np.ndarray], seed: Seed) -> list[np.ndarray]:
    r"""Sort groups by size; those of the same size stand in an order drawn at random.

    Parameters
    ----------
    members : list of ndarray
        The rows of each group.
    seed : int

    Returns
    -------
    list of ndarray
    """
    order = _require_rng(seed).permutation(len(members))
    return sorted((members[i] for i in order), key=len, reverse=True)


def _parts(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    sizes = [len(part) for part in parts]
    if not sizes or not min(sizes):
        raise ValueError(f"each part must hold a row, got parts of {sizes}: too few to split so")
    return tuple(np.sort(part).astype(np.int64) for part in parts)
