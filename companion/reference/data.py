r"""What is done to data, each step in the way in which one would do it on paper."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

__all__ = [
    "shares",
    "scale",
    "standardise",
    "jaccard",
    "near_duplicates",
    "minhash",
    "cohens_kappa",
    "rotate",
    "colour",
]


def shares(n: int, fractions: Sequence[Fraction]) -> list[int]:
    r"""Share out n rows by largest remainders, in exact fractions."""
    parts = [int(n * f) for f in fractions]
    remainders = [n * f - part for f, part in zip(fractions, parts, strict=True)]
    while sum(parts) < n:
        i = remainders.index(max(remainders))
        parts[i] += 1
        remainders[i] -= 1
    return parts


def scale(x: np.ndarray, low: float, high: float, to: tuple[float, float]) -> np.ndarray:
    r""":math:`a + (b - a)(x - l) / (h - l)`, one number at a time."""
    first, last = to
    out = [first + (last - first) * (float(value) - low) / (high - low) for value in x.flat]
    return np.array(out).reshape(x.shape)


def standardise(train: np.ndarray, x: np.ndarray) -> np.ndarray:
    r""":math:`(x - \mu) / \sigma` with the mean and deviation of ``train``, column by column."""
    out = np.empty(x.shape)
    for j in range(x.shape[1]):
        mean = sum(train[:, j]) / len(train)
        deviation = np.sqrt(sum((value - mean) ** 2 for value in train[:, j]) / len(train))
        out[:, j] = (x[:, j] - mean) / deviation
    return out


def jaccard(a: str, b: str, k: int) -> float:
    r"""Share of the pieces of k characters that two texts have in common, counted one by one."""
    pieces = [
        {text[i : i + k] for i in range(len(text)) if i + k <= len(text) or i == 0}
        for text in (a, b)
    ]
    every = sorted(pieces[0] | pieces[1])
    return sum(piece in pieces[0] and piece in pieces[1] for piece in every) / len(every)


def near_duplicates(texts: Sequence[str], threshold: float, k: int) -> list[tuple[int, int, float]]:
    r"""Compare every text with every other one."""
    n = len(texts)
    pairs = [(i, j, jaccard(texts[i], texts[j], k)) for i in range(n) for j in range(i + 1, n)]
    return [pair for pair in pairs if pair[2] >= threshold]


def minhash(numbers: Sequence[int], a: Sequence[int], b: Sequence[int], prime: int) -> list[int]:
    r"""Smallest :math:`(a x + b) \bmod p` over all x, for each a and b, in whole numbers."""
    return [
        min((factor * x + offset) % prime for x in numbers)
        for factor, offset in zip(a, b, strict=True)
    ]


def cohens_kappa(a: Sequence[object], b: Sequence[object]) -> Fraction:
    r""":math:`(p_o - p_e) / (1 - p_e)`, in exact fractions."""
    n = len(a)
    observed = Fraction(sum(x == y for x, y in zip(a, b, strict=True)), n)
    expected = sum(
        (Fraction(sum(x == label for x in a) * sum(y == label for y in b), n * n))
        for label in {*a, *b}
    )
    return (observed - expected) / (1 - expected)


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    r"""Turn an image against the clock: for each pixel, ask where it was, and mix four pixels."""
    height, width = image.shape
    angle = np.deg2rad(degrees)
    out = np.zeros(image.shape)
    for row in range(height):
        for column in range(width):
            up, right = (height - 1) / 2 - row, column - (width - 1) / 2
            was_right = right * np.cos(angle) + up * np.sin(angle)
            was_up = up * np.cos(angle) - right * np.sin(angle)
            out[row, column] = colour(image, (height - 1) / 2 - was_up, (width - 1) / 2 + was_right)
    return out


def colour(image: np.ndarray, row: float, column: float) -> float:
    r"""Colour between pixels: each counts for :math:`(1 - |u|)(1 - |v|)`, those outside are 0."""
    total = 0.0
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            total += max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j)) * image[i, j]
    return total
