"""A language so small that its entropy can be computed by hand."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = r"""
A language has sentences of a name and a verb. These are the names, with their probabilities, and the verbs that may follow, all equally likely:

{lines}

After each sentence a coin is tossed: the story ends, or another sentence follows, drawn in the same way. In bits: what is $-\log_2 p$ of the story *{{{{story}}}}*? What is the entropy of one sentence, without the coin? And of a whole story, a loss that no model gets below in the mean?
"""
STARTER = """
story_bits = ...
sentence_bits = ...
language_bits = ...
"""
HINT = "Every choice costs the logarithm of its probability, the coin included. How many sentences has a story in the mean, and what does each of them cost?"
EXPLANATION = r"""
The story is drawn with {{choices}}, {{story_bits}} bits together: for each sentence the name, the verb, and the coin after it.

A name of probability $2^{-k}$ costs $k$ bits and its verb the logarithm of their number; weighted by how often the names occur these are {{sentence_bits}} bits a sentence.

A story has $1 + \tfrac12 + \tfrac14 + \dots = 2$ sentences in the mean, and each costs its own {{sentence_bits}} bits and one for the coin: {{language_bits}} bits. The mean length can be multiplied like this because whether a sentence is written at all does not depend on what is in it.
"""
NAMES = ("Ann", "Bob", "Cid", "Dora")
VERBS = ("ran", "sang", "slept", "swam")
LENGTHS = (1, 2, 3, 3)


def exercise(
    lengths: tuple[int, ...] = (2, 1, 3, 3),
    verbs: tuple[int, ...] = (1, 0, 2, 0),
    story: tuple[tuple[int, int], ...] = ((0, 1), (2, 0)),
) -> Exercise:
    """Return the exercise for names of probability 2 to the minus `lengths`.

    A name is followed by 2 to the power of `verbs` verbs. `story` holds pairs of name and verb.
    """
    right = {
        "story_bits": Fraction(sum(lengths[name] + verbs[name] + 1 for name, _ in story)),
        "sentence_bits": _sentence(lengths, verbs),
        "language_bits": 2 * (_sentence(lengths, verbs) + 1),
    }
    numbers = {name: float(value) for name, value in right.items()}
    costs = [f"{lengths[name]} + {verbs[name]} + 1" for name, _ in story]
    said = {f"verbs_{i}": _listed(2**n) for i, n in enumerate(verbs)}
    chances = {f"chance_{i}": rf"\tfrac{{1}}{{{2**n}}}" for i, n in enumerate(lengths)}
    lines = [f"- *{name}*, ${{{{chance_{i}}}}}$: {{{{verbs_{i}}}}}" for i, name in enumerate(NAMES)]
    return Exercise(
        id="data-and-tokens-grammar-by-hand",
        title="A language of four names",
        kind="by hand",
        difficulty=2,
        minutes=20,
        points=3,
        question=QUESTION.format(lines="\n".join(lines)),
        starter=STARTER,
        hint=HINT,
        solution="\n".join(f"{name} = {value!r}" for name, value in right.items()),
        explanation=EXPLANATION,
        values={
            **said,
            **chances,
            **{name: f"{value:g}" for name, value in numbers.items()},
            "story": " ".join(f"{NAMES[name]} {VERBS[verb]}." for name, verb in story),
            "choices": "$" + " + ".join(f"({cost})" for cost in costs) + "$",
        },
        visible=(Check(bits_fit_together),),
        hidden=(Check(bits_are_those_of_the_language, {"right": numbers}),),
        wrong_answers=_wrong_answers(lengths, verbs, story, right),
        public_solution=True,
    )


def _listed(n: int) -> str:
    return ", ".join(f"*{verb}*" for verb in VERBS[:n])


def _sentence(lengths: tuple[int, ...], verbs: tuple[int, ...]) -> Fraction:
    return sum((Fraction(k + v, 2**k) for k, v in zip(lengths, verbs, strict=True)), Fraction(0))


def _wrong_answers(
    lengths: tuple[int, ...],
    verbs: tuple[int, ...],
    story: tuple[tuple[int, int], ...],
    right: dict[str, Fraction],
) -> dict[str, str]:
    bits, sentence, language = (float(value) for value in right.values())
    alike = sum(k + v for k, v in zip(lengths, verbs, strict=True)) / 4
    return {
        "the coin costs nothing": f"""
            story_bits = {bits - len(story)}
            sentence_bits, language_bits = {sentence}, {2 * sentence}
            """,
        "a story of one sentence": f"""
            story_bits, sentence_bits = {bits}, {sentence}
            language_bits = sentence_bits + 1
            """,
        "names not weighted": f"""
            story_bits, sentence_bits = {bits}, {alike}
            language_bits = 2 * (sentence_bits + 1)
            """,
        "nats for bits": f"""
            story_bits, sentence_bits = {bits} * math.log(2), {sentence} * math.log(2)
            language_bits = {language} * math.log(2)
            """,
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw probabilities, numbers of verbs, and a story of two or three sentences."""
    page = ((2, 1, 3, 3), (1, 0, 2, 0))
    orders = sorted(set(itertools.permutations(LENGTHS)))
    while True:
        lengths = rng.choice(orders)
        verbs = tuple(rng.sample((0, 0, 1, 1, 2), 4))
        names = [rng.randrange(4) for _ in range(rng.choice((2, 3)))]
        story = tuple((name, rng.randrange(2 ** verbs[name])) for name in names)
        weighted = _sentence(lengths, verbs)
        uneven = weighted != Fraction(sum(lengths) + sum(verbs), 4)
        if len(set(names)) > 1 and uneven and (lengths, verbs) != page:
            return {"lengths": lengths, "verbs": verbs, "story": story}


# -- checks --------------------------------------------------------------------------------------


def bits_fit_together(story_bits, sentence_bits, language_bits):
    """Check that a story costs more than a sentence, and nothing is below 0."""
    assert 0 < sentence_bits < language_bits, (
        "a whole story should cost more than one sentence, and both more than 0"
    )
    assert story_bits > 0, "story_bits should be above 0, as the story is not certain"


def bits_are_those_of_the_language(story_bits, sentence_bits, language_bits, *, right):
    """Check all three numbers."""
    assert close(story_bits, right["story_bits"], "story_bits"), (
        "story_bits is not right: add the bits of each name, each verb and each toss of the coin"
    )
    assert close(sentence_bits, right["sentence_bits"], "sentence_bits"), (
        "sentence_bits is not right: weight what a name and its verb cost by how often the name "
        "occurs"
    )
    assert close(language_bits, right["language_bits"], "language_bits"), (
        "language_bits is not right: how many sentences has a story in the mean, and what does the "
        "coin cost?"
    )
