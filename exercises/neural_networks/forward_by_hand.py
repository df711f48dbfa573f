"""The forward pass of a 2-2-1 network in whole numbers."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
Two inputs, two hidden neurons with ReLU, one output without: $z = x W + b$ with $W = {{weights}}$ (a column for each hidden neuron) and $b = {{biases}}$, then output weights $v = {{out}}$ and bias $c = {{shift}}$. What are the hidden neurons before and after ReLU for $x = {{inputs}}$, the output, and its squared error against the target ${{target}}$? Which weights and biases could be a little larger without any change of the error?
"""
STARTER = """
hidden_before = [..., ...]
hidden_after = [..., ...]
network_output = ...
squared_error = ...
"""
HINT = "Each hidden neuron takes its own column of the matrix, number by number with the inputs, and adds its bias."
EXPLANATION = r"""
Before ReLU the neurons have ${{before_1}}$ and ${{before_2}}$, after it ${{after_1}}$ and ${{after_2}}$. The output is ${{sum}} = {{output}}$, so the squared error is {{error}}. Neuron {{silent}} is silent: its column of $W$, its bias and its output weight could all be a little larger, and nothing would change. Their derivatives are 0, so a step of training on this sample leaves them as they are.
"""
Numbers = tuple[int, ...]


def exercise(
    weights: tuple[Numbers, Numbers] = ((2, -1), (-3, 1)),  # those of each neuron
    biases: Numbers = (1, 2),
    out: Numbers = (3, -2),
    shift: int = -4,
    inputs: Numbers = (2, 1),
    target: int = 5,
) -> Exercise:
    """Return the exercise for this network and sample."""
    before = [_product(row, inputs) + b for row, b in zip(weights, biases, strict=True)]
    after = [max(0, z) for z in before]
    output = _product(out, after) + shift
    right = {
        "hidden_before": before,
        "hidden_after": after,
        "network_output": output,
        "squared_error": (output - target) ** 2,
    }
    known = (weights, biases, out, shift, inputs, target)
    return Exercise(
        id="neural-networks-forward-by-hand",
        title="Forward, in whole numbers",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=2,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(**right),
        explanation=EXPLANATION,
        values={
            "weights": _matrix(*zip(*weights, strict=True)),
            "biases": _matrix(biases),
            "out": _column(out),
            "shift": shift,
            "inputs": _matrix(inputs),
            "target": target,
            "before_1": before[0],
            "before_2": before[1],
            "after_1": after[0],
            "after_2": after[1],
            "sum": rf"{_term(out[0])} \cdot {after[0]} + {_term(out[1])} \cdot {after[1]} + {_term(shift)}",
            "output": output,
            "error": right["squared_error"],
            "silent": 1 if after[0] == 0 else 2,
        },
        visible=(Check(relu_is_a_relu),),
        hidden=(Check(forward_is_right, {"right": right}),),
        wrong_answers=_wrong_answers(*known),
        public_solution=True,
        words=True,
    )


def _product(row, numbers) -> int:
    return sum(w * x for w, x in zip(row, numbers, strict=True))


def _matrix(*rows: Numbers) -> str:
    inside = r" \\ ".join(" & ".join(map(str, row)) for row in rows)
    return rf"\begin{{bmatrix}} {inside} \end{{bmatrix}}"


def _column(numbers: Numbers) -> str:
    return _matrix(*((n,) for n in numbers))


def _term(number: int) -> str:
    return f"({number})" if number < 0 else str(number)


def _answer(**values: object) -> str:
    return "\n".join(f"{name} = {value}" for name, value in values.items())


def _run(before, out, shift, target, relu=max) -> str:
    """Return the answer of one who has these values before the activation."""
    after = [relu(0, z) for z in before]
    output = _product(out, after) + shift
    return _answer(
        hidden_before=before,
        hidden_after=after,
        network_output=output,
        squared_error=(output - target) ** 2,
    )


def _wrong_answers(weights, biases, out, shift, inputs, target) -> dict[str, str]:
    right = [_product(row, inputs) + b for row, b in zip(weights, biases, strict=True)]
    columns = list(zip(*weights, strict=True))
    turned = [_product(row, inputs) + b for row, b in zip(columns, biases, strict=True)]
    bare = [_product(row, inputs) for row in weights]
    return {
        "ReLU left out": _run(right, out, shift, target, relu=lambda _, z: z),
        "rows taken for columns": _run(turned, out, shift, target),
        "hidden biases left out": _run(bare, out, shift, target),
        "output bias left out": _run(right, out, 0, target),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a network of which one hidden neuron is silent, and a target that it misses."""
    numbers = [n for n in range(-4, 5) if n]
    while True:
        weights = tuple(tuple(rng.sample(numbers, 2)) for _ in range(2))
        biases, out = tuple(rng.sample(numbers, 2)), tuple(rng.sample(numbers, 2))
        inputs, shift = tuple(rng.sample(range(1, 5), 2)), rng.choice(numbers)
        before = [_product(row, inputs) + b for row, b in zip(weights, biases, strict=True)]
        if min(before) < 0 < max(before) and weights[0][1] != weights[1][0]:
            output = _product(out, [max(0, z) for z in before]) + shift
            return {
                "weights": weights,
                "biases": biases,
                "out": out,
                "shift": shift,
                "inputs": inputs,
                "target": output + rng.choice([-3, -2, 2, 3]),
            }


# -- checks --------------------------------------------------------------------------------------


def relu_is_a_relu(hidden_before, hidden_after, network_output, squared_error):
    """Check that there are two neurons, and what ReLU made of them."""
    hidden_before, hidden_after = array(hidden_before).ravel(), array(hidden_after).ravel()
    for name, values in (("hidden_before", hidden_before), ("hidden_after", hidden_after)):
        assert len(values) == 2, f"{name} should hold one number for each of the two neurons"
    for before, after in zip(hidden_before, hidden_after, strict=True):
        assert after in (0, before), (
            f"ReLU cannot make {after:g} of {before:g}: look at its definition"
        )
        assert after >= 0, f"ReLU never gives a negative number such as {after:g}"
    assert squared_error >= 0, f"A squared error cannot be negative, as {squared_error} is"
    assert math.isfinite(array(network_output).sum()), (
        f"network_output should be a number, not {network_output}"
    )


def forward_is_right(hidden_before, hidden_after, network_output, squared_error, *, right):
    """Check every number on the way."""
    assert close(hidden_before, right["hidden_before"], "hidden_before"), (
        "hidden_before is not right: each neuron has its own column of W, and its bias"
    )
    assert close(hidden_after, right["hidden_after"], "hidden_after"), (
        "hidden_after is not right: negative numbers become 0, others stay"
    )
    assert close(network_output, right["network_output"], "network_output"), (
        "network_output is not right: it is made of the neurons after ReLU, and has a bias, too"
    )
    assert close(squared_error, right["squared_error"], "squared_error"), (
        "squared_error is not right: it is the square of output minus target"
    )
