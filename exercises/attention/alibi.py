"""Linear biases in place of positions."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
import random
from typing import Any

import torch

from exercises import Check, Exercise
from exercises.attention.heads import normal
from exercises.twists import Twist, asked, begun, drawn, wrapped

PUBLISHED = r"""
{cite:t}`press2022train` put no positions into the input at all. Head $h = 1, \dots, H$ takes from each score the distance of query and key, $i - j$, times a slope $m_h = 2^{-8h/H}$ of its own; what comes later stays hidden.
"""
VARIED = r"""
{cite:t}`press2022train` put no positions into the input at all. Head $h = 1, \dots, H$ takes from each score the distance of query and key, $i - j$, times a slope of its own, here $m_h = 2^{-{{power}}h/H}$; what comes later stays hidden.
"""
TASK = """
Write `alibi_bias`, an additive mask. The queries are the *last* positions, as in decoding with a cache. Then write `attend_alibi`, and check that the last query alone gets the same as in company. Which heads look far?
"""
STARTER = '''
def alibi_bias(n_heads, n_queries, n_keys):
    """Return the bias, (H, T_q, T_k), -inf where a query must not look."""
    ...

def attend_alibi(q, k, v):
    """q (H, T_q, d), k and v (H, T_k, d)"""
    ...
'''
HINT = "Build the distances of all pairs by broadcasting, `(T_q, 1)` minus `(T_k,)`; which position does query 0 have when there are fewer queries than keys? The slopes then need the shape `(H, 1, 1)`."
SOLUTION = """
def alibi_bias(n_heads, n_queries, n_keys):
    slopes = 2.0 ** (-POWER * torch.arange(1, n_heads + 1) / n_heads)
    positions = torch.arange(n_keys - n_queries, n_keys)
    distance = positions[:, None] - torch.arange(n_keys)
    bias = -slopes[:, None, None] * distance
    return bias.masked_fill(distance < 0, -math.inf)

def attend_alibi(q, k, v):
    bias = alibi_bias(q.shape[-3], q.shape[-2], k.shape[-2])
    return attention.scaled_dot_product_attention(q, k, v, mask=bias)
"""
TWISTS = {
    "heads last": Twist(
        "Here the heads come last: `alibi_bias` returns (T_q, T_k, H).",
        {"alibi_bias": ("", "result = result.movedim(0, -1)")},
        {"(H, T_q, T_k), -inf": "(T_q, T_k, H), -inf"},
    ),
    "keys first": Twist(
        "Keys come before queries in the table, so the key counts as the row and the query as the column.",
        {"alibi_bias": ("", "result = result.mT")},
        {"T_q, T_k": "T_k, T_q"},
    ),
    "subtracted": Twist(
        "Here the table is *subtracted* from the scores: it holds penalties of 0 and more, and infinity where a query must not look. (`attend_alibi` gives the same as ever.)",
        {"alibi_bias": ("", "result = -result")},
        {"-inf": "inf", "the bias": "the penalty"},
    ),
}
TRIAL = """
published = [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]  # for 8 heads
hidden = -math.inf
for_one = [[-2, -1, 0, hidden, hidden], [-3, -2, -1, 0, hidden], [-4, -3, -2, -1, 0]]
table = torch.tensor(published)[:, None, None] * torch.tensor(for_one)
check("bias of 3 queries and 5 keys, by hand", alibi_bias(8, 3, 5), table)
torch.manual_seed(0)
queries, keys, values = (torch.randn(8, n, 4) for n in (3, 5, 5))
right = F.scaled_dot_product_attention(queries, keys, values, attn_mask=table)
check("answers, by PyTorch", attend_alibi(queries, keys, values), right, 1e-5)
check("the last query alone", attend_alibi(queries[:, 2:], keys, values), right[:, 2:], 1e-5)
"""
EXPLANATION = r"""
Query $t$ of the queries stands at position $T_k - T_q + t$; without this shift, decoding with a cache takes the newest token for the first one and lets it see a single key. The last heads have the smallest slopes, so they look farthest: at $h = H$ the slope is $2^{-{{power}}}$, and a key {{far}} tokens away loses a factor of $e$. Distances longer than any in training are nothing new, just a larger penalty; that is why such a model can read on past the length it was trained with.
"""
# The mistake, and what it writes in place of what stands in the solution.
MISTAKES = {
    "queries taken for the first positions": (
        "torch.arange(n_keys - n_queries, n_keys)",
        "torch.arange(n_queries)",
    ),
    "slopes counted from zero": ("torch.arange(1, n_heads + 1)", "torch.arange(n_heads)"),
    "a reward for distance": ("-slopes", "slopes"),
    "the future in sight": ("distance < 0", "distance < -n_keys"),
    "one slope for all": ("torch.arange(1, n_heads + 1)", "torch.ones(n_heads)"),
}


def exercise(
    seed: int = 0,
    n_heads: int = 4,
    power: int = 8,
    n_queries: int = 5,
    n_keys: int = 9,
    twists: tuple[str, ...] = (),
) -> Exercise:
    """Return the exercise with the slopes ``2 ** (-power * h / n_heads)``, and `twists`."""
    solution = SOLUTION.replace("POWER", str(power))
    layout = {"twists": twists}
    slopes = {"n_heads": n_heads, "power": power}
    more_heads = {"n_heads": 2 * n_heads, "power": power}
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code, {"alibi_bias": "n_heads, n_queries, n_keys"}, twisted)

    return Exercise(
        id="attention-alibi",
        title="Positions as a penalty: ALiBi",
        kind="code",
        difficulty=3,
        minutes=30,
        points=6,
        question=asked(f"{PUBLISHED if power == 8 else VARIED}{TASK}", twisted),
        starter=begun(STARTER, twisted),
        hint=HINT,
        solution=filled(solution),
        explanation=EXPLANATION,
        values={"power": power, "far": 2**power},
        visible=(
            Check(bias_has_its_shape, {"n_heads": n_heads} | layout),
            Check(bias_is_causal, {"n_heads": n_heads} | layout),
        ),
        hidden=(
            Check(bias_is_right, slopes | layout | {"n_queries": n_queries, "n_keys": n_keys}),
            Check(bias_is_right, more_heads | layout | {"n_queries": n_keys, "n_keys": n_keys}),
            Check(last_query_is_the_same_alone, {"seed": seed, "n_heads": n_heads}),
            Check(bias_is_used, {"seed": seed + 1} | slopes),
        ),
        wrong_answers={
            mistake: filled(solution.replace(right, wrong))
            for mistake, (right, wrong) in MISTAKES.items()
        },
        words=True,
        trial=TRIAL if power == 8 and not twists else "",
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, sizes, and how steep the slopes are."""
    n_queries = rng.randrange(3, 6)
    return {
        "seed": rng.randrange(10_000),
        "n_heads": rng.choice((2, 4, 6)),
        "power": rng.choice((4, 5, 6, 7, 9, 10)),
        "n_queries": n_queries,
        "n_keys": n_queries + rng.randrange(2, 6),
        "twists": drawn(rng, TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def as_on_the_page(table, twists):
    """Return the table as the page asks for it: (H, T_q, T_k), to be added to the scores."""
    table = -table if "subtracted" in twists else table
    table = table.movedim(-1, 0) if "heads last" in twists else table
    return table.mT if "keys first" in twists else table


def bias_has_its_shape(alibi_bias, *, n_heads, twists):
    """Check that there is one table for each head."""
    shape, wanted = tuple(alibi_bias(n_heads, 3, 5).shape), (3, 5)
    wanted = wanted[::-1] if "keys first" in twists else wanted
    wanted = (*wanted, n_heads) if "heads last" in twists else (n_heads, *wanted)
    assert shape == wanted, f"alibi_bias should give {wanted}, not {shape}"


def bias_is_causal(alibi_bias, *, n_heads, twists):
    """Check that it is minus infinity where a key comes later, and only there."""
    seen = as_on_the_page(alibi_bias(n_heads, 5, 5), twists) > -math.inf
    expected = torch.ones(5, 5).tril().bool().expand(n_heads, 5, 5)
    hidden = "inf" if "subtracted" in twists else "-inf"
    assert torch.equal(seen, expected), f"Exactly the keys that come later should get {hidden}"


def bias_is_right(alibi_bias, *, n_heads, power, n_queries, n_keys, twists):
    """Check that each number is minus slope times distance."""
    bias = as_on_the_page(alibi_bias(n_heads, n_queries, n_keys), twists)
    for h in range(n_heads):
        for t in range(n_queries):
            i = n_keys - n_queries + t
            for j in range(n_keys):
                slope = 2 ** (-power * (h + 1) / n_heads)
                expected = -slope * (i - j) if j <= i else -math.inf
                got = float(bias[h, t, j])
                assert got == expected or abs(got - expected) < 6e-4, (
                    f"For {n_heads} heads, {n_queries} queries and {n_keys} keys the bias of "
                    f"head {h + 1}, query {t}, key {j} should not be {got:.4g}: check the sign, "
                    "the slope, and at which position the query stands"
                )


def last_query_is_the_same_alone(attend_alibi, *, seed, n_heads):
    """Compare the last query alone with the last row of the whole."""
    q, k, v = normal(3, n_heads, 7, 8, seed=seed)
    error = float((attend_alibi(q[:, -1:], k, v) - attend_alibi(q, k, v)[:, -1:]).abs().max())
    assert error < 6e-4, f"The last query alone gets an answer that is off by {error:.2g}"


def bias_is_used(attend_alibi, *, seed, n_heads, power):
    """Compare with a softmax written out."""
    q, k, v = normal(3, n_heads, 6, 8, seed=seed)
    slopes = torch.tensor([2.0 ** (-power * h / n_heads) for h in range(1, n_heads + 1)])
    scores = q @ k.mT / math.sqrt(8) + slopes[:, None, None] * torch.arange(6.0)
    scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf)
    error = float((attend_alibi(q, k, v) - scores.softmax(-1) @ v).abs().max())
    assert error < 6e-4, (
        f"attend_alibi is off by {error:.2g}: add the bias to the scaled scores, before softmax"
    )
