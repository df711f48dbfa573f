r"""Alignment by its formulas: one sample, one pair, one token at a time."""

import numpy as np

from companion.reference.activations import softmax

__all__ = ["policy_gradient", "reinforce_gradient"]


def policy_gradient(logits: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    r"""Return :math:`\sum_i \pi_i r_i (e_i - \pi)`, arm by arm."""
    p, total = softmax(logits), np.zeros(len(logits))
    for i in range(len(p)):
        total += p[i] * rewards[i] * (np.eye(len(p))[i] - p)
    return total


def reinforce_gradient(
    logits: np.ndarray, arms: np.ndarray, rewards: np.ndarray, baseline: str
) -> np.ndarray:
    r"""Return the mean of :math:`(r_i - b_i) (e_{a_i} - \pi)` over the samples."""
    p, total, n = softmax(logits), np.zeros(len(logits)), len(arms)
    for i in range(n):
        others = [rewards[j] for j in range(n) if j != i]
        b = {"none": 0.0, "mean": np.mean(rewards)}.get(baseline)
        b = np.mean(others) if b is None else b
        total += (rewards[i] - b) * (np.eye(len(p))[arms[i]] - p)
    return total / n
