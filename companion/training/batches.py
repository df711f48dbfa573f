r"""Batches by number: what is asked for is the same whenever it is asked for.

This file adds: ``Epochs``, all of a data set again and again, each time in a new order, and
``WindowBatches``, pieces drawn from one long text. Both are functions: ``batches(i)`` is batch
number ``i``, drawn from ``(seed, i)`` alone. A run that was interrupted goes on with the batch that
comes next, and need not go through those before. An iterable, such as a list or a ``DataLoader``,
is made into such a function by `numbered`.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion._arguments import _require_int
from companion.data import get_batch

__all__ = ["Batch", "Batches", "Epochs", "Repeated", "WindowBatches", "finite", "moved", "numbered"]

Batch = Any  # a tensor, or a tuple, list or dict of tensors
Batches = Callable[[int], Batch]


class Epochs:
    r"""A data set in batches, epoch after epoch, each in an order of its own.

    Batch ``i`` belongs to epoch ``i // len(epochs)``, whose order is drawn from ``(seed, epoch)``.
    The last batch of an epoch may be smaller.

    Parameters
    ----------
    data : Tensor, tuple of Tensor, or sequence
        Rows of a tensor, or of several that belong together; or anything with a length whose
        items can be asked for by number.
    batch_size : int
        From 1 to the number of items.
    seed : int
        At least 0.
    collate : callable, optional
        Makes a batch of a list of items; by default tensors are stacked, as in PyTorch's
        ``DataLoader``.

    Raises
    ------
    TypeError
        If ``data`` has no length, or a size is no whole number.
    ValueError
        If there is no data, ``batch_size`` is out of range, or tensors differ in length.

    Examples
    --------
    >>> epochs = Epochs(torch.arange(5), batch_size=2, seed=0)
    >>> len(epochs), torch.cat([epochs(i) for i in range(3)]).sort().values
    (3, tensor([0, 1, 2, 3, 4]))
    """

    def __init__(
        self,
        data: Any,
        batch_size: int,
        *,
        seed: int = 0,
        collate: Callable[[list[Any]], Batch] | None = None,
    ):
        self.data, self.collate = data, collate
        self.n = _length(data)
        self.batch_size = _require_int("batch_size", batch_size, least=1, most=self.n)
        self.seed = _require_int("seed", seed, least=0)
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-self.n // self.batch_size)

    def __call__(self, i: int) -> Batch:
        """Return batch number ``i``, from 0."""
        epoch, place = divmod(_require_int("i", i, least=0), len(self))
        start = place * self.batch_size
        return self._take(self._order_of(epoch)[start : start + self.batch_size])

    def _order_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            order = np.random.default_rng((self.seed, epoch)).permutation(self.n)
            self._epoch, self._order = epoch, order
        return self._order

    def _take(self, places: np.ndarray) -> Batch:
        rows = torch.from_numpy(places)
        if self.collate is None and isinstance(self.data, Tensor):
            return self.data[rows]
        if self.collate is None and _is_columns(self.data):
            return tuple(column[rows] for column in self.data)
        if _is_columns(self.data):
            items = [tuple(column[i] for column in self.data) for i in places.tolist()]
        else:
            items = [self.data[i] for i in places.tolist()]
        return (self.collate or torch.utils.data.default_collate)(items)


class WindowBatches:
    r"""Windows of one long row of token ids, each beginning anywhere.

    Parameters
    ----------
    ids : ndarray, memmap or Tensor, shape (n,)
        Token ids.
    batch_size : int
        B, windows a batch.
    length : int
        T, tokens a window; n is at least T + 1.
    seed : int
        At least 0.

    Raises
    ------
    TypeError, ValueError
        As for `companion.data.get_batch`.

    Examples
    --------
    >>> windows = WindowBatches(np.arange(100), batch_size=4, length=8, seed=0)
    >>> inputs, targets = windows(7)  # the same whenever it is asked for
    >>> inputs.shape, torch.equal(targets, inputs + 1), torch.equal(windows(7)[0], inputs)
    (torch.Size([4, 8]), True, True)
    """

    def __init__(self, ids: np.ndarray | Tensor, batch_size: int, length: int, *, seed: int = 0):
        self.ids, self.batch_size, self.length = ids, batch_size, length
        self.seed = _require_int("seed", seed, least=0)
        self(0)  # refuses what is no text, or too short for a window

    def __call__(self, i: int) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of batch number ``i``, both (B, T)."""
        drawn = np.random.SeedSequence((self.seed, _require_int("i", i, least=0)))
        generator = torch.Generator().manual_seed(int(drawn.generate_state(1, np.uint64)[0] >> 1))
        return get_batch(self.ids, self.batch_size, self.length, generator)


class Repeated:
    """The batches of an iterable by number: in its order, again from the start when it ends."""

    def __init__(self, batches: Iterable[Batch]):
        self.batches, self.at = batches, 0
        self.rest: Iterator[Batch] = iter(())

    def __call__(self, i: int) -> Batch:
        """Return batch number ``i``; those before it are made and thrown away."""
        if i < self.at:
            self.rest, self.at = iter(()), 0
        while True:
            batch = next(self.rest, self)  # no batch is this object
            batch = self._from_the_start() if batch is self else batch
            self.at += 1
            if self.at > i:
                return batch

    def _from_the_start(self) -> Batch:
        self.rest = iter(self.batches)
        for batch in self.rest:
            return batch
        raise ValueError(
            f"batches ended after {self.at}, and cannot be gone through again: "
            "give a list, a DataLoader or a function"
        )


def numbered(batches: Batches | Iterable[Batch]) -> Batches:
    """Return batches as a function of their number.

    Parameters
    ----------
    batches : callable or iterable
        An iterable is gone through in its order, and again from the start when it ends. To go on
        after an interruption its first batches are made and thrown away, so its order must be the
        same each time: that of a ``DataLoader`` with ``shuffle=True`` is not, that of `Epochs` is.

    Returns
    -------
    callable

    Raises
    ------
    TypeError
        If it is neither.

    Examples
    --------
    >>> letters = numbered(["a", "b", "c"])
    >>> [letters(i) for i in (0, 1, 2, 3, 7)]
    ['a', 'b', 'c', 'a', 'b']
    """
    if callable(batches):
        return batches
    if isinstance(batches, (Tensor, str, bytes, dict)) or not isinstance(batches, Iterable):
        raise TypeError(
            f"batches must be a function of a number, or a list, got {type(batches).__name__}"
        )
    return Repeated(batches)


def finite(batches: Any) -> Iterable[Batch]:
    """Return batches that end: those of an iterable, or of one epoch.

    Parameters
    ----------
    batches : iterable, or a callable with a length

    Returns
    -------
    iterable

    Raises
    ------
    TypeError
        If they never end, as `WindowBatches` do not.

    Examples
    --------
    >>> len(list(finite(Epochs(torch.arange(5), batch_size=2))))
    3
    """
    if not callable(batches):
        numbered(batches)  # refuses what is no list
        return batches
    if not hasattr(batches, "__len__"):
        raise TypeError(
            "held-out batches must end, as those of a list: [batches(i) for i in range(20)]"
        )
    return (batches(i) for i in range(len(batches)))


def moved(batch: Batch, device: torch.device | str) -> Batch:
    """Return a batch with its tensors on ``device``.

    Parameters
    ----------
    batch : Tensor, or tuple, list or dict of them
        Whatever else it holds stays as it is.
    device : torch.device or str

    Returns
    -------
    The same, elsewhere.

    Examples
    --------
    >>> moved({"ids": torch.ones(2), "language": "en"}, "cpu")
    {'ids': tensor([1., 1.]), 'language': 'en'}
    """
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: moved(part, device) for name, part in batch.items()}
    if isinstance(batch, (tuple, list)):
        return tuple(moved(part, device) for part in batch)
    return batch


def _is_columns(data: Any) -> bool:
    return isinstance(data, tuple) and bool(data) and all(isinstance(x, Tensor) for x in data)


def _length(data: Any) -> int:
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise TypeError(f"data must be a list or a tensor, got {type(data).__name__}")
    lengths = {len(column) for column in data} if _is_columns(data) else {len(data)}
    if len(lengths) > 1:
        raise ValueError(f"data must be tensors of one length, got {sorted(lengths)}")
    (n,) = lengths
    if not n:
        raise ValueError("data is empty: there is nothing to make batches of")
    return int(n)
