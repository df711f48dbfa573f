"""What the layers ask of their arguments."""

from torch import Tensor


def _require_positive(**sizes: int) -> None:
    """Refuse a size below 1."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} must be at least 1, got {size}")


def _require_even(name: str, size: int) -> None:
    """Refuse a size that cannot be split into pairs."""
    if size % 2:
        raise ValueError(f"{name} must be even, to form pairs; got {size}")


def _require_eps(eps: float) -> None:
    """Refuse a negative epsilon."""
    if eps < 0:
        raise ValueError(f"eps must not be negative, got {eps}")


def _require_features(x: Tensor, expected: int) -> None:
    """Refuse a tensor whose last dimension has another length."""
    if x.shape[-1] != expected:
        raise ValueError(
            f"x must have {expected} features in its last dimension, got shape {tuple(x.shape)}"
        )
