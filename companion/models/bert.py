r"""The encoder of BERT (Devlin et al. 2019), built from this package's own layers.

This file adds: ``BertConfig`` and ``BertEncoder``.

Shape letters: ``B`` batch, ``T`` tokens, ``H`` heads, ``D`` features, ``L`` layers.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_ids, _require_tensors, _require_whole_numbers
from companion.attention import MultiHeadAttention
from companion.layers import Embedding, FeedForward, LayerNorm
from companion.tokenizers import WordPiece
from companion.transformer import Block, PostNorm

__all__ = ["BertConfig", "BertEncoder"]


@dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT encoder; the defaults are those of all-MiniLM-L6-v2."""

    vocab_size: int = 30_522
    d_model: int = 384
    n_layers: int = 6
    n_heads: int = 12
    d_hidden: int = 1_536
    """Width of the feed-forward layer."""
    max_length: int = 512
    n_segments: int = 2
    """Kinds of segment (first and second sentence)."""
    eps: float = 1e-12
    """Epsilon of LayerNorm."""


class BertEncoder(nn.Module):
    r"""The encoder of BERT: embeddings, then blocks in which all positions see each other.

    Parameters
    ----------
    config : BertConfig
    tokenizer : WordPiece, optional
        Needed only to pass text instead of ids.

    Examples
    --------
    >>> tiny = BertConfig(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> BertEncoder(tiny)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, config: BertConfig, tokenizer: WordPiece | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.words = Embedding(config.vocab_size, config.d_model)
        self.positions = Embedding(config.max_length, config.d_model)
        self.segments = Embedding(config.n_segments, config.d_model)
        self.norm = LayerNorm(config.d_model, config.eps)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.n_layers))

    def embed(
        self,
        ids: Integer[Tensor, "batch length"],
        segments: Integer[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length d_model"]:
        r"""Add word, position and segment vectors, and normalise.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        segments : Tensor of int, shape (B, T), optional
            Which sentence each token belongs to; default the first, 0.

        Returns
        -------
        Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If ``ids`` does not have two dimensions, an id is not in the vocabulary, there are
            more positions than the model has vectors for, or ``segments`` does not fit.
        TypeError
            If ids are not whole numbers.
        """
        self._require_ids(ids, segments)
        segments = torch.zeros_like(ids) if segments is None else segments
        positions = self.positions.weight[: ids.shape[1]]  # (T, D)
        return self.norm(self.words(ids) + positions + self.segments(segments))

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
        *,
        segments: Integer[Tensor, "batch length"] | None = None,
        return_weights: bool = False,
    ) -> (
        Float[Tensor, "batch length d_model"]
        | tuple[
            Float[Tensor, "batch length d_model"],
            Float[Tensor, "layers batch heads length length"],
        ]
    ):
        r"""Encode token ids.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding (``companion.attention.padding_mask``).
        segments : Tensor of int, shape (B, T), optional
            Which sentence each token belongs to; default the first, 0.
        return_weights : bool

        Returns
        -------
        Tensor, shape (B, T, D)
            And, if asked for, the attention weights of every layer and head,
            shape (L, B, H, T, T).

        Raises
        ------
        ValueError
            If ``ids``, ``mask`` or ``segments`` has another shape, or an id is not in the
            vocabulary.
        TypeError
            If ids are not whole numbers, or ``mask`` is not boolean.
        """
        x = self.embed(ids, segments)
        _require_padding_mask(mask, ids)
        maps = []
        for block in self.blocks:
            x, *weights = _as_tuple(block(x, mask=mask, return_weights=return_weights))
            maps += weights
        return (x, torch.stack(maps)) if return_weights else x

    @torch.no_grad()
    def attention_of(
        self, text: str
    ) -> tuple[list[str], Float[Tensor, "layers heads length length"]]:
        r"""Return the tokens of a text and the attention weights of every layer and head.

        Parameters
        ----------
        text : str

        Returns
        -------
        tuple
            Tokens (T strings) and weights, shape (L, H, T, T).

        Raises
        ------
        ValueError
            If the model has no tokenizer.
        """
        if self.tokenizer is None:
            raise ValueError("this model has no tokenizer; call it on token ids instead")
        ids = torch.tensor([self.tokenizer.encode(text)], device=self.words.weight.device)
        _, weights = self(ids, return_weights=True)
        return self.tokenizer.tokenize(text), weights[:, 0]

    def _require_ids(self, ids: Tensor, segments: Tensor | None) -> None:
        _require_whole_numbers(ids=ids)
        if ids.ndim != 2:
            raise ValueError(f"ids must be (batch, length), got shape {tuple(ids.shape)}")
        if ids.shape[1] > self.config.max_length:
            most = self.config.max_length
            raise ValueError(f"ids must hold at most {most} tokens, got {ids.shape[1]}")
        if segments is None:
            return
        _require_ids("segments", segments, self.config.n_segments)
        if segments.shape != ids.shape:
            raise ValueError(
                f"segments must have the shape of ids, {tuple(ids.shape)}, "
                f"got {tuple(segments.shape)}"
            )


def _block(config: BertConfig) -> Block:
    return Block(
        MultiHeadAttention(config.d_model, config.n_heads),
        FeedForward(config.d_model, config.d_hidden),
        norm=partial(LayerNorm, eps=config.eps),
        residual=PostNorm,
    )


def _as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)


def _require_padding_mask(mask: Tensor | None, ids: Tensor) -> None:
    """Refuse what is no mask of padding; one of shape (B, T) could pass for (T_q, T_k)."""
    if mask is None:
        return
    _require_tensors(mask=mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean, got {mask.dtype}")
    expected = (ids.shape[0], 1, ids.shape[1])
    if mask.shape != expected:
        raise ValueError(f"mask must have shape {expected}, got {tuple(mask.shape)}")
