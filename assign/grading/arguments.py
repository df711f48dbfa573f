"""The arguments of the command ``grade``."""

from __future__ import annotations

import argparse
import os
from datetime import datetime, timedelta
from pathlib import Path

from assign.grading import roster
from assign.sandbox.process import Limits

__all__ = ["add", "date"]


def add(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    option = parser.add_argument
    option("dist", type=Path, help="the folder that make wrote")
    option("submissions", type=Path, help="a folder of notebooks, nested or in zips as exported")
    option("--out", type=Path, default=Path("grades.csv"), help="the table (default: %(default)s)")
    option("--feedback", type=Path, metavar="DIR", help="write a page for each student there")
    option("--jobs", type=_positive, default=os.cpu_count() or 1, help="how many at a time")
    option(
        "--timeout",
        type=_seconds,
        default=Limits.seconds,
        metavar="S",
        help="seconds for each question of a submission (default: %(default)g)",
    )
    option(
        "--memory",
        type=_positive,
        default=Limits.memory,
        metavar="MB",
        help="memory of each submission, beyond the libraries' (default: %(default)s)",
    )
    option("--resume", action="store_true", help="keep what the table holds, grade the rest")
    option("--by-hand", type=Path, metavar="DIR", help="add points that were given with review")
    option("--roster", type=Path, metavar="CSV", help="the class, as your platform exports it")
    option("--lms", choices=list(roster.PLATFORMS), help="write a table for it to import, too")
    option("--due", type=date, metavar="DATE", help="count days from it (default: make's --due)")
    option("--statistics", type=Path, metavar="DIR", help="how many failed each check: table, plot")
    option(
        "--trust",
        action="store_true",
        help="lock nothing up: every notebook can read, change and delete whatever you can",
    )


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, got {text}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, got {text}")
    return value


def date(text: str) -> datetime:
    """Read a date; without a time, the day counts to its end."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a date such as 2027-03-01, got {text}") from None
    return found if len(text) > len("2027-03-01") else found + timedelta(days=1)
