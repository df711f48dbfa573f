r"""Beam search: several texts at a time, of which the most probable go on.

This file adds: ``beam_search`` and ``Beam``. Of each prompt the :math:`k` most probable beginnings
go on, one that ends is finished, and the best finished ones are kept. It is the search of
``transformers``, step by step, so that texts and scores are the same.

Shape letters: ``B`` prompts, ``k`` beams of each, ``V`` vocabulary.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from companion._arguments import _require_int, _require_number
from companion._tensors import _wide
from companion.generation.jobs import Prompts, _Job
from companion.generation.readers import Model
from companion.generation.samplers import Sampler, _sampled
from companion.generation.stops import Stops, _require_no_text
from companion.training.evaluation import _evaluating

__all__ = ["Beam", "beam_search"]


@dataclass(frozen=True)
class Beam:
    """One text that a beam search has found."""

    ids: list[int]
    """The tokens, without the prompt; a stop token is the last of them."""
    log_prob: float
    """The sum of their log-probabilities, as the samplers have changed them."""
    score: float
    """What beams are compared by: ``log_prob`` divided by a power of the number of tokens."""
    reason: str
    """Why it ended, as in `Generated`."""


def beam_search(
    model: Model,
    prompts: Prompts,
    samplers: Iterable[Sampler] = (),
    *,
    n_beams: int,
    max_new_tokens: int,
    stop: Stops = (),
    length_penalty: float = 1.0,
    early_stopping: bool | str = False,
    start_id: int | None = None,
    cache: bool = True,
) -> list[list[Beam]]:
    r"""Search for the most probable continuations (Sutskever et al. 2014, section 3.2).

    .. math:: \text{score}(y) = \frac{1}{n^{\alpha}} \sum_{t=1}^{n} \log p(y_t \mid y_{<t})

    Each step looks at all tokens that could follow each of the :math:`k` beams. With
    :math:`\alpha = 0` long texts lose, since each token makes a text less probable; with 1 texts
    are compared by their mean log-probability. (``transformers`` calls :math:`\alpha` the length
    penalty, too; that of Wu et al. 2016, section 7, has another form.)

    Parameters
    ----------
    model, prompts, max_new_tokens, start_id, cache
        As for `generate`.
    samplers : list of Sampler
        Applied to the log-probabilities. Those that only matter where tokens are drawn, such as
        `TopK`, are refused.
    n_beams : int
        :math:`k`. With 1 this is greedy decoding, unless ``early_stopping`` is ``"never"`` and
        :math:`\alpha > 0`: then the search goes on past the greedy text, and a longer one wins if
        its score is better.
    stop : int, function, or list of them
        What a beam ends with.
    length_penalty : float
        :math:`\alpha`.
    early_stopping : bool or "never"
        When the search for a prompt ends. True: as soon as ``k`` beams are finished. False: when
        the best running beam, if it ended now, would not be among them. ``"never"``: when it could
        not even if it became as long as it may, which is the exact condition as long as
        :math:`\alpha > 0`.

    Returns
    -------
    list of lists of Beam
        For each prompt up to ``k`` beams, the best first.

    Raises
    ------
    ValueError
        As for `generate`, or if an option is out of range.
    TypeError
        As for `generate`, or if ``stop`` holds a text.

    Examples
    --------
    >>> def model(ids):  # after 0 comes 1 or 2; only after 2 it is clear what comes
    ...     table = torch.tensor([[0.0, 0.6, 0.4], [0.4, 0.3, 0.3], [0.9, 0.1, 0.0]])
    ...     return table[ids].log()
    >>> [best.ids for (best, *_) in beam_search(model, [[0]], n_beams=2, max_new_tokens=2)]
    [[2, 0]]
    """
    _require_options(n_beams, stop, length_penalty, early_stopping)
    job = _Job(model, prompts, samplers, max_new_tokens, stop=stop, start_id=start_id, cache=cache)
    _require_scores(length_penalty, max(limit for limit, _ in job.limits))
    searches = [
        _Search(job, limit, n_beams, length_penalty, early_stopping) for limit in job.limits
    ]
    with _evaluating(job.model):
        _search(job, searches, n_beams)
    for i, search in enumerate(searches):
        if not search.finished:
            raise ValueError(f"samplers must allow some text, but allow none for prompts[{i}]")
    return [search.finished for search in searches]


@torch.inference_mode()
def _search(job: _Job, searches: list["_Search"], k: int) -> None:
    """Let the beams of all prompts go on until every search is over."""
    reader, prompts = job.reader(), [row for row in job.rows for _ in range(k)]
    logits = reader.read(job.first())[:, -1]  # (B, V)
    rows = torch.arange(len(searches), device=logits.device).repeat_interleave(k)
    reader.reorder(rows)
    logits = logits[rows]  # (B·k, V)
    while True:
        log_p = _wide(logits).log_softmax(dim=-1)
        beams = [ids for search in searches for ids in search.running]
        log_p = _sampled(job.samplers, log_p, prompts, beams)
        sums = [search.log_probs for search in searches]
        before = torch.tensor(sums, dtype=log_p.dtype, device=log_p.device)  # (B, k)
        totals = (before.flatten()[:, None] + log_p).view(len(searches), -1)  # (B, k·V)
        _require_numbers(totals)
        best = totals.topk(min(searches[0].n_candidates, totals.shape[1]), dim=-1)
        for search, values, places in zip(searches, *map(Tensor.tolist, best), strict=True):
            search.step(values, places, log_p.shape[-1])
        if all(search.over for search in searches):
            return
        parents = torch.tensor([search.parents for search in searches], device=rows.device)
        parents = (parents + k * torch.arange(len(searches), device=rows.device)[:, None]).flatten()
        reader.reorder(parents)
        last = [[ids[-1]] for search in searches for ids in search.running]
        logits = reader.read(torch.tensor(last, device=rows.device))[:, -1]


class _Search:
    """The beams of one prompt."""

    def __init__(
        self, job: _Job, limit: tuple[int, str], k: int, penalty: float, early: bool | str
    ) -> None:
        self.job, (self.limit, self.why), self.k = job, limit, k
        self.penalty, self.early = penalty, early
        # So many that k are left even if each beam can end with each of the stop tokens.
        self.n_candidates = max(2, 1 + len(job.ends.ids)) * k
        self.running: list[list[int]] = [[] for _ in range(k)]
        # At first all beams are the same, so only one of them counts.
        self.log_probs = [0.0] + [-math.inf] * (k - 1)
        self.parents = list(range(k))
        self.finished: list[Beam] = []
        self.over = False

    def step(self, values: list[float], places: list[int], vocab_size: int) -> None:
        """Take the best candidates, the most probable first: those that end, and those that go on.

        A place is the number of the beam times the size of the vocabulary, plus the token.
        """
        if self.over:
            return
        going: list[tuple[float, int, list[int]]] = []
        ended: list[Beam] = []
        for rank, (value, place) in enumerate(zip(values, places, strict=True)):
            parent, token = divmod(place, vocab_size)
            ids = [*self.running[parent], token]
            reason = self._reason(ids) if value > -math.inf else ""
            if reason and rank < self.k:  # the others are only there so that enough go on
                ended.append(Beam(ids, value, value / len(ids) ** self.penalty, reason))
            if not reason:
                going.append((value, parent, ids))
        found = sorted(self.finished + ended, key=lambda beam: -beam.score)
        self.finished = found[: self.k]
        self._go_on(going)

    def _reason(self, ids: list[int]) -> str:
        return self.job.ends.reason(ids, None) or (self.why if len(ids) >= self.limit else "")

    def _go_on(self, going: list[tuple[float, int, list[int]]]) -> None:
        """Let the best candidates run, and tell whether they can still change anything."""
        missing = self.k - len(going)  # of a small vocabulary there may be too few
        going = going[: self.k] + [(-math.inf, 0, [*self.running[0], 0])] * missing
        self.log_probs, self.parents, self.running = (
            list(part) for part in zip(*going, strict=True)
        )
        self.over = self.log_probs[0] == -math.inf or not self._can_improve()

    def _can_improve(self) -> bool:
        """Tell whether a running beam can still come among the k best finished ones."""
        if len(self.finished) < self.k:
            return True
        if self.early is True:
            return False
        as_long = self.early == "never" and self.penalty > 0
        n = self.limit if as_long else len(self.running[0])
        return self.log_probs[0] / n**self.penalty > self.finished[-1].score


def _require_options(
    n_beams: int, stop: Stops, length_penalty: float, early_stopping: bool | str
) -> None:
    _require_int("n_beams", n_beams, least=1)
    if not math.isfinite(_require_number("length_penalty", length_penalty)):
        raise ValueError(f"length_penalty must be finite, got {length_penalty}")
    if not isinstance(early_stopping, bool) and early_stopping != "never":
        raise ValueError(f'early_stopping must be True, False or "never", got {early_stopping!r}')
    _require_no_text(stop)


def _require_scores(length_penalty: float, longest: int) -> None:
    """Refuse a penalty with which a score would be too small or too large for a number."""
    if abs(length_penalty) * math.log(longest) > 300 * math.log(10):
        most = 300 * math.log(10) / math.log(longest)
        raise ValueError(
            f"length_penalty must be from {-most:.0f} to {most:.0f} for up to {longest} tokens, so "
            f"that scores can be computed, got {length_penalty}"
        )


def _require_numbers(totals: Tensor) -> None:
    """Refuse NaN, beside which nothing can be compared, and what is larger than everything."""
    if not bool((totals < math.inf).all()):
        raise ValueError(
            "logits must be finite or minus infinity, as the model gives them and as samplers "
            "leave them, got nan or inf"
        )
