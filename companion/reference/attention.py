r"""Attention in NumPy: one sequence at a time, one formula a line.

Shape letters: ``T_q`` queries, ``T_k`` keys, ``d_k`` width of queries and keys, ``d_v`` of
values, ``D`` model width, ``H`` heads.
"""

import numpy as np

from companion.reference.activations import softmax

__all__ = [
    "attention_weights",
    "scaled_dot_product_attention",
    "attention_by_loops",
    "causal_mask",
    "multi_head_attention",
    "online_softmax_attention",
]


def attention_weights(
    q: np.ndarray, k: np.ndarray, mask: np.ndarray | None = None, *, scale: float | None = None
) -> np.ndarray:
    r""":math:`\mathrm{softmax}(Q K^\top / \sqrt{d_k})`, (T_q, T_k); ``mask`` True: may look."""
    scores = q @ k.T * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf)
    return softmax(scores)


def scaled_dot_product_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    scale: float | None = None,
) -> np.ndarray:
    r"""Weights times values: (T_q, d_v)  (Vaswani et al. 2017, eq. 1)."""
    return attention_weights(q, k, mask, scale=scale) @ v


def attention_by_loops(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    r"""Compute the same with no matrix product: for each query, for each key, one dot product."""
    context = np.zeros((len(q), v.shape[1]))
    for i, query in enumerate(q):
        scores = [sum(query[f] * key[f] for f in range(len(query))) for key in k]
        scores = [score / np.sqrt(len(query)) for score in scores]
        exponentials = [np.exp(score - max(scores)) for score in scores]
        for weight, value in zip(exponentials, v, strict=True):
            context[i] += weight / sum(exponentials) * value
    return context


def causal_mask(n_queries: int, n_keys: int) -> np.ndarray:
    r"""Query i, the (T_k − T_q + i)-th position, may look at keys up to itself."""
    first = n_keys - n_queries
    return np.array([[j <= first + i for j in range(n_keys)] for i in range(n_queries)])


def multi_head_attention(
    x: np.ndarray,
    context: np.ndarray,
    w_q: np.ndarray,
    w_k: np.ndarray,
    w_v: np.ndarray,
    w_o: np.ndarray,
    n_heads: int,
    mask: np.ndarray | None = None,
) -> np.ndarray:
    r"""Heads side by side, then :math:`W^O` (Vaswani et al. 2017, section 3.2.2).

    ``w_q`` is (D, H·d_k); ``w_k`` and ``w_v`` may hold fewer heads, each shared by a group
    of query heads in turn (Ainslie et al. 2023); ``w_o`` is (H·d_k, D).
    """
    d_head = w_q.shape[1] // n_heads
    group = n_heads // (w_k.shape[1] // d_head)
    q, k, v = x @ w_q, context @ w_k, context @ w_v
    heads = []
    for h in range(n_heads):
        own = slice(h * d_head, (h + 1) * d_head)
        shared = slice(h // group * d_head, (h // group + 1) * d_head)
        heads.append(scaled_dot_product_attention(q[:, own], k[:, shared], v[:, shared], mask))
    return np.concatenate(heads, axis=1) @ w_o


def online_softmax_attention(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    mask: np.ndarray | None = None,
    *,
    block_size: int = 128,
    scale: float | None = None,
) -> np.ndarray:
    r"""Attention in blocks of keys, never holding more than (T_q, block_size) scores.

    Three running quantities for each query: the largest score so far ``m``, the sum ``total``
    of exponentials relative to it, and the weighted sum ``context`` of values. When a
    block brings a larger score, the old sums shrink by :math:`e^{m_{old} - m_{new}}`
    (Milakov and Gimelshein 2018, algorithm 3; Dao et al. 2022, algorithm 1).
    """
    scale = 1 / np.sqrt(q.shape[-1]) if scale is None else scale
    m = np.full((len(q), 1), -np.inf)
    total = np.zeros((len(q), 1))
    context = np.zeros((len(q), v.shape[1]))
    for start in range(0, len(k), block_size):
        block = slice(start, start + block_size)
        scores = q @ k[block].T * scale
        if mask is not None:
            scores = np.where(mask[:, block], scores, -np.inf)
        m_new = np.maximum(m, scores.max(axis=1, keepdims=True))
        safe = np.where(np.isneginf(m_new), 0.0, m_new)
        shrink = np.exp(m - safe)
        p = np.exp(scores - safe)
        total = total * shrink + p.sum(axis=1, keepdims=True)
        context = context * shrink + p @ v[block]
        m = m_new
    return np.divide(context, total, out=np.zeros_like(context), where=total > 0)
