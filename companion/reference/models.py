r"""A convolution, pooling, an LSTM, experts and T5's buckets in NumPy, number by number."""

from collections.abc import Callable

import numpy as np

from companion.reference.activations import sigmoid, softmax

__all__ = [
    "conv2d",
    "max_pool2d",
    "lstm_step",
    "lstm",
    "mixture_of_experts",
    "expert_load",
    "balance_loss",
    "relative_bucket",
]

Expert = Callable[[np.ndarray], np.ndarray]


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: int = 1,
    padding: int = 0,
) -> np.ndarray:
    r"""For each place of the kernel, the sum of the products with what lies under it."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    (n, _, height, width), (c_out, _, k, _) = x.shape, weight.shape
    y = np.zeros((n, c_out, (height - k) // stride + 1, (width - k) // stride + 1))
    for b, o, i, j in np.ndindex(*y.shape):
        patch = x[b, :, i * stride : i * stride + k, j * stride : j * stride + k]
        y[b, o, i, j] = np.sum(patch * weight[o]) + (0.0 if bias is None else bias[o])
    return y


def max_pool2d(x: np.ndarray, size: int = 2) -> np.ndarray:
    r"""Return the largest number of each square."""
    n, c, height, width = x.shape
    y = np.zeros((n, c, height // size, width // size))
    for b, o, i, j in np.ndindex(*y.shape):
        y[b, o, i, j] = x[b, o, i * size : (i + 1) * size, j * size : (j + 1) * size].max()
    return y


def lstm_step(
    x: np.ndarray, h: np.ndarray, c: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""One step for one sequence: gates i, f, g, o from ``w x + u h + b``, then c and h."""
    i, f, g, o = np.split(w @ x + u @ h + b, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def lstm(x: np.ndarray, w: np.ndarray, u: np.ndarray, b: np.ndarray) -> np.ndarray:
    r"""Return the states h of (T, D) inputs, from a state of zeros; shape (T, H)."""
    h = c = np.zeros(u.shape[1])
    states = []
    for step in x:
        h, c = lstm_step(step, h, c, w, u, b)
        states.append(h)
    return np.array(states)


def mixture_of_experts(
    x: np.ndarray, w_router: np.ndarray, experts: list[Expert], n_active: int
) -> np.ndarray:
    r"""For each token, the k experts with the largest logits, weighted by a softmax of those.

    ``x`` is (N, D), ``w_router`` (n, D), and an expert maps (D,) to (D,).
    """
    y = np.zeros_like(x)
    for token in range(len(x)):
        logits = w_router @ x[token]
        chosen = np.argsort(-logits)[:n_active]
        for expert, gate in zip(chosen, softmax(logits[chosen]), strict=True):
            y[token] += gate * experts[expert](x[token])
    return y


def expert_load(chosen: np.ndarray, n_experts: int) -> np.ndarray:
    r"""Of (N, k) choices, the share of the N tokens that each expert got."""
    return np.array([np.sum(chosen == i) / len(chosen) for i in range(n_experts)])


def balance_loss(probabilities: np.ndarray, chosen: np.ndarray) -> float:
    r""":math:`n \sum_i f_i P_i` (Fedus et al. 2022, eq. 4) of (N, n) and (N, k)."""
    n_experts = probabilities.shape[1]
    shares = expert_load(chosen, n_experts)
    return float(n_experts * sum(shares[i] * probabilities[:, i].mean() for i in range(n_experts)))


def relative_bucket(
    distance: int, n_buckets: int = 32, max_distance: int = 128, *, causal: bool = False
) -> int:
    r"""T5's bucket of one distance (Raffel et al. 2020, section 2.1), in whole numbers alone.

    Bucket :math:`E + b` begins at the distance :math:`E (M/E)^{b/(N-E)}`; both sides are raised to
    the power of :math:`N - E`, so that no logarithm is rounded.
    """
    n = n_buckets if causal else n_buckets // 2
    later = 0 if causal or distance <= 0 else n
    t, exact = max(-distance, 0) if causal else abs(distance), n // 2
    if t < exact:
        return later + t
    wide = n - exact
    begun = [b for b in range(wide) if t**wide * exact**b >= exact**wide * max_distance**b]
    return later + exact + max(begun)
