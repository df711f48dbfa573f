"""What is to be done with a notebook: its cells, and the checks of each question in between."""

from __future__ import annotations

import re
from typing import Any

import nbformat

from assign.grading.dist import Dist

__all__ = ["parse", "steps", "placed", "asks", "suspicious", "other_assignment"]

LARGEST = 50 * 2**20
# A cell that only checks; in notebooks of earlier versions its checks are a function.
CHECK = re.compile(
    r"^def check_(?P<older>q\d+)\(|^check_(?P<name>q\d+) = (?s:.*)^report\(check_(?P=name),",
    re.MULTILINE,
)
# Names that an answer has no use for, and that an attack on the tests has.
CHECKERS = re.compile(
    r"\b(otter|test_case|TestFile|ExceptionTestFile|GradingResults|_getframe|f_back"
    r"|tb_frame|get_objects|get_referrers|ctypes|settrace|setprofile|addaudithook)\b|(/proc)\b"
)


def parse(raw: bytes) -> Any:
    """Read a notebook, whoever wrote it.

    Parameters
    ----------
    raw : bytes

    Returns
    -------
    nbformat.NotebookNode

    Raises
    ------
    ValueError
        If it is none; the text says why.
    """
    if len(raw) > LARGEST:
        raise ValueError(f"the file is larger than {LARGEST >> 20} MB")
    try:
        notebook = nbformat.reads(raw.decode("utf-8-sig"), as_version=4)
        _questions(notebook.cells)
    except Exception as error:
        raise ValueError(f"the file is no notebook ({type(error).__name__})") from None
    return notebook


def steps(notebook: Any, dist: Dist) -> list[dict[str, Any]]:
    """Return what is to be done, in order, as `assign.sandbox.attempts.grade` takes it.

    A question is checked where the notebook has its check, so that later cells cannot overwrite
    its names; where that is lost, at the end. The cells that only check are not run.
    """
    found: list[dict[str, Any]] = []
    last = {_checks(cell): number for number, cell in enumerate(notebook.cells)}
    for number, (cell, question) in enumerate(placed(notebook)):
        checked = _checks(cell)
        if checked and last[checked] == number:
            found += _of_question(dist, checked)
        elif not checked and cell.cell_type == "code" and cell.source.strip():
            name = f"cell {number + 1}"
            named = f"{name} ({question})" if question else name
            found.append({"question": question or name, "name": named, "source": cell.source})
    for question in dist.tests:
        found += [] if question in last else _of_question(dist, question)
    return [{"number": number, **step} for number, step in enumerate(found)]


def placed(notebook: Any) -> list[tuple[Any, str]]:
    """Return each cell with the question that it belongs to."""
    return list(zip(notebook.cells, _questions(notebook.cells), strict=True))


def asks(cell: Any) -> bool:
    """Tell whether a cell is the text of a question, not an answer."""
    named = re.fullmatch(r"q\d+|introduction|hand-in", _id(cell))
    return bool(named) or cell.source.startswith("## ")


def _of_question(dist: Dist, name: str) -> list[dict[str, Any]]:
    """Return a step for each check."""
    number = next((len(q["checks"]) for q in dist.questions if q["name"] == name), 0)
    return [
        {"question": name, "name": f"{name}, check {case + 1}", "test": name, "case": case}
        for case in range(number)
    ]


def _checks(cell: Any) -> str:
    """Return the question whose check a cell is, if it is one and nothing else."""
    found = CHECK.search(cell.source) if cell.cell_type == "code" else None
    return (found["older"] or found["name"]) if found else ""


def _questions(cells: list[Any]) -> list[str]:
    """Return for each cell the question that it belongs to."""
    named = [re.match(r"(q\d+)(-|$)", _id(cell)) for cell in cells]
    if any(named):  # each cell belongs to the question above it
        found, question = [], ""
        for name in named:
            question = name[1] if name else question
            found.append(question)
        return found
    found, question = [], ""  # else, to the check below it
    for cell in reversed(cells):
        question = _checks(cell) or question
        found.append(question)
    return found[::-1]


def _id(cell: Any) -> str:
    return str(cell.metadata.get("id") or cell.get("id") or "")  # Colab keeps it in the metadata


# -- what somebody should look at ----------------------------------------------------------------


def suspicious(notebook: Any) -> list[str]:
    """Return names in a notebook's code that are the checker's business."""
    code = [c.source for c in notebook.cells if c.cell_type == "code" and not _checks(c)]
    found = {a or b for source in code for a, b in CHECKERS.findall(source)}
    return sorted(found)


def other_assignment(notebook: Any, dist: Dist) -> str:
    """Return which assignment a notebook is of, if it is not this one."""
    named = (notebook.metadata.get("companion") or {}).get("assignment")
    return str(named)[:80] if named and named != dist.record["id"] else ""
