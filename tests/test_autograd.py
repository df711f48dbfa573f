"""Reverse mode over NumPy arrays against torch, finite differences, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.autograd import Tensor, as_tensor, topological_order
from tests.support import shapes_vary
from tests.verification import agree


def largest(t):
    """Return each row's largest element, by ``amax`` in torch."""
    return t.amax(-1, keepdim=True) if isinstance(t, torch.Tensor) else t.max(-1, keepdims=True)


# Each operation in the names that both libraries share.
UNARY = {
    "exp": lambda t: t.exp(),
    "log": lambda t: (t * t + 0.5).log(),
    "tanh": lambda t: t.tanh(),
    "relu": lambda t: t.relu(),
    "neg": lambda t: -t,
    "square": lambda t: t**2,
    "cube": lambda t: t**3,
    "root": lambda t: (t**2 + 1) ** 0.5,
    "reciprocal": lambda t: 1 / (t**2 + 1),
    "shift": lambda t: 3 - t,
    "scale": lambda t: t / 2 + 1,
    "center": lambda t: t - t.mean(),
    "row sums": lambda t: t - t.sum(-1, keepdims=True) / 4,
    "flatten": lambda t: t.reshape(-1).reshape(*t.shape),
    "means": lambda t: t.mean(0, keepdims=True) * t,
    "gram": lambda t: t @ t.transpose(1, 0) @ t,
    "below the largest": lambda t: t - largest(t),
    "twice the first row": lambda t: t + t[0] + t[np.zeros(t.shape[0], int)],
}
CORNERS = ("relu", "below the largest")  # where the difference quotient means nothing
BINARY = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "×": lambda a, b: a * b,
    "÷": lambda a, b: a / (b**2 + 1),
}
programs = st.lists(
    st.tuples(st.sampled_from(["unary", "binary"]), st.integers(0, 99), st.integers(0, 99)),
    min_size=1,
    max_size=12,
)


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def both(*arrays):
    """Return the arrays as leaves of ours, and of torch."""
    ours = [Tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in arrays]
    return ours, theirs


def compare(function, *arrays):
    """Compare a function's value and all its gradients, weighted at random, with torch's."""
    ours, theirs = both(*arrays)
    a, b = function(*ours), function(*theirs)
    agree("Tensor", "torch", a.data, b.detach())
    weights = numbers(7, *b.shape)
    a.backward(weights)
    b.backward(torch.tensor(weights))
    for x, y in zip(ours, theirs, strict=True):
        agree("Tensor.backward", "torch", x.grad, y.grad)


def run(program, leaves):
    """Evaluate a program: each step takes earlier values and adds one."""
    values = list(leaves)
    for kind, choice, pick in program:
        a = values[pick % len(values)]
        if kind == "unary":
            out = list(UNARY.values())[choice % len(UNARY)](a)
        else:
            b = values[choice % len(values)]
            out = list(BINARY.values())[(choice + pick) % len(BINARY)](a, b)
        values.append((out * 0.5).tanh())  # so that no power of a power overflows
    return values[-1] + sum(value.sum() for value in values[:-1])


@shapes_vary
@given(programs, st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**16))
def test_random_graphs_agree_with_torch(program, rows, columns, seed):
    leaves = [numbers(seed + i, rows, columns) for i in range(3)]
    compare(lambda *values: run(program, values), *leaves)


@shapes_vary
@given(programs, st.integers(0, 2**16))
def test_random_graphs_agree_with_finite_differences(program, seed):
    corners = [list(UNARY).index(name) for name in CORNERS]
    program = [
        step for step in program if step[0] == "binary" or step[1] % len(UNARY) not in corners
    ]
    x, direction = numbers(seed, 2, 3), numbers(seed + 1, 2, 3)
    step = 1e-6

    def value(array):
        return run(program, [Tensor(array)]).sum().data

    leaf = Tensor(x, requires_grad=True)
    run(program, [leaf]).sum().backward()
    slope = (value(x + step * direction) - value(x - step * direction)) / (2 * step)
    along = (leaf.grad * direction).sum()
    agree("Tensor.backward", "finite differences", along, slope, 1e-5, limit="h²")


@pytest.mark.parametrize("name", UNARY)
def test_each_function(name):
    compare(UNARY[name], numbers(1, 3, 4))


@pytest.mark.parametrize(
    ("a", "b"), [((3, 4), (4,)), ((4,), (3, 4)), ((2, 1, 4), (3, 1)), ((), (2, 3)), ((1,), (5,))]
)
@pytest.mark.parametrize("name", BINARY)
def test_broadcasting(name, a, b):
    compare(BINARY[name], numbers(1, *a), numbers(2, *b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 4), (4, 2)),
        ((5, 3, 4), (4, 2)),
        ((3, 4), (5, 4, 2)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (4, 2)),
        ((4,), (5, 4, 2)),
        ((3, 4), (4,)),
        ((5, 3, 4), (4,)),
        ((4,), (4,)),
    ],
)
def test_matrix_products(a, b):
    compare(lambda x, y: x @ y, numbers(1, *a), numbers(2, *b))


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(axis, keepdims):
    x = numbers(3, 2, 3, 4)
    everything = (0, 1, 2) if axis is None else axis
    compare(lambda t: t.sum(everything, keepdims=keepdims), x)
    compare(lambda t: t.mean(everything, keepdims=keepdims), x)
    largest = Tensor.max if axis is None else None
    ours, theirs = both(x)
    a = ours[0].max(axis, keepdims)
    b = torch.amax(theirs[0], everything, keepdim=keepdims)
    assert largest is None or a.data.size == 1
    agree("Tensor", "torch", a.data, b.detach())
    a.backward(np.ones(a.shape))
    b.backward(torch.ones_like(b))
    agree("Tensor.backward", "torch", ours[0].grad, theirs[0].grad)


def test_equal_largest_elements_share_the_gradient():
    (ours,), (theirs,) = both(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))
    ours.max(axis=1).backward([1.0, 1.0])
    torch.amax(theirs, 1).sum().backward()
    agree("Tensor.backward", "torch", ours.grad, theirs.grad)
    assert ours.grad.tolist()[0] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("axes", [(), (1, 0, 2), (2, 0, 1), (-1, 0, 1)])
def test_transposing(axes):
    x = numbers(4, 2, 3, 4)
    order = axes or (2, 1, 0)
    (ours,), (theirs,) = both(x)
    weights = numbers(5, *np.transpose(x, order).shape)
    (ours.transpose(*axes) * weights).sum().backward()
    (theirs.permute(order) * torch.tensor(weights)).sum().backward()
    agree("Tensor.backward", "torch", ours.grad, theirs.grad)


@pytest.mark.parametrize("index", [0, (0, 1), slice(1, None), ([0, 0, 1], [2, 2, 0])])
def test_indexing_counts_what_is_taken_twice(index):
    compare(lambda t: t[index], numbers(6, 3, 4))


def test_two_by_two_by_one_by_hand():
    """One neuron each way: y = w2 relu(w1 x), loss (y - t)²."""
    w1, w2 = Tensor(0.5, requires_grad=True), Tensor(-2.0, requires_grad=True)
    loss = (w2 * (w1 * 3.0).relu() - 1.0) ** 2
    loss.backward()
    # y = -2 · 1.5 = -3; dloss/dy = 2 (y - 1) = -8
    hand = {"loss": 16.0, "w1": -8 * -2 * 3.0, "w2": -8 * 1.5}
    agree("Tensor", "by hand", loss.data, hand["loss"])
    agree("Tensor.backward", "by hand", w1.grad, hand["w1"])
    agree("Tensor.backward", "by hand", w2.grad, hand["w2"])


def test_a_value_used_twice_gets_both_gradients():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    (y * y + y).backward()
    assert float(x.grad) == 4 * 27 + 2 * 3


def test_gradients_add_up_until_they_are_cleared():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]
    x.grad = None
    (x * x).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_a_second_pass_through_the_same_graph_adds_the_same_again():
    x = Tensor(2.0, requires_grad=True)
    y = x.exp() * x
    y.backward()
    first = float(x.grad)
    y.backward()
    assert float(x.grad) == pytest.approx(2 * first)
    assert float(x.grad) == pytest.approx(2 * 3 * math.exp(2))


def test_constants_get_no_gradient_and_no_graph():
    x, c = Tensor([1.0, 2.0], requires_grad=True), Tensor([3.0, 4.0])
    (x * c).sum().backward()
    assert c.grad is None
    assert (c * c + 1).inputs == ()


@pytest.mark.verifies("as_tensor", "arrays and numbers on either side of an operation")
def test_numpy_arrays_stand_on_either_side():
    x = Tensor([1.0, 2.0], requires_grad=True)
    array = np.array([3.0, 4.0])
    for out in (array * x, array + x, array - x, array / x, np.eye(2) @ x):
        assert isinstance(out, Tensor)
        assert out.shape == (2,)


@pytest.mark.verifies("topological_order", "every input stands before its use")
def test_the_order_puts_every_input_before_its_use():
    x = Tensor(1.0, requires_grad=True, name="x")
    y = x.exp()
    z = y * x + y
    order = topological_order(z)
    place = {id(node): i for i, node in enumerate(order)}
    assert len(order) == len(place) == 4
    for node in order:
        assert all(place[id(i)] < place[id(node)] for i in node.inputs)
    assert [node.operation for node in order][-1] == "+"


def test_a_deep_graph_needs_no_recursion():
    x = Tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5000):
        y = y + 1e-4 * x
    y.backward()
    assert float(x.grad) == pytest.approx(1.5)


def test_what_is_wrong_is_named():
    x = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"gradient must be given for a tensor of shape \(2,\)"):
        x.backward()
    with pytest.raises(ValueError, match=r"gradient must have shape \(2,\), got \(3,\)"):
        x.backward([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="requires_grad=True"):
        Tensor(1.0).backward()
    with pytest.raises(TypeError, match="power must be a number"):
        x**x
    with pytest.raises(TypeError, match="a Tensor already"):
        Tensor(x)
    with pytest.raises(ValueError, match="needs vectors or matrices"):
        x @ Tensor(2.0)
    assert as_tensor(x) is x
