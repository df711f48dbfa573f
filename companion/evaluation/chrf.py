r"""chrF: BLEU's idea with characters, as an F-score, which needs no tokeniser.

This file adds: chrF, and chrF++ with words, of a corpus and of a sentence, equal to sacrebleu:
what is judged comes first.
"""

import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from companion._arguments import _require_int, _require_number, _require_text
from companion.evaluation._checks import Number
from companion.evaluation.bleu import _texts, ngrams

__all__ = ["corpus_chrf", "sentence_chrf"]


def corpus_chrf(
    hypotheses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: Number = 2.0,
    lowercase: bool = False,
) -> float:
    r"""Character n-gram F-score of a corpus (Popović 2015).

    .. math:: \text{chrF} = 100 \cdot \frac{(1 + \beta^2) P R}{\beta^2 P + R}

    where precision P and recall R are means over the orders from 1 to ``char_order`` (and, for
    words, to ``word_order``) of what n-grams have in common, white space left out. Recall counts
    :math:`\beta^2` times as much as precision. Orders that one side is too short for are left
    out.

    Parameters
    ----------
    hypotheses : list of str
    references : list of str, or of lists of str
        For each hypothesis a text, or several, of which the one counts that gives it the best
        score.
    char_order : int
    word_order : int
        2 for chrF++ (Popović 2017).
    beta : float
        Above 0.
    lowercase : bool

    Returns
    -------
    float
        From 0 to 100.

    Raises
    ------
    ValueError
        If the lengths differ, there are no hypotheses, one has no reference, or a setting is out
        of range.
    TypeError
        If a hypothesis or reference is no text.

    Examples
    --------
    >>> round(corpus_chrf(["the cat sat on the mat"], ["the cat is on the mat"]), 2)
    64.58
    """
    orders = (
        _require_int("char_order", char_order, least=1),
        _require_int("word_order", word_order, least=0),
    )
    if not _require_number("beta", beta) > 0:
        raise ValueError(f"beta must be above 0, got {beta}")
    counts = [
        _best(_grams(hypothesis, *orders), [_grams(text, *orders) for text in texts], beta)
        for hypothesis, texts in _texts(hypotheses, references, lowercase)
    ]
    return _f_score(np.sum(counts, axis=0), beta)


def sentence_chrf(
    hypothesis: str,
    references: str | Sequence[str],
    *,
    char_order: int = 6,
    word_order: int = 0,
    beta: Number = 2.0,
    lowercase: bool = False,
) -> float:
    r"""Character n-gram F-score of one sentence.

    Parameters
    ----------
    hypothesis : str
    references : str, or list of str
    char_order, word_order : int
        As for `corpus_chrf`, like all that follows.
    beta : float
    lowercase : bool

    Returns
    -------
    float
        From 0 to 100.

    Raises
    ------
    ValueError
        If there is no reference, or a setting is out of range.
    TypeError
        If the hypothesis or a reference is no text.

    Examples
    --------
    >>> round(sentence_chrf("今天天气好", "今天天气很好"), 2)
    47.45
    """
    return corpus_chrf(
        [_require_text(hypothesis, "hypothesis")],
        [references],
        char_order=char_order,
        word_order=word_order,
        beta=beta,
        lowercase=lowercase,
    )


def _grams(text: str, char_order: int, word_order: int) -> list[Counter[tuple[Any, ...]]]:
    """Return the n-grams of characters, then those of words, by order."""
    characters, words = "".join(text.split()), _words(text)
    return [
        *(ngrams(characters, n) for n in range(1, char_order + 1)),
        *(ngrams(words, n) for n in range(1, word_order + 1)),
    ]


def _words(text: str) -> list[str]:
    """Return the words; one mark of punctuation at the end, or else at the beginning, is one."""
    words: list[str] = []
    for word in text.split():
        if len(word) > 1 and word[-1] in string.punctuation:
            words += [word[:-1], word[-1]]
        elif len(word) > 1 and word[0] in string.punctuation:
            words += [word[0], word[1:]]
        else:
            words.append(word)
    return words


def _best(
    mine: list[Counter[tuple[Any, ...]]],
    references: list[list[Counter[tuple[Any, ...]]]],
    beta: Number,
) -> np.ndarray:
    """Return the counts with the reference that gives the best score, of each order."""
    candidates = [
        np.array([_counts(a, b) for a, b in zip(mine, other, strict=True)]) for other in references
    ]
    return max(candidates, key=lambda counts: _f_score(counts, beta))


def _counts(mine: Counter[tuple[Any, ...]], other: Counter[tuple[Any, ...]]) -> tuple[int, ...]:
    """Return how many n-grams the hypothesis and the reference have, and have in common."""
    return (mine.total() if other else 0), other.total(), (mine & other).total()


def _f_score(counts: np.ndarray, beta: Number) -> float:
    """Return the F-score of the mean precision and the mean recall; counts (orders, 3)."""
    mine, other, common = counts[(counts[:, :2] > 0).all(axis=1)].T
    if not common.any():
        return 0.0
    precision, recall = np.mean(common / mine), np.mean(common / other)
    return float(100 * (1 + beta**2) * precision * recall / (beta**2 * precision + recall))
