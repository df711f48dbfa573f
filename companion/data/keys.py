r"""Keys: values as a dictionary can tell them apart.

Two tensors that hold the same number are different keys, because a tensor is known by its
identity; NaN is not equal to itself. Whatever groups or counts rows by their values goes through
`keys`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["Labels", "keys", "require_texts"]

Labels = Sequence[Any] | np.ndarray | Tensor


def keys(values: Iterable[Any], name: str = "labels") -> Iterator[Any]:
    r"""Yield each value as a Python object that equals and hashes by what it holds.

    Parameters
    ----------
    values : iterable
        A list, or an array or tensor of one dimension.
    name : str
        What they are called in an error.

    Yields
    ------
    object

    Raises
    ------
    ValueError
        If a value is NaN, or an array has more dimensions than one.

    Examples
    --------
    >>> import torch
    >>> list(keys(torch.tensor([0, 1]))), list(keys([np.int64(2), "a"]))
    ([0, 1], [2, 'a'])
    """
    if isinstance(values, (np.ndarray, Tensor)):
        if values.ndim != 1:
            raise ValueError(f"{name} must have one dimension, got shape {tuple(values.shape)}")
        values = values.tolist()
    for i, value in enumerate(values):
        if isinstance(value, (np.generic, np.ndarray, Tensor)):
            value = value.tolist()  # a list for an array: not hashable, which is said at once
        if value != value:
            raise ValueError(f"{name} must not be NaN, got one in row {i}")
        yield value


def require_texts(texts: Iterable[str], name: str = "texts") -> Iterable[str]:
    r"""Return the texts, or refuse a single string, whose letters would be taken for texts.

    Parameters
    ----------
    texts : iterable of str
    name : str
        What they are called in an error.

    Returns
    -------
    iterable of str

    Raises
    ------
    TypeError
        If ``texts`` is a string.
    """
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"{name} must be a list of texts, got one text: {texts[:40]!r}")
    return texts
