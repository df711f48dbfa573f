r"""Llama: GPT with other parts, which most language models that can be downloaded have today.

RMSNorm stands for LayerNorm, SwiGLU for the feed-forward layer, a rotation of queries and keys for
the table of positions; several heads share keys and values, and no map has a bias (Touvron et al.
2023, section 2.2; Llama Team 2024, section 3.2).

This file adds: ``LlamaConfig`` and ``Llama``.

Shape letters: ``B`` batch, ``T`` tokens, ``D`` features (``d_model``), ``H`` heads, ``L`` blocks,
``V`` vocabulary.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._arguments import _require_flag
from companion._tensors import _require_batch, _require_mask, _require_positions, _require_sizes
from companion.attention import KVCache, MultiHeadAttention, _check_heads
from companion.layers import Embedding, Linear, Llama3Scaling, RMSNorm, Rotary, SwiGLU
from companion.layers._checks import _require_eps, _require_even
from companion.models.gpt import Trace
from companion.models.hub import Pretrained
from companion.models.layouts import LLAMA
from companion.tokenizers import ChatBPE
from companion.transformer import Block, _require_caches

__all__ = ["LlamaConfig", "Llama"]


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of a Llama; the defaults are those of SmolLM2-135M (Allal et al. 2025)."""

    vocab_size: int = 49_152
    max_length: int = 8_192
    """Positions that the model was trained for; nothing but its skill is limited to them."""
    d_model: int = 576
    n_layers: int = 30
    n_heads: int = 9
    n_kv_heads: int | None = 3
    """Heads that keys and values have; None for as many as queries."""
    d_head: int | None = None
    """Width of one head; default ``d_model / n_heads``."""
    d_hidden: int = 1_536
    """Width of the feed-forward layers."""
    eps: float = 1e-5
    """Epsilon of RMSNorm."""
    base: float = 100_000.0
    """Of the rotation: the larger, the more slowly the last pairs turn."""
    scaling: Llama3Scaling | None = None
    """What slows down the rotation for texts longer than those of the first training."""
    pairs: str = "halves"
    """Which features are turned together: "halves" or "neighbours"; see `apply_rotary`."""
    tied: bool = True
    """Whether the table of tokens, transposed, is the last matrix, too."""

    def __post_init__(self) -> None:
        _require_sizes(
            vocab_size=self.vocab_size,
            max_length=self.max_length,
            n_layers=self.n_layers,
            d_hidden=self.d_hidden,
        )
        n_kv_heads = self.n_heads if self.n_kv_heads is None else self.n_kv_heads
        _check_heads(self.d_model, self.n_heads, n_kv_heads, self.d_head)
        d_head = self.d_model // self.n_heads if self.d_head is None else self.d_head
        _require_even("d_head", d_head)
        _require_eps(self.eps)
        _require_flag("tied", self.tied)
        Rotary(self.base, self.pairs, self.scaling)  # refuses a base or pairs that cannot be


class Llama(Pretrained):
    r"""A stack of causal blocks of RMSNorm, rotary attention and SwiGLU.

    .. math::
        x_0 = E[\text{ids}], \qquad x_l = \mathrm{Block}_l(x_{l-1}), \qquad
        \text{logits} = \mathrm{norm}(x_L)\, W^\top

    with :math:`W = E` where the two are tied.

    Parameters
    ----------
    config : LlamaConfig
    tokenizer : ChatBPE, optional
        The one that the model was trained with, kept beside it; the model itself sees only ids.

    Raises
    ------
    ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> sizes = dict(vocab_size=10, d_model=8, n_layers=2, n_heads=4, n_kv_heads=2, d_hidden=24)
    >>> model = Llama(LlamaConfig(**sizes))
    >>> model(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 10])
    """

    layout, Config = LLAMA, LlamaConfig

    def __init__(self, config: LlamaConfig, tokenizer: ChatBPE | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.tokens = Embedding(config.vocab_size, config.d_model)
        self.blocks = nn.ModuleList(self._block() for _ in range(config.n_layers))
        self.norm = RMSNorm(config.d_model, config.eps)
        if not config.tied:
            self.head = Linear(config.d_model, config.vocab_size, bias=False)
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
            False for padding, as `companion.attention.padding_mask` gives it, or for what belongs
            to another text in the same row; T_k counts the positions in the caches, too. Padding
            may stand on either side: what the rotation does depends on the distance of two tokens
            alone, not on where the text begins.
        positions : Tensor of int, shape (T,) or (B, T), optional
            Where each token stands in its text. By default they follow one another, from 0 or
            from the last one in the caches.
        caches : list of KVCache, optional
            One for each block (see `new_caches`), with the positions before ``ids``.

        Returns
        -------
        Tensor, shape (B, T, V)
            At padding they mean nothing.

        Raises
        ------
        ValueError
            If ``ids``, ``mask`` or ``positions`` has another shape, an id is not in the vocabulary,
            or there are not as many caches as blocks.
        TypeError
            If ids or positions are not whole numbers, or ``mask`` is not boolean.
        """
        _require_caches(caches, len(self.blocks))
        x = self.embed(ids)  # (B, T, D)
        _require_mask(mask, ids, 0 if caches is None else caches[0].seen)
        _require_positions(positions, ids)
        options = {"mask": mask, "is_causal": True, "positions": positions}
        for i, block in enumerate(self.blocks):
            x = block(x, **options, cache=None if caches is None else caches[i])
        return self.predict(x)

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
        return self.tokens(ids)

    def predict(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Map the residual stream (..., D) to logits (..., V)."""
        x = self.norm(x)
        return x @ self.tokens.weight.T if self.config.tied else self.head(x)

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
        for block in self.blocks:
            x, weights = block(stream[-1], is_causal=True, return_weights=True)
            stream.append(x)
            maps.append(weights)
        return Trace(torch.stack(stream), torch.stack(maps), self.predict(stream[-1]))

    def _block(self) -> Block:
        """Build one block: attention and a feed-forward layer, each normalised before."""
        c = self.config
        attention = MultiHeadAttention(
            c.d_model,
            c.n_heads,
            n_kv_heads=c.n_kv_heads,
            d_head=c.d_head,
            bias=False,
            rotary=Rotary(c.base, c.pairs, c.scaling),
        )
        return Block(attention, self._feed_forward(), norm=partial(RMSNorm, eps=c.eps))

    def _feed_forward(self) -> nn.Module:
        """Build the layer after attention; a relative of Llama may have another one."""
        return SwiGLU(self.config.d_model, self.config.d_hidden)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draw all matrices with one small deviation, so that the first logits are near 0."""
        for weight in self.parameters():
            if weight.ndim > 1:
                weight.normal_(std=0.02)
