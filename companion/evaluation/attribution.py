r"""Attribution: which parts of an input a model's answer is due to.

This file adds: integrated gradients, whose parts sum to the whole.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_int
from companion._tensors import _require_floats
from companion.evaluation._checks import _require_function

__all__ = ["Attribution", "integrated_gradients"]


class Attribution(NamedTuple):
    r"""How much each number of an input contributes, and how far the sum is off."""

    parts: Tensor
    """Shape (B, ...): what each number contributes to :math:`f(x) - f(x')`."""
    gap: Tensor
    """Shape (B,): the sum of the parts, less :math:`f(x) - f(x')`: 0 with enough steps."""


def integrated_gradients(
    f: Callable[[Tensor], Tensor],
    inputs: Float[Tensor, "*shape"],
    baseline: Float[Tensor, "*other"] | None = None,
    *,
    n_steps: int = 50,
) -> Attribution:
    r"""Integrate the gradient on the straight line from a baseline to the input.

    .. math:: (x_i - x'_i) \int_0^1 \frac{\partial f(x' + \alpha (x - x'))}{\partial x_i} d\alpha

    The parts sum to :math:`f(x) - f(x')`, which is called completeness (Sundararajan, Taly and
    Yan 2017, eq. 1 and proposition 1). The integral is a sum over the middles of ``n_steps``
    equal steps; if the gap is not small beside :math:`f(x) - f(x')`, take more.

    Parameters
    ----------
    f : callable
        From inputs (B, ...) to one number each (B,), such as the logit of a class, each row by
        itself: no batch normalisation that is in training.
    inputs : Tensor, shape (B, ...)
        For words, their embeddings.
    baseline : Tensor, optional
        An input that says nothing, of the shape of ``inputs`` or of one of them; by default
        zeros. Parts are relative to it: where the input is equal to it, they are 0.
    n_steps : int

    Returns
    -------
    Attribution

    Raises
    ------
    ValueError
        If f does not give one number for each row, the baseline does not fit, or ``n_steps`` is
        below 1.
    TypeError
        If ``inputs`` are no floating-point numbers.

    Examples
    --------
    >>> def f(x):
    ...     return x[:, 0] * x[:, 1]
    >>> integrated_gradients(f, torch.tensor([[2.0, 3.0]])).parts
    tensor([[3., 3.]])
    """
    _require_floats(inputs=inputs)
    _require_function("f", f)
    n_steps = _require_int("n_steps", n_steps, least=1)
    x = inputs.detach()
    start = _baseline(x, baseline)
    total = torch.zeros_like(x)
    for step in range(n_steps):
        alpha = (step + 0.5) / n_steps
        total += _gradient(f, start + alpha * (x - start))
    parts = (x - start) * total / n_steps
    with torch.no_grad():
        change = f(x) - f(start)
    return Attribution(parts, parts.flatten(1).sum(dim=1) - change)


def _gradient(f: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """Return the gradient of each row's number."""
    at = at.detach().requires_grad_(True)
    with torch.enable_grad():
        out = f(at)
        if out.shape != at.shape[:1]:
            raise ValueError(
                f"f must give one number for each of {len(at)} inputs, got shape {tuple(out.shape)}"
            )
        (gradient,) = torch.autograd.grad(out.sum(), at)
    return gradient


def _baseline(x: Tensor, baseline: Tensor | None) -> Tensor:
    if x.ndim < 2:
        raise ValueError(f"inputs must be (batch, ...), got shape {tuple(x.shape)}")
    if baseline is None:
        return torch.zeros_like(x)
    _require_floats(baseline=baseline)
    if baseline.shape not in (x.shape, x.shape[1:]):
        raise ValueError(
            f"baseline must have shape {tuple(x.shape)} or {tuple(x.shape[1:])}, got "
            f"{tuple(baseline.shape)}"
        )
    return baseline.detach().to(x).expand_as(x)
