r"""Direct preference optimisation: a policy learns from comparisons, without a reward model.

This file adds: ``dpo_loss`` (Rafailov et al. 2023), ``ipo_loss`` (Azar et al. 2024), and the
reward that such a policy stands for, ``implicit_rewards``.

All take log-probabilities of whole answers (see `companion.alignment.sequence_log_probs`), by the
policy that is trained, and by the reference, through which no gradient may flow.

Shape letters: ``B`` pairs.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from companion.alignment._checks import (
    _require_above,
    _require_alike,
    _require_finite,
    _require_from,
)

__all__ = ["dpo_loss", "ipo_loss", "implicit_rewards"]

_Pairs = Float[Tensor, " pairs"]


def dpo_loss(
    policy_chosen: _Pairs,
    policy_rejected: _Pairs,
    reference_chosen: _Pairs,
    reference_rejected: _Pairs,
    beta: float = 0.1,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    r"""Return the loss of direct preference optimisation, the mean over pairs.

    .. math:: L = -\ln \sigma(\beta h), \qquad h = \ln \frac{\pi(y_w)}{\pi_\text{ref}(y_w)}
        - \ln \frac{\pi(y_l)}{\pi_\text{ref}(y_l)}

    It is ln 2 while the policy is the reference. With a smoothing of :math:`\varepsilon`, which
    takes each comparison to be wrong with that probability, it is (Mitchell 2023)

    .. math:: -(1 - \varepsilon) \ln \sigma(\beta h) - \varepsilon \ln \sigma(-\beta h)

    Parameters
    ----------
    policy_chosen, policy_rejected, reference_chosen, reference_rejected : Tensor, shape (B,)
        Log-probabilities of the answer that was preferred and of the other one.
    beta : float
        How much leaving the reference costs, above 0.
    label_smoothing : float
        :math:`\varepsilon`, from 0 to 0.5.

    Returns
    -------
    Tensor
        Nats.

    Raises
    ------
    ValueError
        If shapes differ, a log-probability is not finite, or an option is out of range.

    Examples
    --------
    >>> same = torch.tensor([-5.0])
    >>> dpo_loss(same, same - 2, same, same - 2)
    tensor(0.6931)
    """
    beta = _require_above("beta", beta)
    smoothing = _require_from("label_smoothing", label_smoothing, 0.0, 0.5)
    h = _margin(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    right, wrong = F.logsigmoid(beta * h), F.logsigmoid(-beta * h)  # (B,)
    return -((1 - smoothing) * right + smoothing * wrong).mean()


def ipo_loss(
    policy_chosen: _Pairs,
    policy_rejected: _Pairs,
    reference_chosen: _Pairs,
    reference_rejected: _Pairs,
    beta: float = 0.1,
) -> Float[Tensor, ""]:
    r"""Return the loss of identity preference optimisation, :math:`(h - \frac{1}{2\beta})^2`.

    h as in `dpo_loss`, here with a value to be reached: where all comparisons of a pair come out
    the same way, `dpo_loss` has no smallest value, and the policy leaves the reference for good.

    Parameters
    ----------
    policy_chosen, policy_rejected, reference_chosen, reference_rejected : Tensor, shape (B,)
        As for `dpo_loss`. ``trl`` divides each by the number of tokens of its answer.
    beta : float
        Above 0.

    Returns
    -------
    Tensor
        The mean over pairs.

    Raises
    ------
    ValueError
        If shapes differ, a log-probability is not finite, or ``beta`` is not above 0.

    Examples
    --------
    >>> same = torch.tensor([-5.0])
    >>> ipo_loss(same, same - 2, same, same - 2, beta=0.5)
    tensor(1.)
    """
    beta = _require_above("beta", beta)
    h = _margin(policy_chosen, policy_rejected, reference_chosen, reference_rejected)
    return (h - 1 / (2 * beta)).square().mean()


def implicit_rewards(policy: _Pairs, reference: _Pairs, beta: float = 0.1) -> _Pairs:
    r"""Return the reward for which a policy is the best one, :math:`\beta \ln(\pi/\pi_\text{ref})`.

    Up to a number that depends on the prompt alone, which no comparison shows.

    Parameters
    ----------
    policy, reference : Tensor, shape (B,)
        Log-probabilities of answers.
    beta : float
        Above 0.

    Returns
    -------
    Tensor, shape (B,)

    Raises
    ------
    ValueError
        If shapes differ, a log-probability is not finite, or ``beta`` is not above 0.

    Examples
    --------
    >>> implicit_rewards(torch.tensor([-4.0]), torch.tensor([-6.0]), beta=0.5)
    tensor([1.])
    """
    beta = _require_above("beta", beta)
    _require_alike(policy=policy, reference=reference)
    _require_finite(policy=policy, reference=reference)
    return beta * (policy - reference)


def _margin(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Tensor:
    """Return by how much more the policy has moved towards the chosen answer, (B,)."""
    names = ("policy_chosen", "policy_rejected", "reference_chosen", "reference_rejected")
    given = dict(zip(names, (a, b, c, d), strict=True))
    _require_alike(**given)
    _require_finite(**given)
    with torch.no_grad():
        usual = c - d
    return (a - b) - usual
