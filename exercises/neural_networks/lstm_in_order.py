"""A step of an LSTM whose gates stand in another order."""

# A paragraph of text is one line.
# ruff: noqa: E501

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from exercises import Check, Exercise
from exercises.answers import array

QUESTION = r"""
The file with the weights of an old LSTM holds its four matrices stacked on top of each other in the order ${{order}}$: input gate $i$, forget gate $f$ and output gate $o$, new content $g$. Write one step of it in NumPy, for a batch.
"""
STARTER = '''
def lstm_step(x, h, c, w, u, b):
    """x (B, D), h and c (B, H), w (4H, D), u (4H, H), b (4H,)

    Return the new h and c, both (B, H)."""
    ...
'''
HINT = "Compute all four maps at once and split the result. Three go through a sigmoid and one through tanh; the new memory is needed before the new state."
SOLUTION = """
def lstm_step(x, h, c, w, u, b):
    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    ORDER = np.split(x @ w.T + h @ u.T + b, 4, axis=1)
    memory = MEMORY
    return STATE, memory
"""
TRIAL = """
rng = np.random.default_rng(0)
x, h, c = (rng.normal(size=(3, n)) for n in (4, 2, 2))
w, u, b = (rng.normal(size=shape) for shape in ((8, 4), (8, 2), (8,)))
rows = np.concatenate([2 * "ORDER".index(gate) + np.arange(2) for gate in "ifgo"])
cell = torch.nn.LSTMCell(4, 2, dtype=torch.float64)  # its order is i, f, g, o
with torch.no_grad():
    cell.weight_ih[:], cell.weight_hh[:] = torch.tensor(w[rows]), torch.tensor(u[rows])
    cell.bias_ih[:], cell.bias_hh[:] = torch.tensor(b[rows]), 0
    expected = cell(torch.tensor(x), (torch.tensor(h), torch.tensor(c)))
for name, found, right in zip("hc", lstm_step(x, h, c, w, u, b), expected):
    check(f"new {name}", found, right, 1e-9)
"""
EXPLANATION = r"""
Keep what the forget gate lets through, write what the input gate lets in: $c' = f \odot c + i \odot g$, then show $h' = o \odot \tanh(c')$. The order of the matrices is a convention, and a file of weights (a *checkpoint*) does not say which: with a wrong one nothing fails, all shapes fit, and the outputs are wrong. Compare with one known output before you trust a conversion.
"""
MEMORY = "sigmoid(f) * c + sigmoid(i) * np.tanh(g)"
STATE = "sigmoid(o) * np.tanh(memory)"


def exercise(order: str = "figo", seed: int = 0) -> Exercise:
    """Return the exercise with the maps in this `order`."""
    given = [{"order": order, "seed": seed + i} for i in range(2)]
    swapped = order.translate(str.maketrans("if", "fi"))
    return Exercise(
        id="neural-networks-lstm-in-order",
        title="Gates in another order",
        kind="code",
        difficulty=2,
        minutes=20,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_code(order),
        explanation=EXPLANATION,
        values={"order": ", ".join(order)},
        visible=(Check(closed_gates_keep_memory, {"order": order}),),
        hidden=(Check(step_is_that_of_torch, given[0]), Check(steps_follow, given[1])),
        wrong_answers={
            "input and forget gate exchanged": _code(swapped),
            "the memory shown as it is": _code(order, state="sigmoid(o) * memory"),
            "new content through a sigmoid": _code(
                order, memory="sigmoid(f) * c + sigmoid(i) * sigmoid(g)"
            ),
            "the old memory shown": _code(order, state="sigmoid(o) * np.tanh(c)"),
        },
        trial=TRIAL.replace("ORDER", order),
    )


def _code(order: str, memory: str = MEMORY, state: str = STATE) -> str:
    code = SOLUTION.replace("ORDER", ", ".join(order))
    return code.replace("MEMORY", memory).replace("STATE", state)


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw an order that is neither torch's nor the page's."""
    while True:
        order = "".join(rng.sample("ifgo", 4))
        if order not in ("ifgo", "figo"):
            return {"order": order, "seed": rng.randrange(10_000)}


# -- checks --------------------------------------------------------------------------------------


def closed_gates_keep_memory(lstm_step, *, order):
    """Close the input gate and open the forget gate, so that memory stays."""
    open_or_closed = {"i": -30.0, "f": 30.0, "g": 2.0, "o": 30.0}
    b = np.repeat([open_or_closed[gate] for gate in order], 2)
    c = np.array([[0.5, -1.0]])
    zeros = np.zeros((8, 2))
    h, memory = map(array, lstm_step(np.ones((1, 2)), np.ones((1, 2)), c, zeros, zeros, b))
    assert np.allclose(memory, c, atol=6e-4), (
        f"With the input gate closed and the forget gate open, c should stay {c.tolist()}, but "
        f"becomes {np.round(memory, 3).tolist()}"
    )
    assert np.shape(h) == (1, 2), (
        f"h should have the shape (1, 2) of the old one, got {np.shape(h)}"
    )


def torch_step(x, h, c, w, u, b, order):
    """Let torch compute the step, with the maps in its own order."""
    size = h.shape[1]
    rows = np.concatenate([np.arange(size) + size * order.index(gate) for gate in "ifgo"])
    cell = torch.nn.LSTMCell(x.shape[1], size, dtype=torch.float64)
    with torch.no_grad():
        cell.weight_ih.copy_(torch.from_numpy(w[rows]))
        cell.weight_hh.copy_(torch.from_numpy(u[rows]))
        cell.bias_ih.copy_(torch.from_numpy(b[rows]))
        cell.bias_hh.zero_()
        new = cell(torch.from_numpy(x), (torch.from_numpy(h), torch.from_numpy(c)))
    return [part.numpy() for part in new]


def lstm_case(seed, batch=3, d_in=4, size=2):
    """Draw an input, a state and the maps."""
    rng = np.random.default_rng(seed)
    shapes = [(batch, d_in), (batch, size), (batch, size), (4 * size, d_in), (4 * size, size)]
    return [rng.standard_normal(shape) for shape in (*shapes, (4 * size,))]


def step_is_that_of_torch(lstm_step, *, order, seed):
    """Compare one step with PyTorch's."""
    case = lstm_case(seed)
    right = torch_step(*case, order)
    for name, got, expected in zip(("h", "c"), map(array, lstm_step(*case)), right, strict=True):
        assert np.shape(got) == expected.shape, (
            f"{name} should have the shape {expected.shape} of the old one, got {np.shape(got)}"
        )
        assert np.allclose(got, expected, atol=6e-4), (
            f"{name} differs from PyTorch's by {np.abs(got - expected).max():.2g}: which gate "
            "stands where, and what goes through tanh?"
        )


def steps_follow(lstm_step, *, order, seed):
    """Take three steps in a row, each from the state before."""
    x, h, c, *maps = lstm_case(seed)
    mine = theirs = (h, c)
    for step in range(1, 4):
        mine = [array(part) for part in lstm_step(x, *mine, *maps)]
        theirs = torch_step(x, *theirs, *maps, order)
        error = max(np.abs(a - b).max() for a, b in zip(mine, theirs, strict=True))
        assert error < 2e-3, (
            f"After step {step} of three, each from the state before, the state is off by {error:.2g}"
        )
