r"""The best that can be had: how much reward for how far from the reference, known exactly.

This file adds: ``tilted``, the policy that is best at a given price of leaving the reference, and
its value, ``best_value``; ``trade_off``, the reward and the divergence of any policy, as a
``TradeOff``; and the curve that no policy is above, by price (``frontier``) and by divergence
(``best_reward``).

All of it is for outcomes that can be listed, each with its probability: the arms of a bandit, or
all ways in which a story can end (`companion.alignment.world_outcomes`).

Shape letters: ``n`` outcomes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_number, _require_ordered
from companion.alignment._checks import (
    _require_above,
    _require_alike,
    _require_finite,
    _require_from,
)

__all__ = ["TradeOff", "tilted", "best_value", "trade_off", "frontier", "best_reward"]

_Outcomes = Float[Tensor, " n"]


class TradeOff(NamedTuple):
    """Where a policy stands."""

    beta: float
    """What a nat of divergence costs."""
    reward: float
    """Its expected reward."""
    kl: float
    """How far it is from the reference, KL(policy ‖ reference), in nats."""
    value: float
    """What is maximised: reward − beta · kl."""


def tilted(reference: _Outcomes, rewards: _Outcomes, beta: float) -> _Outcomes:
    r"""Return the best policy, :math:`\pi(y) = \pi_\text{ref}(y)\, e^{r(y)/\beta} / Z`, as logs.

    No other has a larger :math:`\mathbb{E}_\pi[r] - \beta\, \mathrm{KL}(\pi \| \pi_\text{ref})`
    (Korbak, Perez and Buckley 2022; Rafailov et al. 2023, eq. 4).

    Parameters
    ----------
    reference : Tensor, shape (n,)
        Log-probabilities of all outcomes; −∞ for one that does not occur.
    rewards : Tensor, shape (n,)
    beta : float
        Above 0. At a large one it is the reference, near 0 the outcomes of the largest reward.

    Returns
    -------
    Tensor, shape (n,)
        Log-probabilities.

    Raises
    ------
    ValueError
        If shapes differ, the probabilities do not add up to 1, a reward is not finite, or ``beta``
        is not above 0.

    Examples
    --------
    >>> reference = torch.tensor([0.75, 0.25]).log()
    >>> tilted(reference, torch.tensor([0.0, 1.0]), beta=1 / math.log(3)).exp()
    tensor([0.5000, 0.5000])
    """
    _require_outcomes(reference, rewards)
    return (reference + rewards / _require_above("beta", beta)).log_softmax(dim=0)


def best_value(reference: _Outcomes, rewards: _Outcomes, beta: float) -> Float[Tensor, ""]:
    r"""Return the largest value that a policy can have.

    .. math:: \max_\pi \mathbb{E}_\pi[r] - \beta\, \mathrm{KL}(\pi \| \pi_\text{ref})
        = \beta \ln \sum_y \pi_\text{ref}(y)\, e^{r(y)/\beta}

    Of any other policy the value is smaller by :math:`\beta\, \mathrm{KL}(\pi \| \pi^*)`.

    Parameters
    ----------
    reference, rewards, beta
        As for `tilted`.

    Returns
    -------
    Tensor

    Raises
    ------
    ValueError
        As for `tilted`.

    Examples
    --------
    >>> best_value(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.0, 1.0]), beta=1.0)
    tensor(0.6201)
    """
    _require_outcomes(reference, rewards)
    beta = _require_above("beta", beta)
    return beta * (reference + rewards / beta).logsumexp(dim=0)


def trade_off(
    policy: _Outcomes, reference: _Outcomes, rewards: _Outcomes, beta: float = 1.0
) -> TradeOff:
    r"""Return the expected reward of a policy, and how far it is from the reference.

    Parameters
    ----------
    policy, reference : Tensor, shape (n,)
        Log-probabilities of all outcomes.
    rewards : Tensor, shape (n,)
    beta : float
        At least 0.

    Returns
    -------
    TradeOff

    Raises
    ------
    ValueError
        If shapes differ, probabilities do not add up to 1, a reward is not finite, or ``beta`` is
        below 0.

    Examples
    --------
    >>> reference, policy = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.0, 1.0]).log()
    >>> found = trade_off(policy, reference, torch.tensor([0.0, 1.0]))
    >>> round(found.reward, 4), round(found.kl, 4), round(found.value, 4)
    (1.0, 0.6931, 0.3069)
    """
    beta = _require_from("beta", beta, 0.0, float("inf"))
    _require_outcomes(reference, rewards)
    _require_alike(reference=reference, policy=policy)
    _require_sum("policy", policy)
    p = policy.exp()
    reward = float((p * rewards).sum())
    kl = float(torch.where(p > 0, p * (policy - reference), 0.0).sum())
    return TradeOff(beta, reward, kl, reward - beta * kl if beta else reward)


def frontier(reference: _Outcomes, rewards: _Outcomes, betas: Sequence[float]) -> list[TradeOff]:
    r"""Return where the best policy stands at each price.

    Parameters
    ----------
    reference, rewards : Tensor, shape (n,)
        As for `tilted`.
    betas : sequence of float
        Above 0, at least one.

    Returns
    -------
    list of TradeOff
        One for each price, in order. Between them the reward is a concave function of the
        divergence, with slope beta.

    Raises
    ------
    ValueError
        As for `tilted`, or if there is no price.

    Examples
    --------
    >>> reference, rewards = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.0, 1.0])
    >>> [round(found.reward, 3) for found in frontier(reference, rewards, [1.0, 0.5, 0.1])]
    [0.731, 0.881, 1.0]
    """
    prices = [_require_above("each of betas", beta) for beta in _require_ordered(betas, "betas")]
    if not prices:
        raise ValueError("betas must hold at least one price, got none")
    found = []
    for beta in prices:
        policy = tilted(reference, rewards, beta)
        found.append(trade_off(policy, reference, rewards, beta))
    return found


def best_reward(reference: _Outcomes, rewards: _Outcomes, kl: float) -> float:
    r"""Return the largest expected reward within a divergence from the reference.

    Parameters
    ----------
    reference, rewards : Tensor, shape (n,)
        As for `tilted`.
    kl : float
        In nats, at least 0.

    Returns
    -------
    float
        The largest reward of all, where the divergence allows to take nothing else.

    Raises
    ------
    ValueError
        As for `tilted`, or if ``kl`` is below 0.

    Examples
    --------
    >>> reference, rewards = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.0, 1.0])
    >>> [round(best_reward(reference, rewards, kl), 3) for kl in (0.0, 0.1, 1.0)]
    [0.5, 0.72, 1.0]
    """
    if not _require_number("kl", kl) >= 0:
        raise ValueError(f"kl must be at least 0, got {kl}")
    _require_outcomes(reference, rewards)
    possible = reference > -math.inf
    logs, r = reference[possible].double(), rewards[possible].double()
    best = r == r.max()
    if kl >= -float(logs[best].logsumexp(dim=0)) or bool(best.all()):
        return float(r.max())
    if kl == 0:
        return float((logs.exp() * r).sum())
    scale = float(r.max() - r.min())
    low, high = math.log(1e-6 * scale), math.log(1e6 * scale)  # between which ln β lies
    for _ in range(100):
        middle = (low + high) / 2
        found = trade_off(tilted(logs, r, math.exp(middle)), logs, r)
        low, high = (middle, high) if found.kl > kl else (low, middle)
    return found.reward


def _require_outcomes(reference: Tensor, rewards: Tensor) -> None:
    if getattr(reference, "ndim", 1) != 1:
        raise ValueError(f"reference must be (n,), got shape {tuple(reference.shape)}")
    _require_alike(reference=reference, rewards=rewards)
    _require_sum("reference", reference)
    _require_finite(rewards=rewards)


def _require_sum(name: str, log_probs: Tensor) -> None:
    """Refuse what is not the logarithm of a whole distribution."""
    total = float(log_probs.double().exp().sum())
    if not abs(total - 1) < 1e-4:
        raise ValueError(
            f"{name} must be log-probabilities of all outcomes, which add up to 1; got {total:.6g}"
        )
