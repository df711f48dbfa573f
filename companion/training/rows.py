r"""Rows of a batch, and which process has which.

This file adds: `shard`, the rows on which a process trains; `rows_to_evaluate`; and `digest`, by
which processes see that they have the same batch. One process has all rows.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from companion.training.processes import world

__all__ = ["digest", "rows_to_evaluate", "shard"]


def shard(batch: Any) -> Any:
    """Return the rows of a batch that this process trains on.

    Each process makes the whole batch, and takes its part: neighbours, as many as the others or
    one more.

    Parameters
    ----------
    batch : Tensor, or tuple, list or dict of them
        With as many rows in each tensor. What is no tensor, or a single number, every process has.

    Returns
    -------
    The same kind, with this process's rows.

    Raises
    ------
    ValueError
        If there are fewer rows than processes, or tensors have different numbers of them.

    Examples
    --------
    >>> shard(torch.arange(3))
    tensor([0, 1, 2])
    """
    rank, size = world()
    if size == 1:
        return batch
    rows = _rows(batch)
    if rows < size:
        raise ValueError(
            f"a batch must have a row for each of {size} processes, got {rows}: "
            "take larger batches, or fewer processes"
        )
    return _cut(batch, slice(rows * rank // size, rows * (rank + 1) // size))


def rows_to_evaluate(batch: Any) -> tuple[Any, bool]:
    """Return the rows of a held-out batch for this process, and whether they count.

    The last batch of an epoch may have fewer rows than there are processes. Those for whom
    nothing is left get the first row, too: parts of the model that lie on several processes are
    computed by all of them or by none.

    Parameters
    ----------
    batch : Tensor, or tuple, list or dict of them

    Returns
    -------
    batch, bool

    Raises
    ------
    ValueError
        If tensors have different numbers of rows, or none.

    Examples
    --------
    >>> rows_to_evaluate(torch.arange(3))
    (tensor([0, 1, 2]), True)
    """
    rank, size = world()
    if size == 1 or (rows := _rows(batch)) >= size:
        return shard(batch), True
    counts = rank < rows
    first = rank if counts else 0
    return _cut(batch, slice(first, first + 1)), counts


def digest(batch: Any) -> str:
    """Return a text that two batches share if their tensors are the same.

    Parameters
    ----------
    batch : Tensor, or tuple, list or dict of them

    Returns
    -------
    str
        16 hexadecimal digits.

    Examples
    --------
    >>> digest(torch.tensor([1, 2])) == digest(torch.tensor([1, 2])) != digest(torch.tensor([1, 3]))
    True
    """
    found = hashlib.sha256()
    for tensor in _tensors(batch):
        found.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
        flat = tensor.detach().cpu().reshape(-1)
        found.update(flat.contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _rows(batch: Any) -> int:
    found = sorted({len(tensor) for tensor in _tensors(batch) if tensor.ndim})
    if len(found) != 1 or found == [0]:
        raise ValueError(
            "the tensors of a batch must have the same number of rows, at least 1, to be split "
            f"between processes; got {found or 'no tensor'}"
        )
    return found[0]


def _tensors(batch: Any) -> Iterator[Tensor]:
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, (dict, tuple, list)):
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from _tensors(part)


def _cut(batch: Any, part: slice) -> Any:
    if isinstance(batch, Tensor):
        return batch[part] if batch.ndim else batch
    if isinstance(batch, dict):
        return {name: _cut(each, part) for name, each in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(_cut(each, part) for each in batch)
    return batch
