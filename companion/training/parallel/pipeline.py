r"""Pipeline parallelism: each process has some of the layers, and a batch comes in small parts.

This file adds: the layers of a stage, the parts of a batch, and a step, in which each stage does
what its schedule says (`companion.training.parallel.schedules`): activations are sent forward to
the next stage, and gradients backward to the one before.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxtyping import Shaped
from torch import Tensor, nn

from companion._arguments import _require_int
from companion._tensors import _require_tensors
from companion.training.parallel.communicator import Communicator
from companion.training.parallel.schedules import Action

__all__ = ["micro_batches", "stage_layers", "PipelineStep", "pipeline_step"]


def micro_batches(batch: Shaped[Tensor, "batch ..."], m: int) -> list[Tensor]:
    r"""Cut a batch into :math:`m` equal parts.

    Parameters
    ----------
    batch : Tensor, shape (B, ...)
    m : int

    Returns
    -------
    list of Tensor, each of shape (B/m, ...)

    Raises
    ------
    ValueError
        If :math:`m` does not divide :math:`B`.

    Examples
    --------
    >>> import torch
    >>> micro_batches(torch.arange(4), 2)
    [tensor([0, 1]), tensor([2, 3])]
    """
    _require_tensors(batch=batch)
    _require_int("m", m, least=1)
    if batch.ndim == 0 or len(batch) == 0 or len(batch) % m:
        raise ValueError(f"batch must have a multiple of {m} rows, got {tuple(batch.shape)}")
    return list(batch.chunk(m))


def stage_layers(layers: Sequence[nn.Module], communicator: Communicator) -> nn.Sequential:
    r"""Return the layers of this process's stage, as many as every other has.

    Parameters
    ----------
    layers : sequence of nn.Module
        Each takes what the one before returns, and returns a tensor of the same shape.
    communicator : Communicator

    Returns
    -------
    nn.Sequential

    Raises
    ------
    ValueError
        If the number of stages does not divide the number of layers.

    Examples
    --------
    >>> stage_layers([nn.Tanh(), nn.ReLU()], Communicator([0, 1], 1))
    Sequential(
      (0): ReLU()
    )
    """
    each, rest = divmod(len(layers), communicator.size)
    if rest or not each:
        raise ValueError(
            f"layers must be divisible among {communicator.size} stages, got {len(layers)}"
        )
    return nn.Sequential(*list(layers)[communicator.rank * each :][:each])


class PipelineStep(NamedTuple):
    """What one stage did in a step."""

    losses: list[Tensor]
    """Of each micro-batch, in the last stage; empty in the others."""
    actions: list[Action]
    """In the order in which they were done."""
    most_stored: int
    """The most micro-batches whose activations were kept at once."""


def pipeline_step(
    stage: nn.Module,
    schedule: Sequence[Action],
    communicator: Communicator,
    parts: Sequence[Tensor],
    like: Tensor,
    loss: Callable[[Tensor, int], Tensor],
) -> PipelineStep:
    r"""Compute the gradients of this stage's parameters, following a schedule.

    They are added to what stands in ``grad``, as ``backward`` always does.

    Parameters
    ----------
    stage : nn.Module
        The layers of this process.
    schedule : sequence of Action
        Of this stage, such as `gpipe` returns it.
    communicator : Communicator
        Its processes are the stages, in their order.
    parts : sequence of Tensor
        What the first stage reads, for each micro-batch. The other stages do not look at it.
    like : Tensor
        Any tensor of the shape and type that one stage hands to the next.
    loss : function
        Makes of the last stage's output, and the number of a micro-batch, what that adds to the
        loss of the batch.

    Returns
    -------
    PipelineStep

    Raises
    ------
    ValueError
        If a stage returns another shape or type than ``like``, or ``parts`` is not one for each
        micro-batch.
    """
    n_parts = 1 + max((i for _, i in schedule), default=-1)
    if len(parts) != n_parts:
        raise ValueError(f"parts must be one for each of {n_parts} micro-batches, got {len(parts)}")
    first, last = communicator.rank == 0, communicator.rank == communicator.size - 1
    stored: dict[int, tuple[Tensor, Tensor]] = {}
    losses, done, most = [], [], 0
    for action in schedule:
        direction, i = action
        if direction == "forward":
            x = parts[i] if first else communicator.recv(like, communicator.rank - 1)
            y = stage(x if first else x.requires_grad_())
            if last:
                y = loss(y, i)
                losses.append(y.detach())
            else:
                _require_like(y, like)
                communicator.send(y, communicator.rank + 1)
            stored[i] = x, y
            most = max(most, len(stored))
        else:
            x, y = stored.pop(i)
            y.backward(None if last else communicator.recv(y, communicator.rank + 1))
            if not first:
                assert x.grad is not None
                communicator.send(x.grad, communicator.rank - 1)
        done.append(action)
    communicator.wait()
    return PipelineStep(losses, done, most)


def _require_like(y: Tensor, like: Tensor) -> None:
    if (y.shape, y.dtype) != (like.shape, like.dtype):
        raise ValueError(
            f"like must be what a stage hands on, {tuple(y.shape)} of {y.dtype}, "
            f"got {tuple(like.shape)} of {like.dtype}"
        )
