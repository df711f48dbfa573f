"""What processes and folders take up at the moment."""

from __future__ import annotations

import contextlib
import os

import psutil

__all__ = ["of_descendants", "own_processes", "of_folder"]


def of_descendants(keeper: int) -> tuple[int, int]:
    """Return the bytes that a keeper's descendants have for themselves, and their number."""
    total = count = 0
    with contextlib.suppress(psutil.Error):
        for process in psutil.Process(keeper).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                info = process.memory_info()
                total += info.rss - getattr(info, "shared", 0)
                count += 1
    return total, count


def own_processes() -> int:
    """Return how many threads this user has: the kernel counts those, too."""
    me, total = os.getuid(), 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        if process.info["uids"] and process.info["uids"].real == me:
            total += process.info["num_threads"] or 1
    return total


def of_folder(folder: str) -> int:
    """Return the bytes of all files in a folder."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total
