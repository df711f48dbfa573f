"""Bytes of a KV cache in 16 bits, the tokens that fit, and the groups that are needed."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = r"""
A model has {{n_layers}} layers, each with {{n_heads}} query heads of width {{width}}. Keys and values are kept in 16 bits, and {{gib}} GiB ($1\,\mathrm{GiB} = 2^{30}$ bytes) of the accelerator are left for them.

How many bytes does one token take if every query head has its own keys and values? How many tokens fit? Then {{users}} users want {{length}} tokens each at the same time: what is the largest number of key-value heads, shared by equal groups of query heads, that makes this possible?
"""
STARTER = """
bytes_per_token = ...
tokens = ...
kv_heads = ...
"""
HINT = "Equation {eq}`eq-kv-cache` with $T = 1$; work in powers of two. For the last part, leave $G$ unknown, and ask which values of $G$ are allowed at all."
EXPLANATION = r"""
A token takes $2 \cdot {{n_layers}} \cdot {{n_heads}} \cdot {{width}} \cdot 2 = {{bytes_per_token}}$ bytes, which is {{kib}} KiB, so {{tokens}} tokens fit.

With $G$ key-value heads a token takes $2 \cdot {{n_layers}} \cdot {{width}} \cdot 2 \, G = {{per_head}} \, G$ bytes, and the users have ${{users}} \cdot {{length}} = {{wanted}}$ tokens. The memory allows $G \le {{fit}}$; but $G$ must divide {{n_heads}}, so that every key-value head serves equally many query heads. The answer is $G = {{kv_heads}}$.
"""


def exercise(
    n_layers: int = 32,
    n_heads: int = 32,
    width: int = 128,
    gib: int = 10,
    users: int = 16,
    length: int = 8192,
) -> Exercise:
    """Return the exercise for a model, a memory and what is wanted of them."""
    per_head = 2 * n_layers * width * 2  # bytes: keys and values, two bytes each
    fit = _fit(per_head, gib, users * length)
    right = {
        "bytes_per_token": per_head * n_heads,
        "tokens": gib * 2**30 // (per_head * n_heads),
        "kv_heads": _largest(fit, n_heads),
    }
    return Exercise(
        id="attention-cache-by-hand",
        title="How many conversations fit?",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution="\n".join(f"{name} = {value}" for name, value in right.items()),
        explanation=EXPLANATION,
        values={
            "n_layers": n_layers,
            "n_heads": n_heads,
            "width": width,
            "gib": gib,
            "users": users,
            "length": length,
            "kib": right["bytes_per_token"] // 1024,
            "per_head": per_head,
            "wanted": users * length,
            "fit": fit,
            **right,
        },
        visible=(Check(counts_are_whole, {"n_heads": n_heads}),),
        hidden=(Check(counts_are_right, {"right": right}),),
        wrong_answers=_wrong_answers(right, fit, n_heads),
        public_solution=True,
    )


def _fit(per_head: int, gib: int, wanted: int) -> int:
    """Return how many key-value heads the memory allows."""
    return gib * 2**30 // (wanted * per_head)


def _largest(fit: int, n_heads: int) -> int:
    return max(g for g in range(1, fit + 1) if n_heads % g == 0)


def _wrong_answers(right: dict[str, int], fit: int, n_heads: int) -> dict[str, str]:
    return {
        "keys without values": f"""
            bytes_per_token = {right["bytes_per_token"] // 2}
            tokens = {2 * right["tokens"]}
            kv_heads = {right["kv_heads"]}
            """,
        "a number of groups that does not divide": f"""
            bytes_per_token = {right["bytes_per_token"]}
            tokens = {right["tokens"]}
            kv_heads = {fit if n_heads % fit else fit + 1}
            """,
        "bits for bytes": f"""
            bytes_per_token = {8 * right["bytes_per_token"]}
            tokens = {right["tokens"] // 8}
            kv_heads = 1
            """,
    }


# -- variants ------------------------------------------------------------------------------------


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers where the memory allows a number of groups that cannot share equally."""
    while True:
        drawn = {
            "n_layers": rng.choice((16, 20, 24, 28, 32, 40, 48)),
            "n_heads": rng.choice((16, 20, 24, 32, 40, 48)),
            "width": rng.choice((64, 96, 128)),
            "gib": rng.choice((4, 5, 6, 8, 10, 12, 14, 20, 24)),
            "users": rng.choice((4, 8, 12, 16, 24, 32)),
            "length": rng.choice((2048, 4096, 8192, 16384)),
        }
        per_head = 2 * drawn["n_layers"] * drawn["width"] * 2
        fit = _fit(per_head, drawn["gib"], drawn["users"] * drawn["length"])
        if 2 < fit < drawn["n_heads"] and drawn["n_heads"] % fit:
            return drawn


# -- checks --------------------------------------------------------------------------------------


def counts_are_whole(bytes_per_token, tokens, kv_heads, *, n_heads):
    """Check that all three are whole numbers, and the groups equal."""
    given = {"bytes_per_token": bytes_per_token, "tokens": tokens, "kv_heads": kv_heads}
    for name, value in given.items():
        assert value == int(value) > 0, f"{name} should be a whole number above 0, got {value}"
    assert n_heads % kv_heads == 0, f"{n_heads} query heads cannot share {kv_heads} equally"


def counts_are_right(bytes_per_token, tokens, kv_heads, *, right):
    """Check all three numbers."""
    factor = bytes_per_token / right["bytes_per_token"]
    assert factor == 1, (
        f"bytes_per_token is {factor:g} times what it should be: count keys and values, every "
        "layer, every head, every feature, and two bytes a number"
    )
    assert tokens == right["tokens"], "tokens should be the free bytes divided by bytes a token"
    assert kv_heads == right["kv_heads"], (
        f"kv_heads should not be {kv_heads}: all users' tokens must fit, with no room for a "
        "larger number that shares equally"
    )
