r"""Out of memory: what did not fit, and what to change, in place of an allocator's message.

This file adds: ``OutOfMemory`` and `explained`, which raises it.
"""

import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

__all__ = ["OutOfMemory", "explained"]

# How allocators without an exception of their own say it: that of the CPU, and Apple's.
SIGNS = ("can't allocate memory", "not enough memory", "out of memory")


class OutOfMemory(MemoryError):
    """A step did not fit into the memory of the device; the message says what to reduce."""


@contextlib.contextmanager
def explained(batch: Any, accumulate: int | None, precision: str) -> Iterator[None]:
    """Raise `OutOfMemory` in place of what an allocator raises.

    Parameters
    ----------
    batch : Tensor, or tuple, list or dict of them
        What the model was given.
    accumulate : int, optional
        Micro-batches a step; None where the model is only evaluated.
    precision : str

    Returns
    -------
    contextlib.AbstractContextManager
        For a ``with`` block.

    Examples
    --------
    >>> with explained(torch.zeros(8, 128), 2, "float32"):  # doctest: +ELLIPSIS
    ...     raise RuntimeError("CUDA out of memory")
    Traceback (most recent call last):
    companion.training.memory.OutOfMemory: a micro-batch of shape (8, 128) does not fit ...
    """
    try:
        yield
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        # The frames hold the activations, which would stay as long as the error is looked at.
        traceback.clear_frames(error.__traceback__)
        raise OutOfMemory(_advice(batch, accumulate, precision)) from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    # PyTorch before 2.5 has only the name under torch.cuda.
    kind = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
    return isinstance(error, kind) or any(sign in str(error) for sign in SIGNS)


def _advice(batch: Any, accumulate: int | None, precision: str) -> str:
    lower = " Or try precision='bfloat16'." if precision == "float32" else ""
    if accumulate is None:
        return (
            f"a held-out batch of shape {_shapes(batch)} does not fit into memory, with "
            f"precision={precision!r}. Evaluate smaller batches: the mean over all targets is the "
            f"same.{lower}"
        )
    return (
        f"a micro-batch of shape {_shapes(batch)} does not fit into memory, "
        f"with accumulate={accumulate} and precision={precision!r}. Halve the batch and set "
        f"accumulate={2 * accumulate}: it is the same step, in half of the memory for "
        f"activations.{lower} If a batch of one row does not fit, make texts or model smaller."
    )


def _shapes(batch: Any) -> str:
    if isinstance(batch, Tensor):
        return str(tuple(batch.shape))
    parts = list(batch.values()) if isinstance(batch, dict) else batch
    shapes = [str(tuple(part.shape)) for part in parts if isinstance(part, Tensor)]
    return ", ".join(dict.fromkeys(shapes))
