r"""Activation functions in NumPy, as their formulas are written."""

import math

import numpy as np

__all__ = ["sigmoid", "tanh", "relu", "gelu", "silu", "softmax", "log_softmax"]


def sigmoid(x: np.ndarray) -> np.ndarray:
    r""":math:`1 / (1 + e^{-x})`, through whichever exponential does not overflow."""
    z = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + z), z / (1 + z))


def tanh(x: np.ndarray) -> np.ndarray:
    r""":math:`(1 - e^{-2x}) / (1 + e^{-2x})` for positive x, and its mirror image."""
    z = np.exp(-2 * np.abs(x))
    return np.sign(x) * (1 - z) / (1 + z)


def relu(x: np.ndarray) -> np.ndarray:
    r""":math:`\max(0, x)`."""
    return np.maximum(x, 0.0)


def gelu(x: np.ndarray) -> np.ndarray:
    r""":math:`x \Phi(x)`, with the error function of Python's ``math``."""
    phi = np.vectorize(lambda value: 0.5 * math.erfc(-value / math.sqrt(2)), otypes=[float])
    return x * phi(x)


def silu(x: np.ndarray) -> np.ndarray:
    r""":math:`x \sigma(x)`."""
    return x * sigmoid(x)


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    r""":math:`e^{x_i} / \sum_j e^{x_j}`; a slice of nothing but :math:`-\infty` gives zeros."""
    largest = np.max(x, axis=axis, keepdims=True)
    exponentials = np.exp(x - np.where(np.isneginf(largest), 0.0, largest))
    total = np.sum(exponentials, axis=axis, keepdims=True)
    return np.divide(exponentials, total, out=np.zeros_like(exponentials), where=total > 0)


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    r""":math:`x_i - \log \sum_j e^{x_j}`."""
    largest = np.max(x, axis=axis, keepdims=True)
    return x - largest - np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True))
