r"""Placeholder: say in one sentence what this module computes, and with which source.

This file adds: `line`, a straight line through the origin. Put what the chapter teaches here.

Shape letters: ``n`` numbers.
"""

from jaxtyping import Float
from torch import Tensor

__all__ = ["line"]


def line(x: Float[Tensor, " n"], slope: Float[Tensor, ""]) -> Float[Tensor, " n"]:
    r"""Heights of the line :math:`\hat y = w x`.

    Placeholder: replace it by what your chapter needs.

    Parameters
    ----------
    x : Tensor
        Where to compute it.
    slope : Tensor
        One number, :math:`w`.

    Returns
    -------
    Tensor
        A height for each number.

    Raises
    ------
    ValueError
        If ``x`` is empty.

    Examples
    --------
    >>> import torch
    >>> line(torch.tensor([1.0, 2.0]), torch.tensor(0.5))
    tensor([0.5000, 1.0000])
    """
    if x.numel() == 0:
        raise ValueError("x must hold at least one number, got none")
    return slope * x
