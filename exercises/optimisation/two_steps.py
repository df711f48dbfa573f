"""Two steps down a bowl whose axes are not the coordinates', and how long a step may be."""

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
Let $f(\theta) = \tfrac{1}{2}({{a}}\,\theta_1^2 {{mixed}}\,\theta_1\theta_2 + {{c}}\,\theta_2^2)$. From $({{start}})$ take two steps of gradient descent with $\eta = {{eta}}$. Where would the second end with a momentum of $\mu = {{mu}}$? And from which $\eta$ on does gradient descent no longer converge?
"""
STARTER = """
after_one = [..., ...]
after_two = [..., ...]
after_two_with_momentum = [..., ...]
rate_limit = ...
"""
HINT = r"The eigenvalues of the Hessian have the sum of its diagonal, and their product is its determinant."
EXPLANATION = r"""
The gradient is $({{a}}\,\theta_1 {{cross}}\,\theta_2,\ {{b}}\,\theta_1 + {{c}}\,\theta_2)$. At the start that is $({{g_1}})$, and one step leads to $({{after_one}})$; there it is $({{g_2}})$, and two lead to $({{after_two}})$. With momentum the second follows $b_2 = {{mu}}\, g_1 + g_2 = ({{b_2}})$, to $({{after_two_with_momentum}})$.

The Hessian has ${{a}}$ and ${{c}}$ on its diagonal and ${{b}}$ beside it. Its eigenvalues have the sum {{sum}} and the product {{product}}: they are {{small}} and {{large}}. The limit is $2 / {{large}} = {{limit}}$. The diagonal alone would promise $2 / {{widest}}$, too much: the steepest direction lies between the coordinates.
"""
ETA, MU = Fraction(1, 4), Fraction(1, 2)


def exercise(
    hessian: tuple[int, int, int] = (5, 2, 2), start: tuple[int, int] = (4, -2)
) -> Exercise:
    """Return the exercise for a Hessian ((a, b), (b, c)) with whole eigenvalues."""
    a, b, c = hessian
    small, large = _eigenvalues(hessian)
    right = _path(hessian, start)
    g_1, g_2 = _gradient(hessian, start), _gradient(hessian, right["after_one"])
    limit = Fraction(2, large)
    given = {"hessian": hessian, "start": start, "eta": float(ETA)}
    values = {name: _point(place) for name, place in right.items()}
    return Exercise(
        id="optimisation-two-steps",
        title="Two steps down a slanting bowl",
        kind="by hand",
        difficulty=1,
        minutes=15,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_code(right, limit),
        explanation=EXPLANATION,
        values={
            **values,
            "a": a,
            "b": b,
            "c": c,
            "eta": _number(ETA),
            "mu": _number(MU),
            "mixed": f"{2 * b:+d}",
            "cross": f"{b:+d}",
            "start": _point(start),
            "g_1": _point(g_1),
            "g_2": _point(g_2),
            "b_2": _point([MU * x + y for x, y in zip(g_1, g_2, strict=True)]),
            "sum": a + c,
            "product": a * c - b * b,
            "small": small,
            "large": large,
            "limit": rf"\tfrac{{{limit.numerator}}}{{{limit.denominator}}}",
            "widest": max(a, c),
        },
        visible=(Check(first_step_goes_down, {"hessian": hessian, "start": start}),),
        hidden=(Check(steps_are_right, given), Check(limit_is_the_steepest, {"hessian": hessian})),
        wrong_answers=_wrong_answers(hessian, start, right, limit),
        public_solution=True,
    )


def _gradient(hessian, theta):
    (a, b, c), (x, y) = hessian, theta
    return [a * x + b * y, b * x + c * y]


def _eigenvalues(hessian: tuple[int, int, int]) -> tuple[int, int]:
    a, b, c = hessian
    root = math.isqrt((a - c) ** 2 + 4 * b * b)
    assert root**2 == (a - c) ** 2 + 4 * b * b, "the eigenvalues should be whole"
    return (a + c - root) // 2, (a + c + root) // 2


def _move(theta, direction, eta=ETA):
    return [x - eta * d for x, d in zip(theta, direction, strict=True)]


def _path(hessian, start, eta=ETA) -> dict[str, list[Fraction]]:
    g_1 = _gradient(hessian, start)
    one = _move(start, g_1, eta)
    g_2 = _gradient(hessian, one)
    remembered = [MU * x + y for x, y in zip(g_1, g_2, strict=True)]
    return {
        "after_one": one,
        "after_two": _move(one, g_2, eta),
        "after_two_with_momentum": _move(one, remembered, eta),
    }


def _number(x) -> str:
    return f"{float(x):g}"


def _point(place) -> str:
    return ", ".join(_number(x) for x in place)


def _code(places, limit: Fraction) -> str:
    lines = [f"{name} = [{_point(place)}]" for name, place in places.items()]
    return "\n".join([*lines, f"rate_limit = {limit.numerator} / {limit.denominator}"])


def _wrong_answers(hessian, start, right, limit) -> dict[str, str]:
    a, b, c = hessian

    def in_turn(theta):
        x = theta[0] - ETA * (a * theta[0] + b * theta[1])
        return [x, theta[1] - ETA * (b * x + c * theta[1])]

    one = in_turn(start)
    turned = right | {"after_one": one, "after_two": in_turn(one)}
    g_1, g_2 = _gradient(hessian, start), _gradient(hessian, right["after_one"])
    mean = [(x + y) / 2 for x, y in zip(g_1, g_2, strict=True)]
    averaged = {"after_two_with_momentum": _move(right["after_one"], mean)}
    return {
        "the second coordinate from the first one's new value": _code(turned, limit),
        "uphill": _code(_path(hessian, start, -ETA), limit),
        "the mixed term left out": _code(_path((a, 0, c), start), Fraction(2, max(a, c))),
        "one over the curvature": _code(right, limit / 2),
        "momentum as a mean of gradients": _code(right | averaged, limit),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a slanting bowl, for which the rate is not too large, and a start in it."""
    while True:
        hessian = rng.choice(BOWLS)
        start = (rng.choice((-6, -4, -2, 2, 4, 6)), rng.choice((-6, -4, -2, 2, 4, 6)))
        if all(any(place) for place in _path(hessian, start).values()):
            return {"hessian": hessian, "start": start}


BOWLS = [(a, b, c) for a, c in ((2, 5), (5, 2), (3, 6), (6, 3)) for b in (-2, 2)]


# -- checks --------------------------------------------------------------------------------------


def slanting_bowl(hessian, theta) -> float:
    """Return the height of the bowl at a point."""
    (a, b, c), (x, y) = hessian, (float(number) for number in theta)
    return (a * x * x + 2 * b * x * y + c * y * y) / 2


def first_step_goes_down(after_one, *, hessian, start):
    """Check that the first step has two coordinates and leads down."""
    after_one = array(after_one).ravel()
    assert len(after_one) == 2, "after_one should hold two numbers, one for each coordinate"
    low, high = slanting_bowl(hessian, after_one), slanting_bowl(hessian, start)
    assert low < high, f"A step downhill should lower f, but f went from {high:g} to {low:g}"


def walk_in_bowl(hessian, start, eta, mu):
    """Return the places after one step and after two, with so much momentum."""
    a, b, c = hessian
    (x, y), (p, q), places = start, (0.0, 0.0), []
    for _ in range(2):
        p, q = mu * p + a * x + b * y, mu * q + b * x + c * y
        x, y = x - eta * p, y - eta * q
        places.append((x, y))
    return places


def steps_are_right(after_one, after_two, after_two_with_momentum, *, hessian, start, eta):
    """Check the three places."""
    one, two = walk_in_bowl(hessian, start, eta, 0.0)
    _, ahead = walk_in_bowl(hessian, start, eta, 0.5)
    given = {
        "after_one": (after_one, one),
        "after_two": (after_two, two),
        "after_two_with_momentum": (after_two_with_momentum, ahead),
    }
    for name, (place, right) in given.items():
        for i, (got, wanted) in enumerate(zip(array(place).ravel(), right, strict=True), 1):
            assert close(got, wanted, name), (
                f"Coordinate {i} of {name} is not right: a step is the rate times the "
                "gradient where the step begins, downhill; with momentum, half of the step "
                "before comes on top"
            )


def limit_is_the_steepest(rate_limit, *, hessian):
    """Walk with a rate just below the limit, and just above."""
    a, b, c = hessian
    for share, converges in ((0.98, True), (1.02, False)):
        x, y, rate = 1.0, 0.7, share * float(rate_limit)
        for _ in range(1500):
            x, y = x - rate * (a * x + b * y), y - rate * (b * x + c * y)
            if abs(x) + abs(y) > 1e9:
                break
        arrived = abs(x) + abs(y) < 0.5
        assert arrived or not converges, (
            f"With {share} times this limit gradient descent diverges: how steep is the steepest "
            "direction, and how long a step does it bear?"
        )
        assert converges or not arrived, (
            f"With {share} times this limit gradient descent still converges: how steep is the "
            "steepest direction, and how long a step does it bear?"
        )
