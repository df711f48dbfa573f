r"""Spans: whether names were found in a text, each from its first token to its last.

This file adds: spans from BIO tags (IOB2), and precision, recall and F1 of spans. A span is right
if its kind, its first and its last token are; a model that finds half of each name finds nothing.
Tags are read strictly, like ``seqeval`` with ``mode="strict"`` and ``scheme=IOB2``.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from companion._arguments import _require_ordered_texts
from companion.evaluation._checks import Number, _require_choice, _require_same_length
from companion.evaluation.f_scores import _averaged

__all__ = ["Span", "SpanScores", "bio_spans", "span_scores"]


class Span(NamedTuple):
    r"""Neighbouring tokens that are one name."""

    kind: str
    """Such as ``"PER"``."""
    start: int
    """Its first token."""
    stop: int
    """The token after its last one, as in a slice."""


class SpanScores(NamedTuple):
    r"""Precision, recall and F1 of spans: numbers, or arrays with one for each kind."""

    precision: float | np.ndarray
    recall: float | np.ndarray
    f1: float | np.ndarray


def bio_spans(tags: Sequence[str]) -> list[Span]:
    r"""Return the spans that tags mark: ``B-`` begins one, ``I-`` of the same kind goes on.

    An ``I-`` with nothing of its kind before it begins no span and is skipped (a lenient reading,
    as in CoNLL-2003's own script, begins one there). The spans that are found may then be more
    or fewer than with other programs: say which reading a score is of.

    Parameters
    ----------
    tags : list of str
        ``"O"``, or ``"B-"`` or ``"I-"`` and the kind.

    Returns
    -------
    list of Span

    Raises
    ------
    ValueError
        If a tag is none of these.
    TypeError
        If ``tags`` is no list of texts.

    Examples
    --------
    >>> bio_spans(["B-PER", "I-PER", "O", "B-LOC", "I-PER"])
    [Span(kind='PER', start=0, stop=2), Span(kind='LOC', start=3, stop=4)]
    """
    spans: list[Span] = []
    for i, tag in enumerate(_require_ordered_texts(tags, "tags")):
        prefix, kind = _parts(tag)
        if prefix == "B":
            spans.append(Span(kind, i, i + 1))
        elif prefix == "I" and spans and spans[-1].stop == i and spans[-1].kind == kind:
            spans[-1] = spans[-1]._replace(stop=i + 1)
    return spans


def _parts(tag: str) -> tuple[str, str]:
    prefix, dash, kind = tag.partition("-")
    if tag != "O" and not (prefix in ("B", "I") and dash and kind):
        raise ValueError(f"tags must be 'O', or 'B-' or 'I-' and a kind, got {tag!r}")
    return prefix, kind


def span_scores(
    y_true: Sequence[Sequence[str]],
    y_pred: Sequence[Sequence[str]],
    *,
    average: str | None = "micro",
    zero_division: Number | None = None,
) -> SpanScores:
    r"""Precision, recall and F1 of the spans in texts that are tagged.

    Parameters
    ----------
    y_true, y_pred : list of lists of str
        For each text, its tags, as `bio_spans` takes them.
    average : {"micro", "macro", "weighted"}, optional
        ``"micro"`` counts all spans alike, ``"macro"`` is the mean over the kinds, ``"weighted"``
        that mean weighted by how many true spans are of a kind. None returns one number for each
        kind, in sorted order.
    zero_division : float, optional
        What 0/0 counts as, where there are no spans: 0, 1, or NaN. By default it is an error.

    Returns
    -------
    SpanScores

    Raises
    ------
    ValueError
        If the numbers of texts, or of tags in a text, differ, there are no texts, a tag is none,
        or the result is 0/0.
    TypeError
        If a text is no list of texts.

    Examples
    --------
    >>> true, pred = [["B-PER", "I-PER", "O", "B-LOC"]], [["B-PER", "O", "O", "B-LOC"]]
    >>> span_scores(true, pred)
    SpanScores(precision=0.5, recall=0.5, f1=0.5)
    """
    if average is not None:
        _require_choice("average", average, ("micro", "macro", "weighted"))
    _require_same_length(y_true=y_true, y_pred=y_pred)
    counts = _counts(y_true, y_pred)
    if average == "micro":
        counts = counts.sum(axis=0, keepdims=True)
    tp, called, true = counts.T
    parts = {"precision": (tp, called), "recall": (tp, true), "f1": (2 * tp, called + true)}
    return SpanScores(
        *(_averaged(name, *pair, true, average, zero_division) for name, pair in parts.items())
    )


def _counts(y_true: Sequence[Sequence[str]], y_pred: Sequence[Sequence[str]]) -> np.ndarray:
    """Return for each kind how many spans are right, found, and true: (kinds, 3)."""
    right, found, true = Counter[str](), Counter[str](), Counter[str]()
    for i, (one, other) in enumerate(zip(y_true, y_pred, strict=True)):
        if len(one) != len(other):
            raise ValueError(
                f"y_true and y_pred must have as many tags in text {i}, got {len(one)} and "
                f"{len(other)}"
            )
        wanted, given = bio_spans(one), bio_spans(other)
        true.update(span.kind for span in wanted)
        found.update(span.kind for span in given)
        right.update(span.kind for span in set(wanted) & set(given))
    kinds = sorted(true | found)
    rows = [[right[kind], found[kind], true[kind]] for kind in kinds]
    return np.array(rows, dtype=np.int64).reshape(-1, 3)
