r"""How far a policy is from its reference, estimated from samples (Schulman 2020).

This file adds: ``kl_estimates``, three estimates of KL(policy ‖ reference) from samples of the
policy, as ``KLEstimates``.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion.alignment._checks import _require_alike, _require_finite

__all__ = ["KLEstimates", "kl_estimates"]


class KLEstimates(NamedTuple):
    """Three numbers for each sample; their means over many samples estimate the divergence."""

    k1: Float[Tensor, "..."]
    """log π − log π_ref: unbiased, often negative."""
    k2: Float[Tensor, "..."]
    """½ (log π − log π_ref)²: never negative, with a bias."""
    k3: Float[Tensor, "..."]
    """π_ref/π − 1 − log(π_ref/π): never negative, and unbiased."""


def kl_estimates(
    policy: Float[Tensor, "*shape"], reference: Float[Tensor, "*shape"]
) -> KLEstimates:
    r"""Return three estimates of :math:`\mathrm{KL}(\pi \| \pi_\text{ref})` for each sample.

    With :math:`\rho = \pi_\text{ref}/\pi`:

    .. math:: k_1 = -\ln \rho, \qquad k_2 = \tfrac12 (\ln \rho)^2, \qquad k_3 = \rho - 1 - \ln \rho

    To be read off, :math:`k_3` is the best of them near the reference. To be *minimised* they are
    something else, because samples are held fixed: the expected gradient of :math:`k_1` is 0, that
    of :math:`k_2` is the gradient of KL(π ‖ π_ref), and that of :math:`k_3` is the gradient of
    KL(π_ref ‖ π), which is the same only to first order.

    Parameters
    ----------
    policy, reference : Tensor, the same shape
        Log-probabilities of tokens or texts that were drawn from the policy.

    Returns
    -------
    KLEstimates
        Tensors of that shape.

    Raises
    ------
    ValueError
        If shapes differ, nothing is given, or a log-probability is not finite.

    Examples
    --------
    >>> policy, reference = torch.tensor([0.5, 0.25]).log(), torch.tensor([0.25, 0.5]).log()
    >>> kl_estimates(policy, reference).k3
    tensor([0.1931, 0.3069])
    """
    _require_alike(policy=policy, reference=reference)
    _require_finite(policy=policy, reference=reference)
    log_ratio = reference - policy
    return KLEstimates(-log_ratio, log_ratio.square() / 2, torch.expm1(log_ratio) - log_ratio)
