r"""T5: every task as a text made of a text, by an encoder and a decoder (Raffel et al. 2020).

This file adds: ``relative_buckets`` and ``RelativeBias``, which tell attention how far apart two
tokens are (section 2.1); ``GEGLU``, the gated feed-forward layer of version 1.1; ``T5Config`` and
``T5``.

Shape letters: ``B`` batch, ``S`` tokens of the source, ``T`` of the target, ``D`` features
(``d_model``), ``H`` heads, ``V`` vocabulary.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._arguments import _require_flag, _require_int
from companion._tensors import (
    _require_batch,
    _require_padding_mask,
    _require_sizes,
    _require_whole_numbers,
)
from companion.activations import relu
from companion.attention import KVCache, MultiHeadAttention, _check_heads, _distance
from companion.layers import Dropout, Embedding, FeedForward, Linear, RMSNorm
from companion.models.hub import Pretrained
from companion.models.layouts import T5 as LAYOUT
from companion.models.seq2seq import Seq2Seq
from companion.transformer import Block, Decoder, DecoderBlock, Encoder, _require_caches

__all__ = ["relative_buckets", "RelativeBias", "GEGLU", "T5Config", "T5"]


# -- positions -----------------------------------------------------------------------------------


def relative_buckets(
    distance: Integer[Tensor, "*shape"],
    *,
    n_buckets: int = 32,
    max_distance: int = 128,
    causal: bool = False,
) -> Integer[Tensor, "*shape"]:
    r"""Sort distances into buckets: near ones each have their own, far ones share (section 2.1).

    With :math:`N` buckets for one direction, half of them, :math:`E = \lfloor N/2 \rfloor`, are
    for the distances from 0 to :math:`E - 1`. The others become wider and wider up to the largest
    distance :math:`M`, and the last one holds all that is farther:

    .. math::
        b(t) = \begin{cases} t & t < E \\
        \min\left(N - 1,\; E + \left\lfloor \frac{\log(t / E)}{\log(M / E)} (N - E)
        \right\rfloor\right) & t \ge E \end{cases}

    Parameters
    ----------
    distance : Tensor of int
        Position of the key minus position of the query.
    n_buckets : int
        For both directions together: the keys that come later have the second half of them.
    max_distance : int
        :math:`M`.
    causal : bool
        Whether all buckets are for keys that come before. Those that come later are in bucket 0,
        and a causal model hides them.

    Returns
    -------
    Tensor of int, shape of ``distance``
        From 0 to ``n_buckets`` − 1.

    Raises
    ------
    ValueError
        If a direction has fewer than 2 buckets, or ``max_distance`` is not above :math:`E`.
    TypeError
        If distances are not whole numbers.

    Examples
    --------
    >>> relative_buckets(torch.tensor([0, -1, -7, -8, -16, -200, 1, 200])).tolist()
    [0, 1, 7, 8, 10, 15, 17, 31]
    """
    _require_buckets(n_buckets, max_distance, causal)
    _require_whole_numbers(distance=distance)
    distance = distance.long()
    n = n_buckets if causal else n_buckets // 2
    exact = n // 2
    t = (-distance).clamp(min=0) if causal else distance.abs()
    # In float32, as the published models were trained: at the edge of a bucket it may decide.
    share = torch.log(t.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    wide = (exact + (share * (n - exact)).long()).clamp(max=n - 1)
    bucket = torch.where(t < exact, t, wide)
    return bucket if causal else bucket + n * (distance > 0)


class RelativeBias(nn.Module):
    r"""A learned number for each bucket of distances and each head, added to the scores.

    One such table serves all blocks of a stack.

    Parameters
    ----------
    n_heads : int
    n_buckets, max_distance, causal
        As for `relative_buckets`.

    Raises
    ------
    ValueError
        As for `relative_buckets`, or if ``n_heads`` is below 1.

    Examples
    --------
    >>> RelativeBias(n_heads=2)(3, 5).shape
    torch.Size([1, 2, 3, 5])
    """

    def __init__(
        self,
        n_heads: int,
        *,
        n_buckets: int = 32,
        max_distance: int = 128,
        causal: bool = False,
    ) -> None:
        super().__init__()
        _require_buckets(n_buckets, max_distance, causal)
        self.table = Embedding(n_buckets, n_heads)
        self.max_distance, self.causal = max_distance, causal

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"max_distance={self.max_distance}, causal={self.causal}"

    def forward(
        self, n_queries: int, n_keys: int | None = None
    ) -> Float[Tensor, "1 heads n_queries n_keys"]:
        """Return an additive mask, (1, H, T_q, T_k); the queries are the last positions."""
        weight = self.table.weight
        buckets = relative_buckets(
            -_distance(n_queries, n_keys, weight.device),
            n_buckets=len(weight),
            max_distance=self.max_distance,
            causal=self.causal,
        )
        return self.table(buckets).permute(2, 0, 1)[None]


def _require_buckets(n_buckets: int, max_distance: int, causal: bool) -> None:
    """Refuse buckets of which a direction would have none for what is near, or for what is far."""
    _require_flag("causal", causal)
    _require_int("n_buckets", n_buckets, least=2 if causal else 4)
    exact = n_buckets // (2 if causal else 4)
    _require_int("max_distance", max_distance, least=exact + 1)


# -- the model -----------------------------------------------------------------------------------


class GEGLU(nn.Module):
    r"""A feed-forward layer gated by GELU (Shazeer 2020, eq. 6).

    .. math:: y = \big(\mathrm{GELU}(x W_g^\top) \odot x W_u^\top\big)\, W_d^\top

    Parameters
    ----------
    d_model : int
        Features of input and output.
    d_hidden : int
        Features in between.
    dropout : float
        Probability of `Dropout` of the features in between.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> GEGLU(8, 24)(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, d_model: int, d_hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.w_gate = Linear(d_model, d_hidden, bias=False)
        self.w_up = Linear(d_model, d_hidden, bias=False)
        self.w_down = Linear(d_hidden, d_model, bias=False)
        # PyTorch's own, which computes `companion.activations.gelu(x, approximate="tanh")`.
        self.gelu, self.dropout = nn.GELU(approximate="tanh"), Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Map (..., d_model) to (..., d_model)."""
        return self.w_down(self.dropout(self.gelu(self.w_gate(x)) * self.w_up(x)))


@dataclass(frozen=True)
class T5Config:
    """Sizes of a T5; the defaults are those of T5 small."""

    vocab_size: int = 32_128
    d_model: int = 512
    n_layers: int = 6
    """Blocks of the encoder."""
    n_decoder_layers: int | None = None
    """Blocks of the decoder; default as many."""
    n_heads: int = 8
    d_head: int = 64
    """Width of one head; together they need not be as wide as the model."""
    d_hidden: int = 2_048
    dropout: float = 0.0
    gated: bool = False
    """Whether the feed-forward layers are `GEGLU`, as in version 1.1, or have ReLU."""
    tied: bool = True
    """Whether the output is the table of tokens, transposed; not so in version 1.1."""
    n_buckets: int = 32
    max_distance: int = 128
    """Where the logarithmic scale ends; all distances from here on share one bucket."""
    eps: float = 1e-6

    def __post_init__(self) -> None:
        _require_sizes(
            vocab_size=self.vocab_size,
            n_layers=self.n_layers,
            n_decoder_layers=self.n_layers
            if self.n_decoder_layers is None
            else self.n_decoder_layers,
            d_hidden=self.d_hidden,
        )
        for name in ("gated", "tied"):
            _require_flag(name, getattr(self, name))
        _check_heads(self.d_model, self.n_heads, self.n_heads, self.d_head)
        for causal in (False, True):  # encoder and decoder
            _require_buckets(self.n_buckets, self.max_distance, causal)


class T5(Pretrained):
    r"""An encoder and a decoder whose scores of attention depend on the distance of two tokens.

    Of `Seq2Seq` remain the two stacks. RMSNorm stands before each layer, no map has a bias, and
    scores are not divided by :math:`\sqrt d`. Positions are added to the scores: one table for the
    encoder, one for the decoder, and none where the decoder looks at the source.

    Parameters
    ----------
    config : T5Config

    Raises
    ------
    ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> tiny = T5Config(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_head=4, d_hidden=16)
    >>> source, target = torch.tensor([[1, 2, 3]]), torch.tensor([[0, 5]])
    >>> T5(tiny)(source, target).shape
    torch.Size([1, 2, 10])
    """

    layout, Config = LAYOUT, T5Config

    def __init__(self, config: T5Config) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.d_model)
        self.dropout = Dropout(config.dropout)
        parts, n = _Parts(config), config.n_layers
        self.encoder_bias, self.decoder_bias = parts.bias(causal=False), parts.bias(causal=True)
        self.encoder = Encoder((parts.encoder_block() for _ in range(n)), parts.norm())
        n = config.n_decoder_layers or n
        self.decoder = Decoder((parts.decoder_block() for _ in range(n)), parts.norm())
        if not config.tied:
            self.head = Linear(config.d_model, config.vocab_size, bias=False)
        self._initialise()

    def forward(
        self,
        source: Integer[Tensor, "batch source"],
        target: Integer[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        r"""Return the logits of the token that follows each one of the target.

        Parameters
        ----------
        source : Tensor of int, shape (B, S)
        target : Tensor of int, shape (B, T)
            Begins with the token that begins every target; published models take the one that
            pads, 0. Padding may follow at the end: what stands before it does not see it.
        source_mask : Tensor of bool, shape (B, 1, S), optional
            False for padding (`companion.attention.padding_mask`).

        Returns
        -------
        Tensor, shape (B, T, V)

        Raises
        ------
        ValueError
            If shapes do not fit, or an id is not in the vocabulary.
        TypeError
            If ids are not whole numbers, or the mask is not boolean.
        """
        return self.decode(target, self.encode(source, source_mask), source_mask)

    def encode(
        self,
        source: Integer[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
    ) -> Float[Tensor, "batch source d_model"]:
        """Return the memory: one vector for each position of the source, (B, S, D)."""
        x = self.embed(source)
        _require_padding_mask(source_mask, source)
        bias = self.encoder_bias(source.shape[1])  # (1, H, S, S)
        if source_mask is not None:
            bias = bias.masked_fill(~source_mask[:, None], -math.inf)  # (B, H, S, S)
        return self.dropout(self.encoder(x, bias))

    def decode(
        self,
        target: Integer[Tensor, "batch target"],
        memory: Float[Tensor, "batch source d_model"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
        *,
        caches: list[KVCache] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return logits (B, T, V) for a target and what `encode` made of the source."""
        _require_caches(caches, len(self.decoder.blocks))
        x = self.embed(target)
        seen, new = 0 if caches is None else caches[0].seen, target.shape[1]
        bias = self.decoder_bias(new, seen + new)  # (1, H, T, seen + T)
        options: dict[str, Any] = {"memory_mask": source_mask, "caches": caches}
        return self.predict(self.dropout(self.decoder(x, memory, mask=bias, **options)))

    def embed(self, ids: Integer[Tensor, "batch length"]) -> Float[Tensor, "batch length d_model"]:
        r"""Return the vector of each token; attention alone knows of positions.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)

        Returns
        -------
        Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If ``ids`` has another shape, or an id is not in the vocabulary.
        TypeError
            If ids are not whole numbers.
        """
        _require_batch(ids)
        return self.dropout(self.tokens(ids))

    def predict(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        r"""Map the decoder's vectors (..., D) to logits (..., V).

        The rows of the table have length :math:`\sqrt D` or so; where they are the output, too,
        :math:`x` is divided by that first.
        """
        if self.config.tied:
            return x * self.config.d_model**-0.5 @ self.tokens.weight.T
        return self.head(x)

    def new_caches(self) -> list[KVCache]:
        """Return an empty cache for each block of the decoder."""
        return [KVCache() for _ in self.decoder.blocks]

    translate = Seq2Seq.translate  # it asks for `encode` and `decode` alone

    @torch.no_grad()
    def _initialise(self) -> None:
        r"""Draw as T5 does: what a map makes of numbers of size 1 has size 1.

        Queries are smaller by :math:`\sqrt d`, by which scores are not divided.
        """
        for name, weight in self.named_parameters():
            if name.endswith("w_q.weight"):
                weight.normal_(std=(weight.shape[1] * self.config.d_head) ** -0.5)
            elif weight.ndim == 2:
                weight.normal_(std=weight.shape[1] ** -0.5)
        self.tokens.weight.normal_()
        for bias in (self.encoder_bias, self.decoder_bias):
            bias.table.weight.normal_(std=self.config.d_model**-0.5)


@dataclass
class _Parts:
    """What a configuration's blocks are put together from."""

    config: T5Config

    def encoder_block(self) -> Block:
        return Block(self._attention(), self._feed_forward(), **self._around())

    def decoder_block(self) -> DecoderBlock:
        parts = self._attention(), self._attention(), self._feed_forward()
        return DecoderBlock(*parts, **self._around())

    def bias(self, *, causal: bool) -> RelativeBias:
        c = self.config
        options = {"n_buckets": c.n_buckets, "max_distance": c.max_distance}
        return RelativeBias(c.n_heads, **options, causal=causal)

    def norm(self) -> RMSNorm:
        return RMSNorm(self.config.d_model, self.config.eps)

    def _attention(self) -> MultiHeadAttention:
        c = self.config
        options: dict[str, Any] = {"d_head": c.d_head, "bias": False, "dropout": c.dropout}
        return MultiHeadAttention(c.d_model, c.n_heads, scale=1.0, **options)

    def _feed_forward(self) -> nn.Module:
        c = self.config
        if c.gated:
            return GEGLU(c.d_model, c.d_hidden, dropout=c.dropout)
        options: dict[str, Any] = {"activation": relu, "dropout": c.dropout, "bias": False}
        return FeedForward(c.d_model, c.d_hidden, **options)

    def _around(self) -> dict[str, Any]:
        return {"norm": partial(RMSNorm, eps=self.config.eps), "dropout": self.config.dropout}
