"""Exercises of the chapter *Attention*."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch

from companion import attention, models
from companion.reference import attention as reference
from exercises import Check, Exercise

# What every answer may use without importing it.
SETUP = """\
import math
from fractions import Fraction

import numpy as np
import torch

from companion import attention, device, layers, models
"""


def _fractions(numerators: list[int], denominator: int) -> str:
    return ", ".join(rf"\tfrac{{{n}}}{{{denominator}}}" for n in numerators)


# -- 1 -------------------------------------------------------------------------------------------


def softmax_by_hand(
    parts: tuple[int, ...] = (1, 2, 5), values: tuple[int, ...] = (6, 11, 4)
) -> Exercise:
    """Softmax where the exponentials are whole numbers, and once more with doubled scores."""
    squares = [p * p for p in parts]
    weights, doubled = ([Fraction(p, sum(ps)) for p in ps] for ps in (parts, squares))
    answer, answer_doubled = (
        sum((w * v for w, v in zip(ws, values, strict=True)), Fraction(0))
        for ws in (weights, doubled)
    )
    scores = ", ".join(rf"\ln {p}" for p in parts)
    right = {
        "weights": [float(w) for w in weights],
        "answer": float(answer),
        "weights_doubled": [float(w) for w in doubled],
        "answer_doubled": float(answer_doubled),
    }
    return Exercise(
        id="attention-softmax-by-hand",
        title="A softmax without a calculator",
        kind="by hand",
        difficulty=1,
        minutes=10,
        points=2,
        question=f"""\
            A query meets three keys with scaled scores ${scores}$. The values are ${", ".join(map(str, values))}$. Find the weights and the answer, as fractions.

            Now somebody forgets the scale of a head of width 4, which doubles every score. Find both again. Where did the answer move, and why?
            """,
        starter="""\
            weights = [..., ..., ...]  # Fraction(1, 3) will do
            answer = ...
            weights_doubled = [..., ..., ...]
            answer_doubled = ...
            """,
        hint=r"$e^{\ln a} = a$. And what is $e^{2 \ln a}$?",
        solution=_softmax_solution(weights, answer, doubled, answer_doubled),
        explanation=f"""\
            The exponentials are ${", ".join(map(str, parts))}$, together {sum(parts)}. The weights are ${_fractions(list(parts), sum(parts))}$, and the answer is ${answer}$.

            Doubling a score squares its exponential: ${", ".join(map(str, squares))}$, together {sum(squares)}. The weights are ${_fractions(squares, sum(squares))}$, the answer is ${answer_doubled}$. The largest weight grew from {float(max(weights)):.3f} to {float(max(doubled)):.3f}, and pulled the answer towards its own value, {values[parts.index(max(parts))]}. Softmax turns *differences* of scores into *ratios* of weights, so a larger scale is a harder choice.
            """,
        visible=(Check(weights_are_weights, {"n": len(parts)}),),
        hidden=(Check(weights_and_answers, {"right": right}),),
        wrong_answers={
            "weights in proportion to the scores": f"""
                logs = np.log({parts})
                weights = logs / logs.sum()
                weights_doubled = weights
                answer = answer_doubled = weights @ np.array({values})
                """,
            "doubled scores leave the weights alone": f"""
                weights = weights_doubled = {right["weights"]}
                answer = answer_doubled = {right["answer"]}
                """,
            "the answer not weighted": f"""
                weights = {right["weights"]}
                weights_doubled = {right["weights_doubled"]}
                answer = answer_doubled = {sum(values) / len(values)}
                """,
        },
        public_solution=True,
    )


def _softmax_solution(
    weights: list[Fraction], answer: Fraction, doubled: list[Fraction], answer_doubled: Fraction
) -> str:
    return (
        f"weights = {weights}\nanswer = {answer!r}\n"
        f"weights_doubled = {doubled}\nanswer_doubled = {answer_doubled!r}"
    )


def weights_are_weights(weights, weights_doubled, *, n):
    """Check that both lists are positive and sum to 1."""
    for name, given in (("weights", weights), ("weights_doubled", weights_doubled)):
        given = [float(w) for w in given]
        assert len(given) == n, f"{name} should hold {n} numbers, one for each key"
        assert min(given) > 0, f"{name}: softmax gives every key a weight above 0"
        assert abs(sum(given) - 1) < 1e-3, f"{name} should sum to 1, but sum to {sum(given):.3f}"


def weights_and_answers(weights, answer, weights_doubled, answer_doubled, *, right):
    """Check all four results."""
    given = {
        "weights": [float(w) for w in weights],
        "answer": float(answer),
        "weights_doubled": [float(w) for w in weights_doubled],
        "answer_doubled": float(answer_doubled),
    }
    advice = {
        "weights": "exponentiate the scores, then divide by their sum",
        "answer": "it is the mean of the values, weighted with the weights",
        "weights_doubled": "exponentiate twice the scores; what does that do to each exponential?",
        "answer_doubled": "it is the mean of the values, weighted with the new weights",
    }
    for name, value in given.items():
        assert np.allclose(value, right[name], atol=2e-3), f"{name} is not right: {advice[name]}"


# -- 2 -------------------------------------------------------------------------------------------


def cache_by_hand(
    n_layers: int = 32,
    n_heads: int = 32,
    width: int = 128,
    gib: int = 10,
    users: int = 16,
    length: int = 8192,
) -> Exercise:
    """Bytes of a KV cache in 16 bits, the tokens that fit, and the groups that are needed."""
    per_head = 2 * n_layers * width * 2  # bytes: keys and values, two bytes each
    fit = gib * 2**30 // (users * length * per_head)
    right = {
        "bytes_per_token": per_head * n_heads,
        "tokens": gib * 2**30 // (per_head * n_heads),
        "kv_heads": max(g for g in range(1, fit + 1) if n_heads % g == 0),
    }
    return Exercise(
        id="attention-cache-by-hand",
        title="How many conversations fit?",
        kind="by hand",
        difficulty=2,
        minutes=15,
        points=3,
        question=f"""\
            A model has {n_layers} layers, each with {n_heads} query heads of width {width}. Keys and values are kept in 16 bits, and {gib} GiB ($1\\,\\mathrm{{GiB}} = 2^{{30}}$ bytes) of the accelerator are left for them.

            How many bytes does one token take if every query head has its own keys and values? How many tokens fit? Then {users} users want {length} tokens each at the same time: what is the largest number of key-value heads, shared by equal groups of query heads, that makes this possible?
            """,
        starter="""\
            bytes_per_token = ...
            tokens = ...
            kv_heads = ...
            """,
        hint="Equation {eq}`eq-kv-cache` with $T = 1$; work in powers of two. For the last part, leave $G$ unknown, and ask which values of $G$ are allowed at all.",
        solution="\n".join(f"{name} = {value}" for name, value in right.items()),
        explanation=f"""\
            A token takes $2 \\cdot {n_layers} \\cdot {n_heads} \\cdot {width} \\cdot 2 = {right["bytes_per_token"]}$ bytes, which is {right["bytes_per_token"] // 1024} KiB, so {right["tokens"]} tokens fit.

            With $G$ key-value heads a token takes $2 \\cdot {n_layers} \\cdot {width} \\cdot 2 \\, G = {per_head} \\, G$ bytes, and the users have ${users} \\cdot {length} = {users * length}$ tokens. The memory allows $G \\le {fit}$; but $G$ must divide {n_heads}, so that every key-value head serves equally many query heads. The answer is $G = {right["kv_heads"]}$.
            """,
        visible=(Check(counts_are_whole, {"n_heads": n_heads}),),
        hidden=(Check(counts_are_right, {"right": right}),),
        wrong_answers={
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
        },
    )


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


# -- 3 -------------------------------------------------------------------------------------------


def shuffling(seed: int = 0, n: int = 6, order: tuple[int, ...] = (3, 0, 5, 1, 4, 2)) -> Exercise:
    """Ask what attention does when positions are shuffled."""
    truth = shuffle_outcomes(seed, n, order)
    wrong = dict(truth, a="shuffled")
    return Exercise(
        id="attention-shuffling",
        title="Shuffle the cards",
        kind="predict",
        difficulty=2,
        minutes=10,
        points=3,
        question="""\
            The code below has six queries, keys and values, and an order to shuffle them by. Five times something is shuffled:

            - (a) keys and values, both alike;
            - (b) queries only;
            - (c) keys only;
            - (d) queries, keys and values, all alike;
            - (e) the same as (d), with a causal mask before and after.

            Before you run anything, write down for each whether the output is the *same*, the same rows *shuffled* alike, or *different*. Then run all five with `compare`. Explain each in one sentence.
            """,
        starter=f"""\
            torch.manual_seed({seed})
            q, k, v = torch.randn(3, {n}, 8)
            order = torch.tensor({list(order)})
            attend = attention.scaled_dot_product_attention

            def compare(old, new):
                for name, expected in (("same", old), ("shuffled", old[order])):
                    if torch.allclose(new, expected, atol=1e-5):
                        return name
                return "different"

            predictions = {{"a": ..., "b": ..., "c": ..., "d": ..., "e": ...}}
            """,
        hint="The output of a query is a sum over the keys. Does a sum ask for an order? And which row of the output belongs to which query?",
        solution=f"predictions = {truth}",
        explanation=f"""\
            - (a) {truth["a"]}: each value is still found by its own key, and a sum does not care in what order it is taken.
            - (b) {truth["b"]}: each query gets its own answer, wherever it stands.
            - (c) {truth["c"]}: the values are now found by the wrong keys.
            - (d) {truth["d"]}: (a) and (b) together, the permutation equivariance of the chapter.
            - (e) {truth["e"]}: the mask speaks of positions, and so knows the order. A causal model can tell orders apart even when no positions are put in.
            """,
        visible=(Check(predictions_are_complete),),
        hidden=(Check(predictions_come_true, {"seed": seed, "n": n, "order": order}),),
        wrong_answers={
            "keys and values shuffle the output": f"predictions = {wrong}",
            "the mask changes nothing": f"predictions = {dict(truth, e='shuffled')}",
            "a word that was not offered": f"predictions = {dict(truth, c='wrong')}",
        },
        public_solution=True,
    )


def shuffle_outcomes(seed: int, n: int, order: tuple[int, ...]) -> dict[str, str]:
    """Run the five experiments."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, n, 8, generator=generator, dtype=torch.float64)
    index = list(order)
    attend = attention.scaled_dot_product_attention
    plain, causal = attend(q, k, v), attend(q, k, v, is_causal=True)
    moved = (q[index], k[index], v[index])
    outcomes = {
        "a": (plain, attend(q, k[index], v[index])),
        "b": (plain, attend(q[index], k, v)),
        "c": (plain, attend(q, k[index], v)),
        "d": (plain, attend(*moved)),
        "e": (causal, attend(*moved, is_causal=True)),
    }
    return {case: _compare(old, new, index) for case, (old, new) in outcomes.items()}


def _compare(old: torch.Tensor, new: torch.Tensor, index: list[int]) -> str:
    if torch.allclose(old, new):
        return "same"
    return "shuffled" if torch.allclose(old[index], new) else "different"


def predictions_are_complete(predictions):
    """Check that there is one of the three words for each case."""
    words = ("same", "shuffled", "different")
    for case in "abcde":
        given = predictions.get(case)
        assert given in words, f"({case}) should be one of {', '.join(words)}, got {given!r}"


def predictions_come_true(predictions, *, seed, n, order):
    """Run the experiments and compare."""
    truth = shuffle_outcomes(seed, n, order)
    wrong = [case for case in truth if predictions[case] != truth[case]]
    assert not wrong, f"The run says otherwise for {', '.join(wrong)}; run them with compare"


# -- 4 -------------------------------------------------------------------------------------------


def masked_numpy(seed: int = 0) -> Exercise:
    """Masked attention in NumPy, in which a row may be allowed nothing."""
    return Exercise(
        id="attention-masked-numpy",
        title="A row that may look at nothing",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question="""\
            Write attention with a boolean mask in NumPy. A query that may look at nothing gets zeros. No warning may appear, also when the scores are in the thousands.
            """,
        starter="""\
            def masked_attention(q, k, v, mask):
                \"""q (T_q, d_k), k (T_k, d_k), v (T_k, d_v)

                mask (T_q, T_k), True where a query may look\"""
                ...
            """,
        hint="Subtract each row's maximum before you exponentiate. What is the maximum of a row that is $-\\infty$ throughout, and what is it minus itself?",
        solution="""\
            def masked_attention(q, k, v, mask):
                scores = np.where(mask, q @ k.T / np.sqrt(k.shape[1]), -np.inf)
                largest = scores.max(axis=1, keepdims=True)
                shift = np.where(np.isneginf(largest), 0, largest)
                exponentials = np.exp(scores - shift)
                total = exponentials.sum(axis=1, keepdims=True)
                return exponentials @ v / np.where(total == 0, 1, total)
            """,
        explanation="""\
            Two places need care. The maximum of an empty row is $-\\infty$, and $-\\infty - (-\\infty)$ is not a number, so we subtract 0 there; all exponentials of that row are then 0. So is their sum, and dividing by 1 instead leaves the zeros. A large negative number in place of $-\\infty$ would not do: that row would become the mean of values it may not see.
            """,
        visible=(Check(agrees_where_rows_see, {"seed": seed}), Check(has_the_right_shape)),
        hidden=(
            Check(blind_rows_give_zeros, {"seed": seed + 1}),
            Check(large_scores_are_safe, {"seed": seed + 2}),
            Check(arguments_stay_as_they_are, {"seed": seed + 3}),
        ),
        wrong_answers={
            "blind rows become nan": """
                def masked_attention(q, k, v, mask):
                    scores = np.where(mask, q @ k.T / np.sqrt(k.shape[1]), -np.inf)
                    w = np.exp(scores - scores.max(axis=1, keepdims=True))
                    return w / w.sum(axis=1, keepdims=True) @ v
                """,
            "a large negative number": """
                def masked_attention(q, k, v, mask):
                    scores = np.where(mask, q @ k.T / np.sqrt(k.shape[1]), -1e9)
                    w = np.exp(scores - scores.max(axis=1, keepdims=True))
                    return w / w.sum(axis=1, keepdims=True) @ v
                """,
            "the mask after the softmax": """
                def masked_attention(q, k, v, mask):
                    scores = q @ k.T / np.sqrt(k.shape[1])
                    w = np.exp(scores - scores.max(axis=1, keepdims=True))
                    return w / w.sum(axis=1, keepdims=True) * mask @ v
                """,
            "no maximum subtracted": """
                def masked_attention(q, k, v, mask):
                    w = np.exp(q @ k.T / np.sqrt(k.shape[1])) * mask
                    total = w.sum(axis=1, keepdims=True)
                    return w @ v / np.where(total == 0, 1, total)
                """,
            "the maximum taken over hidden keys too": """
                def masked_attention(q, k, v, mask):
                    scores = q @ k.T / np.sqrt(k.shape[1])
                    w = np.exp(scores - scores.max(axis=1, keepdims=True)) * mask
                    total = w.sum(axis=1, keepdims=True)
                    return w @ v / np.where(total == 0, 1, total)
                """,
            "the scale forgotten": """
                def masked_attention(q, k, v, mask):
                    scores = np.where(mask, q @ k.T, -np.inf)
                    largest = scores.max(axis=1, keepdims=True)
                    w = np.exp(scores - np.where(np.isneginf(largest), 0, largest))
                    total = w.sum(axis=1, keepdims=True)
                    return w @ v / np.where(total == 0, 1, total)
                """,
        },
        public_solution=True,
    )


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


def without_warning(function, *arguments):
    """Call a function, and fail where NumPy would warn."""
    try:
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            return function(*arguments)
    except FloatingPointError as error:
        raise AssertionError(
            f"NumPy warns ({error}): think of rows that are -inf throughout, and of large scores"
        ) from error


def agrees_where_rows_see(masked_attention, *, seed):
    """Compare with the library where no row is empty."""
    case = masked_case(seed)
    error = np.abs(masked_attention(*case) - library_attention(*case)).max()
    assert error < 1e-10, (
        f"masked_attention differs from PyTorch by {error:.2g}: are the scores scaled, hidden "
        "before the softmax, and does each row of weights sum to 1?"
    )


def has_the_right_shape(masked_attention):
    """Check that the result is (T_q, d_v)."""
    shape = np.shape(masked_attention(*masked_case(0, t_q=3, t_k=4, d_v=2)))
    assert shape == (3, 2), f"3 queries and values of width 2 should give (3, 2), not {shape}"


def blind_rows_give_zeros(masked_attention, *, seed):
    """Check that a row that sees nothing is zero, and the others as before."""
    q, k, v, mask = masked_case(seed)
    expected = library_attention(q, k, v, mask)
    for row in (0, 3):
        mask[row], expected[row] = False, 0.0
    out = without_warning(masked_attention, q, k, v, mask)
    assert np.isfinite(out).all(), "A query that may look at nothing gives nan, and not zeros"
    assert np.abs(out[[0, 3]]).max() == 0, "A query that may look at nothing should give zeros"
    assert np.allclose(out, expected), "Queries beside one that is blind should be as before"


def large_scores_are_safe(masked_attention, *, seed):
    """Check scores in the thousands, the largest of them hidden."""
    q, k, v, mask = masked_case(seed)
    k = np.where(np.arange(len(k))[:, None] == 0, 40.0, 1.0) * k
    q, mask[:, 0] = 100.0 * q, False
    expected = library_attention(q, k, v, mask)
    out = without_warning(masked_attention, q, k, v, mask)
    assert np.allclose(out, expected), (
        "With large scores the result is wrong: subtract from each row its largest score, and "
        "only scores that are allowed count for that"
    )


def arguments_stay_as_they_are(masked_attention, *, seed):
    """Check that no argument is written to."""
    case = masked_case(seed)
    before = [x.copy() for x in case]
    masked_attention(*case)
    same = all((x == old).all() for x, old in zip(case, before, strict=True))
    assert same, "masked_attention writes into one of its arguments; work on a copy"


# -- 5 -------------------------------------------------------------------------------------------


def heads(seed: int = 0, n_heads: int = 3) -> Exercise:
    """Cut features into heads, join them, and make multi-head attention of it."""
    return Exercise(
        id="attention-heads",
        title="Cut and join",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question="""\
            Write `split_heads` and its exact inverse `join_heads`, for any number of leading dimensions (also none). With them, write `multi_head` of equation {eq}`eq-multihead`.
            """,
        starter="""\
            def split_heads(x, n_heads):
                \"""(..., T, D) to (..., H, T, D/H)\"""
                ...

            def join_heads(x):
                \"""(..., H, T, D/H) to (..., T, D)\"""
                ...

            def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
                \"""x (..., T, D) and four matrices (D, D), applied as x @ w\"""
                ...
            """,
        hint="First cut the last dimension in two, then move the heads in front of the positions. Joining undoes the steps in the opposite order. Count dimensions from the end.",
        solution="""\
            def split_heads(x, n_heads):
                return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)

            def join_heads(x):
                return x.transpose(-3, -2).flatten(-2)

            def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
                q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
                return join_heads(attention.scaled_dot_product_attention(q, k, v)) @ w_o
            """,
        explanation="""\
            Features may be cut and moved, positions may not. That joining undoes splitting does not show that splitting is right: two plain `reshape`s undo each other as well, with rows cut in the wrong place. What shows it is to change one position and to see which positions of each head move, or to compare with an implementation that you did not write.
            """,
        visible=(
            Check(join_undoes_split, {"seed": seed, "n_heads": n_heads}),
            Check(heads_have_their_shape, {"n_heads": n_heads}),
        ),
        hidden=(
            Check(positions_stay_apart, {"seed": seed + 1, "n_heads": n_heads}),
            Check(leading_dimensions_are_free, {"seed": seed + 2, "n_heads": n_heads}),
            Check(agrees_with_formula, {"seed": seed + 3, "n_heads": n_heads}),
        ),
        wrong_answers={
            "reshaped without transposing": """
                def split_heads(x, n_heads):
                    *lead, T, D = x.shape
                    return x.reshape(*lead, n_heads, T, D // n_heads)

                def join_heads(x):
                    *lead, H, T, d = x.shape
                    return x.reshape(*lead, T, H * d)

                def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
                    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
                    return join_heads(attention.scaled_dot_product_attention(q, k, v)) @ w_o
                """,
            "features dealt out in turn": """
                def split_heads(x, n_heads):
                    return x.unflatten(-1, (-1, n_heads)).movedim(-1, -3)

                def join_heads(x):
                    return x.movedim(-3, -1).flatten(-2)

                def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
                    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
                    return join_heads(attention.scaled_dot_product_attention(q, k, v)) @ w_o
                """,
            "exactly one leading dimension": """
                def split_heads(x, n_heads):
                    return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)

                def join_heads(x):
                    return x.transpose(1, 2).flatten(2)

                def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
                    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
                    return join_heads(attention.scaled_dot_product_attention(q, k, v)) @ w_o
                """,
            "joined without transposing back": """
                def split_heads(x, n_heads):
                    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)

                def join_heads(x):
                    return x.reshape(*x.shape[:-3], x.shape[-2], -1)

                def multi_head(x, w_q, w_k, w_v, w_o, n_heads):
                    q, k, v = (split_heads(x @ w, n_heads) for w in (w_q, w_k, w_v))
                    return join_heads(attention.scaled_dot_product_attention(q, k, v)) @ w_o
                """,
        },
        public_solution=True,
    )


def _normal(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def join_undoes_split(split_heads, join_heads, *, seed, n_heads):
    """Check that splitting and joining gives back what went in."""
    x = _normal(2, 5, 4 * n_heads, seed=seed)
    back = join_heads(split_heads(x, n_heads))
    assert back.shape == x.shape, f"split and joined, {tuple(x.shape)} gives {tuple(back.shape)}"
    assert torch.equal(back, x), "join_heads(split_heads(x, n)) should be x, number for number"


def heads_have_their_shape(split_heads, *, n_heads):
    """Check that the head axis stands before the positions."""
    shape = tuple(split_heads(torch.zeros(2, 5, 4 * n_heads), n_heads).shape)
    assert shape == (2, n_heads, 5, 4), f"split_heads should give (2, {n_heads}, 5, 4), not {shape}"


def positions_stay_apart(split_heads, *, seed, n_heads):
    """Change one position, and look for the change in every head."""
    x = _normal(1, 5, 4 * n_heads, seed=seed)
    other = x.clone()
    other[:, 3] += 1.0
    moved = (split_heads(x, n_heads) != split_heads(other, n_heads)).any(-1)[0]  # head, position
    expected = torch.zeros_like(moved)
    expected[:, 3] = True
    assert torch.equal(moved, expected), (
        "After a change at position 3 alone, each head should differ at position 3 and nowhere "
        f"else; they differ at {[m.nonzero()[:, 0].tolist() for m in moved]}"
    )


def leading_dimensions_are_free(split_heads, join_heads, *, seed, n_heads):
    """Try no, one and two leading dimensions."""
    x = _normal(2, 3, 5, 4 * n_heads, seed=seed)
    for lead, part in (("two", x), ("one", x[0]), ("no", x[0, 0])):
        split = split_heads(part, n_heads)
        shape = (*part.shape[:-2], n_heads, 5, 4)
        assert split.shape == shape, f"With {lead} leading dimensions the shape is {split.shape}"
        assert torch.equal(join_heads(split), part), f"With {lead} leading dimensions x is lost"


def agrees_with_formula(multi_head, *, seed, n_heads):
    """Compare with a loop over heads."""
    size = 4 * n_heads
    x, w_q, w_k, w_v, w_o = _normal(5, size, size, seed=seed)
    x = x[:7]
    expected = reference.multi_head_attention(
        *(m.numpy() for m in (x, x, w_q, w_k, w_v, w_o)), n_heads=n_heads
    )
    error = float((multi_head(x, w_q, w_k, w_v, w_o, n_heads) - torch.tensor(expected)).abs().max())
    assert error < 1e-9, (
        f"multi_head differs from a loop over heads by {error:.2g}: head h should use the h-th "
        "block of neighbouring columns, and the heads be joined before w_o"
    )


# -- 6 -------------------------------------------------------------------------------------------


def alibi(seed: int = 0, n_heads: int = 4) -> Exercise:
    """Linear biases in place of positions."""
    return Exercise(
        id="attention-alibi",
        title="Positions as a penalty: ALiBi",
        kind="code",
        difficulty=3,
        minutes=30,
        points=6,
        question="""\
            {cite:t}`press2022train` put no positions into the input at all. Head $h = 1, \\dots, H$ takes from each score the distance of query and key, $i - j$, times a slope $m_h = 2^{-8h/H}$ of its own; what comes later stays hidden.

            Write `alibi_bias`, an additive mask. The queries are the *last* positions, as in decoding with a cache. Then write `attend_alibi`, and check that the last query alone gets the same as in company. Which heads look far?
            """,
        starter="""\
            def alibi_bias(n_heads, n_queries, n_keys):
                \"""Return the bias, (H, T_q, T_k), -inf where a query must not look.\"""
                ...

            def attend_alibi(q, k, v):
                \"""q (H, T_q, d), k and v (H, T_k, d)\"""
                ...
            """,
        hint="Build the distances of all pairs by broadcasting, `(T_q, 1)` minus `(T_k,)`; which position does query 0 have when there are fewer queries than keys? The slopes then need the shape `(H, 1, 1)`.",
        solution="""\
            def alibi_bias(n_heads, n_queries, n_keys):
                slopes = 2.0 ** (-8 * torch.arange(1, n_heads + 1) / n_heads)
                positions = torch.arange(n_keys - n_queries, n_keys)
                distance = positions[:, None] - torch.arange(n_keys)
                bias = -slopes[:, None, None] * distance
                return bias.masked_fill(distance < 0, -math.inf)

            def attend_alibi(q, k, v):
                bias = alibi_bias(q.shape[-3], q.shape[-2], k.shape[-2])
                return attention.scaled_dot_product_attention(q, k, v, mask=bias)
            """,
        explanation="""\
            Query $t$ of the queries stands at position $T_k - T_q + t$; without this shift, decoding with a cache takes the newest token for the first one and lets it see a single key. The last heads have the smallest slopes, so they look farthest: at $h = H$ the slope is $2^{-8}$, and a key 256 tokens away loses a factor of $e$. Distances longer than any in training are nothing new, just a larger penalty; that is why such a model can read on past the length it was trained with.
            """,
        visible=(
            Check(bias_has_its_shape, {"n_heads": n_heads}),
            Check(bias_is_causal, {"n_heads": n_heads}),
        ),
        hidden=(
            Check(bias_is_right, {"n_heads": n_heads, "n_queries": 5, "n_keys": 9}),
            Check(bias_is_right, {"n_heads": 2 * n_heads, "n_queries": 6, "n_keys": 6}),
            Check(last_query_is_the_same_alone, {"seed": seed, "n_heads": n_heads}),
            Check(bias_is_used, {"seed": seed + 1, "n_heads": n_heads}),
        ),
        wrong_answers={
            "queries taken for the first positions": _alibi_code(first="0", last="n_queries"),
            "slopes counted from zero": _alibi_code(heads="torch.arange(n_heads)"),
            "a reward for distance": _alibi_code(sign=""),
            "the future in sight": _alibi_code(hidden="distance < -n_keys"),
            "one slope for all": _alibi_code(heads="torch.ones(n_heads)"),
        },
    )


def _alibi_code(
    heads: str = "torch.arange(1, n_heads + 1)",
    first: str = "n_keys - n_queries",
    last: str = "n_keys",
    sign: str = "-",
    hidden: str = "distance < 0",
) -> str:
    """Return an answer with one part replaced."""
    return f"""
        def alibi_bias(n_heads, n_queries, n_keys):
            slopes = 2.0 ** (-8 * {heads} / n_heads)
            distance = torch.arange({first}, {last})[:, None] - torch.arange(n_keys)
            bias = {sign}slopes[:, None, None] * distance
            return bias.masked_fill({hidden}, -math.inf)

        def attend_alibi(q, k, v):
            bias = alibi_bias(q.shape[-3], q.shape[-2], k.shape[-2])
            return attention.scaled_dot_product_attention(q, k, v, mask=bias)
        """


def bias_has_its_shape(alibi_bias, *, n_heads):
    """Check that there is one table for each head."""
    shape = tuple(alibi_bias(n_heads, 3, 5).shape)
    assert shape == (n_heads, 3, 5), f"alibi_bias should give ({n_heads}, 3, 5), not {shape}"


def bias_is_causal(alibi_bias, *, n_heads):
    """Check that it is minus infinity where a key comes later, and only there."""
    seen = alibi_bias(n_heads, 5, 5) > -math.inf
    expected = torch.ones(5, 5).tril().bool().expand(n_heads, 5, 5)
    assert torch.equal(seen, expected), "Exactly the keys that come later should get -inf"


def bias_is_right(alibi_bias, *, n_heads, n_queries, n_keys):
    """Check that each number is minus slope times distance."""
    bias = alibi_bias(n_heads, n_queries, n_keys)
    for h in range(n_heads):
        for t in range(n_queries):
            i = n_keys - n_queries + t
            for j in range(n_keys):
                expected = -(2 ** (-8 * (h + 1) / n_heads)) * (i - j) if j <= i else -math.inf
                got = float(bias[h, t, j])
                assert got == expected or abs(got - expected) < 1e-5, (
                    f"For {n_heads} heads, {n_queries} queries and {n_keys} keys the bias of "
                    f"head {h + 1}, query {t}, key {j} should not be {got:.4g}: check the sign, "
                    "the slope, and at which position the query stands"
                )


def last_query_is_the_same_alone(attend_alibi, *, seed, n_heads):
    """Compare the last query alone with the last row of the whole."""
    q, k, v = _normal(3, n_heads, 7, 8, seed=seed)
    error = float((attend_alibi(q[:, -1:], k, v) - attend_alibi(q, k, v)[:, -1:]).abs().max())
    assert error < 1e-9, f"The last query alone gets an answer that is off by {error:.2g}"


def bias_is_used(attend_alibi, *, seed, n_heads):
    """Compare with an explicit softmax."""
    q, k, v = _normal(3, n_heads, 6, 8, seed=seed)
    slopes = torch.tensor([2.0 ** (-8 * h / n_heads) for h in range(1, n_heads + 1)])
    scores = q @ k.mT / math.sqrt(8) + slopes[:, None, None] * torch.arange(6.0)
    scores = scores.masked_fill(torch.ones(6, 6).triu(1).bool(), -math.inf)
    error = float((attend_alibi(q, k, v) - scores.softmax(-1) @ v).abs().max())
    assert error < 1e-5, (
        f"attend_alibi is off by {error:.2g}: add the bias to the scaled scores, before softmax"
    )


# -- 7 -------------------------------------------------------------------------------------------


def cache_timing(lengths: tuple[int, ...] = (48, 96, 192, 384), d_model: int = 128) -> Exercise:
    """Time decoding with and without a cache, and fit exponents."""
    made_up = f"""
        lengths = {list(lengths)}
        seconds = {{
            "cached": [0.001 * T**1.2 for T in lengths],
            "recomputed": [0.001 * T**1.9 for T in lengths],
        }}
        """
    fit = """
        def fit_exponent(lengths, seconds):
            return np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
        """
    report = """
        exponents = {name: fit_exponent(lengths, s) for name, s in seconds.items()}
        """
    return Exercise(
        id="attention-cache-timing",
        title="What the cache saves",
        kind="measure",
        difficulty=2,
        minutes=30,
        points=4,
        question="""\
            Measure how long one attention layer takes to write $T$ tokens, one at a time: once with a `KVCache`, and once by putting all tokens so far through the layer at every step. If the time grows like $T^p$, it is a straight line on paper with two logarithmic scales, and $p$ is its slope. Fit $p$ for both.

            Which exponents would you expect from counting products? Why are those you find smaller?
            """,
        starter=f"""\
            layer = attention.MultiHeadAttention({d_model}, n_heads=4)
            lengths = {list(lengths)}

            @torch.no_grad()
            def generate(length, cached):
                ...

            def fit_exponent(lengths, seconds):
                ...

            seconds = {{"cached": [...], "recomputed": [...]}}
            exponents = {{"cached": ..., "recomputed": ...}}
            """,
        hint="`device.seconds(lambda: generate(T, True))` measures a call, and `np.polyfit(x, y, 1)` fits a line. Count for one step first: which products grow with $T$, which only with $D$? Then sum over the steps.",
        solution=f"""\
            layer = attention.MultiHeadAttention({d_model}, n_heads=4)
            lengths = {list(lengths)}

            @torch.no_grad()
            def generate(length, cached):
                x = torch.randn(1, length, {d_model})
                cache = attention.KVCache() if cached else None
                for t in range(length):
                    seen = x[:, t : t + 1] if cached else x[:, : t + 1]
                    layer(seen, is_causal=True, cache=cache)

            def fit_exponent(lengths, seconds):
                slope, _ = np.polyfit(np.log(lengths), np.log(seconds), 1)
                return slope

            seconds = {{
                name: [device.seconds(lambda: generate(T, cached), 2) for T in lengths]
                for name, cached in (("cached", True), ("recomputed", False))
            }}
            exponents = {{name: fit_exponent(lengths, s) for name, s in seconds.items()}}
            """,
        explanation="""\
            Without a cache, step $t$ projects $t$ tokens, about $t D^2$ products, and meets $t^2$ pairs, $t^2 D$ products. Summed over $T$ steps that is of the order of $T^2 D^2 + T^3 D$: between 2 and 3, and 3 only once $T$ is far beyond $D$. With a cache, step $t$ projects one token and meets $t$ keys, together $T D^2 + T^2 D$: between 1 and 2.

            What is measured lies near the lower end of each range or below it, since every call also has a cost that does not depend on $t$ at all, and at these sizes that is a good part of the whole. Longer sequences come closer to the count. The gap between the two exponents is the cache's doing.
            """,
        visible=(Check(measurements_are_complete), Check(exponents_fit_the_measurements)),
        hidden=(Check(power_laws_are_recovered), Check(the_cache_saves)),
        wrong_answers={
            "a line without logarithms": f"""{made_up}
        def fit_exponent(lengths, seconds):
            return np.polyfit(lengths, seconds, 1)[0]
        {report}""",
            "logarithm of the time alone": f"""{made_up}
        def fit_exponent(lengths, seconds):
            return np.polyfit(lengths, np.log(seconds), 1)[0]
        {report}""",
            "the two exchanged": f"""{made_up}{fit}
        seconds = {{"cached": seconds["recomputed"], "recomputed": seconds["cached"]}}
        {report}""",
            "one step timed, not all": f"""{made_up}{fit}
        seconds["recomputed"] = [0.001 * T**0.9 for T in lengths]
        {report}""",
        },
    )


def measurements_are_complete(lengths, seconds):
    """Check for four lengths or more, each with two times."""
    assert len(lengths) >= 4, f"lengths should hold four lengths or more, not {len(lengths)}"
    assert max(lengths) >= 8 * min(lengths), "The longest should be 8 times the shortest or more"
    for name in ("cached", "recomputed"):
        times = seconds.get(name, [])
        assert len(times) == len(lengths), f"seconds[{name!r}] needs one time for each length"
        assert min(times) > 0, f"seconds[{name!r}] holds a time that is not above 0"


def exponents_fit_the_measurements(lengths, seconds, exponents):
    """Check that the exponents are the slopes of the measured times."""
    x = np.log(np.array(lengths, dtype=float))
    x -= x.mean()
    for name in ("cached", "recomputed"):
        slope = float(x @ np.log(np.array(seconds[name], dtype=float)) / (x @ x))
        assert abs(float(exponents[name]) - slope) < 0.02, (
            f"exponents[{name!r}] is not the slope of log seconds over log lengths"
        )


def power_laws_are_recovered(fit_exponent):
    """Try times whose exponent is known."""
    lengths = [10, 20, 50, 200]
    for power, factor in ((1.0, 3.0), (2.0, 1e-4), (0.5, 0.1)):
        got = float(fit_exponent(lengths, [factor * n**power for n in lengths]))
        assert abs(got - power) < 1e-6, (
            f"Times that grow exactly like T^{power:g} should give {power:g}, not {got:.3f}"
        )


def the_cache_saves(exponents):
    """Check that time grows with a clearly larger power without the cache."""
    cached, recomputed = float(exponents["cached"]), float(exponents["recomputed"])
    assert 0.5 < cached < 2.2, f"With a cache the exponent should lie near 1, not at {cached:.2f}"
    assert 1.0 < recomputed < 3.2, (
        f"Without one it should lie near 2, not at {recomputed:.2f}: time all steps together"
    )
    assert recomputed > cached + 0.25, (
        f"Without the cache time should grow faster, but the exponents are {recomputed:.2f} "
        f"without and {cached:.2f} with it; is the cache passed to every step?"
    )


# -- 8 -------------------------------------------------------------------------------------------

TO_SEARCH = """\
search = pairs(
    ("The widow greeted the priest while {} was singing.", "widow", "priest"),
    ("The daughter left the husband because {} was angry.", "daughter", "husband"),
    ("The queen asked the soldier what {} wanted.", "queen", "soldier"),
    ("The princess met the grandfather before {} sailed.", "princess", "grandfather"),
)
"""
TO_TEST = """\
examples = pairs(
    ("The woman called the boy because {} was worried.", "woman", "boy"),
    ("The queen met the king before {} left the city.", "queen", "king"),
    ("My aunt visited my father when {} was ill.", "aunt", "father"),
    ("The actress thanked the waiter because {} was kind.", "actress", "waiter"),
    ("The girl wrote to her uncle after {} had moved.", "girl", "uncle"),
    ("The sister saw the man while {} was dancing.", "sister", "man"),
    ("The nurse loved the prince although {} was poor.", "nurse", "prince"),
    ("The mother sang to her son until {} slept.", "mother", "son"),
    ("The lady paid the monk because {} was honest.", "lady", "monk"),
    ("The bride kissed the groom before {} cried.", "bride", "groom"),
)
"""
PAIRS = """\
def pairs(*templates):
    found = []
    for text, woman, man in templates:
        found.append((text.format("she"), "she", woman, man))
        found.append((text.format("he"), "he", man, woman))
    return found
"""
COUNT = """\
minilm = models.load_pretrained("all-MiniLM-L6-v2")

def holds(sentence, word, target, control):
    tokens, weights = minilm.attention_of(sentence)
    i, j, c = (tokens.index(name) for name in (word, target, control))
    return weights[:, :, i, j] > weights[:, :, i, c]  # layers, heads

def count(cases):
    return sum(np.asarray(holds(*case), dtype=int) for case in cases)
"""
CONCLUDE = """\
layer, head = divmod(int(count(search).argmax()), 12)
held = int(count(examples)[layer, head])
beyond_chance = held >= 15
"""


def find_a_head(n: int = 20, needed: int = 15) -> Exercise:
    """Find a head with a behaviour, and put it to a test that it can fail."""
    chance = sum(math.comb(n, k) for k in range(needed, n + 1)) / 2**n
    solution = "\n\n".join(part.strip() for part in (PAIRS, TO_SEARCH, TO_TEST, COUNT, CONCLUDE))
    return Exercise(
        id="attention-find-a-head",
        title="A head with a habit",
        kind="open",
        difficulty=3,
        minutes=60,
        points=6,
        question=f"""\
            Think of a habit that a head of MiniLM could have: to look from a pronoun to the person it stands for, from a verb to its object, from an adjective to its noun. Search all heads for it on a few sentences. Then test the one you found on {n} *new* sentences of your own.

            In each, name the word that looks, the *target*, and a *control*: another word of the same kind that would do as well for a head without the habit. The habit holds if the target gets more weight than the control. How often does it hold, and is that more than chance? A habit that fails the test is a result, too.
            """,
        starter=f"""\
            search = []  # (sentence, word that looks, target, control)
            examples = []  # {n} of the same kind, none of them searched
            layer, head = ..., ...  # counted from 0
            held = ...
            beyond_chance = ...  # True or False
            """,
        hint=f"By tossing a coin one gets {needed} or more of {n} right in {100 * chance:.0f} of 100 trials. The best of 72 heads on the sentences it was chosen by is better than that without any habit. And if a target always stands nearest, you have found a head that looks at what is near: let target and control change places.",
        solution=solution,
        explanation=f"""\
            One habit that is there: the fourth head of the second layer looks from *he* or *she* to the person whom the pronoun fits. Each sentence comes twice, with *she* and with *he*, so that target and control change places, and neither distance nor order can explain the outcome. The head found on the searched sentences is then tested on others, which makes {needed} of {n} a fair bound; without that, the best of 72 heads would pass by luck rather often.

            To grade by hand, besides the checks: is the habit named beforehand and in words (1 point); is the control as good a candidate as the target, by kind and by place (2); does the conclusion claim no more than was counted, and call a weight a weight, not a reason (1)?
            """,
        visible=(Check(examples_are_in_order, {"n": n}), Check(search_and_test_are_apart)),
        hidden=(Check(count_is_right), Check(conclusion_follows, {"n": n, "needed": needed})),
        wrong_answers={
            "tested on the sentences it was chosen by": f"""
{PAIRS}{TO_TEST}
search = examples
{COUNT}{CONCLUDE}""",
            "one sentence many times": f"""
{PAIRS}{TO_SEARCH}
examples = {n} * [("The queen met the king before she left.", "she", "queen", "king")]
{COUNT}{CONCLUDE}""",
            "layer and head counted from one": f"""
{PAIRS}{TO_SEARCH}{TO_TEST}{COUNT}{CONCLUDE}
layer, head = layer + 1, head + 1""",
            "a claim that the count does not bear out": f"""
{PAIRS}{TO_SEARCH}{TO_TEST}{COUNT}
layer, head = 3, 1
held, beyond_chance = int(count(examples)[layer, head]), True""",
        },
    )


def examples_are_in_order(examples, *, n):
    """Check that sentences differ and hold their three words."""
    sentences = {case[0] for case in examples}
    assert len(sentences) == len(examples) == n, (
        f"examples should hold {n} different sentences; there are {len(sentences)}"
    )
    tokenizer = models.load_pretrained("all-MiniLM-L6-v2").tokenizer
    for sentence, *words in examples:
        tokens = tokenizer.tokenize(sentence)
        assert len(set(words)) == 3, f"Word, target and control must differ, got {words}"
        for word in words:
            assert tokens.count(word) == 1, f"{word!r} must be one token, once, in: {sentence}"


def search_and_test_are_apart(search, examples):
    """Check that no sentence serves twice."""
    both = {case[0] for case in search} & {case[0] for case in examples}
    assert search, "search should hold the sentences by which you chose the head"
    assert not both, f"Choose the head and test it on different sentences; in both: {min(both)}"


def count_is_right(examples, layer, head, held):
    """Count again how often the habit holds."""
    minilm = models.load_pretrained("all-MiniLM-L6-v2")
    assert layer in range(6), f"MiniLM's layers are counted from 0 to 5, got {layer}"
    assert head in range(12), f"MiniLM's heads are counted from 0 to 11, got {head}"
    found = 0
    for sentence, *words in examples:
        tokens, weights = minilm.attention_of(sentence)
        i, j, c = (tokens.index(word) for word in words)
        found += bool(weights[layer, head, i, j] > weights[layer, head, i, c])
    assert held == found, (
        f"Counted again, the target of layer {layer}, head {head} (from 0) gets more weight than "
        f"the control {found} times, not {held}"
    )


def conclusion_follows(held, beyond_chance, *, n, needed):
    """Compare the conclusion with the bound of the sign test."""
    chance = sum(math.comb(n, k) for k in range(needed, n + 1)) / 2**n
    assert beyond_chance == (held >= needed), (
        f"{held} of {n} does not support beyond_chance = {beyond_chance}: a coin reaches "
        f"{needed} or more in {100 * chance:.0f} of 100 trials, and fewer are no surprise"
    )


MAKERS: tuple[Callable[..., Exercise], ...] = (
    softmax_by_hand,
    cache_by_hand,
    shuffling,
    masked_numpy,
    heads,
    alibi,
    cache_timing,
    find_a_head,
)
EXERCISES = [make() for make in MAKERS]
