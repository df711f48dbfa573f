r"""A whole Transformer block under tensor parallelism (Shoeybi et al. 2019, figure 3).

This file adds ``tensor_parallel_block``: of the attention layer each process keeps some heads, of
the feed-forward layer some hidden features.
"""

import copy

from torch import nn

from companion.attention import MultiHeadAttention
from companion.layers import FeedForward, SwiGLU
from companion.training.parallel._checks import _require_no_dropout
from companion.training.parallel.communicator import Communicator
from companion.training.parallel.tensor_parallel import (
    TensorParallel,
    _divided,
    column_parallel,
    row_parallel,
)
from companion.transformer import Block

__all__ = ["tensor_parallel_block"]


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
