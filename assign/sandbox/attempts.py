"""Watches the clock while a notebook is graded, and takes it up again without what broke it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil

from assign.sandbox import walls
from assign.sandbox.process import Limits, Running

__all__ = ["Graded", "grade"]

GRACE = 30.0  # seconds until a container has to be there
LARGEST = 4 * 2**20  # bytes of all reports
MB = 2**20


@dataclass
class Graded:
    """What came of a submission's steps.

    Attributes
    ----------
    came : dict
        For the number of each step that was taken, what `inside` reported.
    closed : dict
        For each question that ended early, why; for a cell of no question, its name.
    events : list of tuple of str
        What happened: its kind, and in words.
    """

    came: dict[int, dict[str, Any]] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, str]] = field(default_factory=list)


class _Ended(Exception):
    """The process is to be given up, or has ended by itself; the text says why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


def grade(wall: str, steps: list[dict[str, Any]], tests: dict[str, str], limits: Limits) -> Graded:
    """Take the steps in containers; one that breaks its container is left out of the next.

    Parameters
    ----------
    wall : str
        One of `walls.WALLS`.
    steps : list of dict
        In order; beside what `inside.run` needs, the ``question`` that each belongs to, or for a
        cell of none its own name, and in ``name`` what to call it.
    tests : dict
        The source of each question's test file.
    limits : Limits

    Returns
    -------
    Graded
    """
    graded = Graded()
    until = time.monotonic() + limits.seconds * (len(tests) + 2)
    while left := _left(steps, graded):
        attempt = _Attempt(graded, left, limits, until)
        try:
            attempt.watch(walls.launch(wall, {"steps": left, "tests": tests}, limits))
        except _Ended as error:
            kind, why, step = error.kind, str(error), attempt.current
            if step is None:
                graded.events.append(("failed", f"the notebook could not be run: {why}"))
                break
            graded.events.append((kind, f"{step['name']}: {why}"))
            graded.closed[step["question"]] = why
            until = attempt.until
            if time.monotonic() > until:
                break
    return graded


def _left(steps: list[dict[str, Any]], graded: Graded) -> list[dict[str, Any]]:
    """Return the steps still to be taken: checks once, cells as long as any check is left."""
    left = [s for s in steps if s["question"] not in graded.closed]
    left = [s for s in left if "test" not in s or s["number"] not in graded.came]
    new = any(s["number"] not in graded.came for s in left)
    return left if new else []


class _Attempt:
    """One container, and what is told from it."""

    def __init__(
        self, graded: Graded, steps: list[dict[str, Any]], limits: Limits, until: float
    ) -> None:
        self.graded, self.limits, self.until = graded, limits, until
        self.steps = {step["number"]: step for step in steps}
        self.current: dict[str, Any] | None = None
        self.spent: dict[str, float] = {}
        self.since = time.monotonic()

    def watch(self, running: Running) -> None:
        """Follow the reports until all steps are taken; whatever happens, leave nothing behind."""
        try:
            for message in self._messages(running.reader):
                self._hear(message)
                if not self.steps:
                    return
        finally:
            running.stop()

    def _messages(self, reader: int) -> Iterator[dict[str, Any]]:
        """Yield what is reported, and look around twice a second."""
        text, size = b"", 0
        while True:
            ready, _, _ = select.select([reader], [], [], 0.5)
            self._look()
            if not ready:
                continue
            some = os.read(reader, 65536)
            size += len(some)
            if not some:
                raise _Ended("crashed", "the notebook ended its own process")
            if size > LARGEST:
                raise _Ended("crashed", "the notebook sent what is no report")
            *lines, text = (text + some).split(b"\n")
            for line in lines:
                yield _read(line)

    def _hear(self, message: dict[str, Any]) -> None:
        number = message.get("begin", message.get("end"))
        if "status" in message:
            raise _Ended("crashed", _reason(message["status"]))
        if "failed" in message and self.current is None:
            raise _Ended("failed", str(message["failed"])[:300])
        if not isinstance(number, int) or number not in self.steps:
            raise _Ended("crashed", "the notebook sent what is no report")
        if "begin" in message:
            now = time.monotonic()
            if self.current is None:  # how long a container takes to start counts for no question
                self.until += now - self.since
            self.current, self.since = self.steps[number], now
        else:
            step = self.steps.pop(number)
            self._spend(step)
            self._keep(step, message)

    def _spend(self, step: dict[str, Any]) -> None:
        question, now = step["question"], time.monotonic()
        self.spent[question] = self.spent.get(question, 0.0) + now - self.since
        self.since = now

    def _keep(self, step: dict[str, Any], message: dict[str, Any]) -> None:
        if step["number"] not in self.graded.came:
            told = str(message.get("message") or message.get("error") or "")[:1000]
            passed = message.get("passed") is True
            self.graded.came[step["number"]] = {"passed": passed, "told": told}

    # -- clock and memory

    def _look(self) -> None:
        now = time.monotonic()
        if self.current is None:
            if now - self.since > GRACE + self.limits.seconds:
                raise _Ended("failed", "its container did not start")
            return
        if now > self.until:
            raise _Ended("timeout", "the notebook took too long in all, and was stopped")
        spent = self.spent.get(self.current["question"], 0.0) + now - self.since
        if spent > self.limits.seconds:
            why = f"ran longer than the {self.limits.seconds:g} s of a question, and was stopped"
            raise _Ended("timeout", why)
        if _use() > self.limits.memory * MB:
            raise _Ended("memory", f"used more than {self.limits.memory} MB of memory")


def _read(line: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError, RecursionError):
        message = json.loads(line)
        if isinstance(message, dict):
            return message
    raise _Ended("crashed", "the notebook sent what is no report")


def _use() -> int:
    """Return the bytes that this process's descendants have beyond what it has itself."""
    me = psutil.Process()
    return sum(max(0, _own(p) - _own(me)) for p in me.children(recursive=True))


def _own(process: psutil.Process) -> int:
    with contextlib.suppress(psutil.Error):
        info = process.memory_info()
        return int(info.rss - getattr(info, "shared", 0))
    return 0


def _reason(status: Any) -> str:
    """Put a wait status into words."""
    code = os.waitstatus_to_exitcode(status) if isinstance(status, int) else 0
    if code >= 0:
        return f"the notebook ended its own process (exit status {code})"
    if -code == signal.SIGKILL:
        return "the notebook's process was killed (by itself, or for want of memory)"
    return f"the notebook's process crashed ({str(signal.strsignal(-code)).lower()})"
