r"""Data parallelism: every process has the whole model, and a share of the batch.

This file adds: the share of a batch; the loss whose gradients only have to be added up; and the
sum of gradients over all processes. After it every process takes the same step, so that the
models stay equal without ever being sent again. (PyTorch's ``DistributedDataParallel``, Li et al.
2020, sends gradients in buckets while the backward pass still runs, and takes the mean over
processes, which is the same only if all have equally many targets.)
"""

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from companion._arguments import _require_int
from companion._tensors import _require_tensors
from companion.training.parallel.communicator import Communicator

__all__ = ["batch_share", "share_of_loss", "copy_parameters", "sum_gradients"]


def batch_share(
    batch: Shaped[Tensor, "batch ..."], communicator: Communicator
) -> Shaped[Tensor, "share ..."]:
    r"""Return this process's share of a batch.

    Parameters
    ----------
    batch : Tensor, shape (B, ...)
        The same in every process.
    communicator : Communicator

    Returns
    -------
    Tensor, shape (B/n, ...)
        If :math:`n` does not divide :math:`B`, the first processes get one row more.

    Raises
    ------
    ValueError
        If there are fewer rows than processes.

    Examples
    --------
    >>> batch_share(torch.arange(5), Communicator([0, 1], 1))
    tensor([3, 4])
    """
    _require_tensors(batch=batch)
    if batch.ndim == 0 or len(batch) < communicator.size:
        raise ValueError(
            f"batch must have a row for each of {communicator.size} processes, "
            f"got shape {tuple(batch.shape)}"
        )
    return batch.tensor_split(communicator.size)[communicator.rank]


def share_of_loss(
    loss_sum: Float[Tensor, ""], n_targets: int, communicator: Communicator
) -> Float[Tensor, ""]:
    r"""Return what this process adds to the mean loss of the whole batch.

    .. math:: \frac{1}{\sum_r M_r} \sum_{i=1}^{M_r} \ell_i

    The sum over all processes is the mean over all targets, even if padding has left one process
    fewer targets :math:`M_r` than another. So gradients have to be added up, and no more.

    Parameters
    ----------
    loss_sum : Tensor
        Sum of the losses of this process's targets.
    n_targets : int
        Number of its targets :math:`M_r`, which may be 0.
    communicator : Communicator

    Returns
    -------
    Tensor
        A scalar, on which ``backward`` can be called.

    Raises
    ------
    ValueError
        If no process has a target, or ``n_targets`` is negative.

    Examples
    --------
    >>> share_of_loss(torch.tensor(6.0), 3, Communicator([0], 0))
    tensor(2.)
    """
    _require_int("n_targets", n_targets, least=0)
    n_all = int(communicator.all_reduce(torch.tensor(n_targets)))
    if n_all == 0:
        raise ValueError("n_targets must be above 0 in one process at least")
    return loss_sum / n_all


@torch.no_grad()
def copy_parameters(model: nn.Module, communicator: Communicator) -> None:
    r"""Give every process the parameters of process 0, so that all begin with the same model.

    Parameters
    ----------
    model : nn.Module
        Is changed.
    communicator : Communicator

    Examples
    --------
    >>> copy_parameters(nn.Linear(2, 2), Communicator([0], 0))
    """
    _replace([p.data for p in model.parameters()], communicator.broadcast)


def sum_gradients(parameters: Iterable[Tensor], communicator: Communicator) -> None:
    r"""Replace every gradient by its sum over all processes.

    All gradients of one type go as one long vector: a message has costs of its own, and 100
    small ones take longer than a large one.

    Parameters
    ----------
    parameters : iterable of Tensor
        In the same order everywhere; one without gradient must have none in any process.
    communicator : Communicator

    Examples
    --------
    >>> weight = torch.ones(2, requires_grad=True)
    >>> weight.sum().backward()
    >>> sum_gradients([weight], Communicator([0], 0))
    >>> weight.grad
    tensor([1., 1.])
    """
    _replace([p.grad for p in parameters if p.grad is not None], communicator.all_reduce)


def _replace(tensors: list[Tensor], operation: Callable[[Tensor], Tensor]) -> None:
    """Write into tensors what an operation makes of their numbers, in one message for each type."""
    for dtype in dict.fromkeys(t.dtype for t in tensors):
        alike = [t for t in tensors if t.dtype == dtype]
        result = operation(torch.cat([t.flatten() for t in alike]))
        for t, part in zip(alike, result.split([t.numel() for t in alike]), strict=True):
            t.copy_(part.view_as(t))
