"""The rubric: points, what each check looks at, and what is graded by hand."""

from __future__ import annotations

import companion
from assign import phrases
from assign.assignment import Assignment, Question

__all__ = ["write"]

SAID = phrases.RUBRIC


def write(assignment: Assignment) -> str:
    """Return the rubric in Markdown."""
    title = assignment.say(SAID["title"], title=assignment.title)
    drawn = assignment.say(
        SAID["drawn"],
        seed=assignment.seed,
        version=companion.__version__,
        points=assignment.points,
        by_hand=assignment.by_hand,
    )
    parts = [f"# {title}", drawn, *(_question(question) for question in assignment.questions)]
    return "\n\n".join(parts) + "\n"


def _question(question: Question) -> str:
    exercise = question.exercise
    title = exercise.text("title", question.into)
    kind = question.say(phrases.KIND[exercise.kind], minutes=exercise.minutes).strip("*")
    points = question.say(phrases.STUDENT["points"], points=exercise.points)
    parts = [f"## {question.number}. {title}", f"{kind} {points} `{exercise.id}`"]
    if exercise.public_solution:
        parts.append(question.say(SAID["public"]))
    good, mistakes = (question.say(SAID[name]) for name in ("good answer", "mistakes"))
    found = "\n".join(f"- {question.into(mistake)}" for mistake in exercise.wrong_answers)
    parts += [_table(question), f"**{good}**", question.text("explanation")]
    return "\n\n".join([*parts, f"**{mistakes}**", found])


def _table(question: Question) -> str:
    """Return one line for each check, and one for what is graded by hand."""
    visible, hidden = (question.say(SAID[name]) for name in ("visible", "hidden"))
    rows = [
        f"| {points:.3g} | {hidden if is_hidden else visible} | {question.into(check.what)} |"
        for check, is_hidden, points in question.checks
    ]
    if question.exercise.by_hand:
        how, what = (question.say(SAID[name]) for name in ("by hand row", "by hand"))
        rows.append(f"| {question.exercise.by_hand} | {how} | {what} |")
    return "\n".join([question.say(SAID["table"]), "| ---: | --- | --- |", *rows])
