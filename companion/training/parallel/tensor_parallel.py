r"""Tensor parallelism: every layer is cut, and each process computes its part of it.

This file adds: a linear map cut by its outputs (column-parallel) or by its inputs
(row-parallel), the two operations that make a whole of the parts, and a whole Transformer block
(Shoeybi et al. 2019, "Megatron-LM", section 3).

The paper writes :math:`Y = XA`; our weights are stored as (out, in), so a column of :math:`A` is a
row of ``weight``. In each layer the first maps are cut by outputs and the last one by inputs: the
hidden features, or the heads, of one process never leave it. Every process gets the same
input, and the outputs are added up: one all-reduce for each layer forward, and one backward.
"""

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.attention import MultiHeadAttention
from companion.layers import FeedForward, Linear, SwiGLU
from companion.training.parallel._checks import _require_no_dropout
from companion.training.parallel.communicator import Communicator
from companion.transformer import Block

__all__ = [
    "copy_to_all",
    "sum_over_all",
    "column_parallel",
    "row_parallel",
    "TensorParallel",
    "tensor_parallel_block",
]


class _CopyToAll(torch.autograd.Function):
    """The paper's f: identity forward, all-reduce backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, communicator: Communicator) -> Tensor:
        ctx.communicator = communicator
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # each process knows what its part asks for
        return ctx.communicator.all_reduce(gradients[0]), None


class _SumOverAll(torch.autograd.Function):
    """The paper's g: all-reduce forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, communicator: Communicator) -> Tensor:
        return communicator.all_reduce(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # everyone has the whole gradient already
        return gradients[0], None


def copy_to_all(
    x: Float[Tensor, "*batch d_model"], communicator: Communicator
) -> Float[Tensor, "*batch d_model"]:
    r"""Return ``x``, which all processes have; its gradient is the sum of all of theirs.

    The paper's :math:`f`.

    Parameters
    ----------
    x : Tensor, shape (..., D)
    communicator : Communicator

    Returns
    -------
    Tensor, shape (..., D)

    Examples
    --------
    >>> copy_to_all(torch.ones(2), Communicator([0], 0))
    tensor([1., 1.])
    """
    return _CopyToAll.apply(x, communicator)


def sum_over_all(
    x: Float[Tensor, "*batch d_model"], communicator: Communicator
) -> Float[Tensor, "*batch d_model"]:
    r"""Return the sum of what all processes have; each part has the gradient of the sum.

    The paper's :math:`g`.

    Parameters
    ----------
    x : Tensor, shape (..., D)
    communicator : Communicator

    Returns
    -------
    Tensor, shape (..., D)

    Examples
    --------
    >>> sum_over_all(torch.ones(2), Communicator([0], 0))
    tensor([1., 1.])
    """
    return _SumOverAll.apply(x, communicator)


def column_parallel(linear: Linear, communicator: Communicator) -> Linear:
    r"""Return the part of a linear map that computes this process's share of the outputs.

    Parameters
    ----------
    linear : Linear
        From :math:`d_{in}` to :math:`d_{out}`. It is copied, and left as it is.
    communicator : Communicator

    Returns
    -------
    Linear
        From :math:`d_{in}` to :math:`d_{out}/n`, with its share of the bias.

    Raises
    ------
    ValueError
        If the number of processes does not divide :math:`d_{out}`.

    Examples
    --------
    >>> column_parallel(Linear(8, 6), Communicator([0, 1], 0))
    Linear(d_in=8, d_out=3, bias=True)
    """
    bias = None if linear.bias is None else _share(linear.bias, 0, "d_out", communicator)
    return _linear(_share(linear.weight, 0, "d_out", communicator), bias)


def row_parallel(linear: Linear, communicator: Communicator) -> Linear:
    r"""Return the part of a linear map that treats this process's share of the inputs.

    Parameters
    ----------
    linear : Linear
        From :math:`d_{in}` to :math:`d_{out}`. It is copied, and left as it is.
    communicator : Communicator

    Returns
    -------
    Linear
        From :math:`d_{in}/n` to :math:`d_{out}`, without a bias: that must be added once, after
        the sum over all processes.

    Raises
    ------
    ValueError
        If the number of processes does not divide :math:`d_{in}`.

    Examples
    --------
    >>> row_parallel(Linear(8, 6), Communicator([0, 1], 0))
    Linear(d_in=4, d_out=6, bias=False)
    """
    return _linear(_share(linear.weight, 1, "d_in", communicator), None)


class TensorParallel(nn.Module):
    r"""One process's part of an attention or feed-forward layer, and what makes a whole of it.

    .. math:: y = g\big(\mathrm{part}(f(x))\big) + b

    Parameters
    ----------
    part : nn.Module
        Its first maps are cut by `column_parallel` and its last one by `row_parallel`.
    bias : Tensor, optional
        Of the last map, shape (D,); every process has the whole of it, and gets its whole gradient.
    communicator : Communicator

    Examples
    --------
    >>> TensorParallel(Linear(8, 8, bias=False), None, Communicator([0], 0))(torch.ones(2, 8)).shape
    torch.Size([2, 8])
    """

    def __init__(self, part: nn.Module, bias: Tensor | None, communicator: Communicator) -> None:
        super().__init__()
        self.part, self.communicator = part, communicator
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def forward(
        self, x: Float[Tensor, "*batch d_model"], **options: Any
    ) -> Float[Tensor, "*batch d_model"]:
        """Map (..., D) to (..., D); ``options`` are passed on to the part."""
        if options.get("return_weights"):
            raise ValueError("return_weights must be False: a process has only its own heads")
        y = self.part(copy_to_all(x, self.communicator), **options)  # this process's share
        y = sum_over_all(y, self.communicator)
        return y if self.bias is None else y + self.bias


def tensor_parallel_block(block: Block, communicator: Communicator) -> Block:
    r"""Return this process's part of a Transformer block.

    Norms and residual connections are computed by every process, on the same numbers; so their
    parameters have the same, whole gradients everywhere.

    Parameters
    ----------
    block : Block
        Of `MultiHeadAttention` and `FeedForward` or `SwiGLU`. It is copied, and left as it is.
    communicator : Communicator

    Returns
    -------
    Block
        What it returns is what the whole block returns, in every process.

    Raises
    ------
    TypeError
        If the block has other layers.
    ValueError
        If the number of processes does not divide the heads or the hidden features, the block has
        dropout, which would have to be drawn alike by all for some features and not for others,
        or normalises queries and keys, with parameters that all heads share.

    Examples
    --------
    >>> block = Block(MultiHeadAttention(8, n_heads=4), FeedForward(8))
    >>> part = tensor_parallel_block(block, Communicator([0, 1], 1))
    >>> part.attention.layer.part.n_heads, part.feed_forward.layer.part.expand
    (2, Linear(d_in=8, d_out=16, bias=True))
    """
    _require_block(block)
    part = copy.deepcopy(block)
    part.attention.layer = _attention(part.attention.layer, communicator)  # type: ignore[arg-type]
    part.feed_forward.layer = _feed_forward(part.feed_forward.layer, communicator)
    return part


def _attention(layer: MultiHeadAttention, communicator: Communicator) -> TensorParallel:
    """Keep this process's heads: their rows of W^Q, W^K and W^V, and their columns of W^O."""
    for name, n_heads in (("n_heads", layer.n_heads), ("n_kv_heads", layer.n_kv_heads)):
        setattr(layer, name, _divided(n_heads, name, communicator))
    for name in ("w_q", "w_k", "w_v"):
        setattr(layer, name, column_parallel(getattr(layer, name), communicator))
    bias, layer.w_o = layer.w_o.bias, row_parallel(layer.w_o, communicator)
    return TensorParallel(layer, bias, communicator)


def _feed_forward(layer: nn.Module, communicator: Communicator) -> TensorParallel:
    """Keep this process's hidden features."""
    gated = isinstance(layer, SwiGLU)
    *first, last = ("w_gate", "w_up", "w_down") if gated else ("expand", "contract")
    for name in first:
        setattr(layer, name, column_parallel(getattr(layer, name), communicator))
    whole = getattr(layer, last)
    setattr(layer, last, row_parallel(whole, communicator))
    return TensorParallel(layer, whole.bias, communicator)


def _share(whole: Tensor, dim: int, name: str, communicator: Communicator) -> Tensor:
    """Return this process's part of a parameter, cut along one dimension."""
    length = _divided(whole.shape[dim], name, communicator)
    return whole.detach().narrow(dim, communicator.rank * length, length)


def _divided(number: int, name: str, communicator: Communicator) -> int:
    if number % communicator.size:
        raise ValueError(f"{name} must be divisible by {communicator.size} processes, got {number}")
    return number // communicator.size


def _linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """Make a layer of copies of these parameters."""
    linear = Linear(weight.shape[1], weight.shape[0], bias is not None)
    linear.weight = nn.Parameter(weight.clone())
    linear.bias = None if bias is None else nn.Parameter(bias.clone())
    return linear


def _require_block(block: Block) -> None:
    if not isinstance(block, Block):
        raise TypeError(f"block must be a Block, got {type(block).__name__}")
    attention, feed_forward = block.attention.layer, block.feed_forward.layer
    if not isinstance(attention, MultiHeadAttention):
        raise TypeError(f"block must have MultiHeadAttention, got {type(attention).__name__}")
    if not isinstance(feed_forward, FeedForward | SwiGLU):
        got = type(feed_forward).__name__
        raise TypeError(f"block must have a FeedForward or a SwiGLU, got {got}")
    if not isinstance(attention.q_norm, nn.Identity):
        raise ValueError("block must not normalise queries and keys (qk_norm)")
    _require_no_dropout(block, "block")
