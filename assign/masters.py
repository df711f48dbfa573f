"""What an exercise is: its texts, its answers, its checks, and the variants that are drawn."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import dedent
from typing import Any

from assign import texts
from companion.notebook import _assignments

__all__ = ["CODE", "KINDS", "TEXTS", "Check", "Exercise", "Master", "run"]

KINDS = ("by hand", "predict", "code", "measure", "open")
CODE = ("starter", "solution", "trial")
TEXTS = ("title", "question", "hint", "explanation")


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
        return _assignments.needs(self.function)

    @property
    def what(self) -> str:
        """What the check looks at, in a line."""
        return (self.function.__doc__ or "").strip().split("\n")[0]

    def failure(self, answer: Mapping[str, Any]) -> str:
        """Return why the answer fails; an empty string if it does not."""
        try:
            _assignments.demand(self.function, self.given, answer)
        except AssertionError as error:
            return str(error)
        return ""


@dataclass(frozen=True)
class Exercise:
    """One exercise, its parts kept apart.

    Texts are templates in MyST Markdown, one paragraph a line, filled from ``values``; code is
    written out.
    """

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
    values: Mapping[str, Any] = field(default_factory=dict)  # what {{name}} in a text stands for
    words: bool = False  # the question asks for an explanation besides the code
    by_hand: int = 0  # how many of the points no check can give
    trial: str = ""  # code of the page that tries a reader's answer, with the chapter's imports

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.difficulty not in (1, 2, 3):
            raise ValueError(f"difficulty must be 1, 2 or 3, got {self.difficulty}")
        if not 0 <= self.by_hand < self.points:
            raise ValueError(f"by_hand must be 0 to {self.points - 1}, got {self.by_hand}")
        for name in (*TEXTS, *CODE):
            object.__setattr__(self, name, dedent(getattr(self, name)).strip())
        for name in TEXTS:
            self.text(name)

    def text(self, part: str, into: texts.Translate | None = None) -> str:
        """Return a text as it is read, translated message by message before it is filled."""
        template = getattr(self, part)
        return texts.fill(texts.translate(template, into) if into else template, self.values)

    def failures(self, answer: Mapping[str, Any]) -> list[str]:
        """Return what the checks have to say against the names that an answer defines."""
        found = (check.failure(answer) for check in (*self.visible, *self.hidden))
        return [why for why in found if why]


@dataclass(frozen=True)
class Master:
    """An exercise in all its variants."""

    exercise: Callable[..., Exercise]
    draw: Callable[[random.Random], dict[str, Any]]

    def arguments(self, seed: int | None = None, secret: str = "") -> dict[str, Any]:
        """Return what a seed draws; without a seed, nothing, which means the page's own.

        A course mixes in a secret of its own, or whoever has the book could try seeds until the
        numbers are those of an assignment.
        """
        if seed is None:
            return {}
        return self.draw(random.Random(f"{self.exercise.__module__} {seed} {secret}"))

    def variant(self, seed: int | None = None) -> Exercise:
        """Return the exercise as a seed draws it; without a seed, as it is on the page."""
        return self.page if seed is None else self.exercise(**self.arguments(seed))

    @cached_property
    def page(self) -> Exercise:
        """The exercise as it is on the page, made once: some are computed."""
        return self.exercise()

    def variants(self, count: int) -> Iterator[Exercise]:
        """Yield the page's exercise and those of the first seeds."""
        yield self.variant()
        yield from (self.variant(seed) for seed in range(count))


def run(setup: str, code: str) -> dict[str, Any]:
    """Run an answer of our own in this process and return the names it defines."""
    names: dict[str, Any] = {}
    for part in (setup, dedent(code)):
        exec(compile(part, "<answer>", "exec"), names)
    return names
