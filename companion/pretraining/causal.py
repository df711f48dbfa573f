r"""The next token as the target: causal language modelling.

This file adds: rows of ids of different lengths made into one tensor, and inputs and targets that
are the same row, shifted by one.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Int64, Integer
from torch import Tensor

from companion._arguments import _require_int, _require_ordered
from companion._tensors import _require_whole_numbers
from companion.attention import padding_mask
from companion.losses import IGNORE

__all__ = ["causal_lm", "pad_rows"]


def pad_rows(
    rows: Sequence[Sequence[int]], pad_id: int
) -> tuple[Int64[Tensor, "batch length"], Bool[Tensor, "batch 1 length"]]:
    r"""Fill up rows of token ids on the right, so that they make one tensor.

    Parameters
    ----------
    rows : list of lists of int
        At least one row; a row may be empty if another is not.
    pad_id : int
        What shorter rows are filled up with.

    Returns
    -------
    ids : Tensor of int64, shape (B, T)
        T is the length of the longest row.
    mask : Tensor of bool, shape (B, 1, T)
        False for padding, as `companion.attention.padding_mask` has it.

    Raises
    ------
    ValueError
        If there is no row, or no token in any of them.
    TypeError
        If ``rows`` holds no lists, or ``pad_id`` is no whole number.

    Examples
    --------
    >>> ids, mask = pad_rows([[5, 6, 7], [8]], pad_id=0)
    >>> ids
    tensor([[5, 6, 7],
            [8, 0, 0]])
    """
    pad_id = _require_int("pad_id", pad_id)
    kept = [list(_require_ordered(row, "each of rows")) for row in _require_ordered(rows, "rows")]
    lengths = [len(row) for row in kept]
    if not any(lengths):
        raise ValueError(f"rows must hold at least one token, got {len(kept)} rows without any")
    filled = [row + [pad_id] * (max(lengths) - len(row)) for row in kept]
    ids = torch.tensor(filled)
    _require_whole_numbers(rows=ids)
    return ids.long(), padding_mask(torch.tensor(lengths))


def causal_lm(
    ids: Integer[Tensor, "*batch length"], *, pad_id: int | None = None
) -> tuple[Int64[Tensor, "*batch less"], Int64[Tensor, "*batch less"]]:
    r"""Return the inputs and targets of causal language modelling: a row, and the row shifted.

    .. math:: -\frac{1}{T-1} \sum_{t=2}^{T} \log \hat p(x_t \mid x_1, \dots, x_{t-1})

    is the cross-entropy of the two (Radford et al. 2018, eq. 1). A row of T tokens gives T − 1
    targets.

    Parameters
    ----------
    ids : Tensor of int, shape (..., T)
        At least two tokens; what the first one is predicted from must stand before it.
    pad_id : int, optional
        The token that rows were filled up with. It must be used for nothing else: if the token
        that ends a text is the padding, too, the model never learns to end.

    Returns
    -------
    inputs, targets : Tensor of int64, shape (..., T − 1)
        ``targets[..., t]`` is the token after ``inputs[..., t]``, and −100 where that is padding.

    Raises
    ------
    ValueError
        If a row has fewer than two tokens.
    TypeError
        If ``ids`` are not whole numbers.

    Examples
    --------
    >>> causal_lm(torch.tensor([[3, 1, 4, 0]]), pad_id=0)
    (tensor([[3, 1, 4]]), tensor([[   1,    4, -100]]))
    """
    _require_whole_numbers(ids=ids)
    if ids.ndim == 0 or ids.shape[-1] < 2:
        raise ValueError(f"ids must hold at least 2 tokens in a row, got shape {tuple(ids.shape)}")
    inputs, targets = ids[..., :-1].long().clone(), ids[..., 1:].long().clone()
    if pad_id is not None:
        targets[targets == _require_int("pad_id", pad_id)] = IGNORE
    return inputs, targets
