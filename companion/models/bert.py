r"""BERT: a Transformer that reads a text from both sides and fills in what was masked.

This file adds: ``BertConfig`` and ``BertEncoder``, which gives a vector for each token (Devlin et
al. 2019); ``MaskedLMHead``, which makes logits of them, and ``BERT``, the encoder with the two
heads that it is pretrained with.

Shape letters: ``B`` batch, ``T`` tokens, ``H`` heads, ``D`` features, ``L`` layers, ``V``
vocabulary.
"""

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import (
    _require_ids,
    _require_padding_mask,
    _require_sizes,
    _require_whole_numbers,
)
from companion.activations import gelu
from companion.attention import MultiHeadAttention
from companion.layers import Dropout, Embedding, FeedForward, LayerNorm, Linear
from companion.models.hub import Pretrained
from companion.models.layouts import BERT as BERT_LAYOUT
from companion.models.layouts import BERT_ENCODER
from companion.tokenizers import WordPiece
from companion.transformer import Block, PostNorm

__all__ = ["BertConfig", "BertEncoder", "MaskedLMHead", "BERT"]


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
    dropout: float = 0.0
    """Of embeddings, attention weights and what each layer adds; 0.1 in pretraining."""

    def __post_init__(self) -> None:
        names = ("vocab_size", "d_model", "n_layers", "n_heads", "d_hidden", "max_length")
        _require_sizes(**{name: getattr(self, name) for name in (*names, "n_segments")})


class BertEncoder(Pretrained):
    r"""The encoder of BERT: embeddings, then blocks in which all positions see each other.

    `from_hf` also reads it from checkpoints that have heads, and leaves those out. What `save_hf`
    writes has no pooler; ``AutoModel.from_pretrained(path, add_pooling_layer=False)`` opens it as
    it is, and without that option one is drawn at random, as a warning says.

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

    layout, Config = BERT_ENCODER, BertConfig
    config: BertConfig

    def __init__(self, config: BertConfig, tokenizer: WordPiece | None = None) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self.words = Embedding(config.vocab_size, config.d_model)
        self.positions = Embedding(config.max_length, config.d_model)
        self.segments = Embedding(config.n_segments, config.d_model)
        self.norm = LayerNorm(config.d_model, config.eps)
        self.dropout = Dropout(config.dropout)
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
        x = self.words(ids) + self._positions(ids) + self.segments(segments)
        return self.dropout(self.norm(x))

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

    def _positions(self, ids: Tensor) -> Tensor:
        """Return the vector of each position, (T, D) or (B, T, D)."""
        return self.positions.weight[: ids.shape[1]]

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


class MaskedLMHead(nn.Module):
    r"""What makes logits of the vectors of an encoder, with the encoder's own table of words.

    .. math:: \text{logits} = \mathrm{norm}(\mathrm{GELU}(x W^\top + b))\, E^\top + c

    Devlin et al. 2019, section 3.1; the map before the table is in their code alone.

    Parameters
    ----------
    config : BertConfig

    Examples
    --------
    >>> head = MaskedLMHead(BertConfig(vocab_size=10, d_model=8))
    >>> head(torch.zeros(1, 3, 8), table=torch.zeros(10, 8)).shape
    torch.Size([1, 3, 10])
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.d_model, config.d_model)
        self.norm = LayerNorm(config.d_model, config.eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"vocab_size={len(self.bias)}"

    def forward(
        self, x: Float[Tensor, "*batch d_model"], table: Float[Tensor, "vocab d_model"]
    ) -> Float[Tensor, "*batch vocab"]:
        """Map (..., D) to logits (..., V); ``table`` has a row for each word."""
        return self.norm(gelu(self.dense(x))) @ table.T + self.bias


class BERT(Pretrained):
    r"""BERT as it is pretrained: it fills in masked tokens, and tells which sentences follow.

    The encoder's output goes to two heads (Devlin et al. 2019, section 3.1). Both losses in one
    pass: ``x = model.encoder(ids, mask, segments=segments)``, then ``model.predict(x)`` and
    ``model.compare(x)``.

    Parameters
    ----------
    config : BertConfig

    Examples
    --------
    >>> tiny = BertConfig(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> ids = torch.tensor([[1, 2, 3]])
    >>> BERT(tiny)(ids).shape, BERT(tiny).next_sentence(ids).shape
    (torch.Size([1, 3, 10]), torch.Size([1, 2]))
    """

    layout, Config = BERT_LAYOUT, BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = BertEncoder(config)
        self.head = MaskedLMHead(config)
        self.pooler = Linear(config.d_model, config.d_model)
        self.next = Linear(config.d_model, 2)
        _initialise(self)

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
        *,
        segments: Integer[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        r"""Return the logits of the token at each position, (B, T, V).

        Parameters
        ----------
        ids, mask, segments
            As for `BertEncoder`.

        Returns
        -------
        Tensor, shape (B, T, V)
            For `companion.losses.mlm_loss`, or `companion.losses.cross_entropy` with −100 where
            nothing was masked.
        """
        return self.predict(self.encoder(ids, mask, segments=segments))

    def next_sentence(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
        *,
        segments: Integer[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch 2"]:
        r"""Return logits of whether the second segment follows the first in its source.

        Parameters
        ----------
        ids, mask, segments
            As for `BertEncoder`; the first token is ``[CLS]``.

        Returns
        -------
        Tensor, shape (B, 2)
            Class 0 is "it follows" (``IsNext``), class 1 "it comes from elsewhere", as in the
            published checkpoints.
        """
        return self.compare(self.encoder(ids, mask, segments=segments))

    def predict(
        self, x: Float[Tensor, "batch length d_model"]
    ) -> Float[Tensor, "batch length vocab"]:
        """Map the encoder's output (B, T, D) to logits of words, (B, T, V)."""
        return self.head(x, self.encoder.words.weight)

    def compare(self, x: Float[Tensor, "batch length d_model"]) -> Float[Tensor, "batch 2"]:
        """Map the encoder's output (B, T, D) to logits of the next sentence, (B, 2)."""
        return self.next(torch.tanh(self.pooler(x[:, 0])))


@torch.no_grad()
def _initialise(model: nn.Module) -> None:
    """Draw weights as BERT does: small, because the table of words also makes the logits."""
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            weight.normal_(std=0.02)
        elif name.endswith("bias"):
            weight.zero_()


def _block(config: BertConfig) -> Block:
    return Block(
        MultiHeadAttention(config.d_model, config.n_heads, dropout=config.dropout),
        FeedForward(config.d_model, config.d_hidden),
        norm=partial(LayerNorm, eps=config.eps),
        residual=PostNorm,
        dropout=config.dropout,
    )


def _as_tuple(result: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return result if isinstance(result, tuple) else (result,)
