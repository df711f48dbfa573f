"""What a row of a data set is, by the task that it is for."""

from typing import NamedTuple

import numpy as np

__all__ = [
    "Example",
    "Pair",
    "AttributedPair",
    "Tagged",
    "Answer",
    "Question",
    "Images",
    "Poem",
    "Instruction",
    "Turn",
    "Preference",
    "Rating",
    "Recording",
]


class Example(NamedTuple):
    """A text and its class."""

    text: str
    label: int


class Pair(NamedTuple):
    """A sentence and its translation."""

    source: str
    target: str


class AttributedPair(NamedTuple):
    """A sentence and its translation, and who wrote them."""

    source: str
    target: str
    attribution: str


class Tagged(NamedTuple):
    """Tokens, and for each its tag: B-, I- and a class, or O."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]


class Answer(NamedTuple):
    """A piece of a text, and the character at which it begins."""

    text: str
    start: int


class Question(NamedTuple):
    """A question on a text, with the answers that people marked in it."""

    id: str
    title: str
    context: str
    question: str
    answers: tuple[Answer, ...]


class Images(NamedTuple):
    """Grey images and their labels."""

    images: np.ndarray  # (n, height, width), uint8
    labels: np.ndarray  # (n,), int64


class Poem(NamedTuple):
    """A poem."""

    author: str
    title: str
    lines: tuple[str, ...]


class Instruction(NamedTuple):
    """A task, what it is to be done on (possibly nothing), and the answer."""

    instruction: str
    input: str
    output: str


class Turn(NamedTuple):
    """What somebody says in a conversation."""

    speaker: str  # "human", "gpt" or "system"
    text: str


class Preference(NamedTuple):
    """A conversation, the next answer that was preferred, and the one that was not."""

    turns: tuple[Turn, ...]
    chosen: str
    rejected: str


class Rating(NamedTuple):
    """How a user rated an item."""

    user: int
    item: int
    rating: float


class Recording(NamedTuple):
    """A spoken digit."""

    samples: np.ndarray  # (n,), int16
    rate: int  # samples a second
    digit: int
    speaker: str
    take: int
