"""Find a head with a behaviour, and put it to a test that it can fail."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from companion import models
from exercises import Check, Exercise

QUESTION = """
Think of a habit that a head of MiniLM could have: to look from a pronoun to the person it stands for, from a verb to its object, from an adjective to its noun. Search all heads for it on a few sentences. Then test the one you found on {{n}} *new* sentences of your own.

In each, name the word that looks, the *target*, and a *control*: another word of the same kind that would do as well for a head without the habit. The habit holds if the target gets more weight than the control. How often does it hold, and is that more than chance? A habit that fails the test is a result, too.
"""
STARTER = """
search = []  # (sentence, word that looks, target, control)
examples = []  # {n} of the same kind, none of them searched
layer, head = ..., ...  # counted from 0
held = ...
beyond_chance = ...  # True or False
"""
HINT = "By tossing a coin one gets {{needed}} or more of {{n}} right in {{chance}} of 100 trials. The best of 72 heads on the sentences it was chosen by is better than that without any habit. And if a target always stands nearest, you have found a head that looks at what is near: let target and control change places."
TRIAL = """
texts = [{text for text, *_ in cases} for cases in (examples, search)]
check("different sentences", len(texts[0]), TOTAL)
check("of which searched, too", len(texts[0] & texts[1]), 0)
minilm = models.load_pretrained("all-MiniLM-L6-v2")
recount = 0
for text, looks, *names in examples:
    tokens, w = minilm.attention_of(text)
    target, control = (w[layer, head, tokens.index(looks), tokens.index(n)] for n in names)
    recount += int(target > control)
check("how often it holds, counted again", held, recount)
tosses = np.random.default_rng(0).binomial(TOTAL, 0.5, size=200_000)
by_luck = (tosses >= held).mean()
check("beyond chance, by 200 000 coins", beyond_chance, by_luck < 0.05)
"""
EXPLANATION = """
One habit that is there: the fourth head of the second layer looks from *he* or *she* to the person whom the pronoun fits. Each sentence comes twice, with *she* and with *he*, so that target and control change places, and neither distance nor order can explain the outcome. The head found on the searched sentences is then tested on others, which makes {{needed}} of {{n}} a fair bound; without that, the best of 72 heads would pass by luck rather often.

To grade by hand, besides the checks: is the habit named beforehand and in words (1 point); is the control as good a candidate as the target, by kind and by place (2); does the conclusion claim no more than was counted, and call a weight a weight, not a reason (1)?
"""

# -- the solution --------------------------------------------------------------------------------

PAIRS = """
def pairs(*templates):
    found = []
    for text, woman, man in templates:
        found.append((text.format("she"), "she", woman, man))
        found.append((text.format("he"), "he", man, woman))
    return found
"""
TO_SEARCH = """
search = pairs(
    ("The widow greeted the priest while {} was singing.", "widow", "priest"),
    ("The daughter left the husband because {} was angry.", "daughter", "husband"),
    ("The queen asked the soldier what {} wanted.", "queen", "soldier"),
    ("The princess met the grandfather before {} sailed.", "princess", "grandfather"),
)
"""
SENTENCES = (
    ("The woman called the boy because {} was worried.", "woman", "boy"),
    ("The queen met the king before {} left the city.", "queen", "king"),
    ("My aunt visited my father when {} was ill.", "aunt", "father"),
    ("The actress thanked the waiter because {} was kind.", "actress", "waiter"),
    ("The girl wrote to her uncle after {} had moved.", "girl", "uncle"),
    ("The sister saw the man while {} was dancing.", "sister", "man"),
    ("The nurse loved the prince although {} was poor.", "nurse", "prince"),
    ("The mother sang to her son until {} slept.", "mother", "son"),
    ("The lady paid the monk because {} was honest.", "lady", "monk"),
    ("The bride kissed the groom before {} cried.", "bride", "groom"),
    ("The duchess warned the knight because {} was careless.", "duchess", "knight"),
    ("The wife followed the gentleman until {} was tired.", "wife", "gentleman"),
)
COUNT = """
minilm = models.load_pretrained("all-MiniLM-L6-v2")

def holds(sentence, word, target, control):
    tokens, weights = minilm.attention_of(sentence)
    i, j, c = (tokens.index(name) for name in (word, target, control))
    return weights[:, :, i, j] > weights[:, :, i, c]  # layers, heads

def count(cases):
    return sum(np.asarray(holds(*case), dtype=int) for case in cases)
"""
CONCLUDE = """
layer, head = divmod(int(count(search).argmax()), 12)
held = int(count(examples)[layer, head])
beyond_chance = held >= NEEDED
"""


def exercise(n: int = 20) -> Exercise:
    """Return the exercise with `n` sentences, an even number of 24 at most."""
    needed = bound(n)
    to_test = f"examples = pairs(\n{_listed(SENTENCES[: n // 2])})\n"
    conclude = CONCLUDE.replace("NEEDED", str(needed))
    parts = (PAIRS, TO_SEARCH, to_test, COUNT, conclude)
    return Exercise(
        id="attention-find-a-head",
        title="A head with a habit",
        kind="open",
        difficulty=3,
        minutes=60,
        points=6,
        question=QUESTION,
        starter=STARTER.format(n=n),
        hint=HINT,
        solution="\n\n".join(part.strip() for part in parts),
        explanation=EXPLANATION,
        values={"n": n, "needed": needed, "chance": f"{100 * by_chance(n, needed):.0f}"},
        visible=(Check(examples_are_in_order, {"n": n}), Check(search_and_test_are_apart)),
        hidden=(Check(count_is_right), Check(conclusion_follows, {"n": n, "needed": needed})),
        wrong_answers=_wrong_answers(n, to_test, conclude),
        words=True,
        by_hand=4,
        trial=TRIAL.replace("TOTAL", str(n)),
    )


def _listed(sentences: tuple[tuple[str, str, str], ...]) -> str:
    rows = ("    (" + ", ".join(f'"{part}"' for part in row) + "),\n" for row in sentences)
    return "".join(rows)


def _wrong_answers(n: int, to_test: str, conclude: str) -> dict[str, str]:
    return {
        "tested on the sentences it was chosen by": f"""
{PAIRS}{to_test}
search = examples
{COUNT}{conclude}""",
        "one sentence many times": f"""
{PAIRS}{TO_SEARCH}
examples = {n} * [("The queen met the king before she left.", "she", "queen", "king")]
{COUNT}{conclude}""",
        "counted on the sentences it was chosen by": f"""
{PAIRS}{TO_SEARCH}{to_test}{COUNT}{conclude}
held = int(count(search)[layer, head])
beyond_chance = held >= {bound(n)}""",
        "a claim that the count does not bear out": f"""
{PAIRS}{TO_SEARCH}{to_test}{COUNT}
layer, head = divmod(int(count(examples).argmin()), 12)
held, beyond_chance = int(count(examples)[layer, head]), True""",
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw how many sentences are asked for."""
    return {"n": rng.choice((14, 16, 18, 22, 24))}


def bound(n: int) -> int:
    """Return the smallest count that a coin reaches in fewer than 5 of 100 trials."""
    return next(k for k in range(n) if by_chance(n, k) < 0.05)


# -- checks --------------------------------------------------------------------------------------


def by_chance(n, needed):
    """Return how likely a coin shows heads `needed` times or more of `n`."""
    return sum(math.comb(n, k) for k in range(needed, n + 1)) / 2**n


def examples_are_in_order(examples, *, n):
    """Check that sentences differ and hold their three words."""
    sentences = {case[0] for case in examples}
    assert len(sentences) == len(examples) == n, (
        f"examples should hold {n} different sentences; there are {len(sentences)}"
    )
    tokenizer = models.load_pretrained("all-MiniLM-L6-v2").tokenizer
    for sentence, *words in examples:
        tokens = tokenizer.tokenize(sentence)
        assert len(set(words)) == 3, f"Word, target and control must differ, got {words}"
        for word in words:
            assert tokens.count(word) == 1, f"{word!r} must be one token, once, in: {sentence}"


def search_and_test_are_apart(search, examples):
    """Check that no sentence serves twice."""
    both = {case[0] for case in search} & {case[0] for case in examples}
    assert search, "search should hold the sentences by which you chose the head"
    assert not both, f"Choose the head and test it on different sentences; in both: {min(both)}"


def count_is_right(examples, layer, head, held):
    """Count again how often the habit holds."""
    minilm = models.load_pretrained("all-MiniLM-L6-v2")
    assert examples, "examples should hold the sentences on which the head was tested"
    layer, head = int(layer), int(head)
    assert layer in range(6), f"MiniLM's layers are counted from 0 to 5, got {layer}"
    assert head in range(12), f"MiniLM's heads are counted from 0 to 11, got {head}"
    found = 0
    for sentence, *words in examples:
        tokens, weights = minilm.attention_of(sentence)
        i, j, c = (tokens.index(word) for word in words)
        found += bool(weights[layer, head, i, j] > weights[layer, head, i, c])
    assert held == found, (
        f"Counted again, the target of layer {layer}, head {head} (from 0) gets more weight than "
        f"the control {found} times, not {held}"
    )


def conclusion_follows(held, beyond_chance, *, n, needed):
    """Compare the conclusion with the bound of the sign test."""
    chance = by_chance(n, needed)
    assert beyond_chance == (held >= needed), (
        f"{held} of {n} does not support beyond_chance = {beyond_chance}: a coin reaches "
        f"{needed} or more in {100 * chance:.0f} of 100 trials, and fewer are no surprise"
    )
