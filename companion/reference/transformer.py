r"""The Transformer's blocks in NumPy: one sequence at a time, one formula a line.

Shape letters: ``T`` positions, ``S`` positions of the memory, ``D`` features, ``F`` features of
the feed-forward layer, ``H`` heads.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from companion.reference.attention import multi_head_attention
from companion.reference.layers import layer_norm

__all__ = [
    "feed_forward",
    "pre_norm",
    "post_norm",
    "Weights",
    "block",
    "decoder_block",
]

Layer = Callable[[np.ndarray], np.ndarray]
Four = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def feed_forward(
    x: np.ndarray, w_1: np.ndarray, b_1: np.ndarray, w_2: np.ndarray, b_2: np.ndarray
) -> np.ndarray:
    r""":math:`\max(0, x W_1 + b_1)\, W_2 + b_2`  (Vaswani et al. 2017, eq. 2)."""
    return np.maximum(0.0, x @ w_1 + b_1) @ w_2 + b_2


def pre_norm(x: np.ndarray, layer: Layer, norm: Layer = layer_norm) -> np.ndarray:
    r""":math:`x + f(\mathrm{norm}(x))`."""
    return x + layer(norm(x))


def post_norm(x: np.ndarray, layer: Layer, norm: Layer = layer_norm) -> np.ndarray:
    r""":math:`\mathrm{norm}(x + f(x))`."""
    return norm(x + layer(x))


@dataclass
class Weights:
    """The matrices of one block, each applied as ``x @ w``."""

    attention: Four
    """W_Q, W_K, W_V and W_O, each (D, D)."""
    feed_forward: Four
    """W_1 (D, F), b_1 (F), W_2 (F, D), b_2 (D)."""
    cross_attention: Four | None = None
    """Of a decoder's block, as `attention`."""


def block(
    x: np.ndarray,
    weights: Weights,
    n_heads: int,
    mask: np.ndarray | None = None,
    *,
    residual: Callable[[np.ndarray, Layer], np.ndarray] = post_norm,
) -> np.ndarray:
    r"""Attention, then the feed-forward layer (Vaswani et al. 2017, section 3.1)."""
    x = residual(x, lambda h: multi_head_attention(h, h, *weights.attention, n_heads, mask))
    return residual(x, lambda h: feed_forward(h, *weights.feed_forward))


def decoder_block(
    x: np.ndarray,
    memory: np.ndarray,
    weights: Weights,
    n_heads: int,
    *,
    residual: Callable[[np.ndarray, Layer], np.ndarray] = post_norm,
) -> np.ndarray:
    r"""Do the same, causal, with attention to an encoder's memory in between."""
    causal = np.tril(np.ones((len(x), len(x)), dtype=bool))
    cross = weights.cross_attention
    assert cross is not None
    x = residual(x, lambda h: multi_head_attention(h, h, *weights.attention, n_heads, causal))
    x = residual(x, lambda h: multi_head_attention(h, memory, *cross, n_heads))
    return residual(x, lambda h: feed_forward(h, *weights.feed_forward))
