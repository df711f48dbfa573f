"""When the book was last changed: the date that its files carry, so that they can be made again."""

from __future__ import annotations

import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

EARLIEST = datetime(2026, 1, 1, tzinfo=timezone.utc)


def of_source(root: Path) -> datetime:
    """Return ``SOURCE_DATE_EPOCH``, or when the last commit was made, or a date that stands."""
    stated = os.environ.get("SOURCE_DATE_EPOCH") or last_commit(root)
    if not stated:
        return EARLIEST
    return datetime.fromtimestamp(int(stated), tz=timezone.utc)


def last_commit(root: Path) -> str:
    """Return when the last commit was made, in seconds; empty where git does not know."""
    command = ["git", "-C", str(root), "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
