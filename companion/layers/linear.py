r"""Linear maps and tables of vectors.

This file adds: ``Linear`` and ``Embedding``, which is a linear map of one-hot vectors.
"""

import math

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from companion._arguments import _require_flag
from companion._tensors import _require_ids, _require_sizes
from companion.layers._checks import _require_features
from companion.layers._product import _linear

__all__ = ["Linear", "Embedding"]


class Linear(nn.Module):
    r"""Affine map of the last dimension, :math:`y = x W^\top + b`.

    The weight is stored as (out, in), as in ``torch.nn.Linear``, so that checkpoints fit.
    Both parameters start uniform in :math:`\pm 1/\sqrt{d_{in}}`.

    Parameters
    ----------
    d_in, d_out : int
        Number of input and output features.
    bias : bool
        Whether to add :math:`b`.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> Linear(4, 2)(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, d_in: int, d_out: int, bias: bool = True) -> None:
        super().__init__()
        _require_sizes(d_in=d_in, d_out=d_out)
        _require_flag("bias", bias)
        bound = 1 / math.sqrt(d_in)
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        d_out, d_in = self.weight.shape
        return f"d_in={d_in}, d_out={d_out}, bias={self.bias is not None}"

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Map (..., d_in) to (..., d_out)."""
        _require_features(x, self.weight.shape[1])
        # What `x @ self.weight.T + self.bias` gives, product and sum in one pass.
        return _linear(x, self.weight, self.bias)


class Embedding(nn.Module):
    r"""A table of vectors, one row for each token id.

    Looking up row :math:`i` equals multiplying a one-hot vector by the table.

    Parameters
    ----------
    vocab_size : int
        Number of rows.
    d_model : int
        Length of each row.

    Raises
    ------
    ValueError
        If a size is below 1, or an id is not from 0 to ``vocab_size`` − 1.
    TypeError
        If ids are not whole numbers.

    Examples
    --------
    >>> Embedding(10, 4)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, vocab_size: int, d_model: int) -> None:
        super().__init__()
        _require_sizes(vocab_size=vocab_size, d_model=d_model)
        self.weight = nn.Parameter(torch.randn(vocab_size, d_model))

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        vocab_size, d_model = self.weight.shape
        return f"vocab_size={vocab_size}, d_model={d_model}"

    def forward(self, ids: Integer[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Map ids (...) to vectors (..., d_model)."""
        _require_ids("ids", ids, len(self.weight))
        # What `self.weight[ids]` gives; its gradient is computed many times sooner.
        return F.embedding(ids.long(), self.weight)
