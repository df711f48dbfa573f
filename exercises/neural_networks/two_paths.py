"""One weight, two paths to the output: the chain rule by hand."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import close

QUESTION = r"""
A weight is used twice: $y = {{a}}\,\sigma(w x - {{c}}) + {{b}}\,\mathrm{ReLU}(w x)$, with $w = {{w}}$ and $x = {{x}}$. The loss is $(y - t)^2$ with $t = {{t}}$. What are its derivatives with respect to $w$ and to $x$, and where does one step of gradient descent with the learning rate {{rate}} take $w$?
"""
STARTER = """
slope_w = ...
slope_x = ...
w_after = ...
"""
HINT = r"The logit is 0 here, and $\sigma'(0) = \tfrac14$. Follow *each* path from $w$ to $y$."
EXPLANATION = r"""
Forward: $wx = {{c}}$, so the sigmoid gives $\tfrac12$ and ReLU {{c}}, and $y = {{y}}$. Back: $\partial L/\partial y = 2(y - t) = {{back}}$. Two paths lead from $wx$ to $y$; along a path derivatives multiply, and paths add up: ${{a}} \cdot \tfrac14 + {{b}} = {{paths}}$. With $\partial(wx)/\partial w = x$ that makes {{slope_w}} for $w$, and with $\partial(wx)/\partial x = w$ it makes {{slope_x}} for $x$. The step goes against the slope, to {{w_after}}.
"""


def exercise(
    w: int = 2, x: int = 3, a: int = 4, b: int = 2, error: int = 1, rate: float = 0.05
) -> Exercise:
    """Return the exercise with the output so far (`error`) above its target."""
    y = a // 2 + b * w * x
    right = _slopes(w, x, a / 4 + b, error, rate)
    return Exercise(
        id="neural-networks-two-paths",
        title="Two paths from one weight",
        kind="by hand",
        difficulty=2,
        minutes=10,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values={
            **{name: f"{value:g}" for name, value in right.items()},
            "w": w,
            "x": x,
            "c": w * x,
            "y": y,
            "t": y - error,
            "rate": rate,
            "a": a,
            "b": f"({b})" if b < 0 else b,
            "paths": f"{a / 4 + b:g}",
            "back": 2 * error,
        },
        visible=(Check(step_fits_the_slope, {"w": w, "rate": rate}),),
        hidden=(Check(slopes_are_right, {"right": right}),),
        wrong_answers={
            "the path through ReLU alone": _answer(_slopes(w, x, b, error, rate)),
            "the path through the sigmoid alone": _answer(_slopes(w, x, a / 4, error, rate)),
            "the sigmoid's value for its derivative": _answer(
                _slopes(w, x, a / 2 + b, error, rate)
            ),
            "uphill": _answer({**right, "w_after": round(2 * w - right["w_after"], 6)}),
        },
        public_solution=True,
    )


def _slopes(w: int, x: int, paths: float, error: int, rate: float) -> dict[str, float]:
    slope = 2 * error * paths * x
    return {
        "slope_w": slope,
        "slope_x": 2 * error * paths * w,
        "w_after": round(w - rate * slope, 6),
    }


def _answer(values: dict[str, float]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in values.items())


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw small numbers for which the two paths do not cancel."""
    while True:
        w, x = rng.sample(range(1, 6), 2)
        a, b = rng.choice([-12, -8, -4, 4, 8, 12]), rng.choice([-3, -2, 2, 3])
        if a // 4 + b:
            return {
                "w": w,
                "x": x,
                "a": a,
                "b": b,
                "error": rng.choice([-3, -2, -1, 1, 2, 3]),
                "rate": rng.choice([0.01, 0.02, 0.05]),
            }


# -- checks --------------------------------------------------------------------------------------


def step_fits_the_slope(slope_w, slope_x, w_after, *, w, rate):
    """Check that the step is the learning rate times the slope, in one direction or the other."""
    moved = abs(float(w_after) - w)
    assert abs(moved - rate * abs(float(slope_w))) < 1e-3, (
        f"From {w}, a step with the learning rate {rate} and the slope {slope_w} does not end at "
        f"{w_after}"
    )
    assert math.isfinite(slope_x), f"slope_x should be a number, not {slope_x}, and not infinite"


def slopes_are_right(slope_w, slope_x, w_after, *, right):
    """Check both derivatives and the step."""
    assert close(slope_w, right["slope_w"], "slope_w"), (
        "slope_w is not right: multiply along each path from w to the loss, and add the paths up"
    )
    assert close(slope_x, right["slope_x"], "slope_x"), (
        "slope_x is not right: the input takes the same two paths, and what multiplies it is w"
    )
    assert close(w_after, right["w_after"], "w_after"), (
        "w_after is not right: gradient descent goes against the slope, not along it"
    )
