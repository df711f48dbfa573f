"""A process that has everything imported already, in a container and with limits."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

__all__ = ["KEPT", "Limits", "Running", "is_root", "libc", "die_with_parent", "forked"]

MB = 2**20
KEPT = ("COMPANION_DATA", "COMPANION_MODELS", "TZ")  # of the environment
DUMPABLE, DIE_WITH_PARENT, NO_NEW_PRIVILEGES = 4, 1, 38  # prctl(2)


@dataclass(frozen=True)
class Limits:
    """What a submission may use."""

    seconds: float = 120.0  # for the cells and checks of one question
    memory: int = 2048  # MB, beyond what the libraries take
    files: int = 256  # MB, of all files together
    processes: int = 64  # threads, in effect

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above 0, got {value!r}")


@dataclass(frozen=True)
class Running:
    """A job that runs in its container.

    Attributes
    ----------
    reader : int
        The file that its reports are read from.
    stop : callable
        Kills it and all that it started, and takes the container away.
    """

    reader: int
    stop: Callable[[], None]


def forked(
    job: dict[str, Any],
    limits: Limits,
    home: str,
    enter: Callable[[], None] | None,
    leave: Callable[[], None],
) -> Running:
    """Start a job in a process that splits off from this one.

    Parameters
    ----------
    job : dict
        As `inside.run` takes it.
    limits : Limits
    home : str
        The folder to work in, as the process will see it.
    enter : callable, optional
        Goes into the container.
    leave : callable
        Takes the container away.
    """
    from assign.sandbox import inside  # with PyTorch, which the command itself does without

    reader, writer = os.pipe()
    # Another user for each, so that the kernel counts the processes of each apart.
    user = 10**9 + os.getpid() if enter and is_root() else 0
    between = os.fork()
    if not between:
        report = inside.reporter(writer)
        try:
            os.setsid()
            if enter:
                enter()
            child = os.fork()
            if not child:
                _confined(limits, home, user, enter is not None)
                report = inside.alone(writer)
                inside.run(job, report)
                os._exit(0)
            report({"status": os.waitpid(child, 0)[1]})
        except BaseException as error:
            report({"failed": repr(error)})
        finally:
            os._exit(0)
    os.close(writer)

    def stop() -> None:
        for process in [between, *_descendants(between)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        leave()
        os.waitpid(between, 0)
        os.close(reader)

    return Running(reader, stop)


def _descendants(process: int) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [child.pid for child in psutil.Process(process).children(recursive=True)]
    return []


def _confined(limits: Limits, home: str, user: int, walled: bool) -> None:
    """Have nothing of the grader's environment, and limits."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    places = ("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR", "XDG_CACHE_HOME", "PWD")
    os.environ.clear()
    os.environ.update(kept, PATH="/usr/bin:/bin", LANG="C.UTF-8", MPLBACKEND="agg")
    os.environ.update(dict.fromkeys(places, home), COMPANION_QUIET="1", OMP_NUM_THREADS="1")
    tempfile.tempdir = home
    if walled:
        _give_up_rights(user)
    os.chdir(home)
    for handled in (signal.SIGINT, signal.SIGTERM):
        signal.signal(handled, signal.SIG_DFL)
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", limits.files * MB)
    if sys.platform == "linux":
        ours = 0 if user else sum(p.num_threads() for p in psutil.process_iter() if _mine(p))
        _limit("RLIMIT_NPROC", limits.processes + ours)
        sizes = dict(_sizes())
        # Private memory exactly; of addresses, threads and allocators reserve more than they use.
        _limit("RLIMIT_DATA", sizes["VmData"] + limits.memory * MB)
        _limit("RLIMIT_AS", sizes["VmSize"] + (limits.memory + 2048) * MB)


def _mine(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.uids().real == os.getuid()
    return False


def _sizes() -> list[tuple[str, int]]:
    """Return the bytes that this process has mapped."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split()[:2] for line in lines if line.startswith(("VmSize", "VmData")))
    return [(name.rstrip(":"), int(kilobytes) * 1024) for name, kilobytes in pairs]


def _limit(name: str, value: int) -> None:
    _, hard = resource.getrlimit(getattr(resource, name))
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    with contextlib.suppress(OSError, ValueError):  # macOS knows some limits and refuses them
        resource.setrlimit(getattr(resource, name), (value, value))


def is_root() -> bool:
    """Tell whether this is root, who needs no namespace of users."""
    return os.geteuid() == 0


def libc(function: str, *arguments: Any) -> None:
    """Call a function of the C library; an error is raised."""
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        libc("prctl", option, *(ctypes.c_ulong(n) for n in (value, 0, 0, 0)))


def die_with_parent() -> None:
    """Have this process killed as soon as its parent ends."""
    _prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _give_up_rights(user: int) -> None:
    """Become an ordinary user for good."""
    if is_root() and user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        _prctl(DUMPABLE, 1)
    _prctl(NO_NEW_PRIVILEGES, 1)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    libc("capset", header, (ctypes.c_uint32 * 6)())
