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
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from companion.activations import softmax
from companion.layers import Linear, apply_rotary

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
    n_queries: int, n_keys: int | None = None, device: torch.device | str | None = None
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
        If a size is below 1.

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
        If a size is below 1.

    Examples
    --------
    >>> sliding_window_mask(4, window=2).int()
    tensor([[1, 0, 0, 0],
            [1, 1, 0, 0],
            [0, 1, 1, 0],
            [0, 0, 1, 1]], dtype=torch.int32)
    """
    if window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    distance = _distance(n_queries, n_keys, device)
    near = distance.abs() < window
    return near & (distance >= 0) if causal else near


def _distance(n_queries: int, n_keys: int | None, device: torch.device | str | None) -> Tensor:
    """Position of each query minus position of each key, (n_queries, n_keys)."""
    n_keys = n_queries if n_keys is None else n_keys
    if n_queries < 1 or n_keys < 1:
        raise ValueError(f"n_queries and n_keys must be at least 1, got {n_queries} and {n_keys}")
    queries = torch.arange(n_keys - n_queries, n_keys, device=device)
    return queries[:, None] - torch.arange(n_keys, device=device)[None, :]


def padding_mask(
    lengths: Int[Tensor, " batch"], max_length: int | None = None
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

    Examples
    --------
    >>> padding_mask(torch.tensor([1, 3])).int()
    tensor([[[1, 0, 0]],
    <BLANKLINE>
            [[1, 1, 1]]], dtype=torch.int32)
    """
    if lengths.numel() == 0:
        raise ValueError("lengths must hold at least one length")
    longest = int(lengths.max())
    max_length = longest if max_length is None else max_length
    if int(lengths.min()) < 0 or longest > max_length:
        raise ValueError(f"lengths must lie between 0 and {max_length}, got {lengths.tolist()}")
    return (torch.arange(max_length, device=lengths.device) < lengths[:, None])[:, None, :]


def scaled_dot_product_attention(
    q: Float[Tensor, "*#batch query d_k"],
    k: Float[Tensor, "*#batch key d_k"],
    v: Float[Tensor, "*#batch key d_v"],
    mask: Tensor | None = None,
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
    :math:`T_q \times T_k` scores are never stored.

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
        If shapes do not fit, or ``dropout_p`` is outside [0, 1).
    TypeError
        If ``mask`` is neither boolean nor floating.

    Examples
    --------
    >>> q = k = torch.zeros(2, 4)
    >>> scaled_dot_product_attention(q, k, torch.tensor([[0.0], [1.0]]))
    tensor([[0.5000],
            [0.5000]])
    """
    batch = _check_shapes(q, k, v, mask, dropout_p)
    q, mask = q.expand(*batch, *q.shape[-2:]), _like(mask, q)
    if not return_weights:
        return _fused(q, k, v, mask, is_causal, scale, dropout_p)
    mask = _add_causal(mask, q, k) if is_causal else mask
    scores = q @ k.transpose(-2, -1) * _scale(scale, q)  # (..., T_q, T_k)
    weights = softmax(_apply_mask(scores, mask))
    return F.dropout(weights, dropout_p) @ v, weights


def _like(mask: Tensor | None, q: Tensor) -> Tensor | None:
    """Give an additive mask the number format of the scores."""
    return mask if mask is None or mask.dtype == torch.bool else mask.to(q.dtype)


def _scale(scale: float | None, q: Tensor) -> float:
    return 1 / math.sqrt(q.shape[-1]) if scale is None else scale


def _apply_mask(scores: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return scores
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, -math.inf)
    return scores + mask


def _add_causal(mask: Tensor | None, q: Tensor, k: Tensor) -> Tensor:
    """Hide what comes later, besides what the mask hides already."""
    causal = causal_mask(q.shape[-2], k.shape[-2], q.device)
    if mask is None or mask.dtype == torch.bool:
        return causal if mask is None else mask & causal
    return mask.masked_fill(~causal, -math.inf)


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
    if mask is None and (not is_causal or q.shape[-2] == k.shape[-2]):
        return _kernel(q, k, v, is_causal=is_causal, dropout_p=dropout_p, scale=scale)
    if is_causal:
        mask = _add_causal(mask, q, k)
    assert mask is not None  # the case without any mask has returned
    mask = torch.atleast_2d(mask)
    sees = mask if mask.dtype == torch.bool else mask > -math.inf
    blind = ~sees.any(dim=-1, keepdim=True)  # (..., T_q, 1)
    mask = mask.masked_fill(blind, True if mask.dtype == torch.bool else 0.0)
    out = _kernel(q, k, v, attn_mask=mask, dropout_p=dropout_p, scale=scale)
    return out.masked_fill(blind, 0.0)


def _kernel(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> Tensor:
    """Call PyTorch with four dimensions: with fewer it takes the path that stores the scores."""
    missing = max(0, 4 - q.ndim)
    q, k, v = (x[(None,) * max(0, 4 - x.ndim)] for x in (q, k, v))
    out: Tensor = F.scaled_dot_product_attention(q, k, v, **options)
    return out[(0,) * missing]


def _check_shapes(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float = 0.0
) -> tuple[int, ...]:
    """Return the batch dimensions that q, k and v have together."""
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
    if not 0 <= dropout_p < 1:
        raise ValueError(f"dropout_p must be at least 0 and below 1, got {dropout_p}")
    batch = _common_batch(q, k, v)
    if mask is not None:
        _check_mask(mask, (*batch, q.shape[-2], k.shape[-2]))
    return batch


def _common_batch(q: Tensor, k: Tensor, v: Tensor) -> tuple[int, ...]:
    try:  # NumPy's function: that of PyTorch would first import 500 modules
        return np.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    except ValueError as error:
        raise ValueError(
            "q, k and v must agree in the dimensions before the last two, or have 1 there; "
            f"got shapes {tuple(q.shape)}, {tuple(k.shape)} and {tuple(v.shape)}"
        ) from error


def _check_mask(mask: Tensor, shape: tuple[int, ...]) -> None:
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
    block_size: int = 128,
    mask: Tensor | None = None,
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
    block_size : int
        Keys taken at a time.
    mask, is_causal, scale
        As in ``scaled_dot_product_attention``.

    Returns
    -------
    Tensor, shape (..., T_q, d_v)

    Raises
    ------
    ValueError
        If shapes do not fit or ``block_size`` is below 1.
    TypeError
        If ``mask`` is neither boolean nor floating.

    Examples
    --------
    >>> q = k = torch.zeros(2, 4)
    >>> online_softmax_attention(q, k, torch.tensor([[0.0], [1.0]]), block_size=1)
    tensor([[0.5000],
            [0.5000]])
    """
    batch = _check_shapes(q, k, v, mask)
    if block_size < 1:
        raise ValueError(f"block_size must be at least 1, got {block_size}")
    q, mask = q.expand(*batch, *q.shape[-2:]) * _scale(scale, q), _like(mask, q)
    m = torch.full_like(q[..., :1], -math.inf)  # (..., T_q, 1): largest score so far
    total = torch.zeros_like(m)  # the papers' l: sum of exp(score - m)
    context = torch.zeros_like(m)  # (..., T_q, d_v) after the first block
    for start in range(0, k.shape[-2], block_size):
        block = slice(start, start + block_size)
        scores = q @ k[..., block, :].transpose(-2, -1)  # (..., T_q, block)
        scores = _apply_mask(scores, _mask_block(mask, block))
        if is_causal:
            scores = _apply_mask(scores, _causal_block(q, k, start, scores.shape[-1]))
        m_new = torch.maximum(m, scores.amax(dim=-1, keepdim=True).detach())
        safe = m_new.masked_fill(m_new == -math.inf, 0.0)
        shrink = torch.exp(m - safe)
        p = torch.exp(scores - safe)
        total = total * shrink + p.sum(dim=-1, keepdim=True)
        context = context * shrink + p @ v[..., block, :]
        m = m_new
    return context / torch.where(total > 0, total, torch.ones_like(total))


def _mask_block(mask: Tensor | None, block: slice) -> Tensor | None:
    """Cut a block of keys from a mask whose last dimension may be a broadcast 1."""
    return mask if mask is None or mask.shape[-1] == 1 else mask[..., block]


def _causal_block(q: Tensor, k: Tensor, start: int, size: int) -> Tensor:
    """Cut the columns from ``start`` on out of the causal mask without building all of it."""
    queries = torch.arange(k.shape[-2] - q.shape[-2], k.shape[-2], device=q.device)
    return queries[:, None] >= torch.arange(start, start + size, device=q.device)


class KVCache:
    r"""Keys and values of the positions that one attention layer has already seen.

    Examples
    --------
    >>> cache = KVCache()
    >>> k, v = cache.append(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
    >>> k, v = cache.append(torch.zeros(1, 2, 1, 4), torch.zeros(1, 2, 1, 4))
    >>> len(cache), tuple(k.shape), cache.nbytes
    (4, (1, 2, 4, 4), 256)
    """

    def __init__(self) -> None:
        self.keys: Tensor | None = None
        self.values: Tensor | None = None

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
        r"""Add the newest positions and return all of them.

        Parameters
        ----------
        k, v : Tensor, shape (B, G, T_new, d)

        Returns
        -------
        tuple of Tensor, each of shape (B, G, T, d)

        Raises
        ------
        ValueError
            If the shapes differ, or do not continue what the cache holds.
        """
        if v.shape != k.shape:
            raise ValueError(f"v must have the shape of k, {tuple(k.shape)}, got {tuple(v.shape)}")
        if self.keys is not None and self.values is not None:
            held, new = self.keys.shape, k.shape
            if (*held[:2], held[3]) != (*new[:2], new[3]):
                raise ValueError(
                    "k must continue the cache, whose shape is "
                    f"{tuple(held)}, got {tuple(new)}; start a new KVCache for a new batch"
                )
            k, v = torch.cat((self.keys, k), dim=-2), torch.cat((self.values, v), dim=-2)
        self.keys, self.values = k, v
        return k, v


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
        Query heads :math:`H`; must divide ``d_model``.
    n_kv_heads : int, optional
        Key-value heads :math:`G`; must divide ``n_heads``. Default ``n_heads``; 1 gives
        multi-query attention.
    bias : bool
        Whether the four projections have a bias.
    dropout : float
        Dropout on the attention weights, in training mode only.
    rotary : bool
        Rotate queries and keys by position; self-attention only.

    Raises
    ------
    ValueError
        If sizes do not divide, a head of a rotary layer has odd width, or ``dropout`` is
        outside [0, 1).

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
        n_kv_heads: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        n_kv_heads = n_heads if n_kv_heads is None else n_kv_heads
        _check_heads(d_model, n_heads, n_kv_heads, dropout, rotary)
        self.n_heads, self.n_kv_heads, self.d_head = n_heads, n_kv_heads, d_model // n_heads
        self.dropout, self.rotary = dropout, rotary
        self.w_q = Linear(d_model, n_heads * self.d_head, bias)
        self.w_k = Linear(d_model, n_kv_heads * self.d_head, bias)
        self.w_v = Linear(d_model, n_kv_heads * self.d_head, bias)
        self.w_o = Linear(n_heads * self.d_head, d_model, bias)

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        heads = f"n_heads={self.n_heads}, n_kv_heads={self.n_kv_heads}, d_head={self.d_head}"
        return f"{heads}, dropout={self.dropout}, rotary={self.rotary}"

    def forward(
        self,
        x: Float[Tensor, "batch query d_model"],
        context: Float[Tensor, "batch key d_model"] | None = None,
        mask: Tensor | None = None,
        is_causal: bool = False,
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
            If ``context`` comes with a cache or to a rotary layer, or shapes do not fit.
        TypeError
            If ``mask`` is neither boolean nor floating.
        """
        if context is not None and (cache is not None or self.rotary):
            raise ValueError("context goes with neither a cache nor rotary positions")
        context = x if context is None else context
        q = self._split(self.w_q(x))  # (B, H, T_q, d)
        k, v = self._split(self.w_k(context)), self._split(self.w_v(context))  # (B, G, T_k, d)
        if self.rotary:
            q, k = self._rotate(q, k, start=0 if cache is None else len(cache))
        if cache is not None:
            k, v = cache.append(k, v)
        k, v = self._share(k), self._share(v)  # (B, H, T_k, d)
        if mask is not None and mask.ndim == 3:
            mask = mask[:, None]  # (B, 1, T_q, T_k): the same for every head
        dropout_p = self.dropout if self.training else 0.0
        attended = scaled_dot_product_attention(
            q, k, v, mask, is_causal, dropout_p=dropout_p, return_weights=return_weights
        )
        if isinstance(attended, tuple):
            heads, weights = attended
            return self._merge(heads), weights
        return self._merge(attended)

    def _split(self, x: Tensor) -> Tensor:
        """(B, T, heads·d) -> (B, heads, T, d): cut the features, then move heads forward."""
        return x.unflatten(-1, (-1, self.d_head)).transpose(1, 2)

    def _merge(self, heads: Tensor) -> Tensor:
        """(B, H, T, d) -> (B, T, H·d): move heads back, join the features, apply W^O."""
        return self.w_o(heads.transpose(1, 2).flatten(2))

    def _share(self, x: Tensor) -> Tensor:
        """Repeat each key-value head for its group of query heads: (B, G, …) -> (B, H, …)."""
        return x.repeat_interleave(self.n_heads // self.n_kv_heads, dim=1)

    def _rotate(self, q: Tensor, k: Tensor, start: int) -> tuple[Tensor, Tensor]:
        positions = torch.arange(start, start + q.shape[-2], device=q.device)
        return apply_rotary(q, positions), apply_rotary(k, positions)


def _check_heads(d_model: int, n_heads: int, n_kv_heads: int, dropout: float, rotary: bool) -> None:
    if n_heads < 1 or d_model < 1 or d_model % n_heads:
        raise ValueError(f"n_heads must divide d_model, got {n_heads} and {d_model}")
    if n_kv_heads < 1 or n_heads % n_kv_heads:
        raise ValueError(f"n_kv_heads must divide n_heads, got {n_kv_heads} and {n_heads}")
    if rotary and (d_model // n_heads) % 2:
        raise ValueError(
            f"a rotary layer needs heads of even width, got d_model / n_heads = "
            f"{d_model // n_heads}"
        )
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout}")
