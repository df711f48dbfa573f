"""The command ``grade``: its arguments, and one run of it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from tqdm import tqdm

from assign.grading import collect, dist, feedback, results, steps, table
from assign.grading.collect import Submission
from assign.grading.results import Outcome
from assign.grading.table import Record
from assign.sandbox import pool, walls
from assign.sandbox.walls import Limits

__all__ = ["add_arguments", "run", "Session"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add = parser.add_argument
    add("dist", type=Path, help="the folder that make wrote")
    add("submissions", type=Path, help="a folder of notebooks, nested or in zips as exported")
    add("--out", type=Path, default=Path("grades.csv"), help="the table (default: %(default)s)")
    add("--feedback", type=Path, metavar="DIR", help="write a page for each student there")
    add("--jobs", type=_positive, default=os.cpu_count() or 1, help="how many at a time")
    add(
        "--timeout",
        type=_seconds,
        default=Limits.seconds,
        metavar="S",
        help="seconds for each question of a submission (default: %(default)g)",
    )
    add(
        "--memory",
        type=_positive,
        default=Limits.memory,
        metavar="MB",
        help="memory of each submission, beyond the libraries' (default: %(default)s)",
    )
    add("--resume", action="store_true", help="keep what the table holds, grade the rest")
    add(
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


# -- the command ---------------------------------------------------------------------------------


def run(options: argparse.Namespace) -> int:
    """Grade, and write the table as it grows.

    Returns
    -------
    int
        0 if every notebook was graded, 1 if some need a human, 2 if the arguments are wrong,
        130 after an interrupt.
    """
    with _interruptible():
        try:
            session = Session(options)
        except (ValueError, walls.NoWall) as error:
            print(f"grade: {error}", file=sys.stderr)
            return 2
        try:
            session.grade()
        except KeyboardInterrupt:
            print(f"\nInterrupted. {options.out} holds what is graded; --resume goes on.")
            return 130
    return session.summary()


class Session:
    """One run of the command: what is graded, what is left, and the table in between.

    Parameters
    ----------
    options : argparse.Namespace
        As `add_arguments` describes them.

    Raises
    ------
    ValueError
        If there is nothing to grade, or nothing to grade it with.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.dist = dist.read(options.dist)
        self.limits = Limits(seconds=options.timeout, memory=options.memory)
        self.records = self._resumed()
        self.wall = walls.choose(options.trust)
        pool.warm_up()  # before any submission is read
        self.found = collect.collect(options.submissions, self.dist.record["id"])
        self._plan()

    def _resumed(self) -> list[Record]:
        """Return what has been graded before."""
        out = self.options.out
        records = table.read(table.record_path(out))
        if not out.exists():
            return records if self.options.resume else []
        if not self.options.resume:
            raise ValueError(f"{out} exists: add --resume to go on with it, or move it")
        if out.read_text(encoding="utf-8") != table.table(records):
            raise ValueError(
                f"{out} was changed by hand, and would be written anew: move it, or restore it"
            )
        return records

    def _plan(self) -> None:
        """Keep records whose notebook and tests are the same, and note what is to be graded."""
        self.marks = {s.student: self._mark(s) for s in self.found.submissions}
        self.records = [
            made
            for made in self.records
            if made["status"] != "failed" and self.marks.get(made["student"]) == made["fingerprint"]
        ]
        known = {made["student"] for made in self.records}
        self.todo = [s for s in self.found.submissions if s.student not in known]

    def _mark(self, submission: Submission) -> str:
        """Return what changes when a notebook or the tests do."""
        said = f"{self.dist.fingerprint} {submission.student} {submission.problem} ".encode()
        return sha256(said + submission.raw).hexdigest()[:12]

    def grade(self) -> None:
        """Grade what is to be graded, with a progress bar."""
        out = self.options.out
        if not self.options.resume:
            table.record_path(out).unlink(missing_ok=True)
        for made in self.records:
            self._page(made)
        table.write(out, table.table(self.records))
        with tqdm(total=len(self.todo), desc="Grading", unit="notebook") as bar:
            for submission, outcome, seconds in self._outcomes():
                self._keep(submission, outcome, seconds)
                bar.set_postfix_str(submission.student[:24], refresh=False)
                bar.update()

    def _outcomes(self) -> Iterator[tuple[Submission, Outcome, float]]:
        jobs: dict[int, pool.Job] = {}
        said: dict[int, list[tuple[str, str]]] = {}
        for key, submission in enumerate(self.todo):
            try:
                if submission.problem:
                    raise ValueError(submission.problem)
                notebook = steps.parse(submission.raw)
            except ValueError as error:
                yield submission, results.nothing(self.dist, "unreadable", str(error)), 0.0
            else:
                todo = steps.steps(notebook, self.dist)
                jobs[key] = pool.Job(self.wall, todo, self.dist.tests, self.limits)
                said[key] = list(self._said(notebook))
        for key, (came, seconds) in pool.grade_all(jobs, self.options.jobs):
            if isinstance(came, Exception):
                outcome = results.nothing(self.dist, "failed", str(came))
            else:
                outcome = results.outcome(self.dist, jobs[key].steps, came, said[key])
            yield self.todo[key], outcome, seconds

    def _said(self, notebook: Any) -> Iterator[tuple[str, str]]:
        """Yield what is to be said about a notebook before it is run."""
        if other := steps.other_assignment(notebook, self.dist):
            yield "other assignment", f"the notebook is of another assignment ({other})"
        if names := steps.suspicious(notebook):
            yield "checker's names", f"it uses names of the checker: {', '.join(names)}"

    def _keep(self, submission: Submission, outcome: Outcome, seconds: float) -> None:
        """Write a submission's page and then its line; both are on disk, or neither."""
        if submission.others:
            besides = ("ok", f"also handed in: {', '.join(submission.others)}")
            outcome["events"] = [*outcome["events"], besides]
        made = table.record(submission, self.marks[submission.student], outcome, seconds)
        self._page(made)
        table.append(table.record_path(self.options.out), made)
        self.records.append(made)
        table.write(self.options.out, table.table(self.records))

    def _page(self, made: Record) -> None:
        if self.options.feedback:
            said = self.dist.record
            page = feedback.feedback(said["title"], made["student"], said["language"], made)
            table.write(self.options.feedback / feedback.page_name(made["student"]), page)

    def summary(self) -> int:
        """Print how many there are of each status, and what else was found."""
        counts: dict[str, int] = {}
        for made in self.records:
            counts[made["status"]] = counts.get(made["status"], 0) + 1
        told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        print(f"{self.options.out}: {len(self.records)} students ({told})")
        if debris := self.found.debris:
            names = ", ".join(debris[:5]) + (", ..." if len(debris) > 5 else "")
            print(f"Left by operating systems and platforms, handed in by nobody: {names}")
        return 1 if counts.get("failed") else 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take a request to terminate like Ctrl-C."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
