"""Finds what was handed in: notebooks in folders and in zips, and whose they are."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

__all__ = ["Submission", "student_of", "collect"]

LARGEST = 50 * 2**20
_NOT_HANDED_IN = {".ipynb_checkpoints", "__MACOSX", ".git", "__pycache__"}

# How learning platforms name what they export; the first group is the student.
_CANVAS = re.compile(r"([^_/]+)_(?:LATE_)?\d+_\d+_.+")
_MOODLE = re.compile(r"([^/]+?)_\d+_assignsubmission_file")
_BLACKBOARD = re.compile(r".+?_([^_/]+)_attempt_\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d.*")
_GRADESCOPE = re.compile(r"(submission_\d+)")


@dataclass(frozen=True)
class Submission:
    """One notebook.

    Attributes
    ----------
    student : str
        As far as the name of the file or of its folder tells.
    file : str
        Where it was found, below the folder of submissions; a zip's member after ``!``.
    raw : bytes
        Its content; empty if it could not be read.
    problem : str
        Why it could not.
    """

    student: str
    file: str
    raw: bytes = b""
    problem: str = ""


def student_of(file: str) -> str:
    """Return whose a file is, by the names that learning platforms give.

    Parameters
    ----------
    file : str
        A path below the folder of submissions.

    Returns
    -------
    str

    Examples
    --------
    >>> student_of("lovelaceada_4711_815_homework-2.ipynb")
    'lovelaceada'
    >>> student_of("Ada Lovelace_4711_assignsubmission_file/homework-2.ipynb")
    'Ada Lovelace'
    >>> student_of("ada/homework-2.ipynb"), student_of("ada.ipynb")
    ('ada', 'ada')
    """
    path = PurePosixPath(file.replace("!", "/"))
    for part in path.parts:
        for pattern in (_MOODLE, _GRADESCOPE, _BLACKBOARD, _CANVAS):
            if named := pattern.match(part):
                return named[1]
    first = path.parts[0]
    return PurePosixPath(first).stem if first.endswith((".ipynb", ".zip")) else first


def collect(folder: Path) -> list[Submission]:
    """Return all notebooks in a folder, in nested folders and in zips.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    list of Submission
        Sorted by file.

    Raises
    ------
    ValueError
        If there is no such folder, or no notebook in it.
    """
    if not folder.is_dir():
        raise ValueError(f"submissions must be a folder, got {folder}")
    found: list[Submission] = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or _NOT_HANDED_IN & set(path.relative_to(folder).parts):
            continue
        if path.suffix == ".ipynb":
            found.append(_read(path, name))
        elif path.suffix == ".zip":
            found += _unzip(path, name)
    if not found:
        raise ValueError(f"submissions must hold notebooks or zips of them; none in {folder}")
    return _tell_apart(found)


def _read(path: Path, name: str) -> Submission:
    student = student_of(name)
    try:
        if path.stat().st_size > LARGEST:
            return Submission(student, name, problem=f"larger than {LARGEST >> 20} MB")
        return Submission(student, name, path.read_bytes())
    except OSError as error:
        return Submission(student, name, problem=error.strerror or "not readable")


def _unzip(path: Path, name: str) -> Iterator[Submission]:
    """Yield the notebooks in a zip, none of them unpacked to disk."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if _is_handed_in(m.filename)]
            if not members:
                yield Submission(student_of(name), name, problem="no notebook in the zip")
            for member in members:
                file = f"{name}!{member.filename}"
                if member.file_size > LARGEST:
                    yield Submission(student_of(name), file, problem="too large when unpacked")
                else:
                    yield Submission(student_of(name), file, archive.read(member))
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        yield Submission(student_of(name), name, problem=f"the zip cannot be read ({error})")


def _is_handed_in(member: str) -> bool:
    parts = PurePosixPath(member).parts
    return member.endswith(".ipynb") and not _NOT_HANDED_IN & set(parts)


def _tell_apart(found: list[Submission]) -> list[Submission]:
    """Keep names as they are, even where one student handed in twice: the file tells."""
    return [replace(s, student=s.student.strip() or s.file) for s in found]
