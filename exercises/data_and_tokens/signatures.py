"""How exactly a MinHash signature measures the similarity of two texts."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = """
What is the Jaccard similarity of the two texts in the code, by their pieces of {{k}} characters? Signatures estimate it. Measure the standard deviation of the estimate over a few hundred seeds, for each of the lengths given. What must happen to the length for the deviation to halve? How many hashes are enough for a deviation of {{wanted}}?
"""
STARTER = """
first_text = "{first}"
second_text = "{second}"
signature_lengths = {lengths}

similarity = ...
deviation = {{n: ... for n in signature_lengths}}
hashes_enough = ...  # the smallest number
"""
HINT = "`data.estimate_jaccard` of two signatures by `data.minhash(pieces, n, seed)`. Each entry is equal or not, with the similarity as its probability: what is the variance of such a coin, and of a mean of $n$ of them?"
SOLUTION = """
pieces = [data.shingles(text, K) for text in (first_text, second_text)]
similarity = data.jaccard(*pieces)

def estimates(n, repeats=300):
    signatures = ([data.minhash(p, n, seed) for p in pieces] for seed in range(repeats))
    return [data.estimate_jaccard(*both) for both in signatures]

deviation = {n: np.std(estimates(n)) for n in signature_lengths}
hashes_enough = math.ceil(similarity * (1 - similarity) / WANTED**2)
"""
TRIAL = """
both = (first_text, second_text)
cut = [set(zip(*(text[i:] for i in range(LENGTH)))) for text in both]
in_both = sum(piece in cut[1] for piece in cut[0])
check("similarity, counted", similarity, in_both / (len(cut[0]) + len(cut[1]) - in_both))
rng = np.random.default_rng(0)
for n, found in deviation.items():  # coins in place of hashes
    coins = rng.binomial(n, similarity, size=20_000) / n
    check(f"deviation of {n} hashes, by coins", found, coins.std(), 0.25 * coins.std())
coins = rng.binomial(hashes_enough, similarity, size=500_000) / hashes_enough
check("deviation of hashes_enough, by coins", coins.std(), WANTED, 0.01 * WANTED)
"""
EXPLANATION = r"""
The two texts have {{common}} of {{union}} pieces in common, so $s = {{similarity}}$. An entry of the signatures is a coin that shows *equal* with probability $s$. Its variance is $s(1-s)$, that of a mean of $n$ is $s(1-s)/n$, and the deviation $\sqrt{s(1-s)/n}$: four times the length for half of it. From $\sqrt{s(1-s)/n} \le {{wanted}}$ follows $n \ge {{enough}}$. So a signature is good at telling 0.9 from 0.5, which is what duplicates ask for, and a poor measure of the third digit.

To grade by hand, besides the checks: is it said that the length must grow fourfold (1 point)?
"""
FIRST = (
    "the old bridge over the river is closed until the end of april",
    "your parcel could not be delivered, please call us today",
    "two eggs, a cup of flour and some milk make the best pancakes",
    "the night train to the coast leaves at ten from platform four",
)
CHANGES = (
    {"closed": "open", "april": "march"},
    {"parcel": "letter", "today": "tomorrow"},
    {"cup": "pound", "best": "worst"},
    {"coast": "north", "ten": "nine"},
)


def exercise(
    which: int = 0, k: int = 4, lengths: tuple[int, ...] = (16, 64, 256), wanted: float = 0.02
) -> Exercise:
    """Return the exercise about a text, changed in two words."""
    first = FIRST[which]
    second = " ".join(CHANGES[which].get(word, word) for word in first.split())
    pieces = [{text[i : i + k] for i in range(len(text) - k + 1)} for text in (first, second)]
    common, union = len(pieces[0] & pieces[1]), len(pieces[0] | pieces[1])
    share = common / union
    enough = math.ceil(share * (1 - share) / wanted**2)
    given = {"first": first, "second": second, "k": k}
    measured = {"lengths": lengths, "share": share}
    solution = SOLUTION.replace("K)", f"{k})").replace("WANTED", str(wanted))
    starter = STARTER.format(first=first, second=second, lengths=list(lengths))
    texts = starter[: starter.index("similarity")]
    return Exercise(
        id="data-and-tokens-signatures",
        title="How exact is a signature?",
        kind="measure",
        difficulty=3,
        minutes=25,
        points=5,
        question=QUESTION,
        starter=starter,
        hint=HINT,
        solution=texts + solution,
        explanation=EXPLANATION,
        values={
            "k": str(k),
            "wanted": str(wanted),
            "common": str(common),
            "union": str(union),
            "similarity": f"{share:.3f}",
            "enough": str(enough),
        },
        visible=(Check(deviations_fall, {"lengths": lengths}),),
        hidden=(
            Check(similarity_is_exact, given),
            Check(deviations_are_those_of_a_coin, measured),
            Check(enough_is_enough, {"enough": enough}),
        ),
        wrong_answers=_wrong_answers(texts, solution),
        words=True,
        by_hand=1,
        trial=TRIAL.replace("LENGTH", str(k)).replace("WANTED", str(wanted)),
    )


def _wrong_answers(texts: str, solution: str) -> dict[str, str]:
    def instead(old: str, new: str) -> str:
        assert old in solution
        return texts + solution.replace(old, new)

    smaller = "similarity = len(pieces[0] & pieces[1]) / min(map(len, pieces))"
    return {
        "divided by the smaller set": instead("similarity = data.jaccard(*pieces)", smaller),
        "the variance taken for the deviation": instead("np.std(", "np.var("),
        "one over the root of n": instead("np.std(estimates(n))", "1 / math.sqrt(n)"),
        "not squared": instead("**2)", ")"),
        "pieces of another length": instead("data.shingles(text,", "data.shingles(text, 1 +"),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a text, the length of its pieces, and how exact is exact enough."""
    return {
        "which": rng.randrange(1, len(FIRST)),
        "k": rng.choice((3, 4, 5)),
        "lengths": rng.choice(((16, 64, 256), (20, 80, 320), (25, 100, 400))),
        "wanted": rng.choice((0.01, 0.02, 0.025)),
    }


# -- checks --------------------------------------------------------------------------------------


def deviations_fall(similarity, deviation, hashes_enough, *, lengths):
    """Check that there is a deviation for each length, and that they become smaller."""
    assert 0 < similarity < 1, f"similarity should lie between 0 and 1, got {float(similarity):g}"
    assert set(deviation) == set(lengths), f"deviation should have a number for each of {lengths}"
    ordered = [float(deviation[n]) for n in sorted(lengths)]
    assert all(b < a for a, b in itertools.pairwise(ordered)), (
        "longer signatures should scatter less: take the standard deviation over more seeds"
    )
    assert hashes_enough == int(hashes_enough), "hashes_enough should be a whole number"


def similarity_is_exact(similarity, *, first, second, k):
    """Count the pieces of both texts."""
    sets = [{text[i : i + k] for i in range(len(text) - k + 1)} for text in (first, second)]
    right = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert close(similarity, right, "similarity"), (
        f"similarity is not right: how many different pieces of {k} characters do the texts have "
        "in common, and how many together?"
    )


def deviations_are_those_of_a_coin(deviation, *, lengths, share):
    """Compare with what a coin would scatter."""
    for n in lengths:
        right = math.sqrt(share * (1 - share) / n)
        got = float(deviation[n])
        assert abs(got - right) < 0.25 * right, (
            f"For {n} hashes the estimate should scatter by about {right:.4f}, not {got:.4f}; take "
            "the standard deviation over some hundred seeds"
        )


def enough_is_enough(hashes_enough, *, enough):
    """Check the number of hashes."""
    assert abs(int(hashes_enough) - enough) <= 0.01 * enough + 1, (
        "hashes_enough is not right: at which n is the deviation of the mean just what is wanted?"
    )
