"""More hidden neurons for the block worked by hand, so that "not bad" becomes good."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np

from companion.reference.attention import multi_head_attention
from companion.reference.layers import layer_norm
from exercises import Check, Exercise
from exercises.answers import array
from exercises.twists import drawn

QUESTION = r"""
The block that was computed by hand turns "not good" into something bad, but it does not know what to do with "bad", whose feature *good* is $-1$. Below are the rows that attention and the first norm make of the second word in four phrases, with the features *negates*, *good*, *place* and *negated* ORDER.

Design a feed-forward layer with at most 8 hidden neurons and ReLU. After it, with residual connection and norm, the feature *good* must be at least 0.5 for "very good" and "not bad", and at most $-0.5$ for "not good" and "very bad". Say in a comment what each neuron stands for.
"""
# What takes the place of ORDER, by whether the features stand as they are named.
ORDERS = {
    True: "in this order",
    False: "in the columns {{negates}}, {{good}}, {{place}} and {{negated}} (counted from 0)",
}
STARTER = """
h = np.array([
    {rows}
])
names = ["not good", "very good", "not bad", "very bad"]

W_1 = ...  # (4, F)
b_1 = ...  # (F,)
W_2 = ...  # (F, 4)
"""
# What is written otherwise, by the twist: how the question says it, and each of the three arrays.
TWISTS = {
    "rows": (
        "Each neuron is a row: `W_1` is (F, 4), and `W_2`, with what each neuron adds, is (F, 4), too.",
        {"W_1": "W_1.T"},
        {"W_1 = ...  # (4, F)": "W_1 = ...  # (F, 4)"},
    ),
    "thresholds": (
        "In place of biases there are thresholds, which are subtracted: a neuron is $\\mathrm{ReLU}(h W_1 - b_1)$.",
        {"b_1": "-b_1"},
        {"b_1 = ...  # (F,)": "b_1 = ...  # (F,), thresholds"},
    ),
    "taken away": (
        "What the layer computes is *subtracted* from the residual stream.",
        {"W_2": "-W_2"},
        {"W_2 = ...  # (F, 4)": "W_2 = ...  # (F, 4), subtracted"},
    ),
}
HINT = 'One neuron recognises "good and negated", as in the chapter. Which one is its mirror image? Look at the two sums that it must keep apart, for "not bad" and for "very bad", and choose a bias between them.'
EXPLANATION = r"""
The first neuron is the chapter's: it is active only if *good* and *negated* are both large, and takes away from *good*. The second is its mirror image, $-\mathit{good} + \mathit{negated}$. That sum is {{not_bad}} for "not bad" and {{very_bad}} for "very bad", since the norm subtracts the mean and so makes *negated* a little positive even where nothing negates. With a bias of $-2$ the neuron is active only above 2, which lies between them; with $-1$, "very bad" would become good as well. So look at the sums themselves before you choose a bias: after a norm, 0 no longer means that a feature is absent.
"""
TRIAL = """
for name, row in zip(names, h):
    y = row + np.maximum(row @ W_1 + b_1, 0) @ W_2
    y = (y - y.mean()) / y.std()
    good = y[PLACE]
    wanted = {"at_least": 0.5} if name in ("very good", "not bad") else {"at_most": -0.5}
    check(name, good, **wanted)
"""
CHAPTER = {"good and negated": (-1.0, -3.0), "bad and negated": (-2.0, 6.0)}
FEATURES = ("negates", "good", "place", "negated")
IN_ORDER = tuple(range(4))


def exercise(
    order: tuple[int, ...] = IN_ORDER, doubled: float = 2.0, twists: tuple[str, ...] = ()
) -> Exercise:
    """Return the exercise with features in an `order`, the factor of head 1, and `twists`."""
    rows = second_rows(doubled)[:, list(order)]
    given = {"rows": rows.round(4).tolist(), "good": order.index(1), "twists": twists}

    def written(neurons: dict[str, tuple[float, float]]) -> str:
        lines = [f"{name} = {new}" for twist in twists for name, new in TWISTS[twist][1].items()]
        return "\n".join([_starter(rows, (), *_weights(order, neurons)), *lines])

    return Exercise(
        id="transformer-not-bad",
        title="Not bad",
        kind="code",
        difficulty=3,
        minutes=25,
        points=4,
        question="\n\n".join(
            [QUESTION.replace("ORDER", ORDERS[order == IN_ORDER]), *(TWISTS[t][0] for t in twists)]
        ),
        starter=_starter(rows, twists),
        hint=HINT,
        solution=written(CHAPTER),
        explanation=EXPLANATION,
        values=_values(order, doubled),
        visible=(Check(shapes_fit, {"twists": twists}),),
        hidden=(Check(phrases_come_out, given),),
        wrong_answers={
            "the chapter's neuron alone": written({"good and negated": (-1.0, -3.0)}),
            "the mirror image with the same bias": written(
                {**CHAPTER, "bad and negated": (-1.0, 6.0)}
            ),
            "nothing is added": written({"good and negated": (-1.0, 0.0)}),
        },
        words=True,
        trial="" if twists else TRIAL.replace("PLACE", str(order.index(1))),
    )


def second_rows(doubled: float) -> np.ndarray:
    """Return what the chapter's attention and norm make of the second word, (4, 4)."""
    w_q, w_k, w_v, w_o = np.zeros((4, 4, 4))  # two heads side by side, of width 2
    w_q[2, 0], w_k[2, 0], w_v[0, 0], w_o[0, 3] = 2, -1, 1, doubled
    w_q[:2, 2], w_k[1, 2], w_v[1, 2], w_o[2, 1] = 2, 1, 1, 1
    rows = []
    for good in (1, -1):
        for negates in (1, 0):
            x = np.array([[negates, 0.0, -1, 0], [0, good, 1, 0]])
            change = multi_head_attention(x, x, w_q, w_k, w_v, w_o, 2)
            rows.append(layer_norm(x + change, eps=0.0)[1])
    return np.array(rows)


def _weights(
    order: tuple[int, ...], neurons: dict[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two matrices and the bias; for each neuron, its bias and what it adds."""
    W_1, W_2 = np.zeros((4, len(neurons))), np.zeros((len(neurons), 4))
    for i, (name, (_, adds)) in enumerate(neurons.items()):
        W_1[1, i], W_1[3, i] = 1.0 if name.startswith("good") else -1.0, 1.0
        W_2[i, 1] = adds
    b_1 = np.array([bias for bias, _ in neurons.values()])
    return W_1[list(order)], b_1, W_2[:, list(order)]


def _values(order: tuple[int, ...], doubled: float) -> dict[str, Any]:
    """Return the column of each feature, and the sums that the mirror image must keep apart."""
    rows = second_rows(doubled)
    sums = rows[:, 3] - rows[:, 1]
    return {
        **{name: order.index(i) for i, name in enumerate(FEATURES)},
        "not_bad": f"{sums[2]:.2f}",
        "very_bad": f"{sums[3]:.2f}",
    }


def _starter(rows: np.ndarray, twists: tuple[str, ...], *weights: np.ndarray) -> str:
    lines = ",\n    ".join(str(row) for row in rows.round(4).tolist())
    code = STARTER.format(rows=lines + ",")
    for old, new in (pair for twist in twists for pair in TWISTS[twist][2].items()):
        code = code.replace(old, new)
    for name, weight in zip(("W_1", "b_1", "W_2"), weights, strict=False):
        code = code.replace(f"{name} = ...", f"{name} = np.array({weight.tolist()})")
    return code


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw another order of the features, and how much head 1 writes."""
    order = [0, 1, 2, 3]
    while order == [0, 1, 2, 3]:
        rng.shuffle(order)
    doubled = rng.choice([1.9, 2.0, 2.1, 2.2])
    return {"order": tuple(order), "doubled": doubled, "twists": drawn(rng, TWISTS)}


# -- checks --------------------------------------------------------------------------------------


def shapes_fit(W_1, b_1, W_2, *, twists):
    """Check that the three arrays make a feed-forward layer of at most 8 hidden neurons."""
    wanted = "(F, 4)" if "rows" in twists else "(4, F)"
    assert array(W_1).ndim == 2, f"W_1 should be {wanted}, got {array(W_1).shape}"
    first = array(W_1).T if "rows" in twists else array(W_1)
    found = [each.shape for each in (first, array(b_1), array(W_2))]
    hidden = found[0][1]
    assert found == [(4, hidden), (hidden,), (hidden, 4)], (
        f"W_1, b_1 and W_2 should be {wanted}, (F,) and (F, 4), got "
        f"{array(W_1).shape}, {found[1]} and {found[2]}"
    )
    assert 1 <= hidden <= 8, f"There may be 1 to 8 hidden neurons, not {hidden}"


def phrases_come_out(W_1, b_1, W_2, *, rows, good, twists):
    """Run the layer on all four phrases, and look at the sign of the feature *good*."""
    W_1, b_1, W_2, h = map(array, (W_1, b_1, W_2, rows))
    W_1 = W_1.T if "rows" in twists else W_1
    b_1 = -b_1 if "thresholds" in twists else b_1
    change = np.maximum(h @ W_1 + b_1, 0) @ W_2
    y = h - change if "taken away" in twists else h + change
    y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, keepdims=True)
    names = ("not good", "very good", "not bad", "very bad")
    for name, sign, row in zip(names, (-1, 1, 1, -1), y, strict=True):
        assert sign == -1 or row[good] >= 0.5, (
            f"For “{name}” the feature *good* should be at least 0.5, but is {row[good]:.2f}"
        )
        assert sign == 1 or row[good] <= -0.5, (
            f"For “{name}” the feature *good* should be at most -0.5, but is {row[good]:.2f}"
        )
