"""A student's page: each check, with a word of help where it failed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from assign.grading.table import number

__all__ = ["feedback", "page_name"]

FOR_THE_INSTRUCTOR = "checker's names"  # this kind of event is not for students
LONGEST = 120  # bytes of a student's name in the name of a file

WORDS = {
    "en": {
        "score": "Score: **{total} of {max}** points.",
        "by hand": "Points still to be given by hand, at most: {points}.",
        "question": "{title}: {score} of {possible}",
        "passed": "passed",
        "failed": "not passed",
        "hidden": " (checked after handing in)",
        "happened": "What happened when the notebook ran",
    },
    "zh": {
        "score": "得分：**{total} / {max}** 分。",
        "by hand": "另有 {points} 分由教师批阅。",
        "question": "{title}：{score} / {possible} 分",
        "passed": "通过",
        "failed": "未通过",
        "hidden": "（提交后检查）",
        "happened": "运行笔记本时发生的情况",
    },
}


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
    if events := [text for kind, text in outcome["events"] if kind != FOR_THE_INSTRUCTOR]:
        lines += [f"## {words['happened']}", "", *(f"- {_escape(text)}" for text in events), ""]
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
        if check["told"]:
            lines.append(f"  {_escape(' '.join(check['told'].split()))}")
    return [*lines, ""]


def _what(name: str) -> str:
    """Return what a check looks at: its name without the question's number."""
    return re.sub(r"^q\d+ - \d+: ", "", name).rstrip(".")


def _escape(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)


def page_name(student: str) -> str:
    """Return the name of a student's page, which no other student shares.

    Two names may be the same but for what a file's name cannot hold, so a number tells them apart.
    """
    safe = re.sub(r"[^\w.-]+", "-", student).strip("-.").encode()[:LONGEST]
    number = sha256(student.encode()).hexdigest()[:6]
    return f"{safe.decode(errors='ignore')}-{number}.md"
