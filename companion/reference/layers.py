r"""Normalisation and positions in NumPy, as their formulas are written."""

import numpy as np

from companion.reference.activations import silu

__all__ = [
    "linear",
    "layer_norm",
    "rms_norm",
    "sinusoidal_positions",
    "apply_rotary",
    "llama3_scaling",
    "alibi_bias",
    "mlp",
    "swiglu",
    "dropout",
    "xavier_std",
    "he_std",
]


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | float = 0.0) -> np.ndarray:
    r""":math:`x W^\top + b` with W of shape (out, in)."""
    return x @ weight.T + bias


def layer_norm(x: np.ndarray, eps: float = 1e-5) -> np.ndarray:
    r""":math:`(x - \mu) / \sqrt{\sigma^2 + \varepsilon}` for each row."""
    mean = x.mean(axis=-1, keepdims=True)
    variance = x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + eps)


def rms_norm(x: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    r""":math:`x / \sqrt{\mathrm{mean}(x^2) + \varepsilon}` for each row."""
    return x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + eps)


def sinusoidal_positions(length: int, d_model: int, base: float = 10_000.0) -> np.ndarray:
    r"""Sine in the even columns, cosine in the odd ones (Vaswani et al. 2017, section 3.5)."""
    table = np.zeros((length, d_model))
    for t in range(length):
        for i in range(0, d_model, 2):
            angle = t / base ** (i / d_model)
            table[t, i], table[t, i + 1] = np.sin(angle), np.cos(angle)
    return table


def apply_rotary(
    x: np.ndarray, base: float = 10_000.0, positions: np.ndarray | None = None
) -> np.ndarray:
    r"""Turn each pair of features of (T, d), read as one complex number, by its angle."""
    length, d = x.shape
    positions = np.arange(length) if positions is None else positions
    pairs = x[:, 0::2] + 1j * x[:, 1::2]
    frequencies = base ** (-np.arange(0, d, 2) / d)
    turned = pairs * np.exp(1j * np.outer(positions, frequencies))
    return np.stack((turned.real, turned.imag), axis=-1).reshape(length, d)


def llama3_scaling(
    frequency: float, factor: float, low: float, high: float, trained_length: int
) -> float:
    r"""Slow one pair down by how many turns it makes in training, as Llama 3.1 does."""
    turns = trained_length * frequency / (2 * np.pi)
    if turns > high:
        return frequency
    if turns < low:
        return frequency / factor
    kept = (turns - low) / (high - low)
    return kept * frequency + (1 - kept) * frequency / factor


def alibi_bias(n_heads: int, n_queries: int, n_keys: int) -> np.ndarray:
    r"""Minus the distance of query and key, times :math:`2^{-8h/H}` for head h (from 1)."""
    bias = np.zeros((n_heads, n_queries, n_keys))
    for h, i, j in np.ndindex(*bias.shape):
        query = n_keys - n_queries + i
        bias[h, i, j] = -(2 ** (-8 * (h + 1) / n_heads)) * abs(query - j)
    return bias


def mlp(x: np.ndarray, weights: list[np.ndarray], biases: list[np.ndarray]) -> np.ndarray:
    r"""Linear maps with ReLU between them, and none after the last."""
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = np.maximum(0.0, linear(x, weight, bias))
    return linear(x, weights[-1], biases[-1])


def swiglu(x: np.ndarray, w_gate: np.ndarray, w_up: np.ndarray, w_down: np.ndarray) -> np.ndarray:
    r""":math:`(\mathrm{SiLU}(x W_g^\top) \odot x W_u^\top)\, W_d^\top`."""
    return (silu(x @ w_gate.T) * (x @ w_up.T)) @ w_down.T


def dropout(x: np.ndarray, keep: np.ndarray, p: float) -> np.ndarray:
    r""":math:`x / (1 - p)` where ``keep`` is true, and 0 elsewhere."""
    return np.where(keep, x / (1 - p), 0.0)


def xavier_std(fan_in: int, fan_out: int, gain: float = 1.0) -> float:
    r"""Return :math:`g\sqrt{2/(n_{in} + n_{out})}` (Glorot and Bengio 2010)."""
    return float(gain * np.sqrt(2.0 / (fan_in + fan_out)))


def he_std(fan_in: int, gain: float = 2.0**0.5) -> float:
    r"""Return :math:`g/\sqrt{n_{in}}`, with :math:`g = \sqrt 2` for ReLU."""
    return float(gain / np.sqrt(fan_in))
