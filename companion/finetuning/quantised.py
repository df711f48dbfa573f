r"""Weights of 4 bits, as QLoRA keeps those that are not trained (Dettmers et al. 2023).

This file adds: ``nf4_levels``, the 16 numbers that a weight may be; ``quantise_nf4``, which rounds
a matrix block by block, and ``NF4Tensor``, what is then kept of it; ``NF4Linear``, a frozen layer
that keeps its weights so, and ``quantise_linears``, which puts it into a model.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from companion._arguments import _require_flag
from companion._tensors import _require_floats, _require_sizes
from companion.finetuning._targets import ALL, _find_layers, _replace
from companion.layers import Linear
from companion.layers._checks import _require_features

__all__ = ["nf4_levels", "NF4Tensor", "quantise_nf4", "NF4Linear", "quantise_linears"]

#: Of how many blocks the scales are rounded together (section 3, "Double Quantization").
SCALES_TOGETHER = 256
#: What an `NF4Linear` keeps of an `NF4Tensor`.
BUFFERS = ("codes", "scales", "steps", "mean")


def nf4_levels() -> Float[Tensor, "16"]:
    r"""Return the 16 levels of NormalFloat, quantiles of the normal distribution.

    Weights of a trained layer are nearly normal, so between two neighbouring quantiles lie about
    as many weights as between any other two. Seven levels are negative and eight positive, each
    side with quantiles of its own, so that 0 is exactly a level (Dettmers et al. 2023, section 3
    and appendix E). The outermost probability is the mean of :math:`1 - \frac{1}{2 \cdot 15}` and
    :math:`1 - \frac{1}{2 \cdot 16}`, because that of 1 would be infinitely far out.

    Returns
    -------
    Tensor, shape (16,)
        Ascending, from −1 to 1, in float64.

    Examples
    --------
    >>> nf4_levels()[[0, 1, 7, 8, 15]]
    tensor([-1.0000, -0.6962,  0.0000,  0.0796,  1.0000], dtype=torch.float64)
    """
    outer = 1 - (1 / 30 + 1 / 32) / 2
    above = torch.special.ndtri(torch.linspace(0.5, outer, 9, dtype=torch.float64))[1:]
    below = -torch.special.ndtri(torch.linspace(outer, 0.5, 8, dtype=torch.float64))[:-1]
    levels = torch.cat((below, torch.zeros(1, dtype=torch.float64), above))
    return levels / levels[-1]


@cache
def _levels() -> Tensor:
    return nf4_levels()


@dataclass(frozen=True)
class NF4Tensor:
    r"""What is kept of a matrix: a level for each weight, and a scale for each block.

    With double quantisation the scales :math:`c` are kept in 8 bits themselves: as whole numbers
    :math:`n_i` with :math:`c_i \approx m + s\, n_i`, where :math:`m` is the mean of all scales and
    :math:`s` is shared by 256 of them. (The paper rounds them to floats of 8 bits.)
    """

    codes: UInt8[Tensor, " bytes"]
    """Two levels in each byte, the first in its upper four bits."""
    scales: Tensor
    """Largest absolute weight of each block; with double quantisation, whole numbers (int8)."""
    steps: Float[Tensor, " groups"] | None
    """:math:`s`, with double quantisation."""
    mean: Float[Tensor, ""] | None
    """:math:`m`, with double quantisation."""
    shape: torch.Size
    block_size: int
    dtype: torch.dtype
    """Format in which the weights are handed out."""

    @property
    def bits_per_weight(self) -> float:
        """Bits that are kept, divided by the number of weights."""
        kept = (self.codes, self.scales, self.steps, self.mean)
        return 8 * sum(x.nbytes for x in kept if x is not None) / self.shape.numel()

    def absmax(self) -> Float[Tensor, " blocks"]:
        """Return the scale of each block."""
        if self.steps is None or self.mean is None:
            return self.scales
        steps = self.steps.repeat_interleave(SCALES_TOGETHER)[: len(self.scales)]
        return self.mean + steps * self.scales

    def dequantise(self) -> Tensor:
        """Return the rounded weights, in their shape and format."""
        codes = torch.stack((self.codes >> 4, self.codes & 15), dim=-1).flatten()
        absmax = self.absmax()
        levels = _levels().to(self.codes.device, absmax.dtype)[codes.long()]
        blocks = levels.view(-1, self.block_size) * absmax[:, None]
        return blocks.flatten()[: self.shape.numel()].view(self.shape).to(self.dtype)


def quantise_nf4(weight: Tensor, block_size: int = 64, *, double: bool = True) -> NF4Tensor:
    r"""Round weights to 4 bits, block by block.

    .. math:: c_b = \max_{i \in b} |w_i|, \qquad \hat w_i = c_b\, q_{j}, \quad
        j = \arg\min_j |w_i / c_b - q_j|

    Each block has a scale of its own, so one large weight spoils 63 others and no more (Dettmers
    et al. 2023, section 3).

    Parameters
    ----------
    weight : Tensor
        Of any shape; blocks follow one another in its memory, row after row.
    block_size : int
        Weights of one block; even.
    double : bool
        Whether to keep the scales in 8 bits, too.

    Returns
    -------
    NF4Tensor

    Raises
    ------
    ValueError
        If ``weight`` is empty or not finite, or ``block_size`` not even.
    TypeError
        If ``weight`` is no floating-point tensor.

    Examples
    --------
    >>> kept = quantise_nf4(torch.tensor([0.5, -2.0, 0.1, 0.0]), block_size=4, double=False)
    >>> kept.dequantise()
    tensor([ 0.4922, -2.0000,  0.1592,  0.0000])
    """
    _require_weight(weight, block_size, double)
    flat = weight.detach().flatten().to(torch.promote_types(weight.dtype, torch.float32))
    blocks = F.pad(flat, (0, -len(flat) % block_size)).view(-1, block_size)
    absmax = blocks.abs().amax(dim=1)  # (blocks,)
    scales, steps, mean = _rounded(absmax) if double else (absmax, None, None)
    codes = _nearest(blocks / absmax.where(absmax > 0, 1)[:, None]).flatten()
    packed = codes[::2] << 4 | codes[1::2]
    return NF4Tensor(packed, scales, steps, mean, weight.shape, block_size, weight.dtype)


def _nearest(x: Tensor) -> UInt8[Tensor, "blocks size"]:
    """Return which level each number is nearest to; of two equally near, the lower."""
    levels = _levels().to(x)
    return torch.bucketize(x, (levels[1:] + levels[:-1]) / 2).to(torch.uint8)


def _rounded(absmax: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Keep scales in 8 bits: what they differ from their mean by, in steps of each group."""
    mean = absmax.mean()
    off = F.pad(absmax - mean, (0, -len(absmax) % SCALES_TOGETHER)).view(-1, SCALES_TOGETHER)
    steps = off.abs().amax(dim=1) / 127
    whole = (off / steps.where(steps > 0, 1)[:, None]).round().to(torch.int8)
    return whole.flatten()[: len(absmax)], steps, mean


def _require_weight(weight: Any, block_size: int, double: bool) -> None:
    _require_floats(weight=weight)
    _require_sizes(block_size=block_size)
    _require_flag("double", double)
    if block_size % 2:
        raise ValueError(f"block_size must be even, since bytes hold two, got {block_size}")
    if not weight.numel():
        raise ValueError(f"weight must not be empty, got shape {tuple(weight.shape)}")
    if not weight.isfinite().all():
        raise ValueError("weight must be finite, got an infinite number or NaN")


class NF4Linear(nn.Module):
    r"""A linear layer whose weights are kept in 4 bits, and are not trained.

    In each call they are made numbers of the layer's format again, and multiplied with as ever
    (Dettmers et al. 2023, eq. 5). The gradient goes through to :math:`x`, so that what stands
    before the layer, and an adapter beside it, can be trained.

    Parameters
    ----------
    layer : Linear
        Or a ``torch.nn.Linear``. Its weights are rounded; its bias is kept as it is, frozen.
    block_size, double
        As for `quantise_nf4`.

    Raises
    ------
    TypeError
        If ``layer`` is no linear layer.

    Examples
    --------
    >>> layer = NF4Linear(Linear(64, 8))
    >>> layer(torch.zeros(3, 64)).shape, [p.requires_grad for p in layer.parameters()]
    (torch.Size([3, 8]), [False])
    """

    codes: Tensor
    scales: Tensor
    steps: Tensor | None
    mean: Tensor | None

    def __init__(self, layer: nn.Module, block_size: int = 64, *, double: bool = True) -> None:
        super().__init__()
        if not isinstance(layer, (Linear, nn.Linear)):
            raise TypeError(f"layer must be a Linear, got {type(layer).__name__}")
        kept = quantise_nf4(layer.weight, block_size, double=double)
        for name in BUFFERS:
            self.register_buffer(name, getattr(kept, name))
        self.d_out, self.d_in = layer.weight.shape
        self.block_size, self.double_scales, self.dtype = block_size, double, kept.dtype
        bias = layer.bias
        self.bias = None if bias is None else nn.Parameter(bias.detach(), requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The rounded weights, (d_out, d_in), made anew in each call."""
        return self._kept().dequantise()

    def set_weight(self, weight: Float[Tensor, "d_out d_in"]) -> None:
        r"""Round other weights, and keep them in place of the present ones.

        Parameters
        ----------
        weight : Tensor, shape (d_out, d_in)

        Raises
        ------
        ValueError
            If ``weight`` has another shape, or is not finite.
        """
        if weight.shape != (self.d_out, self.d_in):
            raise ValueError(
                f"weight must have shape {(self.d_out, self.d_in)}, got {tuple(weight.shape)}"
            )
        kept = quantise_nf4(weight, self.block_size, double=self.double_scales)
        for name in BUFFERS:
            setattr(self, name, getattr(kept, name))

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        sizes = f"d_in={self.d_in}, d_out={self.d_out}, bias={self.bias is not None}"
        return f"{sizes}, block_size={self.block_size}, double={self.double_scales}"

    def forward(self, x: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Map (..., d_in) to (..., d_out)."""
        _require_features(x, self.d_in)
        return F.linear(x, self.weight.to(x.dtype), self.bias)

    def _kept(self) -> NF4Tensor:
        parts = (self.codes, self.scales, self.steps, self.mean)
        return NF4Tensor(*parts, torch.Size((self.d_out, self.d_in)), self.block_size, self.dtype)


def quantise_linears(
    model: nn.Module, targets: Any = ALL, block_size: int = 64, *, double: bool = True
) -> None:
    r"""Keep the weights of linear layers in 4 bits from now on.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    targets : list of str or "all-linear"
        As for `add_lora`.
    block_size, double
        As for `quantise_nf4`.

    Raises
    ------
    ValueError
        If a target is no linear layer of the model.

    Examples
    --------
    >>> model = nn.ModuleDict({"w_q": Linear(64, 8), "head": Linear(8, 2)})
    >>> quantise_linears(model, ["w_q"])
    >>> [type(layer).__name__ for layer in model.values()]
    ['NF4Linear', 'Linear']
    """
    layers = _find_layers(model, targets, (Linear, nn.Linear))
    _replace(model, layers, lambda layer: NF4Linear(layer, block_size, double=double))
