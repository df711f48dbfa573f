"""How often several answers contain a right one, and how often their vote is right."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
A model has answered each of several questions n times. `answers` holds a list of n texts for each question, and `right` the right answer to each. Suppose that k of the n answers to a question are drawn, without putting any of them back. Write `pass_and_vote(answers, right, k)`, which returns two numbers, each exact and a mean over the questions: the probability that at least one of the k is right (pass@k), and the probability that their *majority vote*, the answer that occurs most often among the k, is right. TIES (There are at most 8 answers to a question, so you can go through all ways to draw k of them.)
"""
# What takes the place of TIES in the question, and of TIED in the solution.
TIES = {
    "shared": "If several answers occur equally often, and more often than all others, one of them is chosen at random.",
    "lost": "If several answers occur equally often, and more often than all others, the vote is undecided, and counts as wrong.",
}
TIED = {
    "shared": "top.count(wanted) / len(top)  # 1, or a share of a tie",
    "lost": "float(set(top) == {wanted})",
}
STARTER = '''
def pass_and_vote(answers, right, k):
    """lists of texts, their right answers, a number -> two numbers"""
    ...
'''
TWISTS = {
    "counts": Twist(
        "In place of a list of n texts, `answers` holds a dictionary for each question: from an answer to how often it was given.",
        {
            "pass_and_vote": (
                "answers = [[a for a, m in given.items() for _ in range(m)] for given in answers]",
                "",
            )
        },
        {"lists of texts": "dictionaries of counts"},
    ),
    "gain": Twist(
        "As a second result, return by how much the vote of k is better than a single answer: its probability of being right minus that of one answer.",
        {
            "pass_and_vote": (
                "",
                """
                ones = np.array([a.count(b) / len(a) for a, b in zip(answers, right)])
                one = ones if np.ndim(result[1]) else ones.mean()
                result = result[0], np.array(result[1]) - one
                """,
            )
        },
    ),
    "each": Twist(
        "Return two lists with a number for each question, in place of the two means.",
        {
            "pass_and_vote": (
                "",
                """
                each = [plain_pass_and_vote([a], [b], k) for a, b in zip(answers, right)]
                result = [x for x, _ in each], [x for _, x in each]
                """,
            )
        },
        {"-> two numbers": "-> two lists of numbers"},
    ),
}
HINT = "`math.comb(n, k)` says in how many ways k of n can be drawn. In how many of them is no right answer among the k? For the vote, `itertools.combinations` goes through all of these ways; answers with the same text are different answers there. Why would it not do to take the first k answers, or to raise the share of wrong answers to the power of k?"
SOLUTION = """
def pass_and_vote(answers, right, k):
    from itertools import combinations

    def vote(few, wanted):
        most = max(map(few.count, few))
        top = [a for a in few if few.count(a) == most]
        return TIED

    passed, voted = [], []
    for given, wanted in zip(answers, right):
        n, c = len(given), given.count(wanted)
        passed.append(1 - math.comb(n - c, k) / math.comb(n, k))
        votes = [vote(few, wanted) for few in combinations(given, k)]
        voted.append(np.mean(votes))
    return np.mean(passed), np.mean(voted)
"""
EXPLANATION = r"""
Of the $\binom{n}{k}$ ways to draw k answers, $\binom{n - c}{k}$ contain none of the c right ones, so pass@k is $1 - \binom{n-c}{k} / \binom{n}{k}$. This is unbiased: its mean over many runs is the probability that k *new* answers contain a right one, because each choice of k from the n answers is itself a sample of k new answers. With $1 - (1 - c/n)^k$ the result is too low on average for k above 1: the mean of a power of an estimate is not the power of its mean. The first k answers alone would be unbiased as well, but much noisier. The vote is averaged in the same way. Pass@k never falls as k grows, and it assumes that somebody recognises a right answer. The vote needs no one who does, but with many answers it ends at the most probable one: it helps where this is the right answer, and it makes things worse where a wrong answer is more probable.
"""
TRIAL = """
answers = [list("aabcdd"), list("bbbbac"), list("cacbba")]
right = ["a", "b", "b"]
for k in (1, 3, 4):
    found = pass_and_vote(answers, right, k)
    rng, passed, voted = np.random.default_rng(k), [], []
    for _ in range(6000):
        i = rng.integers(3)
        few = rng.choice(answers[i], k, replace=False).tolist()
        passed.append(right[i] in few)
        most = max(map(few.count, few))
        top = [a for a in set(few) if few.count(a) == most]
        voted.append((right[i] in top) / len(top))
    check(f"one of {k}, by drawing", found[0], np.mean(passed), 0.02)
    check(f"the vote of {k}, by drawing", found[1], np.mean(voted), 0.02)
"""


def exercise(ties: str = "shared", seed: int = 0, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise; a tie is decided at random, or lost."""
    given = {"ties": ties, "seed": seed, "twists": twists}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        code = wrapped(code, {"pass_and_vote": "answers, right, k"}, twisted)
        return code.replace("TIED", TIED[ties])

    return Exercise(
        id="alignment-pass-and-vote",
        title="One of several, or what most of them say",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(QUESTION.replace("TIES", TIES[ties]), twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(Check(sure_cases_are_right, given),),
        hidden=(Check(passes_are_right, given), Check(votes_are_right, given)),
        wrong_answers={why: filled(code) for why, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists or ties != "shared" else TRIAL,
    )


WRONG_ANSWERS = {
    "answers are put back": SOLUTION.replace(
        "1 - math.comb(n - c, k) / math.comb(n, k)", "1 - (1 - c / n) ** k"
    ),
    "the first k answers": SOLUTION.replace(
        "zip(answers, right):", "zip([given[:k] for given in answers], right):"
    ),
    "all k are right": SOLUTION.replace(
        "1 - math.comb(n - c, k) / math.comb(n, k)", "math.comb(c, k) / math.comb(n, k)"
    ),
    "the vote of all answers": SOLUTION.replace("combinations(given, k)", "[given]"),
    "more than half must be right": SOLUTION.replace("TIED", "float(2 * few.count(wanted) > k)"),
    "the first of those that are tied": SOLUTION.replace("TIED", "float(top[0] == wanted)"),
    "a tie is won": SOLUTION.replace("TIED", "float(wanted in top)"),
    "different texts count once": SOLUTION.replace(
        "combinations(given, k)]", "combinations(sorted(set(given)), min(k, len(set(given))))]"
    ),
}


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw what a tie means, answers, and twists."""
    chosen = drawn(rng, ("lost", *TWISTS))
    return {
        "ties": "lost" if "lost" in chosen else "shared",
        "seed": rng.randrange(10_000),
        "twists": tuple(name for name in TWISTS if name in chosen),
    }


# -- checks --------------------------------------------------------------------------------------


def some_given(seed):
    """Draw answers to four questions, right answers, and a number of answers."""
    rng = np.random.default_rng(seed)
    answers = []
    for n in rng.integers(5, 9, 4).tolist():
        shares = rng.dirichlet([1.5, 1.0, 0.7, 0.5])
        answers.append([str(a) for a in rng.choice(list("4719"), n, p=shares)])
    right = [str(a) for a in rng.choice(list("47"), 4)]
    return answers, right, 3 + seed % 3


def probabilities(given, wanted, k, ties):
    """Return both probabilities of a question, going through all ways to draw places."""
    some, votes, ways = 0, 0.0, 0
    for places in combinations(range(len(given)), k):
        few = [given[i] for i in places]
        often = {a: sum(b == a for b in few) for a in few}
        best = [a for a, number in often.items() if number == max(often.values())]
        ways += 1
        some += wanted in often
        if wanted in best:
            votes += 1 / len(best) if ties == "shared" else float(len(best) == 1)
    return some / ways, votes / ways


def wanted_of(answers, right, k, ties, twists):
    """Return what is asked for: two numbers, or two lists of them."""
    pairs = list(zip(answers, right, strict=True))
    each = np.array([probabilities(given, wanted, k, ties) for given, wanted in pairs])
    one = np.array([sum(a == wanted for a in given) / len(given) for given, wanted in pairs])
    if "gain" in twists:
        each[:, 1] -= one
    return each.T if "each" in twists else each.mean(axis=0)


def results_for(pass_and_vote, answers, right, k, twists):
    """Return both results of an answer."""
    told = [list(given) for given in answers]
    if "counts" in twists:
        told = [{a: given.count(a) for a in sorted(set(given))} for given in answers]
    found = parts(pass_and_vote(told, list(right), k), 2)
    return [array(part) for part in found]


def sure_cases_are_right(pass_and_vote, *, ties, seed, twists):
    """Check questions that are always answered rightly, or never, and a single answer."""
    answers, right = [list("777777"), list("11911")], ["7", "4"]
    found = results_for(pass_and_vote, answers, right, 2, twists)
    wanted = wanted_of(answers, right, 2, ties, twists)
    for name, value, number in zip(("first", "second"), found, wanted, strict=True):
        assert close(value, number, f"The {name} result"), (
            f"If all answers to one question are right, and none to the other one, the {name} "
            "result is known, whatever is drawn; it is not right"
        )


def passes_are_right(pass_and_vote, *, ties, seed, twists):
    """Compare how often one of k is right with a count of all ways."""
    for each in range(seed, seed + 6):
        some = some_given(each)
        found, _ = results_for(pass_and_vote, *some, twists)
        assert close(found, wanted_of(*some, ties, twists)[0], "The first result"), (
            "The first result is not right: among all ways to draw so many of the answers, without "
            "putting any back, what share contains a right one?"
        )


def votes_are_right(pass_and_vote, *, ties, seed, twists):
    """Compare how often a vote is right with a count of all ways."""
    few = [list("7741941"), list("74412196")], ["7", "4"], 4  # most, and fewer than half
    for some in (few, *map(some_given, range(seed, seed + 6))):
        _, found = results_for(pass_and_vote, *some, twists)
        assert close(found, wanted_of(*some, ties, twists)[1], "The second result"), (
            "The second result is not right: which answer occurs most often among those that are "
            "drawn, and what if several do? Go through all ways to draw them"
        )
