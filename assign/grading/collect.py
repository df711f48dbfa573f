"""Finds what was handed in, in folders and in zips: whose it is, and what it is."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path, PurePosixPath

import yaml

__all__ = ["Submission", "Collected", "collect"]

LARGEST = 50 * 2**20  # bytes of a file
MOST = 5000  # files in a zip
DEPTH = 3  # of zips in zips

# What operating systems and programs leave behind without anybody's asking.
DEBRIS = re.compile(
    r"(^|/)(\..+|__MACOSX|__pycache__|Thumbs\.db|desktop\.ini|ehthumbs\.db|\$RECYCLE\.BIN"
    r"|submission_metadata\.yml)(/|$)",
    re.IGNORECASE,
)
# How learning platforms name what they export.
PLATFORMS = tuple(
    map(
        re.compile,
        (
            r"(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_(file|onlinetext)(_.*)?",  # Moodle
            r"(?P<name>submission_(?P<id>\d+))",  # Gradescope
            r".+?_(?P<name>[^_/]+)_attempt_(?P<at>\d{4}(-\d\d){5}).*",  # Blackboard
            r"(?P<name>[^_/]+)_(?P<late>LATE_)?(?P<id>\d+)_\d+_.+",
        ),  # the last is Canvas
    )
)


@dataclass(frozen=True)
class _File:
    """A file, wherever it was."""

    path: str  # below the folder; a zip's member after !
    raw: bytes = b""
    problem: str = ""  # why it could not be read
    changed: float = 0.0  # when

    @property
    def parts(self) -> tuple[str, ...]:
        """The folders and zips that it is in, and its name."""
        return PurePosixPath(self.path.replace("!", "/")).parts

    @property
    def is_notebook(self) -> bool:
        """Whether it should be graded, as far as its name tells."""
        return self.path.lower().endswith(".ipynb")


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    Attributes
    ----------
    student : str
        As far as the names of the file and of its folders tell.
    file : str
        The notebook to be graded, below the folder of submissions; a zip's member after ``!``.
    raw : bytes
        Its content; empty if it could not be read.
    problem : str
        Why it could not.
    changed : float
        When it was written, in seconds since 1970; 0 if that is not known.
    late : bool
        Whether the platform says that it came late.
    number : str
        By which the platform knows the student.
    others : list of str
        What the student handed in besides.
    """

    student: str
    file: str
    raw: bytes = b""
    problem: str = ""
    changed: float = 0.0
    late: bool = False
    number: str = ""
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Collected:
    """All that was found.

    Attributes
    ----------
    submissions : list of Submission
        One for each student, sorted by name.
    debris : list of str
        Files that nobody handed in: what operating systems leave behind.
    """

    submissions: list[Submission]
    debris: list[str]


def collect(folder: Path, assignment: str = "") -> Collected:
    """Return what was handed in, every file of it once.

    Parameters
    ----------
    folder : Path
    assignment : str, optional
        The assignment's id: of several notebooks of one student, one that carries it counts.

    Returns
    -------
    Collected

    Raises
    ------
    ValueError
        If there is no such folder, or nothing in it.

    Notes
    -----
    If a student handed in several notebooks, the newest counts.
    """
    if not folder.is_dir():
        raise ValueError(f"submissions must be a folder, got {folder}")
    found = list(_files(folder))
    debris = [file.path for file in found if _is_debris(file)]
    files = [file for file in found if not _is_debris(file)]
    if not files:
        raise ValueError(f"submissions must hold notebooks or zips of them; none in {folder}")
    by_student: dict[tuple[str, str], list[_File]] = {}
    skip = _levels([file.parts for file in files])
    for file in files:
        by_student.setdefault(_student(file.parts, skip), []).append(file)
    names, people = [name for name, _ in by_student], _people(found)
    submissions = []
    for (name, number), own in by_student.items():
        shown = name if names.count(name) == 1 or not number else f"{name} ({number})"
        shown, number = people.get(name, (shown, number))
        submissions.append(_chosen(shown, number, own, assignment))
    return Collected(sorted(submissions, key=lambda s: (s.student.lower(), s.file)), debris)


# -- files ---------------------------------------------------------------------------------------


def _files(folder: Path) -> Iterator[_File]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            yield _File(name, problem="a link to another file")
        elif path.is_file():
            yield from _read(path, name)


def _read(path: Path, name: str) -> Iterator[_File]:
    try:
        stat = path.stat()
        if stat.st_size > LARGEST and path.suffix.lower() != ".zip":
            yield _File(name, problem=f"larger than {LARGEST >> 20} MB")
        else:
            yield from _unpacked(_File(name, path.read_bytes(), changed=stat.st_mtime))
    except OSError as error:
        yield _File(name, problem=error.strerror or "not readable")


def _unpacked(file: _File, depth: int = 0) -> Iterator[_File]:
    """Yield a file, or what a zip holds; none of it is unpacked to disk."""
    if not file.path.lower().endswith(".zip") or file.problem:
        yield file
        return
    try:
        with zipfile.ZipFile(BytesIO(file.raw)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if not members or len(members) > MOST or depth == DEPTH:
                why = "an empty zip" if not members else f"a zip of more than {MOST} files"
                raise zipfile.BadZipFile(why if depth < DEPTH else "zips in zips in zips")
            for member in members:
                yield from _unpacked(_member(archive, member, file), depth + 1)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        yield replace(file, raw=b"", problem=f"the zip cannot be read ({error})")


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: _File) -> _File:
    path = f"{file.path}!{_name(member)}"
    if member.file_size > LARGEST:
        return _File(path, problem="too large when unpacked")
    return _File(path, archive.read(member), changed=time.mktime((*member.date_time, 0, 0, -1)))


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name; programs on Windows write Chinese ones without saying how."""
    if member.flag_bits & 0x800 or member.filename.isascii():
        return member.filename
    try:
        raw = member.filename.encode("cp437")
    except UnicodeEncodeError:
        return member.filename
    for encoding in ("utf-8", "gb18030"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return member.filename


def _is_debris(file: _File) -> bool:
    return bool(DEBRIS.search("/".join(file.parts)))


# -- students ------------------------------------------------------------------------------------


def _people(files: list[_File]) -> dict[str, tuple[str, str]]:
    """Return who is behind the numbers in an export of Gradescope's: name and student number."""
    found = {}
    for file in files:
        if file.parts[-1] == "submission_metadata.yml":
            with contextlib.suppress(yaml.YAMLError, AttributeError, TypeError, LookupError):
                for folder, told in yaml.safe_load(file.raw).items():
                    who = told[":submitters"][0]
                    found[folder] = str(who[":name"]), str(who.get(":sid") or "")
    return found


def _levels(files: list[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return the folders and zips that hold several students each, as platforms export them.

    Such a folder is alone at the top, or it holds folders with a notebook of the same name each.
    """
    found: set[tuple[str, ...]] = set()
    for depth in itertools.count():
        at = {parts[: depth + 1] for parts in files if len(parts) > depth + 1}
        new = {c for c in at if (c[:-1] in found or depth == 0) and _holds_students(c, files)}
        if not new:
            return found
        found |= new
    return found


def _holds_students(container: tuple[str, ...], files: list[tuple[str, ...]]) -> bool:
    if any(pattern.fullmatch(container[-1]) for pattern in PLATFORMS):
        return False
    inside = [parts[len(container) :] for parts in files if parts[: len(container)] == container]
    beside = any(parts[: len(container)] != container and parts[: len(container) - 1] ==
                 container[:-1] for parts in files)  # fmt: skip
    children = {parts[0] for parts in inside}
    if len(children) == 1 and min(map(len, inside)) > 1:
        return _holds_students((*container, *children), files)
    names = [parts[-1] for parts in inside if parts[-1].lower().endswith(".ipynb")]
    if not beside and len(children) > 1 and len(names) > 1:
        return True
    folders = {parts[0] for parts in inside if len(parts) > 1}
    return len(folders) > 1 and len(names) == len(folders) and len(set(names)) == 1


def _student(parts: tuple[str, ...], skip: set[tuple[str, ...]]) -> tuple[str, str]:
    """Return a student's name, and the number by which a platform tells two of a name apart."""
    for part in parts:
        for pattern in PLATFORMS:
            if named := pattern.fullmatch(part):
                return named["name"].strip(), named.groupdict().get("id") or ""
    depth = next(n for n in range(len(parts)) if parts[: n + 1] not in skip)
    first = parts[depth]
    known = len(parts) == depth + 1 or first.lower().endswith(".zip")
    name = PurePosixPath(first).stem if known else first
    return name.strip() or first, ""


def _chosen(student: str, number: str, files: list[_File], assignment: str) -> Submission:
    """Return the notebook that counts: of this assignment, the last."""
    notebooks = [file for file in files if file.is_notebook] or files
    stems = {PurePosixPath(file.path).stem for file in notebooks}
    best = max(notebooks, key=lambda file: _rank(file, assignment, stems))
    others = [file.path for file in files if file is not best]
    problem = best.problem or ("" if best.is_notebook else "it is no notebook (.ipynb)")
    late = any(_match(part).get("late") for part in best.parts)
    raw = b"" if problem else best.raw
    return Submission(student, best.path, raw, problem, _when(best), late, number, others)


def _when(file: _File) -> float:
    """Return when a file was handed in: as the platform has it in the name, or its own date."""
    said = next((at for part in file.parts if (at := _match(part).get("at"))), None)
    return time.mktime(time.strptime(said, "%Y-%m-%d-%H-%M-%S")) if said else file.changed


def _rank(file: _File, assignment: str, stems: set[str]) -> tuple[bool, bool, str, int, float, str]:
    ours = bool(assignment) and f'"{assignment}"'.encode() in file.raw
    at = max((_match(part).get("at") or "" for part in file.parts), default="")
    # Canvas adds -1, -2 to the name of what is handed in again.
    again = re.fullmatch(r"(.+)-(\d+)", PurePosixPath(file.path).stem)
    times = int(again[2]) if again and again[1] in stems else 0
    return ours, not file.problem, at, times, file.changed, file.path


def _match(part: str) -> dict[str, str | None]:
    found: Iterable[re.Match[str] | None] = (p.fullmatch(part) for p in PLATFORMS)
    return next((match.groupdict() for match in found if match), {})
