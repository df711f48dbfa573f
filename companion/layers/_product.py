"""The product of a linear map, by the library that computes it soonest.

PyTorch gives products of matrices to MKL, which uses the widest instructions of a processor,
AVX-512, only if Intel made it. oneDNN, which comes with PyTorch too, uses them on any. So on other
processors it needs about half the time for products of 32-bit numbers.
"""

import functools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import functional as F

LEAST = 2**20  # multiplications; below, what oneDNN has to set up costs more than it saves
PLAIN = (Tensor, torch.nn.Parameter)  # one that is spread over processes has a type of its own


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Wᵀ + b, which ``F.linear`` gives, for x of shape (..., d_in)."""
    if not _onednn_pays(x, weight):
        return F.linear(x, weight, bias)
    product = _Product.apply if torch.is_grad_enabled() else _product
    return product(x, weight, bias)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Call the operator that ``torch.compile`` writes for a linear map."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


class _Product(torch.autograd.Function):
    """The same with derivatives, of any order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        rows, slopes = x.flatten(0, -2), slope.flatten(0, -2)  # (n, d_in), (n, d_out)
        return (
            _linear(slope, weight.T) if of_x else None,
            _linear(slopes.T, rows.T) if of_weight else None,
            slopes.sum(0) if of_bias else None,
        )


def _onednn_pays(x: Tensor, weight: Tensor) -> bool:
    """Say yes to many plain numbers of 32 bits on a processor that MKL does not use in full."""
    if torch.compiler.is_compiling() or not _mkl_is_held_back():
        return False
    if x.ndim < 2 or x.numel() * len(weight) < LEAST:
        return False
    plain = type(x) is Tensor and type(weight) in PLAIN and x.is_cpu and weight.is_cpu
    return plain and x.dtype == weight.dtype == torch.float32 and not _is_watched()


def _is_watched() -> bool:
    """Say whether PyTorch recasts, counts, maps or differentiates operators as they are called."""
    return (
        torch.is_autocast_enabled("cpu")
        or torch._C._len_torch_dispatch_stack() > 0
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


@functools.cache
def _mkl_is_held_back() -> bool:
    """Say whether the processor has AVX-512 and is not Intel's, as far as Linux tells."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    if not (torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()):
        return False
    if not hasattr(torch.amp, "is_autocast_available"):  # before PyTorch 2.4
        return False
    described = Path("/proc/cpuinfo")
    return described.exists() and "GenuineIntel" not in described.read_text(encoding="utf-8")
