"""The container of a submission, made by others: bubblewrap, Docker or Podman.

With bubblewrap the container is entered by a process that has PyTorch and the companion in memory
already (as ``nsenter`` would enter it), so that sixty notebooks import them once. Docker and
Podman start Python anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import companion
from assign.sandbox.process import Limits, Running, forked, is_root, libc

__all__ = ["WALLS", "IMAGE", "NoWall", "choose", "launch"]

WALLS = ("bubblewrap", "docker", "podman", "none")
IMAGE = "book-grading"  # as the appendix For instructors builds it
MB = 2**20
HOME = "/tmp/home"
SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/opt/conda", "/etc/alternatives",
          "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/passwd")  # fmt: skip
# The namespaces of setns(2): mounts, control groups, names, System V memory and message queues,
# users, processes, network
MOUNTS, GROUPS, NAMES, IPC, USERS, PROCESSES, NETWORK = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip


class NoWall(Exception):
    """There is nothing to lock a submission up with; the text says what would do."""


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


def _flags() -> list[str]:
    """Return how to leave everything; root need not be root there, and becomes nobody instead."""
    if not is_root():
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
    mode = "1777" if is_root() else "0755"
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

    return forked(job, limits, HOME, lambda: _enter(first), stop)


def _enter(process: int) -> None:
    """Go to where another process is; its process numbers are for children, born later."""
    spaces = MOUNTS | GROUPS | NAMES | IPC | PROCESSES | NETWORK
    handle = os.pidfd_open(process)
    libc("setns", handle, spaces if is_root() else spaces | USERS)
    os.close(handle)


def _in_a_folder(job: dict[str, Any], limits: Limits) -> Running:
    folder = tempfile.TemporaryDirectory(prefix="submission-", ignore_cleanup_errors=True)
    return forked(job, limits, folder.name, None, folder.cleanup)


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
