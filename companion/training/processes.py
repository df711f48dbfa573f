r"""Several processes, one model: the only place that knows how many train it together.

This file adds: `world`, which process this is and of how many; `sum_over_processes`, numbers added
up over all of them; and how they stay together: `any_process`, `gathered`, `from_first`,
`together`, `require_alike`. All of them ask ``torch.distributed``. Where it was not begun (see
`process_group`), one process is the whole world, all sums are its own, and they do nothing.

What one process is asked here the others must be asked, too, in the same order: each waits for all.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import torch
import torch.distributed as dist

__all__ = [
    "ProcessError",
    "World",
    "any_process",
    "from_first",
    "gathered",
    "require_alike",
    "sum_over_processes",
    "together",
    "world",
]

T = TypeVar("T")


class ProcessError(RuntimeError):
    """Another process has failed; the message says which one, and why."""


class World(NamedTuple):
    """Which process this is, from 0, and how many there are."""

    rank: int
    size: int


def world() -> World:
    """Return which process this is, and of how many.

    Returns
    -------
    World

    Examples
    --------
    >>> world()
    World(rank=0, size=1)
    """
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return World(rank=0, size=1)


def sum_over_processes(numbers: dict[str, float]) -> dict[str, float]:
    """Add up numbers over all processes, name by name.

    Parameters
    ----------
    numbers : dict of str to number
        With the same names in all processes.

    Returns
    -------
    dict
        The same in all processes; the sum of whole numbers is one.

    Examples
    --------
    >>> sum_over_processes({"loss": 12})
    {'loss': 12}
    """
    if world().size == 1:
        return numbers
    order = sorted(numbers)
    total = torch.tensor([numbers[name] for name in order], dtype=torch.float64, device=_device())
    dist.all_reduce(total)
    sums = dict(zip(order, total.tolist(), strict=True))
    return {name: type(number)(sums[name]) for name, number in numbers.items()}


def _device() -> torch.device:
    """Return where the processes can exchange numbers; NCCL does so on GPUs only."""
    if dist.get_backend() == "nccl":
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def any_process(flag: bool) -> bool:
    """Tell all processes whether something is so in any of them.

    Parameters
    ----------
    flag : bool
        Whether it is so in this one.

    Returns
    -------
    bool

    Examples
    --------
    >>> any_process(False)
    False
    """
    return bool(sum_over_processes({"flag": int(flag)})["flag"])


def gathered(thing: T) -> list[T]:
    """Return what each process has, by rank.

    Parameters
    ----------
    thing
        What can be pickled.

    Returns
    -------
    list

    Examples
    --------
    >>> gathered("a")
    ['a']
    """
    found: list[Any] = [thing] * world().size
    if len(found) > 1:
        dist.all_gather_object(found, thing)
    return found


def from_first(make: Callable[[], T]) -> T:
    """Let the first process make something, and give it to all.

    Parameters
    ----------
    make : callable

    Returns
    -------
    What it returned in the first process.

    Raises
    ------
    ProcessError
        If it has failed there; there it raises what it has raised.

    Examples
    --------
    >>> from_first(lambda: "a checkpoint")
    'a checkpoint'
    """
    made: list[Any] = [None]
    with together():
        if world().rank == 0:
            made[0] = make()
    if world().size > 1:
        dist.broadcast_object_list(made, src=0)
    return made[0]


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Let an error of one process be an error of all at the end of a block, so that none waits.

    Nothing else that waits for other processes may stand in the block.

    Yields
    ------
    None

    Raises
    ------
    ProcessError
        If another process has failed.

    Examples
    --------
    >>> with together():
    ...     print("all is well")
    all is well
    """
    failed: Exception | None = None
    try:
        yield
    except Exception as error:
        failed = error
    if world().size > 1:
        complaints = gathered(None if failed is None else f"{type(failed).__name__}: {failed}")
        for rank, complaint in enumerate(complaints):
            if failed is None and complaint is not None:
                raise ProcessError(f"process {rank} of {len(complaints)} has failed: {complaint}")
    if failed is not None:
        raise failed


def require_alike(**things: Any) -> None:
    """Refuse to go on where processes differ that must not.

    Parameters
    ----------
    **things
        What must be equal in all processes, by name.

    Raises
    ------
    ValueError
        In all processes; the message names the first thing that differs.

    Examples
    --------
    >>> require_alike(steps=100)
    """
    first, *others = gathered(things)
    for rank, other in enumerate(others, start=1):
        for name in things:
            if other[name] != first[name]:
                raise ValueError(
                    f"{name} must be the same in all processes, got {first[name]!r} in process 0 "
                    f"and {other[name]!r} in process {rank}"
                )
