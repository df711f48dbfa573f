r"""Speculative decoding: a small model guesses, a large one reads all guesses in one call.

This file adds: ``speculate`` and ``Speculated`` (Leviathan et al. 2023; Chen et al. 2023). What is
written has the distribution of the large model alone, whatever the small one guesses.

Letters as in the papers: ``p`` probabilities of the large model (the target), ``q`` of the small
one (the draft), ``γ`` guesses in a round. Shape letter: ``V`` vocabulary.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from companion._arguments import _require_int
from companion._tensors import _wide
from companion.generation.draws import _inverse_cdf
from companion.generation.guesses import accept, acceptance, residual
from companion.generation.jobs import _Job, _require_finite
from companion.generation.readers import Model, _most_positions, _vocab_size
from companion.generation.samplers import Sampler, _sampled
from companion.generation.stops import Stops, _require_no_text
from companion.training.evaluation import _device_of, _evaluating

__all__ = ["Speculated", "speculate"]


@dataclass(frozen=True)
class Speculated:
    """What was written by two models, and how often they agreed."""

    ids: list[int]
    """The tokens, without the prompt; a stop token is the last of them."""
    log_probs: list[float]
    """The target's own log-probability of each token."""
    reason: str
    """Why it ended, as in `Generated`."""
    proposed: int
    """How many tokens the draft has guessed and the target has judged."""
    accepted: int
    """How many of them the target took over."""
    calls: int
    """How often the target was called."""
    predicted: float
    """The mean of `acceptance` over all guesses that were judged."""


def speculate(
    target: Model,
    draft: Model,
    prompt: Sequence[int] | Tensor,
    samplers: Iterable[Sampler] = (),
    *,
    n_guesses: int = 4,
    max_new_tokens: int,
    stop: Stops = (),
    generator: torch.Generator | None = None,
    start_id: int | None = None,
) -> Speculated:
    r"""Let a model continue a text, with guesses of a smaller one that knows the same tokens.

    In a round the draft writes :math:`\gamma` tokens. The target reads them in one call, which
    takes little longer than one token does, and judges each. At the first one that it rejects it
    writes another, and after the last one, if it rejects none, one more. So each call of the
    target gives at least one token (Leviathan et al. 2023, algorithm 1).

    Without a generator the text is exactly what the target writes alone by greedy decoding; with
    one, it has the same distribution.

    Parameters
    ----------
    target, draft : GPT, Llama, Mixtral, T5, Seq2Seq or function
    prompt : list of int
    samplers : list of Sampler
        Applied to both models.
    n_guesses : int
        :math:`\gamma`.
    max_new_tokens, stop, start_id
        As for `generate`; ``stop`` holds tokens and functions.
    generator : torch.Generator, optional
        What draws.

    Returns
    -------
    Speculated

    Raises
    ------
    ValueError
        As for `generate`, or if the two models do not have the same vocabulary.
    TypeError
        As for `generate`.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> sizes = dict(vocab_size=10, max_length=20, d_model=8, n_layers=1, n_heads=2)
    >>> model = GPT(GPTConfig(**sizes))
    >>> done = speculate(model, model, [1, 2, 3], max_new_tokens=10)
    >>> len(done.ids), done.accepted, done.proposed, done.calls  # a draft that is always right
    (10, 8, 8, 2)
    """
    _require_int("n_guesses", n_guesses, least=1)
    _require_no_text(stop)
    sizes = [size for size in map(_vocab_size, (target, draft)) if size is not None]
    if len({*sizes}) > 1:
        raise ValueError(
            f"target and draft must know the same tokens, got {sizes[0]} of target and {sizes[1]} "
            "of draft"
        )
    options: dict[str, Any] = {"stop": stop, "generator": generator, "start_id": start_id}
    job, second = (
        _Job(model, [prompt], samplers, max_new_tokens, names=(name, "prompt"), **options)
        for model, name in ((target, "target"), (draft, "draft"))
    )
    pair = _Pair(job, second, n_guesses, generator)
    with _evaluating(job.model, second.model):
        pair.write()
    counts = (pair.proposed, pair.accepted, pair.calls)
    predicted = pair.predicted / pair.proposed if pair.proposed else 0.0
    return Speculated(job.written[0], job.log_probs[0], job.reasons[0], *counts, predicted)


class _Pair:
    """Two models that write one text, round by round."""

    def __init__(
        self, job: _Job, second: _Job, n_guesses: int, generator: torch.Generator | None
    ) -> None:
        self.job, self.second, self.n_guesses, self.generator = job, second, n_guesses, generator
        self.positions = _most_positions(second.model)
        self.sizes = {each.names[0]: _vocab_size(each.model) for each in (job, second)}
        self.proposed = self.accepted = self.calls = 0
        self.predicted = 0.0

    @torch.inference_mode()
    def write(self) -> None:
        """Write rounds until the text has ended."""
        self.target, self.draft = self.job.reader(), self.second.reader()
        self.n_read = self.n_drafted = 0  # tokens that each of the two has read
        while not self.job.ended:
            guesses, q = self._guess()
            logits = self._read(guesses)  # (1, γ + 1, V)
            self._judge(guesses, q, logits[0])

    def _text(self) -> list[int]:
        return self.job.rows[0] + self.job.written[0]

    def _guess(self) -> tuple[list[int], list[Tensor]]:
        """Let the draft write, and return its tokens and the probabilities of each, (V,)."""
        text, written = self._text(), self.job.written[0]
        room = self.job.limits[0][0] - len(written) - 1  # the target adds one
        if self.positions is not None:
            room = min(room, self.positions - len(text) + 1)
        guesses: list[int] = []
        probabilities: list[Tensor] = []
        while len(guesses) < min(self.n_guesses, room):
            new = [*text, *guesses][self.n_drafted :]
            logits = self.draft.read(_row(new, self.second))[:, -1]
            self._require_size("draft", logits)
            self.n_drafted += len(new)
            q = self._p("draft", logits, [written + guesses])[0]
            guesses.append(self._drawn(q))
            probabilities.append(q)
            if self.job.ends.reason(written + guesses, None):
                break
        return guesses, probabilities

    def _read(self, guesses: list[int]) -> Tensor:
        """Let the target read what it has not read, and return what it expects at each place."""
        new = [*self._text(), *guesses][self.n_read :]
        self.n_read += len(new)
        self.calls += 1
        try:
            logits = self.target.read(_row(new, self.job), len(guesses) + 1)
        except IndexError:  # perhaps a function that does not know a guess
            self._require_size("target", self.job.reader().read(_row(self._text(), self.job)))
            raise
        self._require_size("target", logits)
        return logits

    def _require_size(self, name: str, logits: Tensor) -> None:
        """Refuse logits of another vocabulary; of a function they are the first to show it."""
        self.sizes[name] = logits.shape[-1]
        target, draft = self.sizes["target"], self.sizes["draft"]
        if None not in (target, draft) and target != draft:
            raise ValueError(
                f"target and draft must know the same tokens, got {target} of target and {draft} "
                "of draft"
            )

    def _judge(self, guesses: list[int], q: list[Tensor], logits: Tensor) -> None:
        """Add the guesses up to the first that is rejected, and one token of the target's own."""
        written, n_before = list(self.job.written[0]), len(self._text())
        for i, guess in enumerate([*guesses, None]):
            p = self._p("target", logits[i : i + 1], [written + guesses[:i]])[0]
            token = self._drawn(p) if guess is None else self._decided(p, q[i], guess)
            self.job.add(torch.tensor([token], device=p.device), logits[i : i + 1])
            if self.job.ended or token != guess:
                break
        self._forget(n_before + i)

    def _decided(self, p: Tensor, q: Tensor, guess: int) -> int:
        """Return the guess, or what the target writes in its place."""
        q = q.to(p)
        self.proposed += 1
        self.predicted += float(acceptance(p, q))
        if bool(accept(p[None], q[None], torch.tensor([guess], device=p.device), self._u(p))):
            self.accepted += 1
            return guess
        return self._drawn(residual(p, q))

    def _forget(self, length: int) -> None:
        """Let both models go back to the part of the text that stands."""
        for reader, n in ((self.target, self.n_read), (self.draft, self.n_drafted)):
            if n > length:
                reader.crop(length)
        self.n_read, self.n_drafted = min(self.n_read, length), min(self.n_drafted, length)

    def _p(self, name: str, logits: Tensor, written: list[list[int]]) -> Tensor:
        """Return probabilities (1, V); without a generator all of it is on the likeliest token."""
        found = _wide(_sampled(self.job.samplers, logits, self.job.rows, written))
        _require_finite(found, [""], f"the {name}'s logits")
        if self.generator is None:
            best = found.argmax(dim=-1, keepdim=True)
            return torch.zeros_like(found).scatter(-1, best, 1.0)
        return found.softmax(dim=-1)

    def _u(self, like: Tensor) -> Tensor:
        """Return a uniform number, (1,); where nothing is drawn it does not matter which."""
        if self.generator is None:
            return torch.full((1,), 0.5, device=like.device, dtype=like.dtype)
        device = self.generator.device
        return torch.rand(1, generator=self.generator, device=device).to(like)

    def _drawn(self, p: Tensor) -> int:
        return int(_inverse_cdf(p[None], self._u(p)))


def _row(ids: list[int], job: _Job) -> Tensor:
    return torch.tensor([ids], device=_device_of(job.model))
