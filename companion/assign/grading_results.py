"""What came of grading one notebook, from otter's results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from otter.test_files import GradingResults, TestFile
from otter.test_files.abstract_test import TestCaseResult

from companion.assign.grading_assignment import Assignment

__all__ = ["Outcome", "all_failed", "told", "outcome", "nothing"]

# What can befall a submission, the worst first.
STATUS = (
    "failed", "unreadable", "memory", "processes", "files", "timeout", "crashed", "output",
    "blocked", "other assignment", "errors", "ok",
)  # fmt: skip


@dataclass
class Outcome:
    """What came of grading one notebook."""

    questions: list[dict[str, Any]] = field(default_factory=list)
    events: list[tuple[str, str]] = field(default_factory=list)  # kind, in words
    total: float = 0.0
    possible: float = 0.0
    seconds: float = 0.0
    layers: dict[str, bool] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """The worst that happened."""
        return min((kind for kind, _ in self.events), key=STATUS.index, default="ok")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {**asdict(self), "status": self.status}


def all_failed(test_file: TestFile, why: str) -> None:
    """Let every check of a question fail, for a reason that the student is told."""
    message = f"\nAssertionError: {why}"
    test_file.test_case_results = [
        TestCaseResult(test_case=case, message=message, passed=False)
        for case in test_file.test_cases
    ]


def told(message: str | None) -> str:
    """Return the part of otter's message that is meant for the student.

    The lines before it quote the test's source, which must not be seen.
    """
    if not message:
        return ""
    _, found, text = message.partition("\nAssertionError: ")
    if found:
        return text.strip()[:1000]
    last = message.strip().splitlines()[-1]
    return f"The check could not be carried out ({last.partition(':')[0][:80]})."


def _question(test_file: TestFile, record: dict[str, Any]) -> dict[str, Any]:
    checks = [
        {
            "name": str(result.test_case.name),
            "hidden": bool(result.test_case.hidden),
            "passed": bool(result.passed),
            "points": result.test_case.points,
            "message": "" if result.passed else told(result.message),
        }
        for result in test_file.test_case_results
    ]
    return {
        "name": test_file.name,
        "title": record.get("title", ""),
        "exercise": record.get("exercise", ""),
        "by_hand": record.get("points_by_hand", 0),
        "score": round(test_file.score, 4),
        "possible": round(test_file.possible, 4),
        "checks": checks,
    }


def outcome(tests: dict[str, TestFile], assignment: Assignment) -> Outcome:
    """Return the outcome of test files that otter has run.

    Parameters
    ----------
    tests : dict of str to otter.test_files.TestFile
    assignment : Assignment

    Returns
    -------
    Outcome
    """
    results = GradingResults(list(tests.values()))
    records = assignment.questions
    return Outcome(
        questions=[_question(test, records.get(name, {})) for name, test in tests.items()],
        total=round(results.total, 4),
        possible=round(results.possible, 4),
    )


def nothing(assignment: Assignment, status: str, why: str) -> Outcome:
    """Return the outcome of a notebook that could not be graded: no points, and the reason.

    Parameters
    ----------
    assignment : Assignment
    status : str
        One of `STATUS`.
    why : str

    Returns
    -------
    Outcome
    """
    tests = assignment.test_files()
    for test_file in tests.values():
        all_failed(test_file, "The notebook could not be graded.")
    found = outcome(tests, assignment)
    found.events = [(status, why)]
    return found
