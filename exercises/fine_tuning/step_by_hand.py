"""A step of LoRA of rank 1 by hand: both gradients, and the merged matrix."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A linear layer has a frozen matrix $W$ and LoRA of rank 1 beside it, with $\alpha = {{alpha}}$, so that the factor $\alpha / r$ is {{alpha}}:

$$
W = \begin{bmatrix} {{w_00}} & {{w_01}} \\ {{w_10}} & {{w_11}} \end{bmatrix}, \qquad A = \begin{bmatrix} {{a_0}} & {{a_1}} \end{bmatrix}, \qquad B = \begin{bmatrix} {{b_0}} \\ {{b_1}} \end{bmatrix} .
$$

It has been trained for a while, so $B$ is no longer 0. The next input is $x = ({{x_0}}, {{x_1}})$ and the target $t = ({{t_0}}, {{t_1}})$. The loss is half of the squared distance of the output $y$ to the target. Find the output, the gradients of $B$ and of $A$, and, after one step of plain gradient descent on both with the rate {{rate}}, the merged matrix $W'$.
"""
STARTER = """
lora_output = [..., ...]
gradient_of_B = [..., ...]
gradient_of_A = [..., ...]
merged_matrix = [[..., ...], [..., ...]]
"""
HINT = r"Go through the layer in the order in which it computes: the one number $u = Ax$ in the bottleneck, then $y = Wx + \alpha\, u\, B$. By the chain rule the gradient of $B$ is the error $y - t$ times what $B$ was multiplied by. What reaches $u$ on the way back? Both gradients belong to the old $A$ and the old $B$."
EXPLANATION = r"""
The bottleneck holds $u = Ax = {{u}}$, so $y = Wx + {{alpha}} \cdot {{u_factor}} \cdot B = ({{y}})$, and the error is $y - t = ({{error}})$. The gradient of $B$ is $\alpha u\,(y - t) = ({{grad_b}})$. The error sends $\alpha\, B^\top (y - t) = {{back}}$ back to $u$, and the gradient of $A$ is this number times $x$, which is $({{grad_a}})$. After the step $B = ({{new_b}})$ and $A = ({{new_a}})$, and

$$
\begin{aligned}
W' &= W + {{alpha}} \begin{bmatrix} {{new_b_0}} \\ {{new_b_1}} \end{bmatrix} \begin{bmatrix} {{new_a_0}} & {{new_a_1}} \end{bmatrix} \\
&= \begin{bmatrix} {{m_00}} & {{m_01}} \\ {{m_10}} & {{m_11}} \end{bmatrix} .
\end{aligned}
$$

The loss has gone from {{loss}} to {{loss_after}}. The factor $\alpha$ is in both gradients and once more in the merged matrix, so a larger $\alpha$ acts like a larger learning rate.
"""
Numbers = tuple[int, int]
PAGE: dict[str, Any] = {
    "w": ((0, -2), (2, 0)),
    "a": (-1, -2),
    "b": (1, 1),
    "x": (1, -1),
    "t": (1, 2),
    "alpha": 2,
    "rate": "1/10",
}


def exercise(
    w: tuple[Numbers, Numbers] = PAGE["w"],
    a: Numbers = PAGE["a"],
    b: Numbers = PAGE["b"],
    x: Numbers = PAGE["x"],
    t: Numbers = PAGE["t"],
    alpha: int = PAGE["alpha"],
    rate: str = PAGE["rate"],
) -> Exercise:
    """Return the exercise for a matrix, LoRA beside it, and an example."""
    given = {"w": w, "a": a, "b": b, "x": x, "t": t, "alpha": alpha, "rate": rate}
    right = {name: value for name, value in stepped(**given).items() if name in NAMES}
    return Exercise(
        id="fine-tuning-step-by-hand",
        title="Both matrices take a step",
        kind="by hand",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=_texts(given),
        visible=(Check(vectors_have_two_numbers),),
        hidden=(
            Check(gradients_are_right, {"right": _plain(right)}),
            Check(merged_is_right, {"right": _plain(right)}),
        ),
        wrong_answers=_wrong_answers(given, right),
        public_solution=True,
    )


NAMES = ("lora_output", "gradient_of_B", "gradient_of_A", "merged_matrix")


def stepped(w, a, b, x, t, alpha, rate) -> dict[str, Any]:
    """Return what is asked for and what lies between, as fractions."""
    eta = Fraction(rate)
    u = sum(p * q for p, q in zip(a, x, strict=True))
    plain = [sum(p * q for p, q in zip(row, x, strict=True)) for row in w]
    y = [one + alpha * u * own for one, own in zip(plain, b, strict=True)]
    error = [one - goal for one, goal in zip(y, t, strict=True)]
    grad_b = [alpha * u * e for e in error]
    back = alpha * sum(p * e for p, e in zip(b, error, strict=True))
    grad_a = [back * one for one in x]
    new_b = [one - eta * g for one, g in zip(b, grad_b, strict=True)]
    new_a = [one - eta * g for one, g in zip(a, grad_a, strict=True)]
    return {
        "lora_output": y,
        "gradient_of_B": grad_b,
        "gradient_of_A": grad_a,
        "merged_matrix": merged(w, new_b, new_a, alpha),
        "u": u,
        "error": error,
        "back": back,
        "new_b": new_b,
        "new_a": new_a,
    }


def merged(w, b, a, alpha) -> list[list[Any]]:
    """Return W + alpha B A."""
    rows = zip(w, b, strict=True)
    return [[p + alpha * own * q for p, q in zip(row, a, strict=True)] for row, own in rows]


def half_square(matrix, x, t) -> Fraction:
    """Return the loss of a matrix."""
    y = [sum(p * q for p, q in zip(row, x, strict=True)) for row in matrix]
    return sum((Fraction(one) - goal) ** 2 for one, goal in zip(y, t, strict=True)) / Fraction(2)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [[float(v) for v in row] if isinstance(row, list) else float(row) for row in value]
        for name, value in values.items()
    }


def _answer(values: dict[str, Any]) -> str:
    return "\n".join(f"{name} = {value!r}" for name, value in _plain(values).items())


def _texts(given: dict[str, Any]) -> dict[str, Any]:
    found = stepped(**given)
    w, x, t, alpha = (given[name] for name in ("w", "x", "t", "alpha"))

    def number(value: Any) -> str:
        return f"{float(value):g}"

    def joined(values: Any) -> str:
        return ", ".join(map(number, values))

    after = found["merged_matrix"]
    return {
        **{f"w_{i}{j}": w[i][j] for i in range(2) for j in range(2)},
        **{f"m_{i}{j}": number(after[i][j]) for i in range(2) for j in range(2)},
        **{f"{name}_{i}": given[name][i] for name in "abxt" for i in range(2)},
        **{f"{name}_{i}": number(found[name][i]) for name in ("new_a", "new_b") for i in range(2)},
        "alpha": alpha,
        "rate": number(Fraction(given["rate"])),
        "u": found["u"],
        "u_factor": found["u"] if found["u"] > 0 else f"({found['u']})",
        "y": joined(found["lora_output"]),
        "error": joined(found["error"]),
        "grad_b": joined(found["gradient_of_B"]),
        "grad_a": joined(found["gradient_of_A"]),
        "back": found["back"],
        "new_b": joined(found["new_b"]),
        "new_a": joined(found["new_a"]),
        "loss": number(half_square(merged(w, given["b"], given["a"], alpha), x, t)),
        "loss_after": f"{float(half_square(after, x, t)):.4g}",
    }


def _wrong_answers(given: dict[str, Any], right: dict[str, Any]) -> dict[str, str]:
    w, x, alpha, eta = given["w"], given["x"], given["alpha"], Fraction(given["rate"])
    found = stepped(**given)
    plain = stepped(**{**given, "alpha": 1})
    unscaled = {name: plain[name] for name in right}
    in_turn = [
        p
        - eta * alpha * q * sum(m * e for m, e in zip(found["new_b"], found["error"], strict=True))
        for p, q in zip(given["a"], x, strict=True)
    ]
    up_b, up_a = (
        [p + eta * g for p, g in zip(given[name], found[grad], strict=True)]
        for name, grad in (("b", "gradient_of_B"), ("a", "gradient_of_A"))
    )
    return {
        "the factor is left out everywhere": _answer(unscaled),
        "the factor is left out in merging": _answer(
            right | {"merged_matrix": merged(w, found["new_b"], found["new_a"], 1)}
        ),
        "the gradients are exchanged": _answer(
            right
            | {"gradient_of_A": right["gradient_of_B"], "gradient_of_B": right["gradient_of_A"]}
        ),
        "A sees the new B": _answer(
            right | {"merged_matrix": merged(w, found["new_b"], in_turn, alpha)}
        ),
        "a step uphill": _answer(right | {"merged_matrix": merged(w, up_b, up_a, alpha)}),
        "the frozen matrix is not in the merged one": _answer(
            right
            | {"merged_matrix": merged(((0, 0), (0, 0)), found["new_b"], found["new_a"], alpha)}
        ),
        "the old matrices are merged": _answer(
            right | {"merged_matrix": merged(w, given["b"], given["a"], alpha)}
        ),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw whole numbers with which the step helps, and no gradient is 0."""
    while True:
        given: dict[str, Any] = {
            "w": tuple(tuple(rng.randint(-2, 3) for _ in "ab") for _ in "ab"),
            **{name: tuple(rng.choice((-2, -1, 1, 2, 3)) for _ in "ab") for name in "abx"},
            "alpha": rng.choice((2, 3, 4)),
            "rate": rng.choice(("1/10", "1/20", "1/50")),
        }
        miss = tuple(rng.choice((-3, -2, -1, 1, 2, 3)) for _ in "ab")
        start = stepped(**given, t=(0, 0))["lora_output"]
        given["t"] = tuple(int(y) - e for y, e in zip(start, miss, strict=True))
        if given["w"] != PAGE["w"] and _is_clear(given):
            return given


def _is_clear(given: dict[str, Any]) -> bool:
    found = stepped(**given)
    old, new = (
        half_square(matrix, given["x"], given["t"])
        for matrix in (
            merged(given["w"], given["b"], given["a"], given["alpha"]),
            found["merged_matrix"],
        )
    )
    far = max(
        abs(p - q) for p, q in zip(found["gradient_of_A"], found["gradient_of_B"], strict=True)
    )
    return found["u"] != 0 and found["back"] != 0 and far > 1 and new < Fraction(7, 10) * old


# -- checks --------------------------------------------------------------------------------------


def vectors_have_two_numbers(lora_output, gradient_of_B, gradient_of_A, merged_matrix):
    """Check that there are two numbers each, and four in the matrix."""
    given = {
        "lora_output": lora_output,
        "gradient_of_B": gradient_of_B,
        "gradient_of_A": gradient_of_A,
    }
    for name, value in given.items():
        numbers = array(value).ravel()
        assert len(numbers) == 2, f"{name} should hold 2 numbers, got {len(numbers)}"
    shape = array(merged_matrix).shape
    assert shape == (2, 2), f"merged_matrix should have 2 rows of 2 numbers, got shape {shape}"


def gradients_are_right(lora_output, gradient_of_B, gradient_of_A, *, right):
    """Check the output and both gradients."""
    assert close(lora_output, right["lora_output"], "lora_output"), (
        "lora_output is not right: add to W x what the two thin matrices make of x, with the factor"
    )
    assert close(gradient_of_B, right["gradient_of_B"], "gradient_of_B"), (
        "gradient_of_B is not right: it is the error times what B is multiplied by"
    )
    assert close(gradient_of_A, right["gradient_of_A"], "gradient_of_A"), (
        "gradient_of_A is not right: how much of the error goes back through B, with the factor, "
        "and what was A multiplied by?"
    )


def merged_is_right(merged_matrix, *, right):
    """Check the matrix after the step."""
    assert close(merged_matrix, right["merged_matrix"], "merged_matrix"), (
        "merged_matrix is not right: A and B take a step downhill at the same time, each with the "
        "gradient from before; then their product is added with the factor"
    )
