r"""The loop: write, judge, step.

This file adds: ``optimise_policy``, which trains a policy by its own answers, and ``PolicyStep``,
what is reported of a step.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from companion._arguments import _require_generator, _require_int, _require_ordered
from companion.alignment._checks import _require_above
from companion.alignment.groups import silent_groups
from companion.alignment.log_probs import token_log_probs
from companion.alignment.rollouts import Reward, Rollout, write_rollout
from companion.optim import clip_grad_norm

__all__ = ["PolicyConfig", "PolicyStep", "optimise_policy"]

#: From log-probabilities by the policy that is trained, and what an older one wrote, to a loss.
PolicyLoss = Callable[[Tensor, Rollout], Tensor]


@dataclass(frozen=True)
class PolicyConfig:
    r"""How a policy is trained.

    Parameters
    ----------
    steps : int
        How often answers are written and judged.
    max_new_tokens : int
        Tokens of an answer at most, its end included.
    prompts_per_step : int
        Drawn from all prompts, none twice in a step.
    group_size : int
        Answers to each of them, at least 2.
    updates : int
        Steps of the optimiser on the answers of one step. After the first, the policy is no longer
        the one that wrote.
    max_norm : float
        To which gradients are shortened.
    stop : int, optional
        The token that ends an answer.

    Raises
    ------
    ValueError
        If a number is out of range.
    TypeError
        If one is of another kind.

    Examples
    --------
    >>> PolicyConfig(steps=100, max_new_tokens=8).group_size
    8
    """

    steps: int
    max_new_tokens: int
    prompts_per_step: int = 8
    group_size: int = 8
    updates: int = 1
    max_norm: float = 1.0
    stop: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "max_new_tokens", "prompts_per_step", "updates"):
            _require_int(name, getattr(self, name), least=1)
        _require_int("group_size", self.group_size, least=2)
        _require_above("max_norm", self.max_norm)
        if self.stop is not None:
            _require_int("stop", self.stop, least=0)


class PolicyStep(NamedTuple):
    """What is reported of a step: means over the answers that were written in it."""

    step: int
    """From 0."""
    reward: float
    kl: float
    """An estimate of the divergence from the reference, in nats an answer; NaN without one."""
    silent: float
    """The share of prompts of which nothing was learnt, because all answers had one reward."""
    length: float
    """Tokens of an answer."""
    loss: float
    """Before the first update of the step."""


def optimise_policy(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    loss: PolicyLoss,
    optimizer: torch.optim.Optimizer,
    config: PolicyConfig,
    *,
    generator: torch.Generator,
    reference: nn.Module | None = None,
) -> Iterator[PolicyStep]:
    r"""Train a policy by its own answers, step by step.

    Parameters
    ----------
    model : GPT or Llama
        Changed in place.
    prompts : list of lists of int
    reward : function
        Called with the number of a prompt in ``prompts`` and the ids of an answer.
    loss : ReinforceLoss, PPOLoss, GRPOLoss or function
        Of log-probabilities (B, T − 1) by the model, and a `companion.alignment.Rollout`.
    optimizer : Optimizer
        Of the model's parameters.
    config : PolicyConfig
    generator : torch.Generator
        Draws prompts and answers.
    reference : GPT or Llama, optional
        A copy of the model as it was, which stays as it is.

    Returns
    -------
    iterator of PolicyStep
        The model is trained while one goes through it: each step is reported when it is done. What
        is wrong with the arguments is said at once.

    Raises
    ------
    ValueError
        If there are fewer prompts than a step needs, or the reference would be trained, too.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> import copy
    >>> from companion.alignment import GRPOLoss
    >>> from companion.models import GPT, GPTConfig
    >>> from companion.optim import AdamW
    >>> gpt = GPT(GPTConfig(vocab_size=6, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> steps = optimise_policy(
    ...     gpt,
    ...     [[1, 2], [3]],
    ...     lambda i, ids: float(ids.count(5)),
    ...     GRPOLoss(),
    ...     AdamW(gpt.parameters(), lr=0.01),
    ...     PolicyConfig(steps=3, max_new_tokens=4, prompts_per_step=2),
    ...     generator=torch.Generator().manual_seed(0),
    ...     reference=copy.deepcopy(gpt),
    ... )
    >>> [each.length for each in steps]
    [4.0, 4.0, 4.0]
    """
    asked = [list(prompt) for prompt in _require_ordered(prompts, "prompts")]
    if not isinstance(config, PolicyConfig):
        raise TypeError(f"config must be a PolicyConfig, got {type(config).__name__}")
    if len(asked) < config.prompts_per_step:
        raise ValueError(
            f"prompts must be at least prompts_per_step, {config.prompts_per_step}; "
            f"got {len(asked)}"
        )
    for name, function in (("reward", reward), ("loss", loss)):
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"{name} must be a function, got {function!r}")
    _require_generator("generator", generator, torch.Generator)
    _require_frozen(reference, optimizer)
    return _steps(model, asked, reward, loss, optimizer, config, generator, reference)


def _steps(
    model: nn.Module,
    prompts: list[list[int]],
    reward: Reward,
    loss: PolicyLoss,
    optimizer: torch.optim.Optimizer,
    config: PolicyConfig,
    generator: torch.Generator,
    reference: nn.Module | None,
) -> Iterator[PolicyStep]:
    for step in range(config.steps):
        order = torch.randperm(len(prompts), generator=generator)[: config.prompts_per_step]
        places = order.tolist()
        rollout = write_rollout(
            model,
            [prompts[i] for i in places],
            lambda i, ids, places=places: reward(places[i], ids),  # type: ignore[misc]
            group_size=config.group_size,
            max_new_tokens=config.max_new_tokens,
            generator=generator,
            stop=config.stop,
            reference=reference,
        )
        losses = [_update(model, rollout, loss, optimizer, config) for _ in range(config.updates)]
        yield _reported(step, rollout, losses[0])


def _update(
    model: nn.Module,
    rollout: Rollout,
    loss: PolicyLoss,
    optimizer: torch.optim.Optimizer,
    config: PolicyConfig,
) -> float:
    """Make one step of the optimiser, and return the loss before it."""
    value = loss(token_log_probs(model, rollout.ids, rollout.mask), rollout)
    optimizer.zero_grad()
    value.backward()
    clip_grad_norm(_trained(optimizer), config.max_norm)
    optimizer.step()
    return float(value.detach())


def _reported(step: int, rollout: Rollout, loss: float) -> PolicyStep:
    rewards, lengths = rollout.rewards, rollout.lengths.double()
    silent = silent_groups(rewards).double()
    reward, kl, share, length = (float(x.mean()) for x in (rewards, rollout.kl, silent, lengths))
    return PolicyStep(step, reward, kl, share, length, loss)


def _trained(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _require_frozen(reference: Any, optimizer: Any) -> None:
    """Refuse a reference that would follow the policy."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(f"optimizer must be an Optimizer, got {type(optimizer).__name__}")
    if reference is None:
        return
    if not isinstance(reference, nn.Module):
        raise TypeError(f"reference must be a model, got {type(reference).__name__}")
    trained = {id(p) for p in _trained(optimizer)}
    if any(id(p) in trained for p in reference.parameters()):
        raise ValueError(
            "reference must stay as it is, and optimizer trains its parameters; "
            "copy.deepcopy(model) makes a copy of the model as it is now"
        )
