"""Write an assignment's folder: whole, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from assign import autograder, notebooks, rubric
from assign.assignment import Assignment
from assign.book import AssignError
from companion.data.downloading import sha256

__all__ = ["secret", "make"]

RECORD = "assignment.json"
SECONDS = 600  # for one cell of the solution


def secret(out: Path) -> str:
    """Return the secret of what was drawn there before, or a new one."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((out / RECORD).read_text(encoding="utf-8"))["secret"])
    return secrets.token_hex(16)


def make(assignment: Assignment, out: Path, force: bool = False, run: bool = True) -> list[str]:
    """Write the folder of an assignment.

    Parameters
    ----------
    assignment : Assignment
    out : Path
        A folder that does not exist or is empty.
    force : bool, default=False
        Replace a folder that was made before.
    run : bool, default=True
        Run the solution, so that its notebook has outputs.

    Returns
    -------
    list of str
        What the checks said against the solution as it was run; empty if all is well.

    Raises
    ------
    AssignError
        If there is something in `out`, and `force` may not or must not replace it.
    """
    out = out.resolve()
    _may_write(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as name:
        new = Path(name) / "new"
        complaints = _write(assignment, new, run)
        if out.exists():
            out.rename(Path(name) / "old")
        new.rename(out)
    return complaints


def _may_write(out: Path, force: bool) -> None:
    if out.exists() and not out.is_dir():
        raise AssignError(f"{out} is a file; out must be a folder")
    there = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if there and not (force and RECORD in there):
        held = ", ".join(there[:5]) + (", ..." if len(there) > 5 else "")
        may = (
            "say --force to replace it"
            if RECORD in there
            else "--force replaces only what make wrote"
        )
        raise AssignError(f"{out} is not empty, it holds {held}: choose another folder ({may})")


def _write(assignment: Assignment, folder: Path, run: bool) -> list[str]:
    for part in ("student", "solution"):
        (folder / part).mkdir(parents=True)
    notebook = f"{assignment.name}.ipynb"
    solved = notebooks.solution(assignment)
    complaints = _run(solved) if run else []
    _store(notebooks.student(assignment), folder / "student" / notebook)
    _store(solved, folder / "solution" / notebook)
    autograder.write(assignment, folder / "autograder.zip")
    (folder / "rubric.md").write_text(rubric.write(assignment), encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    record = json.dumps(assignment.record(files), indent=2, ensure_ascii=False)
    (folder / RECORD).write_text(record + "\n", encoding="utf-8")
    return complaints


def _store(notebook: NotebookNode, path: Path) -> None:
    text = nbformat.writes(notebook, version=4).rstrip("\n") + "\n"
    path.write_text(text, encoding="utf-8")


def _run(notebook: NotebookNode) -> list[str]:
    """Run a notebook, keep its outputs, and return what failed in it."""
    from nbclient import NotebookClient

    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_name="python3",
            allow_errors=True,
            resources={"metadata": {"path": folder}},
        )
        # Neither the debugger of the kernel nor anything else has something to say here.
        environment = {**os.environ, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        client.execute(env=environment, stderr=subprocess.DEVNULL)
    complaints = []
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                complaints.append(f"{cell.id}: {output.ename}: {output.evalue}")
            elif "✗" in output.get("text", ""):
                complaints.append(f"{cell.id}: {output.text.strip()}")
    return complaints
