"""Turns a process into one in which a submission may run, and runs it."""

from __future__ import annotations

import builtins
import contextlib
import gc
import os
import signal
import socket
import sys
import tempfile
import warnings
from typing import Any

import torch

from companion.assign import sandbox_kernel as kernel
from companion.assign.sandbox_audit import Guard
from companion.assign.sandbox_channel import Channel, Closed
from companion.assign.sandbox_student import Notebook, Otter

__all__ = ["main"]


def _environment(folder: str, keep: tuple[str, ...]) -> None:
    """Leave nothing in the environment but what a notebook needs."""
    kept = {name: os.environ[name] for name in keep if name in os.environ}
    places = ("HOME", "TMPDIR", "MPLCONFIGDIR", "IPYTHONDIR", "XDG_CACHE_HOME", "PWD")
    os.environ.clear()
    os.environ.update(kept, PATH="/usr/bin:/bin", LANG="C.UTF-8", MPLBACKEND="agg")
    os.environ.update(dict.fromkeys(places, folder), CUDA_VISIBLE_DEVICES="", COMPANION_QUIET="")
    tempfile.tempdir = folder
    os.chdir(folder)


def _limits(settings: dict[str, Any]) -> None:
    kernel.limit("RLIMIT_CORE", 0)
    kernel.limit("RLIMIT_CPU", int(settings["cpu"]) + 1)
    kernel.limit("RLIMIT_FSIZE", settings["file_size"])
    kernel.limit("RLIMIT_NOFILE", 256)
    kernel.limit("RLIMIT_NPROC", settings["processes"])
    kernel.limit_memory(settings["memory"])


def _only_channel(number: int) -> Channel:
    """Close every file but one end of the connection; standard output goes nowhere."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    if number != 3:
        os.dup2(number, 3, inheritable=False)
    os.closerange(4, 65536)
    return Channel(socket.socket(fileno=3))


def _modules(sys_path: list[str]) -> None:
    """Put a harmless otter in the place of the real one, and forget the test files' classes."""
    for name in [n for n in sys.modules if n == "otter" or n.startswith("otter.")]:
        del sys.modules[name]
    sys.modules["otter"] = Otter("otter")
    sys.path[:] = sys_path
    sys.dont_write_bytecode = True


def main(settings: dict[str, Any], connection: int) -> None:
    """Become the process of a submission, for good.

    Parameters
    ----------
    settings : dict
        Limits, and the files that may be used: see `sandbox.Limits` and `sandbox.Places`.
    connection : int
        The number of the open socket.
    """
    warnings.resetwarnings()  # whatever the grader makes of them
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    channel = _only_channel(connection)
    _environment(settings["folder"], tuple(settings["keep"]))
    _modules(settings["sys_path"])
    torch.set_num_threads(settings["threads"])
    _limits(settings)
    locked = kernel.landlock(settings["readable"], settings["writable"])
    kernel.hide_memory()
    notebook = Notebook(channel, settings["output"])
    Guard(settings["readable"], settings["writable"], notebook.note).install()
    for name in ("stdout", "stderr", "__stdout__", "__stderr__"):
        setattr(sys, name, notebook.sink)
    gc.freeze()
    builtins.input = _no_input
    channel.send({"landlock": locked, "namespaces": settings["isolated"]})
    with contextlib.suppress(Closed):
        notebook.serve()


def _no_input(prompt: object = "") -> str:
    raise EOFError("there is nobody to answer input() while a notebook is graded")
