"""What a submission is graded with: the folder that ``make`` wrote."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

__all__ = ["Dist", "read"]

FORMAT = 1


@dataclass(frozen=True)
class Dist:
    """An assignment as it was drawn.

    Attributes
    ----------
    record : dict
        What ``assignment.json`` says.
    tests : dict
        For each question, the text of its test file.
    """

    record: dict[str, Any]
    tests: dict[str, str]

    @property
    def questions(self) -> list[dict[str, Any]]:
        """What the record says about each question, in order."""
        return list(self.record["questions"])

    @cached_property
    def fingerprint(self) -> str:
        """A number that changes when the tests or their points do."""
        return sha256(json.dumps([self.tests, self.questions]).encode()).hexdigest()


def read(folder: Path) -> Dist:
    """Read what ``python -m assign make`` has written.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Dist

    Raises
    ------
    ValueError
        If it is no such folder.
    """
    archive, record = folder / "autograder.zip", folder / "assignment.json"
    if not archive.is_file() or not record.is_file():
        raise ValueError(
            "dist must be a folder that make wrote, with autograder.zip and assignment.json in "
            f"it, got {folder}"
        )
    told = json.loads(record.read_text(encoding="utf-8"))
    if told.get("format") != FORMAT:
        raise ValueError(f"dist must be of format {FORMAT}, {record} is of {told.get('format')}")
    with zipfile.ZipFile(archive) as content:
        names = (re.fullmatch(r"tests/([^/]+)\.py", name) for name in content.namelist())
        tests = {name[1]: content.read(name[0]).decode() for name in names if name}
    if missing := [q["name"] for q in told["questions"] if q["name"] not in tests]:
        raise ValueError(f"dist must hold a test file for {missing[0]}, {archive} has none")
    return Dist(told, tests)
