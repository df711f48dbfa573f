r"""The same in NumPy, obvious and slow. Placeholder: state your chapter's formula here."""

import numpy as np

__all__ = ["line"]


def line(x: np.ndarray, slope: float) -> np.ndarray:
    r""":math:`w x_i` for each number, one after the other."""
    return np.array([slope * value for value in x])
