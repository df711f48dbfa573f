r"""The Transformer that translates: an encoder reads, a decoder writes (Vaswani et al. 2017).

This file adds: ``Seq2SeqConfig`` and ``Seq2Seq``.

Shape letters: ``B`` batch, ``S`` tokens of the source, ``T`` of the target, ``D`` features, ``V``
vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._arguments import _require_int
from companion._tensors import _require_batch, _require_sizes
from companion.activations import relu
from companion.attention import KVCache, MultiHeadAttention
from companion.layers import Dropout, Embedding, FeedForward, LayerNorm, sinusoidal_positions
from companion.transformer import Block, Decoder, DecoderBlock, Encoder, PostNorm, PreNorm

__all__ = ["Seq2SeqConfig", "Seq2Seq"]


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Sizes of an encoder-decoder; the defaults are those of the original base model."""

    vocab_size: int = 37_000
    """Tokens of both languages: source and target share one table of vectors."""
    d_model: int = 512
    n_layers: int = 6
    """Blocks of the encoder, and as many of the decoder."""
    n_heads: int = 8
    d_hidden: int = 2_048
    dropout: float = 0.1
    norm_first: bool = False
    """Whether each layer normalises its input (`PreNorm`) and not its sum (`PostNorm`)."""
    rotary: bool = False
    """Whether self-attention turns queries and keys by their positions too (Su et al. 2021)."""

    def __post_init__(self) -> None:
        _require_sizes(vocab_size=self.vocab_size, n_layers=self.n_layers)


class Seq2Seq(nn.Module):
    r"""An encoder that sees the whole source, and a causal decoder that looks at it.

    Source, target and output share one table (section 3.4). Its rows are multiplied by
    :math:`\sqrt{D}` where they are looked up, and sinusoidal positions are added.

    Parameters
    ----------
    config : Seq2SeqConfig

    Raises
    ------
    ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> tiny = Seq2SeqConfig(vocab_size=10, d_model=8, n_layers=2, n_heads=2, d_hidden=16)
    >>> source, target = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5]])
    >>> Seq2Seq(tiny)(source, target).shape
    torch.Size([1, 2, 10])
    """

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__()
        self.config = config
        self.tokens = Embedding(config.vocab_size, config.d_model)
        self.dropout = Dropout(config.dropout)
        parts, n = _Parts(config), config.n_layers
        self.encoder = Encoder((parts.encoder_block() for _ in range(n)), parts.last_norm())
        self.decoder = Decoder((parts.decoder_block() for _ in range(n)), parts.last_norm())
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
            Begins with the token that begins every target. Padding may follow at the end: what
            stands before it does not see it.
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
            If ids are not whole numbers.
        """
        return self.decode(target, self.encode(source, source_mask), source_mask)

    def encode(
        self,
        source: Integer[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
    ) -> Float[Tensor, "batch source d_model"]:
        """Return the memory: one vector for each position of the source, (B, S, D)."""
        return self.encoder(self.embed(source), source_mask)

    def decode(
        self,
        target: Integer[Tensor, "batch target"],
        memory: Float[Tensor, "batch source d_model"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
        *,
        caches: list[KVCache] | None = None,
    ) -> Float[Tensor, "batch target vocab"]:
        """Return logits (B, T, V) for a target and what `encode` made of the source."""
        start = 0 if caches is None else caches[0].seen
        x = self.embed(target, start)
        return self.predict(self.decoder(x, memory, memory_mask=source_mask, caches=caches))

    def embed(
        self, ids: Integer[Tensor, "batch length"], start: int = 0
    ) -> Float[Tensor, "batch length d_model"]:
        r"""Return the vector of each token, times :math:`\sqrt{D}`, with its position added.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        start : int
            Position of the first of them.

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
        x = self.tokens(ids) * math.sqrt(self.config.d_model)
        waves = sinusoidal_positions(start + ids.shape[1], self.config.d_model)[start:]
        return self.dropout(x + waves.to(x))

    def predict(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Map the decoder's vectors (..., D) to logits (..., V)."""
        return x @ self.tokens.weight.T

    @torch.no_grad()
    def translate(
        self,
        source: Integer[Tensor, "batch source"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
        *,
        start_id: int,
        end_id: int,
        max_length: int = 128,
    ) -> Integer[Tensor, "batch target"]:
        r"""Write the most probable token again and again (greedy decoding).

        Parameters
        ----------
        source, source_mask
            As in a call.
        start_id, end_id : int
            The tokens that begin and end every target.
        max_length : int
            Tokens that are written at most, the end included.

        Returns
        -------
        Tensor of int, shape (B, T)
            Without the first token. After a target's end only ``end_id`` follows.

        Raises
        ------
        ValueError
            If shapes do not fit, an id is not in the vocabulary, or ``max_length`` is below 1.
        TypeError
            If ids are not whole numbers.
        """
        _require_sizes(max_length=max_length)
        for name, token in (("start_id", start_id), ("end_id", end_id)):
            _require_int(name, token, least=0, most=self.config.vocab_size - 1)
        memory = self.encode(source, source_mask)
        caches = [KVCache() for _ in self.decoder.blocks]
        last = source.new_full((len(source), 1), start_id)
        ended = torch.zeros_like(last, dtype=torch.bool)
        written: list[Tensor] = []
        while len(written) < max_length and not ended.all():
            logits = self.decode(last, memory, source_mask, caches=caches)  # (B, 1, V)
            last = logits.argmax(dim=-1).masked_fill(ended, end_id)
            ended = ended | (last == end_id)
            written.append(last)
        return torch.cat(written, dim=1)

    @torch.no_grad()
    def alignment(
        self,
        source: Integer[Tensor, "batch source"],
        target: Integer[Tensor, "batch target"],
        source_mask: Bool[Tensor, "batch 1 source"] | None = None,
    ) -> Float[Tensor, "layers batch heads target source"]:
        """Return how much each token of the target looks at each of the source, (L, B, H, T, S)."""
        memory = self.encode(source, source_mask)
        options = {"memory_mask": source_mask, "return_weights": True}
        return self.decoder(self.embed(target), memory, **options)[1]

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draw matrices as Glorot and Bengio did, and vectors that have length 1 on average."""
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.xavier_uniform_(weight)
            elif name.endswith("bias"):
                weight.zero_()
        self.tokens.weight.normal_(std=self.config.d_model**-0.5)


@dataclass
class _Parts:
    """What a configuration's blocks are put together from."""

    config: Seq2SeqConfig

    def encoder_block(self) -> Block:
        return Block(self._attention(self.config.rotary), self._feed_forward(), **self._around())

    def decoder_block(self) -> DecoderBlock:
        attention, cross = self._attention(self.config.rotary), self._attention()
        return DecoderBlock(attention, cross, self._feed_forward(), **self._around())

    def last_norm(self) -> nn.Module | None:
        return LayerNorm(self.config.d_model) if self.config.norm_first else None

    def _attention(self, rotary: bool = False) -> MultiHeadAttention:
        return MultiHeadAttention(self.config.d_model, self.config.n_heads, rotary=rotary)

    def _feed_forward(self) -> FeedForward:
        return FeedForward(self.config.d_model, self.config.d_hidden, activation=relu)

    def _around(self) -> dict:
        residual = PreNorm if self.config.norm_first else PostNorm
        return {"residual": residual, "dropout": self.config.dropout}
