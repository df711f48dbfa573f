r"""Changing an image so that its label stays: rotation, scale, crop, reflection.

A geometric change asks, for each pixel of the new image, where in the old one its colour comes
from (`affine_grid`), and mixes the four pixels around that point (`sample_bilinear`). Points are
written as in PyTorch: (x, y), from −1 at the outer edge of the first pixel to 1 at that of the
last one.

Which changes keep the label is for the data to say: a 6 turned upside down is a 9.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from companion._arguments import _require_generator, _require_int, _require_number
from companion._tensors import _require_floats, _require_sizes, _require_tensors, _wide

__all__ = [
    "affine_grid",
    "crop",
    "flip",
    "random_crop",
    "rescale",
    "rotate",
    "sample_bilinear",
]


def affine_grid(
    matrix: Float[Tensor, "*batch 2 3"], height: int, width: int
) -> Float[Tensor, "*batch {height} {width} 2"]:
    r"""Return for each pixel of the new image the point it comes from, :math:`A (x, y, 1)^\top`.

    Parameters
    ----------
    matrix : Tensor, shape (..., 2, 3)
        A, from points of the new image to points of the old one.
    height, width : int
        Of the new image.

    Returns
    -------
    Tensor, shape (..., height, width, 2)
        Points (x, y).

    Raises
    ------
    TypeError
        If ``matrix`` does not hold floating-point numbers.

    Examples
    --------
    >>> same = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    >>> affine_grid(same, 1, 2)
    tensor([[[-0.5000,  0.0000],
             [ 0.5000,  0.0000]]])
    """
    _require_floats(matrix=matrix)
    if matrix.shape[-2:] != (2, 3):
        raise ValueError(f"matrix must be (..., 2, 3), got shape {tuple(matrix.shape)}")
    _require_sizes(height=height, width=width)
    x, y = (
        (2 * torch.arange(n, dtype=matrix.dtype, device=matrix.device) + 1) / n - 1
        for n in (width, height)
    )
    points = torch.stack(
        [x.expand(height, width), y[:, None].expand(height, width), torch.ones_like(x + y[:, None])]
    )  # (3, height, width)
    return torch.einsum("...ij,jhw->...hwi", matrix, points)


def sample_bilinear(
    images: Float[Tensor, "*batch height width"], grid: Float[Tensor, "*points new_h new_w 2"]
) -> Float[Tensor, "*all new_h new_w"]:
    r"""Return the colours at points, each a mean of the four pixels around it.

    At distance :math:`(u, v)` from a pixel, in pixels, it counts for
    :math:`(1 - |u|)(1 - |v|)`. Outside of the image all is 0.

    Parameters
    ----------
    images : Tensor, shape (..., H, W)
    grid : Tensor, shape (..., H', W', 2)
        Points (x, y), for each image or for all of them.

    Returns
    -------
    Tensor, shape (..., H', W')

    Raises
    ------
    ValueError
        If the leading dimensions do not fit each other.
    TypeError
        If ``images`` or ``grid`` do not hold floating-point numbers: `scale` makes some of bytes.

    Examples
    --------
    >>> between = torch.tensor([[[0.0, 0.0]]])
    >>> sample_bilinear(torch.tensor([[1.0, 3.0]]), between)
    tensor([[2.]])
    """
    _require_images(images)
    _require_floats(grid=grid)
    if grid.ndim < 3 or grid.shape[-1] != 2:
        raise ValueError(f"grid must be (..., H', W', 2), got shape {tuple(grid.shape)}")
    height, width = images.shape[-2:]
    # In pixels, the first one's centre being 0. What is further away than one pixel counts for
    # nothing, and 16 bits could not tell the places of a large image apart.
    x = (((_wide(grid[..., 0]) + 1) * width - 1) / 2).clamp(-1, width)
    y = (((_wide(grid[..., 1]) + 1) * height - 1) / 2).clamp(-1, height)
    left, top = x.floor(), y.floor()
    total = torch.zeros((), dtype=x.dtype, device=images.device)
    for row in (top, top + 1):
        for column in (left, left + 1):
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            total = total + weight * _pixels(images, row, column)
    return total.to(images.dtype)


def _pixels(images: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return pixels by number; 0 for those outside."""
    height, width = images.shape[-2:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    # In the image as one row; a product of floats would be off from 16 million pixels on.
    index = row.where(inside, 0).long() * width + column.where(inside, 0).long()
    try:
        batch = np.broadcast_shapes(images.shape[:-2], index.shape[:-2])
    except ValueError:
        shapes = f"{tuple(images.shape)} and {(*index.shape, 2)}"
        raise ValueError(f"grid must be for each image or for all, got shapes {shapes}") from None
    flat = images.flatten(-2).expand(*batch, height * width)
    index = index.expand(*batch, *index.shape[-2:])
    found = flat.gather(-1, index.flatten(-2)).unflatten(-1, index.shape[-2:])
    return found.where(inside, 0)


def _numbers(name: str, value: float | int | Tensor, images: Tensor) -> Tensor:
    """Return one number for all images, or one for each, in a format that tells them apart."""
    if not isinstance(value, Tensor | np.ndarray | Sequence) or isinstance(value, str):
        _require_number(name, value)
    numbers = torch.as_tensor(value, dtype=_wide(images).dtype, device=images.device)
    if not bool(numbers.isfinite().all()):
        raise ValueError(f"{name} must be finite, got {value}")
    return numbers


def _require_sides(images: Tensor) -> None:
    """Refuse what has no height and width."""
    _require_tensors(images=images)
    if images.ndim < 2:
        raise ValueError(f"images must be (..., H, W), got shape {tuple(images.shape)}")


def _require_images(images: Tensor) -> None:
    """Refuse whole numbers: a byte cannot hold what lies between two of them."""
    _require_floats(images=images)
    _require_sides(images)


def rotate(
    images: Float[Tensor, "*batch height width"], degrees: float | int | Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch height width"]:
    r"""Turn images about their centre, against the clock.

    Parameters
    ----------
    images : Tensor, shape (..., H, W)
    degrees : float, or Tensor of shape (...)
        One angle for all, or one for each.

    Returns
    -------
    Tensor, shape (..., H, W)
        0 where nothing is known.

    Raises
    ------
    ValueError
        If an angle is not finite.
    TypeError
        If ``images`` do not hold floating-point numbers: `scale` makes some of bytes.

    Examples
    --------
    >>> rotate(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), 90).round()
    tensor([[2., 4.],
            [1., 3.]])
    """
    _require_images(images)
    height, width = images.shape[-2:]
    angle = _numbers("degrees", degrees, images) * (math.pi / 180)
    sin, cos, zero = angle.sin(), angle.cos(), torch.zeros_like(angle)
    # Points are in units of half the sides, so that those of an oblong image are unequal.
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    matrix = torch.stack(rows, dim=-1).unflatten(-1, (2, 3))
    return sample_bilinear(images, affine_grid(matrix, height, width))


def rescale(
    images: Float[Tensor, "*batch height width"], factor: float | int | Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch height width"]:
    r"""Enlarge what is on images, about their centre; their size stays.

    Parameters
    ----------
    images : Tensor, shape (..., H, W)
    factor : float, or Tensor of shape (...)
        Above 0: 2 makes everything twice as large, 0.5 half as large with 0 around it.

    Returns
    -------
    Tensor, shape (..., H, W)

    Raises
    ------
    ValueError
        If a factor is not above 0, or not finite.
    TypeError
        If ``images`` do not hold floating-point numbers.

    Examples
    --------
    >>> rescale(torch.tensor([[0.0, 1.0, 1.0, 0.0]]), 2.0)
    tensor([[0.7500, 1.0000, 1.0000, 0.7500]])
    """
    _require_images(images)
    size = _numbers("factor", factor, images)
    if not bool((size > 0).all()):
        raise ValueError(f"factor must be above 0, got {factor}")
    zero = torch.zeros_like(size)
    rows = [1 / size, zero, zero, zero, 1 / size, zero]
    matrix = torch.stack(rows, dim=-1).unflatten(-1, (2, 3))
    return sample_bilinear(images, affine_grid(matrix, *images.shape[-2:]))


def crop(
    images: Shaped[Tensor, "*batch h w"], top: int, left: int, height: int, width: int
) -> Shaped[Tensor, "*batch {height} {width}"]:
    r"""Cut the same rectangle out of all images.

    Parameters
    ----------
    images : Tensor, shape (..., H, W)
    top, left : int
        Its first row and column.
    height, width : int

    Returns
    -------
    Tensor, shape (..., height, width)

    Raises
    ------
    ValueError
        If the rectangle is empty or does not lie within the image.

    Examples
    --------
    >>> crop(torch.arange(9).reshape(3, 3), 1, 0, 2, 2)
    tensor([[3, 4],
            [6, 7]])
    """
    top, left = _require_int("top", top), _require_int("left", left)
    height, width = _require_int("height", height), _require_int("width", width)
    _require_sides(images)
    rows, columns = images.shape[-2:]
    if height < 1 or width < 1 or top < 0 or left < 0:
        raise ValueError(f"the rectangle must not be empty, got {(top, left, height, width)}")
    if top + height > rows or left + width > columns:
        raise ValueError(
            f"the rectangle must lie within the image of {rows} × {columns}, got rows "
            f"{top} to {top + height - 1} and columns {left} to {left + width - 1}"
        )
    return images[..., top : top + height, left : left + width]


def random_crop(
    images: Shaped[Tensor, "n h w"],
    height: int,
    width: int,
    generator: torch.Generator,
    padding: int = 0,
) -> Shaped[Tensor, "n {height} {width}"]:
    r"""Cut a rectangle out of each image, its place drawn anew for each.

    Parameters
    ----------
    images : Tensor, shape (n, H, W)
    height, width : int
    generator : torch.Generator
        Where chance comes from: ``torch.Generator().manual_seed(seed)``.
    padding : int
        Rows and columns of 0 that are put around first, so that an image can keep its size and
        only move.

    Returns
    -------
    Tensor, shape (n, height, width)

    Raises
    ------
    ValueError
        If the rectangle is larger than the image.

    Examples
    --------
    >>> generator = torch.Generator().manual_seed(0)
    >>> random_crop(torch.ones(2, 4, 4), 3, 3, generator).shape
    torch.Size([2, 3, 3])
    """
    _require_generator("generator", generator, torch.Generator)
    padding = _require_int("padding", padding, least=0)
    height, width = _require_int("height", height), _require_int("width", width)
    if images.ndim < 3:
        raise ValueError(f"images must be (n, H, W), got shape {tuple(images.shape)}")
    wide = torch.nn.functional.pad(images, (padding,) * 4)
    most_down, most_right = wide.shape[-2] - height, wide.shape[-1] - width
    if min(most_down, most_right) < 0:
        raise ValueError(
            f"height and width must be at most {tuple(wide.shape[-2:])}, got {(height, width)}"
        )
    down = torch.randint(most_down + 1, (len(images),), generator=generator).tolist()
    right = torch.randint(most_right + 1, (len(images),), generator=generator).tolist()
    places = zip(wide, down, right, strict=True)
    cut = [crop(image, top, left, height, width) for image, top, left in places]
    return torch.stack(cut) if cut else wide[:, :height, :width]


def flip(images: Shaped[Tensor, "*batch height width"]) -> Shaped[Tensor, "*batch height width"]:
    r"""Exchange left and right.

    Parameters
    ----------
    images : Tensor, shape (..., H, W)

    Returns
    -------
    Tensor, shape (..., H, W)

    Examples
    --------
    >>> flip(torch.tensor([[1, 2, 3]]))
    tensor([[3, 2, 1]])
    """
    _require_sides(images)
    return images.flip(-1)
