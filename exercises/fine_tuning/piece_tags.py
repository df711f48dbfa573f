"""From the tags of words to targets of pieces."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Names were marked in a text word by word, but the model reads pieces of words. Write `piece_tags(word_ids, tags)`. `word_ids` says of each piece to which word it belongs, such as `[None, 0, 0, 1, 2, None]`: words are numbered from 0, and special tokens belong to none. `tags` holds one tag for each word: `"O"`, or `"B-"` or `"I-"` and a kind, such as `"B-PER"`. The text may have been cut off, so that the last words have no pieces. Return a list with one entry for each piece. The first piece of a word gets the tag of the word, and a piece that belongs to no word gets `None`.

MORE
"""
# What takes the place of MORE, and of REST in the solution.
MORE = {
    "inside": 'The other pieces of a word go on with it: `I-` and the kind if it is part of a name, else `"O"`.',
    "ignored": "The other pieces of a word get `None`, too, so that each word counts once.",
    "same": "The other pieces of a word get the tag of the word, too, just as it is.",
}
REST = {
    "inside": 'tag.replace("B-", "I-")',
    "ignored": "None",
    "same": "tag",
}
STARTER = '''
def piece_tags(word_ids, tags):
    """word of each piece, tags -> tag of each piece"""
    ...
'''
NUMBERED = """
numbers = {None: -100, "O": 0, "B-PER": 1, "I-PER": 2, "B-LOC": 3, "I-LOC": 4}
tags_found, *rest = result if isinstance(result, tuple) else (result,)
tags_found = [numbers[tag] for tag in tags_found]
result = (tags_found, *rest) if rest else tags_found
"""
SPANS = """
names = tags
last = max(w for w in word_ids if w is not None)
tags = ["O"] * max(last + 1, *(stop for _, _, stop in names), 0)
for kind, start, stop in names:
    tags[start:stop] = [f"B-{kind}"] + [f"I-{kind}"] * (stop - start - 1)
"""
TWISTS = {
    "numbers": Twist(
        'Return numbers in place of tags, as a loss needs them: 0 for `"O"`, 1 for `"B-PER"`, 2 for `"I-PER"`, 3 for `"B-LOC"`, 4 for `"I-LOC"`, and $-100$ in place of `None`. (There are no other kinds.)',
        {"piece_tags": ("", NUMBERED)},
        {"-> tag": "-> number"},
    ),
    "lost": Twist(
        'Return a second result: how many words have a tag that is not `"O"` and no piece at all, because the text was cut off.',
        {
            "piece_tags": (
                "",
                'result = result, sum(tag != "O" for i, tag in enumerate(tags) if i not in word_ids)',
            )
        },
        {'of each piece"""': 'of each piece, words lost"""'},
    ),
    "minus": Twist(
        "In `word_ids`, $-1$ stands in place of `None`.",
        {"piece_tags": ("word_ids = [None if w == -1 else w for w in word_ids]", "")},
    ),
    "spans": Twist(
        'In place of tags, the second argument holds the names of the text: a list of triples such as `("PER", 3, 5)`, which is a name of the words 3 and 4. All other words are `"O"`, and in a name the first word is `B-` and the others are `I-`.',
        {"piece_tags": (SPANS, "")},
    ),
}
HINT = "When does a word begin? Compare each entry of `word_ids` with the one before it. The entry is also the place of the word's tag in `tags`."
SOLUTION = """
def piece_tags(word_ids, tags):
    found, before = [], None
    for word in word_ids:
        if word is None:
            found.append(None)
        elif word != before:
            found.append(tags[word])
        else:
            tag = tags[word]
            found.append(REST)
        before = word
    return found
"""
EXPLANATION = """
The numbers in `word_ids` do all of the work: they are places in `tags`, while the place of a piece in the row is not. A `B-` for every piece would say that a new name begins in the middle of a word. There are several rules for the other pieces. Whichever one takes, the predictions must be put together to words again by the same rule, and an evaluation compares whole words. Where a text is cut off, its last names are in no target and in no prediction; an evaluation over the pieces that are left never misses them, so count them.
"""
TRIAL = """
for word_ids, tags, right in (
    ([None, 0, 1, None], ["O", "B-PER"], [None, "O", "B-PER", None]),
    ([None, 0, 0, 0, None], ["B-LOC"], [None, "B-LOC", "I-LOC", "I-LOC", None]),
    ([0, 0, 1, 1], ["B-PER", "I-PER"], ["B-PER", "I-PER", "I-PER", "I-PER"]),
    ([0, 0, 1, 1], ["B-PER", "B-PER"], ["B-PER", "I-PER", "B-PER", "I-PER"]),
    ([0, 0, 1, None], ["O", "B-LOC", "I-LOC"], ["O", "O", "B-LOC", None]),
):
    check(f"{word_ids} of {tags}", list(piece_tags(word_ids, tags)) == right)
"""


def exercise(rest: str = "inside", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with one of the rules of `MORE`."""
    given = {"rest": rest, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        answer = wrapped(code, {"piece_tags": "word_ids, tags"}, twisted)
        return answer.replace("REST", REST[rest])

    return Exercise(
        id="fine-tuning-piece-tags",
        title="From words to pieces",
        kind="code",
        difficulty=1,
        minutes=15,
        points=3,
        question=asked(QUESTION.replace("MORE", MORE[rest]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(whole_words_keep_their_tags, given),),
        hidden=(Check(each_piece_has_its_tag, given), Check(long_texts_are_right, given)),
        wrong_answers={why: filled(code) for why, code in wrong_answers(rest).items()},
        public_solution=True,
        trial="" if twists or rest != "inside" else TRIAL,
    )


def wrong_answers(rest: str) -> dict[str, str]:
    """Return mistakes, those in the rule for the other pieces as they can be made there."""
    found = {
        "the other pieces are outside": SOLUTION.replace("REST", '"O"'),
        "special tokens are outside": SOLUTION.replace("found.append(None)", 'found.append("O")'),
        "a name of the same kind goes on": SOLUTION.replace(
            "found.append(tags[word])", 'found.append(tags[word].replace("B-", "I-"))'
        ),
        "tags by the place of the piece": SOLUTION.replace(
            "tags[word]", "tags[len(found) % len(tags)]"
        ),
        "another rule for the other pieces": SOLUTION.replace(
            "REST", REST["inside" if rest != "inside" else "ignored"]
        ),
    }
    if rest != "same":
        found["each piece gets the tag of its word"] = SOLUTION.replace("REST", "tag")
    return found


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a rule for the other pieces, texts, and twists."""
    chosen = drawn(rng, TWISTS)
    return {
        "rest": rng.choice(list(MORE)),
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------

NUMBERS_OF_TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def triples_of(tags):
    """Return the names of a text, whose tags all go on with something or begin."""
    found = []
    for i, tag in enumerate(tags):
        if tag[0] == "B":
            found.append([tag[2:], i, i + 1])
        elif tag[0] == "I":
            found[-1][2] = i + 1
    return [tuple(name) for name in found]


def tags_and_lost(piece_tags, word_ids, tags, twists):
    """Return the tags that an answer gives, and how many words it says are lost."""
    words = [-1 if w is None else w for w in word_ids] if "minus" in twists else list(word_ids)
    given = triples_of(tags) if "spans" in twists else list(tags)
    result, lost = piece_tags(words, given), None
    if "lost" in twists:
        result, lost = parts(result, 2)
        lost = int(array(lost).item())
    assert hasattr(result, "__len__"), "piece_tags should return a list"
    assert len(result) == len(word_ids), (
        f"{len(word_ids)} pieces should give a list of as many entries, got {len(result)}"
    )
    if "numbers" in twists:
        numbers = array(result).ravel().tolist()
        known = all(n == -100 or n in range(5) for n in numbers)
        assert known, "The numbers should be -100, or from 0 to 4"
        return [None if n == -100 else NUMBERS_OF_TAGS[int(n)] for n in numbers], lost
    return [None if tag is None else str(tag) for tag in result], lost


def whole_words_keep_their_tags(piece_tags, *, rest, seed, twists):
    """Check words of one piece each, between two special tokens."""
    tags = ["O", "B-PER", "I-PER", "B-LOC", "O"]
    found, _ = tags_and_lost(piece_tags, [None, 0, 1, 2, 3, 4, None], tags, twists)
    assert found[1:-1] == tags, (
        "If each word has one piece, the pieces should have the tags of the words"
    )
    assert found[0] is None is found[-1], "Special tokens belong to no word, and no tag is theirs"


def wanted_tags(word_ids, tags, rest):
    """Return the tag of each piece, and how many words with tags are lost, word by word."""
    found = [None] * len(word_ids)
    for word, tag in enumerate(tags):
        places = [i for i, w in enumerate(word_ids) if w == word]
        inside = "O" if tag == "O" else f"I-{tag[2:]}"
        further = {"inside": inside, "ignored": None, "same": tag}[rest]
        for i in places:
            found[i] = further
        for i in places[:1]:
            found[i] = tag
    cut = sum(1 for word, tag in enumerate(tags) if word not in word_ids and tag != "O")
    return found, cut


def compared(piece_tags, word_ids, tags, rest, twists):
    """Compare what an answer says of a text with what the question asks for."""
    found, lost = tags_and_lost(piece_tags, word_ids, tags, twists)
    right, cut = wanted_tags(word_ids, tags, rest)
    wrong = [i for i in range(len(right)) if found[i] != right[i]]
    assert not wrong, (
        f"With the words {word_ids} and the tags {tags}, the entry at place {wrong[0]} is not "
        "right: is it the first piece of a word, another one, or none?"
    )
    if lost is not None:
        assert lost == cut, (
            f"With the words {word_ids} and the tags {tags}, the number of words that were lost is "
            "not right: which words of names have no piece?"
        )


def each_piece_has_its_tag(piece_tags, *, rest, seed, twists):
    """Check small texts, each with one difficulty."""
    for word_ids, tags in (
        ([None, 0, 0, 0, None], ["B-PER"]),
        ([0, 0, 1, 1, 1], ["B-LOC", "I-LOC"]),
        ([None, 0, 0, 1, 1, None], ["B-PER", "B-PER"]),
        ([None, 0, 0, 1], ["O", "B-LOC"]),
        ([None, 0, 0, 1, 1, None], ["B-LOC", "O", "B-PER", "I-PER", "O"]),
    ):
        compared(piece_tags, word_ids, tags, rest, twists)


def long_texts_are_right(piece_tags, *, rest, seed, twists):
    """Compare drawn texts, some of which are cut off."""
    for each in range(seed, seed + 10):
        rng = random.Random(each)
        tags = []
        while len(tags) < 12:
            kind = rng.choice(("PER", "LOC"))
            name = [f"B-{kind}", *[f"I-{kind}"] * rng.choice((0, 0, 1, 2))]
            tags += rng.choice((["O"], ["O", "O"], name))
        words = [i for i in range(len(tags)) for _ in range(rng.choice((1, 1, 2, 3)))]
        limit = rng.choice((len(words), len(words) // 2))
        compared(piece_tags, [None, *words[:limit], None], tags, rest, twists)
