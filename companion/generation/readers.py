r"""Readers: a model, and what it remembers of the texts that it is writing.

A reader takes the next tokens of each row and returns the logits of those that follow, for every
kind of model in the same way. It keeps the caches, says where each token stands, and hides the
padding that rows of different lengths begin with.

Shape letters: ``B`` rows, ``T`` new tokens, ``K`` tokens so far, ``S`` tokens of a source, ``D``
features, ``H`` heads, ``V`` vocabulary.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from companion.attention import KVCache, padding_mask
from companion.generation.lean import _lean_causal, _lean_decoder_block, _turns
from companion.layers import alibi_bias, sinusoidal_positions
from companion.models import GPT, T5, Llama, Seq2Seq

__all__ = ["Model"]

#: A model that writes, or any function of ids to logits.
Model = Callable[..., Tensor]


@runtime_checkable
class _Reader(Protocol):
    """What writing needs of a model."""

    def read(self, ids: Tensor, n_last: int = 1) -> Tensor:
        """Take in ids (B, T), and return logits (B, n_last, V): what follows each of the last."""

    def reorder(self, rows: Tensor) -> None:
        """Let other rows stand in each place; a row may come several times, or not at all."""

    def crop(self, length: int) -> None:
        """Forget all tokens but the first ones."""

    @property
    def nbytes(self) -> int:
        """Bytes that the caches hold."""


class _Cached:
    """What readers with caches share."""

    seen = 0
    caches: list[KVCache] | None
    ids: Tensor | None = None  # without caches: all tokens so far

    def _begin(self, n_blocks: int, cached: bool, window: int | None) -> None:
        self.caches = [KVCache(window) for _ in range(n_blocks)] if cached else None

    def _whole(self, ids: Tensor) -> Tensor:
        """Return what the model has to read: the new tokens, or without caches all of them."""
        if self.caches is not None:
            return ids
        self.ids = ids if self.ids is None else torch.cat((self.ids, ids), dim=1)
        self.seen = 0
        return self.ids

    def reorder(self, rows: Tensor) -> None:
        for cache in self.caches or ():
            cache.reorder(rows)
        self.ids = None if self.ids is None else self.ids[rows]

    def crop(self, length: int) -> None:
        for cache in self.caches or ():
            cache.crop(length)
        self.ids = None if self.ids is None else self.ids[:, :length]
        self.seen = length

    @property
    def nbytes(self) -> int:
        return sum(cache.nbytes for cache in self.caches or ())


class _Causal(_Cached):
    """GPT, Llama or Mixtral: prompt and answer are one row, with padding before the shorter ones.

    ``longest`` is how many tokens of a row are read at most.
    """

    def __init__(
        self,
        model: GPT | Llama,
        rows: list[list[int]],
        longest: int,
        cached: bool = True,
        window: int | None = None,
    ) -> None:
        self.model, self.device = model, model.tokens.weight.device
        self._begin(len(model.blocks), cached, window)
        self.padding = _padding(rows).to(self.device)
        self.ragged = bool(self.padding.any())
        self.bias = _last_row_of_alibi(model, longest)
        self.places = _position_vectors(model, longest)
        self.longest = longest

    @cached_property
    def lean(self) -> tuple[list[Callable[..., Tensor]], Callable[..., Tensor]]:
        """The blocks and what predicts as functions, made when one token comes alone."""
        return _lean_causal(self.model, self.longest, self.longest - self.seen)

    def read(self, ids: Tensor, n_last: int = 1) -> Tensor:
        ids = self._whole(ids)
        x, n = self._embed(ids), ids.shape[1]
        self.seen += n
        if self.caches is not None and n == 1:
            mask, (blocks, predict) = self._mask_of_one(), self.lean
            for block, cache in zip(blocks, self.caches, strict=True):
                x = block(x, mask, cache)
            return predict(x)
        mask = self._mask(n)
        for i, block in enumerate(self.model.blocks):
            held = None if self.caches is None else self.caches[i]
            x = block(x, mask=mask, is_causal=True, cache=held)
        return self.model.predict(x[:, -n_last:])

    def reorder(self, rows: Tensor) -> None:
        super().reorder(rows)
        self.padding = self.padding[rows]

    def _embed(self, ids: Tensor) -> Tensor:
        """Return vectors (B, T, D), each with the vector of its place among the real tokens."""
        x = F.embedding(ids, self.model.tokens.weight)
        if self.places is None:
            return x
        places = torch.arange(self.seen, self.seen + ids.shape[1], device=ids.device)
        if self.ragged:  # places before the text begins, and after it has ended, are hidden
            places = (places - self.padding[:, None]).clamp(min=0)
        return x + self.places[places.clamp(max=len(self.places) - 1)]

    def _n_keys(self, n: int) -> int:
        """Return how many positions the caches will hand over together with n new ones."""
        if self.caches is None or self.caches[0].window is None:
            return self.seen
        return min(self.seen, len(self.caches[0]) + n)

    def _mask(self, n: int) -> Tensor | None:
        """Return what hides the padding from n tokens, (B, 1, K), or with ALiBi (B, H, n, K)."""
        n_keys = self._n_keys(n)
        sees = self._sees(n_keys)
        if self.bias is None:
            return sees
        bias = alibi_bias(self.bias.shape[1], n, n_keys, device=self.device)[None]
        return bias if sees is None else bias.masked_fill(~sees[:, None], -math.inf)

    def _mask_of_one(self) -> Tensor | None:
        """Return what one token needs: (B, 1, 1, K), or with ALiBi (B, H, 1, K)."""
        n_keys = self._n_keys(1)
        sees = self._sees(n_keys)
        if self.bias is None:
            return None if sees is None else sees[:, None]
        bias = self.bias[..., -n_keys:]
        return bias if sees is None else bias.masked_fill(~sees[:, None], -math.inf)

    def _sees(self, n_keys: int) -> Tensor | None:
        """Return which of the last positions hold tokens, (B, 1, K); None if all do."""
        if not self.ragged:
            return None
        places = torch.arange(self.seen - n_keys, self.seen, device=self.device)
        return (places >= self.padding[:, None])[:, None]


class _EncoderDecoder(_Cached):
    """T5 or Seq2Seq: the sources have been read, and the rows are what is written about them."""

    def __init__(
        self, model: T5 | Seq2Seq, sources: list[list[int]], longest: int, cached: bool = True
    ) -> None:
        self.model, self.device = model, model.tokens.weight.device
        self._begin(len(model.decoder.blocks), cached, None)
        ids, self.memory_mask = _padded_right(sources, self.device)
        self.memory = model.encode(ids, self.memory_mask)  # (B, S, D)
        self.sources = torch.arange(len(sources), device=self.device)  # of which each row speaks
        self.bias = model.decoder_bias(1, longest) if isinstance(model, T5) else None
        self.places = _position_vectors(model, longest)
        self.turns = _turns(model.decoder.blocks, longest) if cached else {}
        self._prepare()

    def _prepare(self) -> None:
        """Compute the keys and values of the memory, which all tokens look at."""
        if self.caches is not None:
            self.lean = [
                _lean_decoder_block(block, self.turns, self.memory, self.memory_mask)
                for block in self.model.decoder.blocks
            ]

    def read(self, ids: Tensor, n_last: int = 1) -> Tensor:
        ids = self._whole(ids)
        start, self.seen = self.seen, self.seen + ids.shape[1]
        if self.caches is None or ids.shape[1] > 1:
            logits = self.model.decode(ids, self.memory, self.memory_mask, caches=self.caches)
            return logits[:, -n_last:]
        x = F.embedding(ids, self.model.tokens.weight)  # (B, 1, D)
        if self.places is not None:
            x = x * math.sqrt(x.shape[-1]) + self.places[start]
        mask = None if self.bias is None else self.bias[..., -self.seen :]  # (1, H, 1, K)
        for block, cache in zip(self.lean, self.caches, strict=True):
            x = block(x, mask, cache)
        return self.model.predict(self.model.decoder.norm(x))

    def reorder(self, rows: Tensor) -> None:
        super().reorder(rows)
        before, self.sources = self.sources, self.sources[rows]
        if not torch.equal(before, self.sources):  # beams of one source have the same memory
            self.memory = self.memory[rows]
            self.memory_mask = None if self.memory_mask is None else self.memory_mask[rows]
            self._prepare()


def _padding(rows: list[list[int]]) -> Tensor:
    """Return by how many tokens each row is shorter than the longest one."""
    lengths = torch.tensor([len(row) for row in rows])
    return lengths.max() - lengths


def _padded_right(rows: list[list[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return ids (B, S), and what hides the padding, (B, 1, S), if there is any."""
    lengths = torch.tensor([len(row) for row in rows], device=device)
    longest = int(lengths.max())
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=device)
    return ids, padding_mask(lengths) if bool((lengths < longest).any()) else None


def _padded_left(rows: list[list[int]], device: torch.device) -> Tensor:
    """Return ids (B, T), so that all rows end at the same place."""
    longest = max(map(len, rows))
    return torch.tensor([[0] * (longest - len(row)) + row for row in rows], device=device)


def _position_vectors(model: Any, longest: int) -> Tensor | None:
    """Return what is added to the vector of a token at each place, (K, D)."""
    kind = getattr(model.config, "positions", "sinusoidal" if isinstance(model, Seq2Seq) else None)
    if kind == "learned":
        return model.positions.weight
    if kind == "sinusoidal":
        return sinusoidal_positions(longest, model.config.d_model).to(model.tokens.weight)
    return None


def _last_row_of_alibi(model: GPT | Llama, longest: int) -> Tensor | None:
    """Return what ALiBi adds to the scores of the last position, (1, H, 1, K)."""
    if not isinstance(model, GPT) or model.config.positions != "alibi":
        return None
    weight = model.tokens.weight
    return alibi_bias(model.config.n_heads, 1, longest, device=weight.device)[None].to(weight.dtype)


def _unwrapped(model: Any) -> Any:
    """Return the model that ``torch.compile`` has wrapped; others as they are."""
    return getattr(model, "_orig_mod", model)


def _has_encoder(model: Any) -> bool:
    return isinstance(model, (T5, Seq2Seq))


def _vocab_size(model: Any) -> int | None:
    """Return how many tokens a model knows; of a function of ids nobody knows."""
    known = isinstance(model, (GPT, Llama, T5, Seq2Seq))
    return model.config.vocab_size if known else None


def _most_positions(model: Any) -> int | None:
    """Return how many tokens a text can have; only learned positions come to an end."""
    learned = isinstance(model, GPT) and model.config.positions == "learned"
    return model.config.max_length if learned else None
