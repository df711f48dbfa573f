r"""What a policy writes, and how it is judged: the samples of one step.

This file adds: ``write_rollout``, which lets a model answer each prompt several times and asks a
function for the rewards, and ``Rollout``, what comes of it.

Shape letters: ``P`` prompts, ``G`` answers to each, ``B = P·G`` rows, ``T`` tokens.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from companion._arguments import _require_generator, _require_int, _require_number, _require_ordered
from companion.alignment.log_probs import answer_batch, token_log_probs
from companion.generation import generate
from companion.training.evaluation import _device_of, _evaluating

__all__ = ["Reward", "Rollout", "write_rollout"]

#: From the number of a prompt and the ids of an answer, its end included, to a reward.
Reward = Callable[[int, list[int]], float]


class Rollout(NamedTuple):
    """Answers of a policy; those to one prompt follow one another."""

    ids: Int64[Tensor, "rows length"]
    """Prompt, answer, filling."""
    mask: Bool[Tensor, "rows 1 length"]
    """False for filling."""
    answer: Bool[Tensor, "rows rest"]
    """True at the tokens of the answer; here and below without the first token, (B, T − 1)."""
    old: Float[Tensor, "rows rest"]
    """Log-probability of each token of an answer, by the policy that wrote; elsewhere 0."""
    reference: Float[Tensor, "rows rest"] | None
    """The same, by the reference."""
    rewards: Float[Tensor, "prompts group"]

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """How many tokens each answer has."""
        return self.answer.sum(dim=1)

    @property
    def kl(self) -> Float[Tensor, " rows"]:
        """Log π − log π_ref of each answer, whose mean estimates the divergence; or NaN."""
        if self.reference is None:
            return torch.full_like(self.old[:, 0], math.nan)
        return (self.old - self.reference).sum(dim=1)


def write_rollout(
    model: Any,
    prompts: Iterable[Sequence[int]],
    reward: Reward,
    *,
    group_size: int,
    max_new_tokens: int,
    generator: torch.Generator,
    stop: int | None = None,
    reference: Any = None,
) -> Rollout:
    r"""Let a policy answer each prompt several times, and judge what it wrote.

    Answers are drawn from the model's own probabilities: with a temperature or a sampler they
    would be those of another policy.

    Parameters
    ----------
    model : GPT or Llama
    prompts : list of lists of int
    reward : function
        Called with the number of the prompt and the ids of the answer, its end included.
    group_size : int
        Answers to each prompt.
    max_new_tokens : int
        Tokens of an answer at most, its end included.
    generator : torch.Generator
    stop : int, optional
        The token that ends an answer.
    reference : GPT or Llama, optional
        Which the policy shall not leave.

    Returns
    -------
    Rollout

    Raises
    ------
    ValueError
        As for `companion.generation.generate`, or if ``group_size`` is below 1, or a reward is not
        finite.
    TypeError
        If ``reward`` is no function, gives no number, or an argument is of another kind.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> gpt = GPT(GPTConfig(vocab_size=6, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> count = lambda i, ids: float(ids.count(5))
    >>> options = {"generator": torch.Generator().manual_seed(0), "max_new_tokens": 3}
    >>> found = write_rollout(gpt, [[1, 2], [3]], count, group_size=4, **options)
    >>> found.ids.shape, found.rewards.shape, found.lengths.tolist()
    (torch.Size([8, 5]), torch.Size([2, 4]), [3, 3, 3, 3, 3, 3, 3, 3])
    """
    size = _require_int("group_size", group_size, least=1)
    _require_generator("generator", generator, torch.Generator)
    if not callable(reward):
        raise TypeError(f"reward must be a function of a prompt and an answer, got {reward!r}")
    asked = [list(_require_ordered(prompt, "each of prompts")) for prompt in prompts]
    rows = [prompt for prompt in asked for _ in range(size)]
    written = generate(
        model,
        rows,
        max_new_tokens=max_new_tokens,
        stop=() if stop is None else stop,
        generator=generator,
    )
    judged = [_judged(reward, i // size, ids) for i, ids in enumerate(written.ids)]
    batch = answer_batch(rows, written.ids)
    ids, answer, mask = (x.to(_device_of(model)) for x in batch)
    with _evaluating(model), torch.no_grad():
        old = _own(model, ids, mask, answer)
    rewards = torch.tensor(judged, dtype=old.dtype, device=old.device).view(-1, size)
    return Rollout(ids, mask, answer[:, 1:], old, _by(reference, ids, mask, answer), rewards)


def _own(model: Any, ids: Tensor, mask: Tensor, answer: Tensor) -> Tensor:
    """Return log-probabilities of the tokens of answers, and 0 elsewhere."""
    return token_log_probs(model, ids, mask).masked_fill(~answer[:, 1:], 0.0)


def _by(reference: Any, ids: Tensor, mask: Tensor, answer: Tensor) -> Tensor | None:
    if reference is None:
        return None
    if not isinstance(reference, nn.Module):
        raise TypeError(f"reference must be a model, got {type(reference).__name__}")
    with _evaluating(reference), torch.no_grad():
        return _own(reference, ids, mask, answer)


def _judged(reward: Reward, prompt: int, ids: list[int]) -> float:
    value = float(_require_number("what reward returns", reward(prompt, list(ids))))
    if not math.isfinite(value):
        raise ValueError(f"what reward returns must be finite, got {value} for prompt {prompt}")
    return value
