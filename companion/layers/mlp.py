r"""The multilayer perceptron: linear maps with a bend between them.

This file adds: ``MLP``.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from companion.activations import relu
from companion.layers.dropout import Dropout
from companion.layers.linear import Linear

__all__ = ["MLP"]


class MLP(nn.Module):
    r"""Linear maps with a non-linear function between each two.

    .. math:: h_0 = x, \qquad h_l = f(h_{l-1} W_l^\top + b_l), \qquad
        \text{logits} = h_{L-1} W_L^\top + b_L

    After the last map comes no function: it gives logits, and the loss knows what to do with
    them. Without :math:`f` the whole would be a single linear map.

    Parameters
    ----------
    sizes : sequence of int
        Features of the input, of each hidden layer, of the output: ``(784, 128, 10)``.
    activation : function
        :math:`f`, of each element.
    dropout : float
        Probability of `Dropout` after each activation.

    Raises
    ------
    ValueError
        If there are fewer than two sizes, or one is below 1.

    Examples
    --------
    >>> import torch
    >>> mlp = MLP((784, 128, 10))
    >>> mlp(torch.zeros(5, 784)).shape, sum(p.numel() for p in mlp.parameters())
    (torch.Size([5, 10]), 101770)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Callable[[Tensor], Tensor] = relu,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(sizes) < 2:
            raise ValueError(f"sizes must hold input and output at least, got {list(sizes)}")
        self.layers = nn.ModuleList(Linear(d_in, d_out) for d_in, d_out in pairwise(sizes))
        self.activation, self.dropout = activation, Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Map (..., sizes[0]) to logits (..., sizes[-1])."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.dropout(self.activation(layer(x)))
        return last(x)
