r"""The grammar of Tiny World: what can happen, how probable it is, and how it is written.

A story is told of one hero. Its first sentence says when, who and where; its last says how the
hero felt; between them one to six things happen. What may happen depends on what has happened
(nobody gives away what they have not found), which is kept in a `State`. A story is written in
English or in Chinese, sentence by sentence; a sentence can be read in one way only.
"""

import math
import re
from typing import NamedTuple

from companion.tinyworld import lexicon

__all__ = [
    "N_EVENTS",
    "P_GOOD",
    "Word",
    "Kind",
    "KINDS",
    "zipf",
    "WORDS",
    "without",
    "Event",
    "Story",
    "State",
    "next_kinds",
    "choices",
    "probability_of_feeling",
    "MARK",
    "PRONOUNS",
    "article",
    "sentences",
    "write_event",
    "write",
    "read",
    "log_probability",
]

LANGUAGES = ("en", "zh")
#: Probabilities of 1 to 6 events, so that stories have 3 to 8 sentences.
N_EVENTS = {1: 0.10, 2: 0.20, 3: 0.25, 4: 0.20, 5: 0.15, 6: 0.10}
#: The probability of a good feeling in the end, for each mood from −3 to 3.
P_GOOD = {-3: 0.03, -2: 0.10, -1: 0.25, 0: 0.50, 1: 0.75, 2: 0.90, 3: 0.97}


class Word(NamedTuple):
    """A word in both languages, with what its sentence needs to know besides."""

    en: str
    zh: str
    extra: str = ""  # the pronoun of a person, the measure word of a thing


class Kind(NamedTuple):
    """A kind of event: when it may happen, how often, what it does, how it is written.

    What stands between ``<PER`` and ``>`` is the name of an entity of that class.
    """

    weight: float
    mood: int
    en: str
    zh: str
    slots: tuple[str, ...] = ()  # what is drawn anew
    needs: tuple[str, ...] = ()  # "thing" held, "friend" there, or "no thing", "no friend"
    ends: str = ""  # what is there no more


KINDS = {
    "found": Kind(
        3, 1, "{P} found {a} <OBJ {colour} {thing}>.", "{P}捡到了一{m}<OBJ {colour}的{thing}>。",
        ("colour", "thing"), ("no thing",),
    ),
    "met": Kind(
        3, 1, "{P} met <PER {friend}>.", "{P}遇见了<PER {friend}>。", ("friend",), ("no friend",),
    ),
    "saw": Kind(2, 0, "{P} saw {a} <ANI {animal}>.", "{P}看见了一{m}<ANI {animal}>。", ("animal",)),
    "ate": Kind(2, 1, "{P} ate {a} {food}.", "{P}吃了一{m}{food}。", ("food",)),
    "fell": Kind(2, -1, "{P} fell and cried.", "{P}摔倒了，哭了起来。"),
    "rained": Kind(2, -1, "It began to rain.", "下起雨来了。"),
    "slept": Kind(1, 0, "{P} took a nap.", "{P}打了个盹。"),
    "sang": Kind(1, 1, "{P} sang a song.", "{P}唱了一首歌。"),
    "lost": Kind(
        3, -1, "{P} lost the <OBJ {thing}>.", "{P}把<OBJ {thing}>弄丢了。", (), ("thing",), "thing",
    ),
    "gave": Kind(
        3, 1, "{P} gave the <OBJ {thing}> to <PER {friend}>.",
        "{P}把<OBJ {thing}>送给了<PER {friend}>。", (), ("thing", "friend"), "thing",
    ),
    "played": Kind(
        3, 1, "{P} played with <PER {friend}>.", "{P}和<PER {friend}>一起玩。", (), ("friend",)
    ),
    "argued": Kind(
        3, -1, "{P} argued with <PER {friend}>.", "{P}和<PER {friend}>吵了一架。", (), ("friend",)
    ),
    "left": Kind(
        2, -1, "<PER {friend}> went home.", "<PER {friend}>回家了。", (), ("friend",), "friend",
    ),
}  # fmt: skip
OPENING = (
    "{time} <PER {hero}> went to the <LOC {place}>.",
    "{time}，<PER {hero}>去了<LOC {place}>。",
)
ENDING = ("In the end <PER {hero}> felt {feeling}.", "最后，<PER {hero}>觉得很{feeling}。")


def zipf(words: list) -> dict[Word, float]:
    """Return the probability of each word of a list, falling with its place."""
    weights = [1 / (place + 2) for place in range(len(words))]
    return {Word(*word): w / sum(weights) for word, w in zip(words, weights, strict=True)}


WORDS = {
    "time": zipf(lexicon.TIMES),
    "hero": zipf(lexicon.PEOPLE),
    "place": zipf(lexicon.PLACES),
    "colour": zipf(lexicon.COLOURS),
    "thing": zipf(lexicon.THINGS),
    "animal": zipf(lexicon.ANIMALS),
    "food": zipf(lexicon.FOODS),
    "good": zipf(lexicon.GOOD_FEELINGS),
    "bad": zipf(lexicon.BAD_FEELINGS),
}


def without(hero: Word) -> dict[Word, float]:
    """Return the probabilities of a friend: of anybody but the hero."""
    rest = 1 - WORDS["hero"][hero]
    return {person: p / rest for person, p in WORDS["hero"].items() if person != hero}


class Event(NamedTuple):
    """Something that happened: its kind, and the words drawn for it."""

    kind: str
    words: tuple[Word, ...] = ()


class Story(NamedTuple):
    """A story, in no language yet."""

    time: Word
    hero: Word
    place: Word
    events: tuple[Event, ...]
    feeling: Word


class State(NamedTuple):
    """What the next event depends on."""

    thing: Word | None = None
    friend: Word | None = None
    mood: int = 0
    last: str = ""

    def has(self, need: str) -> bool:
        """Tell whether a condition holds: "thing", "no thing", "friend", "no friend"."""
        held = getattr(self, need.removeprefix("no ")) is not None
        return held != need.startswith("no ")

    @property
    def shape(self) -> tuple[bool, bool, str]:
        """All that the probabilities of the next event depend on."""
        return self.thing is not None, self.friend is not None, self.last

    def after(self, event: "Event") -> "State":
        """Return the state that an event leads to."""
        kind, (thing, friend, mood, _) = KINDS[event.kind], self
        if "thing" in kind.slots:
            thing = event.words[-1]
        if "friend" in kind.slots:
            friend = event.words[-1]
        if kind.ends == "thing":
            thing = None
        if kind.ends == "friend":
            friend = None
        return State(thing, friend, max(-3, min(3, mood + kind.mood)), event.kind)


def next_kinds(state: State) -> dict[str, float]:
    """Return the probability of each kind of event that may come next, none twice in a row."""
    weights = {
        name: kind.weight
        for name, kind in KINDS.items()
        if name != state.last and all(state.has(need) for need in kind.needs)
    }
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def choices(slot: str, hero: Word) -> dict[Word, float]:
    """Return the probabilities of the words that may fill a slot."""
    return without(hero) if slot == "friend" else WORDS[slot]


def probability_of_feeling(feeling: Word, mood: int) -> float:
    """Return the probability of how a story ends."""
    good = WORDS["good"].get(feeling)
    if good is not None:
        return P_GOOD[mood] * good
    return (1 - P_GOOD[mood]) * WORDS["bad"][feeling]


# -- writing -------------------------------------------------------------------------------------

MARK = re.compile(r"<(?P<label>[A-Z]+) (?P<name>[^>]*)>")
PRONOUNS = {"she": ("She", "她"), "he": ("He", "他")}
# What is written: by language, by whether entities are marked.
_TEMPLATES = {
    (language, marked): {
        name: templates[which] if marked else MARK.sub(r"\g<name>", templates[which])
        for name, templates in {
            "opening": OPENING,
            "ending": ENDING,
            **{name: (kind.en, kind.zh) for name, kind in KINDS.items()},
        }.items()
    }
    for which, language in enumerate(LANGUAGES)
    for marked in (False, True)
}


def article(word: str) -> str:
    """Return the English article that stands before a word."""
    return "an" if word[0] in "aeiou" else "a"


def sentences(story: Story, language: str, marked: bool = False) -> list[str]:
    """Return a story's sentences in English (``"en"``) or Chinese (``"zh"``).

    With `marked` the entities are marked as in the templates.
    """
    _require_language(language)
    templates = _TEMPLATES[language, marked]
    which = int(language == "zh")
    time, hero, place, events, feeling = story
    state = State()
    written = [templates["opening"].format(time=time[which], hero=hero[which], place=place[which])]
    for event in events:
        written.append(_write(event, hero, state, templates[event.kind], which))
        state = state.after(event)
    written.append(templates["ending"].format(hero=hero[which], feeling=feeling[which]))
    return written


def write_event(event: Event, hero: Word, state: State, language: str) -> str:
    """Return the sentence of one event."""
    template = _TEMPLATES[language, False][event.kind]
    return _write(event, hero, state, template, int(language == "zh"))


def _write(event: Event, hero: Word, state: State, template: str, which: int) -> str:
    fields = {"P": PRONOUNS[hero.extra][which]}
    if state.thing:
        fields["thing"] = state.thing[which]
    if state.friend:
        fields["friend"] = state.friend[which]
    for slot, word in zip(KINDS[event.kind].slots, event.words, strict=True):
        fields[slot] = word[which]
    if event.words:
        fields["a"], fields["m"] = article(event.words[0].en), event.words[-1].extra
    return template.format(**fields)


def write(story: Story, language: str = "en") -> str:
    """Return the text of a story."""
    return ("" if language == "zh" else " ").join(sentences(story, language))


# -- reading -------------------------------------------------------------------------------------


def _pattern(template: str, which: int) -> re.Pattern[str]:
    """Turn a template into a pattern with a group for each field."""
    alternatives = {
        "hero": WORDS["hero"],
        "friend": WORDS["hero"],
        "feeling": WORDS["good"] | WORDS["bad"],
        **{name: WORDS[name] for name in ("time", "place", "colour", "thing", "animal", "food")},
    }
    template = MARK.sub(r"\g<name>", template)
    pattern = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    for name, words in alternatives.items():
        names = "|".join(sorted((re.escape(word[which]) for word in words), key=len, reverse=True))
        pattern = pattern.replace(f"{{{name}}}", f"(?P<{name}>{names})")
    pattern = pattern.replace("{P}", ("(?:She|He)", "[她他]")[which])
    return re.compile(pattern.replace("{a}", "an?").replace("{m}", "."))


_OPENINGS, _ENDINGS = (
    [_pattern(templates[which], which) for which in (0, 1)] for templates in (OPENING, ENDING)
)
_EVENTS = [
    {name: _pattern((kind.en, kind.zh)[which], which) for name, kind in KINDS.items()}
    for which in (0, 1)
]
_BY_WORD = [
    {
        slot: {word[which]: word for word in words}
        for slot, words in (WORDS | {"feeling": WORDS["good"] | WORDS["bad"]}).items()
    }
    for which in (0, 1)
]
_SENTENCE = (re.compile(r"[^.]+\."), re.compile(r"[^。]+。"))


def _require_language(language: str) -> None:
    """Refuse a language in which no story is written."""
    if language not in LANGUAGES:
        raise ValueError(f'language must be "en" or "zh", got {language!r}')


def read(text: str) -> Story | None:
    """Return the story that a text tells, or None if it tells none.

    The language is found out; a text that `write` would not have written tells no story.
    """
    language = "zh" if "。" in text else "en"
    which = LANGUAGES.index(language)
    parts = [match.group().strip() for match in _SENTENCE[which].finditer(text)]
    if len(parts) < 3:
        return None
    first, last = _OPENINGS[which].fullmatch(parts[0]), _ENDINGS[which].fullmatch(parts[-1])
    events = [_read_event(part, which) for part in parts[1:-1]]
    if first is None or last is None or None in events:
        return None
    find = _BY_WORD[which]
    time, hero, place = (find[name][first[name]] for name in ("time", "hero", "place"))
    happened = tuple(event for event in events if event is not None)
    story = Story(time, hero, place, happened, find["feeling"][last["feeling"]])
    return story if _possible(story) and write(story, language) == text else None


def _read_event(sentence: str, which: int) -> Event | None:
    for name, pattern in _EVENTS[which].items():
        if match := pattern.fullmatch(sentence):
            find = _BY_WORD[which] | {"friend": _BY_WORD[which]["hero"]}
            return Event(name, tuple(find[slot][match[slot]] for slot in KINDS[name].slots))
    return None


def _possible(story: Story) -> bool:
    state = State()
    for event in story.events:
        if event.kind not in next_kinds(state):
            return False
        state = state.after(event)
    return len(story.events) in N_EVENTS and story.hero not in (
        word for event in story.events for word in event.words
    )


def log_probability(story: Story) -> float:
    """Return the natural logarithm of a story's probability: the sum over all choices."""
    state = State()
    total = sum(math.log(WORDS[name][getattr(story, name)]) for name in ("time", "hero", "place"))
    total += math.log(N_EVENTS[len(story.events)])
    for event in story.events:
        total += math.log(next_kinds(state)[event.kind])
        for slot, word in zip(KINDS[event.kind].slots, event.words, strict=True):
            total += math.log(choices(slot, story.hero)[word])
        state = state.after(event)
    return total + math.log(probability_of_feeling(story.feeling, state.mood))
