"""Says in words what a submission tries that it must not, and stops it before it happens.

Python reports such attempts to *audit hooks*, which cannot be removed. A hook sees what goes
through Python only; the walls that hold against machine code are those in `sandbox_kernel`.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Guard"]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random", "/dev/tty")
# Libraries look into these without anybody's asking.
_ASKED_BY_LIBRARIES = ("/proc/", "/sys/", "/dev/", "/etc/", "/var/", "/run/")

_READS = {"os.listdir", "os.scandir", "os.walk", "os.chdir", "glob.glob", "glob.glob/2"}
_CHANGES = {
    **dict.fromkeys(("os.remove", "os.rmdir", "shutil.rmtree"), "delete"),
    **dict.fromkeys(("os.mkdir", "os.mkfifo", "os.mknod"), "make"),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink", "shutil.move"), "move or link"),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown", "os.utime", "os.setxattr"), "change"),
}
_PROGRAMS = {
    "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "os.forkpty", "pty.spawn", "os.startfile",
}  # fmt: skip
_SIGNALS = {"os.kill", "os.killpg", "signal.pthread_kill"}
_LOCAL = (-1, socket.AF_UNIX)  # sockets that stay on the machine: event loops use a pair


class Guard:
    """An audit hook.

    Parameters
    ----------
    readable, writable : sequence of str
        Folders and files, real paths, that may be used.
    note : callable
        Is told of each attempt, in words.
    """

    def __init__(
        self, readable: Sequence[str], writable: Sequence[str], note: Callable[[str], None]
    ) -> None:
        self.readable = (*readable, *writable, *_DEVICES)
        self.writable = (*writable, *_DEVICES)
        self.note = note

    def install(self) -> None:
        """Watch this process from now on."""
        sys.addaudithook(self.hook)

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """Look at one event."""
        if event == "open":
            self._open(*args)
        elif event in _READS:
            self._file("read", args[0], self.readable)
        elif event in _CHANGES:
            self._change(event, args)
        elif event in _PROGRAMS:
            self._refuse("tried to start a program or process")
        elif event in _SIGNALS:
            self._refuse("tried to send a signal to a process")
        elif event.startswith("socket.") or event == "urllib.Request":
            self._network(event, args)
        elif event == "object.__setattr__" and args[0] is Guard.hook:
            self._refuse("tried to change the sandbox")

    def _open(self, path: Any, mode: Any, flags: int) -> None:
        if flags & _WRITING:
            self._file("write", path, self.writable)
        else:
            self._file("read", path, self.readable)

    def _change(self, event: str, args: tuple[Any, ...]) -> None:
        if event.startswith("os.") and isinstance(args[-1], int) and args[-1] >= 0:
            return  # relative to an open folder, which was looked at when it was opened
        both = event in ("os.rename", "os.link", "os.symlink", "shutil.move")
        for path in args[: 2 if both else 1]:
            self._file(_CHANGES[event], path, self.writable)

    def _file(self, doing: str, path: Any, allowed: tuple[str, ...]) -> None:
        if isinstance(path, int) or path is None:
            return
        real = os.path.realpath(os.fsdecode(path))
        if any(real == place or real.startswith(place.rstrip("/") + "/") for place in allowed):
            return
        if doing == "read" and real.startswith(_ASKED_BY_LIBRARIES) and not _is_process(real):
            raise PermissionError(f"the sandbox does not allow to read {real}")
        self._refuse(f"tried to {doing} {real}")

    def _network(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "socket.gethostname" or (event == "socket.__new__" and args[1] in _LOCAL):
            return
        self._refuse("tried to open a network connection")

    def _refuse(self, what: str) -> None:
        self.note(what)
        raise PermissionError(f"the sandbox stopped this: the notebook {what}")


def _is_process(path: str) -> bool:
    """Say whether a path leads into another process, or into this one's memory."""
    return path.startswith("/proc/") and path.split("/")[2].isdigit()
