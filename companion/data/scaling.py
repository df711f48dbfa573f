r"""Normalisation: numbers of the size that models learn well from."""

from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

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
        If ``high`` is not above ``low``.

    Examples
    --------
    >>> scale(np.array([0, 51, 255], dtype=np.uint8), 0, 255).tolist()
    [0.0, 0.20000000298023224, 1.0]
    >>> scale(torch.tensor([0.0, 127.5, 255.0]), 0, 255, to=(-1, 1))
    tensor([-1.,  0.,  1.])
    """
    if not high > low:
        raise ValueError(f"high must be above low, got {high} and {low}")
    first, last = to
    return _like(x, (_wide(x) - low) / (high - low) * (last - first) + first)


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

    Examples
    --------
    >>> standardizer = Standardizer().fit(np.array([[1.0, 5.0], [3.0, 5.0]]))
    >>> standardizer.transform(np.array([[5.0, 6.0]]))
    array([[3., 1.]])
    """

    def __init__(self, overall: bool = False):
        self.axis = None if overall else 0
        self.mean: np.ndarray | None = None
        self.std: np.ndarray | None = None

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
            If x is empty or not finite.
        """
        values = np.asarray(x, dtype=np.float64)
        if values.size == 0 or not np.isfinite(values).all():
            raise ValueError(f"x must hold finite numbers, got an array of {values.shape}")
        largest = values.max(axis=self.axis)
        constant = largest == values.min(axis=self.axis)
        # A mean of equal numbers need not be that number, to the last bit.
        self.mean = np.where(constant, largest, values.mean(axis=self.axis))
        self.std = np.where(constant, 1.0, values.std(axis=self.axis))
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
            If nothing was fitted.
        """
        mean, std = self._measured(x)
        return _like(x, (_wide(x) - mean) / std)

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
            If nothing was fitted.
        """
        mean, std = self._measured(x)
        return _like(x, _wide(x) * std + mean)

    def _measured(self, x: Any) -> tuple[Any, Any]:
        """Return mean and deviation in the form of x."""
        if self.mean is None or self.std is None:
            raise ValueError("nothing was fitted: call fit on the training part first")
        if isinstance(x, Tensor):
            wide = _wide(x[:0])
            mean, std = (torch.from_numpy(np.asarray(m)) for m in (self.mean, self.std))
            return mean.to(wide), std.to(wide)
        return self.mean, self.std


def _wide(x: Any) -> Any:
    """Return x in float64, in which two large numbers that are near one another differ.

    Cast to float32, the seconds of a whole minute in 2023 would be the same number.
    """
    if isinstance(x, Tensor):
        x = x.cpu() if x.device.type == "mps" else x  # which has no float64
        return x.to(torch.float64)
    return np.asarray(x, dtype=np.float64)


def _like(x: Any, result: Any) -> Any:
    """Return a result in the type of x, or in float32 where x holds whole numbers."""
    if isinstance(x, Tensor):
        return result.to(x.device, x.dtype if x.is_floating_point() else torch.float32)
    kind = x.dtype if np.issubdtype(x.dtype, np.floating) else np.float32
    return np.asarray(result).astype(kind)
