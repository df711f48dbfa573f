"""Starts the processes in which submissions run, and makes sure that none is left.

Three processes stand between the grader and a submission::

    grader --- nursery --- keeper --- submission

The *nursery* splits off from the grader before the grader has read a single test, and starts
everything else, so that no test was ever in a submission's memory. The *keeper* waits for the
submission, reports how it ended, and kills whatever it has left behind, at once when the grader
is gone. Where the kernel allows it, keeper and submission live in namespaces of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import Any

from companion.assign import sandbox_kernel as kernel

__all__ = ["Nursery", "Keeper", "could_read"]

INTERRUPT = b"I"
_KILL = signal.SIGKILL


class Nursery:
    """Starts submissions' processes. Make it before anything secret is in memory."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            _forever(theirs)
        theirs.close()
        self.connection = ours

    def start(self, settings: dict[str, Any]) -> Keeper:
        """Start one process, with the settings of `sandbox_process.main`."""
        ours, theirs = socket.socketpair()
        control_in, control_out = os.pipe()
        status_in, status_out = os.pipe()
        message = json.dumps(settings).encode()
        fds = [theirs.fileno(), control_in, status_out]
        socket.send_fds(self.connection, [len(message).to_bytes(8, "big")], fds)
        self.connection.sendall(message)
        theirs.close()
        os.close(control_in)
        os.close(status_out)
        return Keeper(ours, control_out, status_in)

    def close(self) -> None:
        """Let the nursery end."""
        self.connection.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


class Keeper:
    """The grader's end of the lines to a keeper and its submission."""

    def __init__(self, connection: socket.socket, control: int, status: int) -> None:
        self.connection = connection
        self.control = control
        self.status = status
        self.pid = int.from_bytes(os.read(status, 8), "big")

    def interrupt(self) -> None:
        """Do what the stop button does."""
        with contextlib.suppress(OSError):
            os.write(self.control, INTERRUPT)

    def stop(self, wait: float) -> int | None:
        """Kill the submission and all it has started.

        Parameters
        ----------
        wait : float
            Seconds in which the submission may end by itself.

        Returns
        -------
        int or None
            How it had ended by then, as `os.wait` says it; None if it had to be killed.
        """
        ended = self.ended(wait)
        os.close(self.control)
        self.connection.close()
        self.ended(5.0)  # the keeper's own end: nothing is left then
        os.close(self.status)
        return ended

    def ended(self, seconds: float) -> int | None:
        """Return how the submission ended, waiting a while; None while it runs."""
        if not select.select([self.status], [], [], seconds)[0]:
            return None
        told = os.read(self.status, 8)
        return int.from_bytes(told, "big") if len(told) == 8 else None


# -- nursery -------------------------------------------------------------------------------------


def _forever(connection: socket.socket) -> None:
    """Start a keeper for each message, until the grader is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    kernel.die_with_parent()
    with contextlib.suppress(BaseException):
        while True:
            head, fds, _, _ = socket.recv_fds(connection, 8, 3)
            if len(head) < 8:
                break
            message = b""
            while len(message) < int.from_bytes(head, "big"):
                message += connection.recv(2**16)
            if os.fork() == 0:
                connection.close()
                _keep(json.loads(message), *fds)
            for number in fds:
                os.close(number)
    os._exit(0)


# -- keeper --------------------------------------------------------------------------------------


def _keep(settings: dict[str, Any], connection: int, control: int, status: int) -> None:
    """Isolate this process, start the submission, and wait."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        os.write(status, os.getpid().to_bytes(8, "big"))
        if settings["user"] is not None:
            kernel.become(settings["user"])
        settings["isolated"] = settings["namespaces"] and kernel.unshare()
        if settings["isolated"]:
            _first_of_its_kind(control, status, connection)
        kernel.adopt_orphans()
        _wait(_submission(settings, connection, control, status), control, status)
    finally:
        os._exit(1)


def _first_of_its_kind(control: int, status: int, connection: int) -> None:
    """Go on as process 1 of the new namespace: the kernel kills the others when it ends."""
    first = os.fork()
    if first == 0:
        kernel.die_with_parent()
        return
    for number in (control, status, connection):
        os.close(number)
    os.waitpid(first, 0)
    os._exit(0)


def _submission(settings: dict[str, Any], connection: int, control: int, status: int) -> int:
    """Start the submission's own process and return its number."""
    pid = os.fork()
    if pid:
        os.close(connection)
        return pid
    try:
        os.close(control)
        os.close(status)
        os.setsid()
        from companion.assign import sandbox_process

        sandbox_process.main(settings, connection)
        os._exit(0)
    except BaseException as error:
        _tell(connection, error)
        os._exit(3)


def _tell(connection: int, error: BaseException) -> None:
    """Report why the sandbox could not be built."""
    import traceback

    from companion.assign.sandbox_channel import Channel

    text = "".join(traceback.format_exception(error))[-500:]
    for number in (connection, 3):  # 3, once all other files are closed
        with contextlib.suppress(BaseException):
            channel = Channel(socket.socket(fileno=number))
            channel.send({"error": {"type": "SandboxError", "text": text}})


def _wait(pid: int, control: int, status: int) -> None:
    """Wait for the submission's end or the grader's, pass on interrupts, then clear up."""
    told = None
    while told is None:
        if select.select([control], [], [], 0.02)[0]:
            if not os.read(control, 1):
                break
            os.kill(pid, signal.SIGINT)
        done, code = os.waitpid(pid, os.WNOHANG)
        told = code if done else None
    if told is not None:
        os.write(status, told.to_bytes(8, "big"))
    _clear()
    os._exit(0)


def _clear() -> None:
    """Kill all descendants. As process 1 of a namespace one would do so just by ending."""
    if os.getpid() == 1:
        return
    import psutil

    until = time.monotonic() + 3
    while (left := psutil.Process().children(recursive=True)) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.send_signal(_KILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def could_read(user: int, files: list[str]) -> bool:
    """Say whether another user could read some files, trying it out in a process."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            kernel.become(user)
            os._exit(not all(os.access(path, os.R_OK) for path in files))
        os._exit(1)
    return os.waitpid(pid, 0)[1] == 0
