"""The notebooks of an assignment: for the students, and with the solutions."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from assign import localise, phrases, setup, sources
from assign.assignment import Assignment, Question
from assign.masters import Check

__all__ = ["student", "solution"]

# A cell whose code need not be read: Colab shows the title alone, JupyterLab folds the code, and
# VS Code, which never folds what a file says, shows the title first.
FOLDED = {"cellView": "form", "jupyter": {"source_hidden": True}}


def student(assignment: Assignment) -> NotebookNode:
    """Return the notebook that is handed out."""
    said = phrases.STUDENT
    cells = [_introduction(assignment), *_preparation(assignment)]
    for question in assignment.questions:
        answer = new_code_cell(
            question.starter, id=f"{question.name}-answer", metadata={"tags": ["answer"]}
        )
        cells += [_asked(question), answer]
        if question.exercise.words:
            words = phrases.upright(question.say(said["words"]))
            cells.append(_text(f"{question.name}-words", words, tags=["words"]))
        cells.append(_check(question, hidden=False))
    title, text = (assignment.say(said[part]) for part in ("hand in title", "hand in"))
    cells.append(_text("hand-in", f"## {title}\n\n{text}"))
    return _notebook(assignment, cells)


def solution(assignment: Assignment) -> NotebookNode:
    """Return the notebook with the solutions, and with all checks."""
    said = phrases.SOLUTIONS
    title = assignment.say(said["title"], title=assignment.title)
    warning = assignment.say(said["not for students"])
    cells = [_text("introduction", f"# {title}\n\n> {warning}"), *_preparation(assignment)]
    for question in assignment.questions:
        explained = f"**{question.say(said['explanation'])}**\n\n{question.text('explanation')}"
        cells += [
            _asked(question),
            new_code_cell(question.exercise.solution, id=f"{question.name}-answer"),
            _text(f"{question.name}-words", explained),
            _check(question, hidden=True),
        ]
    return _notebook(assignment, cells)


# -- cells ---------------------------------------------------------------------------------------


def _notebook(assignment: Assignment, cells: list[NotebookNode]) -> NotebookNode:
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "colab": {"provenance": []},
        "companion": {"assignment": assignment.id},
    }
    notebook = new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return notebook


def _text(name: str, source: str, **metadata: Any) -> NotebookNode:
    return new_markdown_cell(source, id=name, metadata=metadata)


def _introduction(assignment: Assignment) -> NotebookNode:
    said = phrases.STUDENT
    total = assignment.say(
        said["total"],
        questions=len(assignment.questions),
        points=assignment.points,
        minutes=assignment.minutes,
    )
    due = assignment.say(said["due"], due=assignment.due) if assignment.due else ""
    rest = [assignment.say(said[part]) for part in ("intro", "rule", "checks")]
    parts = [f"# {assignment.title}", total, due, *rest]
    return _text("introduction", "\n\n".join(filter(None, parts)))


def _preparation(assignment: Assignment) -> list[NotebookNode]:
    """Return the cell that installs what is missing, and that of the imports."""
    source = setup.source(assignment.book, assignment.language, assignment.needs_weights)
    metadata = {"tags": ["setup"], **FOLDED}
    return [
        new_code_cell(source, id="setup", metadata=metadata),
        new_code_cell(_imports(q.chapter.setup for q in assignment.questions), id="imports"),
    ]


def _imports(setups: Iterable[str]) -> str:
    """Return the imports of several chapters, each once: Python's, then others, then the book's."""
    plain: dict[str, None] = {}
    named: dict[str, set[str]] = {}
    for node in (node for each in dict.fromkeys(setups) for node in ast.parse(each).body):
        if isinstance(node, ast.ImportFrom):
            named.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
        else:
            plain[ast.unparse(node)] = None
    lines = [
        *plain,
        *(f"from {module} import {', '.join(sorted(n))}" for module, n in named.items()),
    ]
    groups: list[list[str]] = [[], [], []]
    for line in sorted(lines, key=lambda line: (line.startswith("from"), line)):
        module = line.split()[1].partition(".")[0]
        place = 2 if module == "companion" else 0 if module in sys.stdlib_module_names else 1
        groups[place].append(line)
    return "\n\n".join("\n".join(group) for group in groups if group)


def _asked(question: Question) -> NotebookNode:
    said, exercise = phrases.STUDENT, question.exercise
    title = exercise.text("title", question.into)
    heading = question.say(said["question"], number=question.number, title=title)
    points = question.say(
        said["point" if exercise.points == 1 else "points"], points=exercise.points
    )
    kind = phrases.upright(question.say(phrases.KIND[exercise.kind], minutes=exercise.minutes))
    hint = (
        f"<details><summary>{question.say(phrases.HINT)}</summary>\n\n"
        f"{question.text('hint')}\n\n</details>"
    )
    parts = [f"## {heading}", f"{kind} {points}", question.text("question"), hint]
    return _text(question.name, "\n\n".join(parts))


def _check(question: Question, hidden: bool) -> NotebookNode:
    """Return the cell that runs checks; their code is a text, which takes up one line."""
    name = f"check_{question.name}"
    title = question.say(phrases.CODE["check"], number=question.number)
    checks = [check for check, is_hidden, _ in question.checks if hidden or not is_hidden]
    spoken = "" if question.language == "en" else f", {question.language!r}"
    source = (
        f"# @title {title}\n{name} = {_code(question, checks)!r}\nreport({name}, globals(){spoken})"
    )
    metadata = {"tags": ["check"], "otter": {"tests": [question.name]}, **FOLDED}
    return new_code_cell(source, id=f"{question.name}-check", metadata=metadata)


def _code(question: Question, checks: Iterable[Check]) -> str:
    """Return code that defines ``CHECKS``, as `companion.notebook._assignments` takes them."""
    copied = sources.gather(dict.fromkeys(check.function for check in checks))
    listed = "".join(
        f"    ({question.into(c.what)!r}, {c.function.__name__}, {dict(c.given)!r}),\n"
        for c in checks
    )
    return f"{sources.bare(localise.localise(copied, question.into))}\nCHECKS = [\n{listed}]\n"
