"""Reverse mode over NumPy arrays against torch, finite differences, and by hand."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from companion.autograd import Tensor, as_tensor, topological_order
from tests.support import shapes_vary
from tests.verification import agree, same


def largest(t):
    """Return each row's largest element."""
    return t.amax(-1, keepdim=True)


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


REDUCTIONS = {
    "sum": lambda t, *args, **names: t.sum(*args, **names),
    "mean": lambda t, *args, **names: t.mean(*args, **names),
    "max": lambda t, *args, **names: t.amax(*args, **names),
}


@pytest.mark.parametrize("dim", [0, -1, (0, 2), [2, 0], (), (0, 1, 2), (-1, 1)])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name, dim, keepdim):
    x, reduce = numbers(3, 2, 3, 4), REDUCTIONS[name]
    compare(lambda t: reduce(t, dim, keepdim), x)
    compare(lambda t: reduce(t, dim=dim, keepdim=keepdim), x)


@pytest.mark.parametrize("name", ["sum", "mean"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_take_numpy_s_names_as_torch_s_do(name, keepdims):
    reduce = REDUCTIONS[name]
    compare(lambda t: reduce(t, axis=1, keepdims=keepdims), numbers(3, 2, 3, 4))
    agree(
        "Tensor", "NumPy", Tensor(numbers(3, 2, 3)).max(axis=1).data, numbers(3, 2, 3).max(axis=1)
    )


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (3, 1)])
def test_reducing_everything_and_single_numbers(name, shape):
    x, reduce = numbers(3, *shape), REDUCTIONS[name]
    compare(lambda t: reduce(t), x)
    compare(lambda t: reduce(t, 0), x)
    compare(lambda t: reduce(t, -1, True), x)


def test_equal_largest_elements_share_the_gradient():
    (ours,), (theirs,) = both(np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]))
    ours.max(axis=1).backward([1.0, 1.0])
    torch.amax(theirs, 1).sum().backward()
    agree("Tensor.backward", "torch", ours.grad, theirs.grad)
    assert ours.grad.tolist()[0] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize("dims", [(0, 1), (1, 0), (2, 0), (-1, 1), (1, 1)])
@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5)])
def test_transpose_swaps_two_dimensions(shape, dims):
    compare(lambda t: t.transpose(*dims), numbers(4, *shape))
    compare(lambda t: t.transpose(dim1=dims[1], dim0=dims[0]), numbers(4, *shape))


@pytest.mark.parametrize("dims", [(1, 0, 2), (2, 0, 1), (-1, 0, 1), (0, 1, 2)])
def test_permuting(dims):
    compare(lambda t: t.permute(*dims), numbers(4, 2, 3, 4))
    compare(lambda t: t.permute(dims), numbers(4, 2, 3, 4))


@pytest.mark.parametrize("shape", [(3, 2), (6,), (-1,), (2, -1), (1, 6, 1)])
def test_reshaping_to_a_tuple_or_to_numbers(shape):
    for form in ((shape,), (list(shape),), shape):
        compare(lambda t, form=form: t.reshape(*form), numbers(4, 2, 3))
    compare(lambda t: t.reshape(()), numbers(4, 1, 1))


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        (0, 1),
        slice(1, None),
        slice(None, None, 2),
        (slice(None), -2),
        [2, 0, 2],
        ([0, 0, 1], [2, 2, 0]),
        ([0, 1], slice(1, 3)),
        (Ellipsis, 1),
        (None, 1),
        np.array([True, False, True]),
        np.arange(12).reshape(3, 4) % 3 == 0,
    ],
    ids=str,
)
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


def test_negative_steps_are_numpy_s():
    x = Tensor(numbers(6, 5), requires_grad=True)
    out = x[::-2]
    agree("Tensor", "NumPy", out.data, numbers(6, 5)[::-2])
    out.backward([1.0, 2.0, 3.0])
    assert x.grad.tolist() == [3, 0, 2, 0, 1]


# -- values of the forward pass ------------------------------------------------------------------

# Every operation, of two leaves of shape (2, 3) with positive entries.
OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "×": lambda a, b: a * b,
    "÷": lambda a, b: a / b,
    "neg": lambda a, b: -a * b,
    "power": lambda a, b: a**3 * b**0.5,
    "@": lambda a, b: a @ b.transpose(0, 1),
    "@ vectors": lambda a, b: a[0] @ b[1] + (a @ b[0])[0] + (b[0] @ a.transpose(0, 1))[1],
    "exp": lambda a, b: (a * b).exp(),
    "log": lambda a, b: a.log() * b,
    "tanh": lambda a, b: a.tanh() * b.tanh(),
    "relu": lambda a, b: (a - b).relu() * b,
    "sum": lambda a, b: a.sum(0) * b,
    "mean": lambda a, b: a.mean(1, keepdim=True) * b,
    "max": lambda a, b: a.amax(1) * b.amax(1),
    "reshape": lambda a, b: a.reshape(3, 2) * b.reshape(3, 2),
    "permute": lambda a, b: a.permute(1, 0) * b.permute(1, 0),
    "[ ]": lambda a, b: a[[0, 0, 1]] * b[[1, 0, 1]],
}
CHANGES = {
    "a new array": lambda t: setattr(t, "data", t.data * 5 + 1),
    "in place": lambda t: t.data.__setitem__(..., 7.0),
    "one number": lambda t: t.data.__setitem__((0, 1), -3.0),
    "a row of it": lambda t: t.data[0].fill(9.0),
    "a step of training": lambda t: t.data.__isub__(0.5),
    "turned over": lambda t: t.data.sort(axis=0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_are_those_of_the_numbers_that_went_forward(name, change):
    """Leaves and results are changed before backward; the gradient is torch's without it."""
    a, b = np.abs(numbers(1, 2, 3)) + 0.5, np.abs(numbers(2, 2, 3)) + 0.5
    ours, theirs = both(a, b)
    expected = OPERATIONS[name](*theirs)
    out = OPERATIONS[name](*ours)
    kept = out.data.copy()
    for tensor in ours:
        CHANGES[change](tensor)
    out.data[...] = 0.0
    for tensor in out.inputs:
        if tensor.ndim == 2:
            tensor.data[0] = 11.0
    weights = numbers(7, *expected.shape)
    out.backward(weights)
    expected.backward(torch.tensor(weights))
    agree("Tensor", "torch", kept, expected.detach())
    for x, y in zip(ours, theirs, strict=True):
        agree("Tensor.backward, numbers changed", "torch", x.grad, y.grad)


def test_two_losses_and_a_step_between():
    """The gradient of the second loss, w³ at 2, is 12, whatever the first has done to w."""
    w = Tensor([2.0], requires_grad=True)
    one, two = (w * w).sum(), (w * w * w).sum()
    one.backward()
    w.data, w.grad = w.data - 0.5 * w.grad, None
    two.backward()
    assert w.data.tolist() == [0.0]
    assert w.grad.tolist() == [12.0]


def test_a_step_in_place_changes_the_next_forward_pass():
    w = Tensor([2.0, 3.0], requires_grad=True)
    for _ in range(2):
        w.grad = None
        (w * w).sum().backward()
        w.data -= 0.25 * w.grad
    assert w.data.tolist() == [0.5, 0.75]
    w.data[1] = 4.0
    assert (w * w).tolist() == [0.25, 16.0]


def test_an_array_that_a_graph_uses_is_locked():
    w = Tensor([2.0, 3.0], requires_grad=True)
    held = w.data
    loss = (w * w).sum()
    with pytest.raises(ValueError, match="read-only"):
        held[0] = 5.0
    loss.backward()
    assert w.grad.tolist() == [4.0, 6.0]


def test_what_is_not_noticed_is_what_the_module_says():
    """A view that was taken before reaches what the graph has kept: the slope is that at 5."""
    w = Tensor([[2.0], [3.0]], requires_grad=True)
    row = w.data[0]
    y = w * w
    row[:] = 5
    y.sum().backward()
    assert w.grad.tolist() == [[10.0], [6.0]]


def test_the_caller_s_arrays_are_neither_locked_nor_read_again():
    given, indices = np.array([2.0, 3.0]), np.array([0, 1])
    rows, gradient = [0, 1], np.array([1.0, 10.0])
    w = Tensor(given, requires_grad=True)
    out = (w * given)[indices][rows]
    for array in (given, indices):
        array[:] = 0
    rows[:] = [0, 0]
    out.backward(gradient)
    gradient[:] = 7.0
    assert w.grad.tolist() == [2.0, 30.0]
    w.data = given
    (w * w).sum().backward()
    given[:] = 5.0
    assert w.data.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "take", [lambda c: c.reshape(4), lambda c: c[0], lambda c: c.permute(1, 0)]
)
def test_a_part_of_a_constant_stays_as_it_went_forward(take):
    c, w = Tensor([[1.0, 2.0], [3.0, 4.0]]), Tensor(1.0, requires_grad=True)
    part, sibling = take(c), take(c)
    expected = part.data.sum()
    loss = (w * part).sum()
    c.data[...] = 9.0
    sibling.data[...] = 9.0
    loss.backward()
    assert w.grad == expected


def test_gradients_are_arrays_of_their_own():
    a, b = (Tensor(1.0, requires_grad=True) for _ in range(2))
    total = a + b
    total.backward()
    a.grad[...] = 0.0
    assert (float(b.grad), float(total.grad)) == (1.0, 1.0)


def test_what_needs_a_gradient_is_settled_in_the_forward_pass():
    """As in torch: a constant that is to be learnt from now on was one in this graph."""
    grads = []
    for make in (Tensor, lambda x: torch.tensor(x, dtype=torch.float64)):
        w, c = make(3.0), make(2.0)
        w.requires_grad = True
        y = c * 3 * w + c
        c.requires_grad = True
        y.backward()
        grads.append((float(w.grad), c.grad))
    assert grads[0] == grads[1] == (6.0, None)


# -- as a Python object --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1,), (0, 2), (2, 1, 2)])
def test_it_is_a_sequence_of_its_rows_as_in_torch(shape):
    x = numbers(8, *shape)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x)
    assert len(ours) == len(theirs)
    rows = list(ours)
    assert [row.tolist() for row in rows] == [row.tolist() for row in theirs]
    if rows:
        first, *_ = ours
        first.sum().backward()
        assert ours.grad[0].min() == 1
        assert ours.grad[1:].sum() == 0


def test_a_single_number_is_no_sequence():
    x, theirs = Tensor(3.0), torch.tensor(3.0)
    for call in (list, len, iter, tuple, lambda t: [*t], sorted, max):
        for tensor in (x, theirs):
            with pytest.raises(TypeError):
                call(tensor)
    with pytest.raises(IndexError):
        x[0]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("value", [2.5, 0.0, -1.0])
def test_a_tensor_of_one_element_is_a_number(value, shape):
    ours = Tensor(np.full(shape, value), requires_grad=True)
    theirs = torch.full(shape, value)
    for convert in (float, int, bool, lambda t: t.item(), math.exp):
        result = convert(ours)
        assert result == convert(theirs)
        assert type(result) is type(convert(theirs))


@pytest.mark.parametrize("shape", [(2,), (0,), (1, 2)])
def test_several_elements_are_no_number(shape):
    x = Tensor(np.ones(shape))
    for convert in (float, int, bool, lambda t: t.item()):
        with pytest.raises(ValueError, match="only a tensor of one element is a number"):
            convert(x)
    with pytest.raises(TypeError):
        range(x)


@pytest.mark.parametrize("symbol", ["lt", "le", "gt", "ge", "eq", "ne"])
def test_comparisons_are_torch_s(symbol):
    relation = getattr(operator, symbol)
    a, b = np.array([[1.0, 2.0, math.nan]]), np.array([[1.0], [3.0]])
    ours, theirs = both(a, b)
    same("Tensor", "torch", relation(*ours), relation(*theirs))
    same("Tensor", "torch", relation(ours[0], 2), relation(theirs[0], 2))
    same("Tensor", "torch", relation(1.5, ours[0]), relation(1.5, theirs[0]))
    same("Tensor", "torch", relation(b, ours[0]), relation(torch.tensor(b), theirs[0]))


def test_comparing_with_what_is_no_number():
    x = Tensor([1.0])
    assert (x == None, x != None, x == "1") == (False, True, False)  # noqa: E711
    with pytest.raises(TypeError):
        _ = x < "1"
    with pytest.raises(ValueError, match="broadcast"):
        _ = Tensor([1.0, 2.0]) == Tensor([1.0, 2.0, 3.0])


def test_membership_and_hashing():
    x, y = Tensor([1.0, 2.0]), Tensor([1.0, 2.0])
    assert 2 in x
    assert 3.0 not in x
    assert len({x, y, x}) == 2
    assert {x: "x", y: "y"}[y] == "y"
    with pytest.raises(TypeError, match="must be real numbers"):
        _ = "2" in x


def test_a_mask_from_a_comparison_picks_with_gradients():
    compare(lambda t: t[t.data > 0] if isinstance(t, Tensor) else t[t > 0], numbers(3, 4, 5))


NUMPY = [np.array(2.0), np.float64(2.0), np.float32(2.0), np.int64(2), np.array([2.0, 4.0])]


@pytest.mark.parametrize("other", NUMPY, ids=repr)
@pytest.mark.parametrize("symbol", ["add", "sub", "mul", "truediv"])
def test_numpy_on_either_side_keeps_the_graph(other, symbol):
    operation = getattr(operator, symbol)
    for swap in (False, True):
        (ours,), (theirs,) = both(np.array([1.0, 3.0]))
        torch_other = torch.tensor(np.asarray(other), dtype=torch.float64)
        a = operation(other, ours) if swap else operation(ours, other)
        b = operation(torch_other, theirs) if swap else operation(theirs, torch_other)
        assert isinstance(a, Tensor)
        a.sum().backward()
        b.sum().backward()
        agree("Tensor", "torch", a.data, b.detach())
        agree("Tensor.backward", "torch", ours.grad, theirs.grad)


def test_numpy_s_functions_do_not_lose_the_graph():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for function in (np.exp, np.asarray, np.array, np.sum, np.mean, np.concatenate):
        with pytest.raises(TypeError):
            function([x, x] if function is np.concatenate else x)
    with pytest.raises(TypeError, match="lose the graph"):
        Tensor([x[0], x[1]])
    agree("Tensor", "NumPy", np.asarray(Tensor([1.0, 2.0])), [1.0, 2.0])
    agree("Tensor", "NumPy", np.array(Tensor(2.0), dtype=np.float32), 2.0)


def test_the_printed_form():
    w = Tensor([2.0, -1.0], requires_grad=True, name="w")
    assert repr(w) == "Tensor([ 2., -1.], requires_grad=True, name='w')"
    assert repr(w * 2) == "Tensor([ 4., -2.], operation='×')"
    assert repr(Tensor(3)) == f"{Tensor(3)}" == "Tensor(3.)"
    assert f"{Tensor(2 / 3):.2f}" == f"{torch.tensor(2 / 3):.2f}" == "0.67"


# -- corners -------------------------------------------------------------------------------------

CORNER_CASES = {
    "relu at 0": (lambda t: t.relu(), [0.0, -0.0, 1.0, -1.0]),
    "relu below a root": (lambda t: (t.relu() + (t * 0 + 1)).log(), [0.0, -1.0, 2.0]),
    "square at 0": (lambda t: t**2, [0.0, -2.0]),
    "first power at 0": (lambda t: t**1, [0.0, 3.0]),
    "zeroth power at 0": (lambda t: t**0, [0.0, 3.0]),
    "odd power below 0": (lambda t: t**3, [-2.0, 0.0]),
    "largest of equals": (lambda t: t.amax(0), [1.0, 1.0, 0.0]),
    "largest of all": (lambda t: t.max(), [1.0, 1.0, 1.0, -1.0]),
    "largest that is no number": (lambda t: t.max(), [1.0, math.nan, 2.0]),
    "tanh far out": (lambda t: t.tanh(), [400.0, -400.0, 0.0]),
    "exp far down": (lambda t: t.exp(), [-1000.0, 0.0]),
    "product with 0": (lambda t: t * t[0], [0.0, 2.0]),
}


@pytest.mark.parametrize("case", CORNER_CASES)
def test_at_ties_zeros_and_far_out(case):
    function, x = CORNER_CASES[case]
    (ours,), (theirs,) = both(np.array(x))
    function(ours).sum().backward()
    function(theirs).sum().backward()
    np.testing.assert_allclose(ours.grad, theirs.grad, rtol=1e-12)
    np.testing.assert_allclose(function(ours).data, function(theirs).detach(), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_slopes_without_end_are_torch_s():
    """A root's slope is infinite at 0; where ReLU is off in front of it, nothing comes through."""
    for function in (
        lambda t: t**0.5,
        lambda t: t.relu() ** 0.5,
        lambda t: t.log(),
        lambda t: 1 / t,
    ):
        (ours,), (theirs,) = both(np.array([0.0, 4.0]))
        function(ours).sum().backward()
        function(theirs).sum().backward()
        agree("Tensor.backward", "torch", ours.grad, theirs.grad)


@pytest.mark.parametrize(
    "data", [None, "1", ["1", "2"], [1.0, None], 1j, [[1j]], {"a": 1}, object()]
)
def test_what_is_no_real_number(data):
    for call in (
        lambda: Tensor(data),
        lambda: Tensor(1.0) + data,
        lambda: data * Tensor(1.0),
        lambda: setattr(Tensor([1.0]), "data", data),
        lambda: Tensor([1.0], requires_grad=True).backward([data]),
    ):
        with pytest.raises(TypeError, match="must be real numbers"):
            call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: Tensor(1.0, 2.0), TypeError, "requires_grad must be True or False, got 2.0"),
        (lambda t: Tensor(1.0, name=3), TypeError, "name must be a string"),
        (lambda t: t ** "2", TypeError, "power must be a number"),
        (lambda t: t ** np.array([1.0, 2.0]), TypeError, "power must be a number"),
        (lambda t: t.reshape(1.5, 4), TypeError, "shape must be whole numbers, got 1.5"),
        (lambda t: t.reshape("32"), TypeError, "shape must be whole numbers"),
        (lambda t: t.reshape(4, 2), ValueError, "cannot reshape"),
        (lambda t: t.reshape(-2, 3), ValueError, "shape must be at least -1, got -2"),
        (lambda t: t.transpose(0), TypeError, "dim1"),
        (lambda t: t.transpose(0, 2), IndexError, "axis 2 is out of bounds"),
        (lambda t: t.transpose(0, 1.0), TypeError, "dim must be whole numbers, got 1.0"),
        (lambda t: t.permute(), ValueError, "name all 2 dimensions"),
        (lambda t: t.permute(0, 0), ValueError, "name each dimension once"),
        (lambda t: t.sum(2), IndexError, "axis 2 is out of bounds"),
        (lambda t: t.sum(-3), ValueError, "axis -3 is out of bounds"),
        (lambda t: t.sum((0, 0)), ValueError, "name each dimension once"),
        (lambda t: t.sum((0, -2)), ValueError, "name each dimension once"),
        (lambda t: t.sum(True), TypeError, "dim must be whole numbers, got True"),
        (lambda t: t.sum(0.5), TypeError, "dim must be whole numbers, got 0.5"),
        (lambda t: t.sum("0"), TypeError, "dim must be whole numbers"),
        (lambda t: t.mean(0, 1), TypeError, "keepdim must be True or False, got 1"),
        (lambda t: t.mean(0, axis=1), TypeError, "dim and axis are the same"),
        (lambda t: t.max(dims=1), TypeError, "max has no argument 'dims'"),
        (lambda t: t[Tensor(0.0)], TypeError, "an index must be whole numbers or a mask"),
        (lambda t: t[0, Tensor([1.0])], TypeError, "an index must be whole numbers or a mask"),
        (lambda t: t[0.5], IndexError, "only integers"),
        (lambda t: t[5], IndexError, "out of bounds"),
        (lambda t: t @ t, ValueError, "mismatch"),
        (lambda t: t.__setattr__("data", [1.0]), ValueError, r"keep its shape \(2, 3\), got \(1,"),
    ],
)
def test_what_methods_refuse(call, error, message):
    with pytest.raises(error, match=message):
        call(Tensor(numbers(1, 2, 3), requires_grad=True))


def test_no_item_can_be_assigned():
    x = Tensor([1.0, 2.0])
    with pytest.raises(TypeError, match="item assignment"):
        x[0] = 5.0


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
