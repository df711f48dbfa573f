"""What a submission is graded with: the test files of ``autograder.zip`` and the record."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from otter.test_files import TestFile
from otter.test_files.exception_test import ExceptionTestFile
from otter.test_files.ok_test import OKTestFile

__all__ = ["Assignment", "locate", "fingerprint", "read"]


@dataclass(frozen=True)
class Assignment:
    """Test files, still as text, and what is known about the questions.

    Attributes
    ----------
    id : str
        The assignment's own name, which its notebooks carry; empty if not known.
    title, language : str
    sources : dict
        For each question, the text of its test file.
    questions : dict
        For each question, what ``assignment.json`` says about it.
    files : dict
        Other files that a notebook may read: their names and contents.
    """

    id: str
    title: str
    language: str
    sources: dict[str, str]
    questions: dict[str, dict[str, Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def test_files(self) -> dict[str, TestFile]:
        """Return fresh test files, in the order of the questions, ready to be run by otter."""
        names = sorted(self.sources, key=lambda name: [_number(part) for part in _parts(name)])
        return {name: _test_file(name, self.sources[name]) for name in names}


def locate(place: Path) -> tuple[Path, Path | None]:
    """Return the autograder zip in a folder that was drawn, and the record if there is one."""
    archive = place / "autograder.zip" if place.is_dir() else place
    if not archive.is_file():
        raise ValueError(f"dist must be a folder with autograder.zip in it, got {place}")
    record = archive.with_name("assignment.json")
    return archive, record if record.is_file() else None


def fingerprint(place: Path) -> str:
    """Return a number that changes when the tests do."""
    return sha256(locate(place)[0].read_bytes()).hexdigest()


def read(place: Path) -> Assignment:
    """Read what ``python -m companion.assign make`` has written.

    Parameters
    ----------
    place : Path
        The folder, or an autograder zip made by ``otter generate``.

    Returns
    -------
    Assignment

    Raises
    ------
    ValueError
        If there is no autograder zip, or no test in it.
    """
    archive, record_path = locate(place)
    record = json.loads(record_path.read_text(encoding="utf-8")) if record_path else {}
    with zipfile.ZipFile(archive) as content:
        names = [name for name in content.namelist() if not name.endswith("/")]
        tests = [n for n in names if re.fullmatch(r"(\./)?tests/[^/]+\.py", n)]
        sources = {Path(n).stem: content.read(n).decode() for n in tests}
        files = {n.split("files/", 1)[1]: content.read(n) for n in names if n.startswith("files/")}
    if not sources:
        raise ValueError(f"dist must hold tests, but there are none in {archive}")
    questions = {question["name"]: question for question in record.get("questions", [])}
    return Assignment(
        id=record.get("id", ""),
        title=record.get("title", place.stem),
        language=record.get("language", "en"),
        sources=sources,
        questions=questions,
        files=files,
    )


def _test_file(name: str, source: str) -> TestFile:
    """Parse a test file in either of otter's formats."""
    names: dict[str, Any] = {}
    path = f"tests/{name}.py"
    exec(compile(source, path, "exec"), names)
    if names.get("OK_FORMAT", "test" in names):
        return OKTestFile.from_spec(names["test"], path=path)
    return ExceptionTestFile.from_string(source, path=path)


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]


def _number(part: str) -> tuple[int, str]:
    """Sort q10 after q9."""
    return (int(part), "") if part.isdigit() else (0, part)
