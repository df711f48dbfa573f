r"""Trained prompts: vectors before the text, or keys and values in each layer.

This file adds: ``PromptTuning``, vectors that stand where those of tokens would, before the first
one (Lester et al. 2021), with ``PromptEmbedding``, the table that they are rows of; and
``PrefixTuning``, keys and values that every layer sees before those of the text (Li and Liang
2021).

Shape letters: ``B`` batch, ``T`` tokens of the text, ``P`` trained positions before it, ``D``
features, ``L`` blocks, ``G`` key-value heads, ``d`` width of one head, ``V`` vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._arguments import _require_generator
from companion._tensors import _require_batch, _require_ids, _require_padding_mask, _require_sizes
from companion.attention import KVCache, MultiHeadAttention
from companion.finetuning.pooling import _require_causal
from companion.layers import Embedding
from companion.models import GPT, Llama

__all__ = ["PromptEmbedding", "PromptTuning", "PrefixTuning"]


class PromptEmbedding(nn.Module):
    r"""A frozen table of tokens, and below it trained rows for tokens that no text has.

    Parameters
    ----------
    base : Embedding
        The table, V rows.
    n_tokens : int
        Trained rows, P; their ids are V to V + P − 1.
    generator : torch.Generator, optional
        Where they come from: each starts as the row of a token drawn at random, which is a better
        start than random numbers (Lester et al. 2021, section 3.2).

    Raises
    ------
    ValueError
        If ``n_tokens`` is below 1.
    TypeError
        If ``base`` is no `Embedding`.

    Examples
    --------
    >>> PromptEmbedding(Embedding(10, 4), n_tokens=2)(torch.tensor([[10, 11, 3]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(
        self, base: Embedding, n_tokens: int, *, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if not isinstance(base, Embedding):
            raise TypeError(f"base must be an Embedding, got {type(base).__name__}")
        _require_sizes(n_tokens=n_tokens)
        _require_generator("generator", generator, torch.Generator, type(None))
        self.base = base.requires_grad_(False)
        rows = torch.randint(len(base.weight), (n_tokens,), generator=generator)
        self.prompt = nn.Parameter(base.weight[rows.to(base.weight.device)].clone())

    @property
    def weight(self) -> Tensor:
        """The table of tokens, (V, D): what a model with a tied table makes logits with."""
        return self.base.weight

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"n_tokens={len(self.prompt)}"

    def forward(self, ids: Integer[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Map ids (...) to vectors (..., D)."""
        n = len(self.weight)
        _require_ids("ids", ids, n + len(self.prompt))
        trained = F.embedding((ids - n).clamp(min=0), self.prompt)
        return torch.where((ids < n).unsqueeze(-1), self.base(ids.clamp(max=n - 1)), trained)


class PromptTuning(nn.Module):
    r"""A frozen model that reads trained vectors before each text (Lester et al. 2021).

    .. math:: \text{logits} = f([p_1, \dots, p_P, E[\text{ids}]])_{P+1, \dots, P+T}

    Positions count from the first trained vector.

    Parameters
    ----------
    model : GPT or Llama
        Frozen; its table becomes a `PromptEmbedding`.
    n_tokens : int
        Trained vectors, P.
    init_ids : Tensor of int, shape (P,), optional
        Tokens whose vectors they start as; by default drawn at random.
    generator : torch.Generator, optional
        Where those are drawn from.

    Raises
    ------
    ValueError
        If ``init_ids`` are not as many as the vectors, or not in the vocabulary.
    TypeError
        If the model is of another kind.

    Examples
    --------
    >>> from companion.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> PromptTuning(model, n_tokens=3)(torch.tensor([[1, 2]])).shape
    torch.Size([1, 2, 9])
    """

    def __init__(
        self,
        model: GPT | Llama,
        n_tokens: int = 8,
        *,
        init_ids: Integer[Tensor, " prompt"] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _require_promptless(model)
        _require_sizes(n_tokens=n_tokens)
        _require_init(init_ids, n_tokens, model)
        table = PromptEmbedding(model.tokens, n_tokens, generator=generator)
        if init_ids is not None:
            table.prompt.data.copy_(table.weight[init_ids])
        self.model, self.n_tokens = model.requires_grad_(False), n_tokens
        model.tokens = table  # type: ignore[assignment]  # it does what an Embedding does

    @property
    def prompt_ids(self) -> Integer[Tensor, " prompt"]:
        """The ids of the trained vectors, (P,): put before a text, the model itself reads them."""
        table = self.model.tokens.weight
        return torch.arange(len(table), len(table) + self.n_tokens, device=table.device)

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        r"""Return the logits of the token that follows each one of the text.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding, which follows the text; for a `Llama` alone.

        Returns
        -------
        Tensor, shape (B, T, V)

        Raises
        ------
        ValueError
            If shapes do not fit, or an id is not in the vocabulary.
        """
        _require_batch(ids)
        _require_ids("ids", ids, len(self.model.tokens.weight))
        before = self.prompt_ids.to(ids).expand(len(ids), -1)
        options = _masked(mask, ids, self.n_tokens)
        return self.model(torch.cat((before, ids), dim=1), **options)[:, self.n_tokens :]


class PrefixTuning(nn.Module):
    r"""A frozen model whose every layer sees trained keys and values before the text.

    .. math:: \mathrm{head} = \mathrm{Attention}(Q, [K_p; K], [V_p; V])

    They stand in the cache, as if P tokens had been read before (Li and Liang 2021, section 4.2).
    Unlike trained vectors at the input they need not be what any tokens would give. The paper
    trains them through a small network, which is left out here, as it is after its training.

    Parameters
    ----------
    model : GPT or Llama
        Frozen.
    n_tokens : int
        Trained positions, P.
    init_ids : Tensor of int, shape (P,), optional
        Tokens whose keys and values they start as; by default small random numbers.
    generator : torch.Generator, optional
        Where those are drawn from.

    Raises
    ------
    ValueError
        If ``init_ids`` are not as many as the positions, or not in the vocabulary.
    TypeError
        If the model is of another kind.

    Examples
    --------
    >>> from companion.models import GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> prefix = PrefixTuning(model, n_tokens=3)
    >>> prefix(torch.tensor([[1, 2]])).shape, prefix.keys.shape
    (torch.Size([1, 2, 9]), torch.Size([1, 2, 3, 4]))
    """

    def __init__(
        self,
        model: GPT | Llama,
        n_tokens: int = 8,
        *,
        init_ids: Integer[Tensor, " prompt"] | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _require_promptless(model)
        _require_sizes(n_tokens=n_tokens)
        _require_init(init_ids, n_tokens, model)
        _require_generator("generator", generator, torch.Generator, type(None))
        if init_ids is None:
            keys, values = (_drawn(model, n_tokens, generator) for _ in "kv")
        else:
            keys, values = _read(model, init_ids)
        self.model, self.n_tokens = model.requires_grad_(False), n_tokens
        self.keys, self.values = nn.Parameter(keys), nn.Parameter(values)

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"n_tokens={self.n_tokens}"

    def new_caches(self, batch: int = 1) -> list[KVCache]:
        """Return a cache for each block that holds the trained keys and values, (B, G, P, d)."""
        caches = []
        for keys, values in zip(self.keys, self.values, strict=True):
            cache = KVCache()
            cache.append(*(x.expand(batch, -1, -1, -1) for x in (keys, values)))
            caches.append(cache)
        return caches

    def forward(
        self,
        ids: Integer[Tensor, "batch length"],
        mask: Bool[Tensor, "batch 1 length"] | None = None,
    ) -> Float[Tensor, "batch length vocab"]:
        r"""Return the logits of the token that follows each one of the text.

        Parameters
        ----------
        ids : Tensor of int, shape (B, T)
        mask : Tensor of bool, shape (B, 1, T), optional
            False for padding, which follows the text; for a `Llama` alone.

        Returns
        -------
        Tensor, shape (B, T, V)

        Raises
        ------
        ValueError
            If shapes do not fit, or an id is not in the vocabulary.
        """
        _require_batch(ids)
        options = _masked(mask, ids, self.n_tokens)
        return self.model(ids, caches=self.new_caches(len(ids)), **options)


def _masked(mask: Tensor | None, ids: Tensor, n_tokens: int) -> dict[str, Any]:
    """Let every text see what stands before it, with no padding in between."""
    if mask is None:
        return {}
    _require_padding_mask(mask, ids)
    if not mask[..., 0].all():
        raise ValueError("mask must not hide the first token: padding goes after the text here")
    return {"mask": F.pad(mask, (n_tokens, 0), value=True)}


def _drawn(model: GPT | Llama, n: int, generator: torch.Generator | None) -> Tensor:
    """Return small random numbers, (L, G, P, d)."""
    layers = [m for m in model.modules() if isinstance(m, MultiHeadAttention)]
    shape = (len(layers), layers[0].n_kv_heads, n, layers[0].d_head)
    return (0.02 * torch.randn(shape, generator=generator)).to(model.tokens.weight)


@torch.no_grad()
def _read(model: GPT | Llama, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Return the keys and values of these tokens in every block, each (L, G, P, d)."""
    caches = model.new_caches()
    training = model.training
    model.eval()(ids[None].to(model.tokens.weight.device), caches=caches)
    model.train(training)
    keys = torch.stack([cache.keys[0] for cache in caches if cache.keys is not None])
    return keys, torch.stack([cache.values[0] for cache in caches if cache.values is not None])


def _require_promptless(model: Any) -> None:
    _require_causal(model)
    if not isinstance(model.tokens, Embedding):
        raise ValueError(
            f"model must not have a trained prompt yet, got {type(model.tokens).__name__}"
        )


def _require_init(ids: Tensor | None, n: int, model: GPT | Llama) -> None:
    if ids is None:
        return
    _require_ids("init_ids", ids, len(model.tokens.weight))
    if ids.shape != (n,):
        raise ValueError(f"init_ids must be n_tokens={n} ids, got shape {tuple(ids.shape)}")
