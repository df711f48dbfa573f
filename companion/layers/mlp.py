r"""Linear maps with a bend between them.

This file adds: ``MLP``, the multilayer perceptron; ``FeedForward``, the two maps that a Transformer
has between its attention layers; and ``SwiGLU``, the gated form of them that most large language
models have today.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from companion._tensors import _require_sizes
from companion.activations import gelu, relu, silu
from companion.layers.dropout import Dropout
from companion.layers.linear import Linear

__all__ = ["MLP", "FeedForward", "SwiGLU"]


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
        *,
        activation: Callable[[Tensor], Tensor] = relu,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _require_chain(sizes, activation)
        self.layers = nn.ModuleList(Linear(d_in, d_out) for d_in, d_out in pairwise(sizes))
        self.activation, self.dropout = activation, Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Map (..., sizes[0]) to logits (..., sizes[-1])."""
        *hidden, last = self.layers
        for layer in hidden:
            x = self.dropout(self.activation(layer(x)))
        return last(x)


def _require_chain(sizes: Sequence[int], activation: Callable[[Tensor], Tensor]) -> None:
    """Refuse what is no row of sizes, and an activation that is no function."""
    if not isinstance(sizes, Sequence) or isinstance(sizes, str):  # a set has no order
        raise TypeError(f"sizes must be a list of sizes, got {sizes!r}")
    if len(sizes) < 2:
        raise ValueError(f"sizes must hold input and output at least, got {list(sizes)}")
    _require_activation(activation)


def _require_activation(activation: Callable[[Tensor], Tensor]) -> None:
    """Refuse an activation that is only named or not yet made."""
    if not callable(activation) or isinstance(activation, type):
        raise TypeError(
            f"activation must be a function of a tensor, such as companion.activations.relu, "
            f"got {activation!r}"
        )


class FeedForward(nn.Module):
    r"""Two linear maps and a function between them, for each position alone (Vaswani et al. 2017).

    .. math:: y = f(x W_1^\top + b_1)\, W_2^\top + b_2

    The original has :math:`f = \mathrm{ReLU}` (section 3.3, eq. 2), GPT and BERT have GELU.

    Parameters
    ----------
    d_model : int
        Features of input and output.
    d_hidden : int, optional
        Features in between. Default ``4 * d_model``.
    activation : function
        :math:`f`, of each element.
    dropout : float
        Probability of `Dropout` after the activation.
    bias : bool
        Whether the maps have a bias.

    Raises
    ------
    TypeError
        If the activation is no function, or the bias neither True nor False.
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> import torch
    >>> FeedForward(8)(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        d_model: int,
        d_hidden: int | None = None,
        *,
        activation: Callable[[Tensor], Tensor] = gelu,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        d_hidden = 4 * d_model if d_hidden is None else d_hidden
        _require_sizes(d_model=d_model, d_hidden=d_hidden)
        _require_activation(activation)
        self.expand = Linear(d_model, d_hidden, bias)
        self.contract = Linear(d_hidden, d_model, bias)
        self.activation, self.dropout = activation, Dropout(dropout)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Map (..., d_model) to (..., d_model)."""
        return self.contract(self.dropout(self.activation(self.expand(x))))


class SwiGLU(nn.Module):
    r"""A feed-forward layer whose hidden features are gated (Shazeer 2020, eq. 6).

    .. math:: y = \big(\mathrm{SiLU}(x W_g^\top) \odot x W_u^\top\big)\, W_d^\top

    Each hidden feature is the product of two linear maps of the input, one of them bent: the gate
    says how much of the other passes. It has three matrices where an MLP has two; models that
    replace one by the other make ``d_hidden`` two thirds as large.

    Parameters
    ----------
    d_model : int
        Features of input and output.
    d_hidden : int
        Features in between.
    bias : bool
        Whether the three maps have a bias.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> import torch
    >>> SwiGLU(8, 24)(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, d_model: int, d_hidden: int, *, bias: bool = False) -> None:
        super().__init__()
        self.w_gate = Linear(d_model, d_hidden, bias)
        self.w_up = Linear(d_model, d_hidden, bias)
        self.w_down = Linear(d_hidden, d_model, bias)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Map (..., d_model) to (..., d_model)."""
        return self.w_down(silu(self.w_gate(x)) * self.w_up(x))
