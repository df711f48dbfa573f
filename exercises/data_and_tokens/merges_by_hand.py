"""Three merges of byte-pair encoding, and what they make of a new word."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

from exercises import Check, Exercise
from exercises.answers import text

QUESTION = """
A text consists of these words, so often each: {{counted}}. Which three merges does byte-pair encoding learn, in order? (All letters are ASCII, so that a letter is a byte.) Into which tokens do they cut the new word *{{new}}*?
"""
STARTER = """
learnt_merges = [("?", "?"), ...]  # three pairs
tokens_of_new = [...]
"""
HINT = "Count each pair of neighbours as often as its words occur. After a merge, count again: pairs with the joined part are new, and others have become rarer."
EXPLANATION = """
At first {{first}} is the most frequent pair, {{first_count}} times; then, counted anew, {{second}}, {{second_count}} times; then {{third}}, {{third_count}} times. The new word is cut into its letters and the merges are replayed in the order in which they were learnt: *{{tokens}}*. Nothing else is looked at, least of all which piece would be the longest.
"""
PAGE = {"tin": 4, "bin": 6, "bit": 11, "lit": 9, "tins": 5}
LETTERS = ("bdfghlmnprst", "aeiou")


def exercise(words: dict[str, int] | None = None, new: str = "habit") -> Exercise:
    """Return the exercise for `words` with their counts, and a `new` word."""
    words = words or PAGE
    merges, counts = _learn(words)
    tokens = _replay(new, merges)
    named = [f"*{a}* + *{b}*" for a, b in merges]
    return Exercise(
        id="data-and-tokens-merges-by-hand",
        title="Three merges",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=f"learnt_merges = {merges}\ntokens_of_new = {tokens}",
        explanation=EXPLANATION,
        values={
            "counted": ", ".join(f"*{word}* {count}" for word, count in words.items()),
            "new": new,
            "tokens": " · ".join(tokens),
            **dict(zip(("first", "second", "third"), named, strict=True)),
            **dict(zip(("first_count", "second_count", "third_count"), counts, strict=True)),
        },
        visible=(Check(tokens_spell_the_word, {"new": new}),),
        hidden=(
            Check(merges_are_right, {"words": words}),
            Check(new_word_is_cut_right, {"tokens": tokens}),
        ),
        wrong_answers=_wrong_answers(words, new, merges, tokens),
        public_solution=True,
    )


def _pairs(split: dict[str, list[str]], words: dict[str, int]) -> Counter:
    counts: Counter = Counter()
    for word, parts in split.items():
        for pair in pairwise(parts):
            counts[pair] += words[word]
    return counts


def _learn(words: dict[str, int], steps: int = 3) -> tuple[list[tuple[str, str]], list[int]]:
    """Return the merges, and how often each pair occurred."""
    split = {word: list(word) for word in words}
    merges, found = [], []
    for _ in range(steps):
        counts = _pairs(split, words)
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        found.append(counts[best])
        split = {word: _join(parts, best) for word, parts in split.items()}
    return merges, found


def _join(parts: list[str], pair: tuple[str, str]) -> list[str]:
    joined: list[str] = []
    for part in parts:
        if joined and (joined[-1], part) == pair:
            joined[-1] += part
        else:
            joined.append(part)
    return joined


def _replay(word: str, merges: list[tuple[str, str]]) -> list[str]:
    parts = list(word)
    for pair in merges:
        parts = _join(parts, pair)
    return parts


def _not_counted_anew(words: dict[str, int]) -> list[tuple[str, str]]:
    """Return the three pairs that are most frequent at the start."""
    counts = _pairs({word: list(word) for word in words}, words)
    return sorted(counts, key=lambda pair: (-counts[pair], pair))[:3]


def _wrong_answers(
    words: dict[str, int], new: str, merges: list[tuple[str, str]], tokens: list[str]
) -> dict[str, str]:
    once, _ = _learn(dict.fromkeys(words, 1))
    return {
        "not counted anew": f"learnt_merges = {_not_counted_anew(words)}\ntokens_of_new = {tokens}",
        "each word counted once": f"learnt_merges = {once}\ntokens_of_new = {tokens}",
        "the new word left in letters": f"learnt_merges = {merges}\ntokens_of_new = {list(new)}",
        "the order turned round": f"learnt_merges = {merges[::-1]}\ntokens_of_new = {tokens}",
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw words with counts of which nothing is a tie, and a new word made of parts of them."""
    while True:
        consonants, vowels = (
            rng.sample(letters, n) for letters, n in zip(LETTERS, (4, 2), strict=True)
        )
        ends = [rng.choice(vowels) + c for c in rng.sample(consonants, 2)]
        stems = sorted({rng.choice(consonants) + rng.choice(ends) for _ in range(9)})
        words = {word: rng.randrange(3, 13) for word in rng.sample(stems, min(4, len(stems)))}
        longer = rng.choice(sorted(words)) + rng.choice(consonants)
        words[longer] = rng.randrange(3, 8)
        new = "w" + longer[1:]
        if len(words) == 5 and _is_clear(words, new):
            return {"words": words, "new": new}


def _is_clear(words: dict[str, int], new: str) -> bool:
    """Tell whether the best pair leads each time, mistakes show, and the new word is joined."""
    split = {word: list(word) for word in words}
    merges, _ = _learn(words)
    for pair in merges:
        counts = _pairs(split, words).most_common(2)
        if len(counts) < 2 or counts[0][1] == counts[1][1]:
            return False
        split = {word: _join(parts, pair) for word, parts in split.items()}
    others = (_not_counted_anew(words), _learn(dict.fromkeys(words, 1))[0], merges[::-1])
    return all(other != merges for other in others) and 1 < len(_replay(new, merges)) < len(new)


# -- checks --------------------------------------------------------------------------------------


def tokens_spell_the_word(learnt_merges, tokens_of_new, *, new):
    """Check that there are three pairs, and that the tokens spell the new word."""
    assert len(learnt_merges) == 3, f"there should be three merges, got {len(learnt_merges)}"
    assert all(len(pair) == 2 for pair in learnt_merges), "each merge should be a pair of parts"
    spelt = "".join(map(text, tokens_of_new))
    assert spelt == new, f"the tokens should spell {new!r} when put together, not {spelt!r}"


def merges_are_right(learnt_merges, tokens_of_new, *, words):
    """Count all pairs before each merge, and compare with the one given."""
    split = {word: list(word) for word in words}
    for number, given in enumerate(learnt_merges, start=1):
        counts = {}
        for word, parts in split.items():
            for each in pairwise(parts):
                counts[each] = counts.get(each, 0) + words[word]
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        pair = tuple(map(text, given))
        found = counts.get(pair, 0)
        assert pair == best, (
            f"Merge {number} is not right: that pair occurs {found} times then, and another one "
            f"{counts[best]} times"
        )
        for word, parts in split.items():
            joined = []
            for part in parts:
                if joined and (joined[-1], part) == best:
                    joined[-1] += part
                else:
                    joined.append(part)
            split[word] = joined


def new_word_is_cut_right(learnt_merges, tokens_of_new, *, tokens):
    """Check the tokens of the new word."""
    assert list(map(text, tokens_of_new)) == tokens, (
        f"The new word is cut into {len(tokens)} tokens: replay the merges on its letters, in the "
        "order in which they were learnt"
    )
