"""The way back through an operation that autograd does not have, with broadcasting."""

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
An operation of `companion.autograd` keeps for each of its inputs a function, here called *pull*, from the gradient with respect to the output to the gradient with respect to that input. Write the operation ${{formula}}$ for NumPy arrays of any shapes that broadcast, and its two pulls in one function. Each gradient must have the shape of its own input.
"""
STARTER = '''
def operation_forward(a, b):
    """a and b arrays whose shapes broadcast; return an array"""
    ...

def operation_pull(a, b, g):
    """g has the shape of the output; return the gradients for a and for b"""
    ...
'''
HINT = "An element that was used several times gets the sum of what comes back. Which dimensions has the output that an input did not have, and along which was one element repeated?"
SOLUTION = """
def operation_forward(a, b):
    return FORWARD

def fit(g, shape):
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    repeated = tuple(i for i, n in enumerate(shape) if n == 1)
    return g.sum(axis=repeated, keepdims=True)

def operation_pull(a, b, g):
    return fit(g * FOR_A, a.shape), fit(g * FOR_B, b.shape)
"""
NO_FIT = """
def operation_forward(a, b):
    return FORWARD

def operation_pull(a, b, g):
    return g * FOR_A, g * FOR_B
"""
TRIAL = """
rng = np.random.default_rng(1)
for shapes in [(2, 3), (2, 3)], [(3,), (2, 3)], [(2, 1), (1, 4)], [(), (5,)]:
    a, b = (torch.tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes)
    out = torch.logaddexp(a, b)
    g = torch.randn_like(out)
    out.backward(g)
    arrays = a.detach().numpy(), b.detach().numpy()
    check(f"output for shapes {shapes}", operation_forward(*arrays), out, 1e-9)
    for name, found, right in zip("ab", operation_pull(*arrays, g.numpy()), (a.grad, b.grad)):
        check(f"gradient for {name}, shapes {shapes}", found, right, 1e-9)
"""
EXPLANATION = r"""
Element by element the derivatives are ${{for_a}}$ for $a$ and ${{for_b}}$ for $b$, and each is multiplied by $g$. An element that broadcasting has copied takes part in several outputs, so its gradient is the *sum* over its copies: over dimensions that were put in front, and over those of length 1 that were stretched. Copying on the way forward is adding on the way back.
"""
# The formula, its two derivatives, and the same three in NumPy.
OPERATIONS = {
    "logaddexp": (
        r"\ln(e^a + e^b)",
        r"e^a / (e^a + e^b)",
        r"e^b / (e^a + e^b)",
        ("np.logaddexp(a, b)", "np.exp(a - np.logaddexp(a, b))", "np.exp(b - np.logaddexp(a, b))"),
    ),
    "divide": (
        "a / b",
        "1 / b",
        "-a / b^2",
        ("a / b", "(1 / b)", "(-a / b**2)"),
    ),
    "hypot": (
        r"\sqrt{a^2 + b^2}",
        r"a / \sqrt{a^2 + b^2}",
        r"b / \sqrt{a^2 + b^2}",
        ("np.sqrt(a**2 + b**2)", "(a / np.sqrt(a**2 + b**2))", "(b / np.sqrt(a**2 + b**2))"),
    ),
    "arctan2": (
        r"\arctan(a / b)",
        "b / (a^2 + b^2)",
        "-a / (a^2 + b^2)",
        ("np.arctan(a / b)", "(b / (a**2 + b**2))", "(-a / (a**2 + b**2))"),
    ),
    "product": (
        r"a\,e^{-b}",
        r"e^{-b}",
        r"-a\,e^{-b}",
        ("a * np.exp(-b)", "np.exp(-b)", "(-a * np.exp(-b))"),
    ),
    "logarithm": (
        r"a \ln b",
        r"\ln b",
        "a / b",
        ("a * np.log(b)", "np.log(b)", "(a / b)"),
    ),
    "wave": (
        r"a \sin b",
        r"\sin b",
        r"a \cos b",
        ("a * np.sin(b)", "np.sin(b)", "(a * np.cos(b))"),
    ),
    "square": (
        "a^2 / b",
        "2a / b",
        "-a^2 / b^2",
        ("a**2 / b", "(2 * a / b)", "(-(a**2) / b**2)"),
    ),
    "gate": (
        r"a \tanh b",
        r"\tanh b",
        r"a\,(1 - \tanh^2 b)",
        ("a * np.tanh(b)", "np.tanh(b)", "(a * (1 - np.tanh(b) ** 2))"),
    ),
    "root": (
        r"a \sqrt b",
        r"\sqrt b",
        r"a / (2 \sqrt b)",
        ("a * np.sqrt(b)", "np.sqrt(b)", "(a / (2 * np.sqrt(b)))"),
    ),
}


def exercise(operation: str = "logaddexp", seed: int = 0) -> Exercise:
    """Return the exercise for one of the `OPERATIONS`."""
    formula, for_a, for_b, code = OPERATIONS[operation]
    given = {"operation": operation, "seed": seed}
    forward, pull_a, pull_b = code
    return Exercise(
        id="neural-networks-new-operation",
        title="A way back for a new operation",
        kind="code",
        difficulty=3,
        minutes=25,
        points=4,
        question=QUESTION,
        starter=STARTER,
        hint=HINT,
        solution=_code(SOLUTION, *code),
        explanation=EXPLANATION,
        values={"formula": formula, "for_a": for_a, "for_b": for_b},
        visible=(Check(forward_is_the_formula, given), Check(equal_shapes_agree, given)),
        hidden=(Check(broadcast_shapes_agree, given),),
        wrong_answers={
            "copies not added up": _code(NO_FIT, *code),
            "the two gradients exchanged": _code(SOLUTION, forward, pull_b, pull_a),
            "the gradient of the output left out": _code(SOLUTION, *code).replace(
                "fit(g * ", "fit(0 * g + "
            ),
            "a mean over the copies": _code(SOLUTION, *code).replace("g.sum", "g.mean"),
        },
        trial=TRIAL if operation == "logaddexp" else "",
    )


def _code(template: str, forward: str, for_a: str, for_b: str) -> str:
    code = template.replace("FORWARD", forward)
    return code.replace("FOR_A", for_a).replace("FOR_B", for_b)


def draw(rng: random.Random) -> dict[str, Any]:
    """Draw an operation other than the page's, and numbers."""
    names = [name for name in OPERATIONS if name != "logaddexp"]
    return {"operation": rng.choice(names), "seed": rng.randrange(10_000)}


# -- checks --------------------------------------------------------------------------------------


def torch_operation(operation):
    """Return the operation, as PyTorch computes it."""
    ours = {
        "product": lambda a, b: a * torch.exp(-b),
        "logarithm": lambda a, b: torch.xlogy(a, b),
        "wave": lambda a, b: a * torch.sin(b),
        "square": lambda a, b: a.square() / b,
        "gate": lambda a, b: a * torch.tanh(b),
        "root": lambda a, b: a * b.sqrt(),
    }
    return ours.get(operation) or getattr(torch, operation)


def operands(seed, *shapes):
    """Draw arrays of these shapes, the second one above 0."""
    rng = np.random.default_rng(seed)
    first, *others = shapes
    return [rng.standard_normal(first), *(rng.uniform(0.5, 2.0, shape) for shape in others)]


def compare_pulls(operation_pull, operation, a, b, seed):
    """Compare both gradients, for a random gradient of the output, with PyTorch's."""
    ta, tb = (torch.tensor(x, requires_grad=True) for x in (a, b))
    out = torch_operation(operation)(ta, tb)
    g = np.asarray(np.random.default_rng(seed).standard_normal(tuple(out.shape)))
    out.backward(torch.tensor(g))
    for name, got, right in zip(
        "ab", map(array, operation_pull(a, b, g)), (ta.grad, tb.grad), strict=True
    ):
        assert np.shape(got) == tuple(right.shape), (
            f"For shapes {a.shape} and {b.shape} the gradient for {name} should have the shape "
            f"{tuple(right.shape)}, got {np.shape(got)}"
        )
        error = float(np.abs(got - right.numpy()).max())
        assert error < 6e-4, (
            f"For shapes {a.shape} and {b.shape} the gradient for {name} is off by {error:.2g}"
        )


def forward_is_the_formula(operation_forward, *, operation, seed):
    """Compare the way forward with PyTorch's."""
    a, b = operands(seed, (2, 3), (2, 3))
    right = torch_operation(operation)(torch.tensor(a), torch.tensor(b)).numpy()
    got = array(operation_forward(a, b))
    assert np.allclose(got, right, atol=6e-4), (
        f"operation_forward is off by {np.abs(got - right).max():.2g} on random numbers"
    )


def equal_shapes_agree(operation_pull, *, operation, seed):
    """Compare the gradients where nothing is broadcast."""
    compare_pulls(operation_pull, operation, *operands(seed, (2, 3), (2, 3)), seed + 1)


def broadcast_shapes_agree(operation_pull, *, operation, seed):
    """Compare the gradients where one input or both are broadcast."""
    for left, right in (((3, 4), (4,)), ((), (2, 3)), ((2, 1), (1, 5)), ((4, 1, 2), (3, 1))):
        compare_pulls(operation_pull, operation, *operands(seed, left, right), seed + 1)
