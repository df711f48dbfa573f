r"""Alignment: from what is likely to what is wanted.

This folder adds, first, learning from rewards in its smallest case: a `Bandit` or a
`BernoulliBandit`, the estimate of REINFORCE as the gradient of `reinforce_loss` with its
`baselines`, and what is known of it exactly: `policy_gradient`, `estimator_variance` and
`best_baseline`.
"""

from companion.alignment.bandits import Bandit, BernoulliBandit
from companion.alignment.gradients import (
    baselines,
    best_baseline,
    estimator_variance,
    policy_gradient,
    reinforce_loss,
)

__all__ = [
    "Bandit",
    "BernoulliBandit",
    "baselines",
    "reinforce_loss",
    "policy_gradient",
    "estimator_variance",
    "best_baseline",
]
