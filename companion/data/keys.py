r"""Keys: values as a dictionary can tell them apart.

Two tensors that hold the same number are different keys, because a tensor is known by its
identity; NaN is not equal to itself. Whatever groups or counts rows by their values goes through
`keys`.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any

import numpy as np

__all__ = ["Labels", "keys"]

#: A list, or an array or tensor of one dimension.
Labels = Iterable[Any]


def keys(values: Labels, name: str = "labels") -> Iterator[Any]:
    r"""Yield each value as a Python object that equals and hashes by what it holds.

    Parameters
    ----------
    values : iterable
        A list, or an array or tensor of one dimension. The values may be tuples.
    name : str
        What they are called in an error.

    Yields
    ------
    object

    Raises
    ------
    ValueError
        If a value is missing (NaN, NaT, masked), or an array has more dimensions than one.
    TypeError
        If ``values`` is one text or has no order, or a value cannot be a key, as a list.

    Examples
    --------
    >>> import torch
    >>> list(keys(torch.tensor([0, 1]))), list(keys([np.int64(2), "a"]))
    ([0, 1], [2, 'a'])
    """
    if isinstance(values, (str, bytes, Mapping, Set)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be a list or an array, got {type(values).__name__}")
    if len(shape := tuple(getattr(values, "shape", (0,)))) != 1:
        raise ValueError(f"{name} must have one dimension, got shape {shape}")
    for i, value in enumerate(_one_by_one(values)):
        if _is_missing(value):
            what = "NaN" if isinstance(value, (float, tuple)) else "missing"
            raise ValueError(f"{name} must not be {what}, got one in row {i}")
        yield _hashable(_plain(value), f"{name}, row {i},")


def _one_by_one(values: Any) -> Iterable[Any]:
    """Return what an array holds; those with gaps or of dates lose them when made a list."""
    if isinstance(values, np.ma.MaskedArray) or getattr(values, "dtype", None) is None:
        return values
    is_dates = isinstance(values.dtype, np.dtype) and values.dtype.kind in "mM"
    return values if is_dates or not hasattr(values, "tolist") else values.tolist()


def _plain(value: Any) -> Any:
    """Return a number that NumPy or PyTorch wraps; an array of several becomes a list."""
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    if isinstance(value, (np.datetime64, np.timedelta64)):
        return value  # as a list it would become a plain number for some units
    return value.tolist() if hasattr(value, "tolist") else value


def _is_missing(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_is_missing(each) for each in value)
    if value is np.ma.masked:
        return True
    if getattr(value, "ndim", 0):
        return False  # several numbers, which are no key
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA says neither yes nor no
        return True


def _hashable(key: Any, what: str) -> Any:
    try:
        hash(key)
    except TypeError:
        raise TypeError(
            f"{what} must be a number, a text or a tuple of these, got {key!r}"
        ) from None
    return key
