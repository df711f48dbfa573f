r"""A small GPT whose parts can be exchanged one by one, and vectors for the last few characters.

This file adds: ``SpeedGPT``, the model of `Settings`; and ``ngram_rows``, which row of a table
belongs to the last characters at each place.

Shape letters: ``B`` batch, ``T`` characters, ``D`` features, ``V`` vocabulary.
"""

import math

import torch
from jaxtyping import Float, Int64, Integer
from torch import Tensor, nn
from torch.nn import functional as F

from companion._arguments import _require_int
from companion._tensors import _require_batch, _require_sizes
from companion.attention import MultiHeadAttention
from companion.layers import Embedding, FeedForward, LayerNorm, Linear, RMSNorm
from companion.training.speedrun.settings import Settings
from companion.transformer import Block, PreNorm

__all__ = ["SpeedGPT", "ngram_rows"]

# Knuth's multiplicative hashing: an odd number near 2^32 divided by the golden ratio.
KNUTH, SHIFT = 2_654_435_761, 12


def ngram_rows(
    ids: Integer[Tensor, "batch length"], n: int, vocab_size: int, rows: int
) -> Int64[Tensor, "batch length"]:
    r"""Return the row of a table that belongs to the last ``n`` characters at each place.

    The characters are the digits of one number, to the base V + 1; what lies before the window is
    the digit 0. If the table has a row for each such number, that is the row. Otherwise the number
    is hashed, and some n-grams share a row.

    Parameters
    ----------
    ids : Tensor of int, shape (B, T)
    n : int
        At most 5: the numbers must fit into 64 bits when they are hashed.
    vocab_size : int
    rows : int
        Of the table.

    Returns
    -------
    Tensor of int64, shape (B, T)

    Raises
    ------
    TypeError, ValueError
        If ``ids`` are no batch of whole numbers, or a size is out of range.

    Examples
    --------
    >>> ngram_rows(torch.tensor([[0, 1, 1]]), n=2, vocab_size=2, rows=9)
    tensor([[1, 5, 8]])
    """
    _require_batch(ids)
    _require_int("n", n, least=1, most=5)
    _require_sizes(vocab_size=vocab_size, rows=rows)
    base, digits = vocab_size + 1, ids.long() + 1
    number = digits.clone()
    for back in range(1, min(n, ids.shape[1])):
        number[:, back:] += digits[:, :-back] * base**back
    return number if base**n <= rows else (number * KNUTH >> SHIFT) % rows


class SpeedGPT(nn.Module):
    r"""The GPT of `Settings`: companion's blocks without biases, between embeddings and a head.

    Parameters
    ----------
    settings : Settings
    vocab_size : int

    Raises
    ------
    TypeError, ValueError
        If ``vocab_size`` is no whole number from 1.

    Examples
    --------
    >>> SpeedGPT(Settings(), 65)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 65])
    """

    def __init__(self, settings: Settings, vocab_size: int) -> None:
        super().__init__()
        width = settings.d_model
        self.settings = settings
        self.tokens = Embedding(vocab_size, width)
        if settings.positions == "learned":
            self.positions = Embedding(settings.context, width)
        self.tables = nn.ModuleList(Embedding(rows, width) for rows in settings.tables)
        self.blocks = nn.ModuleList(_block(settings) for _ in range(settings.n_layers))
        self.norm = _norm(settings, width)
        self.head = None if settings.tied else Linear(width, vocab_size, bias=False)
        self._initialise()

    def forward(self, ids: Integer[Tensor, "batch length"]) -> Float[Tensor, "batch length vocab"]:
        r"""Return the logits of the character that follows each one.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)

        Returns
        -------
        Tensor, shape (B, T, V)

        Raises
        ------
        TypeError, ValueError
            If ``ids`` are no batch of ids, or reach beyond the positions that are learnt.
        """
        _require_batch(ids)
        x = self.tokens(ids)  # (B, T, D)
        if self.settings.positions == "learned":
            self._require_positions(ids.shape[1])
            x = x + self.positions.weight[: ids.shape[1]]
        for n, table in enumerate(self.tables, start=2):
            rows = ngram_rows(ids, n, len(self.tokens.weight), self.settings.tables[n - 2])
            x = x + table(rows)
        options = {"is_causal": True} if self.settings.attention else {}
        for block in self.blocks:
            x = block(x, **options)
        return F.linear(self.norm(x), self._output())

    def looked_up(self) -> list[Tensor]:
        """Return the parameters that are looked up: embeddings, positions, tables."""
        tables = [part for part in self.modules() if isinstance(part, Embedding)]
        return [table.weight for table in tables]

    def _output(self) -> Tensor:
        return self.tokens.weight if self.head is None else self.head.weight

    def _require_positions(self, length: int) -> None:
        if length > self.settings.context:
            raise ValueError(
                f"ids must be {self.settings.context} characters at most, "
                f"since the model has learnt no later position; got {length}"
            )

    @torch.no_grad()
    def _initialise(self) -> None:
        """Draw weights as GPT-2 does, but for what `Settings` says of embeddings and zeros."""
        out = 0.0 if self.settings.zero_init else 0.02 / math.sqrt(2 * self.settings.n_layers)
        for name, weight in self.blocks.named_parameters():
            if weight.ndim == 2:
                added = name.endswith(("w_o.weight", "contract.weight"))
                weight.normal_(std=out if added else 0.02)
        for table in self.looked_up():
            table.normal_(std=self.settings.embedding_std)
        for zero in [*self.tables.parameters(), *_of(self.head)]:
            zero.zero_()


def _of(layer: nn.Module | None) -> list[Tensor]:
    return [] if layer is None else list(layer.parameters())


def _norm(settings: Settings, width: int) -> nn.Module:
    return RMSNorm(width) if settings.norm == "rms" else LayerNorm(width, bias=False)


def _block(settings: Settings) -> nn.Module:
    activation = _relu_squared if settings.activation == "relu2" else F.gelu
    feed_forward = FeedForward(settings.d_model, activation=activation, bias=False)
    if not settings.attention:
        return PreNorm(feed_forward, _norm(settings, settings.d_model))
    attention = MultiHeadAttention(
        settings.d_model,
        settings.n_heads,
        bias=False,
        rotary=settings.positions == "rotary",
        qk_norm=RMSNorm if settings.qk_norm else None,
    )
    return Block(attention, feed_forward, norm=lambda width: _norm(settings, width))


def _relu_squared(x: Tensor) -> Tensor:
    bent = F.relu(x)
    return bent * bent
