r"""The Transformer's blocks, and what is built by stacking them (Vaswani et al. 2017, section 3).

This file adds: the residual connection with its normalisation, before the layer (``PreNorm``) or
after the sum (``PostNorm``); ``Block``, attention and then a feed-forward layer; ``DecoderBlock``,
which also attends to what an encoder has read; and the stacks ``Encoder`` and ``Decoder``.

A block is put together from parts. A new kind of Transformer is other parts (RMSNorm for
LayerNorm, `SwiGLU` for `FeedForward`) and not one more option here.

Shape letters: ``B`` batch, ``T`` positions (``S`` of what the encoder read), ``D`` features
(``d_model``), ``H`` heads.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion._arguments import _require_iterable
from companion.attention import KVCache, MultiHeadAttention
from companion.layers import Dropout, LayerNorm

__all__ = ["PreNorm", "PostNorm", "Block", "DecoderBlock", "Encoder", "Decoder"]

Norm = Callable[[int], nn.Module]


class _Residual(nn.Module):
    """A layer, a normalisation and dropout around a residual connection."""

    def __init__(self, layer: nn.Module, norm: nn.Module, dropout: float = 0.0) -> None:
        super().__init__()
        self.layer, self.norm, self.dropout = layer, norm, Dropout(dropout)


class PreNorm(_Residual):
    r"""Add to :math:`x` what a layer makes of the normalised :math:`x` (Xiong et al. 2020).

    .. math:: y = x + \mathrm{dropout}(f(\mathrm{norm}(x)))

    The way from :math:`x` to :math:`y` is a plain sum, so through any number of blocks one part of
    the gradient comes back unchanged.

    Parameters
    ----------
    layer : nn.Module
        :math:`f`. What else is passed in a call is passed on to it; what it returns besides a
        change of :math:`x` is returned too.
    norm : nn.Module
    dropout : float
        Probability of dropping an entry of the change, in training mode only.

    Examples
    --------
    >>> doubled = PreNorm(nn.Identity(), nn.Identity())
    >>> doubled(torch.tensor([1.0, 2.0]))
    tensor([2., 4.])
    """

    def forward(self, x: Float[Tensor, "*batch d_model"], *args: Any, **options: Any) -> Any:
        """Return x plus the change, (..., D), and what the layer returns besides."""
        change, rest = _first(self.layer(self.norm(x), *args, **options))
        return _with(x + self.dropout(change), rest)


class PostNorm(_Residual):
    r"""Add to :math:`x` what a layer makes of it, then normalise (Vaswani et al. 2017, 3.1).

    .. math:: y = \mathrm{norm}(x + \mathrm{dropout}(f(x)))

    The original order. What comes out always has the same scale, but the gradient passes through
    a normalisation at every layer.

    Parameters
    ----------
    layer, norm, dropout
        As for `PreNorm`.

    Examples
    --------
    >>> halved = PostNorm(nn.Identity(), nn.Softmax(dim=-1))
    >>> halved(torch.tensor([1.0, 1.0]))
    tensor([0.5000, 0.5000])
    """

    def forward(self, x: Float[Tensor, "*batch d_model"], *args: Any, **options: Any) -> Any:
        """Return the normalised sum, (..., D), and what the layer returns besides."""
        change, rest = _first(self.layer(x, *args, **options))
        return _with(self.norm(x + self.dropout(change)), rest)


def _first(result: Any) -> tuple[Tensor, tuple[Any, ...]]:
    """Split what a layer returns into the change of x and the rest."""
    return (result[0], result[1:]) if isinstance(result, tuple) else (result, ())


def _with(x: Tensor, rest: tuple[Any, ...]) -> Any:
    """Return x, and the rest beside it if there is any."""
    return (x, *rest) if rest else x


class Block(nn.Module):
    r"""Attention, then a feed-forward layer, each with a residual connection (section 3.1).

    With ``is_causal`` in each call it is the block of GPT, without it that of an encoder.

    Parameters
    ----------
    attention : MultiHeadAttention
    feed_forward : nn.Module
        A layer that treats each position by itself, (B, T, D) to (B, T, D).
    norm : function
        Makes a normalisation of D features, such as `LayerNorm` or `RMSNorm`.
    residual : {PreNorm, PostNorm}
        Where the normalisation stands.
    dropout : float
        Of both changes.

    Examples
    --------
    >>> from companion.layers import FeedForward
    >>> block = Block(MultiHeadAttention(8, n_heads=2), FeedForward(8))
    >>> block(torch.zeros(2, 5, 8), is_causal=True).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        feed_forward: nn.Module,
        *,
        norm: Norm = LayerNorm,
        residual: type[_Residual] = PreNorm,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        d_model = attention.d_model
        self.attention = residual(attention, norm(d_model), dropout)
        self.feed_forward = residual(feed_forward, norm(d_model), dropout)

    def forward(
        self, x: Float[Tensor, "batch length d_model"], **options: Any
    ) -> (
        Float[Tensor, "batch length d_model"]
        | tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch heads length keys"]]
    ):
        r"""Return what the block makes of ``x``.

        Parameters
        ----------
        x : Tensor, shape (B, T, D)
        **options
            ``mask``, ``is_causal``, ``positions``, ``cache``, ``return_weights``, as
            `MultiHeadAttention` takes them.

        Returns
        -------
        Tensor, shape (B, T, D)
            And, if ``return_weights``, the attention weights, shape (B, H, T, T).
        """
        x, rest = _first(self.attention(x, **options))
        return _with(self.feed_forward(x), rest)


class DecoderBlock(nn.Module):
    r"""Self-attention, attention to an encoder's memory, then a feed-forward layer (section 3.1).

    Parameters
    ----------
    attention : MultiHeadAttention
        Of the decoder's positions to one another; causal.
    cross_attention : MultiHeadAttention
        Queries come from the decoder, keys and values from the memory.
    feed_forward, norm, residual, dropout
        As for `Block`.

    Examples
    --------
    >>> from companion.layers import FeedForward
    >>> own, cross = MultiHeadAttention(8, n_heads=2), MultiHeadAttention(8, n_heads=2)
    >>> block = DecoderBlock(own, cross, FeedForward(8))
    >>> block(torch.zeros(2, 5, 8), torch.zeros(2, 7, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        attention: MultiHeadAttention,
        cross_attention: MultiHeadAttention,
        feed_forward: nn.Module,
        *,
        norm: Norm = LayerNorm,
        residual: type[_Residual] = PreNorm,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        d_model = attention.d_model
        self.attention = residual(attention, norm(d_model), dropout)
        self.cross_attention = residual(cross_attention, norm(d_model), dropout)
        self.feed_forward = residual(feed_forward, norm(d_model), dropout)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        memory: Float[Tensor, "batch source d_model"],
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        cache: KVCache | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch length d_model"]
        | tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch heads length source"]]
    ):
        r"""Return what the block makes of ``x``; no position sees a later one.

        Parameters
        ----------
        x : Tensor, shape (B, T, D)
        memory : Tensor, shape (B, S, D)
            What the encoder made of the source.
        mask, memory_mask : Tensor, optional
            Which positions of ``x`` and of the memory may be seen, such as
            `companion.attention.padding_mask` gives them: shape (B, 1, T) and (B, 1, S). Or what
            is added to the scores.
        cache : KVCache, optional
            Of the self-attention.
        return_weights : bool

        Returns
        -------
        Tensor, shape (B, T, D)
            And, if asked for, the weights of the cross-attention, shape (B, H, T, S).
        """
        x = self.attention(x, mask=mask, is_causal=True, cache=cache)
        options = {"mask": memory_mask, "return_weights": return_weights}
        x, rest = _first(self.cross_attention(x, memory, **options))
        return _with(self.feed_forward(x), rest)


class _Stack(nn.Module):
    """Blocks one after the other, and a normalisation at the end."""

    def __init__(self, blocks: Iterable[nn.Module], norm: nn.Module | None = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_require_iterable(blocks, "blocks"))
        if not len(self.blocks):
            raise ValueError("blocks must hold at least one block, got none")
        self.norm = nn.Identity() if norm is None else norm


class Encoder(_Stack):
    r"""A stack of blocks in which every position sees every other (section 3.1).

    Parameters
    ----------
    blocks : iterable of Block
    norm : nn.Module, optional
        At the end. Blocks of `PreNorm` need one: their sums were never normalised.

    Raises
    ------
    ValueError
        If there is no block.

    Examples
    --------
    >>> from companion.layers import FeedForward
    >>> blocks = [Block(MultiHeadAttention(8, n_heads=2), FeedForward(8)) for _ in range(3)]
    >>> Encoder(blocks, LayerNorm(8))(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        mask: Tensor | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        """Map (B, T, D) to one vector for each position, (B, T, D).

        ``mask`` is as `MultiHeadAttention` takes it: it hides padding, or is added to the scores.
        """
        for block in self.blocks:
            x = block(x, mask=mask)
        return self.norm(x)


class Decoder(_Stack):
    r"""A stack of decoder blocks, all of which attend to the same memory (section 3.1).

    Parameters
    ----------
    blocks : iterable of DecoderBlock
    norm : nn.Module, optional
        At the end, as for `Encoder`.

    Raises
    ------
    ValueError
        If there is no block.

    Examples
    --------
    >>> from companion.layers import FeedForward
    >>> two = [MultiHeadAttention(8, n_heads=2) for _ in range(2)]
    >>> decoder = Decoder([DecoderBlock(*two, FeedForward(8))], LayerNorm(8))
    >>> decoder(torch.zeros(2, 5, 8), torch.zeros(2, 7, 8)).shape
    torch.Size([2, 5, 8])
    """

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        memory: Float[Tensor, "batch source d_model"],
        *,
        mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        caches: list[KVCache] | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch length d_model"]
        | tuple[
            Float[Tensor, "batch length d_model"],
            Float[Tensor, "layers batch heads length source"],
        ]
    ):
        r"""Return one vector for each position of ``x``.

        Parameters
        ----------
        x, memory, mask, memory_mask, return_weights
            As for `DecoderBlock`.
        caches : list of KVCache, optional
            One for each block.

        Returns
        -------
        Tensor, shape (B, T, D)
            And, if asked for, the weights of every cross-attention, shape (L, B, H, T, S).

        Raises
        ------
        ValueError
            If there are not as many caches as blocks.
        """
        _require_caches(caches, len(self.blocks))
        options = {"mask": mask, "memory_mask": memory_mask, "return_weights": return_weights}
        maps: list[Tensor] = []
        for i, block in enumerate(self.blocks):
            cache = None if caches is None else caches[i]
            x, weights = _first(block(x, memory, cache=cache, **options))
            maps += weights
        return _with(self.norm(x), (torch.stack(maps),) if maps else ())


def _require_caches(caches: list[KVCache] | None, n_blocks: int) -> None:
    """Refuse caches that are not one for each block."""
    if caches is not None and len(caches) != n_blocks:
        raise ValueError(f"caches must be one for each of {n_blocks} blocks, got {len(caches)}")
