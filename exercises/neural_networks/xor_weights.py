"""Weights for XOR, found by thinking."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array

QUESTION = r"""
Find weights for a network with two inputs, two hidden ReLU neurons and one linear output that gives ${{differ}}$ when its inputs differ and ${{equal}}$ when they are equal. The inputs are ${{low}}$ or ${{high}}$, and the output must be exact: $y = \mathrm{ReLU}(x W + b)\, v + c$, with $x$ and $b$ as rows and $v$ as a column. Why is there no such network without ReLU?
"""
STARTER = """
xor_weights = [[..., ...], [..., ...]]  # W, a column for each hidden neuron
xor_biases = [..., ...]  # b
xor_out = [..., ...]  # v
xor_shift = ...  # c
"""
HINT = "Only the sum of the inputs matters, and it has three values. Let one neuron begin to rise at the smallest of them, and the other at the one in the middle."
TRIAL = """
for x in [LOW, LOW], [LOW, HIGH], [HIGH, LOW], [HIGH, HIGH]:
    hidden = np.maximum(0, np.array(x) @ np.array(xor_weights) + xor_biases)
    right = EQUAL if x[0] == x[1] else DIFFER
    check(f"output for {x}", hidden @ np.array(xor_out) + xor_shift, right)
"""
EXPLANATION = r"""
With both rows of $W$ the same, a neuron sees the sum of the inputs, scaled and shifted here to 0, 1, 2. The first neuron passes that on, the second one is 0 until the middle: 0, 0, 1. One of the first and minus two of the second make 0, 1, 0, and $v$ and $c$ bring that to the outputs wanted: all of $W$ is ${{row}}$, and $b = ({{biases}})$, $v = ({{out}})$, $c = {{equal}}$. There are other solutions; the check takes them, too. Without ReLU the output would be a plane, on which the two corners where the inputs differ have the same mean as the two where they are equal.
"""


def exercise(low: int = -1, high: int = 1, equal: int = 0, differ: int = 1) -> Exercise:
    """Return the exercise for inputs of `low` and `high`, and these outputs."""
    given = {"low": low, "high": high, "equal": equal, "differ": differ}
    row = 1 / (high - low)
    start = -2 * low * row
    step = differ - equal
    right = _answer(row, [start, start - 1], [step, -2 * step], equal)
    shown = {
        "row": f"{row:g}",
        "biases": f"{start:g}, {start - 1:g}",
        "out": f"{step}, {-2 * step}",
    }
    return Exercise(
        id="neural-networks-xor-weights",
        title="Weights without training",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=right,
        explanation=EXPLANATION,
        values=given | shown,
        visible=(Check(network_has_its_shape, {"low": low, "equal": equal}),),
        hidden=(Check(all_four_are_right, given),),
        wrong_answers={
            "an or": _answer(row, [start, start - 1], [step, -step], equal),
            "no neuron ever silent": _answer(row, [start + 4, start + 4], [step, -step], equal),
            "inputs taken for 0 and 1": _answer(1.0, [0.0, -1.0], [step, -2 * step], equal),
            "equal and different exchanged": _answer(
                row, [start, start - 1], [-step, 2 * step], differ
            ),
        },
        public_solution=True,
        words=True,
        trial=_trial(**given),
    )


def _answer(row: float, biases: list[float], out: list[float], shift: float) -> str:
    weights = [[row, row], [row, row]]
    return f"xor_weights = {weights}\nxor_biases = {biases}\nxor_out = {out}\nxor_shift = {shift}"


def _trial(**given: int) -> str:
    code = TRIAL
    for name, value in given.items():
        code = code.replace(name.upper(), str(value))
    return code


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw two inputs with a gap that floats hold exactly, and two outputs."""
    low, gap = rng.choice([-3, -2, -1, 1, 2]), rng.choice([2, 4])
    equal, differ = rng.sample([-2, -1, 0, 1, 2, 3], 2)
    return {"low": low, "high": low + gap, "equal": equal, "differ": differ}


# -- checks --------------------------------------------------------------------------------------


def run_network(x, weights, biases, out, shift) -> float:
    """Return the network's output for a pair of inputs."""
    before = [
        sum(w * n for w, n in zip(column, x, strict=True)) + b
        for column, b in zip(array(weights).T, array(biases).ravel(), strict=True)
    ]
    return float(
        sum(v * max(0.0, z) for v, z in zip(array(out).ravel(), before, strict=True)) + shift
    )


def network_has_its_shape(xor_weights, xor_biases, xor_out, xor_shift, *, low, equal):
    """Check the shapes, and one of the four cases."""
    assert array(xor_weights).shape == (2, 2), "xor_weights should have two rows of two"
    assert array(xor_biases).size == array(xor_out).size == 2, (
        "xor_biases and xor_out should hold one number for each hidden neuron"
    )
    got = run_network([low, low], xor_weights, xor_biases, xor_out, xor_shift)
    assert abs(got - equal) < 2e-3, (
        f"For two inputs of {low} the network should give {equal}, but gives {got:g}"
    )


def all_four_are_right(xor_weights, xor_biases, xor_out, xor_shift, *, low, high, equal, differ):
    """Run the network on all four pairs of inputs."""
    for x in ((low, low), (low, high), (high, low), (high, high)):
        right = equal if x[0] == x[1] else differ
        got = run_network(x, xor_weights, xor_biases, xor_out, xor_shift)
        assert abs(got - right) < 2e-3, (
            f"For the inputs {x[0]} and {x[1]} the network gives {got:g}, which is not {right}"
        )
