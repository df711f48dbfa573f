r"""What can be asked about a story of Tiny World, and the right answer.

Every function takes a story and a language and makes one example of a task from it.
"""

import random
import re
from typing import Any

from companion.tinyworld import grammar
from companion.tinyworld.grammar import KINDS, MARK, WORDS, Story

__all__ = ["reward", "is_good", "sentiment", "entities", "question", "instruction", "preference"]

TOKENS = (re.compile(r"\w+|[^\w\s]"), re.compile(r"\S"))
#: What can be asked about an event, and what the answer is called.
ABOUT_EVENTS = {
    "found": ("What did {hero} find?", "{hero}捡到了什么？", "OBJ"),
    "met": ("Whom did {hero} meet?", "{hero}遇见了谁？", "PER"),
    "saw": ("What did {hero} see?", "{hero}看见了什么？", "ANI"),
    "gave": ("To whom did {hero} give something?", "{hero}把东西送给了谁？", "PER"),
}
WHERE = ("Where did {hero} go?", "{hero}去了哪里？")
FEELING = ("How did {hero} feel in the end?", "{hero}最后觉得怎么样？")


def reward(story: Story) -> float:
    """Return good events minus bad ones, and one more for a good end."""
    return float(sum(KINDS[event.kind].mood for event in story.events) + is_good(story))


def is_good(story: Story) -> bool:
    """Tell whether a story ends well."""
    return story.feeling in WORDS["good"]


def sentiment(story: Story, language: str) -> tuple[str, int]:
    """Return a story without its end, and whether the end was good."""
    return _join(grammar.sentences(story, language)[:-1], language), int(is_good(story))


def _join(parts: list[str], language: str) -> str:
    return ("" if language == "zh" else " ").join(parts)


# -- entities ------------------------------------------------------------------------------------


def entities(story: Story, language: str) -> tuple[list[str], list[str]]:
    """Return a story's words and their tags."""
    words: list[str] = []
    tags: list[str] = []
    text, end = _join(grammar.sentences(story, language, marked=True), language), 0
    for mark in MARK.finditer(text):
        _add(text[end : mark.start()], "", words, tags, language)
        _add(mark["name"], mark["label"], words, tags, language)
        end = mark.end()
    _add(text[end:], "", words, tags, language)
    return words, tags


def _add(text: str, label: str, words: list[str], tags: list[str], language: str) -> None:
    found = TOKENS[language == "zh"].findall(text)
    words += found
    tags += [f"{'I' if i else 'B'}-{label}" if label else "O" for i in range(len(found))]


# -- questions -----------------------------------------------------------------------------------


def question(story: Story, language: str, rng: random.Random) -> dict[str, Any]:
    """Return a question whose answer stands in the story once, as far as it is asked for."""
    parts = grammar.sentences(story, language)
    which = int(language == "zh")
    asked, answer, place = rng.choice(_questions(story, language))
    start = len(_join(parts[:place], language)) + (place > 0 and not which)
    return {
        "context": _join(parts, language),
        "question": asked[which].format(hero=story.hero[which]),
        "answer": answer,
        "start": start + parts[place].rindex(answer),
    }


def _questions(story: Story, language: str) -> list[tuple[tuple[str, str], str, int]]:
    """Return what can be asked: the question, its answer, and the sentence it stands in."""
    which = int(language == "zh")
    marked = grammar.sentences(story, language, marked=True)
    kinds = [event.kind for event in story.events]
    found = [(WHERE, story.place[which], 0), (FEELING, story.feeling[which], len(marked) - 1)]
    for place, kind in enumerate(kinds, start=1):
        if kind in ABOUT_EVENTS and kinds.count(kind) == 1:
            english, chinese, label = ABOUT_EVENTS[kind]
            names = [m["name"] for m in MARK.finditer(marked[place]) if m["label"] == label]
            found.append(((english, chinese), names[-1], place))
    return found


# -- instructions --------------------------------------------------------------------------------


def instruction(story: Story, language: str, rng: random.Random) -> dict[str, str]:
    """Return something to do with a story, or the order to tell one."""
    kind = rng.choice((_tell, _translate, _count, _ask))
    return kind(story, language, rng)


def _tell(story: Story, language: str, _rng: random.Random) -> dict[str, str]:
    order = ("Tell a story about {} at the {}.", "讲一个{}去{}的故事。")[language == "zh"]
    which = int(language == "zh")
    order = order.format(story.hero[which], story.place[which])
    return {"instruction": order, "input": "", "output": grammar.write(story, language)}


def _translate(story: Story, language: str, _rng: random.Random) -> dict[str, str]:
    other = "en" if language == "zh" else "zh"
    order = ("Translate the story into Chinese.", "把这个故事译成英文。")[language == "zh"]
    given, wanted = (grammar.write(story, each) for each in (language, other))
    return {"instruction": order, "input": given, "output": wanted}


def _count(story: Story, language: str, _rng: random.Random) -> dict[str, str]:
    order = ("How many sentences has the story?", "这个故事有几句话？")[language == "zh"]
    parts = grammar.sentences(story, language)
    return {"instruction": order, "input": _join(parts, language), "output": str(len(parts))}


def _ask(story: Story, language: str, rng: random.Random) -> dict[str, str]:
    asked = question(story, language, rng)
    return {
        "instruction": asked["question"],
        "input": asked["context"],
        "output": asked["answer"],
    }


# -- preferences ---------------------------------------------------------------------------------


def preference(chosen: Story, rejected: Story, language: str) -> dict[str, str]:
    """Return two stories that begin alike, cut after their first sentence."""
    first, second = (grammar.sentences(story, language) for story in (chosen, rejected))
    return {
        "prompt": first[0],
        "chosen": _join(first[1:], language),
        "rejected": _join(second[1:], language),
    }
