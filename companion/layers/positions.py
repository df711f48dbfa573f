r"""Three ways to say where a token stands.

This file adds: ``sinusoidal_positions``, which are added to the vectors; ``apply_rotary``, which
turns them (``Rotary`` keeps the choices that a model makes about the turning, and
``Llama3Scaling`` is one of them); and ``alibi_bias``, which is added to the scores of attention.

Shape letters: ``B`` batch, ``H`` heads, ``T`` positions, ``D`` features (``d_model``), ``d``
features of one head.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from companion._arguments import _require_number
from companion._tensors import _require_floats, _require_sizes, _require_whole_numbers, _wide
from companion.layers._checks import _require_even

Scaling = Callable[[Tensor], Tensor]
PAIRS = ("neighbours", "halves")

__all__ = ["sinusoidal_positions", "apply_rotary", "Rotary", "Llama3Scaling", "alibi_bias"]


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
        Sets the longest wavelength, :math:`2\pi\,\text{base}^{(D-2)/D}`.

    Returns
    -------
    Tensor, shape (length, d_model), float32

    Raises
    ------
    ValueError
        If a size is below 1, ``d_model`` is odd, or ``base`` is not positive.

    Examples
    --------
    >>> sinusoidal_positions(2, 2)
    tensor([[0.0000, 1.0000],
            [0.8415, 0.5403]])
    """
    _require_sizes(length=length, d_model=d_model)
    _require_even("d_model", d_model)
    _require_base(base)
    angles = _angles(torch.arange(length), d_model, base)  # (T, D/2)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2).float()  # (T, D)


def apply_rotary(
    x: Float[Tensor, "*batch length d"],
    positions: Integer[Tensor, "*sequences length"] | None = None,
    *,
    base: float = 10_000.0,
    pairs: str = "neighbours",
    scaling: Scaling | None = None,
) -> Float[Tensor, "*batch length d"]:
    r"""Rotate queries or keys by their position (Su et al. 2021, eq. 34).

    Features are taken in pairs :math:`(x_{2i}, x_{2i+1})`, and the pair at position
    :math:`t` is turned by the angle :math:`t / \text{base}^{2i/d}`. A rotated query at
    :math:`m` and a rotated key at :math:`n` then have a dot product that depends on the
    positions through :math:`m - n` alone.

    Parameters
    ----------
    x : Tensor, shape (..., T, d)
        Queries or keys of one head; ``d`` is even.
    positions : Tensor of int, shape (T,) or (B, T), optional
        Default 0, 1, …, T−1. With two dimensions, each sequence of the batch, the first
        dimension of ``x``, has positions of its own.
    base : float
    pairs : {"neighbours", "halves"}
        Whether feature :math:`2i` is paired with :math:`2i + 1`, or feature :math:`i` with
        :math:`i + d/2`, as checkpoints of Llama need it that ``transformers`` can read. The two
        are the same map after a permutation of the features.
    scaling : function of a Tensor, optional
        Changes the angles per position, shape (d/2,), such as `Llama3Scaling`.

    Returns
    -------
    Tensor, shape (..., T, d)

    Raises
    ------
    ValueError
        If ``d`` is odd, ``positions`` does not fit ``x``, or an option is none of those.
    TypeError
        If ``positions`` are not whole numbers.

    Examples
    --------
    >>> apply_rotary(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[1.0000, 0.0000],
            [0.5403, 0.8415]])
    """
    _require_rotary(x, base, pairs)
    length, d = x.shape[-2:]
    if positions is None:
        positions = torch.arange(length, device=x.device)
    _require_positions(positions, x)
    angles = _angles(positions, d, base, scaling)  # (T, d/2) or (B, T, d/2)
    if positions.ndim == 2:
        angles = angles.unflatten(0, (-1, *(1 for _ in x.shape[1:-2])))  # (B, 1, …, T, d/2)
    cos, sin = angles.cos().to(_wide(x).dtype), angles.sin().to(_wide(x).dtype)
    shape, axis = ((-1, 2), -1) if pairs == "neighbours" else ((2, -1), -2)
    first, second = _wide(x).unflatten(-1, shape).unbind(axis)  # each (..., T, d/2)
    turned = (first * cos - second * sin, first * sin + second * cos)
    return torch.stack(turned, dim=axis).flatten(-2).to(x.dtype)


@dataclass(frozen=True)
class Rotary:
    r"""How a model turns its queries and keys: `apply_rotary` with its choices made.

    Parameters
    ----------
    base, pairs, scaling
        As for `apply_rotary`.

    Examples
    --------
    >>> turn = Rotary(base=500_000.0, pairs="halves", scaling=Llama3Scaling())
    >>> turn(torch.zeros(1, 2, 5, 8)).shape
    torch.Size([1, 2, 5, 8])
    """

    base: float = 10_000.0
    pairs: str = "neighbours"
    scaling: Scaling | None = None

    def __post_init__(self) -> None:
        _require_base(self.base)
        _require_pairs(self.pairs)

    def __call__(
        self,
        x: Float[Tensor, "*batch length d"],
        positions: Integer[Tensor, "*sequences length"] | None = None,
    ) -> Float[Tensor, "*batch length d"]:
        """Turn queries or keys (..., T, d) by their positions."""
        return apply_rotary(x, positions, base=self.base, pairs=self.pairs, scaling=self.scaling)


@dataclass(frozen=True)
class Llama3Scaling:
    r"""Slow down the pairs that turn slowly, for longer texts (Llama 3.1's configuration).

    A pair that makes more than ``high`` turns within the length of training has seen all of its
    angles and stays as it is. One that makes fewer than ``low`` would meet new angles in a longer
    text: it turns ``factor`` times as slowly. In between the two are blended.

    Parameters
    ----------
    factor : float
        How many times as long the texts may become.
    low, high : float
        Numbers of turns; ``low_freq_factor`` and ``high_freq_factor`` in configuration files.
    trained_length : int
        Positions in training; ``original_max_position_embeddings`` in configuration files.

    Raises
    ------
    ValueError
        If a number is not positive, or ``low`` is not below ``high``.

    Examples
    --------
    >>> Llama3Scaling(factor=8.0)(torch.tensor([1.0, 1e-6]))
    tensor([1.0000e+00, 1.2500e-07])
    """

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    trained_length: int = 8_192

    def __post_init__(self) -> None:
        _require_sizes(trained_length=self.trained_length)
        for name in ("factor", "low", "high"):
            _require_number(name, getattr(self, name))
        if not (self.factor > 0 and 0 < self.low < self.high):
            raise ValueError(
                f"factor must be above 0, and low above 0 and below high; "
                f"got {self.factor}, {self.low} and {self.high}"
            )

    def __call__(self, frequencies: Float[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
        """Return the slower angles per position."""
        turns = self.trained_length * frequencies / (2 * math.pi)
        kept = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return frequencies * (kept + (1 - kept) / self.factor)


def alibi_bias(
    n_heads: int,
    n_queries: int,
    n_keys: int | None = None,
    *,
    device: torch.device | str | None = None,
) -> Float[Tensor, "heads query key"]:
    r"""Attention with linear biases: what is far away gets a lower score (Press et al. 2022).

    .. math:: b_{h,i,j} = -2^{-8h/H}\, |i - j|

    Head 1 looks at what is near, head :math:`H` almost as far as it likes. The bias is an additive
    mask for attention, and hides nothing: a causal model hides what is later besides.

    Parameters
    ----------
    n_heads : int
        :math:`H`. (The authors' program takes other slopes where this is no power of 2.)
    n_queries : int
    n_keys : int, optional
        Default ``n_queries``; the queries are the last positions.
    device : torch.device or str, optional

    Returns
    -------
    Tensor, shape (n_heads, n_queries, n_keys), float32

    Raises
    ------
    ValueError
        If a size is below 1, or there are more queries than keys.

    Examples
    --------
    >>> alibi_bias(2, 1, 3)
    tensor([[[-0.1250, -0.0625, -0.0000]],
    <BLANKLINE>
            [[-0.0078, -0.0039, -0.0000]]])
    """
    n_keys = n_queries if n_keys is None else n_keys
    _require_sizes(n_heads=n_heads, n_queries=n_queries, n_keys=n_keys)
    if n_queries > n_keys:
        raise ValueError(f"n_queries must not exceed n_keys, got {n_queries} and {n_keys}")
    heads = torch.arange(1, n_heads + 1, device=device)
    slopes = 2.0 ** (-8 * heads / n_heads)
    keys = torch.arange(n_keys, device=device)
    queries = keys[n_keys - n_queries :]
    distance = (queries[:, None] - keys).abs()  # (T_q, T_k)
    return -slopes[:, None, None] * distance


def _angles(positions: Tensor, d: int, base: float, scaling: Scaling | None = None) -> Tensor:
    """Return position times frequency, (..., T, d/2), in float64, or in float32 on MPS."""
    precision = torch.float32 if positions.device.type == "mps" else torch.float64
    exponents = torch.arange(0, d, 2, device=positions.device, dtype=precision) / d
    frequencies = base**-exponents
    if scaling is not None:
        frequencies = _scaled(frequencies, scaling)
    return positions.to(precision)[..., None] * frequencies


def _scaled(frequencies: Tensor, scaling: Scaling) -> Tensor:
    """Return other frequencies, one for each pair; a single one would be used for all."""
    if not callable(scaling):
        raise TypeError(f"scaling must be a function of the frequencies, got {scaling!r}")
    found = scaling(frequencies)
    if found.shape != frequencies.shape:
        raise ValueError(
            f"scaling must return one frequency for each of {len(frequencies)} pairs, "
            f"got shape {tuple(found.shape)}"
        )
    return found


def _require_base(base: float) -> None:
    if not _require_number("base", base) > 0:
        raise ValueError(f"base must be above 0, got {base}")
    if math.isinf(base):
        raise ValueError("base must be finite: beside an infinite one only the first pair turns")


def _require_pairs(pairs: str) -> None:
    if pairs not in PAIRS:
        raise ValueError(f"pairs must be one of {PAIRS}, got {pairs!r}")


def _require_rotary(x: Tensor, base: float, pairs: str) -> None:
    _require_floats(x=x)
    if x.ndim < 2:
        raise ValueError(f"x must be (..., T, d), got shape {tuple(x.shape)}")
    _require_even("x's last dimension", x.shape[-1])
    _require_base(base)
    _require_pairs(pairs)


def _require_positions(positions: Tensor, x: Tensor) -> None:
    _require_whole_numbers(positions=positions)
    length = x.shape[-2]
    allowed = [(length,)] + ([(x.shape[0], length)] if x.ndim > 2 else [])
    if tuple(positions.shape) not in allowed:
        raise ValueError(
            f"positions must have one entry for each of the {length} rows of x, shape "
            f"{' or '.join(map(str, allowed))}, got shape {tuple(positions.shape)}"
        )
