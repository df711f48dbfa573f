r"""The policy gradient: what raises the expected reward of a policy from which one samples.

This file adds: ``reinforce_loss``, whose gradient is the REINFORCE estimate, with the baselines of
``baselines``; and what can be said of that estimate without drawing: the gradient that it
estimates, ``policy_gradient``, its ``estimator_variance``, and the constant baseline for which
that is smallest, ``best_baseline``.

Shape letters: ``k`` arms.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_number
from companion.alignment._checks import (
    BASELINES,
    _require_alike,
    _require_choice,
    _require_finite,
    _require_vector,
)

__all__ = [
    "baselines",
    "reinforce_loss",
    "policy_gradient",
    "estimator_variance",
    "best_baseline",
]


def baselines(
    rewards: Float[Tensor, "*groups samples"], kind: str
) -> Float[Tensor, "*groups samples"]:
    r"""Return what is taken off each reward, so that only what is better than usual counts.

    Parameters
    ----------
    rewards : Tensor, shape (..., n)
        Of n samples of one policy, for the same prompt.
    kind : {"none", "mean", "leave_one_out"}
        Nothing; the mean of the n; or, for each, the mean of the other n − 1 (Kool et al. 2019,
        called RLOO). The mean holds the sample's own reward, so that the expected estimate is
        :math:`1 - 1/n` of the gradient; the other two leave it as it is.

    Returns
    -------
    Tensor
        The shape of ``rewards``.

    Raises
    ------
    ValueError
        If there is no reward, only one and others are needed, or the kind is unknown.

    Examples
    --------
    >>> baselines(torch.tensor([1.0, 2.0, 6.0]), "mean")
    tensor([3., 3., 3.])
    >>> baselines(torch.tensor([1.0, 2.0, 6.0]), "leave_one_out")
    tensor([4.0000, 3.5000, 1.5000])
    """
    _require_alike(rewards=rewards)
    _require_choice("kind", kind, BASELINES)
    if kind == "none":
        return torch.zeros_like(rewards)
    n = rewards.shape[-1] if rewards.ndim else 1
    if kind == "mean":
        return rewards.mean(dim=-1, keepdim=True).expand_as(rewards)
    if n < 2:
        raise ValueError('rewards must be of at least 2 samples for "leave_one_out", got 1')
    return (rewards.sum(dim=-1, keepdim=True) - rewards) / (n - 1)


def reinforce_loss(
    log_probs: Float[Tensor, "*groups samples"],
    rewards: Float[Tensor, "*groups samples"],
    baseline: str = "none",
) -> Float[Tensor, ""]:
    r"""Return what has the estimate of REINFORCE as its gradient (Williams 1992).

    .. math:: L = -\frac{1}{N} \sum_{i} (r_i - b_i) \log \pi(a_i)

    The gradient of :math:`-L` is an estimate of that of the expected reward. The value of L itself
    says nothing about how good the policy is.

    Parameters
    ----------
    log_probs : Tensor, shape (..., n)
        Of what was sampled, by the policy that sampled it. Gradients flow through these alone.
    rewards : Tensor, shape (..., n)
    baseline : {"none", "mean", "leave_one_out"}
        As for `baselines`, over the last dimension.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If shapes differ, nothing is given, or the baseline is unknown or needs more samples.

    Examples
    --------
    >>> log_probs = torch.tensor([0.5, 0.25]).log()
    >>> reinforce_loss(log_probs, torch.tensor([1.0, 0.0]))  # −½ ln ½
    tensor(0.3466)
    """
    _require_alike(log_probs=log_probs, rewards=rewards)
    advantages = rewards - baselines(rewards, baseline)
    return -(advantages.detach() * log_probs).mean()


def policy_gradient(
    logits: Float[Tensor, " k"], rewards: Float[Tensor, " k"]
) -> Float[Tensor, " k"]:
    r"""Return the gradient of the expected reward with respect to the logits of a softmax.

    .. math:: \frac{\partial}{\partial z_j} \sum_i \pi_i r_i = \pi_j (r_j - \textstyle\sum_i \pi_i
        r_i)

    Parameters
    ----------
    logits, rewards : Tensor, shape (k,)

    Returns
    -------
    Tensor, shape (k,)
        Its sum is 0.

    Raises
    ------
    ValueError
        If shapes differ, or a number is not finite.

    Examples
    --------
    >>> policy_gradient(torch.zeros(2), torch.tensor([1.0, 0.0]))
    tensor([ 0.2500, -0.2500])
    """
    p = _policy(logits, rewards)
    return p * (rewards - (p * rewards).sum())


def estimator_variance(
    logits: Float[Tensor, " k"], rewards: Float[Tensor, " k"], baseline: float = 0.0
) -> Float[Tensor, ""]:
    r"""Return the variance of the estimate from one sample, summed over the logits.

    .. math:: \sum_i \pi_i (r_i - b)^2 \lVert e_i - \pi \rVert^2 - \lVert g \rVert^2

    where :math:`e_i - \pi` is the gradient of :math:`\log \pi_i` and g that of the expected reward.
    From n samples it is 1/n of this.

    Parameters
    ----------
    logits, rewards : Tensor, shape (k,)
    baseline : float
        One number, whatever was sampled.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If shapes differ, or a number is not finite.

    Examples
    --------
    >>> rewards = torch.tensor([11.0, 10.0])
    >>> [estimator_variance(torch.zeros(2), rewards, b) for b in (0.0, 10.0)]
    [tensor(55.1250), tensor(0.1250)]
    """
    weights = _policy(logits, rewards) * _squares(logits)
    if not math.isfinite(_require_number("baseline", baseline)):
        raise ValueError(f"baseline must be finite, got {baseline}")
    of_gradient = policy_gradient(logits, rewards).square().sum()
    return (weights * (rewards - float(baseline)).square()).sum() - of_gradient


def best_baseline(logits: Float[Tensor, " k"], rewards: Float[Tensor, " k"]) -> Float[Tensor, ""]:
    r"""Return the constant for which `estimator_variance` is smallest.

    .. math:: b = \frac{\sum_i \pi_i \lVert e_i - \pi \rVert^2 r_i}
        {\sum_i \pi_i \lVert e_i - \pi \rVert^2}

    (Greensmith, Bartlett and Baxter 2004). It is near the expected reward, and seldom equal to it.

    Parameters
    ----------
    logits, rewards : Tensor, shape (k,)

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        If shapes differ, or a number is not finite.

    Examples
    --------
    >>> best_baseline(torch.zeros(2), torch.tensor([11.0, 10.0]))
    tensor(10.5000)
    """
    weights = _policy(logits, rewards) * _squares(logits)
    return (weights * rewards).sum() / weights.sum()


def _policy(logits: Tensor, rewards: Tensor) -> Tensor:
    """Return the probabilities of the arms."""
    _require_vector("logits", logits, least=2)
    _require_alike(logits=logits, rewards=rewards)
    _require_finite(rewards=rewards)
    return logits.softmax(dim=-1)


def _squares(logits: Tensor) -> Tensor:
    """Return the squared length of the gradient of the log-probability of each arm, (k,)."""
    p = logits.softmax(dim=-1)
    return 1 - 2 * p + p.square().sum()
