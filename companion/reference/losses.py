r"""The losses in NumPy: one sample at a time, probabilities written out.

Shape letters: ``N`` samples, ``C`` classes. Natural logarithms.
"""

import numpy as np

from companion.reference.activations import sigmoid, softmax

__all__ = [
    "mse",
    "log_sum_exp",
    "cross_entropy",
    "cross_entropy_gradient",
    "binary_cross_entropy_with_logits",
    "kl_divergence",
    "mlm_loss",
    "info_nce",
]


def mse(prediction: np.ndarray, target: np.ndarray) -> float:
    r""":math:`\frac1N \sum_i (\hat y_i - y_i)^2`."""
    errors = [(p - t) ** 2 for p, t in zip(prediction.ravel(), target.ravel(), strict=True)]
    return sum(errors) / len(errors)


def log_sum_exp(x: np.ndarray) -> float:
    r""":math:`\log \sum_j e^{x_j}` of one row."""
    largest = max(x)
    return largest + np.log(sum(np.exp(value - largest) for value in x))


def cross_entropy(
    logits: np.ndarray,
    targets: np.ndarray,
    label_smoothing: float = 0.0,
    ignore_index: int = -100,
    weight: np.ndarray | None = None,
) -> float:
    r"""Mean of :math:`-\sum_j w_j t_j \log \hat p_j`; logits (N, C), targets (N,), weight (C,)."""
    weight = np.ones(logits.shape[1]) if weight is None else weight
    losses, shares = [], []
    for z, y in zip(logits, targets, strict=True):
        if y == ignore_index:
            continue
        wanted = np.full(len(z), label_smoothing / len(z))
        wanted[y] += 1 - label_smoothing
        terms = zip(weight, wanted, softmax(z), strict=True)
        losses.append(-sum(w * t * np.log(p) for w, t, p in terms))
        shares.append(weight[y])
    return sum(losses) / sum(shares)


def cross_entropy_gradient(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    r"""Softmax minus one-hot, divided by N."""
    return (softmax(logits) - np.eye(logits.shape[1])[targets]) / len(logits)


def binary_cross_entropy_with_logits(logits: np.ndarray, targets: np.ndarray) -> float:
    r"""Mean of :math:`-y \log p - (1 - y) \log(1 - p)` with :math:`p = \sigma(z)`."""
    p = sigmoid(logits)
    return float(np.mean(-targets * np.log(p) - (1 - targets) * np.log(1 - p)))


def kl_divergence(p: np.ndarray, q: np.ndarray) -> float:
    r""":math:`\sum_j p_j \log (p_j / q_j)` of two rows of probabilities; 0 log 0 is 0."""
    return float(sum(a * np.log(a / b) for a, b in zip(p, q, strict=True) if a > 0))


def mlm_loss(logits: np.ndarray, tokens: np.ndarray, masked: np.ndarray) -> float:
    r"""Mean of :math:`-\log \hat p(x_i \mid \tilde x)` over the masked positions; logits (T, V)."""
    p = softmax(logits)
    return float(np.mean([-np.log(p[i, tokens[i]]) for i in np.flatnonzero(masked)]))


def info_nce(queries: np.ndarray, keys: np.ndarray, temperature: float = 0.07) -> float:
    r"""Each query against all keys, by cosine similarity; both (n, d)."""
    losses = []
    for i, query in enumerate(queries):
        cosines = [query @ key / np.linalg.norm(query) / np.linalg.norm(key) for key in keys]
        losses.append(-np.log(softmax(np.array(cosines) / temperature)[i]))
    return sum(losses) / len(losses)
