r"""What merging costs: the same function, computed in another order, and rounded otherwise.

This file adds: ``merge_error``, which measures it in a given format, and ``MergeError``, what it
has measured.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion.finetuning.lora import LoRALinear
from companion.finetuning.quantised import NF4Linear
from companion.layers._checks import _require_features

__all__ = ["MergeError", "merge_error"]

NF4 = "nf4"


@dataclass(frozen=True)
class MergeError:
    """How far apart a layer is before and after merging."""

    output: float
    """Largest difference of two outputs, as a share of the largest output before merging."""
    weight: float
    """What merging and unmerging have changed of the matrix, at most, as a share of its largest."""


@torch.no_grad()
def merge_error(
    layer: LoRALinear, x: Float[Tensor, "*batch d_in"], form: torch.dtype | str
) -> MergeError:
    r"""Measure what merging changes in a format.

    Before merging, :math:`x W^\top + s\,(x A^\top) B^\top` is rounded where it is computed. After
    merging, :math:`W + s B A` is rounded once for all: a change that is small beside the step of
    :math:`W` is lost.

    Parameters
    ----------
    layer : LoRALinear
        Not merged. It stays as it is; a copy is converted.
    x : Tensor, shape (..., d_in)
    form : torch.dtype or "nf4"
        Format of everything; or ``"nf4"``, in which the matrix is kept in 4 bits (`NF4Linear`), and
        all else in float32.

    Returns
    -------
    MergeError

    Raises
    ------
    ValueError
        If the layer is merged, or ``form`` is no format.
    TypeError
        If ``layer`` is none, or its matrix is kept in 4 bits already.

    Examples
    --------
    >>> from companion.layers import Linear
    >>> layer = LoRALinear(Linear(64, 64), rank=2)
    >>> merge_error(layer, torch.ones(1, 64), torch.float32)  # B is still 0
    MergeError(output=0.0, weight=0.0)
    """
    _require_plain(layer, x, form)
    copy = _in_form(layer, form).eval()
    x = x.to(copy.lora_A.dtype)
    weight, before = _weight(copy), copy(x)
    copy.merge()
    after = copy(x)
    copy.unmerge()
    return MergeError(_off(after, before), _off(_weight(copy), weight))


def _weight(layer: LoRALinear) -> Tensor:
    return layer.base.weight.detach().clone()


def _off(value: Tensor, expected: Tensor) -> float:
    """Return the largest difference as a share of the largest number; 0 where all are 0."""
    value, expected = value.double(), expected.double()
    largest = float(expected.abs().max())
    return float((value - expected).abs().max()) / largest if largest else 0.0


def _in_form(layer: LoRALinear, form: torch.dtype | str) -> LoRALinear:
    """Return a copy in a format."""
    copy = deepcopy(layer)
    if isinstance(form, torch.dtype):
        return copy.to(form)
    copy = copy.to(torch.float32)
    copy.base = NF4Linear(copy.base)
    return copy


def _require_plain(layer: Any, x: Any, form: Any) -> None:
    if not isinstance(layer, LoRALinear):
        raise TypeError(f"layer must be a LoRALinear, got {type(layer).__name__}")
    if isinstance(layer.base, NF4Linear):
        raise TypeError("layer must have a matrix of floating-point numbers, got one of 4 bits")
    if layer.merged:
        raise ValueError("layer must not be merged: call layer.unmerge() first")
    if form != NF4 and not (isinstance(form, torch.dtype) and form.is_floating_point):
        raise ValueError(f"form must be a floating-point dtype or {NF4!r}, got {form!r}")
    _require_features(x, layer.lora_A.shape[1])
