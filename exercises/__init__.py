"""The exercises' masters: one module a chapter, each with a list named ``EXERCISES``.

A master is the only place where an exercise is written. The page gets its question, its hint
and, where it is public, its solution (``tools/exercises.py``); the tests see to it that the
solution passes every check and that each wrong answer fails one.

An exercise is returned by a function whose keyword arguments hold its numbers and seeds, so
that other arguments make a variant of it. An answer is Python code in every case: what is
found by hand is handed in as ``weights = [...]``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

KINDS = ("by hand", "predict", "code", "measure", "open")


@dataclass(frozen=True)
class Check:
    """One test of an answer, which raises ``AssertionError`` with a message that helps.

    The function's ordinary parameters are what the answer must define, under these names; its
    keyword-only parameters are numbers and seeds of the variant, and stand in ``given``.
    """

    function: Callable[..., None]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> list[str]:
        """The names that the answer must define."""
        parameters = inspect.signature(self.function).parameters.values()
        return [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]

    def failure(self, answer: Mapping[str, Any]) -> str:
        """Return why the answer fails; an empty string if it does not."""
        missing = [name for name in self.needs if answer.get(name, ...) is ...]
        if missing:
            return f"The answer must define {' and '.join(missing)}, and leave no ... in it."
        try:
            self.function(**{name: answer[name] for name in self.needs}, **self.given)
        except AssertionError as error:
            return str(error)
        except Exception as error:
            return f"The answer could not be used: {type(error).__name__}: {error}"
        return ""


@dataclass(frozen=True)
class Exercise:
    """One exercise, its parts kept apart; texts are MyST Markdown, one paragraph a line."""

    id: str  # the label on the page
    title: str
    kind: str  # one of KINDS
    difficulty: int  # 1 to 3
    minutes: int
    points: int
    question: str
    starter: str  # code to begin with
    hint: str
    solution: str  # code, in full, that passes all checks
    explanation: str  # how one gets there, and what to learn from it
    visible: tuple[Check, ...]  # checks that a student may run
    hidden: tuple[Check, ...]  # checks that only a grader runs
    wrong_answers: Mapping[str, str]  # the mistake made, and the code handed in
    public_solution: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.difficulty not in (1, 2, 3):
            raise ValueError(f"difficulty must be 1, 2 or 3, got {self.difficulty}")
        for name in ("question", "starter", "hint", "solution", "explanation"):
            object.__setattr__(self, name, dedent(getattr(self, name)).strip())

    def failures(self, answer: Mapping[str, Any]) -> list[str]:
        """Return what the checks have to say against the names that an answer defines."""
        found = (check.failure(answer) for check in (*self.visible, *self.hidden))
        return [why for why in found if why]


def run(setup: str, code: str) -> dict[str, Any]:
    """Run an answer of our own in this process and return the names it defines."""
    names: dict[str, Any] = {}
    for part in (setup, dedent(code)):
        exec(compile(part, "<answer>", "exec"), names)
    return names
