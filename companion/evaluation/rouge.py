r"""ROUGE: how much of a reference summary a summary recalls.

This file adds: ROUGE-1, ROUGE-2 and so on, by n-grams, and ROUGE-L and ROUGE-Lsum, by the longest
common subsequence, equal to the package ``rouge-score`` without its stemmer. As there, the
reference comes first.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from companion._arguments import _require_int, _require_text
from companion.evaluation._checks import _require_function
from companion.evaluation.bleu import ngrams

__all__ = ["RougeScore", "rouge_l", "rouge_lsum", "rouge_n", "rouge_tokens"]

Tokenize = Callable[[str], list[str]]


class RougeScore(NamedTuple):
    r"""Precision P, recall R and F-measure :math:`2PR / (P + R)`, each from 0 to 1."""

    precision: float
    recall: float
    fmeasure: float


def rouge_tokens(text: str) -> list[str]:
    r"""Return the words of a text in small letters: runs of a to z and 0 to 9.

    All else is left out, so that nothing is left of a Chinese text: ``list`` as the tokeniser
    takes its characters.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of str

    Examples
    --------
    >>> rouge_tokens("The cat's mat, 2 cafés")
    ['the', 'cat', 's', 'mat', '2', 'caf', 's']
    """
    return re.findall("[a-z0-9]+", text.lower())


def rouge_n(
    target: str, prediction: str, n: int, *, tokenize: Tokenize = rouge_tokens
) -> RougeScore:
    r"""ROUGE-n: n-grams in common (Lin 2004, section 2).

    Parameters
    ----------
    target : str
        The reference.
    prediction : str
        What is judged.
    n : int
    tokenize : callable
        From a text to its tokens, such as ``list`` for Chinese.

    Returns
    -------
    RougeScore
        All 0 where one of the texts is shorter than n tokens.

    Raises
    ------
    TypeError
        If one of the two is no text.
    ValueError
        If n is below 1.

    Examples
    --------
    >>> score = rouge_n("the cat sat on the mat", "the cat on the mat", 2)
    >>> round(score.precision, 2), round(score.recall, 2)
    (0.75, 0.6)
    """
    n = _require_int("n", n, least=1)
    _require_texts_and_tokenizer(target, prediction, tokenize)
    wanted, given = ngrams(tokenize(target), n), ngrams(tokenize(prediction), n)
    return _score((wanted & given).total(), given.total(), wanted.total())


def rouge_l(target: str, prediction: str, *, tokenize: Tokenize = rouge_tokens) -> RougeScore:
    r"""ROUGE-L: the longest common subsequence of the two texts (Lin 2004, section 3.1).

    A subsequence keeps the order, but may leave out words.

    Parameters
    ----------
    target : str
        The reference.
    prediction : str
        What is judged.
    tokenize : callable
        From a text to its tokens, such as ``list`` for Chinese.

    Returns
    -------
    RougeScore
        All 0 where one of the texts has no tokens.

    Raises
    ------
    TypeError
        If one of the two is no text.

    Examples
    --------
    >>> rouge_l("police killed the gunman", "police kill the gunman").recall
    0.75
    """
    _require_texts_and_tokenizer(target, prediction, tokenize)
    wanted, given = tokenize(target), tokenize(prediction)
    return _score(_lcs_table(wanted, given)[-1][-1], len(given), len(wanted))


def rouge_lsum(target: str, prediction: str, *, tokenize: Tokenize = rouge_tokens) -> RougeScore:
    r"""ROUGE-L of summaries, one sentence a line (Lin 2004, section 3.2).

    For each sentence of the reference, the words count that are in its longest common subsequence
    with any sentence of the prediction. A word counts at most as often as each side has it.

    Parameters
    ----------
    target : str
        The reference.
    prediction : str
        What is judged.
    tokenize : callable
        From a text to its tokens, such as ``list`` for Chinese.

    Returns
    -------
    RougeScore
        All 0 where one of the texts has no tokens.

    Raises
    ------
    TypeError
        If one of the two is no text.

    Examples
    --------
    >>> target, prediction = "the cat sat\nit was warm", "it was warm\nthe cat sat"
    >>> rouge_lsum(target, prediction).fmeasure, rouge_l(target, prediction).fmeasure
    (1.0, 0.5)
    """
    _require_texts_and_tokenizer(target, prediction, tokenize)
    wanted, given = ([tokenize(line) for line in text.split("\n")] for text in (target, prediction))
    mine, other = (Counter(word for line in lines for word in line) for lines in (wanted, given))
    left = mine & other
    hits = 0
    for sentence in wanted:
        places = set[int]().union(*(_lcs_places(sentence, line) for line in given))
        for i in sorted(places):
            hits += left[sentence[i]] > 0
            left[sentence[i]] -= 1
    return _score(hits, other.total(), mine.total())


def _score(hits: int, n_given: int, n_wanted: int) -> RougeScore:
    precision, recall = hits / max(n_given, 1), hits / max(n_wanted, 1)
    both = precision + recall
    return RougeScore(precision, recall, 2 * precision * recall / both if both else 0.0)


def _lcs_table(a: list[str], b: list[str]) -> list[list[int]]:
    """Return how long the longest common subsequence of the first i and the first j tokens is."""
    table = [[0] * (len(b) + 1)]
    for one in a:
        above, row = table[-1], [0]
        for j, other in enumerate(b):
            row.append(above[j] + 1 if one == other else max(above[j + 1], row[j]))
        table.append(row)
    return table


def _lcs_places(a: list[str], b: list[str]) -> set[int]:
    """Return the places in ``a`` of a longest common subsequence; of several, rouge-score's."""
    table = _lcs_table(a, b)
    i, j = len(a), len(b)
    places: set[int] = set()
    while i and j:
        if a[i - 1] == b[j - 1]:
            i, j = i - 1, j - 1
            places.add(i)
        elif table[i][j - 1] > table[i - 1][j]:
            j -= 1
        else:
            i -= 1
    return places


def _require_texts_and_tokenizer(target: str, prediction: str, tokenize: Tokenize) -> None:
    _require_text(target, "target")
    _require_text(prediction, "prediction")
    _require_function("tokenize", tokenize)
