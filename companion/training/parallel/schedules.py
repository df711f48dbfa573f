r"""Who does what when in a pipeline of stages: schedules, and a clock.

This file adds: two schedules, which say what each stage does and in which order (GPipe, Huang et
al. 2019, section 2.2; 1F1B, Narayanan et al. 2021, section 2.2.1); and a clock that shows when each
stage works and how long it stands idle.

Letters: ``p`` stages, one a process; ``m`` micro-batches, the parts of the batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

from companion._arguments import _require_int

__all__ = ["Action", "gpipe", "one_forward_one_backward", "timeline", "idle_share"]


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


def timeline(
    schedules: Sequence[Sequence[Action]], *, forward: float = 1.0, backward: float = 2.0
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
    (0.0, 1.0, 4.0)
    """
    lasts = {"forward": forward, "backward": backward}
    begins: list[dict[Action, float]] = [{} for _ in schedules]
    clocks = [0.0] * len(schedules)
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
    schedules: Sequence[Sequence[Action]], *, forward: float = 1.0, backward: float = 2.0
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
