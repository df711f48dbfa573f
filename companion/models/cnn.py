r"""A convolutional network, as LeCun et al. (1998) read digits with.

This file adds: ``conv2d`` (one small linear map, slid over the image), ``max_pool2d``, the layer
``Conv2d``, and ``CNN``, two blocks of both and an MLP at the end.

Shape letters: ``B`` batch, ``C`` channels, ``H`` height, ``W`` width, ``k`` side of the kernel.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from companion._arguments import _require_int
from companion._tensors import _require_floats, _require_sizes, _require_whole
from companion.layers import MLP

__all__ = ["conv2d", "max_pool2d", "Conv2d", "CNN"]


def conv2d(
    x: Float[Tensor, "batch c_in height width"],
    weight: Float[Tensor, "c_out c_in k k"],
    bias: Float[Tensor, " c_out"] | None = None,
    stride: int = 1,
    padding: int = 0,
) -> Float[Tensor, "batch c_out height_out width_out"]:
    r"""Slide a small linear map over images (a cross-correlation, as in every framework).

    .. math:: y_{o,i,j} = b_o + \sum_{c,u,v} W_{o,c,u,v}\, x_{c,\,si+u-p,\,sj+v-p}

    The patches under the kernel are laid out as the columns of one matrix ("unfold"), so that
    the sum is a matrix product. The output is :math:`\lfloor (H + 2p - k)/s \rfloor + 1` high.

    Parameters
    ----------
    x : Tensor, shape (B, C_in, H, W)
    weight : Tensor, shape (C_out, C_in, k, k)
    bias : Tensor, shape (C_out,), optional
    stride : int
        Pixels :math:`s` from one place of the kernel to the next.
    padding : int
        Rows and columns :math:`p` of zeros put around the image.

    Returns
    -------
    Tensor, shape (B, C_out, H_out, W_out)

    Raises
    ------
    ValueError
        If the channels disagree, ``stride`` is below 1, ``padding`` is negative, or the kernel
        is larger than the padded image.

    Examples
    --------
    >>> image = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(image, torch.ones(1, 1, 2, 2)).tolist()
    [[[[8.0, 12.0], [20.0, 24.0]]]]
    """
    _require_images(x)
    _require_kernels(weight, bias)
    k = weight.shape[-1]
    height, width = (_output_size(side, k, stride, padding) for side in x.shape[-2:])
    if x.shape[1] != weight.shape[1]:
        raise ValueError(f"x must have {weight.shape[1]} channels, got shape {tuple(x.shape)}")
    columns = F.unfold(x, k, padding=padding, stride=stride)  # (B, C_in k k, H_out W_out)
    y = weight.flatten(1) @ columns  # (B, C_out, H_out W_out)
    if bias is not None:
        y = y + bias[:, None]
    return y.unflatten(-1, (height, width))


def max_pool2d(
    x: Float[Tensor, "batch channels height width"], size: int = 2
) -> Float[Tensor, "batch channels height_out width_out"]:
    r"""Keep the largest number of each square; rows and columns left over at the end are cut.

    Parameters
    ----------
    x : Tensor, shape (B, C, H, W)
    size : int
        Side of the squares, which do not overlap.

    Returns
    -------
    Tensor, shape (B, C, H // size, W // size)

    Raises
    ------
    ValueError
        If ``size`` is below 1 or larger than the image.

    Examples
    --------
    >>> max_pool2d(torch.arange(16.0).reshape(1, 1, 4, 4)).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """
    _require_images(x)
    _require_whole(size=size)
    height, width = x.shape[-2:]
    if not 1 <= size <= min(height, width):
        raise ValueError(f"size must be from 1 to {min(height, width)}, got {size}")
    rows, columns = height // size, width // size
    squares = x[..., : rows * size, : columns * size]
    squares = squares.unflatten(-1, (columns, size)).unflatten(-3, (rows, size))
    squares = squares.transpose(-3, -2).flatten(-2)  # (B, C, rows, columns, size * size)
    # Of equal numbers one gets the whole gradient, as in PyTorch; `amax` would share it out.
    return squares.max(dim=-1).values


class Conv2d(nn.Module):
    r"""A convolution with its weights; they start as in ``torch.nn.Conv2d``.

    Parameters
    ----------
    c_in, c_out : int
        Channels before and after.
    size : int
        Side k of the kernel.
    stride, padding : int
        As for `conv2d`.

    Raises
    ------
    ValueError
        If a number of channels or the size is below 1.

    Examples
    --------
    >>> Conv2d(1, 16, size=3, padding=1)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 16, 28, 28])
    """

    def __init__(self, c_in: int, c_out: int, size: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        _require_sizes(c_in=c_in, c_out=c_out, size=size)
        _require_steps(stride, padding)
        bound = 1 / math.sqrt(c_in * size * size)
        self.weight = nn.Parameter(torch.empty(c_out, c_in, size, size).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(c_out).uniform_(-bound, bound))
        self.stride, self.padding = stride, padding

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        c_out, c_in, size, _ = self.weight.shape
        settings = f"size={size}, stride={self.stride}, padding={self.padding}"
        return f"c_in={c_in}, c_out={c_out}, {settings}"

    def forward(
        self, x: Float[Tensor, "batch c_in height width"]
    ) -> Float[Tensor, "batch c_out height_out width_out"]:
        """Map (B, C_in, H, W) to (B, C_out, H_out, W_out)."""
        _require_images(x)
        if x.shape[1] != self.weight.shape[1]:
            shape = tuple(x.shape)
            raise ValueError(f"x must have {self.weight.shape[1]} channels, got shape {shape}")
        # PyTorch's own convolution gives what `conv2d` gives, and sooner.
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class CNN(nn.Module):
    r"""Two blocks of convolution, ReLU and pooling, then an MLP: a small LeNet.

    A block looks for patterns in squares of 3 × 3 and halves the image, so the second one's
    patterns are larger things made of the first one's.

    Parameters
    ----------
    image : (int, int, int)
        Channels, height and width of the images.
    channels : (int, int)
        Channels of the two blocks.
    d_hidden : int
        Hidden features of the MLP.
    n_classes : int
    dropout : float
        Probability of dropout in the MLP.

    Raises
    ------
    ValueError
        If the images are too small for two blocks, or a size is below 1.

    Examples
    --------
    >>> CNN()(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        image: tuple[int, int, int] = (1, 28, 28),
        channels: tuple[int, int] = (16, 32),
        d_hidden: int = 128,
        n_classes: int = 10,
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        _require_several("image", image, "channels, height and width", 3)
        _require_several("channels", channels, "channels of each block", 2)
        if min(image[1:]) < 4:
            raise ValueError(f"image must be at least 4 high and wide, to be halved twice: {image}")
        first, second = channels
        self.conv1 = Conv2d(image[0], first, size=3, padding=1)
        self.conv2 = Conv2d(first, second, size=3, padding=1)
        d_flat = second * (image[1] // 4) * (image[2] // 4)
        self.head = MLP((d_flat, d_hidden, n_classes), dropout=dropout)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch n_classes"]:
        """Map images (B, C, H, W), scaled to [0, 1], to logits (B, n_classes)."""
        # PyTorch's own pooling gives what `max_pool2d` gives, and sooner.
        x = F.max_pool2d(F.relu(self.conv1(images)), 2)  # (B, C_1, H/2, W/2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # (B, C_2, H/4, W/4)
        return self.head(x.flatten(1))


def _require_images(x: Tensor) -> None:
    _require_floats(x=x)
    if x.ndim != 4:
        raise ValueError(f"x must be (batch, channels, height, width), got {tuple(x.shape)}")


def _require_kernels(weight: Tensor, bias: Tensor | None) -> None:
    _require_floats(weight=weight)
    if weight.ndim != 4 or weight.shape[-2] != weight.shape[-1]:
        raise ValueError(f"weight must be (c_out, c_in, k, k), got shape {tuple(weight.shape)}")
    if bias is None:
        return
    _require_floats(bias=bias)
    if bias.shape != weight.shape[:1]:  # one number more would make one channel more
        raise ValueError(f"bias must be ({len(weight)},), got shape {tuple(bias.shape)}")


def _require_several(name: str, sizes: Any, what: str, n: int) -> None:
    """Refuse one number where there is one for each of several things."""
    if not isinstance(sizes, Sequence) or isinstance(sizes, str) or len(sizes) != n:
        raise ValueError(f"{name} must be {n} numbers, {what}, got {sizes!r}")
    for size in sizes:
        _require_int(f"each of {name}", size)


def _require_steps(stride: int, padding: int) -> None:
    """Refuse a kernel that does not move on, and padding that would cut the image."""
    _require_whole(stride=stride, padding=padding)
    if stride < 1 or padding < 0:
        raise ValueError(
            f"stride must be at least 1 and padding at least 0, got {stride} and {padding}"
        )


def _output_size(side: int, k: int, stride: int, padding: int) -> int:
    """Return how often a kernel of side k fits."""
    _require_steps(stride, padding)
    if side + 2 * padding < k:
        raise ValueError(f"x must be at least {k} high and wide with its padding, got side {side}")
    return (side + 2 * padding - k) // stride + 1
