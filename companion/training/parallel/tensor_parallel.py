r"""Tensor parallelism: every layer is cut, and each process computes its part of it.

This file adds: a linear map cut by its outputs (column-parallel) or by its inputs
(row-parallel), and the two operations that make a whole of the parts (Shoeybi et al. 2019,
"Megatron-LM", section 3).

The paper writes :math:`Y = XA`; our weights are stored as (out, in), so a column of :math:`A` is a
row of ``weight``. In each layer the first maps are cut by outputs and the last one by inputs: the
hidden features, or the heads, of one process never leave it. Every process gets the same
input, and the outputs are added up: one all-reduce for each layer forward, and one backward.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.layers import Linear
from companion.training.parallel.communicator import Communicator

__all__ = [
    "copy_to_all",
    "sum_over_all",
    "column_parallel",
    "row_parallel",
    "TensorParallel",
]


class _CopyToAll(torch.autograd.Function):
    """The paper's f: identity forward, all-reduce backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, communicator: Communicator) -> Tensor:
        ctx.communicator = communicator
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # each process knows what its part asks for
        return ctx.communicator.all_reduce(gradients[0]), None


class _SumOverAll(torch.autograd.Function):
    """The paper's g: all-reduce forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, communicator: Communicator) -> Tensor:
        return communicator.all_reduce(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:  # everyone has the whole gradient already
        return gradients[0], None


def copy_to_all(
    x: Float[Tensor, "*batch d_model"], communicator: Communicator
) -> Float[Tensor, "*batch d_model"]:
    r"""Return ``x``, which all processes have; its gradient is the sum of all of theirs.

    The paper's :math:`f`.

    Parameters
    ----------
    x : Tensor, shape (..., D)
    communicator : Communicator

    Returns
    -------
    Tensor, shape (..., D)

    Examples
    --------
    >>> copy_to_all(torch.ones(2), Communicator([0], 0))
    tensor([1., 1.])
    """
    return _CopyToAll.apply(x, communicator)


def sum_over_all(
    x: Float[Tensor, "*batch d_model"], communicator: Communicator
) -> Float[Tensor, "*batch d_model"]:
    r"""Return the sum of what all processes have; each part has the gradient of the sum.

    The paper's :math:`g`.

    Parameters
    ----------
    x : Tensor, shape (..., D)
    communicator : Communicator

    Returns
    -------
    Tensor, shape (..., D)

    Examples
    --------
    >>> sum_over_all(torch.ones(2), Communicator([0], 0))
    tensor([1., 1.])
    """
    return _SumOverAll.apply(x, communicator)


def column_parallel(linear: Linear, communicator: Communicator) -> Linear:
    r"""Return the part of a linear map that computes this process's share of the outputs.

    Parameters
    ----------
    linear : Linear
        From :math:`d_{in}` to :math:`d_{out}`. It is copied, and left as it is.
    communicator : Communicator

    Returns
    -------
    Linear
        From :math:`d_{in}` to :math:`d_{out}/n`, with its share of the bias.

    Raises
    ------
    ValueError
        If the number of processes does not divide :math:`d_{out}`.

    Examples
    --------
    >>> column_parallel(Linear(8, 6), Communicator([0, 1], 0))
    Linear(d_in=8, d_out=3, bias=True)
    """
    bias = None if linear.bias is None else _share(linear.bias, 0, "d_out", communicator)
    return _linear(_share(linear.weight, 0, "d_out", communicator), bias)


def row_parallel(linear: Linear, communicator: Communicator) -> Linear:
    r"""Return the part of a linear map that treats this process's share of the inputs.

    Parameters
    ----------
    linear : Linear
        From :math:`d_{in}` to :math:`d_{out}`. It is copied, and left as it is.
    communicator : Communicator

    Returns
    -------
    Linear
        From :math:`d_{in}/n` to :math:`d_{out}`, without a bias: that must be added once, after
        the sum over all processes.

    Raises
    ------
    ValueError
        If the number of processes does not divide :math:`d_{in}`.

    Examples
    --------
    >>> row_parallel(Linear(8, 6), Communicator([0, 1], 0))
    Linear(d_in=4, d_out=6, bias=False)
    """
    return _linear(_share(linear.weight, 1, "d_in", communicator), None)


class TensorParallel(nn.Module):
    r"""One process's part of an attention or feed-forward layer, and what makes a whole of it.

    .. math:: y = g\big(\mathrm{part}(f(x))\big) + b

    Parameters
    ----------
    part : nn.Module
        Its first maps are cut by `column_parallel` and its last one by `row_parallel`.
    bias : Tensor, optional
        Of the last map, shape (D,); every process has the whole of it, and gets its whole gradient.
    communicator : Communicator

    Examples
    --------
    >>> TensorParallel(Linear(8, 8, bias=False), None, Communicator([0], 0))(torch.ones(2, 8)).shape
    torch.Size([2, 8])
    """

    def __init__(self, part: nn.Module, bias: Tensor | None, communicator: Communicator) -> None:
        super().__init__()
        self.part, self.communicator = part, communicator
        self.bias = None if bias is None else nn.Parameter(bias.detach().clone())

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"bias={self.bias is not None}"

    def forward(
        self, x: Float[Tensor, "*batch d_model"], **options: Any
    ) -> Float[Tensor, "*batch d_model"]:
        """Map (..., D) to (..., D); ``options`` are passed on to the part."""
        if options.get("return_weights"):
            raise ValueError("return_weights must be False: a process has only its own heads")
        y = self.part(copy_to_all(x, self.communicator), **options)  # this process's share
        y = sum_over_all(y, self.communicator)
        return y if self.bias is None else y + self.bias


def _share(whole: Tensor, dim: int, name: str, communicator: Communicator) -> Tensor:
    """Return this process's part of a parameter, cut along one dimension."""
    length = _divided(whole.shape[dim], name, communicator)
    return whole.detach().narrow(dim, communicator.rank * length, length)


def _divided(number: int, name: str, communicator: Communicator) -> int:
    if number % communicator.size:
        raise ValueError(f"{name} must be divisible by {communicator.size} processes, got {number}")
    return number // communicator.size


def _linear(weight: Tensor, bias: Tensor | None) -> Linear:
    """Make a layer of copies of these parameters."""
    linear = Linear(weight.shape[1], weight.shape[0], bias is not None)
    linear.weight = nn.Parameter(weight.clone())
    linear.bias = None if bias is None else nn.Parameter(bias.clone())
    return linear
