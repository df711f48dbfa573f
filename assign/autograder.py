"""Otter's test files, and the zip that Gradescope, ``otter run`` and ``grade`` take."""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

from assign import localise, sources
from assign.assignment import Assignment, Question
from companion.notebook import _assignments

__all__ = ["test_file", "write"]

CASE = """
@test_case(name={name!r}, points={points!r}, hidden={hidden!r})
def check_{number}(env):
    demand({function}, {given!r}, env, {language!r})
"""


def test_file(question: Question) -> str:
    """Return a question's tests in otter's exception-based format."""
    checks = question.checks
    copied = sources.gather(
        dict.fromkeys([_assignments.demand, *(check.function for check, *_ in checks)]),
        sources.MACHINERY,
    )
    cases = [
        CASE.format(
            number=number,
            name=question.label(number, check),
            points=points,
            hidden=hidden,
            function=check.function.__name__,
            given=dict(check.given),
            language=question.language,
        )
        for number, (check, hidden, points) in enumerate(checks, start=1)
    ]
    header = (
        f'"""{question.exercise.id}: what its answer must pass."""\n\n'
        "from otter.test_files import test_case\n\n"
        f"OK_FORMAT = False\n\nname = {question.name!r}\n\n"
    )
    code = localise.localise(copied, question.into)
    return header + code + "\n".join(cases)


def write(assignment: Assignment, path: Path) -> None:
    """Write the autograder zip, the same bytes for the same assignment."""
    from otter.generate import main as generate

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tests").mkdir()
        for question in assignment.questions:
            (folder / "tests" / f"{question.name}.py").write_text(
                test_file(question), encoding="utf-8"
            )
        config = {"lang": "python", "pdf": False, "show_hidden": False}
        (folder / "otter_config.json").write_text(json.dumps(config), encoding="utf-8")
        needs = [assignment.book.package()]
        needs += [assignment.book.weights()] if assignment.needs_weights else []
        (folder / "requirements.txt").write_text("\n".join(needs) + "\n", encoding="utf-8")
        generate(
            tests_dir=str(folder / "tests"),
            output_path=str(folder / "made.zip"),
            config=str(folder / "otter_config.json"),
            requirements=str(folder / "requirements.txt"),
            no_environment=True,
        )
        _repack(folder / "made.zip", path)


def _repack(made: Path, path: Path) -> None:
    """Copy a zip with its files sorted and without dates."""
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            new.writestr(entry, old.read(name))
