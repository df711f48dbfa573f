"""An assignment: which exercises, in which variant, for how many points."""

from __future__ import annotations

import datetime
import hmac
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import companion
from assign import phrases, references
from assign.book import LANGUAGES, AssignError, Book, Chapter, say
from assign.masters import Check, Exercise

__all__ = ["Question", "Assignment", "draw", "choose"]

FORMAT = 1
VISIBLE = Fraction(1, 4)  # of the points that checks give, what the visible ones give together


@dataclass(frozen=True, eq=False)
class Question:
    """An exercise in an assignment."""

    number: int
    chapter: Chapter
    place: int  # the exercise's number on the page
    arguments: dict[str, Any]
    exercise: Exercise
    into: Callable[[str], str]
    language: str
    book: Book

    @property
    def name(self) -> str:
        """The name of its test file."""
        return f"q{self.number}"

    def text(self, part: str) -> str:
        """Return a text of the exercise as plain Markdown."""
        linked = references.Links(self.book, self.chapter, self.language)
        return linked.plain(self.exercise.text(part, self.into))

    @property
    def starter(self) -> str:
        """The code to begin with, and what it says to its reader."""
        return self.book.code(self.exercise.starter, self.into)

    def say(self, phrase: str, **values: object) -> str:
        """Return a phrase in the assignment's language."""
        return say(self.into, phrase, **values)

    @property
    def checks(self) -> list[tuple[Check, bool, float]]:
        """Each check, whether it is hidden, and its points."""
        visible, hidden = self.exercise.visible, self.exercise.hidden
        total = self.exercise.points - self.exercise.by_hand
        one, other = (
            float(total * share / len(checks))
            for share, checks in ((VISIBLE, visible), (1 - VISIBLE, hidden))
        )
        return [(c, False, one) for c in visible] + [(c, True, other) for c in hidden]

    def label(self, number: int, check: Check) -> str:
        """Return the name of a test case."""
        return f"{self.name} - {number}: {self.into(check.what)}"

    @property
    def needs_weights(self) -> bool:
        """Whether MiniLM's weights are needed."""
        return "load_pretrained" in self.exercise.solution

    def record(self) -> dict[str, Any]:
        """Return what ``assignment.json`` says about the question."""
        exercise = self.exercise
        return {
            "name": self.name,
            "exercise": exercise.id,
            "title": exercise.text("title", self.into),
            "kind": exercise.kind,
            "minutes": exercise.minutes,
            "points": exercise.points,
            "points_by_hand": exercise.by_hand,
            "words": exercise.words or exercise.by_hand > 0,
            "good_answer": self.text("explanation"),
            "needs": sorted({name for check, *_ in self.checks for name in check.needs}),
            "variant": self.arguments,
            "checks": [
                {
                    "name": self.label(number, check),
                    "what": self.into(check.what),
                    "points": points,
                    "hidden": hidden,
                }
                for number, (check, hidden, points) in enumerate(self.checks, start=1)
            ],
        }


@dataclass(frozen=True, eq=False)
class Assignment:
    """Questions under a title, as a seed draws them."""

    title: str
    seed: int
    language: str
    due: str | None
    selected: list[str]
    questions: list[Question]
    book: Book
    secret: str = field(repr=False)

    @cached_property
    def name(self) -> str:
        """The title as a file name."""
        return re.sub(r"[^\w]+", "-", self.title.lower()).strip("-")

    @cached_property
    def id(self) -> str:
        """The assignment's own name; without the secret, it tells nothing of the seed."""
        said = [self.title, self.seed, self.language, self.selected, companion.__version__]
        digest = hmac.new(self.secret.encode(), json.dumps(said).encode(), "sha256").hexdigest()
        return f"{self.name}-{digest[:8]}"

    @property
    def points(self) -> int:
        """All points."""
        return sum(q.exercise.points for q in self.questions)

    @property
    def by_hand(self) -> int:
        """The points that no check gives."""
        return sum(q.exercise.by_hand for q in self.questions)

    @property
    def minutes(self) -> int:
        """How long it takes, about."""
        return sum(q.exercise.minutes for q in self.questions)

    @property
    def needs_weights(self) -> bool:
        """Whether MiniLM's weights are needed."""
        return any(q.needs_weights for q in self.questions)

    def say(self, phrase: str, **values: object) -> str:
        """Return a phrase in the assignment's language."""
        return self.questions[0].say(phrase, **values)

    def record(self, files: dict[str, str]) -> dict[str, Any]:
        """Return ``assignment.json``, with the digests of the other files."""
        return {
            "format": FORMAT,
            "id": self.id,
            "name": self.name,
            "title": self.title,
            "language": self.language,
            "seed": self.seed,
            "secret": self.secret,
            "due": self.due,
            "companion": companion.__version__,
            "exercises": self.selected,
            "points": self.points,
            "points_by_hand": self.by_hand,
            "words": phrases.upright(self.say(phrases.STUDENT["words"])),
            "questions": [question.record() for question in self.questions],
            "files": files,
        }


# -- drawing -------------------------------------------------------------------------------------


def draw(
    book: Book,
    selection: Iterable[str],
    seed: int,
    title: str | None = None,
    language: str = "en",
    due: str | None = None,
    secret: str = "",
) -> Assignment:
    """Draw an assignment.

    Parameters
    ----------
    book : Book
    selection : iterable of str
        Chapters (``attention``), or exercises of chapters by their number on the page or by
        name: ``attention:2,4``, ``attention:alibi``.
    seed : int
        The same seed draws the same assignment.
    title : str, optional
        Without one it is "Assignment", in the language asked for.
    language : str, default="en"
        ``"en"`` or ``"zh"``.
    due : str, optional
        A date such as ``2027-03-01``, with or without a time.
    secret : str, optional
        What nobody but the instructor knows; another secret draws another assignment.

    Returns
    -------
    Assignment

    Raises
    ------
    AssignError
        If something asked for is not there; the message says what is.
    """
    if language not in LANGUAGES:
        raise AssignError(f"language must be one of {', '.join(LANGUAGES)}, got {language!r}")
    if title is not None and not re.search(r"\w", title):
        raise AssignError(f"title must hold a letter or a digit, got {title!r}")
    chosen = list(dict.fromkeys(choose(book.chapters, selection)))
    if not chosen:
        raise AssignError("no exercise is named: say a chapter, such as attention or attention:2,4")
    questions = []
    for number, (chapter, place) in enumerate(chosen, start=1):
        master = book.chapters[chapter].masters[place - 1]
        drawn = master.arguments(seed, secret)
        questions.append(
            Question(
                number=number,
                chapter=book.chapters[chapter],
                place=place,
                arguments=drawn,
                exercise=master.exercise(**drawn),
                into=book.speaker(language, chapter),
                language=language,
                book=book,
            )
        )
    selected = [f"{chapter}:{place}" for chapter, place in chosen]
    if title is None:
        title = questions[0].into(phrases.STUDENT["title"])
    return Assignment(title, seed, language, _date(due), selected, questions, book, secret)


def _date(due: str | None) -> str | None:
    try:
        datetime.datetime.fromisoformat(due or "2000-01-01")
    except ValueError:
        raise AssignError(f"due must be a date such as 2027-03-01, got {due!r}") from None
    return due


def choose(chapters: Mapping[str, Chapter], selection: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Yield chapter and number of every exercise that is asked for."""
    for asked in selection:
        name, colon, listed = asked.partition(":")
        if name not in chapters:
            there = ", ".join(chapters) or "none"
            raise AssignError(f"no chapter {name!r} with exercises; there are: {there}")
        chapter = chapters[name]
        if not colon:
            yield from ((name, place) for place in range(1, len(chapter.masters) + 1))
        else:
            yield from ((name, _place(chapter, part.strip())) for part in listed.split(","))


def _place(chapter: Chapter, part: str) -> int:
    """Return an exercise's number on the page from that number or from its name."""
    if part.isdecimal() and 1 <= int(part) <= len(chapter.masters):
        return int(part)
    short = part.removeprefix(f"{chapter.name}-")
    if short in chapter.short:
        return chapter.short.index(short) + 1
    there = ", ".join(f"{number} ({name})" for number, name in enumerate(chapter.short, start=1))
    raise AssignError(f"no exercise {part!r} in {chapter.name}; there are: {there}")
