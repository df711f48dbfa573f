"""Grades many submissions side by side, each watched by a process of its own.

These split off from a server that has PyTorch and the companion in memory and nothing else, so
that each starts in a moment and knows of no other submission.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from typing import Any

from assign.sandbox import walls
from assign.sandbox.walls import Limits

__all__ = ["Job", "warm_up", "grade_all"]

PRELOAD = "assign.sandbox.warm"
KEPT = (*walls.KEPT, "PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "COMPANION_QUIET")


@dataclass(frozen=True)
class Job:
    """A submission to grade: see `attempts.grade`."""

    wall: str
    steps: list[dict[str, Any]]
    tests: dict[str, str]
    limits: Limits


def warm_up() -> Any:
    """Start the server, which takes some seconds, and return its context.

    Raises
    ------
    ValueError
        If the folder for temporary files has a path too long for the socket of the server.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    try:
        with _clean_environment():
            forkserver.ensure_running()
    except OSError as error:
        if "too long" not in str(error):
            raise
        raise ValueError(f"TMPDIR={tempfile.gettempdir()}: sockets need a shorter path") from error
    return context


@contextlib.contextmanager
def _clean_environment() -> Iterator[None]:
    """Hand nothing on that a notebook need not know: whoever is forked has it in memory."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({name: before[name] for name in KEPT if name in before})
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def grade_all(jobs: dict[int, Job], side_by_side: int) -> Iterator[tuple[int, Any]]:
    """Yield each job's key, its `attempts.Graded` or an error, and seconds, as they finish.

    However this ends, with an interrupt too, no process is left.
    """
    context = warm_up()
    started: list[Any] = []
    pool = ThreadPoolExecutor(side_by_side)
    try:
        futures = {pool.submit(_graded, context, job, started): key for key, job in jobs.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in started:
            process.kill()
        pool.shutdown()


def _graded(context: Any, job: Job, started: list[Any]) -> Any:
    """Grade in another process; what came of it, or the error that kept it from coming."""
    start = time.monotonic()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_watch, args=(sender, job))
    process.start()
    started.append(process)
    sender.close()
    try:
        return receiver.recv(), time.monotonic() - start
    except EOFError:
        process.join()
        ended = RuntimeError(f"the grader itself ended (exit status {process.exitcode})")
        return ended, time.monotonic() - start
    finally:
        process.kill()
        process.join()
        started.remove(process)


def _watch(sender: connection.Connection, job: Job) -> None:
    """Watch over a submission, in a process of its own that ends when the server does."""
    from assign.sandbox import attempts

    os.setsid()  # an interrupt at the terminal is for the command, which then kills this
    walls.die_with_parent()
    try:
        sender.send(attempts.grade(job.wall, job.steps, job.tests, job.limits))
    except Exception as error:
        sender.send(RuntimeError(f"the grader itself failed: {error!r}"))
