r"""Two ways to say where a token stands.

This file adds: ``sinusoidal_positions``, which are added to the vectors, and ``apply_rotary``,
which turns them.

Shape letters: ``T`` positions, ``D`` features (``d_model``), ``d`` features of one head.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.layers._checks import _require_even, _require_positive

__all__ = ["sinusoidal_positions", "apply_rotary"]


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
