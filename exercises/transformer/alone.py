"""One token goes through a block by hand: attention, norm, feed-forward layer."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from exercises import Check, Exercise
from exercises.answers import array, close

QUESTION = r"""
A text of a single token goes through a block with one head and $D = 4$: $x = {{x}}$. The values have one feature, $v = {{take}}$, and $W^O = {{out}}$ writes it back. The feed-forward layer has two hidden neurons with ReLU, $h_1 = {{first}}$ and $h_2 = {{second}}$ (of what it reads), and adds ${{scale}} h_1 \cdot {{row_1}} + h_2 \cdot {{row_2}}$. There are no biases, $\gamma = 1$, $\beta = 0$, $\varepsilon = 0$.

What is the weight that the token gives itself? With post-norm, what stands in the stream after the first norm, and after the second? With pre-norm, what stands in it after attention has added its change? Write four digits after the point, or a formula.
"""
STARTER = """
attention_weight = ...
post_after_attention = [..., ..., ..., ...]
post_after_block = [..., ..., ..., ...]
pre_after_attention = [..., ..., ..., ...]
"""
HINT = "A softmax over one score is known without the score. Then take the steps in order, and at each norm ask first for the mean, then for the mean of the squared distances from it. In the first norm of each order, that mean is the square of a whole number."
EXPLANATION = r"""
The weight is 1, whatever query and key are: a single weight must sum to 1. So attention hands over the token's own value. **Post-norm**: the value is {{value}}, and the sum ${{total}}$. Its mean is {{mean}} and its standard deviation {{std}}, which leaves ${{normed}}$. Of this, $h_1 = {{h_1}}$ is active and $h_2 = {{h_2}}$ is not. With the change the row is ${{second_total}}$; its mean is 0, its standard deviation 2.6, and the result ${{result}}$. **Pre-norm**: attention reads the normalised row, ${{pre_normed}}$, so its value is {{pre_value}}, and the change is added to the row as it was: ${{pre}}$. The stream is not normalised.
"""
# Three patterns with mean 0 that have nothing in common.
P, Q, R = (np.array(row) for row in ([1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]))


def exercise(spread: int = 3, times: int = 1, order: tuple[int, ...] = (0, 1, 2, 3)) -> Exercise:
    """Return the exercise for a token that is `spread` (3 or 4) times P, and a constant."""
    case = _Case(spread, times, order)
    right = case.answers()
    post = right["post_after_attention"]
    return Exercise(
        id="transformer-alone",
        title="Alone in a block",
        kind="by hand",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values=case.texts() | {name: _row(row) for name, row in case.rows().items()},
        visible=(Check(rows_are_normalised),),
        hidden=(Check(rows_are_right, {"right": right}),),
        wrong_answers={
            "the sum is not normalised": _answer({**right, "post_after_attention": case.total}),
            "divided by the length of the row": _answer(
                {**right, "post_after_attention": case.total / np.linalg.norm(case.total)}
            ),
            "the stream is normalised with pre-norm, too": _answer(
                {**right, "pre_after_attention": post}
            ),
            "the silent neuron takes part": _answer({**right, "post_after_block": case.leaky()}),
        },
        public_solution=True,
    )


class _Case:
    """The numbers of one variant; features stand in `order`."""

    def __init__(self, spread: int, times: int, order: tuple[int, ...]) -> None:
        self.places = list(order)
        self.take = self.places.index(0)
        p, q, r = (row[self.places] for row in (P, Q, R))
        other = 7 - spread
        self.x = times * ((other - spread) + spread * p)
        self.out, self.r, self.p = q, r, p
        self.total = self.x + self.x[self.take] * q
        self.normed = _norm(self.total)
        signs = (1, 1, 0, 0), (0, 1, -1, 0)
        if spread == 4:
            signs = (1, -1, 0, 0), (0, -1, 1, 0)
        self.first, self.second = (np.array(row)[self.places] for row in signs)
        self.h_1, self.h_2 = self.normed @ self.first, self.normed @ self.second

    def answers(self) -> dict[str, Any]:
        """Return what is asked for."""
        result = _norm(self.normed + 2 * self.h_1 * self.r)
        return {
            "attention_weight": 1,
            "post_after_attention": self.normed.round(4).tolist(),
            "post_after_block": result.round(4).tolist(),
            "pre_after_attention": (self.x + self.out).tolist(),
        }

    def leaky(self) -> np.ndarray:
        """Return the result without ReLU."""
        return _norm(self.normed + 2 * self.h_1 * self.r + self.h_2 * self.p)

    def rows(self) -> dict[str, np.ndarray]:
        """Return the rows that the texts show."""
        second = self.normed + 2 * self.h_1 * self.r
        return {
            "x": self.x,
            "out": self.out,
            "row_1": self.r,
            "row_2": self.p,
            "total": self.total,
            "normed": self.normed,
            "second_total": second,
            "result": _norm(second).round(4),
            "pre_normed": self.p,
            "pre": self.x + self.out,
        }

    def texts(self) -> dict[str, Any]:
        """Return the single numbers and terms that the texts show."""
        return {
            "take": f"x_{self.take + 1}",
            "first": _sum(self.first),
            "second": _sum(self.second),
            "scale": 2,
            "value": self.x[self.take],
            "mean": f"{self.total.mean():g}",
            "std": f"{self.total.std():g}",
            "h_1": f"{self.h_1:.1f}",
            "h_2": f"{self.h_2:.1f}",
            "pre_value": 1,
        }


def _norm(row: np.ndarray) -> np.ndarray:
    return (row - row.mean()) / row.std()


def _row(row: np.ndarray) -> str:
    numbers = " & ".join(f"{round(float(value), 4):g}" for value in row)
    return rf"\begin{{bmatrix}} {numbers} \end{{bmatrix}}"


def _sum(signs: np.ndarray) -> str:
    """Say which features are added and which subtracted, those that are added first."""
    order = sorted(range(4), key=lambda i: (-signs[i], i))
    terms = [f"{'+' if signs[i] > 0 else '-'} x_{i + 1}" for i in order if signs[i]]
    return " ".join(terms).removeprefix("+ ")


def _answer(values: dict[str, Any]) -> str:
    lines = []
    for name, value in values.items():
        shown = value if np.ndim(value) == 0 else np.asarray(value).round(4).tolist()
        lines.append(f"{name} = {shown}")
    return "\n".join(lines)


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the sizes and an order of the features other than the page's."""
    order = [0, 1, 2, 3]
    while order == [0, 1, 2, 3]:
        rng.shuffle(order)
    return {
        "spread": rng.choice([3, 4]),
        "times": rng.choice([1, 2, 3]),
        "order": tuple(order),
    }


# -- checks --------------------------------------------------------------------------------------


def rows_are_normalised(post_after_attention, post_after_block):
    """Check that both rows of the post-norm block have mean 0 and standard deviation 1."""
    for name, row in (
        ("post_after_attention", post_after_attention),
        ("post_after_block", post_after_block),
    ):
        row = array(row).ravel()
        assert row.shape == (4,), f"{name} should hold 4 numbers, got shape {row.shape}"
        assert abs(row.mean()) < 1e-3, f"{name} has the mean {row.mean():.4f} after a norm"
        assert abs(row.std() - 1) < 1e-3, (
            f"{name} has the standard deviation {row.std():.4f} after a norm"
        )


def rows_are_right(
    attention_weight, post_after_attention, post_after_block, pre_after_attention, *, right
):
    """Check all four answers."""
    assert close(attention_weight, right["attention_weight"], "attention_weight"), (
        "attention_weight is not right: the weights of a query sum to 1, and there is one key"
    )
    assert close(post_after_attention, right["post_after_attention"], "post_after_attention"), (
        "post_after_attention is not right: add the change to x, then normalise the sum"
    )
    assert close(post_after_block, right["post_after_block"], "post_after_block"), (
        "post_after_block is not right: which of the two hidden neurons is active?"
    )
    assert close(pre_after_attention, right["pre_after_attention"], "pre_after_attention"), (
        "pre_after_attention is not right: normalise what attention reads, and add to x itself"
    )
