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
        "student": "{title}: {student}",
        "question": "{title} ({score} of {possible})",
        "check": "{came}: {what}{where}",
        "passed": "passed",
        "failed": "not passed",
        "hidden": " (checked after handing in)",
        "given": "points by hand: {points}",
        "happened": "What happened when the notebook ran",
    },
    "zh": {
        "score": "得分：{total} / {max} 分。",
        "by hand": "另有 {points} 分由教师批阅。",
        "student": "{title}：{student}",
        "question": "{title}（{score} / {possible} 分）",
        "check": "{came}：{what}{where}",
        "passed": "通过",
        "failed": "未通过",
        "hidden": "（提交后检查）",
        "given": "教师批阅：{points} 分",
        "happened": "运行笔记本时发生的情况",
    },
}
# What may befall a notebook, in Chinese; all else (names of errors, say) stays as it is.
CHINESE = (
    (r"^The notebook could not be graded\.", "这本笔记本无法评分。"),
    (r"^This question was not reached\.", "没有运行到这道题。"),
    (r"^The answer ended with (\w+)\.", r"答案以 \1 告终。"),
    (r"^The check could not be carried out", "这项检查无法进行"),
    (r"^[Cc]ell (\d+)( \(q\d+\))?: ", r"第 \1 个单元格\2："),
    (r"^(q\d+), check (\d+): ", r"\1 的第 \2 项检查："),
    (
        r"[Rr]an longer than the ([\d.]+) s of a question, and was stopped",
        r"超过每题的时限 \1 秒，被停下",
    ),
    (r"[Tt]he notebook took too long in all, and was stopped", "笔记本总用时过长，被停下"),
    (r"[Uu]sed more than (\d+) MB of memory", r"使用的内存超过 \1 MB"),
    (r"[Tt]he notebook ended its own process", "笔记本结束了自己的进程"),
    (r"[Tt]he notebook's process was killed", "笔记本的进程被终止"),
    (r"[Tt]he notebook's process crashed", "笔记本的进程崩溃"),
    (r"[Tt]he notebook sent what is no report", "笔记本发出了不合格式的报告"),
    (r"^the notebook is of another assignment", "这本笔记本属于另一份作业"),
    (r"^the file is no notebook|^it is no notebook", "文件不是笔记本"),
    (r"^also handed in: ", "另外还交了："),
    (r"^and errors in (\d+) more cells", r"另有 \1 个单元格报错"),
)


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
        title = self.assignment["title"]
        yield "title", words["student"].format(title=title, student=made["student"])
        yield "text", words["score"].format(total=number(total), max=number(most(made)))
        if still:
            yield "text", words["by hand"].format(points=number(still))
        for question in made["questions"]:
            yield from self._question(question)
        if events := [text for kind, text in made["events"] if kind != FOR_THE_INSTRUCTOR]:
            yield "heading", words["happened"]
            yield from (("item", self._happened(text)) for text in events)

    def _happened(self, text: str) -> str:
        for pattern, said in CHINESE if self.assignment["language"] == "zh" else ():
            text = re.sub(pattern, said, text)
        return text

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
            what = _what(check["name"])
            yield kind, words["check"].format(came=words[kind], what=what, where=where)
            if check["told"]:
                yield "told", self._happened(" ".join(check["told"].split()))
        if question["by_hand"] and (self.made["student"], question["name"]) in self.given:
            yield "item", words["given"].format(points=number(points))
            if comment:
                yield "told", " ".join(comment.split())

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
