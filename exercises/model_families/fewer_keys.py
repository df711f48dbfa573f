"""Count by hand what grouped-query attention saves in the KV cache."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = r"""
A Llama has ${{L}}$ blocks. Each of them has ${{H}}$ query heads and ${{G}}$ key-value heads of ${{d}}$ features each, and every number is stored in {{b}} bytes. How many bytes does one token take in the KV caches of all blocks together? How many would it take if every query head had keys and values of its own? And how many tokens of a single text fit into {{gib}} GiB (of $2^{30}$ bytes each) with the grouped heads?
"""
STARTER = """
bytes_a_token = ...
bytes_without_groups = ...
tokens_that_fit = ...
"""
HINT = "Each block keeps a key and a value for each key-value head. Queries are not kept."
EXPLANATION = r"""
For each token, a block keeps a key and a value for each key-value head: $2 \cdot {{G}} \cdot {{d}}$ numbers. All blocks together keep {{per_token}} bytes. With keys and values for each of the ${{H}}$ query heads it would be {{whole}} bytes, ${{times}}$ times as many. The {{gib}} GiB hold {{fit}} whole tokens. The width of the model and that of its feed-forward layers play no role.
"""


def exercise(
    L: int = 32, H: int = 32, G: int = 8, d: int = 128, b: int = 2, gib: int = 4
) -> Exercise:
    """Return the exercise for a model of these sizes; the page's are those of Llama 3 8B."""
    right = _counts(L, H, G, d, b, gib)
    per_token, whole = right["bytes_a_token"], right["bytes_without_groups"]
    return Exercise(
        id="model-families-fewer-keys",
        title="What fewer keys save",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=3,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        values={
            "L": L,
            "H": H,
            "G": G,
            "d": d,
            "b": b,
            "gib": gib,
            "per_token": f"{per_token:,}",
            "whole": f"{whole:,}",
            "times": H // G,
            "fit": f"{right['tokens_that_fit']:,}",
        },
        visible=(Check(counts_are_whole, {"H": H, "G": G}),),
        hidden=(Check(counts_are_right, {"right": right}),),
        wrong_answers={
            "keys without values": _answer(
                {**right, "bytes_a_token": per_token // 2, "bytes_without_groups": whole // 2}
            ),
            "one block only": _answer(
                {**right, "bytes_a_token": per_token // L, "bytes_without_groups": whole // L}
            ),
            "the query heads counted": _answer({**right, "bytes_a_token": whole}),
            "fitted as if there were no groups": _answer(
                {**right, "tokens_that_fit": gib * 2**30 // whole}
            ),
        },
        public_solution=True,
    )


def _counts(L: int, H: int, G: int, d: int, b: int, gib: int) -> dict[str, int]:
    per_token = 2 * L * G * d * b
    return {
        "bytes_a_token": per_token,
        "bytes_without_groups": 2 * L * H * d * b,
        "tokens_that_fit": gib * 2**30 // per_token,
    }


def _answer(counts: dict[str, int]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in counts.items())


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw sizes like those of published models."""
    G = rng.choice([2, 3, 4, 6])
    return {
        "L": rng.choice([16, 24, 28, 30, 36]),
        "H": G * rng.choice([2, 3, 4, 8]),
        "G": G,
        "d": rng.choice([64, 80, 96, 128]),
        "b": rng.choice([1, 2, 4]),
        "gib": rng.choice([1, 2, 3, 6]),
    }


# -- checks --------------------------------------------------------------------------------------


def counts_are_whole(bytes_a_token, bytes_without_groups, tokens_that_fit, *, H, G):
    """Check that the counts are whole numbers, and that groups save what they must."""
    given = {
        "bytes_a_token": bytes_a_token,
        "bytes_without_groups": bytes_without_groups,
        "tokens_that_fit": tokens_that_fit,
    }
    for name, value in given.items():
        assert value == int(value) > 0, f"{name} should be a whole number above 0, got {value}"
    assert bytes_without_groups * G == bytes_a_token * H, (
        f"{H} heads should take {H} / {G} times the bytes that {G} heads take"
    )


def counts_are_right(bytes_a_token, bytes_without_groups, tokens_that_fit, *, right):
    """Check all three counts."""
    assert int(bytes_a_token) == right["bytes_a_token"], (
        "bytes_a_token is not right: keys and values, of each key-value head, in every block"
    )
    assert int(bytes_without_groups) == right["bytes_without_groups"], (
        "bytes_without_groups is not right: the same count with as many heads as queries have"
    )
    assert int(tokens_that_fit) == right["tokens_that_fit"], (
        "tokens_that_fit is not right: divide by the bytes of one token with groups, round down"
    )
