"""The class: who is in it, and the table that a learning platform imports."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from assign.grading import files
from assign.grading.collect import Submission

__all__ = ["PLATFORMS", "Platform", "Roster", "read"]


@dataclass(frozen=True)
class Platform:
    """What a platform's tables look like: columns of names, columns that identify, the grade's."""

    names: tuple[str, ...]
    keys: tuple[str, ...]
    grade: str  # {title} is that of the assignment
    most: str = ""  # the column for all points, if there is one


PLATFORMS = {
    "canvas": Platform(("Student",), ("ID", "SIS User ID", "SIS Login ID", "Section"), "{title}"),
    "moodle": Platform(
        ("Full name", "First name", "Last name", "Surname"),
        ("Identifier", "ID number", "Email address", "Username"),
        "Grade",
        "Maximum Grade",
    ),
    "gradescope": Platform(
        ("Name", "First Name", "Last Name"), ("SID", "Email"), "Total Score", "Max Points"
    ),
    "blackboard": Platform(("First Name", "Last Name"), ("Username", "Student ID"), "{title}"),
}
NAMES = {n.lower() for p in PLATFORMS.values() for n in p.names} | {"student name", "姓名"}
KEYS = {k.lower() for p in PLATFORMS.values() for k in p.keys} - {"section"}
KEYS |= {"number", "student number", "matriculation number", "login", "学号", "邮箱"}


@dataclass(frozen=True)
class Roster:
    """A class, as a table.

    Attributes
    ----------
    columns : list of str
    rows : list of dict
        One for each student, and whatever else the platform exported.
    """

    columns: list[str]
    rows: list[dict[str, str]]

    def students(self) -> dict[int, str]:
        """Return the name of each student by the number of the row."""
        named = {number: self._name(row) for number, row in enumerate(self.rows)}
        return {n: name for n, name in named.items() if _plain(name) not in ("", "pointspossible")}

    def _name(self, row: Mapping[str, str]) -> str:
        found = [row[c].strip() for c in self.columns if c.lower() in NAMES and row[c].strip()]
        return " ".join(found) or (row[self.columns[0]] if self.columns else "").strip()

    def find(self, submission: Submission) -> int | None:
        """Return the row of the student who handed something in, if it is plain which.

        A name, in any order of its parts, or a number as a whole counts; then a number or a name
        that is a part of how the file is called, if it is that of one student only.
        """
        said, names = _plain(submission.student), self.students()
        exact = [n for n in names if said in self._known(n)]
        if not exact and submission.number:
            exact = [n for n in names if submission.number in self._numbers(n)]
        if not exact:
            parts = {_plain(part) for part in re.split(r"[\W_]+", submission.student)}
            exact = [n for n in names if parts & self._numbers(n) or self._within(n, said)]
        return exact[0] if len(exact) == 1 else None

    def _keys(self, number: int) -> list[str]:
        row = self.rows[number]
        return [row[c].strip() for c in self.columns if c.lower() in KEYS and row[c].strip()]

    def _known(self, number: int) -> set[str]:
        """Return all ways in which a student may be called."""
        parts = re.split(r"[\s,]+", self.students()[number].strip())
        orders = (parts, parts[::-1], [*parts[1:], parts[0]], [parts[-1], *parts[:-1]])
        return {_plain("".join(order)) for order in orders} | {
            _plain(k) for k in self._keys(number)
        }

    def _numbers(self, number: int) -> set[str]:
        digits = (re.sub(r"^\D+", "", key) for key in self._keys(number))  # "Participant 99"
        return {
            _plain(each) for each in (*self._keys(number), *digits) if any(map(str.isdigit, each))
        }

    def _within(self, number: int, said: str) -> bool:
        name = _plain(self.students()[number])
        return len(name.encode()) >= 6 and name in said  # two Chinese characters, or six letters

    def imported(self, platform: str, title: str, totals: Mapping[int, float], most: float) -> str:
        """Return the table that the platform imports: who is who, and the points.

        Parameters
        ----------
        platform : str
            One of `PLATFORMS`.
        title : str
            The assignment's.
        totals : dict
            Points by the number of the row.
        most : float
            All points.
        """
        form = PLATFORMS[platform]
        whole = "Identifier" in self.columns  # Moodle's worksheet wants all of its columns back
        kept = [c for c in self.columns if whole or c in (*form.names, *form.keys)]
        grade = form.grade.format(title=title) if whole or platform != "moodle" else title
        extra = [column for column in (grade, form.most) if column and column not in kept]
        rows = []
        for number, row in enumerate(self.rows):
            points = {grade: f"{totals[number]:g}"} if number in totals else {grade: ""}
            if _plain(self._name(row)) == "pointspossible":  # Canvas's second line
                points = {grade: f"{most:g}"}
            rows.append({**row, **points, **({form.most: f"{most:g}"} if form.most else {})})
        return files.as_csv([*kept, *extra], rows)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


def read(path: Path, platform: str | None = None) -> Roster:
    """Read a class from a table with commas, semicolons or tabs, in whatever encoding.

    Parameters
    ----------
    path : Path
    platform : str, optional
        One of `PLATFORMS`, which must know its students by the table.

    Returns
    -------
    Roster

    Raises
    ------
    ValueError
        If it is no table, nobody is in it, or it is none that the platform could import again.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ValueError(f"roster must be a table of the class, {path}: {error.strerror}") from None
    lines = _decoded(raw).splitlines()
    mark = max(",;\t", key=lambda mark: lines[0].count(mark)) if lines else ","
    table = list(csv.DictReader(lines, delimiter=mark, restval=""))
    columns = [column for column in table[0] if column] if table else []
    roster = Roster(columns, [{c: row[c] or "" for c in columns} for row in table])
    if not roster.students():
        raise ValueError(f"roster must name the students of the class, one a line; see {path}")
    if platform and not set(columns) & set(keys := PLATFORMS[platform].keys[:3]):
        wanted = " or ".join(keys)
        raise ValueError(
            f"roster must be the table that {platform} exports, with a column {wanted}; {path} has "
            f"{', '.join(columns)}"
        )
    return roster


def _decoded(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):  # as Blackboard and Excel write it
        return raw.decode("utf-16")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("gb18030", errors="replace")
