"""Grades a folder of notebooks: ``python -m companion.assign grade dist/ submissions/``.

Each submission runs in a sandbox of its own (`sandbox`), and otter-grader's tests run outside of
it (`grading_judge`). What it protects against, and what it does not, is said in the book's
appendix *For instructors*.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from companion.assign import (
    grading_assignment,
    grading_collect,
    grading_pool,
    grading_report,
    grading_results,
)
from companion.assign.grading_collect import Submission
from companion.assign.grading_report import Row

__all__ = ["add_arguments", "run", "Session"]

_ONE_THREAD = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's arguments."""
    add = parser.add_argument
    add("dist", type=Path, help="the folder that make wrote, or an autograder.zip")
    add("submissions", type=Path, help="a folder of notebooks, nested or in zips as exported")
    add("--out", type=Path, default=Path("grades.csv"), help="the table (default: %(default)s)")
    add("--feedback", type=Path, metavar="DIR", help="write a page for each student there")
    add("--jobs", type=_positive, default=os.cpu_count() or 1, help="how many at a time")
    add(
        "--timeout",
        type=_seconds,
        default=300.0,
        metavar="S",
        help="seconds for each submission; a single cell may take half (default: %(default)g)",
    )
    add(
        "--memory",
        type=_positive,
        default=2048,
        metavar="MB",
        help="memory of each submission, beyond the libraries' (default: %(default)s)",
    )
    add(
        "--output",
        type=_positive,
        default=10,
        metavar="MB",
        help="what a cell may print (default: %(default)s)",
    )
    add("--resume", action="store_true", help="keep what the table holds, grade the rest")


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
        except ValueError as error:
            print(f"grade: {error}", file=sys.stderr)
            return 2
        try:
            session.grade()
        except KeyboardInterrupt:
            print(f"\nInterrupted. {options.out} holds what is graded; --resume goes on.")
            return 130
    return _summary(options.out, session.rows)


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
        submissions = grading_collect.collect(options.submissions)
        if options.out.exists() and not options.resume:
            raise ValueError(f"{options.out} exists: add --resume to go on with it, or move it")
        grading_assignment.locate(options.dist)
        grading_pool.warm_up()
        self.assignment = grading_assignment.read(options.dist)
        self._plan(submissions)

    def _plan(self, submissions: list[Submission]) -> None:
        """Keep rows whose notebook and tests are the same, and note what is to be graded."""
        tests = grading_assignment.fingerprint(self.options.dist).encode()
        rows = grading_report.read_table(self.options.out)
        self.marks = {s.file: sha256(tests + s.raw).hexdigest()[:12] for s in submissions}
        rows = [r for r in rows if r["status"] != "failed"]
        self.rows = [r for r in rows if self.marks.get(r["file"]) == r["fingerprint"]]
        known = {row["file"] for row in self.rows}
        self.todo = [s for s in submissions if s.file not in known]

    def grade(self) -> None:
        """Grade what is to be graded, with a progress bar."""
        bar = tqdm(total=len(self.todo), desc="Grading", unit="notebook")
        with bar, TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True) as scratch:
            os.chmod(scratch, 0o711)  # submissions may run as another user
            for submission, outcome in self._outcomes(scratch):
                self._keep(submission, outcome)
                bar.set_postfix_str(submission.student[:24], refresh=False)
                bar.update()

    def _outcomes(self, scratch: str) -> Iterator[tuple[Submission, dict[str, Any]]]:
        jobs = []
        for number, submission in enumerate(self.todo):
            if submission.problem:
                yield submission, self._nothing("unreadable", submission.problem)
            else:
                work = (number, self.options.dist, submission.raw, self._limits(), scratch)
                jobs.append(grading_pool.Job(*work))
        warned = False
        for job, outcome in grading_pool.grade_all(jobs, self.options.jobs):
            warned = warned or _warn(outcome.get("layers", {}))
            if "why" in outcome:
                outcome = self._nothing(outcome["status"], outcome["why"])
            yield self.todo[job.key], outcome

    def _limits(self) -> dict[str, Any]:
        o = self.options
        return {"seconds": o.timeout, "memory": o.memory, "output": o.output}

    def _nothing(self, status: str, why: str) -> dict[str, Any]:
        return grading_results.nothing(self.assignment, status, why).to_dict()

    def _keep(self, submission: Submission, outcome: dict[str, Any]) -> None:
        """Write a submission's line and page; the table is on disk after every line."""
        student, file = submission.student, submission.file
        self.rows.append(grading_report.row(student, file, self.marks[file], outcome))
        grading_report.write(self.options.out, grading_report.table(self.rows))
        if self.options.feedback:
            page = grading_report.feedback(
                self.assignment.title, student, self.assignment.language, outcome
            )
            name = grading_report.page_name(student, file)
            grading_report.write(self.options.feedback / name, page)


def _warn(layers: dict[str, bool]) -> bool:
    """Say once if the kernel offers less than what the sandbox can use."""
    missing = [name for name, there in layers.items() if not there]
    if missing:
        print(
            f"This machine's kernel does not offer {' and '.join(missing)} to the sandbox. "
            "Grade strangers' notebooks in a container; see the appendix For instructors.",
            file=sys.stderr,
        )
    return bool(missing)


def _summary(path: Path, rows: list[Row]) -> int:
    """Print how many there are of each status."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["status"]] = counts.get(row["status"], 0) + 1
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{path}: {len(rows)} notebooks ({told})")
    return 1 if counts.get("failed") else 0


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take a request to terminate like Ctrl-C, and let processes compute with one thread each."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    handler = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
