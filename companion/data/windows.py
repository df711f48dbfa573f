r"""Windows: pieces of one long row of token ids, and the same pieces one token further on.

A language model learns to say at each place what comes next, so the targets y are the inputs x
moved by one. The ids may stand in a file (``numpy.memmap``) that is larger than the memory: only
what a window covers is read.
"""

import operator
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from companion._arguments import _require_generator, _require_int

__all__ = ["Windows", "get_batch"]

Device = torch.device | str | None


def get_batch(
    ids: np.ndarray | Tensor,
    batch_size: int,
    length: int,
    generator: torch.Generator | None = None,
    device: Device = None,
) -> tuple[Int64[Tensor, "{batch_size} {length}"], Int64[Tensor, "{batch_size} {length}"]]:
    r"""Draw windows that begin anywhere, for one step of training.

    Parameters
    ----------
    ids : ndarray, memmap or Tensor, shape (n,)
        Token ids, of any type of whole numbers; ``uint16`` is enough for 65,536 tokens.
    batch_size : int
        How many windows. Each is drawn by itself, so that one may come twice.
    length : int
        How many tokens a window has; n must be at least one more.
    generator : torch.Generator, optional
        Where chance comes from, on the CPU; by default PyTorch's own.
    device : torch.device or str, optional
        Where x and y shall be; by default the CPU, or where ``ids`` is.

    Returns
    -------
    x, y : Tensor of int64, shape (batch_size, length)
        ``y[:, t]`` is the token after ``x[:, t]``.

    Raises
    ------
    ValueError
        If ``ids`` is too short or has other dimensions, or a size is not above 0.
    TypeError
        If ``ids`` holds no whole numbers, or ``generator`` is a seed.

    Examples
    --------
    >>> x, y = get_batch(np.arange(100, dtype=np.uint16), batch_size=4, length=8)
    >>> x.shape, torch.equal(y, x + 1)
    (torch.Size([4, 8]), True)
    """
    _require_ids(ids, length := _require_int("length", length, least=1))
    batch_size = _require_int("batch_size", batch_size, least=1)
    if generator is not None:
        _require_generator("generator", generator, torch.Generator)
    starts = torch.randint(len(ids) - length, (batch_size,), generator=generator)
    return _pairs(ids, starts, length, device)


class Windows:
    r"""Windows that follow one another, for measuring a loss on all of a text.

    They begin at 0, S, 2S, … for the stride S, as long as a whole window and the token after it
    are there: of n ids the last up to S are not covered. ``len`` says how many windows there
    are, ``windows[i]`` gives one, a loop all of them. It is a data set as
    ``torch.utils.data.DataLoader`` takes it.

    Parameters
    ----------
    ids : ndarray, memmap or Tensor, shape (n,)
        Token ids, of any type of whole numbers.
    length : int
        How many tokens a window has; n must be at least one more.
    stride : int, optional
        How far apart windows begin; by default as far as they are long, so that each token is
        a target once. With less they overlap.

    Raises
    ------
    ValueError
        If ``ids`` is too short or has other dimensions, or a size is not above 0.
    TypeError
        If ``ids`` holds no whole numbers.

    Examples
    --------
    >>> windows = Windows(np.arange(10), length=4, stride=3)
    >>> [x.tolist() for x, y in windows]
    [[0, 1, 2, 3], [3, 4, 5, 6]]
    >>> windows[-1][1]
    tensor([4, 5, 6, 7])
    """

    def __init__(self, ids: np.ndarray | Tensor, length: int, stride: int | None = None):
        _require_ids(ids, length := _require_int("length", length, least=1))
        stride = length if stride is None else _require_int("stride", stride, least=1)
        self.ids, self.length, self.stride = ids, length, stride
        self._starts = range(0, len(ids) - length, stride)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} of {self.length} tokens, stride {self.stride})"

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, index: int) -> tuple[Int64[Tensor, " length"], Int64[Tensor, " length"]]:
        r"""Return one window.

        Parameters
        ----------
        index : int
            From 0; or from −1 backwards.

        Returns
        -------
        x, y : Tensor of int64, shape (length,)

        Raises
        ------
        IndexError
            If there is no such window.
        """
        number = operator.index(index)
        if not -len(self) <= number < len(self):
            raise IndexError(f"index must be below the number of windows, {len(self)}, got {index}")
        x, y = _pairs(self.ids, torch.tensor([self._starts[number]]), self.length, None)
        return x[0], y[0]


def _require_ids(ids: Any, length: int) -> None:
    if not isinstance(ids, (np.ndarray, Tensor)):
        raise TypeError(f"ids must be an array or a tensor, got {type(ids).__name__}")
    if ids.ndim != 1:
        raise ValueError(f"ids must have one dimension, got shape {tuple(ids.shape)}")
    kind = ids.dtype.name if isinstance(ids, np.ndarray) else str(ids.dtype)[len("torch.") :]
    if not kind.startswith(("int", "uint")):
        raise TypeError(f"ids must be whole numbers, got {kind}")
    if len(ids) < length + 1:
        raise ValueError(
            f"ids must hold at least {length + 1} tokens, one more than a window; got {len(ids)}"
        )


def _pairs(ids: Any, starts: Tensor, length: int, device: Device) -> tuple[Tensor, Tensor]:
    """Read the windows that begin there, and only these."""
    places = starts[:, None] + torch.arange(length + 1)  # (batch, length + 1)
    if isinstance(ids, Tensor):
        rows = ids[places.to(ids.device)].long()
    else:
        rows = torch.from_numpy(ids[places.numpy()].astype(np.int64))
    rows = rows if device is None else rows.to(device)
    # Copies: in views, tokens that are masked in x would be masked in y, too.
    x = rows[:, :-1].clone(memory_format=torch.contiguous_format)
    y = rows[:, 1:].clone(memory_format=torch.contiguous_format)
    return x, y
