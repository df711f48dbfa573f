"""Grades many submissions side by side, each in a process of its own.

The processes split off from a server that has PyTorch and the companion in memory and nothing
else, so that each starts in a moment, and shares with the others only what all have.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, forkserver
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

__all__ = ["Job", "warm_up", "grade_all", "kill"]

PRELOAD = "companion.assign.grading_preload"
SPARE = 60.0  # seconds beyond a submission's own, after which its grader is stopped too


@dataclass(frozen=True)
class Job:
    """One submission to grade."""

    key: int
    place: Path
    raw: bytes
    limits: dict[str, Any]
    scratch: str  # where submissions' folders are made


@dataclass
class _Running:
    job: Job
    process: BaseProcess
    receiver: connection.Connection
    until: float


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
        forkserver.ensure_running()
    except OSError as error:
        if "too long" not in str(error):
            raise
        raise ValueError(f"TMPDIR={tempfile.gettempdir()}: sockets need a shorter path") from error
    return context


def grade_all(jobs: Sequence[Job], side_by_side: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Yield each job with its outcome, as they finish.

    However this ends, with an interrupt too, no process is left. Where there is no outcome, it
    holds a status and a reason only.
    """
    context = warm_up()
    waiting, running = list(reversed(jobs)), list[_Running]()
    try:
        while waiting or running:
            while waiting and len(running) < side_by_side:
                running.append(_start(context, waiting.pop()))
            for done in _finished(running):
                running.remove(done)
                yield done.job, _outcome(done)
    finally:
        for left in running:
            kill(left.process)


def _start(context: Any, job: Job) -> _Running:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_grade, args=(sender, job), daemon=False)
    process.start()
    sender.close()
    until = time.monotonic() + job.limits["seconds"] + SPARE
    return _Running(job, process, receiver, until)


def _grade(sender: connection.Connection, job: Job) -> None:
    """Grade in a process of its own."""
    os.setsid()  # an interrupt at the terminal is for the command, which then kills this
    from companion.assign import sandbox_kernel
    from companion.assign.grading_judge import grade
    from companion.assign.sandbox import Limits

    sandbox_kernel.die_with_parent()
    tempfile.tempdir = job.scratch
    try:
        outcome = grade(job.place, job.raw, Limits(**job.limits)).to_dict()
    except Exception as error:
        outcome = {"status": "failed", "why": f"the grader itself failed: {error!r}"}
    sender.send_bytes(json.dumps(outcome).encode())


def _finished(running: Sequence[_Running]) -> list[_Running]:
    """Wait a moment, and return those that have sent their outcome, ended, or taken too long."""
    ends: list[Any] = [r.receiver for r in running]
    ready = set(connection.wait(ends, timeout=0.5))
    now = time.monotonic()
    return [r for r in running if r.receiver in ready or now > r.until]


def _outcome(done: _Running) -> dict[str, Any]:
    """Return what a grader sent, or say that it sent nothing."""
    try:
        if done.receiver.poll():
            return dict(json.loads(done.receiver.recv_bytes()))
        return {"status": "timeout", "why": "grading took too long and was stopped"}
    except (EOFError, OSError, ValueError):
        done.process.join(5)
        code = done.process.exitcode
        return {"status": "failed", "why": f"the grader itself ended (exit status {code})"}
    finally:
        kill(done.process)
        done.receiver.close()


def kill(process: BaseProcess) -> None:
    """Kill a process with all its descendants, and wait for it."""
    import psutil

    victims: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        victims = psutil.Process(process.pid).children(recursive=True) if process.is_alive() else []
    if process.is_alive() and victims:
        process.kill()
    for victim in victims:
        with contextlib.suppress(psutil.Error):
            victim.kill()
    process.join(5)
    if process.is_alive():
        process.kill()
        process.join(5)
