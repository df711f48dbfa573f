r"""Changing a sentence so that its label stays: three of the operations of EDA.

Wei & Zou (2019), *EDA: Easy Data Augmentation Techniques*. Theirs inserts and replaces by
synonyms; ours needs no dictionary and inserts words of the sentence itself. Augment the training
part only, and after splitting: a sentence and its variant on two sides are leakage.
"""

import random
from collections.abc import Sequence

__all__ = ["delete_words", "insert_words", "swap_words"]


def swap_words(tokens: Sequence[str], n: int, rng: random.Random) -> list[str]:
    r"""Exchange two words, n times.

    Parameters
    ----------
    tokens : sequence of str
    n : int
    rng : random.Random
        Where chance comes from: ``random.Random(seed)``.

    Returns
    -------
    list of str
        The same words in another order.

    Raises
    ------
    ValueError
        If ``n`` is negative.

    Examples
    --------
    >>> swap_words("not bad at all".split(), 1, random.Random(0))
    ['not', 'all', 'at', 'bad']
    """
    _require_count(n)
    words = list(tokens)
    for _ in range(n if len(words) > 1 else 0):
        i, j = rng.sample(range(len(words)), 2)
        words[i], words[j] = words[j], words[i]
    return words


def delete_words(tokens: Sequence[str], p: float, rng: random.Random) -> list[str]:
    r"""Delete each word with probability p; never all.

    Parameters
    ----------
    tokens : sequence of str
    p : float
        From 0 to 1.
    rng : random.Random

    Returns
    -------
    list of str
        At least one word, if there was one.

    Raises
    ------
    ValueError
        If ``p`` is not a probability.

    Examples
    --------
    >>> delete_words("not bad at all".split(), 0.5, random.Random(1))
    ['bad', 'at']
    """
    if not 0 <= p <= 1:
        raise ValueError(f"p must be from 0 to 1, got {p}")
    kept = [token for token in tokens if rng.random() >= p]
    return kept or [rng.choice(tokens)] if tokens else []


def insert_words(tokens: Sequence[str], n: int, rng: random.Random) -> list[str]:
    r"""Repeat a word of the sentence somewhere else in it, n times.

    Parameters
    ----------
    tokens : sequence of str
    n : int
    rng : random.Random

    Returns
    -------
    list of str
        n words more.

    Raises
    ------
    ValueError
        If ``n`` is negative.

    Examples
    --------
    >>> insert_words("not bad at all".split(), 1, random.Random(0))
    ['not', 'bad', 'at', 'all', 'all']
    """
    _require_count(n)
    words = list(tokens)
    for _ in range(n if tokens else 0):
        words.insert(rng.randint(0, len(words)), rng.choice(tokens))
    return words


def _require_count(n: int) -> None:
    if n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
