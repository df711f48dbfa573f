r"""BLEU: how many of a translation's word sequences stand in a reference.

This file adds: BLEU of a corpus and of a sentence, equal to sacrebleu, from whose functions names
and the order of arguments are taken: what is judged comes first, unlike elsewhere.

Symbols: order n of an n-gram, up to N; lengths c of the hypotheses and r of the references.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from companion._arguments import (
    _require_flag,
    _require_int,
    _require_number,
    _require_ordered_texts,
    _require_text,
)
from companion.evaluation._checks import Number, _require_choice, _require_same_length
from companion.evaluation.bleu_tokens import bleu_tokens

__all__ = ["BleuScore", "corpus_bleu", "ngrams", "sentence_bleu"]

SMOOTHING = {"exp": 0.0, "floor": 0.1, "add-k": 1.0, "none": 0.0}  # and their default values


class BleuScore(NamedTuple):
    r"""BLEU, and what it is made of."""

    score: float
    """From 0 to 100."""
    precisions: list[float]
    """Of each order, in percent, smoothed; 0 for orders that no hypothesis is long enough for."""
    matches: list[float]
    """How many n-grams of each order stand in a reference; with ``"add-k"``, and k."""
    totals: list[float]
    """How many n-grams of each order there are; with ``"add-k"``, and k."""
    brevity_penalty: float
    hypothesis_length: int
    reference_length: int
    """In each row, the length of the reference that is nearest to the hypothesis's."""


def corpus_bleu(
    hypotheses: Sequence[str],
    references: Sequence[str | Sequence[str]],
    *,
    tokenize: str = "13a",
    max_order: int = 4,
    smooth: str = "exp",
    smooth_value: Number | None = None,
    effective_order: bool = False,
    lowercase: bool = False,
) -> BleuScore:
    r"""BLEU of a corpus (Papineni et al. 2002).

    .. math:: \text{BLEU} = 100 \cdot \min(1, e^{1 - r/c}) \cdot
        \exp \Big( \frac1N \sum_{n=1}^{N} \ln p_n \Big)

    :math:`p_n` is the share of n-grams that stand in a reference, each as often as it stands
    there at most. Counts are summed over the corpus before they are divided: it is no mean of the
    sentences' BLEU.

    Parameters
    ----------
    hypotheses : list of str
    references : list of str, or of lists of str
        For each hypothesis a text, or several. (``sacrebleu`` takes a list of all first
        references, one of all second ones, and so on.)
    tokenize : {"13a", "zh", "char", "none"}
        As for `bleu_tokens`; ``"zh"`` for Chinese.
    max_order : int
        The largest order, N.
    smooth : {"exp", "floor", "add-k", "none"}
        What an order without a match counts as (Chen and Cherry 2014): the first such order half
        a match, the next a quarter, and so on; ``smooth_value`` matches; or, with ``"add-k"``,
        ``smooth_value`` is added to matches and totals of all orders above 1. Without any,
        the score is 0.
    smooth_value : float, optional
        By default 0.1 for ``"floor"`` and 1 for ``"add-k"``.
    effective_order : bool
        Leave out orders that no hypothesis is long enough for.
    lowercase : bool

    Returns
    -------
    BleuScore
        Where no word matches, the score is 0 and nothing is smoothed.

    Raises
    ------
    ValueError
        If the lengths differ, there are no hypotheses, one has no reference, or a setting is not
        known.
    TypeError
        If a hypothesis or reference is no text.

    Examples
    --------
    >>> result = corpus_bleu(["the cat sat on the mat"], ["the cat is on the mat"])
    >>> round(result.score, 2), [round(p, 1) for p in result.precisions]
    (37.99, [83.3, 60.0, 25.0, 16.7])
    """
    value = _require_smoothing(smooth, smooth_value)
    max_order = _require_int("max_order", max_order, least=1)
    _require_flag("effective_order", effective_order)
    matches, totals, c, r = np.zeros(max_order), np.zeros(max_order), 0, 0
    for hypothesis, texts in _texts(hypotheses, references, lowercase):
        tokens = bleu_tokens(hypothesis, tokenize)
        others = [bleu_tokens(text, tokenize) for text in texts]
        found, of_all = _count(tokens, others, max_order)
        matches, totals = matches + found, totals + of_all
        c, r = c + len(tokens), r + _nearest(len(tokens), [len(other) for other in others])
    penalty, precisions, mean = _brevity_penalty(c, r), [0.0] * max_order, -math.inf
    if matches.any():
        if smooth == "add-k":
            matches[1:], totals[1:] = matches[1:] + value, totals[1:] + value
        precisions = _precisions(matches, totals, smooth, value)
        n_orders = int((totals > 0).sum()) if effective_order else max_order
        mean = sum(map(_log, precisions[:n_orders])) / n_orders
    score = penalty * math.exp(mean)
    return BleuScore(score, precisions, matches.tolist(), totals.tolist(), penalty, c, r)


def sentence_bleu(
    hypothesis: str,
    references: str | Sequence[str],
    *,
    tokenize: str = "13a",
    max_order: int = 4,
    smooth: str = "exp",
    smooth_value: Number | None = None,
    effective_order: bool = True,
    lowercase: bool = False,
) -> BleuScore:
    r"""BLEU of one sentence: that of a corpus of one, without orders that it is too short for.

    Parameters
    ----------
    hypothesis : str
    references : str, or list of str
    tokenize : {"13a", "zh", "char", "none"}
        As for `corpus_bleu`, like all that follows.
    max_order : int
    smooth : {"exp", "floor", "add-k", "none"}
    smooth_value : float, optional
    effective_order : bool
    lowercase : bool

    Returns
    -------
    BleuScore

    Raises
    ------
    ValueError
        If there is no reference, or a setting is not known.
    TypeError
        If the hypothesis or a reference is no text.

    Examples
    --------
    >>> round(sentence_bleu("hello world", "hello world").score)
    100
    """
    return corpus_bleu(
        [_require_text(hypothesis, "hypothesis")],
        [references],
        tokenize=tokenize,
        max_order=max_order,
        smooth=smooth,
        smooth_value=smooth_value,
        effective_order=effective_order,
        lowercase=lowercase,
    )


def ngrams(tokens: Iterable[Any], n: int) -> Counter[tuple[Any, ...]]:
    r"""Count the sequences of n tokens.

    Parameters
    ----------
    tokens : list
        Tokens, or a text for its characters.
    n : int

    Returns
    -------
    Counter

    Examples
    --------
    >>> ngrams("banana", 3)[tuple("ana")]
    2
    """
    tokens = list(tokens)
    n = _require_int("n", n, least=1)
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _count(
    tokens: list[str], references: list[list[str]], max_order: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many n-grams of each order stand in a reference, and how many there are."""
    matches, totals = np.zeros(max_order), np.zeros(max_order)
    for n in range(1, max_order + 1):
        mine, most = ngrams(tokens, n), Counter[tuple[str, ...]]()
        for reference in references:
            most |= ngrams(reference, n)  # of each n-gram, the largest count of a reference
        matches[n - 1], totals[n - 1] = (mine & most).total(), mine.total()
    return matches, totals


def _nearest(length: int, references: list[int]) -> int:
    """Return the length of a reference that is nearest; of two, the shorter one."""
    return min(references, key=lambda other: (abs(other - length), other))


def _brevity_penalty(c: int, r: int) -> float:
    if c >= r:
        return 1.0
    return math.exp(1 - r / c) if c else 0.0


def _precisions(matches: np.ndarray, totals: np.ndarray, smooth: str, value: float) -> list[float]:
    """Return in percent the share of n-grams that match, of each order that there is."""
    precisions, missing = [], 0
    for found, total in zip(matches.tolist(), totals.tolist(), strict=True):
        if total and not found and smooth == "exp":
            missing += 1
            found = 0.5**missing
        elif not found and smooth == "floor":
            found = value
        precisions.append(100 * found / total if total else 0.0)
    return precisions


def _log(p: float) -> float:
    return math.log(p) if p else -math.inf


# -- what is asked of texts ----------------------------------------------------------------------


def _texts(
    hypotheses: Sequence[str], references: Sequence[str | Sequence[str]], lowercase: bool
) -> list[tuple[str, list[str]]]:
    """Return each hypothesis with its references."""
    _require_flag("lowercase", lowercase)
    texts = _require_ordered_texts(hypotheses, "hypotheses")
    if isinstance(references, str):
        raise TypeError("references must be a list with one entry a hypothesis, got one text")
    groups = [_group(some) for some in references]
    _require_same_length(hypotheses=texts, references=groups)
    rows = zip(texts, groups, strict=True)
    if not lowercase:
        return list(rows)
    return [(text.lower(), [other.lower() for other in group]) for text, group in rows]


def _group(some: str | Sequence[str]) -> list[str]:
    group = [some] if isinstance(some, str) else _require_ordered_texts(some, "references")
    if not group:
        raise ValueError("references must hold at least one text for each hypothesis")
    return group


def _require_smoothing(smooth: str, value: Number | None) -> float:
    default = SMOOTHING[_require_choice("smooth", smooth, list(SMOOTHING))]
    if value is None:
        return default
    if smooth not in ("floor", "add-k"):
        raise ValueError(f"smooth_value must be left out with smooth={smooth!r}, got {value}")
    if not _require_number("smooth_value", value) >= 0:
        raise ValueError(f"smooth_value must be at least 0, got {value}")
    return float(value)
