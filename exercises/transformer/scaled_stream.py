"""Post-norm with a scaled stream: compute, build and measure how alike positions become."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from exercises import Check, Exercise
from exercises.answers import array, close
from exercises.attention.heads import normal

QUESTION = """
{cite:t}`wang2022deepnet` keep the norm after the sum, but multiply the stream by a number $\\alpha \\ge 1$ before they add to it: $\\mathrm{norm}(\\alpha x + f(x))$. With $\\alpha = (2L)^{1/4}$ for $L$ blocks they trained a thousand layers.

1. Go back to the worked example of plain averaging: what share of the difference between the two positions is left after $n$ layers with this $\\alpha$? Write `difference_left`, and `layers_until`, the number of layers after which less than {{percent}} % of it is left.
2. Write `scaled_sum`, one such layer, and with it `top_cosine`: put {{words}} random positions through {{blocks}} blocks (`untrained` makes them) and return the mean cosine between two different positions at the top. Measure it for $\\alpha = 1$ and for $\\alpha = (2L)^{1/4}$.
3. Why not take $\\alpha = 1000$? Explain in a sentence or two what such a model could not do.
"""
STARTER = """
def untrained(n_blocks, d_model=32):
    torch.manual_seed(SEED)
    found = []
    for _ in range(n_blocks):
        attend = attention.MultiHeadAttention(d_model, n_heads=2)
        feed = layers.FeedForward(d_model)
        for layer in (*attend.modules(), *feed.modules()):
            if isinstance(layer, layers.Linear):
                layers.xavier_uniform_(layer.weight)
        found += [attend, feed]
    return found  # attention and feed-forward layers in turn, two for each block

def difference_left(alpha, n_layers):
    ...

def layers_until(alpha):  # after which less than PERCENT % of the difference is left
    ...

def scaled_sum(x, f, norm, alpha):
    ...

@torch.no_grad()
def top_cosine(alpha, n_blocks=BLOCKS, n_words=WORDS):
    ...

cosines = {"alpha 1": ..., "scaled": ...}
"""
HINT = "In the worked example the difference is multiplied by $\\alpha$ where it was multiplied by 1, and the common part by $\\alpha + 1$ where it was by 2. A new `layers.LayerNorm(32)` is a norm whose weights change nothing; the mean of all cosines but those on the diagonal is what `alike` of the chapter computes."
SOLUTION = """
def difference_left(alpha, n_layers):
    return (alpha / (alpha + 1)) ** n_layers

def layers_until(alpha):
    each = math.log(alpha / (alpha + 1))
    return math.floor(math.log(PERCENT / 100) / each) + 1

def scaled_sum(x, f, norm, alpha):
    return norm(alpha * x + f(x))

@torch.no_grad()
def top_cosine(alpha, n_blocks=BLOCKS, n_words=WORDS):
    norm = layers.LayerNorm(32)
    x = torch.randn(1, n_words, 32, generator=torch.Generator().manual_seed(SEED))
    for f in untrained(n_blocks):
        x = scaled_sum(x, f, norm, alpha)
    rows = x[0] / x[0].norm(dim=1, keepdim=True)
    others = ~torch.eye(n_words, dtype=torch.bool)
    return (rows @ rows.T)[others].mean().item()

cosines = {"alpha 1": top_cosine(1.0), "scaled": top_cosine((2 * BLOCKS) ** 0.25)}
"""
EXPLANATION = r"""
A layer multiplies the difference by $\alpha$ and the common part by $\alpha + 1$, so after $n$ layers the share $\left(\frac{\alpha}{\alpha + 1}\right)^n$ is left: $2^{-n}$ for $\alpha = 1$, and all of it as $\alpha$ grows. It is less than a share $s$ from the first $n$ above $\ln s / \ln \frac{\alpha}{\alpha + 1}$ on. In the untrained stack the positions end nearly parallel for $\alpha = 1$, with a cosine close to 1, and clearly apart with the other.

A very large $\alpha$ keeps the positions apart by ignoring the layers: what they add disappears in the norm, the top of the stack is the embedding, and the model could not use the context at all. The exponent $\frac14$ is a compromise that grows slowly with the depth.
"""
TRIAL = """
check("half, three times", difference_left(1, 3), 1 / 8)
check("alpha 3, two layers", difference_left(3, 2), 9 / 16)
last = layers_until(1)
check("it is still left before that", 0.5 ** (last - 1), at_least=PERCENT / 100)
check("and no more then", 0.5**last, at_most=PERCENT / 100)
numbers = torch.tensor([[1.0, 2.0]])
tried = scaled_sum(numbers, torch.square, torch.neg, 3.0)
check("one layer", tried, [[-4.0, -10.0]])
gap = cosines["alpha 1"] - cosines["scaled"]
check("the scaled stream keeps positions apart", gap, at_least=0.02)
"""
# The mistake, and what it writes in place of what stands in the solution.
MISTAKES = {
    "the common part's share instead": ("(alpha / (alpha + 1))", "(1 / (alpha + 1))"),
    "one layer for all": ("** n_layers", ""),
    "the layer scaled instead of the stream": ("alpha * x + f(x)", "x + alpha * f(x)"),
    "one layer too few": ("/ each) + 1", "/ each)"),
    "no norm": ("norm(alpha * x + f(x))", "alpha * x + f(x)"),
    "the two exchanged": (
        '{"alpha 1": top_cosine(1.0), "scaled"',
        '{"scaled": top_cosine(1.0), "alpha 1"',
    ),
    "alpha not passed on": ("f, norm, alpha)\n    rows", "f, norm, 1.0)\n    rows"),
}


def exercise(n_blocks: int = 16, n_words: int = 12, percent: int = 10, seed: int = 0) -> Exercise:
    """Return the exercise for a stack of this depth."""
    sizes = {"BLOCKS": n_blocks, "WORDS": n_words, "PERCENT": percent, "SEED": seed}
    given = _filled(STARTER, sizes).split("def difference_left")[0]
    solution = _filled(SOLUTION, sizes)
    return Exercise(
        id="transformer-scaled-stream",
        title="A stream that is not halved",
        kind="measure",
        difficulty=3,
        minutes=30,
        points=5,
        question=QUESTION,
        starter=_filled(STARTER, sizes),
        hint=HINT,
        solution=f"{given}{solution}",
        explanation=EXPLANATION,
        values={"words": n_words, "blocks": n_blocks, "percent": percent},
        visible=(Check(half_is_left), Check(cosines_are_cosines)),
        hidden=(
            Check(share_is_right, {"seed": seed}),
            Check(layers_are_counted, {"percent": percent}),
            Check(layer_is_right, {"seed": seed}),
            Check(large_alpha_changes_nothing, {"n_words": n_words}),
            Check(scaling_keeps_positions_apart),
        ),
        wrong_answers={
            mistake: f"{given}{solution.replace(right, wrong)}"
            for mistake, (right, wrong) in MISTAKES.items()
        },
        words=True,
        by_hand=1,
        trial=_filled(TRIAL, sizes),
    )


def _filled(code: str, sizes: dict[str, int]) -> str:
    for name, size in sizes.items():
        code = code.replace(name, str(size))
    return code


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw the depth, the number of positions and the weights."""
    return {
        "n_blocks": rng.choice((12, 20, 24)),
        "n_words": rng.choice((10, 14, 16)),
        "percent": rng.choice((1, 2, 5)),
        "seed": rng.randrange(10_000),
    }


# -- checks --------------------------------------------------------------------------------------


def half_is_left(difference_left):
    """Try the worked example itself."""
    got = float(difference_left(1, 3))
    assert close(got, 0.125, "difference_left"), (
        f"With alpha 1 each of three layers halves the share, which leaves 0.125, not {got:.4g}"
    )


def cosines_are_cosines(cosines):
    """Check that both were measured."""
    for name in ("alpha 1", "scaled"):
        value = cosines.get(name)
        fits = value is not None and abs(float(value)) <= 1.001
        assert fits, f"cosines[{name!r}] should be a mean cosine, got {value!r}"


def share_is_right(difference_left, *, seed):
    """Follow the difference and the common part through the layers."""
    rng = random.Random(seed)
    for _ in range(3):
        alpha, n_layers = rng.uniform(1, 4), rng.randrange(2, 6)
        difference = common = 1.0
        for _ in range(n_layers):
            difference, common = alpha * difference, alpha * common + common
        got, share = float(difference_left(alpha, n_layers)), difference / common
        assert close(got, share, "difference_left"), (
            f"difference_left({alpha:.3f}, {n_layers}) should not be {got:.4g}: by what is the "
            "difference multiplied in a layer, and by what the common part?"
        )


def layers_are_counted(layers_until, *, percent):
    """Follow the share down until it is small enough."""
    for alpha in (1.0, 1.7, 3.0):
        left, n_layers = 1.0, 0
        while left >= percent / 100:
            left, n_layers = left * alpha / (alpha + 1), n_layers + 1
        got = layers_until(alpha)
        assert got == n_layers, (
            f"layers_until({alpha:g}) should not be {got!r}: it is the first number of layers after "
            f"which less than {percent} % is left"
        )


def layer_is_right(scaled_sum, *, seed):
    """Try one layer with functions of our own."""
    x = normal(2, 3, 4, seed=seed)
    for alpha in (1.0, 2.5):
        got = scaled_sum(x, torch.square, torch.tanh, alpha)
        error = np.abs(array(got) - torch.tanh(alpha * x + x * x).numpy()).max()
        assert error < 6e-4, (
            f"scaled_sum is off by {error:.2g} for alpha {alpha:g}: scale x, add f(x), then norm"
        )


def large_alpha_changes_nothing(top_cosine, *, n_words):
    """Check that only the first positions are left where the layers do not count."""
    kept = float(top_cosine(1e4, 8, n_words))
    lost = float(top_cosine(1.0, 8, n_words))
    assert abs(kept) < 0.2, (
        f"With a huge alpha the random positions should stay as they are, with a mean cosine near "
        f"0, not {kept:.3f}: is alpha used?"
    )
    assert lost > kept + 0.3, "With alpha 1 the positions should become alike"


def scaling_keeps_positions_apart(cosines):
    """Compare the two that were measured."""
    assert float(cosines["scaled"]) < float(cosines["alpha 1"]) - 0.005, (
        "The scaled stream should keep positions further apart than alpha 1 does"
    )
