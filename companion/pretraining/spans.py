r"""Spans that were cut out as the targets: span corruption.

This file adds: where to cut, the cut itself with sentinels in the gaps, and the way back, which
shows that nothing is lost.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Int64, Integer
from torch import Tensor

from companion._arguments import (
    _require_generator,
    _require_int,
    _require_number,
    _require_ordered,
)
from companion._tensors import _require_whole_numbers

__all__ = ["random_spans", "cut_spans", "join_spans", "span_corruption"]


def span_corruption(
    ids: Integer[Tensor, " length"],
    sentinel_ids: Sequence[int],
    *,
    p: float = 0.15,
    mean_length: float = 3.0,
    generator: torch.Generator | None = None,
) -> tuple[Int64[Tensor, " kept"], Int64[Tensor, " cut"]]:
    r"""Cut random spans out of a text, and ask for them (Raffel et al. 2020, section 3.1.4).

    Parameters
    ----------
    ids : Tensor of int, shape (T,)
        One text of at least two tokens.
    sentinel_ids : list of int
        The ids of the sentinels in their order, one more than there are gaps. None may occur in
        the text.
    p : float
        Which share of the tokens is cut out.
    mean_length : float
        How long a span is on average.
    generator : torch.Generator, optional
        Where chance comes from; by default PyTorch's own.

    Returns
    -------
    inputs, targets : Tensor of int64
        As `cut_spans` makes them. With n tokens cut out in k spans, the inputs have T − n + k
        tokens and the targets n + k + 1.

    Raises
    ------
    ValueError
        If the text is too short, there are too few sentinels, or one occurs in the text.
    TypeError
        If ``ids`` are not whole numbers, or ``generator`` is a seed.

    Examples
    --------
    >>> ids = torch.arange(20)
    >>> sentinels = [100, 101, 102]
    >>> generator = torch.Generator().manual_seed(0)
    >>> inputs, targets = span_corruption(ids, sentinels, generator=generator)
    >>> targets
    tensor([100,   9,  10,  11, 101])
    >>> torch.equal(join_spans(inputs, targets, sentinels), ids)
    True
    """
    _require_row(ids)
    spans = random_spans(len(ids), p=p, mean_length=mean_length, generator=generator)
    return cut_spans(ids, spans, sentinel_ids)


def random_spans(
    length: int,
    *,
    p: float = 0.15,
    mean_length: float = 3.0,
    generator: torch.Generator | None = None,
) -> list[tuple[int, int]]:
    r"""Draw the spans to cut out of a text.

    Their number and their length together are fixed, as in T5: n is ``round(p · length)``, but at
    least 1 and at most ``length`` − 1, and k is ``round(n / mean_length)``, at least 1. Of all
    ways to place k spans of n tokens with a token between any two, each is as probable as any
    other. (T5's program ends every text with a span and begins none with one.)

    Parameters
    ----------
    length : int
        How many tokens the text has, at least 2.
    p : float
        Which share of them is cut out, above 0 and below 1.
    mean_length : float
        How long a span is on average, at least 1.
    generator : torch.Generator, optional
        Where chance comes from; by default PyTorch's own.

    Returns
    -------
    list of (int, int)
        Where each span begins and ends, the end not included; in order.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    TypeError
        If ``length`` is no whole number, or ``generator`` is a seed.

    Examples
    --------
    >>> random_spans(40, generator=torch.Generator().manual_seed(0))
    [(8, 13), (23, 24)]
    """
    length = _require_int("length", length, least=2)
    if not 0 < _require_number("p", p) < 1:
        raise ValueError(f"p must be above 0 and below 1, got {p}")
    if not 1 <= _require_number("mean_length", mean_length) < float("inf"):
        raise ValueError(f"mean_length must be at least 1 and finite, got {mean_length}")
    if generator is not None:
        _require_generator("generator", generator, torch.Generator)
    n = min(max(round(length * p), 1), length - 1)
    k = min(max(round(n / mean_length), 1), length - n + 1)  # a token between any two
    cut = _parts(n, k, generator)
    kept = _parts(length - n + 2, k + 1, generator)
    kept[0], kept[-1] = kept[0] - 1, kept[-1] - 1  # a span may begin or end the text
    spans, at = [], 0
    for gap, size in zip(kept, cut, strict=False):
        spans.append((at + gap, at + gap + size))
        at += gap + size
    return spans


def cut_spans(
    ids: Integer[Tensor, " length"],
    spans: Sequence[tuple[int, int]],
    sentinel_ids: Sequence[int],
) -> tuple[Int64[Tensor, " kept"], Int64[Tensor, " cut"]]:
    r"""Leave a sentinel in place of each span, and list the spans behind the same sentinels.

    Parameters
    ----------
    ids : Tensor of int, shape (T,)
    spans : list of (int, int)
        Where each begins and ends, the end not included; in order, with at least one token
        between any two.
    sentinel_ids : list of int
        At least one more than there are spans. None may occur in the text.

    Returns
    -------
    inputs : Tensor of int64
        The text, with one sentinel for each span.
    targets : Tensor of int64
        For each span its sentinel and its tokens; one more sentinel ends them.

    Raises
    ------
    ValueError
        If spans are empty, overlap, touch or lie outside of the text, there are too few
        sentinels, one occurs twice, or one occurs in the text.

    Examples
    --------
    >>> cut_spans(torch.tensor([5, 6, 7, 8, 9]), [(1, 3)], [100, 101])
    (tensor([  5, 100,   8,   9]), tensor([100,   6,   7, 101]))
    """
    _require_row(ids)
    ends = _require_spans(spans, len(ids))
    sentinels = _require_sentinels(sentinel_ids, ids, len(ends) + 1)
    row = ids.tolist()
    inputs: list[int] = []
    targets: list[int] = []
    at = 0
    for (start, end), sentinel in zip(ends, sentinels, strict=False):
        inputs += [*row[at:start], sentinel]
        targets += [sentinel, *row[start:end]]
        at = end
    inputs += row[at:]
    targets.append(sentinels[len(ends)])
    return torch.tensor(inputs, device=ids.device), torch.tensor(targets, device=ids.device)


def join_spans(
    inputs: Integer[Tensor, " kept"],
    targets: Integer[Tensor, " cut"],
    sentinel_ids: Sequence[int],
) -> Int64[Tensor, " length"]:
    r"""Put the spans of the targets back into the inputs: `cut_spans` undone.

    Parameters
    ----------
    inputs, targets : Tensor of int
        As `cut_spans` returns them, or a model has written the targets.
    sentinel_ids : list of int

    Returns
    -------
    Tensor of int64
        The whole text. A gap of which the targets say nothing stays empty.

    Raises
    ------
    ValueError
        If the targets do not begin with a sentinel, or name one twice.

    Examples
    --------
    >>> inputs, targets = torch.tensor([5, 100, 8, 9]), torch.tensor([100, 6, 7, 101])
    >>> join_spans(inputs, targets, [100, 101])
    tensor([5, 6, 7, 8, 9])
    """
    _require_whole_numbers(inputs=inputs, targets=targets)
    sentinels = {_require_int("each of sentinel_ids", number) for number in sentinel_ids}
    spans: dict[int, list[int]] = {}
    name = None
    for token in targets.tolist():
        if token in sentinels:
            if token in spans:
                raise ValueError(f"targets must name each sentinel once, but {token} stands twice")
            name = token
            spans[name] = []
        elif name is None:
            raise ValueError(f"targets must begin with a sentinel, got {token}")
        else:
            spans[name].append(token)
    row: list[int] = []
    for token in inputs.tolist():
        row += spans.get(token, []) if token in sentinels else [token]
    return torch.tensor(row, dtype=torch.long, device=inputs.device)


def _parts(total: int, k: int, generator: torch.Generator | None) -> list[int]:
    """Divide a number into k parts of at least 1, each way as probable as any other."""
    cuts = (torch.randperm(total - 1, generator=generator)[: k - 1] + 1).sort().values.tolist()
    return [end - start for start, end in zip([0, *cuts], [*cuts, total], strict=True)]


def _require_row(ids: Tensor) -> None:
    _require_whole_numbers(ids=ids)
    if ids.ndim != 1:
        raise ValueError(f"ids must be one text with one dimension, got shape {tuple(ids.shape)}")


def _require_spans(spans: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    ends: list[tuple[int, int]] = []
    at = -1
    for start, end in _require_ordered(spans, "spans"):
        start, end = (_require_int("each end of spans", place) for place in (start, end))
        if not at < start < end <= length:
            raise ValueError(
                f"spans must be in order within 0 to {length}, none of them empty, with a token "
                f"between any two; got {(start, end)} after {ends[-1] if ends else 'none'}"
            )
        ends.append((start, end))
        at = end
    return ends


def _require_sentinels(sentinel_ids: Sequence[int], ids: Tensor, least: int) -> list[int]:
    sentinels = [
        _require_int("each of sentinel_ids", number)
        for number in _require_ordered(sentinel_ids, "sentinel_ids")
    ]
    if len(set(sentinels)) < len(sentinels):
        raise ValueError("sentinel_ids must differ from one another")
    if len(sentinels) < least:
        raise ValueError(
            f"sentinel_ids must be at least {least}, one more than the spans, got {len(sentinels)}"
        )
    if found := set(sentinels) & set(ids.tolist()):
        raise ValueError(f"sentinel_ids must not occur in ids, but {min(found)} does")
    return sentinels
