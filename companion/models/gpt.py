r"""GPT: a Transformer that reads from left to right and says what comes next.

This file adds: ``GPTConfig``, ``GPT`` (GPT-2's architecture, Radford et al. 2019, section 2.3) and
``Trace``, everything that it computed on its way.

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features (``d_model``), ``H`` heads, ``L`` blocks,
``V`` vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import (
    _require_batch,
    _require_mask,
    _require_positions,
    _require_sizes,
)
from companion.attention import KVCache, MultiHeadAttention
from companion.layers import (
    Dropout,
    Embedding,
    FeedForward,
    LayerNorm,
    alibi_bias,
    sinusoidal_positions,
)
from companion.layers._product import _linear
from companion.models.hub import Pretrained
from companion.models.layouts import GPT2
from companion.transformer import Block, _require_caches

__all__ = ["GPTConfig", "GPT", "Trace"]

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi", "none")


@dataclass(frozen=True)
class GPTConfig:
    """Sizes of a GPT; the defaults are those of GPT-2 small."""

    vocab_size: int = 50_257
    max_length: int = 1_024
    """Positions that the model was made for; only learned ones are limited to it."""
    d_model: int = 768
    n_layers: int = 12
    n_heads: int = 12
    d_hidden: int | None = None
    """Width of the feed-forward layers; default ``4 * d_model``."""
    dropout: float = 0.0
    positions: str = "learned"
    """How it knows the order: "learned", "sinusoidal", "rotary", "alibi" or "none"."""

    def __post_init__(self) -> None:
        _require_sizes(
            vocab_size=self.vocab_size, max_length=self.max_length, n_layers=self.n_layers
        )
        if self.positions not in POSITIONS:
            raise ValueError(f"positions must be one of {POSITIONS}, got {self.positions!r}")


@dataclass(frozen=True)
class Trace:
    """What a GPT computed on its way from ids to logits."""

    stream: Float[Tensor, "states batch length d_model"]
    """The residual stream, (L+1, B, T, D): embedded tokens, then what each block made of them."""
    weights: Float[Tensor, "layers batch heads length length"]
    """Attention weights, (L, B, H, T, T)."""
    logits: Float[Tensor, "batch length vocab"]


class GPT(Pretrained):
    r"""A stack of causal blocks between a table of vectors and the same table, transposed.

    .. math::
        x_0 = E[\text{ids}] + P, \qquad x_l = \mathrm{Block}_l(x_{l-1}), \qquad
        \text{logits} = \mathrm{norm}(x_L)\, E^\top

    Parameters
    ----------
    config : GPTConfig

    Raises
    ------
    ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> model = GPT(GPTConfig(vocab_size=10, max_length=8, d_model=8, n_layers=2, n_heads=2))
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 10])
    """

    layout, Config = GPT2, GPTConfig

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.d_model)
        if config.positions == "learned":
            self.positions = Embedding(config.max_length, config.d_model)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layers))
        self.norm = LayerNorm(config.d_model)
        self._initialise()

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "#batch #length keys"] | None = None,
        positions: Integer[Tensor, "*#batch length"] | None = None,
        *,
        caches: list[KVCache] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        r"""Return the logits of the token that follows each one.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T_k) or (B, T, T_k), optional
            Which keys may be seen, besides that none sees a later one: False for padding, or for
            what belongs to another text in the same row. T_k counts the positions in the caches.
        positions : Tensor of int, shape (T,) or (B, T), optional
            Where each token stands in its text. By default they follow one another, from 0 or
            from the last one in the caches.
        caches : list of KVCache, optional
            One for each block (see `new_caches`), with the positions before ``ids``.

        Returns
        -------
        Tensor, shape (B, T, V)

        Raises
        ------
        ValueError
            If ``ids``, ``mask`` or ``positions`` has another shape, an id is not in the vocabulary,
            there are more positions than the model has vectors for, not as many caches as blocks,
            or ALiBi would need the positions of what is in the caches.
        TypeError
            If ids or positions are not whole numbers, or ``mask`` is not boolean.
        """
        _require_caches(caches, len(self.blocks))
        seen = 0 if caches is None else caches[0].seen
        x = self.embed(ids, seen, positions)  # (B, T, D)
        _require_mask(mask, ids, seen)
        bias = self._bias(ids, seen, mask, positions)
        options = {"mask": bias, "is_causal": True}
        if self.config.positions == "rotary":
            options["positions"] = positions
        for i, block in enumerate(self.blocks):
            x = block(x, **options, cache=None if caches is None else caches[i])
        return self.predict(x)

    def embed(
        self,
        ids: Integer[Tensor, "batch length"],
        start: int = 0,
        positions: Integer[Tensor, "*#batch length"] | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        r"""Return the vector of each token, with its position added.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        start : int
            Position of the first of them.
        positions : Tensor of int, shape (T,) or (B, T), optional
            Position of each of them, if they do not follow one another.

        Returns
        -------
        Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If ``ids`` or ``positions`` has another shape, an id is not in the vocabulary, or there
            are more positions than the model has vectors for.
        TypeError
            If ids or positions are not whole numbers.
        """
        self._require_places(ids, start, positions)
        x, end = self.tokens(ids), start + ids.shape[1]
        at = slice(start, end) if positions is None else positions
        if self.config.positions == "learned":
            x = x + self.positions.weight[at]
        if self.config.positions == "sinusoidal":
            n = end if positions is None else int(positions.max()) + 1
            x = x + sinusoidal_positions(n, self.config.d_model).to(x)[at]
        return self.dropout(x)

    def predict(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Map the residual stream (..., D) to logits (..., V)."""
        return _linear(self.norm(x), self.tokens.weight)

    def new_caches(self) -> list[KVCache]:
        """Return an empty cache for each block."""
        return [KVCache() for _ in self.blocks]

    @torch.no_grad()
    def trace(self, ids: Integer[Tensor, "batch length"]) -> Trace:
        r"""Return what the model computes for ``ids``, step by step.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)

        Returns
        -------
        Trace
        """
        stream, maps = [self.embed(ids)], []
        options = {"mask": self._bias(ids, 0), "is_causal": True, "return_weights": True}
        for block in self.blocks:
            x, weights = block(stream[-1], **options)
            stream.append(x)
            maps.append(weights)
        return Trace(torch.stack(stream), torch.stack(maps), self.predict(stream[-1]))

    def _bias(
        self,
        ids: Tensor,
        seen: int,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor | None:
        """Return the mask, or what ALiBi adds to the scores, (1 or B, H, T, T_k)."""
        if self.config.positions != "alibi":
            return mask
        length, n_heads = ids.shape[1], self.config.n_heads
        bias = alibi_bias(n_heads, length, seen + length, device=ids.device)[None]
        if positions is not None:
            if seen:
                raise ValueError("positions cannot go with caches: ALiBi needs those of all tokens")
            at = positions.expand(ids.shape)
            distance = (at[:, :, None] - at[:, None, :]).abs()[:, None]  # (B, 1, T, T)
            bias = alibi_bias(n_heads, 2, device=ids.device)[:, 1:, :1] * distance
        return bias if mask is None else bias.masked_fill(~mask[:, None], -math.inf)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draw weights as GPT-2 does: the more blocks add to the stream, the less each one adds."""
        for name, weight in self.named_parameters():
            if name.endswith(("w_o.weight", "contract.weight")):  # what a layer adds comes from it
                weight.normal_(std=0.02 / math.sqrt(2 * self.config.n_layers))
            elif weight.ndim == 2:
                weight.normal_(std=0.02)
            elif name.endswith("bias"):
                weight.zero_()

    def _require_places(self, ids: Tensor, start: int, positions: Tensor | None) -> None:
        _require_batch(ids)
        learned = self.config.positions == "learned"
        _require_positions(positions, ids, self.config.max_length if learned else None)
        end = start + ids.shape[1]
        if learned and positions is None and end > self.config.max_length:
            raise ValueError(
                f"ids must end at position {self.config.max_length} at most, "
                f"since the model has learnt no later one; they end at {end}"
            )


def _block(config: GPTConfig) -> Block:
    """Build one block: attention and a feed-forward layer, each normalised before."""
    rotary, dropout = config.positions == "rotary", config.dropout
    # PyTorch's own, which computes `companion.activations.gelu(x, approximate="tanh")` in one pass.
    gelu = nn.GELU(approximate="tanh")
    return Block(
        MultiHeadAttention(config.d_model, config.n_heads, rotary=rotary, dropout=dropout),
        FeedForward(config.d_model, config.d_hidden, activation=gelu),
        dropout=dropout,
    )
