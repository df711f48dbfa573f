r"""Batches: the rows that one step of training sees."""

from collections.abc import Iterator, Sequence

import numpy as np

from companion._arguments import _require_flag, _require_int, _require_rng

__all__ = ["batches"]


def batches(
    n: int, size: int, seed: int | Sequence[int] | None = None, drop_last: bool = False
) -> Iterator[np.ndarray]:
    r"""Return the rows of each batch of one pass through n rows.

    Parameters
    ----------
    n : int
        How many rows there are.
    size : int
        How many rows a batch has. The last one may have fewer.
    seed : int or sequence of int, optional
        Shuffles. A pass that sees the order of the pass before learns it, so give each its own:
        ``seed=(0, epoch)``. None takes the rows as they come, which is right for measuring.
    drop_last : bool
        Leave out a last batch that is smaller: its mean would count each row for more.

    Returns
    -------
    iterator of ndarray of int64

    Raises
    ------
    ValueError
        If ``n`` or ``size`` is not above 0, or no batch would be left.

    Examples
    --------
    >>> [batch.tolist() for batch in batches(5, 2)]
    [[0, 1], [2, 3], [4]]
    """
    n, size = _require_int("n", n, least=1), _require_int("size", size, least=1)
    if _require_flag("drop_last", drop_last) and size > n:
        raise ValueError(
            f"size must be at most n, {n}, where the last batch is left out; got {size}"
        )
    order = np.arange(n) if seed is None else _require_rng(seed).permutation(n)
    end = n - n % size if drop_last else n
    return (order[i : min(i + size, end)] for i in range(0, end, size))
