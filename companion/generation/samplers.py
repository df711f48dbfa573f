r"""Samplers: small functions from logits to logits, which decide what may be drawn and how often.

This file adds: ``Temperature``, ``TopK``, ``TopP`` and ``MinP``. A sampler is called with the
logits (B, V), and beside them with what each row has been given and what it has written; those of
this file look at the logits alone. A list of samplers is applied in order: the next one sees what
the one before has left. A token that shall not be drawn gets the logit minus infinity.

Shape letters: ``B`` rows (texts that are written at the same time), ``V`` vocabulary.
"""

import inspect
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_int, _require_number, _require_ordered
from companion._tensors import _require_floats, _require_ids, _wide

__all__ = ["Rows", "Sampler", "Temperature", "TopK", "TopP", "MinP"]

#: What each row was given, or has written: ids, without padding.
Rows = Sequence[Sequence[int]]


@runtime_checkable
class Sampler(Protocol):
    r"""What changes logits before a token is chosen.

    Any function of these three arguments will do. One that is more than a function may say that it
    only matters where tokens are drawn (``by_chance = True``), refuse before anything runs
    (``check(vocab_size)``, ``check_length(room)`` for new tokens), and end rows
    (``complete(written)``).

    Examples
    --------
    >>> def never_7(logits, prompts, written):
    ...     logits = logits.clone()
    ...     logits[:, 7] = -torch.inf
    ...     return logits
    """

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows
    ) -> Float[Tensor, "batch vocab"]:
        """Return other logits; prompts and what has been written are ids, without padding."""


@dataclass(frozen=True)
class Temperature:
    r"""Divide the logits by a number: below 1 the likely becomes likelier still.

    .. math:: \tilde p_i \propto e^{z_i / \tau} = (e^{z_i})^{1/\tau}

    (Ackley, Hinton and Sejnowski 1985). At 1 nothing changes; near 0 all of the probability is on
    the largest logit, which is greedy decoding.

    Parameters
    ----------
    tau : float
        Above 0.

    Raises
    ------
    ValueError
        If ``tau`` is not above 0, or is infinite.

    Examples
    --------
    >>> Temperature(0.5)(torch.tensor([[0.0, 1.0]]))
    tensor([[0., 2.]])
    """

    tau: float
    by_chance = True

    def __post_init__(self) -> None:
        if not 0 < _require_number("tau", self.tau) < math.inf:
            raise ValueError(
                f"tau must be above 0 and finite, got {self.tau}; greedy decoding, which always "
                "takes the likeliest token, is what you get without a generator"
            )

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows = (), written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits divided by the temperature."""
        _require_logits(logits)
        return _wide(logits) / self.tau


@dataclass(frozen=True)
class TopK:
    r"""Keep the k largest logits (Fan et al. 2018).

    Where several are as large as the last one kept, all of them stay.

    Parameters
    ----------
    k : int
        From 1 to the size of the vocabulary.

    Raises
    ------
    ValueError
        If ``k`` is below 1, or larger than the vocabulary.

    Examples
    --------
    >>> TopK(2)(torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([[-inf, 3., 2.]])
    """

    k: int
    by_chance = True

    def __post_init__(self) -> None:
        _require_int("k", self.k, least=1)

    def check(self, vocab_size: int) -> None:
        """Refuse a vocabulary of fewer than k tokens."""
        if self.k > vocab_size:
            raise ValueError(f"k must be at most the {vocab_size} tokens there are, got {self.k}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows = (), written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which all but the k largest are minus infinity."""
        _require_logits(logits)
        self.check(logits.shape[-1])
        last = logits.topk(self.k, dim=-1).values[:, -1:]  # (B, 1)
        return logits.masked_fill(logits < last, -math.inf)


@dataclass(frozen=True)
class TopP:
    r"""Keep the fewest tokens that have the probability p together (Holtzman et al. 2020, 3.1).

    Also called nucleus sampling. The least probable tokens are dropped as long as together they
    have no more than :math:`1 - p`; the most probable one always stays.

    Parameters
    ----------
    p : float
        Above 0, at most 1. At 1 only tokens stay away whose probability is 0.

    Raises
    ------
    ValueError
        If ``p`` is out of range.

    Examples
    --------
    >>> TopP(0.7)(torch.tensor([[0.1, 0.6, 0.3]]).log()).exp()
    tensor([[0.0000, 0.6000, 0.3000]])
    """

    p: float
    by_chance = True

    def __post_init__(self) -> None:
        if not 0 < _require_number("p", self.p) <= 1:
            raise ValueError(f"p must be above 0 and at most 1, got {self.p}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows = (), written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which those outside of the nucleus are minus infinity."""
        _require_logits(logits)
        ascending, order = _wide(logits).sort(dim=-1)
        dropped = ascending.softmax(dim=-1).cumsum(dim=-1) <= 1 - self.p
        dropped[:, -1] = False
        return logits.masked_fill(dropped.scatter(1, order, dropped), -math.inf)


@dataclass(frozen=True)
class MinP:
    r"""Keep what is at least p times as probable as the most probable token (Nguyen et al. 2025).

    Where the model is sure, little stays; where it is not, much does.

    Parameters
    ----------
    p : float
        From 0 to 1. At 0 all tokens stay, at 1 only the most probable ones.

    Raises
    ------
    ValueError
        If ``p`` is out of range.

    Examples
    --------
    >>> MinP(0.4)(torch.tensor([[0.1, 0.6, 0.3]]).log()).exp()
    tensor([[0.0000, 0.6000, 0.3000]])
    """

    p: float
    by_chance = True

    def __post_init__(self) -> None:
        if not 0 <= _require_number("p", self.p) <= 1:
            raise ValueError(f"p must be from 0 to 1, got {self.p}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows = (), written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which those of much less probable tokens are minus infinity."""
        _require_logits(logits)
        p = _wide(logits).softmax(dim=-1)
        return logits.masked_fill(p < self.p * p.amax(dim=-1, keepdim=True), -math.inf)


# -- what all samplers share ---------------------------------------------------------------------


def _require_logits(logits: Tensor) -> None:
    """Refuse what is no row of logits for each text."""
    _require_floats(logits=logits)
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"logits must be (batch, vocabulary), got shape {tuple(logits.shape)}")


def _require_samplers(
    samplers: Iterable[Sampler], vocab_size: int | None, by_chance: bool, room: int
) -> list[Sampler]:
    """Return the samplers in a list, having asked each one whether it can work."""
    samplers = list(_require_ordered(samplers, "samplers"))
    for sampler in samplers:
        if not callable(sampler) or isinstance(sampler, type):
            raise TypeError(
                f"each of samplers must be a function of logits, such as TopK(5), got {sampler!r}"
            )
        _require_parameters(sampler)
        if not by_chance and getattr(sampler, "by_chance", False):
            raise ValueError(
                f"samplers hold {sampler}, which is for drawing, and nothing is drawn here; "
                "generate draws if it is given a generator"
            )
        if vocab_size is not None and hasattr(sampler, "check"):
            sampler.check(vocab_size)
        if hasattr(sampler, "check_length"):
            sampler.check_length(room)
    return samplers


def _require_parameters(sampler: Sampler) -> None:
    """Refuse a function that cannot be called as samplers are."""
    try:
        signature = inspect.signature(sampler)
    except ValueError:  # some functions that are not of Python have none to be looked at
        return
    try:
        signature.bind(None, (), ())
    except TypeError:
        raise TypeError(
            "each of samplers must be a function of logits, prompts and written, got "
            f"{sampler!r}, which takes {signature}"
        ) from None


def _sampled(samplers: Iterable[Sampler], logits: Tensor, prompts: Rows, written: Rows) -> Tensor:
    """Apply samplers in order."""
    for sampler in samplers:
        logits = sampler(logits, prompts, written)
    return logits


def _require_rows(rows: Rows, logits: Tensor, name: str) -> None:
    """Refuse texts that are not one for each row of logits."""
    if len(rows) != len(logits):
        raise ValueError(f"{name} must be one for each of {len(logits)} rows, got {len(rows)}")


def _mask_of(rows: Iterable[Iterable[Any]], like: Tensor, name: str) -> Tensor:
    """Return a mask (B, V) that is True at the ids that are listed for each row."""
    mask = torch.zeros_like(like, dtype=torch.bool)
    for i, ids in enumerate(rows):
        if ids := list(ids):
            mask[i, _known_ids(ids, like, name)] = True
    return mask


def _known_ids(ids: Sequence[Any], like: Tensor, name: str) -> Tensor:
    """Return ids as a tensor; each must have one of the logits (B, V)."""
    try:
        found = torch.tensor(ids, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{name} must hold whole numbers, got {ids[0]!r}") from None
    if found.dtype == torch.int64:  # one look costs less than several comparisons
        low, high = map(int, found.aminmax())
        if low >= 0 and high < like.shape[-1]:
            return found
    _require_ids(name, found, like.shape[-1])
    return found.long()
