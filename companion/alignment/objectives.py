r"""What a policy is trained by: losses of the samples of one step.

This file adds: ``ReinforceLoss``, ``PPOLoss`` and ``GRPOLoss``. They differ in where the divergence
from the reference stands (in the reward, or in the loss), in what is taken off a reward, and in
whether several steps may be made on the same samples.

Shape letters: ``P`` prompts, ``G`` answers to each, ``B = P·G`` rows, ``T`` tokens.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from companion.alignment._checks import (
    BASELINES,
    LEVELS,
    SCALES,
    _require_choice,
    _require_from,
    _require_reduction,
)
from companion.alignment.clipping import grpo_loss, ppo_clip_loss
from companion.alignment.gradients import baselines, reinforce_loss
from companion.alignment.groups import group_advantages
from companion.alignment.rollouts import Rollout

__all__ = ["ReinforceLoss", "PPOLoss", "GRPOLoss"]

_Tokens = Float[Tensor, "rows rest"]


@dataclass(frozen=True)
class ReinforceLoss:
    r"""REINFORCE on :math:`r - \beta (\log \pi - \log \pi_\text{ref})`, of whole answers.

    Its expected gradient is exactly that of :math:`\mathbb{E}[r] - \beta\, \mathrm{KL}`, for the
    first step on some samples: there are no ratios in it.

    Parameters
    ----------
    beta : float
        At least 0.
    baseline : {"leave_one_out", "mean", "none"}
        As for `companion.alignment.baselines`.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> ReinforceLoss(beta=1.0)
    ReinforceLoss(beta=1.0, baseline='leave_one_out')
    """

    beta: float = 0.0
    baseline: str = "leave_one_out"

    def __post_init__(self) -> None:
        _require_from("beta", self.beta, 0.0, float("inf"))
        _require_choice("baseline", self.baseline, BASELINES)

    def __call__(self, policy: _Tokens, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the loss, from log-probabilities of the tokens by the policy that is trained."""
        log_probs = policy.masked_fill(~rollout.answer, 0.0).sum(dim=1)
        rewards = _with_divergence(rollout, self.beta)
        return reinforce_loss(log_probs.view_as(rewards), rewards, self.baseline)


@dataclass(frozen=True)
class PPOLoss:
    r"""The clipped loss, with the divergence in the reward and the others as the baseline.

    Proximal policy optimisation in its simplest form: the advantage of an answer is its own reward
    against the mean of the others, where the full method asks a second model what was to be
    expected.

    Parameters
    ----------
    beta : float
        At least 0.
    clip : float
        From 0 to 1, to both sides.
    reduction : {"sequence_mean", "token_mean"}
        As for `companion.alignment.aggregate`.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> PPOLoss(beta=0.1).clip
    0.2
    """

    beta: float = 0.0
    clip: float = 0.2
    reduction: str = "token_mean"

    def __post_init__(self) -> None:
        _require_from("beta", self.beta, 0.0, float("inf"))
        _require_from("clip", self.clip, 0.0, 1.0)
        _require_reduction(self.reduction, None)

    def __call__(self, policy: _Tokens, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the loss, from log-probabilities of the tokens by the policy that is trained."""
        rewards = _with_divergence(rollout, self.beta)
        advantages = (rewards - baselines(rewards, "leave_one_out")).flatten()
        return ppo_clip_loss(
            policy,
            rollout.old,
            advantages,
            rollout.answer,
            clip_low=self.clip,
            clip_high=self.clip,
            reduction=self.reduction,
        )


@dataclass(frozen=True)
class GRPOLoss:
    r"""Group-relative policy optimisation: `companion.alignment.grpo_loss` with group advantages.

    With ``scale="none"`` and ``reduction="fixed_length"`` it is Dr. GRPO (Liu et al. 2025), with
    ``level="sequence"`` GSPO (Zheng et al. 2025), with ``reduction="token_mean"`` and a larger
    ``clip_high`` the loss of DAPO (Yu et al. 2025).

    Parameters
    ----------
    beta : float
        At least 0.
    scale : {"std", "none"}
        As for `companion.alignment.group_advantages`.
    clip_low, clip_high : float
    level : {"token", "sequence"}
    reduction : {"sequence_mean", "token_mean", "fixed_length"}
    length : int, optional
        As for `companion.alignment.grpo_loss`.

    Raises
    ------
    ValueError
        If an option is unknown or out of range.

    Examples
    --------
    >>> GRPOLoss(scale="none", reduction="fixed_length", length=8).beta
    0.04
    """

    beta: float = 0.04
    scale: str = "std"
    clip_low: float = 0.2
    clip_high: float = 0.2
    level: str = "token"
    reduction: str = "sequence_mean"
    length: int | None = None

    def __post_init__(self) -> None:
        _require_from("beta", self.beta, 0.0, float("inf"))
        _require_choice("scale", self.scale, SCALES)
        _require_from("clip_low", self.clip_low, 0.0, 1.0)
        _require_from("clip_high", self.clip_high, 0.0, float("inf"))
        _require_choice("level", self.level, LEVELS)
        _require_reduction(self.reduction, self.length)

    def __call__(self, policy: _Tokens, rollout: Rollout) -> Float[Tensor, ""]:
        """Return the loss, from log-probabilities of the tokens by the policy that is trained."""
        advantages = group_advantages(rollout.rewards, self.scale).flatten()
        reference = _reference(rollout, self.beta)
        return grpo_loss(
            policy,
            rollout.old,
            rollout.old if reference is None else reference,
            advantages,
            rollout.answer,
            beta=self.beta,
            clip_low=self.clip_low,
            clip_high=self.clip_high,
            level=self.level,
            reduction=self.reduction,
            length=self.length,
        )


def _with_divergence(rollout: Rollout, beta: float) -> Tensor:
    """Return rewards less what leaving the reference costs, (P, G)."""
    if _reference(rollout, beta) is None:
        return rollout.rewards
    return rollout.rewards - beta * rollout.kl.view_as(rollout.rewards)


def _reference(rollout: Rollout, beta: float) -> Tensor | None:
    """Return log-probabilities by the reference, where leaving it costs something."""
    if beta and rollout.reference is None:
        raise ValueError(f"beta above 0 needs a reference, and the rollout has none; got {beta}")
    return rollout.reference if beta else None
