"""Writes what came of grading: a table of scores, and a page for each student."""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Row", "write", "row", "number", "table", "read_table", "feedback", "page_name"]

BEFORE = ["student", "file", "total", "max"]
AFTER = ["by_hand", "status", "what_happened", "seconds", "fingerprint"]
Row = dict[str, str]

WORDS = {
    "en": {
        "score": "Score: **{total} of {max}** points.",
        "by hand": "Points still to be given by hand, at most: {points}.",
        "question": "{title}: {score} of {possible}",
        "passed": "passed",
        "failed": "not passed",
        "hidden": " (checked after handing in)",
        "happened": "What happened when the notebook ran",
        "nothing": "All checks passed.",
    },
    "zh": {
        "score": "得分：**{total} / {max}** 分。",
        "by hand": "另有 {points} 分由教师批阅。",
        "question": "{title}：{score} / {possible} 分",
        "passed": "通过",
        "failed": "未通过",
        "hidden": "（提交后检查）",
        "happened": "运行笔记本时发生的情况",
        "nothing": "所有检查均已通过。",
    },
}


def write(path: Path, text: str) -> None:
    """Write a file beside its place, then rename it: it is whole, or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


# -- the table -----------------------------------------------------------------------------------


def row(student: str, file: str, fingerprint: str, outcome: Mapping[str, Any]) -> Row:
    """Return one line of the table."""
    questions = outcome["questions"]
    happened = "; ".join(text for _, text in outcome["events"])
    return {
        "student": _plain(student),
        "file": _plain(file),
        "total": number(outcome["total"]),
        "max": number(outcome["possible"]),
        **{_heading(question): number(question["score"]) for question in questions},
        "by_hand": number(sum(question["by_hand"] for question in questions)),
        "status": outcome["status"],
        "what_happened": _plain(happened[:1].upper() + happened[1:]),
        "seconds": f"{outcome['seconds']:.1f}",
        "fingerprint": fingerprint,
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
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def table(rows: Iterable[Row]) -> str:
    """Return the whole table as CSV, sorted by student and file."""
    ordered = sorted(rows, key=lambda r: (r["student"].lower(), r["file"]))
    between = dict.fromkeys(n for r in ordered for n in r if n not in (*BEFORE, *AFTER))
    text = io.StringIO()
    writer = csv.DictWriter(text, [*BEFORE, *between, *AFTER], restval="0", lineterminator="\n")
    writer.writeheader()
    writer.writerows(ordered)
    return text.getvalue()


def read_table(path: Path) -> list[Row]:
    """Read a table that was written before; an empty list if there is none."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if any(r.get("fingerprint") is None for r in rows):
        raise ValueError(f"out must be a table that this command wrote, {path} is none")
    return rows


# -- the student's page --------------------------------------------------------------------------


def feedback(title: str, student: str, language: str, outcome: Mapping[str, Any]) -> str:
    """Return a student's page in Markdown: each check, with a word of help where it failed.

    Hidden checks appear with their name and message; what they compare with does not.
    """
    words = WORDS.get(language, WORDS["en"])
    total, possible = number(outcome["total"]), number(outcome["possible"])
    lines = [f"# {_escape(title)}: {_escape(student)}", ""]
    lines += [words["score"].format(total=total, max=possible), ""]
    if by_hand := sum(question["by_hand"] for question in outcome["questions"]):
        lines += [words["by hand"].format(points=number(by_hand)), ""]
    for question in outcome["questions"]:
        lines += _question(question, words)
    if outcome["events"]:
        lines += [f"## {words['happened']}", ""]
        lines += [f"- {_escape(text)}" for _, text in outcome["events"]] + [""]
    return "\n".join(lines)


def _question(question: Mapping[str, Any], words: Mapping[str, str]) -> list[str]:
    title = f"{question['name']} {question['title']}".strip()
    heading = words["question"].format(
        title=_escape(title), score=number(question["score"]), possible=number(question["possible"])
    )
    lines = [f"## {heading}", ""]
    for check in question["checks"]:
        mark = "✓ " + words["passed"] if check["passed"] else "✗ " + words["failed"]
        where = words["hidden"] if check["hidden"] else ""
        lines.append(f"- {mark}: {_escape(_what(check['name']))}{where}")
        if check["message"]:
            lines.append(f"  {_escape(' '.join(check['message'].split()))}")
    return [*lines, ""]


def _what(name: str) -> str:
    """Return what a check looks at: its name without the question's number."""
    return re.sub(r"^q\d+ - \d+: ", "", name).rstrip(".")


def _escape(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)


def page_name(student: str, file: str) -> str:
    """Return the name of a student's page, which no other submission shares."""
    safe = re.sub(r"[^\w.-]+", "-", f"{student}--{file}").strip("-.")
    return f"{safe.removesuffix('.ipynb')[:150]}.md"
