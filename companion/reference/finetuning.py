r"""Fine-tuning by its formulas: one matrix, one block of weights, one text at a time."""

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

__all__ = [
    "adapter",
    "best_span",
    "layer_rate",
    "lora",
    "lora_delta",
    "mean_pooling",
    "nf4_levels",
    "nf4_round",
    "prefix_attention",
]


def lora_delta(a: np.ndarray, b: np.ndarray, scale: float) -> np.ndarray:
    r"""Return :math:`s \sum_k b_k a_k^\top`, the sum of r matrices of rank 1."""
    return scale * np.sum([np.outer(b[:, k], a[k]) for k in range(len(a))], axis=0)


def lora(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float
) -> np.ndarray:
    r"""Return :math:`(W + s B A) x + b` for each row, with the matrices added first."""
    return np.array([(w + lora_delta(a, b, scale)) @ row + bias for row in x])


def adapter(
    x: np.ndarray,
    down: tuple[np.ndarray, np.ndarray],
    up: tuple[np.ndarray, np.ndarray],
    activation: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    r"""Return :math:`x + W_u f(W_d x + b_d) + b_u` for each row."""
    return np.array([row + up[0] @ activation(down[0] @ row + down[1]) + up[1] for row in x])


def prefix_attention(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, prefix_k: np.ndarray, prefix_v: np.ndarray
) -> np.ndarray:
    r"""Return what one causal head makes of a prefix that all positions see, and of the text.

    The result is a mixture of attention to the prefix alone and to the text alone, with the share
    of the prefix in all weights (He et al. 2022, eq. 7).
    """
    out = np.empty_like(v)
    for t in range(len(q)):
        to_prefix = np.exp(prefix_k @ q[t] / math.sqrt(len(q[t])))
        to_text = np.exp(k[: t + 1] @ q[t] / math.sqrt(len(q[t])))
        share = to_prefix.sum() / (to_prefix.sum() + to_text.sum())
        of_prefix = to_prefix / to_prefix.sum() @ prefix_v
        of_text = to_text / to_text.sum() @ v[: t + 1]
        out[t] = share * of_prefix + (1 - share) * of_text
    return out


def nf4_levels() -> np.ndarray:
    r"""Return the levels of NormalFloat with the quantiles of Python's own normal distribution."""
    outer, normal = (29 / 30 + 31 / 32) / 2, NormalDist()
    above = [normal.inv_cdf(0.5 + (outer - 0.5) * i / 8) for i in range(1, 9)]
    below = [-normal.inv_cdf(0.5 + (outer - 0.5) * i / 7) for i in range(7, 0, -1)]
    return np.array([*below, 0.0, *above]) / above[-1]


def nf4_round(weights: Sequence[float], block_size: int) -> list[float]:
    r"""Return each weight as the nearest level times the largest of its block."""
    rounded: list[float] = []
    for start in range(0, len(weights), block_size):
        block = weights[start : start + block_size]
        largest = max(abs(w) for w in block)
        for w in block:
            rounded.append(min((largest * q for q in nf4_levels()), key=lambda r: abs(w - r)))
    return rounded


def mean_pooling(x: np.ndarray, mask: np.ndarray) -> np.ndarray:
    r"""Return the mean of the vectors of each text that are no padding."""
    return np.array([np.mean(text[seen], axis=0) for text, seen in zip(x, mask, strict=True)])


def best_span(start: np.ndarray, end: np.ndarray, max_length: int) -> tuple[int, int]:
    r"""Return the best of all pairs, each looked at."""
    n = len(start)
    pairs = [(i, j) for i in range(n) for j in range(i, min(n, i + max_length))]
    return max(pairs, key=lambda pair: start[pair[0]] + end[pair[1]])


def layer_rate(lr: float, decay: float, n_blocks: int, layer: int) -> float:
    r"""Return the rate of a layer: that of the one above it, times the decay."""
    return lr if layer == n_blocks + 1 else decay * layer_rate(lr, decay, n_blocks, layer + 1)
