"""A student's page: each check, with a word of help where it failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any

from assign.grading.byhand import Given
from assign.grading.table import Record, most, number, totals

__all__ = ["Page", "page_name"]

FOR_THE_INSTRUCTOR = "checker's names"  # this kind of event is not for students
LONGEST = 120  # bytes of a student's name in the name of a file

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
p { margin: .4rem 0 } .passed { color: #1b6e2a } .failed { color: #a11d1d; font-weight: 600 }
.told { margin-left: 1.5rem; overflow-wrap: anywhere }
"""
WORDS = {
    "en": {
        "score": "Score: {total} of {max} points.",
        "by hand": "Points still to be given by hand, at most: {points}.",
        "question": "{title}: {score} of {possible}",
        "passed": "passed",
        "failed": "not passed",
        "hidden": " (checked after handing in)",
        "given": "by hand: {points} points. {comment}",
        "happened": "What happened when the notebook ran",
    },
    "zh": {
        "score": "得分：{total} / {max} 分。",
        "by hand": "另有 {points} 分由教师批阅。",
        "question": "{title}：{score} / {possible} 分",
        "passed": "通过",
        "failed": "未通过",
        "hidden": "（提交后检查）",
        "given": "教师批阅：{points} 分。{comment}",
        "happened": "运行笔记本时发生的情况",
    },
}


@dataclass(frozen=True)
class Page:
    """A student's page: each check, with a word of help where it failed.

    Hidden checks appear with their name and message; what they compare with does not.

    Attributes
    ----------
    assignment : dict
        Its record.
    made : dict
        What came of the submission.
    given : dict
        The points that were given by hand.
    """

    assignment: Mapping[str, Any]
    made: Record
    given: Given

    @property
    def _words(self) -> Mapping[str, str]:
        return WORDS.get(self.assignment["language"], WORDS["en"])

    def _lines(self) -> Iterator[tuple[str, str]]:
        """Yield what each line is, and its text."""
        words, made = self._words, self.made
        total, _, still = totals(made, self.given)
        yield "title", f"{self.assignment['title']}: {made['student']}"
        yield "text", words["score"].format(total=number(total), max=number(most(made)))
        if still:
            yield "text", words["by hand"].format(points=number(still))
        for question in made["questions"]:
            yield from self._question(question)
        if events := [text for kind, text in made["events"] if kind != FOR_THE_INSTRUCTOR]:
            yield "heading", words["happened"]
            yield from (("item", text) for text in events)

    def _question(self, question: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        words = self._words
        points, comment = self.given.get((self.made["student"], question["name"]), (0.0, ""))
        title = f"{question['name']} {question['title']}".strip()
        score, possible = (
            number(question[key] + extra)
            for key, extra in (("score", points), ("possible", question["by_hand"]))
        )
        yield "heading", words["question"].format(title=title, score=score, possible=possible)
        for check in question["checks"]:
            kind = "passed" if check["passed"] else "failed"
            where = words["hidden"] if check["hidden"] else ""
            yield kind, f"{words[kind]}: {_what(check['name'])}{where}"
            if check["told"]:
                yield "told", " ".join(check["told"].split())
        if question["by_hand"] and (self.made["student"], question["name"]) in self.given:
            yield "item", words["given"].format(points=number(points), comment=comment).strip()

    def markdown(self) -> str:
        """Return the page in Markdown."""
        forms = {"title": "# {}\n", "text": "{}\n", "heading": "\n## {}\n", "told": "  {}"}
        forms |= {"passed": "- ✓ {}", "failed": "- ✗ {}", "item": "- {}"}
        return "\n".join(forms[kind].format(_escape(text)) for kind, text in self._lines()) + "\n"

    def html(self) -> str:
        """Return the page in HTML, which needs nothing else."""
        forms = {"title": "<h1>{}</h1>", "heading": "<h2>{}</h2>", "told": "<p class=told>{}</p>"}
        forms |= {"passed": "<p class=passed>✓ {}</p>", "failed": "<p class=failed>✗ {}</p>"}
        lines = list(self._lines())
        body = "\n".join(forms.get(kind, "<p>{}</p>").format(escape(text)) for kind, text in lines)
        language, title = self.assignment["language"], escape(lines[0][1])
        return (
            f'<!doctype html>\n<html lang="{language}"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{title}</title><style>{STYLE}</style>\n<body>{body}</body></html>\n"
        )


def _what(name: str) -> str:
    """Return what a check looks at: its name without the question's number."""
    return re.sub(r"^q\d+ - \d+: ", "", name).rstrip(".")


def _escape(text: str) -> str:
    """Return text that Markdown shows as it stands."""
    return re.sub(r"([\\`*_{}\[\]<>#|$])", r"\\\1", text)


def page_name(student: str) -> str:
    """Return the name of a student's pages, which no other student shares.

    Two names may be the same but for what a file's name cannot hold, so a number tells them apart.
    """
    safe = re.sub(r"[^\w.-]+", "-", student).strip("-.").encode()[:LONGEST]
    digest = sha256(student.encode()).hexdigest()[:6]
    return f"{safe.decode(errors='ignore')}-{digest}"
