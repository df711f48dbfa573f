r"""The layers that attention needs: linear maps, normalisation and positions.

This file adds: ``Linear``, ``Embedding``, ``LayerNorm``, ``RMSNorm``, and two ways to say
where a token stands (``sinusoidal_positions`` and ``apply_rotary``).

Shape letters: ``B`` batch, ``T`` positions, ``D`` features (``d_model``).
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class Linear(nn.Module):
    r"""Affine map of the last dimension, :math:`y = x W^\top + b`.

    The weight is stored as (out, in), as in ``torch.nn.Linear``, so that checkpoints fit.
    Both parameters start uniform in :math:`\pm 1/\sqrt{d_{in}}`.

    Parameters
    ----------
    d_in, d_out : int
        Number of input and output features.
    bias : bool
        Whether to add :math:`b`.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> Linear(4, 2)(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """

    def __init__(self, d_in: int, d_out: int, bias: bool = True) -> None:
        super().__init__()
        _require_positive(d_in=d_in, d_out=d_out)
        bound = 1 / math.sqrt(d_in)
        self.weight = nn.Parameter(torch.empty(d_out, d_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(d_out).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Map (..., d_in) to (..., d_out)."""
        _require_features(x, self.weight.shape[1])
        y = x @ self.weight.T
        return y if self.bias is None else y + self.bias


class Embedding(nn.Module):
    r"""A table of vectors, one row for each token id.

    Looking up row :math:`i` equals multiplying a one-hot vector by the table.

    Parameters
    ----------
    vocab_size : int
        Number of rows.
    d_model : int
        Length of each row.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> Embedding(10, 4)(torch.tensor([[1, 2, 3]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, vocab_size: int, d_model: int) -> None:
        super().__init__()
        _require_positive(vocab_size=vocab_size, d_model=d_model)
        self.weight = nn.Parameter(torch.randn(vocab_size, d_model))

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch d_model"]:
        """Map ids (...) to vectors (..., d_model)."""
        return self.weight[ids]


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

    Raises
    ------
    ValueError
        If ``d_model`` is below 1 or ``eps`` is negative.

    Examples
    --------
    >>> LayerNorm(2, eps=0.0)(torch.tensor([[0.5, 1.5]])).tolist()
    [[-1.0, 1.0]]
    """

    def __init__(self, d_model: int, eps: float = 1e-5) -> None:
        super().__init__()
        _require_positive(d_model=d_model)
        _require_eps(eps)
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalise each row of (..., d_model)."""
        _require_features(x, self.weight.shape[0])
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = (centred**2).mean(dim=-1, keepdim=True)
        return centred / torch.sqrt(variance + self.eps) * self.weight + self.bias


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
        _require_positive(d_model=d_model)
        _require_eps(eps)
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Normalise each row of (..., d_model)."""
        _require_features(x, self.weight.shape[0])
        mean_square = (x**2).mean(dim=-1, keepdim=True)
        return x / torch.sqrt(mean_square + self.eps) * self.weight


def sinusoidal_positions(
    length: int, d_model: int, base: float = 10_000.0
) -> Float[Tensor, "length d_model"]:
    r"""Sinusoidal position vectors (Vaswani et al. 2017, section 3.5).

    .. math::
        P_{t,2i} = \sin(t / \text{base}^{2i/D}), \quad P_{t,2i+1} = \cos(t / \text{base}^{2i/D})

    Parameters
    ----------
    length : int
        Number of positions :math:`T`.
    d_model : int
        Features :math:`D`, an even number.
    base : float
        Sets the longest wavelength, :math:`2\pi\,\text{base}`.

    Returns
    -------
    Tensor, shape (length, d_model), float32

    Raises
    ------
    ValueError
        If a size is below 1 or ``d_model`` is odd.

    Examples
    --------
    >>> sinusoidal_positions(2, 2)
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])
    """
    _require_positive(length=length, d_model=d_model)
    _require_even("d_model", d_model)
    angles = _angles(torch.arange(length), d_model, base)  # (T, D/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).float()  # (T, D)


def apply_rotary(
    x: Float[Tensor, "*batch length d"],
    positions: Int[Tensor, " length"] | None = None,
    base: float = 10_000.0,
) -> Float[Tensor, "*batch length d"]:
    r"""Rotate queries or keys by their position (Su et al. 2021, eq. 34).

    Features are taken in pairs :math:`(x_{2i}, x_{2i+1})`, and the pair at position
    :math:`t` is turned by the angle :math:`t / \text{base}^{2i/d}`. A rotated query at
    :math:`m` and a rotated key at :math:`n` then have a dot product that depends on the
    positions through :math:`m - n` alone. (Some checkpoints pair feature :math:`i` with
    :math:`i + d/2` instead; that is the same map after a permutation of the features.)

    Parameters
    ----------
    x : Tensor, shape (..., T, d)
        Queries or keys of one head; ``d`` is even.
    positions : Tensor of int, shape (T,), optional
        Default 0, 1, …, T−1.
    base : float

    Returns
    -------
    Tensor, shape (..., T, d)

    Raises
    ------
    ValueError
        If ``d`` is odd, or ``positions`` has another length than ``x``.

    Examples
    --------
    >>> apply_rotary(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    length, d = x.shape[-2:]
    _require_even("x's last dimension", d)
    if positions is None:
        positions = torch.arange(length, device=x.device)
    if positions.shape != (length,):
        raise ValueError(
            f"positions must have one entry for each of the {length} rows of x, "
            f"got shape {tuple(positions.shape)}"
        )
    angles = _angles(positions, d, base)  # (T, d/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]  # (..., T, d/2)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


def _angles(positions: Tensor, d: int, base: float) -> Tensor:
    """Return position times frequency, (T, d/2), computed in float64 and kept in it on a CPU."""
    precision = torch.float32 if positions.device.type == "mps" else torch.float64
    exponents = torch.arange(0, d, 2, device=positions.device, dtype=precision) / d
    return positions.to(precision)[:, None] * base**-exponents


def _require_positive(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def _require_even(name: str, size: int) -> None:
    if size % 2:
        raise ValueError(f"{name} must be even, to form pairs; got {size}")


def _require_eps(eps: float) -> None:
    if eps < 0:
        raise ValueError(f"eps must not be negative, got {eps}")


def _require_features(x: Tensor, expected: int) -> None:
    if x.shape[-1] != expected:
        raise ValueError(
            f"x must have {expected} features in its last dimension, got shape {tuple(x.shape)}"
        )
