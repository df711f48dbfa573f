r"""Several steps on one batch of samples: ratios, and why they are clipped.

This file adds: ``importance_ratios``, how much more probable the policy makes what an older one
wrote; ``ppo_clip_loss`` (Schulman et al. 2017), ``grpo_loss`` (Shao et al. 2024), and
``aggregate``, in which way losses of tokens become one number.

Shape letters: ``B`` answers, ``T`` tokens.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.alignment._checks import (
    LEVELS,
    _require_alike,
    _require_answer,
    _require_choice,
    _require_finite,
    _require_from,
    _require_reduction,
)
from companion.alignment.divergences import kl_estimates

__all__ = ["importance_ratios", "aggregate", "ppo_clip_loss", "grpo_loss"]

_Tokens = Float[Tensor, "answers length"]
_Mask = Bool[Tensor, "answers length"]


def importance_ratios(policy: _Tokens, old: _Tokens, mask: _Mask, level: str = "token") -> _Tokens:
    r"""Return :math:`\pi/\pi_\text{old}` of what the old policy wrote.

    Parameters
    ----------
    policy, old : Tensor, shape (B, T)
        Log-probabilities of each token, by the policy that is trained and by the one that wrote.
    mask : Tensor of bool, shape (B, T)
        True at the tokens of the answers.
    level : {"token", "sequence"}
        A ratio for each token; or one for each answer, the geometric mean of those of its tokens
        (Zheng et al. 2025), at all of its places.

    Returns
    -------
    Tensor, shape (B, T)
        1 where the mask is False.

    Raises
    ------
    ValueError
        If shapes differ, an answer has no token, or the level is unknown.
    TypeError
        If ``mask`` is not boolean.

    Examples
    --------
    >>> policy, old = torch.tensor([[0.5, 0.4]]).log(), torch.tensor([[0.25, 0.2]]).log()
    >>> importance_ratios(policy, old, torch.tensor([[True, False]]))
    tensor([[2., 1.]])
    """
    _require_tokens(mask, policy=policy, old=old)
    _require_choice("level", level, LEVELS)
    differences = torch.where(mask, policy - old, 0.0)
    if level == "sequence":
        means = differences.sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True)
        differences = torch.where(mask, means, 0.0)
    return differences.exp()


def aggregate(
    losses: _Tokens, mask: _Mask, reduction: str = "sequence_mean", length: int | None = None
) -> Float[Tensor, ""]:
    r"""Return one number for the losses of tokens.

    Parameters
    ----------
    losses : Tensor, shape (B, T)
    mask : Tensor of bool, shape (B, T)
    reduction : {"sequence_mean", "token_mean", "fixed_length"}
        The mean over answers of the mean over tokens, in which a token of a long answer counts for
        less; the mean over all tokens, in which a long answer counts for more; or the sum divided
        by B times a fixed ``length``, in which no token counts less for the length of its answer
        or of the others (Liu et al. 2025).
    length : int, optional
        For ``"fixed_length"``: usually the tokens that an answer may have at most.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If shapes differ, an answer has no token, the reduction is unknown, or ``length`` is given
        without need, or not given.
    TypeError
        If ``mask`` is not boolean.

    Examples
    --------
    >>> losses, mask = torch.tensor([[6.0, 0.0], [2.0, 2.0]]), torch.tensor([[1, 0], [1, 1]]).bool()
    >>> [aggregate(losses, mask, name).item() for name in ("sequence_mean", "token_mean")]
    [4.0, 3.3333332538604736]
    >>> aggregate(losses, mask, "fixed_length", length=4)
    tensor(1.2500)
    """
    _require_tokens(mask, losses=losses)
    _require_reduction(reduction, length)
    sums, counts = torch.where(mask, losses, 0.0).sum(dim=1), mask.sum(dim=1)  # (B,)
    if reduction == "sequence_mean":
        return (sums / counts).mean()
    return sums.sum() / (counts.sum() if length is None else len(losses) * length)


def ppo_clip_loss(
    policy: _Tokens,
    old: _Tokens,
    advantages: Float[Tensor, " answers"],
    mask: _Mask,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    level: str = "token",
    reduction: str = "sequence_mean",
    length: int | None = None,
) -> Float[Tensor, ""]:
    r"""Return the clipped loss of proximal policy optimisation.

    .. math:: L = -\min\big(\rho A,\; \mathrm{clip}(\rho, 1 - \epsilon_\text{low},
        1 + \epsilon_\text{high}) A\big)

    While the policy is the old one, its gradient is that of REINFORCE with A for the reward. Where
    a ratio has left the range to the side to which A pulls, there is no gradient any more.

    Parameters
    ----------
    policy, old : Tensor, shape (B, T)
        Log-probabilities of each token, by the policy that is trained and by the one that wrote.
    advantages : Tensor, shape (B,)
        One for all tokens of an answer.
    mask : Tensor of bool, shape (B, T)
        True at the tokens of the answers.
    clip_low, clip_high : float
        :math:`\epsilon`, from 0 to 1 below, at least 0 above.
    level : {"token", "sequence"}
        As for `importance_ratios`.
    reduction, length
        As for `aggregate`.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If shapes differ, a number is not finite, an answer has no token, or an option is unknown or
        out of range.
    TypeError
        If ``mask`` is not boolean.

    Examples
    --------
    >>> policy, old = torch.tensor([[0.9]]).log(), torch.tensor([[0.3]]).log()
    >>> mask = torch.tensor([[True]])
    >>> ppo_clip_loss(policy, old, torch.tensor([1.0]), mask)  # a ratio of 3 counts as 1.2
    tensor(-1.2000)
    >>> ppo_clip_loss(policy, old, torch.tensor([-1.0]), mask)
    tensor(3.)
    """
    _require_reduction(reduction, length)
    losses = _clipped(policy, old, advantages, mask, clip_low, clip_high, level)
    return aggregate(losses, mask, reduction, length)


def grpo_loss(
    policy: _Tokens,
    old: _Tokens,
    reference: _Tokens,
    advantages: Float[Tensor, " answers"],
    mask: _Mask,
    *,
    beta: float = 0.04,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    level: str = "token",
    reduction: str = "sequence_mean",
    length: int | None = None,
) -> Float[Tensor, ""]:
    r"""Return the loss of group-relative policy optimisation (Shao et al. 2024, eq. 3).

    To the clipped loss of each token comes :math:`\beta k_3`, an estimate of its divergence from
    the reference (see `companion.alignment.kl_estimates`).

    Parameters
    ----------
    policy, old, reference : Tensor, shape (B, T)
        Log-probabilities of each token; by the reference, too.
    advantages : Tensor, shape (B,)
        Such as those of `companion.alignment.group_advantages`, in one row.
    mask : Tensor of bool, shape (B, T)
    beta : float
        At least 0.
    clip_low, clip_high, level, reduction, length
        As for `ppo_clip_loss`.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        As for `ppo_clip_loss`, or if ``beta`` is below 0.
    TypeError
        If ``mask`` is not boolean.

    Examples
    --------
    >>> policy, mask = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[True, True]])
    >>> grpo_loss(policy, policy, policy - 1.0, torch.tensor([0.0]), mask, beta=1.0)  # 1/e
    tensor(0.3679)
    """
    _require_reduction(reduction, length)
    _require_tokens(mask, policy=policy, reference=reference)
    beta = _require_from("beta", beta, 0.0, float("inf"))
    losses = _clipped(policy, old, advantages, mask, clip_low, clip_high, level)
    policy, reference = (torch.where(mask, x, 0.0) for x in (policy, reference))
    losses = losses + beta * kl_estimates(policy, reference.detach()).k3
    return aggregate(losses, mask, reduction, length)


def _clipped(
    policy: Tensor,
    old: Tensor,
    advantages: Tensor,
    mask: Tensor,
    clip_low: float,
    clip_high: float,
    level: str,
) -> Tensor:
    """Return the loss of each token, (B, T)."""
    low = _require_from("clip_low", clip_low, 0.0, 1.0)
    high = _require_from("clip_high", clip_high, 0.0, float("inf"))
    _require_tokens(mask, policy=policy, old=old)
    _require_alike(**{"the first column of policy": policy[:, 0], "advantages": advantages})
    _require_finite(advantages=advantages)
    ratios = importance_ratios(policy, old.detach(), mask, level)
    weights = advantages.detach()[:, None]  # (B, 1)
    return -torch.minimum(ratios * weights, ratios.clamp(1 - low, 1 + high) * weights)


def _require_tokens(mask: Any, **tensors: Tensor) -> None:
    """Refuse what is not one number for each token, finite where the mask looks."""
    _require_alike(**tensors)
    for name, tensor in tensors.items():
        if tensor.ndim != 2:
            raise ValueError(f"{name} must be (answers, length), got shape {tuple(tensor.shape)}")
        _require_answer(mask, tensor)
        _require_finite(**{name: tensor[mask]})
