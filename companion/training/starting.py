r"""Joining the processes that ``torchrun`` has started.

This file adds: `process_group`, a block in which they know of one another, and `device_of`, where
each of them trains. ``torchrun`` starts the same program several times, and tells each process by
environment variables which one it is.
"""

import contextlib
import os
import sys
from collections.abc import Iterator

import torch
import torch.distributed as dist

from companion._arguments import _require_text
from companion.device import pick_device
from companion.training.processes import World, any_process, world

__all__ = ["device_of", "process_group"]

RANKS = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
NEEDED = (*RANKS, "MASTER_ADDR", "MASTER_PORT")


@contextlib.contextmanager
def process_group(device: str | None = None) -> Iterator[World]:
    r"""Join the processes that ``torchrun`` has started; do nothing if it has started none.

    In this block `train` and `evaluate` work for all processes together. A GPU is given to each:
    that of its ``LOCAL_RANK``.

    Parameters
    ----------
    device : str, optional
        ``"cpu"`` for processes that compute there; by default GPUs are used where they are.

    Yields
    ------
    World
        Which process this is, and of how many.

    Raises
    ------
    ValueError
        If only a part of what ``torchrun`` sets is set, or numbers do not fit one another, or
        there are fewer GPUs than processes.

    Examples
    --------
    In a file ``run.py``, started by ``torchrun --nproc-per-node=2 run.py``:

    >>> with process_group() as world:
    ...     print(f"process {world.rank} of {world.size}")
    process 0 of 1
    """
    if not _is_started() or dist.is_initialized():
        yield world()
        return
    backend = _backend(device)
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        # All on one machine, whose own name need not be known to any network.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    dist.init_process_group(backend)
    try:
        yield world()
        any_process(False)  # nobody leaves while another still needs it
    finally:
        dist.destroy_process_group()


def _is_started() -> bool:
    """Tell whether this is one of several processes, after a look at the environment."""
    if not any(name in os.environ for name in RANKS):
        return False
    missing = [name for name in NEEDED if name not in os.environ]
    if missing:
        raise ValueError(
            f"the environment lacks {', '.join(missing)}, which torchrun sets beside "
            f"{', '.join(name for name in NEEDED if name in os.environ)}: start all processes "
            "with torchrun, or unset these variables to train in one process"
        )
    numbers = {name: _number(name) for name in RANKS}
    if max(numbers["RANK"], numbers["LOCAL_RANK"]) >= numbers["WORLD_SIZE"]:
        raise ValueError(f"RANK and LOCAL_RANK must be below WORLD_SIZE, got {numbers}")
    return True


def _number(name: str) -> int:
    text = os.environ[name]
    if not text.isdecimal():
        raise ValueError(f"the environment variable {name} must be a whole number, got {text!r}")
    return int(text)


def _backend(device: str | None) -> str:
    """Return how processes exchange tensors; take the GPU of this process."""
    on_cpu = device is not None and torch.device(_require_text(device, "device")).type == "cpu"
    if on_cpu or not torch.cuda.is_available():
        return "gloo"
    card, cards = _number("LOCAL_RANK"), torch.cuda.device_count()
    if card >= cards:
        raise ValueError(
            f"the process of LOCAL_RANK {card} has no GPU: this machine has {cards}. Start at most "
            f"{cards} processes a machine (--nproc-per-node={cards}), or train on device='cpu'"
        )
    torch.cuda.set_device(card)
    return "cpu:gloo,cuda:nccl"


def device_of(name: str | None) -> torch.device:
    """Return where this process trains; of several each has a GPU of its own.

    Parameters
    ----------
    name : str or None
        As in `TrainConfig`.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If this machine has no such device, or several processes cannot train there.

    Examples
    --------
    >>> device_of("cpu")
    device(type='cpu')
    """
    device = pick_device(name)
    if world().size == 1 or device.type == "cpu":
        return device
    if device.type != "cuda":
        raise ValueError(f"device must be 'cpu' or 'cuda' for several processes, got {device.type}")
    own = torch.device("cuda", torch.cuda.current_device())
    if device.index not in (None, own.index):
        raise ValueError(
            f"device must be 'cuda', without a number, for several processes, got {str(device)!r}: "
            f"this one has GPU {own.index}"
        )
    return own
