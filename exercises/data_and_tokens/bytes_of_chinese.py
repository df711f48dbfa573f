"""How many tokens a text costs in a vocabulary that never saw its language."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import json
import random
from typing import Any

from exercises import Check, Exercise

QUESTION = """
A byte-level BPE is trained on the English text in the code until nothing is left to join, so that every word of it is one token. How many tokens do these texts cost?

{cases}

Then it is trained again, on a text in which {{{{phrase}}}} stands on a line of its own. How many tokens does {{{{phrase}}}} cost now? Predict first; then run.
"""
STARTER = """
text = "{english}"
tokenizer = BPE.train(text, 1000)
trained_again = BPE.train(text + "\\n{phrase}", 1000)

token_counts = {{"a": ..., "b": ..., "c": ..., "d": ...}}
count_after_training = ...
"""
HINT = "A character that no merge knows falls back to its bytes in UTF-8: one for ASCII, two for é, three for most Chinese characters, four for 😂."
TRIAL = """
asked = TEXTS
for case, said in asked.items():
    count = len(tokenizer.encode(said))
    check(f"tokens of ({case})", token_counts[case], count)
count = len(trained_again.encode("PHRASE"))
check("tokens after training", count_after_training, count)
"""
EXPLANATION = """
{reasons}

After training on a text that has it, {{{{phrase}}}} is one token: it is letters without a space between them, so the pattern takes it for one word, and merges join it. What made it expensive was not that it is Chinese, but that training never saw it: then each character falls back to its bytes.
"""
ENGLISH = (
    "the dog saw the red house and the dog ran to the house",
    "two old men sold one old boat to the other old men",
    "she runs home and he runs home when the sun is low",
)
PHRASES = ("你好", "谢谢你", "猫和狗", "天气很好", "人工智能")
OTHERS = ("😂", "é", "ß", "ñ", "。", "！", "🎈", "ü")
REASONS = {
    "a": "both words are known, the second one together with its space;",
    "b": "{{characters}} characters of three bytes each;",
    "c": "{{characters_with_mark}} characters of three bytes each, the full-width mark among them;",
    "d": "a known word, and a character of {{bytes}} bytes that nobody joined.",
}


def exercise(
    english: str = ENGLISH[0],
    phrase: str = "你好",
    words: tuple[str, str] = ("the", "dog"),
    other: str = "😂",
    twice: bool = True,
) -> Exercise:
    """Return the exercise for four texts, made of a `phrase`, two `words` and one `other`."""
    both = f"{phrase}，{phrase}" if twice else f"{phrase}。"
    given = {"a": " ".join(words), "b": phrase, "c": both, "d": words[0] + other}
    right = _counts(given, english)
    listed = [f"- ({letter}) {{{{text_{letter}}}}}" for letter in given]
    reasons = [f"- ({letter}) {{{{count_{letter}}}}}: {why}" for letter, why in REASONS.items()]
    return Exercise(
        id="data-and-tokens-bytes-of-chinese",
        title="What does a greeting cost?",
        kind="predict",
        difficulty=1,
        minutes=10,
        points=3,
        question=QUESTION.format(cases="\n".join(listed)),
        starter=STARTER.format(english=english, phrase=phrase),
        hint=HINT,
        solution=f"token_counts = {right}\ncount_after_training = 1",
        explanation=EXPLANATION.format(reasons="\n".join(reasons)),
        values={
            **{f"text_{letter}": f"`{text}`" for letter, text in given.items()},
            **{f"count_{letter}": str(count) for letter, count in right.items()},
            "phrase": f"`{phrase}`",
            "characters": str(len(phrase)),
            "characters_with_mark": str(len(both)),
            "bytes": str(len(other.encode())),
        },
        visible=(Check(counts_are_complete),),
        hidden=(
            Check(counts_come_true, {"texts": given, "words": sorted(set(english.split()))}),
            Check(training_helps),
        ),
        wrong_answers=_wrong_answers(given, right),
        public_solution=True,
        trial=TRIAL.replace("TEXTS", json.dumps(given, ensure_ascii=False)).replace(
            "PHRASE", phrase
        ),
    )


def _counts(texts: dict[str, str], english: str) -> dict[str, int]:
    known = set(english.split())
    return {
        letter: sum(_in_bytes(word, known) for word in text.split(" "))
        for letter, text in texts.items()
    }


def _in_bytes(word: str, known: set[str]) -> int:
    """Count a word that may begin with a known one; the rest falls back to bytes."""
    start = next((w for w in sorted(known, key=len, reverse=True) if word.startswith(w)), "")
    return bool(start) + len(word.removeprefix(start).encode())


def _wrong_answers(texts: dict[str, str], right: dict[str, int]) -> dict[str, str]:
    by_character = right | {letter: len(texts[letter]) for letter in "bcd"}
    two = {letter: len(texts[letter].encode("utf-16-le")) for letter in "bc"}
    return {
        "a token a character": f"token_counts = {by_character}\ncount_after_training = 1",
        "two bytes a character": f"token_counts = {right | two}\ncount_after_training = 1",
        "training changes nothing": f"token_counts = {right}\ncount_after_training = {right['b']}",
        "the space is a token": f"token_counts = {right | {'a': right['a'] + 1}}\ncount_after_training = 1",
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw an English text, two of its words, a Chinese phrase and another character."""
    english = rng.choice(ENGLISH)
    later = sorted(set(english.split()[1:]))  # words that occur with a space before them
    return {
        "english": english,
        "phrase": rng.choice(PHRASES),
        "words": (english.split()[0], rng.choice(later)),
        "other": rng.choice(OTHERS[1:]),
        "twice": rng.random() < 0.5,
    }


# -- checks --------------------------------------------------------------------------------------


def counts_are_complete(token_counts, count_after_training):
    """Check that there is a whole number above 0 for each text."""
    for case in "abcd":
        count = token_counts.get(case)
        whole = isinstance(count, (int, float)) and count == int(count) > 0
        assert whole, f"({case}) should be a whole number above 0, got {count!r}"
    assert count_after_training > 0, "count_after_training should be a whole number above 0"


def counts_come_true(token_counts, *, texts, words):
    """Count the tokens: known words are one, everything else is its bytes."""
    for case, text in texts.items():
        expected = 0
        for piece in text.split(" "):
            known = max((w for w in words if piece.startswith(w)), key=len, default="")
            expected += bool(known) + len(piece[len(known) :].encode("utf-8"))
        assert token_counts[case] == expected, (
            f"({case}) is not what the tokenizer gives: run len(tokenizer.encode(...)), and look at "
            "the bytes with .encode('utf-8')"
        )


def training_helps(count_after_training):
    """Check what training on the phrase makes of it."""
    assert count_after_training == 1, (
        "count_after_training is not right: characters without a space between them are one word "
        "for the pattern, and merges join within a word"
    )
