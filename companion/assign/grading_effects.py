"""What a call over there does to the arguments that are here: it had copies of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch

__all__ = ["StandIn", "write_back", "swapped"]


class StandIn:
    """Stands for something that is not data, and stays where it was made."""


def write_back(given: list[Any], copies: Any) -> None:
    """Put into arguments what was written into their copies.

    Parameters
    ----------
    given : list
        Positional arguments, those by keyword, and all arrays and tensors that they hold, also
        in models and optimisers.
    copies : list
        The same, as they came back.
    """
    args, kwargs, arrays = copies
    ours = {id(copy): array for array, copy in zip(given[2], arrays, strict=True)}
    for array, copy in zip(given[2], arrays, strict=True):
        _write(array, copy, ours)
    for old, new in zip(given[:2], (args, kwargs), strict=True):
        _merged(old, new, ours)


def _write(old: Any, new: Any, ours: dict[int, Any]) -> None:
    """Write into an array, or into a tensor and its gradient."""
    same_kind = isinstance(new, np.ndarray if isinstance(old, np.ndarray) else torch.Tensor)
    if not same_kind or old.dtype != new.dtype or old.shape != new.shape:
        return
    if isinstance(old, np.ndarray):
        if old.flags.writeable:
            old[...] = new
        return
    if not torch.equal(old, new):  # a tensor that was written to is of no use to older graphs
        with torch.no_grad():
            old.copy_(new)
    if old.is_leaf:
        old.grad = ours.get(id(new.grad), new.grad)
    elif new.grad is not None:
        old.backward(new.grad, retain_graph=True)


def _merged(old: Any, new: Any, ours: dict[int, Any]) -> Any:
    """Return what stands at a place after the call: what is ours, with what was written to it."""
    if id(new) in ours:
        return ours[id(new)]
    if isinstance(old, dict) and isinstance(new, dict):
        merged = {key: _merged(old.get(key), value, ours) for key, value in new.items()}
        old.clear()
        old.update(merged)
        return old
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)):
        places = itertools.zip_longest(old, new)
        merged_items = [_merged(a, b, ours) for a, b in itertools.islice(places, len(new))]
        if isinstance(old, list):
            old[:] = merged_items
        return old
    return old if isinstance(new, StandIn) and old is not None else new


def swapped(value: Any, others: dict[int, Any]) -> Any:
    """Return a value with others in place of some of its tensors."""
    if id(value) in others:
        return others[id(value)]
    if isinstance(value, dict):
        return {key: swapped(item, others) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(swapped(item, others) for item in value)
    return value
