"""Runs a submission's code where it can harm nobody, and lets a grader use what it defines.

What a notebook defines is used from outside: `Sandbox.get` returns numbers, text and arrays as
copies, and functions as stand-ins that are called over there. So the tests, and what they compare
with, are never in the same process as the code that is tested.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import companion
from companion.assign.sandbox_channel import Channel, Closed, Late
from companion.assign.sandbox_keeper import Keeper, Nursery, could_read
from companion.assign.sandbox_use import of_descendants, of_folder, own_processes
from companion.assign.sandbox_wire import Unreadable

__all__ = ["Limits", "Stopped", "Interrupted", "Failed", "readable", "other_user", "Sandbox"]

MB = 2**20
NOBODY = 65534  # the user without rights, on every Unix
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/etc", "/opt/conda")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_ABOUT_THE_MACHINE = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu")
_KEEP = ("COMPANION_DATA", "COMPANION_MODELS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "TZ")


@dataclass(frozen=True)
class Limits:
    """What a submission may use."""

    seconds: float = 300.0  # wall time of all cells and checks together
    memory: int = 2048  # MB, beyond what the libraries take
    output: int = 10  # MB, printed by one cell
    file_size: int = 256  # MB, of one file and of all files together
    processes: int = 64  # threads, in effect
    threads: int = 1  # that PyTorch computes with

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value!r}")

    @property
    def step(self) -> float:
        """Seconds of a single cell or check: half, so that the others have the other half."""
        return self.seconds / 2


class Stopped(Exception):
    """The submission's process is gone; the text says in plain words why."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Interrupted(Exception):
    """A cell or a call took too long and was interrupted; the process goes on."""


class Failed(Exception):
    """The submission's own code raised an error."""

    def __init__(self, type_name: str, text: str) -> None:
        super().__init__(f"{type_name}: {text}" if text else type_name)
        self.type_name, self.text = type_name, text


# -- files ---------------------------------------------------------------------------------------


def readable() -> list[str]:
    """Return the files and folders that a submission may read: the libraries, and no more."""
    package = Path(companion.__file__).parent
    found = {*_SYSTEM, *_DEVICES, *_ABOUT_THE_MACHINE, sys.prefix, sys.base_prefix, str(package)}
    data = (os.environ.get(name) for name in ("COMPANION_DATA", "COMPANION_MODELS"))
    found |= {*_library_folders(), *(place for place in data if place)}
    return sorted({os.path.realpath(place) for place in found if place and Path(place).exists()})


def _library_folders() -> list[str]:
    """Return the folders of installed packages on the path of imports, and no others."""
    roots = (os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix))
    places = [os.path.realpath(place) for place in sys.path if place]
    return [p for p in places if p.startswith(roots) or "-packages" in p]


def other_user() -> int | None:
    """Return the user to run submissions as: nobody, if we are root and nobody can read us."""
    if os.geteuid() != 0:
        return None
    files = [companion.__file__, np.__file__, os.__file__, sys.executable]
    return NOBODY if could_read(NOBODY, files) else None


# -- the sandbox ---------------------------------------------------------------------------------


@dataclass
class Sandbox:
    """One submission's process, seen from the grader.

    Attributes
    ----------
    limits : Limits
    nursery : Nursery
        Made before any test was read.
    files : dict
        What lies in the submission's folder at the start: names and contents.
    notes : list of str
        What the submission tried and must not.
    """

    limits: Limits
    nursery: Nursery
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    call_back: Callable[[dict[str, Any], bytes], tuple[dict[str, Any], bytes]] | None = None

    def __post_init__(self) -> None:
        self.user = other_user()
        self.keeper: Keeper | None = None
        self.until = time.monotonic() + self.limits.seconds
        self.step_until = self.until

    @property
    def seconds_left(self) -> float:
        """What is left of the wall time."""
        return max(0.0, self.until - time.monotonic())

    def start(self) -> None:
        """Start a fresh process in a fresh folder."""
        self.folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
        for name, content in self.files.items():
            path = Path(self.folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if self.user is not None:
            for path in (Path(self.folder.name), *Path(self.folder.name).rglob("*")):
                os.chown(path, self.user, self.user)
        self.keeper = self.nursery.start(self._settings())
        self.channel = Channel(self.keeper.connection)
        self._looked = 0.0
        try:
            self.layers, _ = self.channel.receive(60)
            if "error" in self.layers:
                raise Unreadable(self.layers["error"])
        except (Closed, Late, Unreadable) as error:
            self.stop()
            raise Stopped("failed", f"the sandbox did not start ({error!r})") from None
        used, processes = of_descendants(self.keeper.pid)
        self.base = used // max(processes, 1)  # what each has from the start

    def _settings(self) -> dict[str, Any]:
        folder = os.path.realpath(self.folder.name)
        limits = self.limits
        count = 0 if self.user is not None else own_processes()
        return {
            "folder": folder,
            "readable": readable(),
            "writable": [folder, *_DEVICES],
            "keep": _KEEP,
            "sys_path": _library_folders(),
            "user": self.user,
            "namespaces": True,
            "threads": limits.threads,
            "processes": limits.processes + count,
            "cpu": limits.seconds * (limits.threads + 1),
            "memory": limits.memory * MB,
            "output": limits.output * MB,
            "file_size": limits.file_size * MB,
        }

    # -- talking

    def step(self) -> None:
        """Begin something that may take one step's time."""
        self.step_until = min(time.monotonic() + self.limits.step, self.until)

    def ask(self, request: dict[str, Any], blob: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send a request and return the answer's tree and bytes.

        Raises
        ------
        Failed
            The submission's code raised an error.
        Interrupted
            It took too long, and obeyed.
        Stopped
            Its process is gone.
        """
        if self.keeper is None:
            raise Stopped("stopped", "the notebook's process had ended before")
        try:
            self.channel.send(request, blob)
            return self._answer()
        except Late:
            return self._interrupt()
        except Closed:
            raise self._end() from None
        except (Unreadable, KeyError, TypeError, ValueError) as error:
            self.stop()
            raise Stopped("crashed", f"the notebook sent what is no answer ({error})") from None

    def _answer(self, grace: float = 0.0) -> tuple[dict[str, Any], bytes]:
        while True:
            left = self.step_until + grace - time.monotonic()
            tree, blob = self.channel.receive(max(0.0, left), self._watch)
            if "note" in tree:
                self._note(str(tree["note"]))
            elif "call" in tree and self.call_back:
                self.channel.send(*self.call_back(tree, blob))
            elif "error" in tree:
                raise Failed(
                    re.sub(r"\W", "", str(tree["error"]["type"]))[:80] or "Error",
                    str(tree["error"]["text"])[:500],
                )
            elif "ok" in tree:
                return tree, blob
            else:
                raise Unreadable("neither a result nor an error")

    def _note(self, what: str) -> None:
        if what not in self.notes and len(self.notes) < 50:
            self.notes.append(what[:300])

    def _interrupt(self) -> tuple[dict[str, Any], bytes]:
        """Press the stop button; if nobody listens, kill."""
        assert self.keeper is not None
        self.keeper.interrupt()
        try:
            self._answer(grace=1.0)
        except Failed:
            raise Interrupted(self._too_long()) from None
        except Late:
            self.stop()
            why = f"{self._too_long()} and could not be interrupted"
            raise Stopped("timeout", why) from None
        except Closed:
            raise self._end() from None
        raise Interrupted(self._too_long())

    def _too_long(self) -> str:
        if self.seconds_left > 0:
            return f"the notebook's code ran longer than {self.limits.step:g} s"
        return f"the notebook took longer than {self.limits.seconds:g} s in all"

    # -- ending

    def _watch(self) -> None:
        """Look at memory and files of all processes together, twice a second."""
        now = time.monotonic()
        if now - self._looked < 0.5:
            return
        self._looked = now
        assert self.keeper is not None
        used, processes = of_descendants(self.keeper.pid)
        if used - processes * self.base > self.limits.memory * MB:
            self.stop()
            raise Stopped("memory", f"used more than {self.limits.memory} MB of memory")
        if processes > self.limits.processes:
            self.stop()
            raise Stopped("processes", f"started more than {self.limits.processes} processes")
        if of_folder(self.folder.name) > self.limits.file_size * MB:
            self.stop()
            raise Stopped("files", f"wrote more than {self.limits.file_size} MB of files")

    def _end(self) -> Stopped:
        """Say how the process came to its end."""
        return Stopped(*_reason(self.stop(wait=2.0)))

    def stop(self, wait: float = 0.0) -> int | None:
        """Kill the process and all it started, and delete its folder."""
        if self.keeper is None:
            return None
        keeper, self.keeper = self.keeper, None
        status = keeper.stop(wait)
        self.folder.cleanup()
        return status


def _reason(status: int | None) -> tuple[str, str]:
    """Put a wait status into words."""
    if status is None:
        return "crashed", "the notebook's process broke off the connection"
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return "crashed", f"the notebook ended its own process (exit status {code})"
    if -code == signal.SIGXCPU:
        return "timeout", "used more processor time than allowed"
    if -code == signal.SIGKILL:
        return "crashed", "the notebook's process was killed (by itself, or for want of memory)"
    what = str(signal.strsignal(-code)).lower()
    return "crashed", f"the notebook's process crashed ({what})"
