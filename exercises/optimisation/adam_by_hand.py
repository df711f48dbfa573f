"""Two steps of Adam by hand, for a weight and for one with gradients a thousand times smaller."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from functools import cache
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = r"""
A weight starts at $\theta_0 = {{start}}$ and meets the gradients $g_1 = {{g_1}}$ and $g_2 = {{g_2}}$. Where is it after one step of Adam and after two, with $\eta = {{eta}}$, $\beta_1 = \beta_2 = 0.5$ and $\epsilon = 0$? Where is another after two, with gradients a thousand times smaller? Last, with $\beta_1 = {{beta_1}}$ and $\beta_2 = {{beta_2}}$ and no correction for the start at zero: how many times as long would the first step be?
"""
STARTER = """
adam_one, adam_two = ..., ...
adam_two_small = ...
uncorrected = ...  # times
"""
HINT = r"For $\beta = 0.5$ the corrected mean of two is $(x_1 + 2 x_2) / 3$. What do $\hat m_1$ and $\sqrt{\hat v_1}$ have in common?"
EXPLANATION = r"""
After one step $\hat m_1 = g_1$ and $\hat v_1 = g_1^2$: the weight moves by $\eta$, to {{one}}. After two, $\hat m_2 = (g_1 + 2 g_2) / 3 = {{m_hat}}$ and $\hat v_2 = (g_1^2 + 2 g_2^2) / 3 = {{v_hat}}$, whose root is {{root}}; the step is ${{eta}} \cdot {{m_hat}} / {{root}}$ and leads to {{two}}. The other weight ends there, too: what is common to all gradients cancels.

Uncorrected, the first step is $\eta\,(1 - \beta_1)\, g_1 / \sqrt{(1 - \beta_2)\, g_1^2}$, that is, {{uncorrected}} times $\eta$. A mean that starts at zero is too small, but the one under the root the more so the nearer its $\beta$ is to 1.
"""
RATES = ((0.95, 0.999), (0.9, 0.95), (0.7, 0.99), (0.9, 0.9999), (0.6, 0.99), (0.95, 0.95))


def exercise(
    start: int = 2,
    gradients: tuple[int, int] = (5, -1),
    eta: float = 0.3,
    betas: tuple[float, float] = (0.8, 0.99),
) -> Exercise:
    """Return the exercise for these gradients, and `betas` for the last question."""
    given = {"start": start, "gradients": gradients, "eta": eta}
    one, two = adam_places(**given)
    m_hat, v_hat = ((gradients[0] ** k + 2 * gradients[1] ** k) / 3 for k in (1, 2))
    uncorrected = (1 - betas[0]) / math.sqrt(1 - betas[1])
    return Exercise(
        id="optimisation-adam-by-hand",
        title="A thousand times smaller",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_code(one, two, two, uncorrected),
        explanation=EXPLANATION,
        values={
            "start": start,
            "g_1": gradients[0],
            "g_2": gradients[1],
            "eta": eta,
            "beta_1": betas[0],
            "beta_2": betas[1],
            "one": f"{one:.4g}",
            "two": f"{two:.4g}",
            "uncorrected": f"{uncorrected:.4g}",
            "m_hat": f"{m_hat:.4g}",
            "v_hat": f"{v_hat:g}",
            "root": f"{math.sqrt(v_hat):g}",
        },
        visible=(Check(first_step_has_the_sign, {"start": start, "first": gradients[0]}),),
        hidden=(Check(places_are_adams, given), Check(correction_is_known, {"betas": betas})),
        wrong_answers=_wrong_answers(start, gradients, eta, uncorrected),
        public_solution=True,
    )


def _code(one: float, two: float, small: float, uncorrected: float) -> str:
    return (
        f"adam_one, adam_two = {one:.6g}, {two:.6g}\n"
        f"adam_two_small = {small:.6g}\n"
        f"uncorrected = {uncorrected:.6g}"
    )


def _wrong_answers(start, gradients, eta, uncorrected) -> dict[str, str]:
    one, two = adam_places(start, gradients, eta)
    (x, y), half = gradients, math.sqrt(0.5)
    raw_one = start - eta * half * math.copysign(1, x)
    raw_two = raw_one - eta * (x / 4 + y / 2) / math.sqrt(x * x / 4 + y * y / 2)
    same = one - eta * (x / 2 + y) / math.sqrt(x * x / 2 + y * y)
    plain = start - eta / x, start - eta / x - eta * (x + 2 * y) / (x * x + 2 * y * y)
    return {
        "no correction": _code(raw_one, raw_two, raw_two, uncorrected),
        "the first step's correction at the second": _code(one, same, same, uncorrected),
        "the root forgotten": _code(*plain, plain[1], uncorrected),
        "small gradients, small steps": _code(one, two, start + (two - start) / 1000, uncorrected),
        "upside down": _code(one, two, two, 1 / uncorrected),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw gradients whose mean square has a whole root, and other numbers."""
    x, y = rng.choice(_neat())
    sign = rng.choice((-1, 1))
    return {
        "start": rng.choice((1, 3, 4)),
        "gradients": (sign * x, sign * y),
        "eta": rng.choice((0.6, 0.9, 0.15)),
        "betas": rng.choice(RATES),
    }


@cache
def _neat() -> list[tuple[int, int]]:
    pairs = ((x, y) for x in range(1, 20) for y in range(-19, 20) if y and abs(x) != abs(y))
    mean_squares = ((x, y, x * x + 2 * y * y) for x, y in pairs)
    return [
        (x, y)
        for x, y, total in mean_squares
        if total % 3 == 0 and math.isqrt(total // 3) ** 2 == total // 3 and abs(x + 2 * y) > 2
    ]


# -- checks --------------------------------------------------------------------------------------


def adam_places(start, gradients, eta) -> list[float]:
    """Follow Adam with both rates a half."""
    theta, m, v, places = float(start), 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        m, v = m / 2 + g / 2, v / 2 + g * g / 2
        theta -= eta * (m / (1 - 0.5**t)) / math.sqrt(v / (1 - 0.5**t))
        places.append(theta)
    return places


def first_step_has_the_sign(adam_one, *, start, first):
    """Check that the first step goes against the first gradient."""
    assert (start - float(adam_one)) * first > 0, (
        f"The first gradient is {first}, so the first step should lead to the other side of {start}"
    )


def places_are_adams(adam_one, adam_two, adam_two_small, *, start, gradients, eta):
    """Check the three places."""
    one, two = adam_places(start, gradients, eta)
    assert close(adam_one, one, "adam_one"), (
        "adam_one is not right: both means start at zero, and both are corrected for that before "
        "one is divided by the root of the other"
    )
    assert close(adam_two, two, "adam_two"), (
        "adam_two is not right: what do two terms of each mean weigh together, at the second step?"
    )
    assert close(adam_two_small, two, "adam_two_small"), (
        "adam_two_small is not right: by what does each mean change if all gradients are divided "
        "by a thousand?"
    )


def correction_is_known(uncorrected, *, betas):
    """Check how many times as long the first step would be."""
    right = (1 - betas[0]) / math.sqrt(1 - betas[1])
    assert close(uncorrected, right, "uncorrected"), (
        f"uncorrected should not be {float(uncorrected):g}: how large are the two means after one "
        "step, compared with the gradient and its square?"
    )
