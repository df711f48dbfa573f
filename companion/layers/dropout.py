r"""Dropout: a network that cannot rely on any one of its units.

This file adds: ``Dropout``.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion._arguments import _require_generator, _require_number
from companion._tensors import _require_floats

__all__ = ["Dropout"]


class Dropout(nn.Module):
    r"""Set each number to 0 with probability p while training (Srivastava et al. 2014).

    .. math:: y_i = \frac{k_i x_i}{1 - p}, \qquad k_i \sim \mathrm{Bernoulli}(1 - p)

    The factor :math:`1/(1-p)` keeps the mean of each number what it was, so that nothing is left
    to do when the network is used: in evaluation mode the layer changes nothing ("inverted"
    dropout). It is not :math:`1/p`; the two agree only at p = 0.5.

    Parameters
    ----------
    p : float
        Probability of 0, from 0 to below 1.
    generator : torch.Generator, optional
        Where the chances come from; the global one by default.

    Raises
    ------
    ValueError
        If ``p`` is out of range.
    TypeError
        If ``generator`` is none.

    Examples
    --------
    >>> drop = Dropout(0.2, generator=torch.Generator().manual_seed(1))
    >>> drop(torch.ones(5))
    tensor([1.2500, 1.2500, 1.2500, 1.2500, 0.0000])
    >>> drop.eval()(torch.ones(5))
    tensor([1., 1., 1., 1., 1.])
    """

    def __init__(self, p: float = 0.5, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if not 0 <= _require_number("p", p) < 1:
            raise ValueError(f"p must be from 0 to below 1, got {p}")
        _require_generator("generator", generator, torch.Generator, type(None))
        self.p, self.generator = p, generator

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"p={self.p}"

    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Drop numbers at random, or in evaluation mode none."""
        if not (isinstance(x, Tensor) and x.is_floating_point()):  # in most calls it is
            _require_floats(x=x)
        if not self.training or self.p == 0:
            return x
        chances = torch.rand(x.shape, generator=self.generator, device=x.device)
        return x * (chances >= self.p) / (1 - self.p)
