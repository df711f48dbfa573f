r"""What comes next in a story of Tiny World: the exact distribution over the next token.

Once it is known what has happened, the next sentence depends on nothing else. So the sentences
that are whole are read one by one; then all sentences that may come now are listed, and among
those that begin with what stands already, the probabilities of the same next token are added up.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import NamedTuple

from companion.tinyworld import grammar
from companion.tinyworld.grammar import KINDS, N_EVENTS, P_GOOD, WORDS, Event, State, Story, Word
from companion.tokenizers.protocol import Tokenizer

__all__ = ["SOMEBODY", "Group", "Place", "fillings", "next_tokens"]

AFTER_SENTENCES = re.compile(r"(?<=[.。])")
# Words that stand for any others, where it does not matter which.
SOMEBODY, SOME_TIME, SOMEWHERE, GLAD = (
    next(iter(WORDS[slot])) for slot in ("hero", "time", "place", "good")
)
#: A sentence's text: what it tells (a hero, an event or a feeling), and its probability.
Sentences = Mapping[str, tuple[Word | Event, float]]


class Group(NamedTuple):
    """Sentences of one kind, with the words of which it is settled that they stand in them."""

    kind: str  # a kind of event, "opening", or an end: "good" or "bad"
    hero: Word
    thing: Word | None = None
    friend: Word | None = None


class Place(NamedTuple):
    """Where a story stands between two sentences."""

    hero: Word | None = None  # nobody before the first sentence
    state: State = State()
    n_events: int = 0
    is_over: bool = False

    def after(self, told: Word | Event) -> "Place":
        """Return the place behind a sentence that tells this."""
        if isinstance(told, Event):
            return Place(self.hero, self.state.after(told), self.n_events + 1)
        if self.hero is None:
            return Place(told)
        return self._replace(is_over=True)


def next_tokens(text: str, language: str, tokenizer: Tokenizer, end: int) -> dict[int, float]:
    """Return the probability of each token that may follow a beginning, the largest first."""
    *whole, begun = AFTER_SENTENCES.split(text)
    place = Place()
    for sentence in whole:
        place = place.after(_told(sentence, place, language))
    if place.is_over and not begun:
        return {end: 1.0}
    found = _weights(place, begun, language, tokenizer)
    if not found:
        raise _no_beginning(begun, place)
    total = sum(found.values())
    return {token: found[token] / total for token in sorted(found, key=found.__getitem__)[::-1]}


def _told(sentence: str, place: Place, language: str) -> Word | Event:
    """Return what a sentence tells."""
    for group in _groups(place):
        if found := _sentences(group, language).get(sentence):
            return found[0]
    raise _no_beginning(sentence, place)


def _weights(place: Place, begun: str, language: str, tokenizer: Tokenizer) -> dict[int, float]:
    """Return the probability of what stands of a sentence together with each next token."""
    try:
        start = tuple(tokenizer.encode(begun))
    except ValueError:  # a word that no story has
        raise _no_beginning(begun, place) from None
    found: dict[int, float] = defaultdict(float)
    for group, p in _groups(place).items():
        table = _table(group, language, tokenizer)  # type: ignore[arg-type]
        for token, q in table.get(start, {}).items():
            found[token] += p * q
    return found


def _no_beginning(rest: str, place: Place) -> ValueError:
    where = "at the end" if place.is_over else f"after {place.n_events} events"
    where = where if place.hero else "at its beginning"
    return ValueError(f"text must be the beginning of a story, but {where} none has {rest!r}")


# -- what may come next --------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def _groups(place: Place) -> dict[Group, float]:
    """Return the kinds of sentences that may come next, with their probabilities."""
    hero, (thing, friend, mood, _), n = place.hero, place.state, place.n_events
    if place.is_over:
        return {}
    if hero is None:
        return {Group("opening", SOMEBODY): 1.0}
    ends = N_EVENTS.get(n, 0.0) / sum(p for m, p in N_EVENTS.items() if m >= n)
    groups = {
        Group("good", hero): ends * P_GOOD[mood],
        Group("bad", hero): ends * (1 - P_GOOD[mood]),
    }
    for kind, p in grammar.next_kinds(place.state).items():
        needs = KINDS[kind].needs
        held = thing if "thing" in needs else None, friend if "friend" in needs else None
        groups[Group(kind, hero, *held)] = (1 - ends) * p
    return {group: p for group, p in groups.items() if p}


@cache
def _table(
    group: Group, language: str, tokenizer: Tokenizer
) -> dict[tuple[int, ...], dict[int, float]]:
    """Return, for each beginning of these sentences, the probability of it with each next token."""
    table: dict[tuple[int, ...], dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for text, (_, p) in _sentences(group, language).items():
        tokens = tokenizer.encode(text)
        for i, token in enumerate(tokens):
            table[tuple(tokens[:i])][token] += p
    return dict(table)


# -- all sentences of a kind ---------------------------------------------------------------------


@cache
def _sentences(group: Group, language: str) -> Sentences:
    """Return all sentences of a group, each with the blank before it."""
    if group.kind == "opening":
        return _openings(language)
    blank = "" if language == "zh" else " "
    found = _events(group, language) if group.kind in KINDS else _endings(group, language)
    return {blank + text: told for text, told in found.items()}


def _openings(language: str) -> Sentences:
    found = {}
    for (time, hero, place), p in fillings(("time", "hero", "place")):
        found[grammar.sentences(Story(time, hero, place, (), GLAD), language)[0]] = hero, p
    return found


def _events(group: Group, language: str) -> Sentences:
    found, state = {}, State(group.thing, group.friend)
    for words, p in fillings(KINDS[group.kind].slots, group.hero):
        event = Event(group.kind, words)
        found[grammar.write_event(event, group.hero, state, language)] = event, p
    return found


def _endings(group: Group, language: str) -> Sentences:
    found = {}
    for feeling, p in WORDS[group.kind].items():
        story = Story(SOME_TIME, group.hero, SOMEWHERE, (), feeling)
        found[grammar.sentences(story, language)[-1]] = feeling, p
    return found


def fillings(slots: tuple[str, ...], hero: Word = SOMEBODY) -> list[tuple[tuple[Word, ...], float]]:
    """Return all that can be drawn for these slots in a story about a hero, with probabilities."""
    found: list[tuple[tuple[Word, ...], float]] = [((), 1.0)]
    for slot in slots:
        table = grammar.choices(slot, hero)
        found = [((*words, w), p * q) for words, p in found for w, q in table.items()]
    return found
