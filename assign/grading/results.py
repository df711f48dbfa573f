"""What came of grading one notebook."""

from __future__ import annotations

from typing import Any

from assign.grading.dist import Dist
from assign.sandbox.attempts import Graded

__all__ = ["STATUS", "Outcome", "outcome", "nothing"]

# What can befall a submission, the worst first.
STATUS = (
    "failed", "unreadable", "missing", "memory", "timeout", "crashed", "checker's names",
    "other assignment", "errors", "ok",
)  # fmt: skip
Outcome = dict[str, Any]


def outcome(
    dist: Dist, steps: list[dict[str, Any]], graded: Graded, events: list[tuple[str, str]]
) -> Outcome:
    """Return what came of a notebook.

    Parameters
    ----------
    dist : Dist
    steps : list of dict
    graded : Graded
        What came of these steps.
    events : list of tuple of str
        What is to be said about the notebook besides.

    Returns
    -------
    dict
        ``questions``, ``events``, ``status``, ``total`` and ``possible``.
    """
    checked = {(s["test"], s["case"]): s["number"] for s in steps if "test" in s}
    came = {place: graded.came[n] for place, n in checked.items() if n in graded.came}
    failed = [(s["name"], graded.came[s["number"]]["told"]) for s in steps if s["number"] in
              graded.came and "source" in s and graded.came[s["number"]]["told"]]  # fmt: skip
    events = [*events, *graded.events, *(("errors", f"{cell}: {e}") for cell, e in failed[:3])]
    if len(failed) > 3:
        events.append(("errors", f"and errors in {len(failed) - 3} more cells"))
    questions = [_question(dist, record, came, graded.closed) for record in dist.questions]
    return _total(questions, events)


def nothing(dist: Dist, status: str, why: str) -> Outcome:
    """Return the outcome of a notebook that could not be graded: no points, and the reason."""
    reason = "The notebook could not be graded."
    questions = [_question(dist, q, {}, {q["name"]: reason}) for q in dist.questions]
    return _total(questions, [(status, why)])


def _question(
    dist: Dist,
    record: dict[str, Any],
    came: dict[tuple[str, int], dict[str, Any]],
    closed: dict[str, str],
) -> dict[str, Any]:
    why = closed.get(record["name"], "This question was not reached.")
    missing = {"passed": False, "told": why[:1].upper() + why[1:]}
    checks = [
        {**check, **came.get((record["name"], case), missing)}
        for case, check in enumerate(record["checks"])
    ]
    return {
        "name": record["name"],
        "title": record["title"],
        "exercise": record["exercise"],
        "by_hand": record["points_by_hand"],
        "score": round(sum(c["points"] for c in checks if c["passed"]), 4),
        "possible": round(sum(c["points"] for c in checks), 4),
        "checks": checks,
    }


def _total(questions: list[dict[str, Any]], events: list[tuple[str, str]]) -> Outcome:
    return {
        "questions": questions,
        "events": events,
        "status": min((kind for kind, _ in events), key=STATUS.index, default="ok"),
        "total": round(sum(q["score"] for q in questions), 4),
        "possible": round(sum(q["possible"] for q in questions), 4),
    }
