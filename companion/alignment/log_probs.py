r"""How probable a model finds an answer: the sum over its tokens, and over no others.

This file adds: ``answer_batch``, which puts prompts and answers into one tensor and says which
tokens are the answers'; ``token_log_probs`` and ``sequence_log_probs``.

Shape letters: ``B`` batch, ``T`` tokens, ``V`` vocabulary.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int64, Integer
from torch import Tensor

from companion._arguments import _require_int, _require_ordered
from companion._tensors import _require_batch, _require_mask, _require_positions, _wide
from companion.alignment._checks import _require_answer

__all__ = ["AnswerBatch", "answer_batch", "token_log_probs", "sequence_log_probs"]

_Ids = Integer[Tensor, "batch length"]


class AnswerBatch(NamedTuple):
    """Prompts with their answers, one in a row, filled up on the right."""

    ids: Int64[Tensor, "batch length"]
    """Prompt, answer, filling."""
    answer: Bool[Tensor, "batch length"]
    """True at the tokens of the answer."""
    mask: Bool[Tensor, "batch 1 length"]
    """False for filling."""


def answer_batch(
    prompts: Iterable[Sequence[int]], answers: Iterable[Sequence[int]], pad_id: int = 0
) -> AnswerBatch:
    r"""Make a batch of prompts and answers.

    Parameters
    ----------
    prompts, answers : lists of lists of int
        Each of at least one token. An answer holds the token that ends it, if it has one.
    pad_id : int
        What shorter rows are filled up with. Any token will do: nobody sees it.

    Returns
    -------
    AnswerBatch

    Raises
    ------
    ValueError
        If there is nothing, a prompt or an answer is empty, or their numbers differ.
    TypeError
        If an id is no whole number.

    Examples
    --------
    >>> batch = answer_batch([[5, 6], [5]], [[7], [8, 9, 3]])
    >>> batch.ids, batch.answer.int()
    (tensor([[5, 6, 7, 0],
            [5, 8, 9, 3]]), tensor([[0, 0, 1, 0],
            [0, 1, 1, 1]], dtype=torch.int32))
    """
    first, second = _require_rows("prompts", prompts), _require_rows("answers", answers)
    pad_id = _require_int("pad_id", pad_id, least=0)
    if len(first) != len(second):
        raise ValueError(f"answers must be one for each prompt, {len(first)}; got {len(second)}")
    rows = [[*a, *b] for a, b in zip(first, second, strict=True)]
    shape = (len(rows), max(map(len, rows)))
    ids, answer = torch.full(shape, pad_id), torch.zeros(shape, dtype=torch.bool)
    mask = torch.zeros(shape, dtype=torch.bool)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        answer[i, len(first[i]) : len(row)] = True
        mask[i, : len(row)] = True
    return AnswerBatch(ids, answer, mask[:, None])


def _require_rows(name: str, rows: Any) -> list[list[int]]:
    found = [list(_require_ordered(row, f"each of {name}")) for row in _require_ordered(rows, name)]
    if not found or not all(found):
        raise ValueError(f"{name} must hold at least one list, of at least one token each")
    return [[_require_int(f"each id of {name}", i, least=0) for i in row] for row in found]


def token_log_probs(
    model: Callable[..., Tensor],
    ids: _Ids,
    mask: Bool[Tensor, "#batch #length keys"] | None = None,
    positions: Integer[Tensor, "batch length"] | None = None,
) -> Float[Tensor, "batch rest"]:
    r"""Return the log-probability of each token but the first, given those before it.

    Parameters
    ----------
    model : Module
        ``model(ids, mask, positions)`` gives logits (B, T, V), as GPT and Llama do. Where mask
        and positions are not given, it is called with the ids alone.
    ids : Tensor of int, shape (B, T)
    mask : Tensor of bool, shape (B, 1, T) or (B, T, T), optional
    positions : Tensor of int, shape (B, T), optional

    Returns
    -------
    Tensor, shape (B, T − 1)

    Raises
    ------
    ValueError
        If shapes do not fit, or there are fewer than two tokens.

    Examples
    --------
    >>> token_log_probs(lambda ids: torch.zeros(*ids.shape, 4), torch.tensor([[0, 3, 1]]))
    tensor([[-1.3863, -1.3863]])
    """
    _require_batch(ids)
    _require_mask(mask, ids)
    _require_positions(positions, ids)
    if ids.shape[1] < 2:
        raise ValueError(f"ids must have at least 2 tokens in a row, got {tuple(ids.shape)}")
    logits = _logits(model, ids, mask, positions)  # (B, T − 1, V)
    return _wide(logits).log_softmax(dim=-1).gather(2, ids[:, 1:, None].long())[..., 0]


def _logits(model: Any, ids: Tensor, mask: Tensor | None, positions: Tensor | None) -> Tensor:
    """Return what the model expects after each token but the last, of which nobody asks."""
    if mask is None and positions is None:
        return model(ids[:, :-1])
    if mask is not None:
        mask = mask[:, :1, :-1] if mask.shape[1] == 1 else mask[:, :-1, :-1]
    if positions is not None:
        positions = positions[:, :-1]
    return model(ids[:, :-1], mask, positions)


def sequence_log_probs(
    model: Callable[..., Tensor],
    ids: _Ids,
    answer: Bool[Tensor, "batch length"],
    mask: Bool[Tensor, "#batch #length keys"] | None = None,
    positions: Integer[Tensor, "batch length"] | None = None,
) -> Float[Tensor, " batch"]:
    r"""Return the log-probability of each answer given its prompt, :math:`\log \pi(y \mid x)`.

    .. math:: \sum_{t \in \text{answer}} \log \pi(y_t \mid y_{<t})

    It is a sum: the mean over tokens is the logarithm of no probability of the answer.

    Parameters
    ----------
    model, ids, mask, positions
        As for `token_log_probs`.
    answer : Tensor of bool, shape (B, T)
        True at the tokens of the answer. The first token of a row has no probability, so it
        cannot be one of them.

    Returns
    -------
    Tensor, shape (B,)

    Raises
    ------
    ValueError
        If shapes do not fit, or a row has no answer, or one that begins it.

    Examples
    --------
    >>> ids, answer = torch.tensor([[0, 3, 1]]), torch.tensor([[False, True, True]])
    >>> sequence_log_probs(lambda ids: torch.zeros(*ids.shape, 4), ids, answer)  # −2 ln 4
    tensor([-2.7726])
    """
    _require_batch(ids)
    _require_answer(answer, ids, "answer")
    if bool(answer[:, 0].any()):
        raise ValueError("answer must not hold the first token of a row: nothing stands before it")
    found = token_log_probs(model, ids, mask, positions)
    return found.masked_fill(~answer[:, 1:], 0.0).sum(dim=1)
