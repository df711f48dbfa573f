"""The product of a linear map, by the library that computes it soonest.

PyTorch gives products of matrices to MKL and convolutions to oneDNN. MKL takes the widest
instructions that a processor has, AVX-512, only if Intel made it; oneDNN takes them on any. So on
other processors a linear map of 32-bit numbers takes about half the time if it is written as what
it also is: a convolution whose kernel is one position wide.
"""

import functools
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

PARTS = 16  # PyTorch gives a convolution to oneDNN, on one core, from this batch size on
LEAST = 2**22  # multiplications; below, what a convolution has to set up costs more than it saves
PLAIN = (Tensor, torch.nn.Parameter)  # one that is spread over processes has a type of its own


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x Wᵀ + b, which ``F.linear`` gives, for x of shape (..., d_in)."""
    if not _convolution_pays(x, weight):
        return F.linear(x, weight, bias)
    rows = x.reshape(PARTS, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)  # (16, d_in, 1, n / 16)
    y = F.conv2d(rows, weight.view(*weight.shape, 1, 1), bias)  # (16, d_out, 1, n / 16)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], len(weight))


def _convolution_pays(x: Tensor, weight: Tensor) -> bool:
    """Say yes to plain tensors of 32 bits, many rows in equal parts, where MKL is held back."""
    if torch.compiler.is_compiling() or not _mkl_is_held_back():
        return False
    d_out, d_in = weight.shape
    n_rows = x.numel() // d_in
    if n_rows * d_in * d_out < LEAST or n_rows % PARTS:
        return False
    plain = type(x) is Tensor and type(weight) in PLAIN and x.is_cpu and weight.is_cpu
    return plain and x.dtype == weight.dtype == torch.float32


@functools.cache
def _mkl_is_held_back() -> bool:
    """Say whether the processor has AVX-512 and is not Intel's, as far as Linux tells."""
    backends = torch.backends
    if backends.cpu.get_cpu_capability() != "AVX512":
        return False
    if not (backends.mkl.is_available() and backends.mkldnn.is_available()):
        return False
    described = Path("/proc/cpuinfo")
    return described.exists() and "GenuineIntel" not in described.read_text(encoding="utf-8")
