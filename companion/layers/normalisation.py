r"""Normalisation: each row of features brought to a common scale.

This file adds: ``LayerNorm`` and ``RMSNorm``. Both compute 16-bit numbers in float32: the square
of 300 is already too large for float16. A row whose squares would be too large even there is
divided by a number first, which leaves the result what it was.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion._arguments import _require_flag
from companion._tensors import _in_range, _require_sizes, _wide
from companion.layers._checks import _require_eps, _require_features

__all__ = ["LayerNorm", "RMSNorm"]


class LayerNorm(nn.Module):
    r"""Layer normalisation over the last dimension (Ba, Kiros and Hinton 2016, eq. 3).

    .. math:: y = \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} \odot g + b

    with mean :math:`\mu` and (biased) variance :math:`\sigma^2` of the row itself.

    Parameters
    ----------
    d_model : int
        Length of a row.
    eps : float
        Added to the variance; it keeps a constant row finite.
    bias : bool
        Whether to add :math:`b`.

    Raises
    ------
    ValueError
        If ``d_model`` is below 1 or ``eps`` is negative.

    Examples
    --------
    >>> LayerNorm(2, eps=0.0)(torch.tensor([[0.5, 1.5]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, d_model: int, eps: float = 1e-5, *, bias: bool = True) -> None:
        super().__init__()
        _require_sizes(d_model=d_model)
        _require_eps(eps)
        _require_flag("bias", bias)
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None
        self.eps = eps

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"d_model={len(self.weight)}, eps={self.eps}, bias={self.bias is not None}"

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalise each row of (..., d_model)."""
        _require_features(x, self.weight.shape[0])
        rows, weight = _in_range(_wide(x)), _wide(self.weight)
        bias = None if self.bias is None else _wide(self.bias)
        # What `(rows - mean) / sqrt(variance + eps) * weight + bias` gives, in one pass.
        return F.layer_norm(rows, weight.shape, weight, bias, self.eps).to(x.dtype)


class RMSNorm(nn.Module):
    r"""Root-mean-square normalisation (Zhang and Sennrich 2019, eq. 4).

    .. math:: y = \frac{x}{\sqrt{\tfrac1D \sum_i x_i^2 + \varepsilon}} \odot g

    LayerNorm without the mean and without the shift.

    Parameters
    ----------
    d_model : int
        Length of a row.
    eps : float
        Added to the mean square.

    Raises
    ------
    ValueError
        If ``d_model`` is below 1 or ``eps`` is negative.

    Examples
    --------
    >>> RMSNorm(2, eps=0.0)(torch.tensor([[3.0, 3.0]])).tolist()
    [[1.0, 1.0]]
    """

    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        _require_sizes(d_model=d_model)
        _require_eps(eps)
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"d_model={len(self.weight)}, eps={self.eps}"

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalise each row of (..., d_model)."""
        _require_features(x, self.weight.shape[0])
        rows = _in_range(_wide(x))
        mean_square = (rows**2).mean(dim=-1, keepdim=True)
        return (rows / torch.sqrt(mean_square + self.eps) * self.weight).to(x.dtype)
