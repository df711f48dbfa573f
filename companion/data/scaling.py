r"""Normalisation: numbers of the size that models learn well from."""

import math
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from companion._arguments import _require_flag, _require_number

__all__ = ["Standardizer", "scale"]

Array = TypeVar("Array", np.ndarray, Tensor)
Number = int | float


def scale(x: Array, low: Number, high: Number, to: tuple[Number, Number] = (0.0, 1.0)) -> Array:
    r"""Map [low, high] to another interval, :math:`a + \frac{x - l}{h - l} (b - a)`.

    Parameters
    ----------
    x : ndarray or Tensor
        Whole numbers become float32: a byte cannot hold a half, nor less than 0.
    low, high : number
        What x can be at least and at most, such as 0 and 255. Known beforehand, or taken from
        the training part; a value outside lands outside.
    to : pair of numbers
        :math:`(a, b)`, such as (0, 1) or (−1, 1).

    Returns
    -------
    ndarray or Tensor
        As x was.

    Raises
    ------
    ValueError
        If ``high`` is not above ``low``, a bound or the distance of two is not finite, or x has
        masked numbers.
    TypeError
        If x does not hold real numbers, or a bound is none.

    Examples
    --------
    >>> scale(np.array([0, 51, 255], dtype=np.uint8), 0, 255).tolist()
    [0.0, 0.20000000298023224, 1.0]
    >>> scale(torch.tensor([0.0, 127.5, 255.0]), 0, 255, to=(-1, 1))
    tensor([-1.,  0.,  1.])
    """
    low, high = _require_number("low", low), _require_number("high", high)
    first, last = (_require_number("each of to", end) for end in _pair(to))
    if not high > low:
        raise ValueError(f"high must be above low, got {high} and {low}")
    if not all(map(math.isfinite, (low, high, high - low, first, last, last - first))):
        raise ValueError(
            f"the bounds and their distance must be finite, got {(low, high)} and {to}"
        )
    origin = np.array(low) if isinstance(low, int) and -(2**63) <= low < 2**64 else None
    above = _less(x, origin) if origin is not None else _less(x, None) - low
    return _like(x, above / (high - low) * (last - first) + first)


def _pair(to: Any) -> tuple[Number, Number]:
    try:
        first, last = to
    except (TypeError, ValueError):
        raise TypeError(f"to must be two numbers, got {to!r}") from None
    return first, last


class Standardizer:
    r"""Brings each feature to mean 0 and standard deviation 1, :math:`(x - \mu) / \sigma`.

    Fit it on the training part, and on nothing else: a mean over all rows tells the model
    something of the rows it will be judged by.

    Parameters
    ----------
    overall : bool
        One mean and one deviation for all features, as for the pixels of images.

    Attributes
    ----------
    mean, std : ndarray
        Of what it was fitted on, in float64. Where a feature is constant, ``std`` is 1.

    Notes
    -----
    Whole numbers are measured from the first row on: of times in nanoseconds float64 would not
    tell those apart that are less than 256 from one another.

    Examples
    --------
    >>> standardizer = Standardizer().fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> standardizer.transform(np.array([[5.0, 6.0]]))
    array([[3., 1.]])
    """

    def __init__(self, overall: bool = False):
        self.axis = None if _require_flag("overall", overall) else 0
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None
        self._origin: np.ndarray | None = None  # whole numbers from which all is measured
        self._shift: np.ndarray | None = None  # the mean, measured from there

    def __repr__(self) -> str:
        overall = "overall=True" if self.axis is None else ""
        fitted = "" if self.mean is None else f", fitted on features of shape {self.mean.shape}"
        return f"{type(self).__name__}({overall}){fitted}"

    def fit(self, x: np.ndarray | Tensor) -> "Standardizer":
        r"""Measure mean and standard deviation.

        Parameters
        ----------
        x : ndarray or Tensor
            The training part, one row each.

        Returns
        -------
        Standardizer
            Itself.

        Raises
        ------
        ValueError
            If x is empty or not finite, or has masked numbers.
        TypeError
            If x does not hold real numbers.
        """
        numbers = _numbers(x)
        if numbers.size == 0 or not np.isfinite(numbers).all():
            raise ValueError(f"x must hold finite numbers, got an array of {numbers.shape}")
        origin = _first(numbers, self.axis)
        values = _less(numbers, origin)
        largest = values.max(axis=self.axis)
        constant = largest == values.min(axis=self.axis)
        # Squares of very large or small numbers are out of range; in units of a power of 2, which
        # changes no digit, they are not.
        _, exponent = np.frexp(np.abs(values).max(axis=self.axis))
        values = np.ldexp(values, -exponent)
        # A mean of equal numbers need not be that number, to the last bit.
        shift = np.where(constant, largest, np.ldexp(values.mean(axis=self.axis), exponent))
        std = np.ldexp(values.std(axis=self.axis), exponent)
        # The smallest number of all, 5e-324, differs from 0 by a deviation that rounds to 0.
        self.std = np.where(constant | (std == 0), 1.0, std)
        self.mean = shift if origin is None else origin.astype(np.float64) + shift
        self._origin, self._shift = origin, shift
        return self

    def transform(self, x: Array) -> Array:
        r"""Return x with the mean taken off, in units of the standard deviation.

        Parameters
        ----------
        x : ndarray or Tensor

        Returns
        -------
        ndarray or Tensor
            As x was; whole numbers become float32.

        Raises
        ------
        ValueError
            If nothing was fitted, or x has other features.
        TypeError
            If x does not hold real numbers.
        """
        _, std = self._measured(x)
        shift = _beside(self._shift, x)
        return _like(x, (_less(x, self._origin) - shift) / std)

    def inverse(self, x: Array) -> Array:
        r"""Return what `transform` was given.

        Parameters
        ----------
        x : ndarray or Tensor

        Returns
        -------
        ndarray or Tensor

        Raises
        ------
        ValueError
            If nothing was fitted, or x has other features.
        TypeError
            If x does not hold real numbers.
        """
        mean, std = self._measured(x)
        return _like(x, _less(x, None) * std + mean)

    def _measured(self, x: Any) -> tuple[Any, Any]:
        """Return mean and deviation in the form of x."""
        if self.mean is None or self.std is None:
            raise ValueError("nothing was fitted: call fit on the training part first")
        features, shape = self.mean.shape, tuple(np.shape(x))
        if len(shape) < len(features) or shape[len(shape) - len(features) :] != features:
            raise ValueError(f"x must have features of shape {features}, got shape {shape}")
        return _beside(self.mean, x), _beside(self.std, x)


def _numbers(x: Any) -> np.ndarray:
    """Return real numbers as an array."""
    if isinstance(x, Tensor):
        x = (x if x.dtype is torch.int64 else _wide(x)).detach().cpu().numpy()
    if np.ma.is_masked(x):
        raise ValueError("x must not have masked numbers, which would count as any others")
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"x must hold real numbers, got {array.dtype}")
    return array


def _first(numbers: np.ndarray, axis: int | None) -> np.ndarray | None:
    """Return the first row of whole numbers, or the first of all."""
    if numbers.dtype.kind not in "iu":
        return None
    return (numbers.reshape(-1) if axis is None else numbers)[0]


def _less(x: Any, origin: np.ndarray | None) -> Any:
    """Return x − origin in float64, in which two large numbers that are near one another differ.

    Cast to float32, the seconds of a whole minute in 2023 would be the same number. Whole numbers
    are subtracted before they are cast at all.
    """
    if isinstance(x, Tensor) and x.dtype is not torch.int64:
        floats = _wide(x)
        return floats if origin is None else floats - _beside(origin, x)
    numbers = _numbers(x)
    wide: Any = numbers.astype(np.float64)
    if origin is not None:
        wide = wide - origin.astype(np.float64)
        if numbers.dtype.kind in "iu":  # right unless it takes more than 64 bits
            exact = (numbers.astype(np.int64) - origin.astype(np.int64)).astype(np.float64)
            wide = np.where(np.abs(wide) < 2**62, exact, wide)
    return _beside(wide, x)


def _wide(x: Tensor) -> Tensor:
    """Return a tensor in float64; on Apple's GPUs, which have none, on the CPU."""
    if x.is_complex():
        raise TypeError(f"x must hold real numbers, got {x.dtype}")
    return (x.cpu() if x.device.type == "mps" else x).to(torch.float64)


def _beside(measured: Any, x: Any) -> Any:
    """Return an array in the form of x: for a tensor, as a tensor on its device."""
    if not isinstance(x, Tensor):
        return measured
    device = "cpu" if x.device.type == "mps" else x.device
    return torch.from_numpy(np.asarray(measured, dtype=np.float64)).to(device)


def _like(x: Any, result: Any) -> Any:
    """Return a result in the type of x, or in float32 where x holds whole numbers."""
    if isinstance(x, Tensor):
        return result.to(x.device, x.dtype if x.is_floating_point() else torch.float32)
    kind = np.asarray(x).dtype
    return np.asarray(result).astype(kind if kind.kind == "f" else np.float32)
