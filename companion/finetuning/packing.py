r"""Packing: several short examples in one row, none of which sees another.

Padding fills the rows of a batch up to the longest one, and the model computes all of it for
nothing. Packed rows hold several examples one after the other instead. Two things make them what
they would be alone: each example's positions begin at 0 again, and a mask hides from every token
all that does not belong to its own example (Krell et al. 2021, section 3.2).

This file adds: ``first_fit``, which example comes into which row; ``pack_examples``, which makes a
batch; and ``packed_mask``.

Shape letters: ``B`` rows, ``T`` tokens.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from jaxtyping import Bool, Int64, Integer
from torch import Tensor

from companion._arguments import _require_int, _require_ordered
from companion._tensors import _require_whole_numbers
from companion.finetuning.instructions import Example, _require_examples, pad_examples

__all__ = ["first_fit", "packed_mask", "pack_examples"]


def first_fit(lengths: Iterable[int], capacity: int) -> list[list[int]]:
    r"""Say which examples share a row: the longest first, each into the first row with room.

    This needs at most 11/9 of the smallest possible number of rows, and 6/9 of a row more (Dósa
    2007). To find the smallest number is NP-hard.

    Parameters
    ----------
    lengths : iterable of int
        Tokens of each example, at least 1 and at most ``capacity``.
    capacity : int
        Tokens that a row holds.

    Returns
    -------
    list of list of int
        For each row the numbers of its examples, each number once.

    Raises
    ------
    ValueError
        If there is no example, or a length is out of range.
    TypeError
        If a number is not whole.

    Examples
    --------
    >>> first_fit([3, 5, 2, 4], capacity=7)
    [[1, 2], [3, 0]]
    """
    capacity = _require_int("capacity", capacity, least=1)
    given = [
        _require_int("each of lengths", n, 1, capacity)
        for n in _require_ordered(lengths, "lengths")
    ]
    if not given:
        raise ValueError("lengths must hold at least one length, got none")
    rows: list[list[int]] = []
    room: list[int] = []
    for i in sorted(range(len(given)), key=lambda i: -given[i]):
        row = next((r for r, free in enumerate(room) if free >= given[i]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(capacity)
        rows[row].append(i)
        room[row] -= given[i]
    return rows


def packed_mask(numbers: Integer[Tensor, "batch length"]) -> Bool[Tensor, "batch length length"]:
    r"""Let each token see its own example alone.

    Parameters
    ----------
    numbers : Tensor of int, shape (B, T)
        Which example of the row a token belongs to.

    Returns
    -------
    Tensor of bool, shape (B, T, T)
        Blocks on the diagonal. That no token sees a later one is the model's own mask.

    Raises
    ------
    ValueError
        If ``numbers`` has other dimensions.
    TypeError
        If they are not whole.

    Examples
    --------
    >>> packed_mask(torch.tensor([[1, 1, 2]])).int()
    tensor([[[1, 1, 0],
             [1, 1, 0],
             [0, 0, 1]]], dtype=torch.int32)
    """
    _require_whole_numbers(numbers=numbers)
    if numbers.ndim != 2:
        raise ValueError(f"numbers must be (batch, length), got shape {tuple(numbers.shape)}")
    return numbers[:, :, None] == numbers[:, None, :]


def pack_examples(
    rows: Sequence[Sequence[Example]], pad_id: int
) -> tuple[
    Int64[Tensor, "batch length"],
    Bool[Tensor, "batch length length"],
    Int64[Tensor, "batch length"],
    Int64[Tensor, "batch length"],
]:
    r"""Make a batch of rows of several examples each.

    Parameters
    ----------
    rows : list of lists of Example
        Such as ``[[examples[i] for i in row] for row in first_fit(lengths, capacity)]``.
    pad_id : int
        What shorter rows are filled up with, on the right.

    Returns
    -------
    ids : Tensor of int64, shape (B, T)
    mask : Tensor of bool, shape (B, T, T)
        As `packed_mask` gives it; padding sees only padding.
    positions : Tensor of int64, shape (B, T)
        From 0 at the first token of each example; 0 for padding.
    targets : Tensor of int64, shape (B, T)
        The last input of an example has its own target, never the first token of the next one.

    Raises
    ------
    ValueError
        If there is no row, or one has no example, or an example is empty.
    TypeError
        If ``pad_id`` is no whole number.

    Examples
    --------
    >>> rows = [[Example([5, 6], [-100, 7]), Example([8], [9])]]
    >>> ids, mask, positions, targets = pack_examples(rows, pad_id=0)
    >>> ids, positions, targets
    (tensor([[5, 6, 8]]), tensor([[0, 1, 0]]), tensor([[-100,    7,    9]]))
    """
    parts = [_require_examples(row) for row in _require_ordered(rows, "rows")]
    joined = [_joined(row) for row in parts]
    ids, _, _, targets = pad_examples(joined, pad_id)
    numbers, positions = torch.zeros_like(ids), torch.zeros_like(ids)
    for i, row in enumerate(parts):
        lengths = torch.tensor([len(example.inputs) for example in row])
        n = int(lengths.sum())
        numbers[i, :n] = torch.repeat_interleave(torch.arange(1, len(row) + 1), lengths)
        positions[i, :n] = torch.cat([torch.arange(int(length)) for length in lengths])
    return ids, packed_mask(numbers), positions, targets


def _joined(row: list[Example]) -> Example:
    """Return several examples as one."""
    inputs, targets = zip(*row, strict=True)
    return Example(list(chain.from_iterable(inputs)), list(chain.from_iterable(targets)))
