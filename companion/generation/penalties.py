r"""Samplers that look at what has been written: against repetition, and against certain words.

This file adds: ``RepetitionPenalty``, ``FrequencyPenalty``, ``NoRepeatNGram`` and ``BadWords``.
They are called as those of `companion.generation.samplers`, with what each row was given and what
it has written, without padding: a row has the same past whichever others stand beside it.

Shape letters: ``B`` rows, ``V`` vocabulary.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_int, _require_number, _require_ordered
from companion._tensors import _wide
from companion.generation.samplers import (
    Rows,
    _known_ids,
    _mask_of,
    _require_logits,
    _require_rows,
)

__all__ = ["RepetitionPenalty", "FrequencyPenalty", "NoRepeatNGram", "BadWords"]

PAST = "the ids of prompts and written"


@dataclass(frozen=True)
class RepetitionPenalty:
    r"""Lower the logits of all tokens that occurred, in the prompt too (Keskar et al. 2019, 4.1).

    .. math:: \tilde z_i = \begin{cases} z_i / \theta & z_i \ge 0 \\ z_i\,\theta & z_i < 0
        \end{cases}

    for each token :math:`i` that occurred, however often. (The paper divides in both cases, which
    would raise a logit below 0; ``transformers`` does as stands here.)

    Parameters
    ----------
    theta : float
        Above 0. At 1 nothing changes; the paper found 1.2 good; below 1 repetition is rewarded.

    Raises
    ------
    ValueError
        If ``theta`` is not above 0, or is infinite.

    Examples
    --------
    >>> RepetitionPenalty(2.0)(torch.tensor([[1.0, 1.0, -1.0]]), [[0, 2]])
    tensor([[ 0.5000,  1.0000, -2.0000]])
    """

    theta: float

    def __post_init__(self) -> None:
        if not 0 < _require_number("theta", self.theta) < math.inf:
            raise ValueError(f"theta must be above 0 and finite, got {self.theta}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits with those of earlier tokens lowered."""
        logits = _wide(logits)
        occurred = _mask_of(_pasts(logits, prompts, written), logits, PAST)
        lowered = torch.where(logits < 0, logits * self.theta, logits / self.theta)
        return torch.where(occurred, lowered, logits)


@dataclass(frozen=True)
class FrequencyPenalty:
    r"""Lower the logit of a token with every time that it was written.

    .. math:: \tilde z_i = z_i - \alpha\, n_i - \beta\, [n_i > 0]

    with :math:`n_i` the number of times that the row has written token :math:`i`; the prompt does
    not count. As in the interface of OpenAI, where the two numbers are called
    ``frequency_penalty`` and ``presence_penalty``.

    Parameters
    ----------
    frequency : float
        :math:`\alpha`.
    presence : float
        :math:`\beta`.

    Raises
    ------
    ValueError
        If one of them is not finite.

    Examples
    --------
    >>> FrequencyPenalty(0.5, presence=1.0)(torch.zeros(1, 3), [[0]], [[2, 2]])
    tensor([[ 0.,  0., -2.]])
    """

    frequency: float = 0.0
    presence: float = 0.0

    def __post_init__(self) -> None:
        for name in ("frequency", "presence"):
            if not math.isfinite(_require_number(name, getattr(self, name))):
                raise ValueError(f"{name} must be finite, got {getattr(self, name)}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits with those of tokens written before lowered."""
        _require_logits(logits)
        _require_rows(written, logits, "written")
        logits = _wide(logits).clone()
        for i, row in enumerate(written):
            if counts := Counter(row):
                ids = _known_ids([*counts], logits, "the ids of written")
                times = torch.tensor([*counts.values()], device=logits.device)
                logits[i, ids] -= self.frequency * times.to(logits) + self.presence
        return logits


@dataclass(frozen=True)
class NoRepeatNGram:
    r"""Forbid what would end a sequence of n tokens that occurred before (Paulus et al. 2018, 2.5).

    Parameters
    ----------
    n : int
        Length of the sequences. With 1 no token may come twice.

    Raises
    ------
    ValueError
        If ``n`` is below 1.

    Examples
    --------
    >>> NoRepeatNGram(2)(torch.zeros(1, 3), [[0, 1, 0]])  # 0, 1 occurred
    tensor([[0., -inf, 0.]])
    """

    n: int

    def __post_init__(self) -> None:
        _require_int("n", self.n, least=1)

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which those that would repeat a sequence are minus infinity."""
        pasts = _pasts(logits, prompts, written)
        ends = (_ends(row, self.n) for row in pasts)
        return logits.masked_fill(_mask_of(ends, logits, PAST), -math.inf)


class BadWords:
    r"""Forbid sequences of tokens: the last token of one, where the others stand before it.

    Parameters
    ----------
    sequences : list of lists of int
        The ids of each; one of a single token is never written.

    Raises
    ------
    ValueError
        If there is no sequence, one is empty, or an id is not in the vocabulary.
    TypeError
        If they are no lists of whole numbers.

    Examples
    --------
    >>> BadWords([[2], [0, 1]])(torch.zeros(1, 3), [[0]])
    tensor([[0., -inf, -inf]])
    """

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        listed = [_sequence(ids) for ids in _require_ordered(sequences, "sequences")]
        if not listed:
            raise ValueError("sequences must hold at least one sequence, got none")
        self.sequences = listed

    def __repr__(self) -> str:
        return f"BadWords({self.sequences})"

    def check(self, vocab_size: int) -> None:
        """Refuse a vocabulary that lacks one of the tokens."""
        largest = max(map(max, self.sequences))
        if largest >= vocab_size:
            raise ValueError(f"sequences must hold ids below {vocab_size}, got {largest}")

    def __call__(
        self, logits: Float[Tensor, "batch vocab"], prompts: Rows, written: Rows = ()
    ) -> Float[Tensor, "batch vocab"]:
        """Return the logits, of which those that would end a sequence are minus infinity."""
        pasts = _pasts(logits, prompts, written)
        self.check(logits.shape[-1])
        ends = (
            [ids[-1] for ids in self.sequences if _stands_at_the_end(ids, row)] for row in pasts
        )
        return logits.masked_fill(_mask_of(ends, logits, "sequences"), -math.inf)


def _sequence(ids: Sequence[int]) -> list[int]:
    listed = [
        _require_int("each id of sequences", i, least=0) for i in _require_ordered(ids, "ids")
    ]
    if not listed:
        raise ValueError("each of sequences must hold at least one id, got an empty one")
    return listed


def _stands_at_the_end(ids: list[int], row: list[int]) -> bool:
    """Tell whether all but the last of some ids are the last ones of a row."""
    before = ids[:-1]
    return not before or row[-len(before) :] == before


def _pasts(logits: Tensor, prompts: Rows, written: Rows) -> list[list[int]]:
    """Return what each row was given and has written, as one list."""
    _require_logits(logits)
    _require_rows(prompts, logits, "prompts")
    if not written:
        return [list(row) for row in prompts]
    _require_rows(written, logits, "written")
    return [[*given, *new] for given, new in zip(prompts, written, strict=True)]


def _ends(row: list[int], n: int) -> Iterator[int]:
    """Yield the tokens that have followed what now are the last n − 1 tokens."""
    last = row[len(row) - n + 1 :] if n > 1 else []
    for start in range(len(row) - n + 1):
        if row[start : start + n - 1] == last:
            yield row[start + n - 1]
