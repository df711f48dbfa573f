r"""The encoder of BERT (Devlin et al. 2019), built from this package's own layers.

This file adds: ``BertConfig``, ``BertLayer`` and ``BertEncoder``.

Shape letters: ``B`` batch, ``T`` tokens, ``H`` heads, ``D`` features, ``L`` layers.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_tensors, _require_whole_numbers
from companion.activations import gelu
from companion.attention import MultiHeadAttention
from companion.layers import Embedding, LayerNorm, Linear
from companion.tokenizers import WordPiece

__all__ = ["BertConfig", "BertLayer", "BertEncoder"]


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


class BertLayer(nn.Module):
    r"""One encoder layer: attention, add & norm, feed-forward, add & norm.

    Parameters
    ----------
    config : BertConfig

    Examples
    --------
    >>> BertLayer(BertConfig(d_model=8, n_heads=2, d_hidden=16))(torch.zeros(1, 3, 8))[0].shape
    torch.Size([1, 3, 8])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(config.d_model, config.n_heads)
        self.attention_norm = LayerNorm(config.d_model, config.eps)
        self.expand = Linear(config.d_model, config.d_hidden)
        self.contract = Linear(config.d_hidden, config.d_model)
        self.output_norm = LayerNorm(config.d_model, config.eps)

    def forward(
        self,
        x: Float[Tensor, "batch length d_model"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> tuple[Float[Tensor, "batch length d_model"], Float[Tensor, "batch heads length length"]]:
        """Return the layer's output (B, T, D) and its attention weights (B, H, T, T)."""
        attended, weights = self.attention(x, mask=mask, return_weights=True)
        x = self.attention_norm(x + attended)
        return self.output_norm(x + self.contract(gelu(self.expand(x)))), weights


class BertEncoder(nn.Module):
    r"""The encoder of BERT: embeddings, then layers in which all positions see each other.

    Parameters
    ----------
    config : BertConfig
    tokenizer : WordPiece, optional
        Needed only to pass text instead of ids.

    Examples
    --------
    >>> tiny = BertConfig(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> hidden, weights = BertEncoder(tiny)(torch.tensor([[1, 2, 3]]))
    >>> hidden.shape, weights.shape
    (torch.Size([1, 3, 8]), torch.Size([2, 1, 2, 3, 3]))
    """

    def __init__(self, config: BertConfig, tokenizer: WordPiece | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.words = Embedding(config.vocab_size, config.d_model)
        self.positions = Embedding(config.max_length, config.d_model)
        self.segments = Embedding(config.n_segments, config.d_model)
        self.norm = LayerNorm(config.d_model, config.eps)
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(config.n_layers))

    def embed(self, ids: Integer[Tensor, "batch length"]) -> Float[Tensor, "batch length d_model"]:
        r"""Add word, position and (first) segment vectors, and normalise.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)

        Returns
        -------
        Tensor, shape (B, T, D)

        Raises
        ------
        ValueError
            If ``ids`` does not have two dimensions, an id is not in the vocabulary, or there are
            more positions than the model has vectors for.
        TypeError
            If ids are not whole numbers.
        """
        _require_whole_numbers(ids=ids)
        if ids.ndim != 2:
            raise ValueError(f"ids must be (batch, length), got shape {tuple(ids.shape)}")
        length = ids.shape[1]
        if length > self.config.max_length:
            raise ValueError(f"ids must hold at most {self.config.max_length} tokens, got {length}")
        positions = self.positions(torch.arange(length, device=ids.device))
        return self.norm(self.words(ids) + positions + self.segments.weight[0])

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> tuple[
        Float[Tensor, "batch length d_model"],
        Float[Tensor, "layers batch heads length length"],
    ]:
        r"""Encode token ids.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding (``companion.attention.padding_mask``).

        Returns
        -------
        tuple of Tensor
            Vectors, shape (B, T, D), and the attention weights of every layer and head,
            shape (L, B, H, T, T).

        Raises
        ------
        ValueError
            If ``ids`` or ``mask`` has another shape, or an id is not in the vocabulary.
        TypeError
            If ids are not whole numbers, or ``mask`` is not boolean.
        """
        x = self.embed(ids)
        _require_padding_mask(mask, ids)
        weights = []
        for layer in self.layers:
            x, layer_weights = layer(x, mask)
            weights.append(layer_weights)
        return x, torch.stack(weights)

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
        _, weights = self(ids)
        return self.tokenizer.tokenize(text), weights[:, 0]


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
