r"""Drawing from Tiny World, and what is known about it exactly.

A story's probability is the product of the probabilities of its choices; its expected surprise,
the entropy, is a sum over what may happen, weighted with how probable it is. The sum runs over
the shapes of a state (holds something or not, has a friend or not, what happened last, mood) and
not over stories, of which there are too many to count one by one.
"""

import math
import random
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from functools import cache
from itertools import accumulate
from typing import Any, TypeVar

from companion._arguments import _require_flag, _require_int, _require_text
from companion.tinyworld import grammar, predicting, tasks
from companion.tinyworld.grammar import (
    KINDS,
    N_EVENTS,
    P_GOOD,
    WORDS,
    Event,
    State,
    Story,
    Word,
    _require_language,
)
from companion.tinyworld.predicting import SOMEBODY, fillings
from companion.tokenizers.protocol import Tokenizer

__all__ = ["TinyWorld", "surprise"]

T = TypeVar("T")
Length = Callable[[str], float]
# The word that stands for any other where only its being there matters.
SOME = next(iter(WORDS["thing"]))


class TinyWorld:
    r"""A small language of stories in which every probability is known.

    Parameters
    ----------
    seed : int
        Where drawing begins. Two worlds with one seed draw the same; the probabilities are the
        same in all worlds.
    language : {"en", "zh"}
        What stories are written in; the story behind the text does not depend on it.

    Raises
    ------
    ValueError
        If ``seed`` is negative (Python would draw for −3 what it draws for 3), or ``language`` is
        none of the two.
    TypeError
        If ``seed`` is no whole number.

    Examples
    --------
    >>> world = TinyWorld(seed=3)
    >>> text = world.story()
    >>> world.log_prob(text) < 0
    True
    >>> world.log_prob("One morning Anna went home.")
    -inf
    """

    def __init__(self, seed: int = 0, language: str = "en"):
        _require_language(language)
        self.language = language
        self.random = random.Random(_require_int("seed", seed, least=0))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(language={self.language!r})"

    # -- drawing ---------------------------------------------------------------------------------

    def story(self) -> str:
        r"""Draw a story and return its text.

        Returns
        -------
        str
            3 to 8 sentences.
        """
        return grammar.write(self.draw(), self.language)

    def draw(self, **given: Word) -> Story:
        r"""Draw a story that is not written yet.

        Parameters
        ----------
        **given : Word
            ``time``, ``hero`` or ``place``, where it is settled already.

        Returns
        -------
        Story

        Raises
        ------
        ValueError
            If a word is not one that this language has for it.
        TypeError
            If something else is given.
        """
        for name, word in given.items():
            if name not in ("time", "hero", "place"):
                raise TypeError(f"time, hero and place can be given, got {name}={word!r}")
            if word not in WORDS[name]:
                raise ValueError(f"{name} must be one of grammar.WORDS[{name!r}], got {word!r}")
        pick = {name: given.get(name) or self._pick(name) for name in ("time", "hero", "place")}
        state, events = State(), []
        for _ in range(self._from(_table_of_lengths())):
            events.append(self._event(state, pick["hero"]))
            state = state.after(events[-1])
        good = self.random.random() < P_GOOD[state.mood]
        return Story(**pick, events=tuple(events), feeling=self._pick("good" if good else "bad"))

    def _event(self, state: State, hero: Word) -> Event:
        kind = self._from(_table_of_kinds(state.shape))
        words = (self._pick(slot, hero) for slot in KINDS[kind].slots)
        return Event(kind, tuple(words))

    def _pick(self, slot: str, hero: Word = SOMEBODY) -> Word:
        return self._from(_table_of_words(slot, hero if slot == "friend" else SOMEBODY))

    def _from(self, table: tuple[list[T], list[float]]) -> T:
        values, bounds = table
        return values[bisect(bounds, self.random.random() * bounds[-1])]

    # -- what is known ---------------------------------------------------------------------------

    def log_prob(self, text: str) -> float:
        r"""Return the exact natural logarithm of a text's probability, :math:`\log p`.

        Parameters
        ----------
        text : str
            A story in English or Chinese, whatever this world writes; both have the same
            probability, since one is read off from the other.

        Returns
        -------
        float
            :math:`-\infty` for a text that this language cannot produce.

        Raises
        ------
        TypeError
            If it is no text.
        """
        story = grammar.read(_require_text(text))
        return -math.inf if story is None else grammar.log_probability(story)

    def entropy(self, length: Length | None = None, *, with_end: bool = False) -> float:
        r"""Return the expectation of :math:`-\log p`, in closed form.

        No model of these stories can have a smaller expected loss, in nats.

        Parameters
        ----------
        length : callable, optional
            How many tokens a text has, for instance ``lambda s: len(tokenizer.encode(s))``.
        with_end : bool
            Whether the token that ends a story counts as one, too, as it does in the loss of a
            model that must predict it. The entropy of a whole story is the same either way: that
            it ends, and does not go on, is part of its probability.

        Returns
        -------
        float
            Nats a story; with `length`, nats a token: entropy over `expected_length`.

        Raises
        ------
        TypeError
            If ``length`` is no function, or ``with_end`` neither True nor False.

        Examples
        --------
        >>> world, words = TinyWorld(), lambda text: len(text.split())
        >>> round(world.entropy(words), 4), round(world.entropy(words, with_end=True), 4)
        (0.9609, 0.926)
        """
        _require_flag("with_end", with_end)
        if length is None:
            return _entropy()
        return _entropy() / self.expected_length(length, with_end=with_end)

    def expected_length(self, length: Length, *, with_end: bool = False) -> float:
        r"""Return the expected length of a story, in closed form.

        Parameters
        ----------
        length : callable
            A length that adds up over the sentences of a story. Every sentence but the first is
            given with the blank before it, if the language has one. Byte-level BPE, characters
            and words are such lengths: they join nothing across the end of a sentence.
        with_end : bool
            Whether to count one token more, which marks the end of the story.

        Returns
        -------
        float

        Raises
        ------
        TypeError
            If ``length`` is no function, or ``with_end`` neither True nor False.
        """
        if not callable(length):
            raise TypeError(f"length must be a function of a text, got {length!r}")
        tokens = sum(p * length(text) for text, p in _expected_sentences(self.language).items())
        return tokens + _require_flag("with_end", with_end)

    def sentences(self) -> dict[str, float]:
        r"""Return every sentence that a story can have, and how often it is expected in one.

        Every sentence but the first of a story stands with the blank before it, if the language
        has one. So ``Words.train(world.sentences())`` knows all words of this language.

        Returns
        -------
        dict from str to float
        """
        return dict(_expected_sentences(self.language))

    def next_tokens(
        self, text: str, tokenizer: Tokenizer, end: str = "<|end|>"
    ) -> dict[int, float]:
        r"""Return the exact distribution over the next token after the beginning of a story.

        This is what a perfect language model of these stories would predict.

        Parameters
        ----------
        text : str
            The beginning, which may be empty, or all of a story in this world's language. It ends
            where a token ends.
        tokenizer : Tokenizer
            One that joins nothing across the end of a sentence, as in `expected_length`.
        end : str
            The tokenizer's special token that follows a whole story.

        Returns
        -------
        dict from int to float
            Token ids that may come next, the most probable first, with their probabilities.

        Raises
        ------
        ValueError
            If no story begins so, or the tokenizer has no such end.
        TypeError
            If it is no text.

        Examples
        --------
        >>> from companion.tokenizers import Words
        >>> world = TinyWorld()
        >>> words = Words.train(world.sentences(), ["<|end|>"])
        >>> for token, p in world.next_tokens("One", words).items():
        ...     print(f"{words.tokens[token]} {p:.3f}")
         morning 0.345
         day 0.230
         evening 0.172
         summer 0.138
         winter 0.115
        """
        if end not in tokenizer.special_ids:
            raise ValueError(f"end must be a special token of the tokenizer, got {end!r}")
        last = tokenizer.special_ids[end]
        return predicting.next_tokens(_require_text(text), self.language, tokenizer, last)

    def bayes_accuracy(self) -> float:
        r"""Return the accuracy of the best classifier of `sentiment` that there can be.

        Returns
        -------
        float
            :math:`\mathbb{E}[\max(p, 1-p)]`, p the probability of a good end given the rest.
        """
        moods = _final_moods()
        return sum(p * max(P_GOOD[mood], 1 - P_GOOD[mood]) for mood, p in moods.items())

    def reward(self, text: str) -> float:
        r"""Return how much the reader behind `preference` likes a story.

        Parameters
        ----------
        text : str

        Returns
        -------
        float
            Good events minus bad ones, and one more for a good end.

        Raises
        ------
        ValueError
            If the text is no story.
        """
        return tasks.reward(_read(text))

    # -- tasks -----------------------------------------------------------------------------------

    def sentiment(self) -> tuple[str, int]:
        r"""Draw a story without its last sentence, and how it ended.

        Returns
        -------
        (str, int)
            The text, and 1 for a good feeling or 0 for a bad one. The end is drawn by chance, so
            nobody can be right every time: see `bayes_accuracy`.
        """
        return tasks.sentiment(self.draw(), self.language)

    def entities(self) -> tuple[list[str], list[str]]:
        r"""Draw a story's words and their entity tags.

        Returns
        -------
        (list of str, list of str)
            Words and punctuation marks (in Chinese, characters), and for each a tag: ``B-PER``
            begins a person, ``I-PER`` goes on; so with ``LOC``, ``OBJ``, ``ANI``; else ``O``.
        """
        return tasks.entities(self.draw(), self.language)

    def question(self) -> dict[str, Any]:
        r"""Draw a story, a question about it and the answer.

        Returns
        -------
        dict
            ``context``, ``question``, ``answer``, and ``start``: where the answer, which is a
            part of the context, begins.
        """
        return tasks.question(self.draw(), self.language, self.random)

    def translation(self) -> tuple[str, str]:
        r"""Draw a story in English and in Chinese.

        Returns
        -------
        (str, str)
        """
        story = self.draw()
        return grammar.write(story, "en"), grammar.write(story, "zh")

    def instruction(self) -> dict[str, str]:
        r"""Draw something to do, and how it is done.

        Returns
        -------
        dict
            ``instruction``, ``input`` (may be empty) and ``output``.
        """
        return tasks.instruction(self.draw(), self.language, self.random)

    def preference(self) -> dict[str, str]:
        r"""Draw the beginning of a story and two ways to go on, the preferred one first.

        The reader prefers a over b with probability :math:`\sigma(r_a - r_b)` (Bradley and Terry
        1952), where r is `reward` of the whole story.

        Returns
        -------
        dict
            ``prompt``, ``chosen`` and ``rejected``.
        """
        first = self.draw()
        second = self.draw(time=first.time, hero=first.hero, place=first.place)
        margin = tasks.reward(first) - tasks.reward(second)
        if self.random.random() >= 1 / (1 + math.exp(-margin)):
            first, second = second, first
        return tasks.preference(first, second, self.language)


def _read(text: str) -> Story:
    story = grammar.read(_require_text(text))
    if story is None:
        raise ValueError(f"text must be a story of Tiny World, got {text!r}")
    return story


# -- tables to draw from -------------------------------------------------------------------------


def _table(probabilities: Mapping[T, float]) -> tuple[list[T], list[float]]:
    return list(probabilities), list(accumulate(probabilities.values()))


@cache
def _table_of_lengths() -> tuple[list[int], list[float]]:
    return _table(N_EVENTS)


@cache
def _table_of_words(slot: str, hero: Word) -> tuple[list[Word], list[float]]:
    return _table(grammar.choices(slot, hero))


@cache
def _table_of_kinds(shape: tuple[bool, bool, str]) -> tuple[list[str], list[float]]:
    return _table(grammar.next_kinds(_example(shape)))


def _example(shape: tuple[bool, bool, str], mood: int = 0) -> State:
    """Return a state of a given shape."""
    thing, friend, last = shape
    return State(SOME if thing else None, SOMEBODY if friend else None, mood, last)


def _example_event(kind: str) -> Event:
    slots = {"thing": SOME, "friend": SOMEBODY}
    return Event(kind, tuple(slots.get(slot, SOME) for slot in KINDS[kind].slots))


# -- expectations --------------------------------------------------------------------------------


@cache
def _steps() -> list[dict[State, float]]:
    """Return how probable each shape and mood is before the first, second, … and last event."""
    steps = [{State(): 1.0}]
    for _ in range(max(N_EVENTS)):
        after: dict[State, float] = defaultdict(float)
        for state, p in steps[-1].items():
            for kind, q in grammar.next_kinds(state).items():
                new = state.after(_example_event(kind))
                after[_example(new.shape, new.mood)] += p * q
        steps.append(dict(after))
    return steps


def _reaches(step: int) -> float:
    """Return the probability that a story has an event number `step`, from 0."""
    return sum(p for n, p in N_EVENTS.items() if n > step)


@cache
def _expected_kinds() -> Counter[str]:
    """Return how many events of each kind a story is expected to have."""
    expected: Counter[str] = Counter()
    for step, states in enumerate(_steps()[:-1]):
        for state, p in states.items():
            for kind, q in grammar.next_kinds(state).items():
                expected[kind] += _reaches(step) * p * q  # type: ignore[assignment]
    return expected


@cache
def _final_moods() -> dict[int, float]:
    moods: dict[int, float] = defaultdict(float)
    for n, p in N_EVENTS.items():
        for state, q in _steps()[n].items():
            moods[state.mood] += p * q
    return dict(moods)


def surprise(probabilities: Mapping[Any, float]) -> float:
    r"""Return the entropy of a distribution, :math:`-\sum p \log p`, in nats."""
    return -sum(p * math.log(p) for p in probabilities.values() if p)


@cache
def _surprise_of_slot(slot: str) -> float:
    if slot != "friend":
        return surprise(WORDS[slot])
    return sum(p * surprise(grammar.without(hero)) for hero, p in WORDS["hero"].items())


@cache
def _entropy() -> float:
    total = surprise(N_EVENTS) + sum(_surprise_of_slot(slot) for slot in ("time", "hero", "place"))
    for step, states in enumerate(_steps()[:-1]):
        for state, p in states.items():
            total += _reaches(step) * p * surprise(grammar.next_kinds(state))
    for kind, expected in _expected_kinds().items():
        total += expected * sum(_surprise_of_slot(slot) for slot in KINDS[kind].slots)
    for mood, p in _final_moods().items():
        good = P_GOOD[mood]
        total += p * surprise({True: good, False: 1 - good})
        total += p * (good * _surprise_of_slot("good") + (1 - good) * _surprise_of_slot("bad"))
    return total


@cache
def _expected_sentences(language: str) -> dict[str, float]:
    """Return every sentence, with how often it is expected in a story."""
    expected: dict[str, float] = defaultdict(float)
    blank = "" if language == "zh" else " "
    for hero, p_hero in WORDS["hero"].items():
        for text, p in _sentences_of(hero, language):
            expected[text if p < 0 else blank + text] += p_hero * abs(p)
    return dict(expected)


def _sentences_of(hero: Word, language: str) -> list[tuple[str, float]]:
    """Return the sentences of stories about a hero and their expected number.

    The first sentence of a story has its number negative, to tell it from the others.
    """
    found = []
    good = sum(p * P_GOOD[mood] for mood, p in _final_moods().items())
    feelings = {w: good * p for w, p in WORDS["good"].items()}
    feelings |= {w: (1 - good) * p for w, p in WORDS["bad"].items()}
    time, place, feeling = (next(iter(WORDS[slot])) for slot in ("time", "place", "good"))
    for a, p in WORDS["time"].items():
        for b, q in WORDS["place"].items():
            story = Story(a, hero, b, (), feeling)
            found.append((grammar.sentences(story, language)[0], -p * q))
    for a, p in feelings.items():
        found.append((grammar.sentences(Story(time, hero, place, (), a), language)[-1], p))
    for kind, expected in _expected_kinds().items():
        for text, p in _sentences_of_kind(kind, hero, language).items():
            found.append((text, expected * p))
    return found


def _sentences_of_kind(kind: str, hero: Word, language: str) -> dict[str, float]:
    """Return how an event may be written, with what probability."""
    needs = [need for need in KINDS[kind].needs if not need.startswith("no ")]
    texts: dict[str, float] = defaultdict(float)
    for words, p in fillings((*needs, *KINDS[kind].slots), hero):
        held, drawn = dict(zip(needs, words, strict=False)), words[len(needs) :]
        state = State(held.get("thing"), held.get("friend"))
        texts[grammar.write_event(Event(kind, drawn), hero, state, language)] += p
    return texts
