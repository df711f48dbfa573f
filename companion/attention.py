r"""Attention: every position looks at every other, and takes what it asked for.

This file adds: scaled dot-product attention with masks, the same in blocks that never
hold the whole score matrix, several heads side by side, and the cache that makes
one-token-at-a-time decoding cheap. Equation numbers refer to Vaswani et al. 2017,
"Attention Is All You Need".

Shape letters: ``B`` batch, ``H`` query heads, ``G`` key-value heads, ``T_q`` queries,
``T_k`` keys, ``d`` width of one head, ``D`` model width (``H * d``).

Masks are boolean with True for "may look", as in
``torch.nn.functional.scaled_dot_product_attention`` (``torch.nn.MultiheadAttention``
means the opposite), or additive, with 0 and minus infinity in their place.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._arguments import _require_flag, _require_number
from companion._tensors import (
    _require_floats,
    _require_ids,
    _require_sizes,
    _require_tensors,
    _require_whole,
    _require_whole_numbers,
    _wide,
)
from companion.activations import softmax
from companion.layers import Linear, Rotary

__all__ = [
    "causal_mask",
    "sliding_window_mask",
    "padding_mask",
    "scaled_dot_product_attention",
    "online_softmax_attention",
    "KVCache",
    "MultiHeadAttention",
]


def causal_mask(
    n_queries: int, n_keys: int | None = None, *, device: torch.device | str | None = None
) -> Bool[Tensor, "n_queries n_keys"]:
    r"""Let each position look at itself and at what came before.

    With fewer queries than keys, the queries are the *last* positions, as in decoding
    with a cache. (PyTorch's ``is_causal`` takes them as the first ones.)

    Parameters
    ----------
    n_queries : int
    n_keys : int, optional
        Default ``n_queries``.
    device : torch.device or str, optional

    Returns
    -------
    Tensor of bool, shape (n_queries, n_keys)

    Raises
    ------
    ValueError
        If a size is below 1, or there are more queries than keys: the first queries would see
        nothing.

    Examples
    --------
    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    >>> causal_mask(1, 3).int()
    tensor([[1, 1, 1]], dtype=torch.int32)
    """
    return _distance(n_queries, n_keys, device) >= 0


def sliding_window_mask(
    n_queries: int,
    window: int,
    *,
    n_keys: int | None = None,
    causal: bool = True,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "n_queries n_keys"]:
    r"""Let each position look at its neighbourhood only (Beltagy et al. 2020, section 3.1).

    Parameters
    ----------
    n_queries : int
    window : int
        Causal: the number of positions seen, oneself included. Otherwise: the distance
        to either side must be smaller than this.
    n_keys : int, optional
        Default ``n_queries``; the queries are the last positions.
    causal : bool
    device : torch.device or str, optional

    Returns
    -------
    Tensor of bool, shape (n_queries, n_keys)

    Raises
    ------
    ValueError
        If a size is below 1, or there are more queries than keys.

    Examples
    --------
    >>> sliding_window_mask(4, window=2).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    _require_sizes(window=window)
    _require_flag("causal", causal)
    distance = _distance(n_queries, n_keys, device)
    near = distance.abs() < window
    return near & (distance >= 0) if causal else near


def _distance(n_queries: int, n_keys: int | None, device: torch.device | str | None) -> Tensor:
    """Position of each query minus position of each key, (n_queries, n_keys)."""
    n_keys = n_queries if n_keys is None else n_keys
    _require_sizes(n_queries=n_queries, n_keys=n_keys)
    _require_past(n_queries, n_keys)
    queries = torch.arange(n_keys - n_queries, n_keys, device=device)
    return queries[:, None] - torch.arange(n_keys, device=device)[None, :]


def _require_past(n_queries: int, n_keys: int) -> None:
    """Refuse queries that would stand before every key, and so see nothing."""
    if n_queries > n_keys:
        raise ValueError(
            f"n_queries must not exceed n_keys, since the queries are the last positions; "
            f"got {n_queries} and {n_keys}"
        )


def padding_mask(
    lengths: Integer[Tensor, " batch"], max_length: int | None = None
) -> Bool[Tensor, "batch 1 key"]:
    r"""Let nobody look at padding.

    Parameters
    ----------
    lengths : Tensor of int, shape (B,)
        How many tokens of each sequence are real; the padding comes after them.
    max_length : int, optional
        Length of the padded batch; default the largest of ``lengths``.

    Returns
    -------
    Tensor of bool, shape (B, 1, max_length)
        The 1 stands for the queries: the same keys are hidden from all of them.

    Raises
    ------
    ValueError
        If a length is negative or larger than ``max_length``, or there is none.
    TypeError
        If lengths are not whole numbers.

    Examples
    --------
    >>> padding_mask(torch.tensor([1, 3])).int()
    tensor([[[1, 0, 0]],
    <BLANKLINE>
            [[1, 1, 1]]], dtype=torch.int32)
    """
    _require_whole_numbers(lengths=lengths)
    if lengths.ndim != 1 or lengths.numel() == 0:
        raise ValueError(
            f"lengths must hold at least one length, in one dimension, got {tuple(lengths.shape)}"
        )
    lengths = lengths.long()  # those of 16 bits and more without a sign do not compare
    longest = int(lengths.max())
    max_length = longest if max_length is None else max_length
    _require_whole(max_length=max_length)
    if int(lengths.min()) < 0 or longest > max_length:
        raise ValueError(f"lengths must lie between 0 and {max_length}, got {lengths.tolist()}")
    return (torch.arange(max_length, device=lengths.device) < lengths[:, None])[:, None, :]


def scaled_dot_product_attention(
    q: Float[Tensor, "*#batch query d_k"],
    k: Float[Tensor, "*#batch key d_k"],
    v: Float[Tensor, "*#batch key d_v"],
    mask: Tensor | None = None,
    *,
    is_causal: bool = False,
    scale: float | None = None,
    dropout_p: float = 0.0,
    return_weights: bool = False,
) -> (
    Float[Tensor, "*batch_out query d_v"]
    | tuple[Float[Tensor, "*batch_out query d_v"], Float[Tensor, "*batch_out query key"]]
):
    r"""Scaled dot-product attention (eq. 1).

    .. math:: \mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(QK^\top/\sqrt{d_k}\right) V

    Without weights asked for, PyTorch's fused kernel does the work, and (where it is made
    for the shapes at hand: :math:`d_v = d_k`, no dropout on a CPU) the
    :math:`T_q \times T_k` scores are never stored. Scores of 16-bit numbers are computed in
    float32, on either way.

    Parameters
    ----------
    q : Tensor, shape (..., T_q, d_k)
    k : Tensor, shape (..., T_k, d_k)
    v : Tensor, shape (..., T_k, d_v)
    mask : Tensor, optional
        Broadcasts to (..., T_q, T_k), where the dots are those of q, k and v. Boolean:
        True where a query may look. Floating: added to the scores. A query that may look
        at nothing gets the zero vector.
    is_causal : bool
        Also apply ``causal_mask``.
    scale : float, optional
        Multiplies the scores; default :math:`1/\sqrt{d_k}`.
    dropout_p : float
        Probability of dropping a weight, in [0, 1); the others grow by 1/(1−p).
    return_weights : bool
        Also return the weights, as they are before dropout.

    Returns
    -------
    Tensor, shape (..., T_q, d_v)
        And, if asked for, the weights, shape (..., T_q, T_k).

    Raises
    ------
    ValueError
        If shapes do not fit, ``scale`` is not finite, ``dropout_p`` is outside [0, 1), or
        ``is_causal`` goes with more queries than keys.
    TypeError
        If ``mask`` is neither boolean nor floating, or q, k and v are not floating tensors of
        one format.

    Examples
    --------
    >>> q = k = torch.zeros(2, 4)
    >>> scaled_dot_product_attention(q, k, torch.tensor([[0.0], [1.0]]))
    tensor([[0.5000],
            [0.5000]])
    """
    batch = _check_arguments(q, k, v, mask, is_causal, dropout_p)
    _require_scale(scale)
    _require_flag("return_weights", return_weights)
    q = q.expand(*batch, *q.shape[-2:])
    if not return_weights and _kernel_takes(q, k):
        return _fused(q, k, v, mask, is_causal, scale, dropout_p)
    if is_causal:
        mask = _hide(mask, causal_mask(q.shape[-2], k.shape[-2], device=q.device))
    # q is scaled before the product, not after: a sum of products soon exceeds 16 bits.
    scores = (_wide(q) * _scale(scale, q)) @ _wide(k).transpose(-2, -1)  # (..., T_q, T_k)
    weights = softmax(_apply_mask(scores, mask))
    out = (F.dropout(weights, dropout_p) @ _wide(v)).to(q.dtype)
    return (out, weights.to(q.dtype)) if return_weights else out


def _kernel_takes(q: Tensor, k: Tensor) -> bool:
    """Say no to NaN and infinity on a CPU: where all scores are NaN its kernel returns zeros."""
    if q.device.type != "cpu" or torch.compiler.is_compiling():  # which has no numbers yet
        return True
    # A sum is finite only if all of its terms are, and takes a third of the time of asking each.
    return math.isfinite(q.detach().sum() + k.detach().sum())


def _like(mask: Tensor, x: Tensor) -> Tensor:
    """Give an additive mask the number format of x, but let no finite number become infinite."""
    if mask.dtype == torch.bool or mask.dtype == x.dtype:
        return mask
    largest = min(torch.finfo(x.dtype).max, torch.finfo(mask.dtype).max)
    return torch.where(mask.isfinite(), mask.clamp(-largest, largest), mask).to(x.dtype)


def _scale(scale: float | None, q: Tensor) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def _apply_mask(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -math.inf)
    return scores + _like(mask, scores)


def _hide(mask: Tensor | None, sees: Tensor) -> Tensor:
    """Hide what ``sees`` does not show, besides what the mask hides already."""
    if mask is None or mask.dtype == torch.bool:
        return sees if mask is None else mask & sees
    return mask.masked_fill(~sees, -math.inf)


def _fused(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    dropout_p: float,
) -> Tensor:
    """Call the fused kernel; open rows that see nothing, then set their result to zero."""
    is_causal = is_causal and q.shape[-2] > 1  # from the last position nothing is hidden
    if mask is None and (not is_causal or q.shape[-2] == k.shape[-2]):
        return _kernel(q, k, v, is_causal=is_causal, dropout_p=dropout_p, scale=scale)
    if is_causal:
        mask = _hide(mask, causal_mask(q.shape[-2], k.shape[-2], device=q.device))
    assert mask is not None  # the case without any mask has returned
    mask = torch.atleast_2d(_like(mask, q))
    sees = mask if mask.dtype == torch.bool else mask != -math.inf
    blind = ~sees.any(dim=-1, keepdim=True)  # (..., T_q, 1)
    mask = mask.masked_fill(blind, True if mask.dtype == torch.bool else 0.0)
    out = _kernel(q, k, v, attn_mask=mask, dropout_p=dropout_p, scale=scale)
    if mask.dtype != torch.bool:  # where all of a row is NaN a kernel may return zeros
        out = out.masked_fill(mask.isnan().any(dim=-1, keepdim=True), math.nan)
    return out.masked_fill(blind, 0.0)


def _kernel(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
    """Call PyTorch with four dimensions: with fewer it takes the path that stores the scores."""
    missing = max(0, 4 - q.ndim)
    q, k, v = (x[(None,) * max(0, 4 - x.ndim)] for x in (q, k, v))
    out: Tensor = F.scaled_dot_product_attention(q, k, v, **options)
    return out[(0,) * missing]


def _check_arguments(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    is_causal: bool,
    dropout_p: float = 0.0,
) -> tuple[int, ...]:
    """Return the batch dimensions that q, k and v have together."""
    _require_floats(q=q, k=k, v=v)
    formats = {x.dtype for x in (q, k, v)}
    if len(formats) > 1 and torch.is_autocast_enabled(q.device.type):  # it mixes 16 bits with 32
        formats = {_wide(x).dtype for x in (q, k, v)}
    if len(formats) > 1:
        raise TypeError(
            f"q, k and v must have one number format, got {q.dtype}, {k.dtype} and {v.dtype}"
        )
    for name, tensor in (("q", q), ("k", k), ("v", v)):
        if tensor.ndim < 2:
            raise ValueError(f"{name} must be (..., T, d), got shape {tuple(tensor.shape)}")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            "q and k must have the same width d_k, "
            f"got shapes {tuple(q.shape)} and {tuple(k.shape)}"
        )
    if k.shape[-2] != v.shape[-2]:
        raise ValueError(
            "k and v must have the same number of positions T_k, "
            f"got shapes {tuple(k.shape)} and {tuple(v.shape)}"
        )
    if k.shape[-2] == 0:
        raise ValueError(f"k must hold at least one position, got shape {tuple(k.shape)}")
    if not 0 <= _require_number("dropout_p", dropout_p) < 1:
        raise ValueError(f"dropout_p must be at least 0 and below 1, got {dropout_p}")
    if _require_flag("is_causal", is_causal):
        _require_past(q.shape[-2], k.shape[-2])
    batch = _common_batch(q, k, v)
    if mask is not None:
        _check_mask(mask, (*batch, q.shape[-2], k.shape[-2]))
    return batch


def _require_scale(scale: float | None) -> None:
    if scale is not None and not math.isfinite(_require_number("scale", scale)):
        raise ValueError(f"scale must be finite, got {scale}")


def _common_batch(q: Tensor, k: Tensor, v: Tensor) -> tuple[int, ...]:
    if q.shape[:-2] == k.shape[:-2] == v.shape[:-2]:  # which is nearly always so, and soon told
        return tuple(q.shape[:-2])
    try:  # NumPy's function: that of PyTorch would first import 500 modules
        return np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError as error:
        raise ValueError(
            "q, k and v must agree in the dimensions before the last two, or have 1 there; "
            f"got shapes {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        ) from error


def _check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
    _require_tensors(mask=mask)
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"mask must be boolean or floating, got {mask.dtype}")
    try:
        fits = mask.ndim > 0 and np.broadcast_shapes(mask.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"mask must broadcast to (..., T_q, T_k) = {shape}, got shape {tuple(mask.shape)}"
        )


def online_softmax_attention(
    q: Float[Tensor, "*#batch query d_k"],
    k: Float[Tensor, "*#batch key d_k"],
    v: Float[Tensor, "*#batch key d_v"],
    mask: Tensor | None = None,
    *,
    block_size: int = 128,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "*batch_out query d_v"]:
    r"""Exact attention in blocks of keys: the idea of FlashAttention (Dao et al. 2022, alg. 1).

    For each query three things are carried from block to block: the largest score so far
    :math:`m`, the sum :math:`\ell` of exponentials relative to it, and the weighted sum of
    values. When a larger score turns up, what was summed before shrinks by
    :math:`e^{m_{old} - m_{new}}`. Memory for scores falls from :math:`T_q T_k` to
    :math:`T_q \times` ``block_size``. (The real kernel also walks over blocks of queries,
    inside the GPU's fast memory.)

    Parameters
    ----------
    q, k, v : Tensor
        As in ``scaled_dot_product_attention``.
    mask
        As in ``scaled_dot_product_attention``.
    block_size : int
        Keys taken at a time.
    is_causal, scale
        As in ``scaled_dot_product_attention``.

    Returns
    -------
    Tensor, shape (..., T_q, d_v)

    Raises
    ------
    ValueError
        If shapes do not fit, ``scale`` is not finite, ``block_size`` is below 1, or ``is_causal``
        goes with more queries than keys.
    TypeError
        If ``mask`` is neither boolean nor floating, or q, k and v are not floating tensors of
        one format.

    Examples
    --------
    >>> q = k = torch.zeros(2, 4)
    >>> online_softmax_attention(q, k, torch.tensor([[0.0], [1.0]]), block_size=1)
    tensor([[0.5000],
            [0.5000]])
    """
    batch = _check_arguments(q, k, v, mask, is_causal)
    _require_scale(scale)
    _require_sizes(block_size=block_size)
    number_format = q.dtype
    q = _wide(q).expand(*batch, *q.shape[-2:]) * _scale(scale, q)
    m = torch.full_like(q[..., :1], -math.inf)  # (..., T_q, 1): largest score so far
    total = torch.zeros_like(m)  # the papers' l: sum of exp(score - m)
    context = torch.zeros_like(m)  # (..., T_q, d_v) after the first block
    for start in range(0, k.shape[-2], block_size):
        block = slice(start, start + block_size)
        scores = q @ _wide(k[..., block, :]).transpose(-2, -1)  # (..., T_q, block)
        scores = _apply_mask(scores, _mask_block(mask, block))
        if is_causal:
            scores = _apply_mask(scores, _causal_block(q, k, start, scores.shape[-1]))
        m_new = torch.maximum(m, scores.amax(dim=-1, keepdim=True).detach())
        safe = m_new.masked_fill(m_new == -math.inf, 0.0)
        shrink = torch.exp(m - safe)
        p = torch.exp(scores - safe)
        total = total * shrink + p.sum(dim=-1, keepdim=True)
        context = context * shrink + p @ _wide(v[..., block, :])
        m = m_new
    return (context / torch.where(total > 0, total, torch.ones_like(total))).to(number_format)


def _mask_block(mask: Tensor | None, block: slice) -> Tensor | None:
    """Cut a block of keys from a mask whose last dimension may be a broadcast 1."""
    return mask if mask is None or mask.shape[-1] == 1 else mask[..., block]


def _causal_block(q: Tensor, k: Tensor, start: int, size: int) -> Tensor:
    """Cut the columns from ``start`` on out of the causal mask without building all of it."""
    queries = torch.arange(k.shape[-2] - q.shape[-2], k.shape[-2], device=q.device)
    return queries[:, None] >= torch.arange(start, start + size, device=q.device)


class KVCache:
    r"""Keys and values of the positions that one attention layer has already seen.

    Parameters
    ----------
    window : int, optional
        Keep only so many of the last positions, for attention with a sliding window: the layer
        then hides from each query what is further back.

    Attributes
    ----------
    seen : int
        Positions so far, forgotten ones included: the next one has this number.

    Raises
    ------
    ValueError
        If ``window`` is below 1.

    Examples
    --------
    >>> cache = KVCache()
    >>> k, v = cache.append(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    >>> k, v = cache.append(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4))
    >>> len(cache), tuple(k.shape), cache.nbytes
    (4, (1, 2, 4, 4), 256)
    """

    def __init__(self, window: int | None = None) -> None:
        if window is not None:
            _require_sizes(window=window)
        self.window = window
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.seen = 0

    def __len__(self) -> int:
        return 0 if self.keys is None else self.keys.shape[-2]

    @property
    def nbytes(self) -> int:
        """Bytes held: 2 · B · G · T · d · bytes per number."""
        if self.keys is None or self.values is None:
            return 0
        return self.keys.nbytes + self.values.nbytes

    def append(
        self, k: Float[Tensor, "batch group new d"], v: Float[Tensor, "batch group new d"]
    ) -> tuple[Float[Tensor, "batch group total d"], Float[Tensor, "batch group total d"]]:
        r"""Add the newest positions and return them after those that were held.

        Parameters
        ----------
        k, v : Tensor, shape (B, G, T_new, d)

        Returns
        -------
        tuple of Tensor, each of shape (B, G, T, d)
            With a window the cache forgets afterwards: the oldest of the new positions can still
            see all that it may.

        Raises
        ------
        ValueError
            If the shapes differ, or do not continue what the cache holds.
        """
        keys, values = self._joined(k, v)
        self._hold(keys, values, self.seen + k.shape[-2])
        return keys, values

    def crop(self, length: int) -> None:
        r"""Forget the newest positions, as when a guess at the next tokens was wrong.

        Parameters
        ----------
        length : int
            How many positions shall have been seen, counted from the first.

        Raises
        ------
        ValueError
            If so many have not been seen, or older ones that would be needed are forgotten.
        """
        _require_whole(length=length)
        if not 0 <= length <= self.seen:
            raise ValueError(f"length must be from 0 to {self.seen}, got {length}")
        if length < self.seen and len(self) < self.seen:
            raise ValueError(
                f"the cache holds only the last {len(self)} of {self.seen} positions, "
                f"so it cannot go back to {length}"
            )
        if self.keys is not None and self.values is not None:
            self._hold(self.keys[..., :length, :], self.values[..., :length, :], length)

    def reorder(self, rows: Integer[Tensor, " new_batch"]) -> None:
        r"""Let other sequences of the batch stand in each row, as beam search needs it.

        Parameters
        ----------
        rows : Tensor of int, shape (B_new,)
            Which of the present rows comes where; one may come several times, or not at all.

        Raises
        ------
        ValueError
            If there is no such row.
        TypeError
            If ``rows`` are not whole numbers.
        """
        _require_whole_numbers(rows=rows)
        if self.keys is not None and self.values is not None:
            _require_ids("rows", rows, len(self.keys))
            keys, values = (x.index_select(0, rows.long()) for x in (self.keys, self.values))
            self._hold(keys, values, self.seen)

    def _joined(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions held and then the new ones; the cache stays as it is."""
        _require_floats(k=k, v=v)
        if k.ndim != 4:
            raise ValueError(f"k must be (batch, heads, new, d), got shape {tuple(k.shape)}")
        if v.shape != k.shape:
            raise ValueError(f"v must have the shape of k, {tuple(k.shape)}, got {tuple(v.shape)}")
        if self.keys is None or self.values is None:
            return k, v
        held, new = self.keys.shape, k.shape
        if (*held[:2], held[3]) != (*new[:2], new[3]) or self.keys.dtype != k.dtype:
            raise ValueError(
                "k must continue the cache, whose shape and format are "
                f"{tuple(held)}, {self.keys.dtype}, got {tuple(new)}, {k.dtype}; "
                "start a new KVCache for a new batch"
            )
        return torch.cat((self.keys, k), dim=-2), torch.cat((self.values, v), dim=-2)

    def _hold(self, keys: Tensor, values: Tensor, seen: int) -> None:
        """Keep these positions, or the last of them."""
        if self.window is not None and keys.shape[-2] > self.window:
            # Copies, because a view would keep the whole in memory.
            keys, values = (x[..., -self.window :, :].clone() for x in (keys, values))
        self.keys, self.values, self.seen = keys, values, seen


class MultiHeadAttention(nn.Module):
    r"""Multi-head attention (section 3.2.2), also grouped-query and cross-attention.

    .. math::
        \mathrm{head}_h &= \mathrm{Attention}(x W^Q_h,\; c W^K_{g(h)},\; c W^V_{g(h)}) \\
        y &= \mathrm{Concat}(\mathrm{head}_1, \dots, \mathrm{head}_H)\, W^O

    The context :math:`c` is :math:`x` itself (self-attention) or another sequence
    (cross-attention). With ``n_kv_heads`` below ``n_heads``, each key-value head serves
    a group of query heads (Ainslie et al. 2023). The heads split the *features*, never
    the sequence: each head sees every position.

    Parameters
    ----------
    d_model : int
        Width :math:`D` of input and output.
    n_heads : int
        Query heads :math:`H`.
    n_kv_heads : int, optional
        Key-value heads :math:`G`; must divide ``n_heads``. Default ``n_heads``; 1 gives
        multi-query attention.
    d_head : int, optional
        Width :math:`d` of one head. Default ``d_model / n_heads``, which must be whole.
    bias : bool or str
        Whether the four projections have a bias, or which of them: ``"qkv"`` leaves it out of
        :math:`W^O`.
    scale : float, optional
        Multiplies the scores; default :math:`1/\sqrt{d}`.
    dropout : float
        Dropout on the attention weights, in training mode only.
    rotary : bool or Rotary
        Rotate queries and keys by position; self-attention only. A `Rotary` says how.
    qk_norm : function, optional
        Makes from ``d_head`` a layer that normalises each query, and another for each key,
        before they are rotated; for example ``RMSNorm`` (after Henry et al. 2020).

    Raises
    ------
    ValueError
        If sizes do not divide, a head of a rotary layer has odd width, ``dropout`` is
        outside [0, 1), or ``bias`` names no projection.

    Examples
    --------
    >>> layer = MultiHeadAttention(d_model=8, n_heads=4, n_kv_heads=2)
    >>> layer(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        *,
        n_kv_heads: int | None = None,
        d_head: int | None = None,
        bias: bool | str = True,
        scale: float | None = None,
        dropout: float = 0.0,
        rotary: bool | Rotary = False,
        qk_norm: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        _check_heads(d_model, n_heads, n_kv_heads, d_head)
        d_head = d_model // n_heads if d_head is None else d_head
        _check_options(bias, dropout, rotary, d_head, qk_norm)
        self.d_model, self.d_head = d_model, d_head
        self.n_heads, self.n_kv_heads = n_heads, n_kv_heads
        self.scale, self.dropout = scale, dropout
        self.rotary = Rotary() if rotary is True else rotary or None
        biased = bias if isinstance(bias, str) else "qkvo" if bias else ""
        self.w_q = Linear(d_model, n_heads * d_head, "q" in biased)
        self.w_k = Linear(d_model, n_kv_heads * d_head, "k" in biased)
        self.w_v = Linear(d_model, n_kv_heads * d_head, "v" in biased)
        self.w_o = Linear(n_heads * d_head, d_model, "o" in biased)
        self.q_norm, self.k_norm = (
            nn.Identity() if qk_norm is None else qk_norm(d_head) for _ in "qk"
        )

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        heads = f"n_heads={self.n_heads}, n_kv_heads={self.n_kv_heads}, d_head={self.d_head}"
        return f"{heads}, dropout={self.dropout}, rotary={self.rotary is not None}"

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        context: Float[Tensor, "batch key d_model"] | None = None,
        *,
        mask: Tensor | None = None,
        is_causal: bool = False,
        positions: Integer[Tensor, "*sequences query"] | None = None,
        cache: KVCache | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch query d_model"]
        | tuple[Float[Tensor, "batch query d_model"], Float[Tensor, "batch heads query keys"]]
    ):
        r"""Attend from ``x`` to ``context``.

        Parameters
        ----------
        x : Tensor, shape (B, T_q, D)
        context : Tensor, shape (B, T_k, D), optional
            Default ``x``.
        mask : Tensor, optional
            Shape (T_q, T_k), (B, T_q, T_k) or (B, H, T_q, T_k), or broadcasting to one.
        is_causal : bool
            Also hide what comes later.
        positions : Tensor of int, shape (T_q,) or (B, T_q), optional
            Where the tokens stand, for a rotary layer. By default they follow one another, from
            0 or from the last one in the cache.
        cache : KVCache, optional
            Positions seen in earlier calls; the new ones are added to it.
        return_weights : bool

        Returns
        -------
        Tensor, shape (B, T_q, D)
            And, if asked for, the weights, shape (B, H, T_q, T_k).

        Raises
        ------
        ValueError
            If ``context`` comes with a cache or to a rotary layer, ``positions`` to one that is
            none, or shapes do not fit. The cache is then what it was before.
        TypeError
            If ``mask`` is neither boolean nor floating, x and context are no floating tensors, or
            ``cache`` is no `KVCache`.
        """
        self._check_inputs(x, context, positions, cache)
        context = x if context is None else context
        q = self.q_norm(self._split(self.w_q(x)))  # (B, H, T_q, d)
        k = self.k_norm(self._split(self.w_k(context)))  # (B, G, T_k, d)
        v = self._split(self.w_v(context))
        if self.rotary is not None:
            q, k = self._rotate(q, k, positions, cache)
        if cache is not None:
            k, v = cache._joined(k, v)
        attended = scaled_dot_product_attention(
            q,
            self._share(k),  # (B, H, T_k, d)
            self._share(v),
            self._mask(mask, q, k, is_causal, cache),
            is_causal=is_causal,
            scale=self.scale,
            dropout_p=self.dropout if self.training else 0.0,
            return_weights=return_weights,
        )
        heads, weights = attended if isinstance(attended, tuple) else (attended, None)
        y = self._merge(heads)
        if cache is not None:  # last of all, so that an error leaves the cache as it was
            cache._hold(k, v, cache.seen + x.shape[1])
        return y if weights is None else (y, weights)

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, heads·d) -> (B, heads, T, d): cut the features, then move heads forward."""
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)

    def _merge(self, heads: Tensor) -> Tensor:
        """(B, H, T, d) -> (B, T, H·d): move heads back, join the features, apply W^O."""
        return self.w_o(heads.transpose(1, 2).flatten(2))

    def _share(self, x: Tensor) -> Tensor:
        """Repeat each key-value head for its group of query heads: (B, G, …) -> (B, H, …)."""
        n_shared = self.n_heads // self.n_kv_heads
        return x if n_shared == 1 else x.repeat_interleave(n_shared, dim=1)

    def _rotate(
        self, q: Tensor, k: Tensor, positions: Tensor | None, cache: KVCache | None
    ) -> tuple[Tensor, Tensor]:
        """Turn queries and keys; what a cache holds has been turned before."""
        assert self.rotary is not None
        if positions is None:
            start = 0 if cache is None else cache.seen
            positions = torch.arange(start, start + q.shape[-2], device=q.device)
        return self.rotary(q, positions), self.rotary(k, positions)

    def _mask(
        self, mask: Tensor | None, q: Tensor, k: Tensor, is_causal: bool, cache: KVCache | None
    ) -> Tensor | None:
        """Let a mask of three dimensions hold for every head; add the window of a cache."""
        if mask is not None and getattr(mask, "ndim", None) == 3:
            mask = mask[:, None]  # (B, 1, T_q, T_k)
        if cache is None or cache.window is None:
            return mask
        n_queries, n_keys = q.shape[-2], k.shape[-2]
        if mask is not None:
            _check_mask(mask, (*q.shape[:-1], n_keys))
        near = sliding_window_mask(
            n_queries, cache.window, n_keys=n_keys, causal=is_causal, device=q.device
        )
        return _hide(mask, near)

    def _check_inputs(
        self, x: Tensor, context: Tensor | None, positions: Tensor | None, cache: KVCache | None
    ) -> None:
        if not isinstance(cache, KVCache | None):
            raise TypeError(f"cache must be a KVCache, got {type(cache).__name__}")
        if context is not None and (cache is not None or self.rotary is not None):
            raise ValueError("context goes with neither a cache nor rotary positions")
        if positions is not None and self.rotary is None:
            raise ValueError("positions are for a rotary layer; this one does not use them")
        d_model = self.d_model
        for name, sequence in (("x", x), ("context", x if context is None else context)):
            _require_floats(**{name: sequence})
            if sequence.ndim != 3 or sequence.shape[-1] != d_model:
                raise ValueError(
                    f"{name} must have {d_model} features and three dimensions, "
                    f"(batch, length, {d_model}), got shape {tuple(sequence.shape)}"
                )


def _check_heads(d_model: int, n_heads: int, n_kv_heads: int, d_head: int | None) -> None:
    _require_whole(d_model=d_model, n_heads=n_heads, n_kv_heads=n_kv_heads)
    if d_head is not None:
        _require_sizes(d_model=d_model, n_heads=n_heads, d_head=d_head)
    elif n_heads < 1 or d_model < 1 or d_model % n_heads:
        raise ValueError(f"n_heads must divide d_model, got {n_heads} and {d_model}")
    if n_kv_heads < 1 or n_heads % n_kv_heads:
        raise ValueError(f"n_kv_heads must divide n_heads, got {n_kv_heads} and {n_heads}")


def _check_options(
    bias: bool | str,
    dropout: float,
    rotary: bool | Rotary,
    d_head: int,
    qk_norm: Callable[[int], nn.Module] | None,
) -> None:
    if not isinstance(bias, bool) and not (isinstance(bias, str) and set(bias) <= set("qkvo")):
        raise ValueError(f'bias must be True, False, or letters of "qkvo", got {bias!r}')
    if not isinstance(rotary, bool | Rotary):
        raise TypeError(f"rotary must be True, False or a Rotary, got {rotary!r}")
    if qk_norm is not None and (not callable(qk_norm) or isinstance(qk_norm, nn.Module)):
        raise TypeError(f"qk_norm must make a layer, such as RMSNorm does, got {qk_norm!r}")
    if rotary and d_head % 2:
        raise ValueError(f"a rotary layer needs heads of even width, got {d_head}")
    if not 0 <= _require_number("dropout", dropout) < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
