"""What the modules of this folder ask of tensors, said in one way.

Modules of this folder share this file, and nobody else needs it.
"""

import math
from typing import Any

import torch
from torch import Tensor

from companion._arguments import _require_int, _require_number
from companion._tensors import _require_floats, _require_tensors, _require_whole_numbers

#: What is taken off a reward, what advantages are divided by, what has a ratio, and which mean.
BASELINES = ("none", "mean", "leave_one_out")
SCALES = ("std", "none")
LEVELS = ("token", "sequence")
REDUCTIONS = ("sequence_mean", "token_mean", "fixed_length")


def _require_alike(**tensors: Tensor) -> None:
    """Refuse what is no floating-point tensor, is empty, or has another shape than the first."""
    _require_floats(**tensors)
    (first, wanted), *rest = tensors.items()
    if not wanted.numel():
        raise ValueError(f"{first} must not be empty, got shape {tuple(wanted.shape)}")
    for name, tensor in rest:
        if tensor.shape != wanted.shape:
            raise ValueError(
                f"{name} must have the shape of {first}, {tuple(wanted.shape)}; "
                f"got {tuple(tensor.shape)}"
            )


def _require_finite(**tensors: Tensor) -> None:
    """Refuse infinity and what is not a number."""
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            wrong = tensor[~torch.isfinite(tensor)].flatten()[0].item()
            raise ValueError(f"{name} must be finite, got {wrong}")


def _require_vector(name: str, x: Any, least: int = 1) -> None:
    """Refuse what is not one row of finite numbers."""
    _require_floats(**{name: x})
    if x.ndim != 1 or len(x) < least:
        raise ValueError(f"{name} must be ({least} or more,), got shape {tuple(x.shape)}")
    _require_finite(**{name: x})


def _require_above(name: str, value: Any, least: float = 0.0) -> float:
    """Return a finite number above another."""
    if not least < _require_number(name, value) < math.inf:
        raise ValueError(f"{name} must be finite and above {least:g}, got {value}")
    return float(value)


def _require_from(name: str, value: Any, least: float, most: float) -> float:
    """Return a number of a closed range."""
    if not least <= _require_number(name, value) <= most:
        raise ValueError(f"{name} must be from {least:g} to {most:g}, got {value}")
    return float(value)


def _require_choice(name: str, value: Any, known: tuple[str, ...]) -> str:
    """Return one of the words that are known."""
    if value not in known:
        raise ValueError(f"{name} must be one of {known}, got {value!r}")
    return str(value)


def _require_answer(mask: Any, like: Tensor, name: str = "mask") -> None:
    """Refuse a mask that does not say of each token whether it counts, or leaves a row empty."""
    _require_tensors(**{name: mask})
    if mask.dtype != torch.bool:
        raise TypeError(f"{name} must be boolean, got {mask.dtype}")
    if mask.shape != like.shape or mask.ndim != 2:
        raise ValueError(
            f"{name} must be (batch, length), {tuple(like.shape)}; got {tuple(mask.shape)}"
        )
    empty = ~mask.any(dim=1)
    if bool(empty.any()):
        raise ValueError(
            f"{name} must leave a token in each row, got none in row {int(empty.nonzero()[0])}"
        )


def _require_places(name: str, places: Any, n: int) -> None:
    """Refuse what is not one row of whole numbers from 0 to n - 1."""
    _require_whole_numbers(**{name: places})
    if places.ndim != 1 or not len(places):
        raise ValueError(f"{name} must be (1 or more,), got shape {tuple(places.shape)}")
    low, high = int(places.min()), int(places.max())
    if low < 0 or high >= n:
        raise ValueError(f"{name} must be from 0 to {n - 1}, got {low} to {high}")


def _require_reduction(reduction: Any, length: int | None) -> None:
    """Refuse an unknown mean, and a length where none is meant, or none where one is."""
    _require_choice("reduction", reduction, REDUCTIONS)
    if (length is None) == (reduction == "fixed_length"):
        raise ValueError(
            f'length must be given for "fixed_length" and for nothing else, got {length} for '
            f"{reduction!r}"
        )
    if length is not None:
        _require_int("length", length, least=1)
