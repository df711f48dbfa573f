r"""Several processes on one machine, each with a `Communicator`.

This file adds: ``run``, which starts processes, waits for what they return, and ends all of them
if one fails; and ``WorkerError``, which then says which one, and why. The same functions would run
on several machines; what starts them there (``torchrun``, Slurm) is no matter of this book.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import connection
from typing import Any

import torch
import torch.distributed as dist

from companion._arguments import _require_int, _require_number
from companion.training.parallel.communicator import Communicator

__all__ = ["run", "WorkerError"]

#: How long others may still say why, once one process has lost its connection to another.
GRACE = 5.0


class WorkerError(RuntimeError):
    """A process that `run` started has failed or was killed.

    Attributes
    ----------
    rank : int
        Which one.
    """

    def __init__(self, message: str, rank: int) -> None:
        super().__init__(message)
        self.rank = rank


def run(
    function: Callable[..., Any],
    n_processes: int,
    *args: Any,
    timeout: float = 60.0,
    start: str | None = None,
) -> list[Any]:
    r"""Call ``function(communicator, *args)`` in several processes at once.

    Each process computes on one thread, and its generator of random numbers begins at seed 0, so
    that all draw the same.

    Parameters
    ----------
    function : callable
        What each process does. `Communicator.rank` tells it which one it is.
    n_processes : int
        At least 1.
    *args
        Passed on to every process.
    timeout : float
        Seconds after which the processes are ended.
    start : {"fork", "spawn"}, optional
        Whether a process starts as a copy of this one, at once, or anew, which takes seconds and
        needs a ``function`` that stands in a file. By default a copy where that is safe: on Linux
        without a GPU.

    Returns
    -------
    list
        What the function returned in each process, in their order.

    Raises
    ------
    TypeError
        If ``function`` is no function, or a number is none.
    ValueError
        If ``n_processes`` is below 1, ``timeout`` is not positive, or ``start`` is unknown.
    WorkerError
        If a process raises an error or is killed. The others have been ended then.
    TimeoutError
        If they need longer than ``timeout``. All have been ended then.

    Examples
    --------
    >>> def total(communicator):
    ...     return communicator.all_reduce(torch.tensor(communicator.rank + 1)).item()
    >>> run(total, 3, start="fork") if sys.platform == "linux" else [6, 6, 6]  # 1 + 2 + 3
    [6, 6, 6]
    """
    _require_run(function, n_processes, timeout, start)
    start = start or _safe_start()
    deadline = time.monotonic() + timeout
    workers: list[Any] = []
    pipes: list[connection.Connection] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        try:
            for rank in range(n_processes):
                place = (rank, n_processes, os.path.join(folder, "store"), timeout)
                worker, pipe = _start(start, function, args, place)
                workers.append(worker)
                pipes.append(pipe)
            return _collect(workers, pipes, deadline, timeout)
        finally:
            _end(workers, pipes)


def _safe_start() -> str:
    # A copied process cannot use a GPU, nor backpropagate once its parent did so beside one.
    return "fork" if sys.platform == "linux" and not torch.cuda.is_available() else "spawn"


def _start(
    start: str, function: Callable[..., Any], args: tuple[Any, ...], place: tuple[Any, ...]
) -> tuple[Any, connection.Connection]:
    """Start a process; return it, and the end of the pipe from which its answer comes."""
    context: Any = multiprocessing.get_context(start)
    ours, theirs = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(theirs, function, args, *place), daemon=True)
    with warnings.catch_warnings():
        # Python warns that a copy lacks the threads of its parent; the copy needs none of them.
        warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
        worker.start()
    theirs.close()  # so that the pipe ends when the process does
    return worker, ours


def _work(
    answer: connection.Connection,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    rank: int,
    size: int,
    store: str,
    timeout: float,
) -> None:
    """Be one of the processes: join the others, call the function, send what it returns."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    try:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{store}",
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=2 * timeout),  # `run` is to notice first
        )
        communicator = Communicator(range(size), rank)
        result = function(communicator, *args)
        communicator.wait()
        reply = pickle.dumps(("done", result))
    except BaseException as error:
        kind = "lost" if isinstance(error, ConnectionError) else "failed"
        reply = pickle.dumps((kind, traceback.format_exc()))
    answer.send_bytes(reply)
    with contextlib.suppress(Exception):
        dist.barrier()  # nobody leaves while another may still be receiving from it
        dist.destroy_process_group()


def _collect(
    workers: list[Any], pipes: list[connection.Connection], deadline: float, timeout: float
) -> list[Any]:
    """Return all results, or raise an error as soon as it is known which process is to blame."""
    results: dict[int, Any] = {}
    lost: dict[int, str] = {}
    while len(results) + len(lost) < len(workers):
        open_pipes = {p: r for r, p in enumerate(pipes) if r not in results and r not in lost}
        ready = connection.wait(list(open_pipes), max(0.0, deadline - time.monotonic()))
        for pipe in ready:
            rank = open_pipes[pipe]  # type: ignore[index]
            kind, content = _answer(workers[rank], pipes[rank])
            if kind == "failed":
                raise _failure(rank, len(workers), content)
            (results if kind == "done" else lost)[rank] = content
        if lost:  # another process must have failed before; it may not have said so yet
            deadline = min(deadline, time.monotonic() + GRACE)
        if not ready and not lost:
            late = ", ".join(map(str, sorted(open_pipes.values())))
            raise TimeoutError(f"after {timeout:g} s these processes had not ended: {late}")
        if not ready:
            break
    for rank, content in sorted(lost.items()):
        raise _failure(rank, len(workers), content)
    return [results[rank] for rank in range(len(workers))]


def _answer(worker: Any, pipe: connection.Connection) -> tuple[str, Any]:
    """Return what a process says, or, if it says nothing more, how it ended."""
    try:
        return pickle.loads(pipe.recv_bytes())  # from a process of our own
    except EOFError:
        worker.join()
        code = worker.exitcode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return "failed", f"it ended with {how} before it returned anything"


def _failure(rank: int, size: int, why: str) -> WorkerError:
    return WorkerError(f"process {rank} of {size} failed: {why}", rank)


def _end(workers: list[Any], pipes: list[connection.Connection]) -> None:
    """End all processes that have not ended by themselves."""
    for worker, pipe in zip(workers, pipes, strict=True):
        worker.join(timeout=0 if sys.exc_info()[0] else 1)
        worker.kill()
        worker.join()
        pipe.close()


def _require_run(
    function: Callable[..., Any], n_processes: int, timeout: float, start: str | None
) -> None:
    if not callable(function):
        raise TypeError(f"function must be a function, got {function!r}")
    _require_int("n_processes", n_processes, least=1)
    if not 0 < _require_number("timeout", timeout) < float("inf"):
        raise ValueError(f"timeout must be a positive number of seconds, got {timeout}")
    if start not in (None, "fork", "spawn"):
        raise ValueError(f'start must be "fork" or "spawn", got {start!r}')
    main = sys.modules["__main__"]
    in_notebook = getattr(function, "__module__", "") == "__main__" and not hasattr(
        main, "__file__"
    )
    if in_notebook and (start or _safe_start()) == "spawn":
        raise ValueError("function must stand in a file: a process that starts anew must import it")
    if dist.is_initialized():
        raise ValueError("run must not be called in a process that is one of several already")
