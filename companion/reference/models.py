r"""A convolution, pooling and an LSTM in NumPy, index by index as their formulas are written."""

import numpy as np

from companion.reference.activations import sigmoid

__all__ = ["conv2d", "max_pool2d", "lstm_step", "lstm"]


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
