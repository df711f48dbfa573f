"""Count a block of GPT and one of Llama, so that both have as many parameters."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

from exercises import Check, Exercise

QUESTION = r"""
Compare a block of GPT with a block of Llama, both with $D = {{D}}$ features; leave biases and norms out of all counts. The feed-forward layer of GPT has $4D$ hidden features. Llama has ${{H}}$ query heads and ${{G}}$ key-value heads of $D / {{H}}$ features each, and SwiGLU. How many weights does the feed-forward layer of GPT have, and how many the attention layer of Llama? How many hidden features must SwiGLU have, so that it has exactly as many weights as the feed-forward layer of GPT? And how many weights does the whole block of Llama then have?
"""
STARTER = """
feed_forward_weights = ...
grouped_attention_weights = ...
swiglu_hidden = ...
llama_block_weights = ...
"""
HINT = r"A feed-forward layer has two matrices and SwiGLU three, all of $D$ by the hidden width. In attention, the matrices of the keys and of the values become narrower when they have fewer heads; the other two keep their size."
EXPLANATION = r"""
The feed-forward layer has $2 \cdot D \cdot 4D = 8D^2$ weights, {{feed_forward}}. Three matrices have as many if each is two thirds as wide: $8D / 3$, which is {{hidden}}. In attention $W^Q$ and $W^O$ keep $D^2$ weights each; $W^K$ and $W^V$ have only $D \cdot {{G}} \cdot D / {{H}}$ each, so the layer has {{attention}}. The block has the sum of both, {{block}}; that of GPT would have $12D^2$, {{gpt}}.
"""


def exercise(D: int = 576, H: int = 9, G: int = 3) -> Exercise:
    """Return the exercise for these sizes; the page's are those of SmolLM2-135M."""
    right = _counts(D, H, G)
    return Exercise(
        id="model-families-two-thirds",
        title="Two thirds as wide",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_answer(right),
        explanation=EXPLANATION,
        public_solution=True,
        values={
            "D": D,
            "H": H,
            "G": G,
            "feed_forward": f"{right['feed_forward_weights']:,}",
            "attention": f"{right['grouped_attention_weights']:,}",
            "hidden": f"{right['swiglu_hidden']:,}",
            "block": f"{right['llama_block_weights']:,}",
            "gpt": f"{12 * D * D:,}",
        },
        visible=(Check(counts_fit, {"D": D}),),
        hidden=(Check(weights_are_right, {"right": right}),),
        wrong_answers=_wrong_answers(D, H, G, right),
    )


def _counts(D: int, H: int, G: int) -> dict[str, int]:
    attention = 2 * D * D + 2 * D * G * (D // H)
    return {
        "feed_forward_weights": 8 * D * D,
        "grouped_attention_weights": attention,
        "swiglu_hidden": 8 * D // 3,
        "llama_block_weights": 8 * D * D + attention,
    }


def _answer(counts: dict[str, int]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in counts.items())


def _wrong_answers(D: int, H: int, G: int, right: dict[str, int]) -> dict[str, str]:
    narrow = 4 * D * G * (D // H)
    return {
        "SwiGLU as wide as GPT's layer": _answer(
            right
            | {
                "swiglu_hidden": 4 * D,
                "llama_block_weights": 12 * D * D + right["grouped_attention_weights"],
            }
        ),
        "all four matrices are grouped": _answer(
            right
            | {
                "grouped_attention_weights": narrow,
                "llama_block_weights": 8 * D * D + narrow,
            }
        ),
        "no matrix is grouped": _answer(
            right
            | {
                "grouped_attention_weights": 4 * D * D,
                "llama_block_weights": 12 * D * D,
            }
        ),
        "the layer of GPT with one matrix": _answer(right | {"feed_forward_weights": 4 * D * D}),
    }


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw a width that 3 and the heads divide."""
    G = rng.choice([2, 3, 4])
    H = G * rng.choice([2, 3, 4])
    return {"D": H * rng.choice([24, 48, 60]), "H": H, "G": G}


# -- checks --------------------------------------------------------------------------------------


def counts_fit(
    feed_forward_weights, grouped_attention_weights, swiglu_hidden, llama_block_weights, *, D
):
    """Check that the counts are whole numbers and fit one another."""
    given = {
        "feed_forward_weights": feed_forward_weights,
        "grouped_attention_weights": grouped_attention_weights,
        "swiglu_hidden": swiglu_hidden,
        "llama_block_weights": llama_block_weights,
    }
    for name, value in given.items():
        assert value == int(value) > 0, f"{name} should be a whole number above 0, got {value}"
    assert 3 * D * swiglu_hidden == llama_block_weights - grouped_attention_weights, (
        "llama_block_weights should be the weights of attention and of SwiGLU's three matrices"
    )


def weights_are_right(
    feed_forward_weights, grouped_attention_weights, swiglu_hidden, llama_block_weights, *, right
):
    """Check all four counts."""
    assert int(feed_forward_weights) == right["feed_forward_weights"], (
        "feed_forward_weights is not right: one matrix to the hidden features and one back"
    )
    assert int(grouped_attention_weights) == right["grouped_attention_weights"], (
        "grouped_attention_weights is not right: how many rows has each of the four matrices?"
    )
    assert int(swiglu_hidden) == right["swiglu_hidden"], (
        "swiglu_hidden is not right: three matrices should have as many weights as two had"
    )
    assert int(llama_block_weights) == right["llama_block_weights"], (
        "llama_block_weights is not right: add the weights of attention to those of SwiGLU"
    )
