"""Work out by hand what the simplest predictors reach in a language of three words."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A machine prints an endless text. Each sentence is *SENTENCE*: the first name is *Mia* with probability ${{p}}$ and *Ben* with probability ${{rest}}$, SECOND. The full stop is a token, so a sentence has {{n}} tokens and the language has {{n}} different ones. In nats a token, what is the loss of a model for which all tokens are alike, of the best unigram model, of the best bigram model, and the lowest that any model can reach? Write four digits after the point, or a formula.
"""
# What takes the place of SENTENCE, by whether there is one more word, and of SECOND.
SENTENCES = {False: "name, likes, name, full stop", True: "name, likes, name, too, full stop"}
SECONDS = {
    "same": "and the second name is the same again",
    "other": "and the second name is the other one",
    "free": "and the second name is drawn anew in the same way",
}
STARTER = """
uniform_loss = ...
unigram_loss = ...
bigram_loss = ...
lowest_loss = ...
"""
HINT = "For the unigram model, count how often each token occurs in a long text. For the bigram model, take one token after the other: what can follow it, how probable is that, and so how large is the entropy there? Multiply by the share of the token. For the last number, go through a sentence from left to right, with everything in mind that has been printed."
EXPLANATION = r"""
With {{n}} tokens, $h_0 = \ln {{n}} = {{h_0}}$. All tokens but the names have the share $1/{{n}}$; *Mia* has {{mia}} and *Ben* {{ben}}, so $h_1 = {{h_1}}$. Let $H = {{H}}$ be the entropy of a name, with the probabilities ${{p}}$ and ${{rest}}$. Both the full stop and *likes* are followed by a name, which costs $H$ each time. REASON The truth has the whole sentence in mind: FLOOR
"""
# What takes the place of REASON and of FLOOR.
REASONS = {
    "same": r"A bigram model that sees a name does not know whether it is the first or the second of its sentence. Each name is as often the one as the other, so this costs $\ln 2$. Together $h_2 = \tfrac{2}{{{n}}} H + \tfrac{2}{{{n}}} \ln 2 = {{h_2}}$.",
    "other": r"A bigram model that sees a name does not know whether it is the first or the second of its sentence. *Mia* is the first with probability ${{p}}$ and *Ben* with probability ${{rest}}$, so this costs $H$, too. Together $h_2 = \tfrac{4}{{{n}}} H = {{h_2}}$.",
}
REASONS["free"] = REASONS["same"]
FLOORS = {
    "same": r"only the first name is open, and $h = \tfrac{1}{{{n}}} H = {{h}}$. A bigram model lacks two things: it does not know where in the sentence it is, and it has forgotten the name.",
    "other": r"only the first name is open, and $h = \tfrac{1}{{{n}}} H = {{h}}$. A bigram model lacks two things: it does not know where in the sentence it is, and it has forgotten the name.",
    "free": r"two names are open, and $h = \tfrac{2}{{{n}}} H = {{h}}$. A bigram model lacks one thing: it does not know where in the sentence it is. To remember the name would not help.",
}


def exercise(p: tuple[int, int] = (3, 4), second: str = "same", longer: bool = False) -> Exercise:
    """Return the exercise; the first name is *Mia* with probability p[0] / p[1]."""
    share, n = Fraction(*p), 5 if longer else 4
    right = rungs(float(share), second, n)
    name = _entropy([float(share), float(1 - share)])
    mia = (share + _second_is_mia(share, second)) / n
    explanation = EXPLANATION.replace("REASON", REASONS[second]).replace("FLOOR", FLOORS[second])
    question = QUESTION.replace("SENTENCE", SENTENCES[longer])
    return Exercise(
        id="pretraining-ladder-by-hand",
        title="Four losses to compare with",
        kind="by hand",
        difficulty=1,
        minutes=15,
        points=4,
        question=question.replace("SECOND", SECONDS[second]),
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=explanation,
        values={
            "n": n,
            "p": f"{share}",
            "rest": f"{1 - share}",
            "mia": f"${mia}$",
            "ben": f"${Fraction(2, n) - mia}$",
            "H": f"{name:.4f}",
            "h_0": f"{right['uniform_loss']:.4f}",
            "h_1": f"{right['unigram_loss']:.4f}",
            "h_2": f"{right['bigram_loss']:.4f}",
            "h": f"{right['lowest_loss']:.4f}",
        },
        visible=(Check(each_loss_is_no_higher_than_the_one_before),),
        hidden=(Check(losses_are_right, {"right": right}),),
        wrong_answers={
            "the names alone are counted": _answer(right | {"unigram_loss": name}),
            "the bigram model knows where it is": _answer(right | {"bigram_loss": 2 * name / n}),
            "the entropies are not multiplied by shares": _answer(
                right | {"bigram_loss": right["bigram_loss"] * n / 2}
            ),
            "a sentence in place of a token": _answer(
                right | {"lowest_loss": n * right["lowest_loss"]}
            ),
            "in bits": _answer({name: value / math.log(2) for name, value in right.items()}),
        },
        public_solution=True,
    )


def rungs(p: float, second: str, n: int) -> dict[str, float]:
    """Return the four losses for sentences of n tokens."""
    mia, name = (p + _second_is_mia(p, second)) / n, _entropy([p, 1 - p])
    which = name if second == "other" else math.log(2)  # is a name the first or the second?
    return {
        "uniform_loss": math.log(n),
        "unigram_loss": _entropy([mia, 2 / n - mia] + (n - 2) * [1 / n]),
        "bigram_loss": 2 * name / n + 2 * which / n,
        "lowest_loss": (2 if second == "free" else 1) * name / n,
    }


def _second_is_mia(p: Any, second: str) -> Any:
    return 1 - p if second == "other" else p


def _entropy(p: list[float]) -> float:
    return -sum(q * math.log(q) for q in p)


def _answer(values: dict[str, float]) -> str:
    return "\n".join(f"{name} = {value:.6f}" for name, value in values.items())


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a probability, what the second name is, and the length of a sentence."""
    return {
        "p": rng.choice([(2, 3), (3, 5), (4, 5), (5, 6), (9, 10), (1, 3), (1, 5)]),
        "second": rng.choice(sorted(SECONDS)),
        "longer": rng.random() < 0.5,
    }


# -- checks --------------------------------------------------------------------------------------


def each_loss_is_no_higher_than_the_one_before(
    uniform_loss, unigram_loss, bigram_loss, lowest_loss
):
    """Check the order: who sees more cannot do worse."""
    found = [array(loss).item() for loss in (uniform_loss, unigram_loss, bigram_loss, lowest_loss)]
    assert found == sorted(found, reverse=True), (
        f"Each of these predictors sees more than the one before, so none can do worse; got {found}"
    )
    assert found[-1] > 0, f"Nobody knows the next name in advance, so no loss is 0; got {found[-1]}"


def losses_are_right(uniform_loss, unigram_loss, bigram_loss, lowest_loss, *, right):
    """Check all four losses."""
    assert close(uniform_loss, right["uniform_loss"], "uniform_loss"), (
        "uniform_loss is not right: how many different tokens are there, and which logarithm is in nats?"
    )
    assert close(unigram_loss, right["unigram_loss"], "unigram_loss"), (
        "unigram_loss is not right: take the entropy of the shares of all tokens in a long text"
    )
    assert close(bigram_loss, right["bigram_loss"], "bigram_loss"), (
        "bigram_loss is not right: what can follow a name, if nothing but the name is known? "
        "And each entropy is multiplied by the share of the token before"
    )
    assert close(lowest_loss, right["lowest_loss"], "lowest_loss"), (
        "lowest_loss is not right: how much is open in a sentence, divided by all of its tokens?"
    )
