"""What the layers ask of their arguments."""

import math

from torch import Tensor

from companion._arguments import _require_number
from companion._tensors import _require_floats


def _require_even(name: str, size: int) -> None:
    """Refuse a size that cannot be split into pairs."""
    if size % 2:
        raise ValueError(f"{name} must be even, to form pairs; got {size}")


def _require_eps(eps: float) -> None:
    """Refuse a negative epsilon, and an infinite one, beside which every row would be 0."""
    if not 0 <= _require_number("eps", eps) < math.inf:
        raise ValueError(f"eps must be finite and not negative, got {eps}")


def _require_features(x: Tensor, expected: int) -> None:
    """Refuse what is no tensor, or one whose last dimension has another length."""
    _require_floats(x=x)
    if x.ndim == 0 or x.shape[-1] != expected:
        raise ValueError(
            f"x must have {expected} features in its last dimension, got shape {tuple(x.shape)}"
        )
