"""Route two tokens to experts by hand, and say what the balance loss is."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A mixture of {{n}} experts, of which {{k}} are active, gets two tokens. The router's logits are $\ln {{row_1}}$ for the first token and $\ln {{row_2}}$ for the second (the logarithm of each entry). The experts are very simple: whatever its input, expert $i$ returns entry $i$ of ${{outputs}}$. What are the gates of the two experts chosen for the first token, that of the expert with the smaller number first? What does the layer return for each of the two tokens? What is the load $f_i$ of each expert, the share of the tokens that choose it? And what is the balance loss $n \sum_i f_i P_i$, where $n$ is the number of experts and $P_i$ the probability of expert $i$, averaged over the tokens? Write four digits after the point, or a formula.
"""
STARTER = """
first_gates = [..., ...]
returned = [..., ...]
shares = SHARES
balance = ...
"""
HINT = r"$e^{\ln a} = a$, so the softmax of such logits is each number divided by the sum of all. The gates are a softmax over the chosen logits alone; the probabilities are a softmax over all of them."
EXPLANATION = r"""
The first token chooses the two largest entries, {{chosen_1}}; divided by their sum, they are the gates {{gates_1}}. The second one chooses {{chosen_2}}, with the gates {{gates_2}}. The gated sums of the experts' numbers are {{y_1}} and {{y_2}}. The load of an expert is how many of the two tokens chose it, divided by two: {{shares}}; the loads sum to $k = {{k}}$. The mean probabilities are {{means}}, so the loss is {{balance}}. If all experts had the same load and the same mean probability, it would be {{k}}.
"""


def exercise(
    row_1: tuple[int, ...] = (3, 1, 4, 2),
    row_2: tuple[int, ...] = (5, 1, 1, 3),
    outputs: tuple[int, ...] = (10, 20, -10, 30),
) -> Exercise:
    """Return the exercise for two rows of exponentials of logits."""
    case = _Case(np.array([row_1, row_2]), np.array(outputs))
    right = case.answers()
    starter = STARTER.replace("SHARES", "[" + ", ".join("..." for _ in row_1) + "]")
    return Exercise(
        id="model-families-experts-by-hand",
        title="Two tokens, two experts each",
        kind="by hand",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=starter,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=case.texts(),
        visible=(Check(gates_and_shares_sum, {"n": len(row_1)}),),
        hidden=(Check(routing_is_right, {"right": right}),),
        wrong_answers={
            "a softmax over all experts": _answer(right | case.over_all()),
            "the mean of the chosen experts": _answer(right | case.unweighted()),
            "shares of all choices, not of the tokens": _answer(
                right | {"shares": [share / 2 for share in right["shares"]]}
            ),
            "not multiplied by n": _answer(right | {"balance": right["balance"] / len(row_1)}),
        },
        public_solution=True,
    )


class _Case:
    """Two tokens, each with a row of exponentials of its logits."""

    def __init__(self, rows: np.ndarray, outputs: np.ndarray) -> None:
        self.rows, self.outputs = rows, outputs
        self.chosen = np.sort(np.argsort(-rows, axis=1)[:, :2], axis=1)  # (2, 2)
        picked = np.take_along_axis(rows, self.chosen, axis=1)
        self.gates = picked / picked.sum(axis=1, keepdims=True)
        self.probabilities = rows / rows.sum(axis=1, keepdims=True)

    def answers(self) -> dict[str, Any]:
        """Return what is asked for."""
        n = self.rows.shape[1]
        shares = np.array([(self.chosen == i).sum() / 2 for i in range(n)])
        means = self.probabilities.mean(axis=0)
        return {
            "first_gates": self.gates[0].round(4).tolist(),
            "returned": (self.gates * self.outputs[self.chosen]).sum(axis=1).round(4).tolist(),
            "shares": shares.tolist(),
            "balance": round(float(n * shares @ means), 4),
        }

    def over_all(self) -> dict[str, Any]:
        """Return gates that were not divided by their own sum."""
        gates = np.take_along_axis(self.probabilities, self.chosen, axis=1)
        returned = (gates * self.outputs[self.chosen]).sum(axis=1)
        return {"first_gates": gates[0].round(4).tolist(), "returned": returned.round(4).tolist()}

    def unweighted(self) -> dict[str, Any]:
        """Return plain means of what the chosen experts say."""
        return {"returned": self.outputs[self.chosen].mean(axis=1).round(4).tolist()}

    def texts(self) -> dict[str, Any]:
        """Return the numbers that the texts show."""
        right = self.answers()
        picked = np.take_along_axis(self.rows, self.chosen, axis=1)
        return {
            "n": self.rows.shape[1],
            "k": 2,
            "row_1": _row(self.rows[0]),
            "row_2": _row(self.rows[1]),
            "outputs": _row(self.outputs),
            "chosen_1": f"${picked[0, 0]}$, ${picked[0, 1]}$",
            "chosen_2": f"${picked[1, 0]}$, ${picked[1, 1]}$",
            "gates_1": _listed(self.gates[0]),
            "gates_2": _listed(self.gates[1]),
            "y_1": f"{right['returned'][0]:g}",
            "y_2": f"{right['returned'][1]:g}",
            "shares": _listed(right["shares"]),
            "means": _listed(self.probabilities.mean(axis=0)),
            "balance": f"{right['balance']:.4f}",
        }


def _row(row: np.ndarray) -> str:
    numbers = " & ".join(str(int(value)) for value in row)
    return rf"\begin{{bmatrix}} {numbers} \end{{bmatrix}}"


def _listed(numbers: Any) -> str:
    return ", ".join(f"{float(value):.4f}".rstrip("0").rstrip(".") for value in numbers)


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in values.items())


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw rows in which the two largest entries are clear, and differ between the tokens."""
    while True:
        rows = [tuple(rng.randrange(1, 7) for _ in range(4)) for _ in range(2)]
        tops = [sorted(row, reverse=True) for row in rows]
        if any(top[1] == top[2] or top[0] == top[1] for top in tops):
            continue
        case = _Case(np.array(rows), np.arange(4))
        if case.chosen[0].tolist() != case.chosen[1].tolist():
            break
    outputs = rng.sample([-20, -10, 10, 20, 30, 40], 4)
    return {"row_1": rows[0], "row_2": rows[1], "outputs": tuple(outputs)}


# -- checks --------------------------------------------------------------------------------------


def gates_and_shares_sum(first_gates, shares, *, n):
    """Check that the gates of a token sum to 1, and the shares to the number of active experts."""
    first_gates, shares = array(first_gates).ravel(), array(shares).ravel()
    assert len(first_gates) == 2, f"first_gates should hold two numbers, got {len(first_gates)}"
    assert math.isclose(sum(first_gates), 1, abs_tol=2e-3), (
        f"The gates of a token should sum to 1, these sum to {sum(first_gates):.4f}"
    )
    assert len(shares) == n, f"shares should hold a number for each of {n} experts"
    assert math.isclose(sum(shares), 2, abs_tol=2e-3), (
        f"Each token chooses two experts, so the shares should sum to 2, not {sum(shares):.4f}"
    )


def routing_is_right(first_gates, returned, shares, balance, *, right):
    """Check all answers."""
    assert close(first_gates, right["first_gates"], "first_gates"), (
        "first_gates is not right: divide the two largest of the numbers by their own sum"
    )
    assert close(returned, right["returned"], "returned"), (
        "returned is not right: each chosen expert's number, times its gate, and both added"
    )
    assert close(shares, right["shares"], "shares"), (
        "shares is not right: how many of the two tokens chose the expert, divided by two?"
    )
    assert close(balance, right["balance"], "balance"), (
        "balance is not right: multiply each share by the expert's mean probability over both "
        "tokens, add, and multiply by the number of experts"
    )
