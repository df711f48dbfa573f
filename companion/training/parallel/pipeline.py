r"""Pipeline parallelism: each process has some of the layers, and a batch comes in small parts.

This file adds: two schedules, which say what each stage does and in which order (GPipe, Huang et
al. 2019; 1F1B, Narayanan et al. 2021, section 2.2); the step that follows one, sending
activations forward and gradients backward; and a clock that shows how long stages stand idle.

Letters: ``p`` stages, one a process; ``m`` micro-batches, the parts of the batch.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxtyping import Shaped
from torch import Tensor, nn

from companion._arguments import _require_int
from companion._tensors import _require_tensors
from companion.training.parallel.communicator import Communicator

__all__ = [
    "Action",
    "gpipe",
    "one_forward_one_backward",
    "micro_batches",
    "stage_layers",
    "PipelineStep",
    "pipeline_step",
    "timeline",
    "idle_share",
]


class Action(NamedTuple):
    """What a stage does at a time: one direction, for one micro-batch."""

    direction: str
    """Either ``"forward"`` or ``"backward"``."""
    micro_batch: int
    """Its number, from 0."""


def gpipe(stage: int, p: int, m: int) -> list[Action]:
    r"""Return what a stage does: first all micro-batches forward, then all backward.

    A stage keeps the activations of all :math:`m` until their gradients come.

    Parameters
    ----------
    stage : int
        From 0, which reads the batch, to :math:`p - 1`, which computes the loss.
    p, m : int
        Number of stages and of micro-batches.

    Returns
    -------
    list of Action

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> [f"{direction[0]}{i}" for direction, i in gpipe(0, p=2, m=3)]
    ['f0', 'f1', 'f2', 'b0', 'b1', 'b2']
    """
    _require_pipeline(stage, p, m)
    return [Action(direction, i) for direction in ("forward", "backward") for i in range(m)]


def one_forward_one_backward(stage: int, p: int, m: int) -> list[Action]:
    r"""Return what a stage does if it goes backward as soon as it can (1F1B).

    It begins with as many micro-batches as there are stages from it to the end, then takes turns.
    So it keeps the activations of at most :math:`p` micro-batches, however many there are.

    Parameters
    ----------
    stage : int
        From 0, which reads the batch, to :math:`p - 1`, which computes the loss.
    p, m : int
        Number of stages and of micro-batches.

    Returns
    -------
    list of Action

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> [f"{d[0]}{i}" for d, i in one_forward_one_backward(0, p=2, m=4)]
    ['f0', 'f1', 'b0', 'f2', 'b1', 'f3', 'b2', 'b3']
    """
    _require_pipeline(stage, p, m)
    ahead = min(p - stage, m)
    actions = [Action("forward", i) for i in range(ahead)]
    for i in range(m):
        actions.append(Action("backward", i))
        if ahead + i < m:
            actions.append(Action("forward", ahead + i))
    return actions


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


def timeline(
    schedules: Sequence[Sequence[Action]], *, forward: float = 1, backward: float = 2
) -> list[dict[Action, float]]:
    r"""Return when each stage begins each of its actions, if sending takes no time.

    A stage waits for the activations of the stage before it, and for the gradients of the one
    after it.

    Parameters
    ----------
    schedules : sequence of sequence of Action
        One for each stage.
    forward, backward : float
        How long an action takes. Backward costs twice the operations of forward.

    Returns
    -------
    list of dict
        For each stage, the time at which each action begins.

    Raises
    ------
    ValueError
        If stages would wait for one another for ever.

    Examples
    --------
    >>> one, two = timeline([gpipe(stage, p=2, m=1) for stage in range(2)])
    >>> one[Action("forward", 0)], two[Action("forward", 0)], one[Action("backward", 0)]
    (0, 1, 4)
    """
    lasts = {"forward": forward, "backward": backward}
    begins: list[dict[Action, float]] = [{} for _ in schedules]
    clocks: list[float] = [0] * len(schedules)
    while any(len(b) < len(s) for b, s in zip(begins, schedules, strict=True)):
        before = sum(map(len, begins))
        for stage, schedule in enumerate(schedules):
            for action in schedule[len(begins[stage]) :]:
                neighbour = stage - 1 if action.direction == "forward" else stage + 1
                if 0 <= neighbour < len(schedules):
                    if action not in begins[neighbour]:
                        break
                    arrives = begins[neighbour][action] + lasts[action.direction]
                    clocks[stage] = max(clocks[stage], arrives)
                begins[stage][action] = clocks[stage]
                clocks[stage] += lasts[action.direction]
        if sum(map(len, begins)) == before:
            raise ValueError("schedules must not let each stage wait for another")
    return begins


def idle_share(
    schedules: Sequence[Sequence[Action]], *, forward: float = 1, backward: float = 2
) -> float:
    r"""Return the share of the time in which stages stand idle: the bubble.

    Parameters
    ----------
    schedules, forward, backward
        As for `timeline`.

    Returns
    -------
    float
        Of the time from the first action to the last, averaged over stages.

    Raises
    ------
    ValueError
        If stages would wait for one another for ever.

    Examples
    --------
    >>> idle_share([gpipe(stage, p=4, m=12) for stage in range(4)])  # 3 / (12 + 3)
    0.2
    """
    lasts = {"forward": forward, "backward": backward}
    begins = timeline(schedules, forward=forward, backward=backward)
    ends = [b + lasts[action.direction] for stage in begins for action, b in stage.items()]
    busy = sum(lasts[action.direction] for schedule in schedules for action in schedule)
    whole = len(schedules) * max(ends)
    return (whole - busy) / whole


def _require_pipeline(stage: int, p: int, m: int) -> None:
    _require_int("p", p, least=1)
    _require_int("m", m, least=1)
    _require_int("stage", stage, least=0, most=p - 1)


def _require_like(y: Tensor, like: Tensor) -> None:
    if (y.shape, y.dtype) != (like.shape, like.dtype):
        raise ValueError(
            f"like must be what a stage hands on, {tuple(y.shape)} of {y.dtype}, "
            f"got {tuple(like.shape)} of {like.dtype}"
        )
