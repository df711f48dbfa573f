"""Entropy, cross-entropy and KL where every code length is whole."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from functools import cache
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = r"""
A lighthouse reports *clear, haze, fog* and *storm* with the probabilities ${{sent}}$. Its code was made for ${{believed}}$. In bits a report: how short could it be, how long is it, how much is wasted? And how much with truth and belief exchanged?
"""
WITH_RAIN = r"""
A lighthouse reports *clear, haze, fog, rain* and *storm* with the probabilities ${{sent}}$. Its code was made for ${{believed}}$. In bits a report: how short could it be, how long is it, how much is wasted? And how much with truth and belief exchanged?
"""
STARTER = """
shortest = ...
as_sent = ...
wasted = ...
wasted_exchanged = ...
"""
HINT = r"The code for $2^{-k}$ has $k$ bits; the truth says how often they are paid."
EXPLANATION = r"""
By its own lengths, ${{own_lengths}}$, a report takes {{shortest}} bits in the mean, the entropy. The code has the lengths ${{lengths}}$ and takes {{as_sent}} bits, the cross-entropy. The difference, {{wasted}} bits, is the KL divergence of truth from belief.

Exchanged, it is {{wasted_exchanged}} bits. KL is no distance: what a mistake costs depends on how often it is *made use of*, and that is for the truth to say.
"""
# Lengths of codes for five reports, in which no shorter code word is left.
LENGTHS = ((1, 2, 3, 4, 4), (2, 2, 2, 3, 3), (1, 3, 3, 3, 3))


def exercise(
    sent: tuple[int, ...] = (1, 2, 3, 3), believed: tuple[int, ...] = (3, 1, 2, 3)
) -> Exercise:
    """Return the exercise for probabilities of 2 to the minus these."""
    right = {
        "shortest": _mean(sent, sent),
        "as_sent": _mean(sent, believed),
        "wasted": _mean(sent, believed) - _mean(sent, sent),
        "wasted_exchanged": _mean(believed, sent) - _mean(believed, believed),
    }
    numbers = {name: float(value) for name, value in right.items()}
    return Exercise(
        id="losses-code-by-hand",
        title="A code for the wrong coast",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=3,
        question=QUESTION if len(sent) == 4 else WITH_RAIN,
        starter=STARTER,
        hint=HINT,
        solution="\n".join(f"{name} = {value!r}" for name, value in right.items()),
        explanation=EXPLANATION,
        values={
            **{name: f"{value:g}" for name, value in numbers.items()},
            "sent": _probabilities(sent),
            "believed": _probabilities(believed),
            "own_lengths": ", ".join(map(str, sent)),
            "lengths": ", ".join(map(str, believed)),
        },
        visible=(Check(bits_make_sense),),
        hidden=(Check(bits_are_right, {"right": numbers}),),
        wrong_answers=_wrong_answers(sent, believed, numbers),
        words=True,
        public_solution=True,
    )


def _probabilities(lengths: tuple[int, ...]) -> str:
    return ", ".join(rf"\tfrac{{1}}{{{2**n}}}" for n in lengths)


def _mean(sent: tuple[int, ...], lengths: tuple[int, ...]) -> Fraction:
    return sum((Fraction(n, 2**k) for k, n in zip(sent, lengths, strict=True)), start=Fraction(0))


def _wrong_answers(
    sent: tuple[int, ...], believed: tuple[int, ...], right: dict[str, float]
) -> dict[str, str]:
    return {
        "divergence taken for a distance": f"""
            shortest, as_sent = {right["shortest"]}, {right["as_sent"]}
            wasted = wasted_exchanged = {right["wasted"]}
            """,
        "belief and truth confused": f"""
            shortest, as_sent = {right["shortest"]}, {float(_mean(believed, sent))}
            wasted, wasted_exchanged = {right["wasted_exchanged"]}, {right["wasted"]}
            """,
        "lengths not weighted": f"""
            shortest, as_sent = {sum(sent) / len(sent)}, {sum(believed) / len(sent) + 0.5}
            wasted = wasted_exchanged = 0.5
            """,
        "nats for bits": f"""
            shortest, as_sent = {right["shortest"]} * math.log(2), {right["as_sent"]} * math.log(2)
            wasted = {right["wasted"]} * math.log(2)
            wasted_exchanged = {right["wasted_exchanged"]} * math.log(2)
            """,
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the lengths of two codes between which KL differs by direction."""
    sent, believed = rng.choice(_lopsided())
    return {"sent": sent, "believed": believed}


@cache
def _lopsided() -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    orders = sorted({order for each in LENGTHS for order in itertools.permutations(each)})
    return [(a, b) for a, b in itertools.permutations(orders, 2) if _wasted(a, b) != _wasted(b, a)]


def _wasted(sent: tuple[int, ...], lengths: tuple[int, ...]) -> Fraction:
    return _mean(sent, lengths) - _mean(sent, sent)


# -- checks --------------------------------------------------------------------------------------


def bits_make_sense(shortest, as_sent, wasted, wasted_exchanged):
    """Check that nothing is shorter than the shortest, and that the waste is what is left."""
    assert 0 < shortest <= as_sent, "shortest should be above 0 and at most as_sent"
    assert abs(float(as_sent) - float(shortest) - float(wasted)) < 2e-3, (
        "wasted should be as_sent minus shortest"
    )
    assert wasted_exchanged >= 0, "wasted_exchanged should be 0 or more, as every waste is"


def bits_are_right(shortest, as_sent, wasted, wasted_exchanged, *, right):
    """Check all four numbers."""
    given = {
        "shortest": shortest,
        "as_sent": as_sent,
        "wasted": wasted,
        "wasted_exchanged": wasted_exchanged,
    }
    for name, value in given.items():
        assert close(value, right[name], name), (
            f"{name} is not right: lengths come from the belief, and how often they are paid from "
            "the truth; in bits"
        )
