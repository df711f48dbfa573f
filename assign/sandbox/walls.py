"""The container of a submission, made by others: bubblewrap, Docker or Podman.

With bubblewrap the container is entered by a process that has PyTorch and the companion in memory
already (as ``nsenter`` would enter it), so that sixty notebooks import them once. Docker and
Podman start Python anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

import companion

__all__ = ["WALLS", "IMAGE", "Limits", "Running", "NoWall", "choose", "launch",
           "die_with_parent"]  # fmt: skip

WALLS = ("bubblewrap", "docker", "podman", "none")
IMAGE = "book-grading"  # as the appendix For instructors builds it
MB = 2**20
HOME = "/tmp/home"
KEPT = ("COMPANION_DATA", "COMPANION_MODELS", "TZ")  # of the environment
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/opt/conda", "/etc/alternatives",
          "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd")  # fmt: skip
# prctl(2), capset(2), and the namespaces of setns(2): mounts, control groups, names, System V
# memory and message queues, users, processes, network
DUMPABLE, DIE_WITH_PARENT, NO_NEW_PRIVILEGES = 4, 1, 38
MOUNTS, GROUPS, NAMES, IPC, USERS, PROCESSES, NETWORK = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip


class NoWall(Exception):
    """There is nothing to lock a submission up with; the text says what would do."""


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


# -- which one -----------------------------------------------------------------------------------


def choose(trust: bool = False) -> str:
    """Return the wall of this machine, the best that there is.

    Parameters
    ----------
    trust : bool, default=False
        Do without one.

    Returns
    -------
    str
        One of `WALLS`.

    Raises
    ------
    NoWall
        If there is none, and no trust either.
    """
    if trust:
        return "none"
    if shutil.which("bwrap") and _works(["bwrap", *_flags(), "--ro-bind", "/", "/", "true"]):
        return "bubblewrap"
    for tool in ("docker", "podman"):
        if shutil.which(tool) and _works([tool, "image", "inspect", IMAGE]):
            return tool
    raise NoWall(
        "grading runs code that nobody has read, and there is nothing here to lock it up in: "
        "install bubblewrap (on Debian: apt install bubblewrap), or build the image "
        f"{IMAGE} for Docker or Podman, as the appendix For instructors shows. With --trust every "
        "notebook can read, change and delete whatever you can, and use your network."
    )


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def launch(wall: str, job: dict[str, Any], limits: Limits) -> Running:
    """Start a job, for `inside`, in a container of its own."""
    if wall == "bubblewrap":
        return _in_bubblewrap(job, limits)
    if wall == "none":
        return _in_a_folder(job, limits)
    return _in_image(wall, job, limits)


# -- bubblewrap ----------------------------------------------------------------------------------


def _is_root() -> bool:
    return os.geteuid() == 0


def _flags() -> list[str]:
    """Return how to leave everything; root need not be root there, and becomes nobody instead."""
    if not _is_root():
        return ["--unshare-all"]
    return ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts",
            "--unshare-cgroup-try"]  # fmt: skip


def readable() -> list[str]:
    """Return the folders that a submission may read: system, libraries, data, and no more."""
    named = [os.environ.get(name) for name in ("COMPANION_DATA", "COMPANION_MODELS")]
    libraries = [place for place in sys.path if "-packages" in place]
    package = str(Path(companion.__file__).parent)
    places = [*SYSTEM, sys.prefix, sys.base_prefix, *libraries, package, *filter(None, named)]
    return list(dict.fromkeys(place for place in places if Path(place).exists()))


def _in_bubblewrap(job: dict[str, Any], limits: Limits) -> Running:
    info, told = os.pipe()
    mode = "1777" if _is_root() else "0755"
    command = ["bwrap", *_flags(), "--die-with-parent", "--new-session", "--proc", "/proc"]
    command += ["--dev", "/dev", "--perms", "1777", "--size", str(limits.files * MB)]
    command += ["--tmpfs", "/tmp", "--perms", mode, "--dir", HOME]
    for place in readable():
        for folder in reversed(Path(place).parents[:-1]):  # bubblewrap's own are closed to others
            command += ["--perms", "0755", "--dir", str(folder)]
        command += ["--ro-bind", place, place]
    command += ["--info-fd", str(told), "--", "sh", "-c", "echo ready; exec sleep infinity"]
    keeper = subprocess.Popen(
        command, pass_fds=[told], env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(told)
    assert keeper.stdout is not None
    assert keeper.stderr is not None
    if keeper.stdout.readline() != b"ready\n":
        raise OSError(f"bubblewrap: {keeper.stderr.read().decode(errors='replace').strip()}")
    with open(info) as file:
        first = int(json.load(file)["child-pid"])  # who ends, ends all others in there

    def stop() -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
        keeper.kill()
        keeper.communicate()

    return _forked(job, limits, HOME, lambda: _enter(first), stop)


def _libc(function: str, *arguments: Any) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, function)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _libc("prctl", option, *(ctypes.c_ulong(n) for n in (value, 0, 0, 0)))


def die_with_parent() -> None:
    """Have this process killed as soon as its parent ends."""
    _prctl(DIE_WITH_PARENT, signal.SIGKILL)


def _enter(process: int) -> None:
    """Go to where another process is; its process numbers are for children, born later."""
    spaces = MOUNTS | GROUPS | NAMES | IPC | PROCESSES | NETWORK
    handle = os.pidfd_open(process)
    _libc("setns", handle, spaces if _is_root() else spaces | USERS)
    os.close(handle)


def _give_up_rights(user: int) -> None:
    """Become an ordinary user for good."""
    if _is_root() and user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        _prctl(DUMPABLE, 1)
    _prctl(NO_NEW_PRIVILEGES, 1)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    _libc("capset", header, (ctypes.c_uint32 * 6)())


# -- a process that has everything imported ------------------------------------------------------


def _in_a_folder(job: dict[str, Any], limits: Limits) -> Running:
    folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
    return _forked(job, limits, folder.name, None, folder.cleanup)


def _forked(
    job: dict[str, Any],
    limits: Limits,
    home: str,
    enter: Callable[[], None] | None,
    leave: Callable[[], None],
) -> Running:
    from assign.sandbox import inside  # with PyTorch, which the command itself does without

    reader, writer = os.pipe()
    # Another user for each, so that the kernel counts the processes of each apart.
    user = 10**9 + os.getpid() if enter and _is_root() else 0
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


# -- images --------------------------------------------------------------------------------------


def _in_image(tool: str, job: dict[str, Any], limits: Limits) -> Running:
    name = f"grading-{uuid.uuid4().hex[:12]}"
    memory = f"{limits.memory + 1024}m"
    command = [tool, "run", "--rm", "--interactive", "--name", name, "--network", "none"]
    command += ["--read-only", "--tmpfs", f"/tmp:size={limits.files}m", "--cap-drop", "ALL"]
    command += ["--security-opt", "no-new-privileges", "--pids-limit", str(limits.processes)]
    command += ["--memory", memory, "--memory-swap", memory, "--user", "65534:65534"]
    command += ["--env", "HOME=/tmp", "--env", "OMP_NUM_THREADS=1", "--env", "MPLBACKEND=agg"]
    command += ["--workdir", "/tmp", IMAGE, "python", "-m", "assign.sandbox.inside"]
    client = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert client.stdin is not None
    assert client.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        client.stdin.write(json.dumps(job).encode())
        client.stdin.close()

    def stop() -> None:
        subprocess.run([tool, "kill", name], capture_output=True, check=False)
        client.kill()
        client.wait()

    return Running(client.stdout.fileno(), stop)
