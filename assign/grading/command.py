"""The command ``grade``: one run of it."""

from __future__ import annotations

import argparse
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from tqdm import tqdm

from assign.grading import (
    arguments,
    byhand,
    collect,
    dist,
    feedback,
    files,
    results,
    roster,
    statistics,
    steps,
    table,
)
from assign.grading.collect import Submission
from assign.grading.results import Outcome
from assign.grading.table import Record
from assign.sandbox import pool, walls
from assign.sandbox.process import Limits

__all__ = ["run", "Session"]


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
        As `arguments.add` describes them.

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
        self.given = byhand.read(options.by_hand, self.dist) if options.by_hand else {}
        if options.lms and not options.roster:
            raise ValueError("lms needs roster: the table of the class that it exports")
        self.roster = roster.read(options.roster, options.lms) if options.roster else None
        due = self.dist.record.get("due")
        self.due = options.due or (arguments.date(due) if due else None)
        self.wall = walls.choose(options.trust)
        pool.warm_up()  # before any submission is read
        self.found = collect.collect(options.submissions, self.dist.record["id"])
        self._plan()

    def _resumed(self) -> list[Record]:
        """Return what has been graded before."""
        out = self.options.out
        records, digests = table.read(table.record_path(out))
        if not out.exists():
            return records if self.options.resume else []
        if not self.options.resume:
            raise ValueError(f"{out} exists: add --resume to go on with it, or move it")
        if table.digest(out.read_text(encoding="utf-8")) not in digests:
            raise ValueError(
                f"{out} was changed by hand, and would be written anew: move it, or restore it. "
                "Points by hand belong where review puts them"
            )
        given = any(row["by_hand"] != "0" for row in files.rows_of(out))
        if given and not self.options.by_hand:
            raise ValueError(f"{out} holds points given by hand: say --by-hand, so that they stay")
        return records

    def _plan(self) -> None:
        """Keep records whose notebook and tests are the same, and note what is to be graded."""
        self.marks = {s.student: self._mark(s) for s in self.found.submissions}
        self.records = [
            made
            for made in self.records
            if made["status"] != "failed" and self.marks.get(made["student"]) == made["fingerprint"]
        ]
        known = {made["student"]: made for made in self.records}
        self.todo = [s for s in self.found.submissions if s.student not in known]
        for submission in self.found.submissions:  # the date may be another one now
            if submission.student in known:
                known[submission.student]["late"] = self._late(submission)

    def _mark(self, submission: Submission) -> str:
        """Return what changes when a notebook or the tests do."""
        said = f"{self.dist.fingerprint} {submission.student} {submission.problem} ".encode()
        return sha256(said + submission.raw).hexdigest()[:12]

    def grade(self) -> None:
        """Grade what is to be graded, with a progress bar."""
        if not self.options.resume:
            table.record_path(self.options.out).unlink(missing_ok=True)
        for made in self.records:
            self._page(made)
        self._write()
        with tqdm(total=len(self.todo), desc="Grading", unit="notebook") as bar:
            for submission, outcome, seconds in self._outcomes():
                self._keep(submission, outcome, seconds)
                bar.set_postfix_str(submission.student[:24], refresh=False)
                bar.update()
        self._report()

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
        mark, late = self.marks[submission.student], self._late(submission)
        made = table.record(submission, late, mark, outcome, seconds)
        self._page(made)
        table.append(table.record_path(self.options.out), made)
        self.records.append(made)
        self._write()

    def _write(self) -> None:
        """Write the table, with those who handed in nothing."""
        text = table.table([*self.records, *self._missing()], self.given)
        table.append(table.record_path(self.options.out), {"table": table.digest(text)})
        files.write(self.options.out, text)

    def _page(self, made: Record) -> None:
        if self.options.feedback:
            page = feedback.Page(self.dist.record, made, self.given)
            name = feedback.page_name(made["student"])
            files.write(self.options.feedback / f"{name}.md", page.markdown())
            files.write(self.options.feedback / f"{name}.html", page.html())

    def _late(self, submission: Submission) -> str:
        """Say how late something came: by its date, or as the platform says."""
        if self.due and submission.changed:
            seconds = submission.changed - self.due.timestamp()
            if seconds > 0:
                days = math.ceil(seconds / 86400)
                return f"{days} day{'s' if days > 1 else ''}"
        return "late" if submission.late else ""

    # -- the class

    @cached_property
    def _rows(self) -> dict[str, int | None]:
        """The row of the class of each student who handed something in."""
        assert self.roster is not None
        return {s.student: self.roster.find(s) for s in self.found.submissions}

    def _missing(self) -> list[Record]:
        """Return a record for each student of the class who handed in nothing."""
        if not self.roster:
            return []
        there, nothing = set(self._rows.values()), Submission("", "")
        outcome = results.nothing(self.dist, "missing", "nothing was handed in")
        return [
            table.record(replace(nothing, student=name), "", "", outcome, 0.0)
            for number, name in self.roster.students().items()
            if number not in there
        ]

    def _report(self) -> None:
        """Write what is asked for besides the table."""
        counts = statistics.counted(self.records)
        if folder := self.options.statistics:
            files.write(folder / "statistics.csv", statistics.as_table(counts))
            statistics.plot(counts, folder / "statistics.svg")
        if self.roster and self.options.lms:
            rows, made = self._rows, {made["student"]: made for made in self.records}
            points = {
                number: table.totals(made[student], self.given)[0]
                for student, number in rows.items()
                if number is not None and student in made
            }
            title, out = self.dist.record["title"], self.options.out
            most = max(map(table.most, self.records), default=0.0)
            text = self.roster.imported(self.options.lms, title, points, most)
            files.write(out.with_name(f"{out.stem}-{self.options.lms}.csv"), text)

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
        if self.roster:
            missing = [made["student"] for made in self._missing()]
            print(f"Handed in nothing: {', '.join(missing) or 'nobody'}")
            if unknown := [s for s, number in self._rows.items() if number is None]:
                print(f"Not in {self.options.roster}, or not plain who: {', '.join(unknown)}")
        for line in statistics.hardest(statistics.counted(self.records)):
            print(line)
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
