"""How checks read an answer: as it comes, exact or rounded.

One rule holds in every assignment: numbers are exact or rounded to three decimals, and a list, an
array and a tensor are the same, in single precision or double. Checks copy these functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["array", "close", "parts", "text"]


def array(value: Any) -> np.ndarray:
    """Return numbers as an array in double precision, whatever holds them."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", torch.float64).numpy()
    if isinstance(value, (list, tuple)):
        return np.array([array(part) for part in value], dtype=np.float64)
    return np.asarray(value, dtype=np.float64)


def close(value: Any, right: Any, name: str, places: int = 3) -> bool:
    """Tell whether numbers are right, exact or rounded to so many decimals.

    A row or a column does for a list. Numbers that are right but for a coarser rounding get an
    error that says so.
    """
    got, wanted = array(value), array(right)
    if got.shape != wanted.shape:
        got = got.squeeze()
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return False
    far = np.abs(got - wanted) > 0.501 * 10.0**-places + 1e-5 * np.abs(wanted)
    if not far.any():
        return True
    digits = range(1, places)
    rounded = any(np.abs(got - wanted.round(n)).max() < 1e-6 for n in digits)
    assert not rounded, f"{name} is rounded too far: give at least {places} decimals"
    return False


def parts(value: Any, number: int) -> Any:
    """Return the parts of a result, of which there must be so many."""
    found = len(value) if isinstance(value, (tuple, list)) else 1
    assert found == number, f"{number} results should be returned, one after the other, not {found}"
    return value


def text(value: Any) -> str:
    """Return text, also where it comes as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
