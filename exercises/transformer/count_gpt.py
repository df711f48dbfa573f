"""Count what a small GPT costs: parameters, operations, and bytes in the cache."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = r"""
A GPT as in this chapter (tied tables, learned positions, biases everywhere, a feed-forward layer of $4D$ hidden features) has $V = {{V}}$ words, ${{T_max}}$ positions, $D = {{D}}$ features, $L = {{L}}$ blocks and $H = {{H}}$ heads. By hand: how many parameters has one block, and how many the model? How many FLOPs does one token take forward, in a text of $T = {{T}}$ tokens? And how many bytes do the KV caches of all blocks hold for that text, at {{b}} bytes a number?
"""
STARTER = """
block_parameters = ...
parameters = ...
flops_a_token = ...  # forward, matrices and attention
cache_bytes = ...
"""
HINT = r"A block has $12D^2 + 13D$ parameters: where do the $13D$ come from? Only products with matrices count as FLOPs, 2 for each entry, and attention adds $4LTD$. The cache holds keys *and* values."
EXPLANATION = r"""
Each block has $4D^2 + 4D$ parameters in attention, $8D^2 + 5D$ in the feed-forward layer and $4D$ in its norms, {{block_parameters}} in all. The model adds $V D$ for the words, $T_\text{max} D$ for the positions and $2D$ for the last norm: {{parameters}}. The output costs no parameters, because it uses the table of the words again, but it does cost FLOPs: $2 (12 L D^2 + V D) + 4 L T D$ gives {{flops_a_token}}. The cache holds $2 L T D$ numbers, {{cache_bytes}} bytes. The number of heads occurs nowhere.
"""


def exercise(
    V: int = 100, T_max: int = 50, D: int = 10, L: int = 2, H: int = 2, T: int = 20, b: int = 2
) -> Exercise:
    """Return the exercise for a model of these sizes."""
    right = _costs(V, T_max, D, L, T, b)
    return Exercise(
        id="transformer-count-gpt",
        title="What a small GPT costs",
        kind="by hand",
        difficulty=1,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values={
            **{name: f"{value:,}" for name, value in right.items()},
            "V": V,
            "T_max": T_max,
            "D": D,
            "L": L,
            "H": H,
            "T": T,
            "b": b,
        },
        visible=(Check(sizes_fit, {"D": D, "L": L}),),
        hidden=(
            Check(parameters_are_right, {"right": right}),
            Check(rest_is_right, {"right": right}),
        ),
        wrong_answers=_wrong_answers(V, T_max, D, L, T, b, right),
        public_solution=True,
    )


def _costs(V: int, T_max: int, D: int, L: int, T: int, b: int) -> dict[str, int]:
    block = 12 * D * D + 13 * D
    return {
        "block_parameters": block,
        "parameters": V * D + T_max * D + L * block + 2 * D,
        "flops_a_token": 2 * (12 * L * D * D + V * D) + 4 * L * T * D,
        "cache_bytes": 2 * L * T * D * b,
    }


def _answer(costs: dict[str, int]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in costs.items())


def _wrong_answers(
    V: int, T_max: int, D: int, L: int, T: int, b: int, right: dict[str, int]
) -> dict[str, str]:
    matrices = 12 * D * D
    return {
        "a matrix of its own for the output": _answer(
            right | {"parameters": right["parameters"] + V * D}
        ),
        "biases and norms left out": _answer(
            right
            | {
                "block_parameters": matrices,
                "parameters": V * D + T_max * D + L * matrices,
            }
        ),
        "attention's products left out": _answer(
            right | {"flops_a_token": 2 * (L * matrices + V * D)}
        ),
        "one operation for each entry": _answer(
            right | {"flops_a_token": right["flops_a_token"] // 2}
        ),
        "keys without values": _answer(right | {"cache_bytes": L * T * D * b}),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw sizes with which one can reckon by hand."""
    H = rng.choice([2, 4])
    return {
        "V": rng.choice([200, 300, 400, 500]),
        "T_max": rng.choice([60, 80, 100]),
        "D": rng.choice([12, 20, 24, 40]),
        "L": rng.choice([3, 4, 5, 6]),
        "H": H,
        "T": rng.choice([30, 40, 50]),
        "b": rng.choice([2, 4]),
    }


# -- checks --------------------------------------------------------------------------------------


def sizes_fit(block_parameters, parameters, flops_a_token, cache_bytes, *, D, L):
    """Check that the counts are whole numbers that fit one another."""
    given = {
        "block_parameters": block_parameters,
        "parameters": parameters,
        "flops_a_token": flops_a_token,
        "cache_bytes": cache_bytes,
    }
    for name, value in given.items():
        assert value == int(value) > 0, f"{name} should be a whole number above 0, got {value}"
    assert parameters > L * block_parameters, (
        "parameters should include all blocks, and the tables and the last norm besides"
    )
    assert cache_bytes % (2 * D) == 0, (
        "cache_bytes should be a multiple of what one token takes in one block, in bytes"
    )


def parameters_are_right(block_parameters, parameters, *, right):
    """Check both counts of parameters."""
    assert int(block_parameters) == right["block_parameters"], (
        "block_parameters is not right: count four matrices for attention and two for the "
        "feed-forward layer, their biases, and the two norms"
    )
    assert int(parameters) == right["parameters"], (
        "parameters is not right: add the table of words once, the positions and the last norm "
        "to the blocks"
    )


def rest_is_right(flops_a_token, cache_bytes, *, right):
    """Check operations and bytes."""
    assert int(flops_a_token) == right["flops_a_token"], (
        "flops_a_token is not right: 2 for each entry of the matrices and of the table at the "
        "output, and what attention adds in every block"
    )
    assert int(cache_bytes) == right["cache_bytes"], (
        "cache_bytes is not right: keys and values, in every block, for every token of the text"
    )
