"""Run programs side by side, and tell which line is whose."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path


def run(commands: dict[str, list[str]], folder: Path) -> list[str]:
    """Run commands in a folder until all have ended; return the names of those that failed.

    What they say goes to standard error line by line, each with the name before it. Whatever
    interrupts the waiting ends them all.
    """
    running: dict[str, subprocess.Popen[str]] = {}
    with ThreadPoolExecutor(len(commands)) as listeners, ExitStack() as programs:
        for name, command in commands.items():
            running[name] = programs.enter_context(start(command, folder))
            programs.callback(running[name].terminate)
        statuses = listeners.map(follow, running.keys(), running.values())
        return [name for name, status in zip(running, statuses, strict=True) if status]


def start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a program whose two streams are read as one."""
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    )


def follow(name: str, process: subprocess.Popen[str]) -> int:
    """Pass on what a program says, with its name, until it ends; return its exit status."""
    for line in process.stdout or []:
        print(f"{name}: {line}", end="", file=sys.stderr, flush=True)
    return process.wait()
