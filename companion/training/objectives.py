r"""What training minimises: sums over targets, and how many targets there are.

This file adds: ``Objective``, what `train` asks of an objective, and ``TokenLoss``, the
cross-entropy of each target, which is the usual one.

A step may be spread over several micro-batches, and each of them over several processes. Its loss
is the mean over all targets of the step,

.. math:: L = \sum_{\text{terms}} \frac{\sum_m s_m}{\sum_m n_m}

with :math:`s_m` the sum of a term over the targets of micro-batch m and :math:`n_m` their number.
The mean of the means :math:`s_m / n_m` is another number wherever the :math:`n_m` differ, as they
do with padding. So an objective gives sums, and says beforehand how many targets it will count.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from companion._arguments import _require_int, _require_number
from companion.losses import IGNORE, cross_entropy

__all__ = ["Objective", "TokenLoss", "added", "means", "require_counts", "share_of_mean"]

Model = Callable[..., Any]
# What a record of the history has besides; a term of this name would be lost.
TAKEN = {"step", "lr", "grad_norm", "tokens", "seconds", "skipped", "held_out"}


@runtime_checkable
class Objective(Protocol):
    """What is minimised: a sum of terms, each a mean over targets of its own."""

    def count(self, batch: Any) -> dict[str, int]:
        """Return the number of targets of each term, without asking the model."""

    def __call__(self, model: Model, batch: Any) -> dict[str, Tensor]:
        """Return the sum of each term over its targets, in nats, one number each."""


class TokenLoss:
    r"""Cross-entropy of each target that is not ignored: ``{"loss": sum}``.

    A batch is ``(inputs, targets)``; what stands before the targets is handed to the model, which
    returns logits of shape (..., V) for targets of shape (...).

    Parameters
    ----------
    label_smoothing : float
        From 0 to 1, as for `companion.losses.cross_entropy`.
    ignore_index : int
        Targets of this value do not count.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no number or out of range.

    Examples
    --------
    >>> import torch
    >>> batch = torch.tensor([[1, 2, 3]]), torch.tensor([[2, 3, -100]])
    >>> TokenLoss().count(batch)
    {'loss': 2}
    >>> TokenLoss()(lambda ids: torch.zeros(*ids.shape, 4), batch)  # 2 ln 4
    {'loss': tensor(2.7726)}
    """

    def __init__(self, label_smoothing: float = 0.0, ignore_index: int = IGNORE):
        if not 0 <= _require_number("label_smoothing", label_smoothing) <= 1:
            raise ValueError(f"label_smoothing must be from 0 to 1, got {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.ignore_index = _require_int("ignore_index", ignore_index)

    def count(self, batch: tuple[Tensor, ...]) -> dict[str, int]:
        """Return how many targets count."""
        *_, targets = _require_pair(batch)
        return {"loss": int((targets != self.ignore_index).sum())}

    def __call__(self, model: Model, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Return the sum over the targets."""
        *inputs, targets = _require_pair(batch)  # (B, T) each
        logits = model(*inputs)  # (B, T, V)
        total = cross_entropy(
            logits,
            targets,
            label_smoothing=self.label_smoothing,
            ignore_index=self.ignore_index,
            reduction="sum",
        )
        return {"loss": total}


def _require_pair(batch: Any) -> tuple[Tensor, ...]:
    if not isinstance(batch, (tuple, list)) or len(batch) < 2:
        raise TypeError(
            f"batch must be (inputs, targets), got {type(batch).__name__}; "
            "batches of another form need an objective of their own"
        )
    return tuple(batch)


# -- the mean over all targets -------------------------------------------------------------------


def share_of_mean(terms: dict[str, Tensor], counts: dict[str, float]) -> Tensor:
    """Return what one micro-batch adds to the mean loss of its step.

    Parameters
    ----------
    terms : dict of str to Tensor
        The sums over the targets of the micro-batch.
    counts : dict of str to number
        How many targets each term has in the whole step. Where there are none its sum is 0, and
        stays so.

    Returns
    -------
    Tensor
        One number.

    Raises
    ------
    ValueError
        If the two do not name the same terms.

    Examples
    --------
    >>> import torch
    >>> share_of_mean({"loss": torch.tensor(6.0)}, {"loss": 12})
    tensor(0.5000)
    """
    if terms.keys() != counts.keys():
        raise ValueError(
            f"an objective must count the terms that it returns, "
            f"got {sorted(counts)} and {sorted(terms)}"
        )
    # A term is never left out: several processes wait for the gradients of all that was computed.
    shares = [terms[name] / max(n, 1) for name, n in counts.items()]
    return sum(shares[1:], start=shares[0])


def means(sums: dict[str, float], counts: dict[str, float]) -> dict[str, float]:
    """Return the mean of each term over its targets, and as ``"loss"`` the sum of these means.

    Parameters
    ----------
    sums, counts : dict of str to number
        Of all micro-batches and processes. The mean of a term without targets is 0.

    Returns
    -------
    dict

    Examples
    --------
    >>> means({"mlm": 6.0, "nsp": 1.0}, {"mlm": 3, "nsp": 2})
    {'mlm': 2.0, 'nsp': 0.5, 'loss': 2.5}
    """
    each = {name: sums[name] / n if n else 0.0 for name, n in counts.items()}
    return {**each, "loss": sum(each.values())}


def added(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Add up numbers name by name.

    Parameters
    ----------
    parts : iterable of dict

    Returns
    -------
    dict

    Examples
    --------
    >>> added([{"loss": 3}, {"loss": 4}])
    {'loss': 7}
    """
    total: dict[str, Any] = {}
    for part in parts:
        for name, number in part.items():
            total[name] = total[name] + number if name in total else number
    return total


def require_counts(counts: Any) -> dict[str, int]:
    """Return the numbers of targets, after a look at what an objective has counted.

    Parameters
    ----------
    counts : dict of str to int

    Returns
    -------
    dict

    Raises
    ------
    TypeError
        If it is no dict, or a number is no whole one.
    ValueError
        If there are no terms, a number is negative, or the name of a term is taken: that of one
        among several must not be ``"loss"``, which is their sum.
    """
    if not isinstance(counts, dict):
        raise TypeError(f"count must return a dict, got {type(counts).__name__}")
    for name, n in counts.items():
        _require_int(f"the number of targets of {name!r}", n, least=0)
    taken = TAKEN | ({"loss"} if len(counts) > 1 else set())
    if not counts or taken & counts.keys():
        raise ValueError(f"terms must have names that are not among {sorted(taken)}, got {counts}")
    return counts
