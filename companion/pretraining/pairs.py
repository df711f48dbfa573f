r"""Pairs of sentences, and whether the second follows the first: next-sentence prediction.

This file adds: two sentences in one row with the special tokens and segment ids of BERT, and
pairs of which half are neighbours in their text and half are not.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch

from companion._arguments import (
    _require_generator,
    _require_int,
    _require_number,
    _require_ordered,
)

__all__ = ["SentencePair", "sentence_pair", "sentence_pairs"]


class SentencePair(NamedTuple):
    r"""Two sentences in one row."""

    ids: list[int]
    """``[CLS] A [SEP] B [SEP]``"""
    segments: list[int]
    """0 up to the first ``[SEP]`` and with it, 1 after it."""
    label: int
    """0: B follows A. 1: B comes from another text (`companion.models.BERT.next_sentence`)."""


def sentence_pair(
    a: Sequence[int], b: Sequence[int], label: int, *, cls_id: int, sep_id: int
) -> SentencePair:
    r"""Put two sentences into one row, as BERT reads them.

    Parameters
    ----------
    a, b : list of int
        Token ids of the two sentences, without special tokens.
    label : int
        0 if b follows a, 1 if it does not.
    cls_id, sep_id : int
        The ids of ``[CLS]`` and ``[SEP]``.

    Returns
    -------
    SentencePair
        ``ids``, ``segments`` and ``label`` (Devlin et al. 2019, figure 2).

    Raises
    ------
    ValueError
        If a sentence has no token, or the label is neither 0 nor 1.

    Examples
    --------
    >>> sentence_pair([7, 8], [9], 0, cls_id=1, sep_id=2)
    SentencePair(ids=[1, 7, 8, 2, 9, 2], segments=[0, 0, 0, 0, 1, 1], label=0)
    """
    _require_int("label", label, least=0, most=1)
    cls_id, sep_id = _require_int("cls_id", cls_id), _require_int("sep_id", sep_id)
    first, second = _sentence(a, "a"), _sentence(b, "b")
    ids = [cls_id, *first, sep_id, *second, sep_id]
    return SentencePair(ids, [0] * (len(first) + 2) + [1] * (len(second) + 1), label)


def sentence_pairs(
    documents: Sequence[Sequence[Sequence[int]]],
    *,
    cls_id: int,
    sep_id: int,
    p_next: float = 0.5,
    generator: torch.Generator | None = None,
) -> list[SentencePair]:
    r"""Make one pair of each sentence that another one follows.

    With probability ½ the second sentence is the next one; else it is any sentence of any other
    document, all of them alike (Devlin et al. 2019, section 3.1, task 2). A sentence may be any
    piece of a text: in BERT it is a run of whole sentences, so that both fill 512 tokens.

    Parameters
    ----------
    documents : list of lists of lists of int
        Texts, each a list of sentences, each a list of token ids.
    cls_id, sep_id : int
        The ids of ``[CLS]`` and ``[SEP]``.
    p_next : float
        How probable it is that the second sentence is the next one.
    generator : torch.Generator, optional
        Where chance comes from; by default PyTorch's own.

    Returns
    -------
    list of SentencePair
        In the order of the documents: of n sentences, n − 1 pairs.

    Raises
    ------
    ValueError
        If there are fewer than two documents, one has no sentence, or a sentence has no token.
    TypeError
        If ``generator`` is a seed.

    Examples
    --------
    >>> documents = [[[10, 11], [12]], [[20], [21, 22]]]
    >>> for pair in sentence_pairs(documents, cls_id=1, sep_id=2, p_next=1.0):
    ...     print(pair.ids, pair.label)
    [1, 10, 11, 2, 12, 2] 0
    [1, 20, 2, 21, 22, 2] 0
    """
    texts = _documents(documents)
    if not 0 <= _require_number("p_next", p_next) <= 1:
        raise ValueError(f"p_next must be from 0 to 1, got {p_next}")
    if generator is not None:
        _require_generator("generator", generator, torch.Generator)
    pairs = []
    for number, text in enumerate(texts):
        for a, following in pairwise(text):
            follows = torch.rand((), generator=generator).item() < p_next
            b = following if follows else _elsewhere(texts, number, generator)
            pairs.append(sentence_pair(a, b, int(not follows), cls_id=cls_id, sep_id=sep_id))
    return pairs


def _elsewhere(
    texts: list[list[list[int]]], number: int, generator: torch.Generator | None
) -> list[int]:
    """Draw a sentence of any text but one; each sentence is as probable as any other."""
    n_others = sum(len(text) for text in texts) - len(texts[number])
    at = int(torch.randint(n_others, (), generator=generator))
    for i, text in enumerate(texts):
        if i == number:
            continue
        if at < len(text):
            return text[at]
        at -= len(text)
    raise AssertionError("there are as many sentences as were counted")


def _documents(documents: Sequence[Sequence[Sequence[int]]]) -> list[list[list[int]]]:
    texts = [
        [_sentence(sentence, "each sentence") for sentence in _require_ordered(text, "each text")]
        for text in _require_ordered(documents, "documents")
    ]
    if len(texts) < 2:
        raise ValueError(
            f"documents must be at least 2, so that a sentence can come from another one; "
            f"got {len(texts)}"
        )
    if not all(texts):
        raise ValueError("each of documents must hold at least one sentence, but one is empty")
    return texts


def _sentence(ids: Sequence[int], name: str) -> list[int]:
    kept = [_require_int(f"each id of {name}", number) for number in _require_ordered(ids, name)]
    if not kept:
        raise ValueError(f"{name} must hold at least one token")
    return kept
