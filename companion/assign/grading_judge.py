"""Grades one notebook: runs its cells in a sandbox, and otter's tests here."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from otter.test_files import TestFile
from otter.test_files.exception_test import ExceptionTestFile

from companion.assign import grading_assignment, grading_results
from companion.assign.grading_assignment import Assignment
from companion.assign.grading_remote import Answers, Environment
from companion.assign.grading_results import Outcome
from companion.assign.sandbox import Failed, Interrupted, Limits, Sandbox, Stopped
from companion.assign.sandbox_keeper import Nursery

__all__ = ["Cell", "cells", "parse", "Judge", "grade"]

ATTEMPTS = 4  # a notebook that ends its own process is run again without that cell
LARGEST_NOTEBOOK = 50 * 2**20


@dataclass(frozen=True)
class Cell:
    """A code cell."""

    number: int  # counted from 1, with the text cells
    source: str
    tests: tuple[str, ...]  # questions to grade once it has run
    question: str  # the one it belongs to, if that is known

    @property
    def name(self) -> str:
        """What to call it."""
        return f"cell {self.number}" + (f" ({self.question})" if self.question else "")


# -- reading -------------------------------------------------------------------------------------


def cells(notebook: Any) -> list[Cell]:
    """Return a notebook's code cells, as otter would run them."""
    found, question = [], ""
    for number, cell in enumerate(notebook.cells, start=1):
        name = re.match(r"(q\d+)\b", str(cell.get("id", "")))
        question = name[1] if name else question
        otter = cell.metadata.get("otter") or {}
        ignored = otter.get("ignore") or "otter_ignore" in cell.metadata.get("tags", [])
        if cell.cell_type == "code" and cell.source.strip() and not ignored:
            tests = tuple(map(str, otter.get("tests") or ()))
            found.append(Cell(number, cell.source, tests, question))
    return found


def parse(raw: bytes) -> Any:
    """Read a notebook, whoever wrote it.

    Raises
    ------
    ValueError
        If it is none; the text says why.
    """
    if len(raw) > LARGEST_NOTEBOOK:
        raise ValueError(f"the file is larger than {LARGEST_NOTEBOOK >> 20} MB")
    try:
        notebook = nbformat.reads(raw.decode("utf-8-sig"), as_version=4)
        cells(notebook)
    except Exception as error:
        raise ValueError(f"the file is no notebook ({type(error).__name__})") from None
    return notebook


# -- grading -------------------------------------------------------------------------------------


class Judge:
    """Grades one notebook.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
    assignment : Assignment
    sandbox : Sandbox
        Not started yet.
    """

    def __init__(self, notebook: Any, assignment: Assignment, sandbox: Sandbox) -> None:
        self.cells = cells(notebook)
        self.tests = assignment.test_files()
        self.sandbox = sandbox
        self.graded: set[str] = set()
        self.skipped: set[int] = set()
        self.errors: dict[int, str] = {}
        self.events: list[tuple[str, str]] = []
        self.layers: dict[str, bool] = {}
        self.hidden = False

    def grade(self) -> None:
        """Run the notebook and its tests, again if its process ends before all is graded."""
        for _ in range(ATTEMPTS):
            try:
                self._attempt()
                break
            except Stopped as error:
                if error.kind == "failed":
                    self._event("failed", str(error))
                    break
            finally:
                self.sandbox.stop()
            if len(self.graded) == len(self.tests) or self.sandbox.seconds_left < 1:
                break
        self._finish()

    def _attempt(self) -> None:
        self.sandbox.start()
        self.layers = {name: bool(on) for name, on in self.sandbox.layers.items()}
        self.answers = Answers(self.sandbox)
        for cell in self.cells:
            if cell.number not in self.skipped:
                self._run(cell)
            for name in cell.tests:
                self._test(name)
        for name in self.tests:
            self._test(name)

    def _run(self, cell: Cell) -> None:
        """Run a cell; one that ends the process will not be run again."""
        self.sandbox.step()
        try:
            tree, _ = self.sandbox.ask({"do": "cell", "source": cell.source})
        except Interrupted as error:
            self._event("timeout", f"{cell.name}: {error}, and was stopped")
            return
        except Stopped as error:
            self.skipped.add(cell.number)
            self._event(error.kind, f"{cell.name}: {error}; it was left out")
            raise
        except Failed as error:  # the machinery over there was tampered with
            tree = {"ok": {"type": error.type_name, "text": error.text}}
        if isinstance(tree["ok"], dict):
            self._error(cell, str(tree["ok"].get("type")), str(tree["ok"].get("text")))

    def _error(self, cell: Cell, kind: str, text: str) -> None:
        text = " ".join(text.split())[:200]
        limits = self.sandbox.limits
        if kind == "OutputLimit":
            self._event(
                "output", f"{cell.name} printed more than {limits.output} MB and was stopped"
            )
        elif kind == "MemoryError" or "can't allocate memory" in text:
            self._event("memory", f"{cell.name} wanted more than {limits.memory} MB of memory")
        elif "the sandbox stopped this" not in text:
            self.errors[cell.number] = f"{cell.name}: {kind}" + (f": {text}" if text else "")

    def _test(self, name: str) -> None:
        """Grade a question, once."""
        if name in self.graded or name not in self.tests:
            return
        self.graded.add(name)
        test_file = self.tests[name]
        try:
            environment = self._environment(test_file)
            test_file.run(environment)
        except Exception as error:  # of any type: a value says for itself why it cannot be sent
            grading_results.all_failed(test_file, f"The answer could not be read: {error}")
        self._tell_incidents(name)
        if self.sandbox.keeper is None:
            raise Stopped("crashed", "the process ended")

    def _environment(self, test_file: TestFile) -> dict[str, Any]:
        """Return the names for a test to choose from, and give each test its own time."""
        self.sandbox.step()
        environment = Environment(self.answers)
        if isinstance(test_file, ExceptionTestFile):
            for case in test_file.test_cases:
                if not hasattr(case.body.test_func, "__wrapped__"):
                    case.body.test_func = self._timed(case.body.test_func, case.hidden)
            return environment
        # A doctest copies its environment, so all that it mentions is fetched beforehand.
        text = "\n".join(str(case.body) for case in test_file.test_cases)
        mentioned = set(re.findall(r"[^\W\d]\w*", text)) & environment.names
        return {name: environment[name] for name in sorted(mentioned)}

    def _timed(self, test: Callable[..., None], hidden: bool) -> Any:
        """Return a test that begins by starting the clock."""

        @functools.wraps(test)
        def timed(*args: Any, **kwargs: Any) -> None:
            self.sandbox.step()
            self.answers.quiet = hidden
            try:
                test(*args, **kwargs)
            finally:
                self.answers.quiet = False

        return timed

    def _tell_incidents(self, name: str) -> None:
        """Tell what befell the process while a question was graded."""
        for kind, why in self.answers.incidents:
            self._event(kind, f"when {name} was graded: {why}")
        self.answers.incidents.clear()

    # -- what happened

    def _event(self, kind: str, text: str) -> None:
        if (kind, text) not in self.events:
            self.events.append((kind, text))

    def _finish(self) -> None:
        """Give nothing for what was not reached, and tell of errors and attempts."""
        for name, test_file in self.tests.items():
            if name not in self.graded or not test_file.test_case_results:
                grading_results.all_failed(test_file, "This question was not reached.")
        for note in self.sandbox.notes:
            kind = "errors" if "left out" in note else "blocked"
            self._event(kind, note if kind == "errors" else f"{note}, which was stopped")
        errors = list(self.errors.values())
        for text in errors[:3]:
            self._event("errors", text)
        if len(errors) > 3:
            self._event("errors", f"and errors in {len(errors) - 3} more cells")


# -- one notebook ----------------------------------------------------------------------------------


def grade(place: Path, raw: bytes, limits: Limits, nursery: Nursery | None = None) -> Outcome:
    """Grade one notebook.

    Parameters
    ----------
    place : Path
        The folder that was drawn, with ``autograder.zip`` in it.
    raw : bytes
        The notebook as it was handed in.
    limits : Limits
    nursery : Nursery, optional
        Made here unless given, before any test is read.

    Returns
    -------
    Outcome
    """
    start = time.monotonic()
    nursery = nursery or Nursery()
    assignment = grading_assignment.read(place)
    try:
        notebook = parse(raw)
    except ValueError as error:
        outcome = grading_results.nothing(assignment, "unreadable", str(error))
    else:
        judge = Judge(notebook, assignment, Sandbox(limits, nursery, assignment.files))
        judge.grade()
        outcome = grading_results.outcome(judge.tests, assignment)
        outcome.events = _other_assignment(notebook, assignment) + judge.events
        outcome.layers = judge.layers
    finally:
        nursery.close()
    outcome.seconds = round(time.monotonic() - start, 1)
    return outcome


def _other_assignment(notebook: Any, assignment: Assignment) -> list[tuple[str, str]]:
    """Tell if a notebook says that it belongs to another assignment."""
    named = (notebook.metadata.get("companion") or {}).get("assignment")
    if not named or not assignment.id or named == assignment.id:
        return []
    return [("other assignment", f"the notebook is of another assignment ({str(named)[:80]})")]
