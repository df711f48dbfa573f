r"""Agreement: whether two people who label the same rows mean the same."""

import numpy as np

from companion.data.keys import Labels, keys
from companion.data.splitting import _sorted

__all__ = ["cohens_kappa", "confusion"]


def confusion(a: Labels, b: Labels) -> np.ndarray:
    r"""Count how often one said i and the other j.

    Parameters
    ----------
    a, b : sequence
        The labels that two annotators gave the same rows. Any that can be sorted.

    Returns
    -------
    ndarray of int64, shape (k, k)
        Row i, column j: ``a`` said the i-th label and ``b`` the j-th, in sorted order.

    Raises
    ------
    ValueError
        If there are no labels, not equally many, or one is NaN.
    TypeError
        If the labels cannot be sorted, as numbers among texts.

    Examples
    --------
    >>> confusion(["no", "yes", "yes"], ["no", "no", "yes"]).tolist()
    [[1, 0], [1, 1]]
    """
    first, second = list(keys(a, "a")), list(keys(b, "b"))
    n = len(first)
    if n != len(second) or not n:
        raise ValueError(f"a and b must be of the same length above 0, got {n} and {len(second)}")
    both = first + second
    labels = _sorted(set(both), "labels")
    k = len(labels)
    number = {label: i for i, label in enumerate(labels)}
    numbers = np.array([number[label] for label in both])
    pairs = numbers[:n] * k + numbers[n:]
    return np.bincount(pairs, minlength=k * k).reshape(k, k)


def cohens_kappa(a: Labels, b: Labels) -> float:
    r"""Agreement beyond chance, :math:`\kappa = \frac{p_o - p_e}{1 - p_e}` (Cohen 1960, eq. 1).

    :math:`p_o` is how often the two agree, and :math:`p_e = \sum_k p_k q_k` how often they would
    if each gave labels at random, as often as now.

    Parameters
    ----------
    a, b : sequence
        The labels that two annotators gave the same rows.

    Returns
    -------
    float
        1 for full agreement, 0 for as much as chance gives; below 0 for less.

    Raises
    ------
    ValueError
        If there are no labels, not equally many, or only one label at all: then
        :math:`p_e = 1`, and there is nothing that chance would not explain.

    Examples
    --------
    >>> round(cohens_kappa([1, 1, 0, 0], [1, 1, 0, 1]), 4)
    0.5
    """
    table = confusion(a, b)
    if len(table) == 1:
        raise ValueError("a and b must use at least two labels between them: kappa is 0 / 0")
    shares = table / table.sum()
    observed = np.trace(shares)
    expected = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return float((observed - expected) / (1 - expected))
