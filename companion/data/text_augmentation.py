r"""Changing a sentence so that its label stays: three of the operations of EDA.

Wei & Zou (2019), *EDA: Easy Data Augmentation Techniques*. Theirs inserts and replaces by
synonyms; ours needs no dictionary and inserts words of the sentence itself. Augment the training
part only, and after splitting: a sentence and its variant on two sides are leakage.
"""

import random
from collections.abc import Sequence

import numpy as np

from companion._arguments import (
    _require_generator,
    _require_int,
    _require_number,
    _require_ordered_texts,
)

__all__ = ["delete_words", "insert_words", "swap_words"]

Rng = np.random.Generator | random.Random


def swap_words(tokens: Sequence[str], n: int, rng: Rng) -> list[str]:
    r"""Exchange two words, n times.

    Parameters
    ----------
    tokens : sequence of str
    n : int
    rng : numpy.random.Generator
        Where chance comes from: ``numpy.random.default_rng(seed)``. Python's ``random.Random``
        does as well.

    Returns
    -------
    list of str
        The same words in another order.

    Raises
    ------
    ValueError
        If ``n`` is negative.
    TypeError
        If ``tokens`` is one text, or has no order, or ``rng`` is a seed.

    Examples
    --------
    >>> swap_words("not bad at all".split(), 1, np.random.default_rng(0))
    ['at', 'bad', 'not', 'all']
    """
    n, words = _require_int("n", n, least=0), _words(tokens, rng)
    for _ in range(n if len(words) > 1 else 0):
        i, j = _below(len(words), rng), _below(len(words) - 1, rng)
        j += j >= i  # each pair of two different places is as likely as any other
        words[i], words[j] = words[j], words[i]
    return words


def delete_words(tokens: Sequence[str], p: float, rng: Rng) -> list[str]:
    r"""Delete each word with probability p; never all.

    Parameters
    ----------
    tokens : sequence of str
    p : float
        From 0 to 1.
    rng : numpy.random.Generator

    Returns
    -------
    list of str
        At least one word, if there was one.

    Raises
    ------
    ValueError
        If ``p`` is not a probability.
    TypeError
        If ``tokens`` is one text, or has no order, or ``rng`` is a seed.

    Examples
    --------
    >>> delete_words("not bad at all".split(), 0.5, np.random.default_rng(1))
    ['not', 'bad', 'all']
    """
    if not 0 <= _require_number("p", p) <= 1:
        raise ValueError(f"p must be from 0 to 1, got {p}")
    words = _words(tokens, rng)
    kept = [word for word in words if rng.random() >= p]
    return kept or [words[_below(len(words), rng)]] if words else []


def insert_words(tokens: Sequence[str], n: int, rng: Rng) -> list[str]:
    r"""Repeat a word of the sentence somewhere else in it, n times.

    Parameters
    ----------
    tokens : sequence of str
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    list of str
        n words more.

    Raises
    ------
    ValueError
        If ``n`` is negative.
    TypeError
        If ``tokens`` is one text, or has no order, or ``rng`` is a seed.

    Examples
    --------
    >>> insert_words("not bad at all".split(), 1, np.random.default_rng(0))
    ['not', 'bad', 'at', 'bad', 'all']
    """
    n, words = _require_int("n", n, least=0), _words(tokens, rng)
    given = list(words)
    for _ in range(n if given else 0):
        words.insert(_below(len(words) + 1, rng), given[_below(len(given), rng)])
    return words


def _words(tokens: Sequence[str], rng: Rng) -> list[str]:
    """Return the words; refuse a text that was not cut, and a seed for a generator."""
    _require_generator("rng", rng, np.random.Generator, random.Random)
    return _require_ordered_texts(tokens, "tokens")


def _below(n: int, rng: Rng) -> int:
    """Draw a whole number from 0 to n − 1."""
    return int(rng.random() * n)
