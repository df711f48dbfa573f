"""Softmax where the exponentials are whole numbers, and once more with doubled scores."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from functools import cache
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A query meets three keys with scaled scores ${{scores}}$. The values are ${{values}}$. Find the weights and the answer, as fractions.

Now somebody forgets the scale of a head of width 4, which doubles every score. Find both again. Where did the answer move, and why?
"""
STARTER = """
weights = [..., ..., ...]  # Fraction(1, 3) will do
answer = ...
weights_doubled = [..., ..., ...]
answer_doubled = ...
"""
HINT = r"$e^{\ln a} = a$. And what is $e^{2 \ln a}$?"
EXPLANATION = r"""
The exponentials are ${{parts}}$, together {{total}}. The weights are ${{weights}}$, and the answer is ${{answer}}$.

Doubling a score squares its exponential: ${{squares}}$, together {{total_doubled}}. The weights are ${{weights_doubled}}$, the answer is ${{answer_doubled}}$. The largest weight grew from {{largest}} to {{largest_doubled}}, and pulled the answer towards its own value, {{pulls}}. Softmax turns *differences* of scores into *ratios* of weights, so a larger scale is a harder choice.
"""


def exercise(parts: tuple[int, ...] = (1, 2, 5), values: tuple[int, ...] = (6, 11, 4)) -> Exercise:
    """Return the exercise in which `parts` are the exponentials of the scores."""
    squares = tuple(p * p for p in parts)
    right = {
        "weights": _weights(parts),
        "answer": _mean(parts, values),
        "weights_doubled": _weights(squares),
        "answer_doubled": _mean(squares, values),
    }
    numbers = {
        name: [float(w) for w in found] if isinstance(found, list) else float(found)
        for name, found in right.items()
    }
    return Exercise(
        id="attention-softmax-by-hand",
        title="A softmax without a calculator",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution="\n".join(f"{name} = {found!r}" for name, found in right.items()),
        explanation=EXPLANATION,
        values=_texts(parts, squares, values),
        visible=(Check(weights_are_weights, {"n": len(parts)}),),
        hidden=(Check(weights_and_answers, {"right": numbers}),),
        wrong_answers=_wrong_answers(parts, values, numbers),
        public_solution=True,
        words=True,
    )


def _weights(parts: tuple[int, ...]) -> list[Fraction]:
    return [Fraction(p, sum(parts)) for p in parts]


def _mean(parts: tuple[int, ...], values: tuple[int, ...]) -> Fraction:
    return Fraction(sum(p * v for p, v in zip(parts, values, strict=True)), sum(parts))


def _texts(
    parts: tuple[int, ...], squares: tuple[int, ...], values: tuple[int, ...]
) -> dict[str, Any]:
    def row(numbers: tuple[int, ...], form: str) -> str:
        return ", ".join(form % n for n in numbers)

    total, total_doubled = sum(parts), sum(squares)
    return {
        "scores": row(parts, r"\ln %d"),
        "values": row(values, "%d"),
        "parts": row(parts, "%d"),
        "total": total,
        "weights": row(parts, rf"\tfrac{{%d}}{{{total}}}"),
        "answer": _mean(parts, values),
        "squares": row(squares, "%d"),
        "total_doubled": total_doubled,
        "weights_doubled": row(squares, rf"\tfrac{{%d}}{{{total_doubled}}}"),
        "answer_doubled": _mean(squares, values),
        "largest": f"{max(parts) / total:.3f}",
        "largest_doubled": f"{max(squares) / total_doubled:.3f}",
        "pulls": values[parts.index(max(parts))],
    }


def _wrong_answers(
    parts: tuple[int, ...], values: tuple[int, ...], right: dict[str, Any]
) -> dict[str, str]:
    return {
        "weights in proportion to the scores": f"""
            logs = np.log({parts})
            weights = logs / logs.sum()
            weights_doubled = weights
            answer = answer_doubled = weights @ np.array({values})
            """,
        "doubled scores leave the weights alone": f"""
            weights = weights_doubled = {right["weights"]}
            answer = answer_doubled = {right["answer"]}
            """,
        "the answer not weighted": f"""
            weights = {right["weights"]}
            weights_doubled = {right["weights_doubled"]}
            answer = answer_doubled = {sum(values) / len(values)}
            """,
    }


# -- variants ------------------------------------------------------------------------------------


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw parts and values for which both answers are whole numbers."""
    parts, values = rng.choice(friendly())
    order = rng.sample(range(len(parts)), len(parts))
    return {"parts": tuple(parts[i] for i in order), "values": tuple(values[i] for i in order)}


@cache
def friendly() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """List what gives whole answers that differ from one another and from the plain mean."""
    found = []
    for parts in itertools.combinations(range(1, 6), 3):
        squares = tuple(p * p for p in parts)
        for values in itertools.permutations(range(1, 13), 3):
            one, two = _mean(parts, values), _mean(squares, values)
            whole = one.denominator == two.denominator == 1
            if whole and len({one, two, Fraction(sum(values), 3)}) == 3:
                found.append((parts, values))
    return found


# -- checks --------------------------------------------------------------------------------------


def weights_are_weights(weights, weights_doubled, *, n):
    """Check that both lists are positive and sum to 1."""
    for name, given in (("weights", weights), ("weights_doubled", weights_doubled)):
        given = array(given).ravel()
        assert len(given) == n, f"{name} should hold {n} numbers, one for each key"
        assert min(given) > 0, f"{name}: softmax gives every key a weight above 0"
        assert abs(sum(given) - 1) < 2e-3, f"{name} should sum to 1, but sum to {sum(given):.3f}"


def weights_and_answers(weights, answer, weights_doubled, answer_doubled, *, right):
    """Check all four results."""
    assert close(weights, right["weights"], "weights"), (
        "weights is not right: exponentiate the scores, then divide by their sum"
    )
    assert close(answer, right["answer"], "answer"), (
        "answer is not right: it is the mean of the values, weighted with the weights"
    )
    assert close(weights_doubled, right["weights_doubled"], "weights_doubled"), (
        "weights_doubled is not right: exponentiate twice the scores; what does that do to each "
        "exponential?"
    )
    assert close(answer_doubled, right["answer_doubled"], "answer_doubled"), (
        "answer_doubled is not right: it is the mean of the values, weighted with the new weights"
    )
