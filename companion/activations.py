r"""Activation functions, each with its derivative.

This file adds: the non-linear functions of the book, written so that they neither
overflow nor lose their gradient for inputs as large as ±1000. They work on tensors of any
shape; 16-bit numbers are computed in float32 and rounded at the end. ``*_derivative`` returns
:math:`f'(x)` elementwise, or the Jacobian for softmax and log-softmax, whose outputs depend on
a whole row of inputs.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import threshold

from companion._tensors import _require_floats, _wide

__all__ = [
    "sigmoid",
    "sigmoid_derivative",
    "tanh",
    "tanh_derivative",
    "relu",
    "relu_derivative",
    "gelu",
    "gelu_derivative",
    "silu",
    "silu_derivative",
    "softmax",
    "softmax_derivative",
    "log_softmax",
    "log_softmax_derivative",
]


def _in_float32(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let a function compute 16-bit numbers in float32, and round what it returns back."""

    @functools.wraps(function)
    def rounded(x: Tensor, *args: Any, **options: Any) -> Tensor:
        _require_floats(x=x)
        return function(_wide(x), *args, **options).to(x.dtype)

    return rounded


@_in_float32
def sigmoid(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Logistic sigmoid, :math:`\sigma(x) = 1 / (1 + e^{-x})`.

    Computed as :math:`\exp(-\log(e^0 + e^{-x}))`, whose inner logarithm cannot overflow.

    Parameters
    ----------
    x : Tensor
        Any shape.

    Returns
    -------
    Tensor
        Values in :math:`[0, 1]`, the shape of ``x``.

    Examples
    --------
    >>> sigmoid(torch.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return torch.exp(-torch.logaddexp(torch.zeros_like(x), -x))


@_in_float32
def sigmoid_derivative(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Return the derivative of the sigmoid, :math:`\sigma(x)\,\sigma(-x)`.

    The factor :math:`\sigma(-x)` equals :math:`1 - \sigma(x)` without the cancellation.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        At most 1/4, reached at 0; the shape of ``x``.

    Examples
    --------
    >>> sigmoid_derivative(torch.tensor([0.0]))
    tensor([0.2500])
    """
    return sigmoid(x) * sigmoid(-x)


@_in_float32
def tanh(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Hyperbolic tangent, :math:`(e^x - e^{-x}) / (e^x + e^{-x})`.

    For :math:`x \ge 0` this is :math:`-m / (2 + m)` with :math:`m = e^{-2x} - 1`, which
    stays exact near 0 and finite far away; the other half follows from
    :math:`\tanh(-x) = -\tanh(x)`.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        Values in :math:`[-1, 1]`, the shape of ``x``.

    Examples
    --------
    >>> tanh(torch.tensor([-1000.0, 0.0, 1000.0]))
    tensor([-1.,  0.,  1.])
    """
    return torch.where(x >= 0, _tanh_positive(x), -_tanh_positive(-x))


def _tanh_positive(x: Tensor) -> Tensor:
    m = torch.expm1(-2 * x.clamp(min=0))
    return -m / (2 + m)


@_in_float32
def tanh_derivative(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Return the derivative of tanh, :math:`1 - \tanh^2 x = 4\,\sigma(2x)\,\sigma(-2x)`.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        At most 1, reached at 0; the shape of ``x``.

    Examples
    --------
    >>> tanh_derivative(torch.tensor([0.0]))
    tensor([1.])
    """
    return 4 * sigmoid_derivative(2 * x)


@_in_float32
def relu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Rectified linear unit, :math:`\max(0, x)`.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        The shape of ``x``.

    Examples
    --------
    >>> relu(torch.tensor([-2.0, 3.0]))
    tensor([0., 3.])
    """
    return threshold(x, 0.0, 0.0)  # what is not above 0 becomes 0; NaN stays NaN


@_in_float32
def relu_derivative(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Return the derivative of ReLU: 1 where :math:`x > 0`, else 0 (also at 0, by convention).

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        The shape of ``x``.

    Examples
    --------
    >>> relu_derivative(torch.tensor([-2.0, 0.0, 3.0]))
    tensor([0., 0., 1.])
    """
    return (x > 0).to(x.dtype)


@_in_float32
def gelu(x: Float[Tensor, "*shape"], *, approximate: str = "none") -> Float[Tensor, "*shape"]:
    r"""Gaussian error linear unit, :math:`x\,\Phi(x)` (Hendrycks and Gimpel 2016).

    :math:`\Phi` is the standard normal distribution function. With
    ``approximate="tanh"`` it is replaced by
    :math:`\tfrac12 (1 + \tanh(\sqrt{2/\pi}\,(x + 0.044715\,x^3)))`, as in GPT-2.

    Parameters
    ----------
    x : Tensor
    approximate : {"none", "tanh"}

    Returns
    -------
    Tensor
        The shape of ``x``.

    Raises
    ------
    ValueError
        If ``approximate`` is neither.

    Examples
    --------
    >>> gelu(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate == "none":
        return x * _normal_cdf(x)
    if approximate == "tanh":
        # Beyond ±30 the factor is 0 or 1 in float64 too, and the cube of x may overflow.
        inner = x.clamp(-30, 30)
        return x * sigmoid(2 * math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3))
    raise ValueError(f'approximate must be "none" or "tanh", got {approximate!r}')


def _normal_cdf(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-x / math.sqrt(2))


@_in_float32
def gelu_derivative(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Return the derivative of the exact GELU, :math:`\Phi(x) + x\,\varphi(x)`.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        The shape of ``x``; :math:`\varphi` is the standard normal density.

    Examples
    --------
    >>> gelu_derivative(torch.tensor([0.0]))
    tensor([0.5000])
    """
    density = torch.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return _normal_cdf(x) + x * density


@_in_float32
def silu(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Sigmoid linear unit or swish, :math:`x\,\sigma(x)`.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        The shape of ``x``.

    Examples
    --------
    >>> silu(torch.tensor([0.0, 1000.0]))
    tensor([   0., 1000.])
    """
    return x * sigmoid(x)


@_in_float32
def silu_derivative(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    r"""Return the derivative of SiLU, :math:`\sigma(x)\,(1 + x\,\sigma(-x))`.

    Parameters
    ----------
    x : Tensor

    Returns
    -------
    Tensor
        The shape of ``x``.

    Examples
    --------
    >>> silu_derivative(torch.tensor([0.0]))
    tensor([0.5000])
    """
    return sigmoid(x) * (1 + x * sigmoid(-x))


@_in_float32
def softmax(x: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    r"""Softmax, :math:`e^{x_i} / \sum_j e^{x_j}` along one dimension.

    The largest entry is subtracted first: that changes nothing in exact arithmetic and
    keeps every exponential at or below 1. Entries of :math:`-\infty` get probability 0,
    and a slice that holds nothing else gives zeros (``torch.softmax`` gives NaN): in
    attention, a query that may look at no key then receives the zero vector.

    Parameters
    ----------
    x : Tensor
    dim : int
        The dimension that sums to 1.

    Returns
    -------
    Tensor
        The shape of ``x``.

    Examples
    --------
    >>> softmax(torch.tensor([1000.0, 1000.0, -1000.0]))
    tensor([0.5000, 0.5000, 0.0000])
    """
    largest = x.amax(dim=dim, keepdim=True).detach()
    exponentials = torch.exp(x - largest.masked_fill(largest == -math.inf, 0.0))
    total = exponentials.sum(dim=dim, keepdim=True)
    return exponentials / torch.where(total > 0, total, torch.ones_like(total))


@_in_float32
def softmax_derivative(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n n"]:
    r"""Jacobian of softmax along the last dimension, :math:`p_i (\delta_{ij} - p_j)`.

    Parameters
    ----------
    x : Tensor, shape (..., n)

    Returns
    -------
    Tensor, shape (..., n, n)
        Entry :math:`(i, j)` is :math:`\partial p_i / \partial x_j`.

    Examples
    --------
    >>> softmax_derivative(torch.tensor([0.0, 0.0]))
    tensor([[ 0.2500, -0.2500],
            [-0.2500,  0.2500]])
    """
    p = softmax(x)
    return torch.diag_embed(p) - p[..., :, None] * p[..., None, :]


@_in_float32
def log_softmax(x: Float[Tensor, "*shape"], dim: int = -1) -> Float[Tensor, "*shape"]:
    r"""Logarithm of softmax, :math:`x_i - \log \sum_j e^{x_j}`.

    Parameters
    ----------
    x : Tensor
    dim : int

    Returns
    -------
    Tensor
        The shape of ``x``; finite where softmax itself underflows to 0.

    Examples
    --------
    >>> log_softmax(torch.tensor([0.0, -1000.0]))
    tensor([    0., -1000.])
    """
    shifted = x - x.amax(dim=dim, keepdim=True).detach()
    return shifted - torch.log(torch.exp(shifted).sum(dim=dim, keepdim=True))


@_in_float32
def log_softmax_derivative(x: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch n n"]:
    r"""Jacobian of log-softmax along the last dimension, :math:`\delta_{ij} - p_j`.

    Parameters
    ----------
    x : Tensor, shape (..., n)

    Returns
    -------
    Tensor, shape (..., n, n)
        Entry :math:`(i, j)` is :math:`\partial \log p_i / \partial x_j`.

    Examples
    --------
    >>> log_softmax_derivative(torch.tensor([0.0, 0.0]))
    tensor([[ 0.5000, -0.5000],
            [-0.5000,  0.5000]])
    """
    p = softmax(x)
    return torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) - p[..., None, :]
