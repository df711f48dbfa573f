"""The table of scores: a line for each student."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from assign.grading.byhand import Given
from assign.grading.collect import Submission

__all__ = [
    "Record",
    "Row",
    "write",
    "record",
    "record_path",
    "append",
    "read",
    "digest",
    "row",
    "number",
    "totals",
    "most",
    "table",
]

BEFORE = ["student", "file", "total", "max"]
AFTER = ["by_hand", "still_by_hand", "late", "status", "what_happened", "seconds"]
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # what a spreadsheet computes, wide ones too
Record = dict[str, Any]
Row = dict[str, str]


def write(path: Path, text: str) -> None:
    """Write a file beside its place, then rename it: it is whole, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


# -- the record ----------------------------------------------------------------------------------


def record(
    submission: Submission,
    late: str,
    fingerprint: str,
    outcome: Mapping[str, Any],
    seconds: float,
) -> Record:
    """Return all that is known of a student's submission, as JSON can hold it."""
    return {
        "student": submission.student,
        "file": submission.file,
        "late": late,
        "fingerprint": fingerprint,
        "seconds": round(seconds, 1),
        **outcome,
    }


def record_path(out: Path) -> Path:
    """Return where the records of a table are kept: beside it."""
    return out.with_suffix(".jsonl")


def append(path: Path, made: Record) -> None:
    """Add a record; the last of a student counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(made, ensure_ascii=False) + "\n")


def read(path: Path) -> tuple[list[Record], set[str]]:
    """Return the last record of each student, and the digests of all tables that were written.

    A line that was cut off is left out.
    """
    found: dict[str, Record] = {}
    digests = set()
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            made = json.loads(line)
            if "table" in made:
                digests.add(made["table"])
            else:
                found[made["student"]] = made
    return list(found.values()), digests


def digest(text: str) -> str:
    """Return what tells whether a table is one that was written here."""
    return sha256(text.encode()).hexdigest()[:16]


# -- the table -----------------------------------------------------------------------------------


def totals(made: Record, given: Given) -> tuple[float, float, float]:
    """Return the points of a student, those of them given by hand, and those still to be given."""
    names = {q["name"]: q["by_hand"] for q in made["questions"]}
    by_hand = {n: given[made["student"], n][0] for n in names if (made["student"], n) in given}
    still = sum(most for name, most in names.items() if name not in by_hand)
    return made["total"] + sum(by_hand.values()), sum(by_hand.values()), still


def most(made: Record) -> float:
    """Return all points that there are."""
    return float(made["possible"] + sum(question["by_hand"] for question in made["questions"]))


def row(made: Record, given: Given) -> Row:
    """Return one line of the table."""
    questions = made["questions"]
    total, by_hand, still = totals(made, given)
    happened = "; ".join(text for _, text in made["events"])
    return {
        "student": _plain(made["student"]),
        "file": _plain(made["file"]),
        "total": number(total),
        "max": number(most(made)),
        **{_heading(question): number(question["score"]) for question in questions},
        "by_hand": number(by_hand),
        "still_by_hand": number(still),
        "late": made["late"],
        "status": made["status"],
        "what_happened": _plain(happened[:1].upper() + happened[1:]),
        "seconds": f"{made['seconds']:.1f}",
    }


def _heading(question: Mapping[str, Any]) -> str:
    exercise = question["exercise"]
    return f"{question['name']} {exercise}".strip()


def number(value: float) -> str:
    """Return points without needless digits."""
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _plain(text: str) -> str:
    """Return text that a spreadsheet takes for text, not for a formula."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return f"'{text}" if text.strip().startswith(FORMULA) else text


def table(records: Iterable[Record], given: Given) -> str:
    """Return the whole table as CSV, sorted by student and file.

    It begins with a mark without which Excel takes Chinese names for another encoding.
    """
    ordered = sorted(
        (row(made, given) for made in records), key=lambda r: (r["student"].lower(), r["file"])
    )
    between = dict.fromkeys(n for r in ordered for n in r if n not in (*BEFORE, *AFTER))
    text = io.StringIO("\ufeff", newline="")
    text.seek(0, io.SEEK_END)
    writer = csv.DictWriter(text, [*BEFORE, *between, *AFTER], restval="0", lineterminator="\n")
    writer.writeheader()
    writer.writerows(ordered)
    return text.getvalue()
