r"""The optimisers in NumPy: one array, one step a line, all the steps of a list of gradients.

Each function takes the start (any shape) and the gradients in order, and returns the parameters
after the last of them.
"""

import numpy as np

__all__ = ["sgd", "adam", "orthogonalize", "muon"]


def sgd(theta: np.ndarray, gradients: list, lr: float, momentum: float = 0.0) -> np.ndarray:
    r""":math:`b \leftarrow \mu b + g`, :math:`\theta \leftarrow \theta - \eta b`."""
    b = np.zeros_like(theta)
    for g in gradients:
        b = momentum * b + g
        theta = theta - lr * b
    return theta


def adam(
    theta: np.ndarray,
    gradients: list,
    lr: float,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    eps: float = 1e-8,
    decay: float = 0.0,
) -> np.ndarray:
    r"""Adam with bias correction; ``decay`` is AdamW's, apart from the gradient."""
    m, v = np.zeros_like(theta), np.zeros_like(theta)
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat = m / (1 - beta_1**t)
        v_hat = v / (1 - beta_2**t)
        theta = theta - lr * decay * theta
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + eps)
    return theta


def orthogonalize(matrix: np.ndarray, steps: int = 5) -> np.ndarray:
    r"""Apply the polynomial to each singular value by itself: :math:`U \varphi(S) V^\top`."""
    u, s, v_t = np.linalg.svd(matrix, full_matrices=False)
    s = s / np.sqrt((s**2).sum())
    for _ in range(steps):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return u @ np.diag(s) @ v_t


def muon(
    theta: np.ndarray, gradients: list, lr: float, momentum: float = 0.95, decay: float = 0.1
) -> np.ndarray:
    r"""Momentum looked at from one step ahead, orthogonalised."""
    b = np.zeros_like(theta)
    for g in gradients:
        b = momentum * b + (1 - momentum) * g
        direction = orthogonalize(momentum * b + (1 - momentum) * g)
        scale = np.sqrt(max(1.0, theta.shape[0] / theta.shape[1]))
        theta = theta - lr * decay * theta - lr * scale * direction
    return theta
