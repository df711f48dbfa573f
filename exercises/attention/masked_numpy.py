"""Masked attention in NumPy, in which a row may be allowed nothing."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from exercises import Check, Exercise
from exercises.answers import array, parts
from exercises.twists import Twist, asked, begun, drawn, wrapped

QUESTION = """
Write attention with a boolean mask in NumPy. A query that may look at nothing gets zeros. No warning may appear, also when the scores are in the thousands.
"""
HIDING = """
Here the mask is `True` where a query must *not* look, as PyTorch's `nn.MultiheadAttention` has it.
"""
STARTER = '''
def masked_attention(q, k, v, mask):
    """q (T_q, d_k), k (T_k, d_k), v (T_k, d_v)

    mask (T_q, T_k), True where a query {may} look"""
    ...
'''
TWISTS = {
    "weights": Twist(
        "Return two arrays: the result, and the weights (T_q, T_k), which are all 0 for a query that may look at nothing.",
        {
            "masked_attention": (
                "",
                """
                weights = plain_masked_attention(q, k, np.eye(len(k)), mask)
                result = result, weights
                """,
            )
        },
    ),
    "columns": Twist(
        "Here vectors are columns: `q` is (d_k, T_q), `k` is (d_k, T_k), `v` is (d_v, T_k), and the result is (d_v, T_q).",
        {"masked_attention": ("q, k, v = q.T, k.T, v.T", "result = result.T")},
        {"q (T_q, d_k), k (T_k, d_k), v (T_k, d_v)": "q (d_k, T_q), k (d_k, T_k), v (d_v, T_k)"},
    ),
}
HINT = r"Subtract each row's maximum before you exponentiate. What is the maximum of a row that is $-\infty$ throughout, and what is it minus itself?"
# In these answers SEEN stands for the mask, True where a query may look.
SOLUTION = """
def masked_attention(q, k, v, mask):
    scores = np.where(SEEN, q @ k.T / np.sqrt(k.shape[1]), -np.inf)
    largest = scores.max(axis=1, keepdims=True)
    shift = np.where(np.isneginf(largest), 0, largest)
    exponentials = np.exp(scores - shift)
    total = exponentials.sum(axis=1, keepdims=True)
    return exponentials @ v / np.where(total == 0, 1, total)
"""
TRIAL = """
rng = np.random.default_rng(0)
qkv = [rng.normal(size=shape) for shape in ((4, 6), (5, 6), (5, 3))]
may_look = rng.random((4, 5)) < 0.5
may_look[0], may_look[1:, 2] = False, True  # query 0 is blind, the others see key 2
for scale in (1, 3000):
    case, warnings = (scale * qkv[0], *qkv[1:]), []
    with np.errstate(all="call", under="ignore", call=lambda *said: warnings.append(said)):
        found = masked_attention(*case, MASK)
    tensors = map(torch.tensor, (*case, may_look))
    right = F.scaled_dot_product_attention(*tensors)
    check(f"queries that see, by PyTorch, scale {scale}", found[1:], right[1:], 1e-6)
    check(f"query that sees nothing, scale {scale}", found[0], [0, 0, 0])
    check(f"warnings from NumPy, scale {scale}", len(warnings), 0)
"""
EXPLANATION = r"""
Two places need care. The maximum of an empty row is $-\infty$, and $-\infty - (-\infty)$ is not a number, so we subtract 0 there; all exponentials of that row are then 0. So is their sum, and dividing by 1 instead leaves the zeros. A large negative number in place of $-\infty$ would not do: that row would become the mean of values it may not see.
"""
WRONG_ANSWERS = {
    "blind rows become nan": """
        def masked_attention(q, k, v, mask):
            scores = np.where(SEEN, q @ k.T / np.sqrt(k.shape[1]), -np.inf)
            w = np.exp(scores - scores.max(axis=1, keepdims=True))
            return w / w.sum(axis=1, keepdims=True) @ v
        """,
    "a large negative number": """
        def masked_attention(q, k, v, mask):
            scores = np.where(SEEN, q @ k.T / np.sqrt(k.shape[1]), -1e9)
            w = np.exp(scores - scores.max(axis=1, keepdims=True))
            return w / w.sum(axis=1, keepdims=True) @ v
        """,
    "the mask after the softmax": """
        def masked_attention(q, k, v, mask):
            scores = q @ k.T / np.sqrt(k.shape[1])
            w = np.exp(scores - scores.max(axis=1, keepdims=True))
            return w / w.sum(axis=1, keepdims=True) * SEEN @ v
        """,
    "no maximum subtracted": """
        def masked_attention(q, k, v, mask):
            w = np.exp(q @ k.T / np.sqrt(k.shape[1])) * SEEN
            total = w.sum(axis=1, keepdims=True)
            return w @ v / np.where(total == 0, 1, total)
        """,
    "the maximum taken over hidden keys too": """
        def masked_attention(q, k, v, mask):
            scores = q @ k.T / np.sqrt(k.shape[1])
            w = np.exp(scores - scores.max(axis=1, keepdims=True)) * SEEN
            total = w.sum(axis=1, keepdims=True)
            return w @ v / np.where(total == 0, 1, total)
        """,
    "the scale forgotten": """
        def masked_attention(q, k, v, mask):
            scores = np.where(SEEN, q @ k.T, -np.inf)
            largest = scores.max(axis=1, keepdims=True)
            w = np.exp(scores - np.where(np.isneginf(largest), 0, largest))
            total = w.sum(axis=1, keepdims=True)
            return w @ v / np.where(total == 0, 1, total)
        """,
    "the mask turned round": """
        def masked_attention(q, k, v, mask):
            scores = np.where(SEEN ^ True, q @ k.T / np.sqrt(k.shape[1]), -np.inf)
            largest = scores.max(axis=1, keepdims=True)
            w = np.exp(scores - np.where(np.isneginf(largest), 0, largest))
            total = w.sum(axis=1, keepdims=True)
            return w @ v / np.where(total == 0, 1, total)
        """,
}


def exercise(seed: int = 0, hides: bool = False, twists: tuple[str, ...] = ()) -> Exercise:
    """Return the exercise with a mask that says what is seen, or what it hides, and `twists`."""
    seen = "~mask" if hides else "mask"
    given = [{"seed": seed + i, "hides": hides, "twists": twists} for i in range(4)]
    twisted = [TWISTS[name] for name in twists]

    def filled(code: str) -> str:
        return wrapped(code.replace("SEEN", seen), {"masked_attention": "q, k, v, mask"}, twisted)

    return Exercise(
        id="attention-masked-numpy",
        title="A row that may look at nothing",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=asked(f"{QUESTION}{HIDING}" if hides else QUESTION, twisted),
        starter=begun(STARTER.format(may="must not" if hides else "may"), twisted),
        hint=HINT,
        solution=filled(SOLUTION),
        explanation=EXPLANATION,
        visible=(
            Check(agrees_where_rows_see, given[0]),
            Check(has_the_right_shape, {"hides": hides, "twists": twists}),
        ),
        hidden=(
            Check(blind_rows_give_zeros, given[1]),
            Check(large_scores_are_safe, given[2]),
            Check(arguments_stay_as_they_are, given[3]),
        ),
        wrong_answers={mistake: filled(code) for mistake, code in WRONG_ANSWERS.items()},
        public_solution=True,
        trial="" if twists else TRIAL.replace("MASK", "~may_look" if hides else "may_look"),
    )


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw numbers, what the mask means, and what else is otherwise than on the page."""
    chosen = drawn(rng, ("hides", *TWISTS))
    return {
        "seed": rng.randrange(10_000),
        "hides": "hides" in chosen,
        "twists": tuple(name for name in chosen if name in TWISTS),
    }


# -- checks --------------------------------------------------------------------------------------


def plain(masked_attention, twists):
    """Return the function as the page asks for it."""

    def as_on_the_page(q, k, v, mask):
        given = [x.T for x in (q, k, v)] if "columns" in twists else [q, k, v]
        out = masked_attention(*given, mask)
        if "weights" in twists:
            out, weights = parts(out, 2)
            shape, found = (len(q), len(k)), array(weights).shape
            assert found == shape, f"The weights should be {shape}, not {found}"
            mixed = array(weights) @ v
            error = np.abs((array(out).T if "columns" in twists else array(out)) - mixed).max()
            assert error < 0.02, (
                f"The result differs by {error:.2g} from the values mixed with the weights that "
                "are returned beside it"
            )
        return array(out).T if "columns" in twists else out

    return as_on_the_page


def masked_case(seed: int, t_q: int = 5, t_k: int = 7, d_k: int = 6, d_v: int = 4):
    """Draw queries, keys, values and a mask in which every row sees something."""
    rng = np.random.default_rng(seed)
    mask = rng.random((t_q, t_k)) < 0.5
    mask[np.arange(t_q), np.arange(t_q) % t_k] = True
    return *(rng.standard_normal(s) for s in ((t_q, d_k), (t_k, d_k), (t_k, d_v))), mask


def library_attention(*arrays) -> np.ndarray:
    """Let PyTorch say what the answer is."""
    q, k, v, mask = (torch.from_numpy(np.asarray(x))[None, None] for x in arrays)
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)[0, 0].numpy()


def agrees_where_rows_see(masked_attention, *, seed, hides, twists):
    """Compare with PyTorch where no row is empty."""
    masked_attention = plain(masked_attention, twists)
    q, k, v, seen = masked_case(seed)
    out = array(masked_attention(q, k, v, seen != hides))
    error = np.abs(out - library_attention(q, k, v, seen)).max()
    assert error < 6e-4, (
        f"masked_attention differs from PyTorch by {error:.2g}: are the scores scaled, hidden "
        "before the softmax, and does each row of weights sum to 1?"
    )


def has_the_right_shape(masked_attention, *, hides, twists):
    """Check that the result is (T_q, d_v)."""
    masked_attention = plain(masked_attention, twists)
    q, k, v, seen = masked_case(0, t_q=3, t_k=4, d_v=2)
    shape = array(masked_attention(q, k, v, seen != hides)).shape
    assert shape == (3, 2), f"3 queries and values of width 2 should give (3, 2), not {shape}"


def without_warning(function, *arguments):
    """Call a function, and fail where NumPy would warn."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            return array(function(*arguments))
    except FloatingPointError as error:
        raise AssertionError(
            f"NumPy warns ({error}): think of rows that are -inf throughout, and of large scores"
        ) from error


def blind_rows_give_zeros(masked_attention, *, seed, hides, twists):
    """Check that a row that sees nothing is zero, and the others as before."""
    masked_attention = plain(masked_attention, twists)
    q, k, v, seen = masked_case(seed)
    expected = library_attention(q, k, v, seen)
    for row in (0, 3):
        seen[row], expected[row] = False, 0.0
    out = without_warning(masked_attention, q, k, v, seen != hides)
    assert np.isfinite(out).all(), "A query that may look at nothing gives nan, and not zeros"
    assert np.abs(out[[0, 3]]).max() < 1e-9, "A query that may look at nothing should give zeros"
    assert np.allclose(out, expected, atol=6e-4), (
        "Queries beside one that is blind should be as before"
    )


def large_scores_are_safe(masked_attention, *, seed, hides, twists):
    """Check scores in the thousands, the largest of them hidden."""
    masked_attention = plain(masked_attention, twists)
    q, k, v, seen = masked_case(seed)
    k[0] = 40.0 * q[0]
    q, seen[:, 0], seen[:, 1] = 100.0 * q, False, True
    expected = library_attention(q, k, v, seen)
    out = without_warning(masked_attention, q, k, v, seen != hides)
    assert np.allclose(out, expected, atol=6e-4), (
        "With large scores the result is wrong: subtract from each row its largest score, and "
        "only scores that are allowed count for that"
    )


def arguments_stay_as_they_are(masked_attention, *, seed, hides, twists):
    """Check that no argument is written to."""
    masked_attention = plain(masked_attention, twists)
    q, k, v, seen = masked_case(seed)
    case = (q, k, v, seen != hides)
    before = [x.copy() for x in case]
    masked_attention(*case)
    same = all((x == old).all() for x, old in zip(case, before, strict=True))
    assert same, "masked_attention writes into one of its arguments; work on a copy"
