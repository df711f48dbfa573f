r"""Robustness: how small a change of the input changes what a model says.

This file adds: the fast gradient sign method.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_number
from companion._tensors import _require_floats
from companion.evaluation._checks import Number, _require_function
from companion.losses import cross_entropy

__all__ = ["fgsm"]


def fgsm(
    model: Callable[[Tensor], Tensor],
    inputs: Float[Tensor, "*shape"],
    targets: Tensor,
    epsilon: Number,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
    bounds: tuple[Number, Number] | None = (0.0, 1.0),
) -> Float[Tensor, "*shape"]:
    r"""Change each number of the inputs by epsilon, upwards in the loss (Goodfellow et al. 2015).

    .. math:: x + \epsilon \, \text{sign} \, \nabla_x L(f(x), y)

    Of all changes of at most :math:`\epsilon` a number, this one raises the loss most, as far as
    the loss is a straight line.

    Parameters
    ----------
    model : callable
        From inputs to what ``loss`` takes. Neither its weights nor their gradients change; put it
        in the mode (``model.eval()``) in which it will be judged.
    inputs : Tensor, shape (B, ...)
    targets : Tensor
        The right labels. (With what the model itself says, the right labels are not needed.)
    epsilon : float
        At least 0.
    loss : callable
        From outputs and targets to one number.
    bounds : pair of float, optional
        What inputs can be at least and at most: the result is cut off there.

    Returns
    -------
    Tensor
        The shape of ``inputs``, without a graph.

    Raises
    ------
    ValueError
        If ``epsilon`` is below 0, or the loss is not one number.
    TypeError
        If ``inputs`` are no floating-point numbers.

    Examples
    --------
    >>> def model(x):
    ...     return torch.stack([x[:, 0], x[:, 1]], dim=1)
    >>> fgsm(model, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), 0.2)
    tensor([[0.4000, 0.6000]])
    """
    _require_floats(inputs=inputs)
    _require_function("model", model)
    if not _require_number("epsilon", epsilon) >= 0:
        raise ValueError(f"epsilon must be at least 0, got {epsilon}")
    x = inputs.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = loss(model(x), targets)
        if value.numel() != 1:
            raise ValueError(f"loss must give one number, got shape {tuple(value.shape)}")
        (gradient,) = torch.autograd.grad(value, x)
    changed = inputs.detach() + epsilon * gradient.sign()
    return changed if bounds is None else changed.clamp(*bounds)
