import functools
import math

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from companion import activations
from tests.plugins import shapes
from tests.support import FLOATS, SIXTEEN_BITS, agree_16, normal, seeds, shapes_vary
from tests.verification import agree

TORCH = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}
SMOOTH = ["sigmoid", "tanh", "gelu", "silu"]

# The formulas with 50 digits, where nothing overflows and nothing cancels.
EXACT = {
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "tanh": lambda x: (mpmath.exp(x) - mpmath.exp(-x)) / (mpmath.exp(x) + mpmath.exp(-x)),
    "relu": lambda x: max(mpmath.mpf(0), x),
    "gelu": lambda x: x * mpmath.ncdf(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
}
EXACT_DERIVATIVE = {
    "sigmoid": lambda x: mpmath.exp(-x) / (1 + mpmath.exp(-x)) ** 2,
    "tanh": lambda x: 4 / (mpmath.exp(x) + mpmath.exp(-x)) ** 2,
    "relu": lambda x: mpmath.mpf(x > 0),
    "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
    "silu": lambda x: (1 + mpmath.exp(-x) + x * mpmath.exp(-x)) / (1 + mpmath.exp(-x)) ** 2,
}
POINTS = [-1000, -100, -30, -10, -2.5, -1, -1e-3, -1e-9, 0, 1e-9, 1e-3, 1, 2.5, 10, 30, 100, 1000]


def exactly(function, points):
    with mpmath.workdps(50):
        return torch.tensor([float(function(mpmath.mpf(x))) for x in points], dtype=torch.float64)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", TORCH)
def test_agrees_with_torch(name, dtype):
    x = normal(3, 4, 50, dtype=dtype, scale=4.0)
    agree(name, "torch", getattr(activations, name)(x), TORCH[name](x))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", EXACT)
def test_agrees_with_50_digits(name, dtype):
    x = torch.tensor(POINTS, dtype=dtype)
    expected = exactly(EXACT[name], x.tolist())
    agree(name, "mpmath", getattr(activations, name)(x), expected)
    derivative = getattr(activations, f"{name}_derivative")(x)
    expected = exactly(EXACT_DERIVATIVE[name], x.tolist())
    agree(f"{name}_derivative", "mpmath", derivative, expected)


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "silu"])
def test_tails_are_right_relative_to_their_size(name):
    """1 + erf(x) or 1 − sigmoid(x) would be 0 here: the values are between 1e-14 and 1e-140."""
    points = [-25.0, -20.0, -15.0, -10.0]
    value = getattr(activations, name)(torch.tensor(points, dtype=torch.float64))
    agree(f"{name}, tail / exact tail", "mpmath", value / exactly(EXACT[name], points), [1.0] * 4)


@pytest.mark.parametrize("name", TORCH)
def test_derivative_is_that_of_autograd(name):
    x = normal(200, scale=4.0).requires_grad_()
    derivative = getattr(activations, f"{name}_derivative")(x.detach())
    for oracle, function in (("autograd", getattr(activations, name)), ("torch", TORCH[name])):
        (expected,) = torch.autograd.grad(function(x).sum(), x)
        agree(f"{name}_derivative", oracle, derivative, expected)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_first_and_second_order(name):
    x = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(getattr(activations, name), x)
    assert gradgradcheck(getattr(activations, name), x)


def test_gradient_of_relu_away_from_its_kink():
    x = torch.tensor([-3.0, -0.5, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    assert gradcheck(activations.relu, x)


def test_relu_at_its_kink_and_beyond_numbers():
    x = torch.tensor([0.0, -0.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(activations.relu(x).sum(), x)
    assert gradient.tolist() == activations.relu_derivative(x.detach()).tolist() == [0.0, 0.0]
    assert activations.relu(torch.tensor(math.nan)).isnan()


# Worked out from the formulas: every exponential of −1000 is 0, every one of 1000 is left out.
FAR = {
    "sigmoid": ([0.0, 1.0], [0.0, 0.0]),
    "tanh": ([-1.0, 1.0], [0.0, 0.0]),
    "relu": ([0.0, 1000.0], [0.0, 1.0]),
    "gelu": ([0.0, 1000.0], [0.0, 1.0]),
    "silu": ([0.0, 1000.0], [0.0, 1.0]),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", FAR)
def test_far_from_zero(name, dtype):
    values, slopes = (torch.tensor(numbers, dtype=dtype) for numbers in FAR[name])
    x = torch.tensor([-1000.0, 1000.0], dtype=dtype, requires_grad=True)
    y = getattr(activations, name)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    agree(f"{name} at ±1000", "by hand", y, values)
    agree(f"{name} at ±1000, gradient", "by hand", gradient, slopes)
    derivative = getattr(activations, f"{name}_derivative")(x.detach())
    agree(f"{name}_derivative at ±1000", "by hand", derivative, slopes)


def test_values_by_hand():
    # e^ln3 = 3, so sigmoid = 3/4 and its slope 3/16; tanh = (3 − 1/3)/(3 + 1/3) = 4/5, slope 9/25.
    x = torch.tensor([math.log(3)], dtype=torch.float64)
    agree("sigmoid", "by hand", activations.sigmoid(x), [3 / 4])
    agree("sigmoid_derivative", "by hand", activations.sigmoid_derivative(x), [3 / 16])
    agree("tanh", "by hand", activations.tanh(x), [4 / 5])
    agree("tanh_derivative", "by hand", activations.tanh_derivative(x), [9 / 25])
    agree("silu", "by hand", activations.silu(x), [math.log(3) * 3 / 4])


@pytest.mark.parametrize("dtype", FLOATS)
def test_gelu_with_tanh(dtype):
    x = normal(100, dtype=dtype, scale=3.0)
    value = activations.gelu(x, approximate="tanh")
    agree("gelu, tanh form", "torch", value, F.gelu(x, approximate="tanh"))
    assert (value - activations.gelu(x)).abs().max() > 1e-4  # it is another function


def test_gelu_with_tanh_far_from_zero():
    x = torch.tensor([-1000.0, 0.0, 1000.0], requires_grad=True)
    y = activations.gelu(x, approximate="tanh")
    (gradient,) = torch.autograd.grad(y.sum(), x)
    agree("gelu, tanh form, at ±1000", "by hand", y, [0.0, 0.0, 1000.0])
    agree("gelu, tanh form, at ±1000, gradient", "by hand", gradient, [0.0, 0.5, 1.0])


def test_gelu_refuses_another_approximation():
    with pytest.raises(ValueError, match=r"approximate .*'sigmoid'"):
        activations.gelu(torch.zeros(1), approximate="sigmoid")


ROWS = {"softmax": F.softmax, "log_softmax": F.log_softmax}


@shapes_vary
@given(shape=st.lists(st.integers(1, 5), min_size=1, max_size=4), seed=seeds, data=st.data())
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_any_shape(name, shape, seed, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = normal(*shape, seed=seed, scale=5.0)
    for dtype in FLOATS:
        value = getattr(activations, name)(x.to(dtype), dim=dim)
        agree(name, "torch", value, ROWS[name](x.to(dtype), dim=dim))


def test_softmax_by_hand():
    # e^0 : e^ln2 : e^ln5 = 1 : 2 : 5, the sum is 8; adding 1000 to all changes nothing.
    x = torch.tensor([0.0, math.log(2), math.log(5)], dtype=torch.float64)
    expected = torch.tensor([1 / 8, 2 / 8, 5 / 8], dtype=torch.float64)
    for shift in (0, 1000, -1000):
        agree("softmax", "by hand", activations.softmax(x + shift), expected)
        agree("log_softmax", "by hand", activations.log_softmax(x + shift), expected.log())


def test_softmax_sums_to_one_along_its_dimension_only():
    p = activations.softmax(normal(3, 4), dim=0)
    agree("softmax, sum", "by hand", p.sum(dim=0), [1.0] * 4)
    assert (p.sum(dim=1) - 1).abs().max() > 0.01


@pytest.mark.parametrize("dtype", FLOATS)
def test_softmax_far_from_zero(dtype):
    x = torch.tensor([1000.0, 1000.0, -1000.0], dtype=dtype, requires_grad=True)
    p, log_p = activations.softmax(x), activations.log_softmax(x)
    agree("softmax at ±1000", "by hand", p, [0.5, 0.5, 0.0])
    # ln(1/2) is −0.69…; the third is 2000 below the first.
    half = -math.log(2)
    agree("log_softmax at ±1000", "by hand", log_p, [half, half, half - 2000])
    for y in (p, log_p):
        (gradient,) = torch.autograd.grad(y[0], x, retain_graph=True)
        assert gradient.isfinite().all()
        assert gradient.abs().sum() > 0.4


@pytest.mark.parametrize("name", ROWS)
def test_gradients_of_rows(name):
    x = normal(2, 4).requires_grad_()
    for dim in (0, 1):
        assert gradcheck(lambda x, dim=dim: getattr(activations, name)(x, dim=dim), x)
    assert gradgradcheck(getattr(activations, name), x)


@pytest.mark.parametrize("name", ROWS)
def test_gradients_of_rows_at_ties_and_zeros(name):
    rows = [[0.0, 0.0, 0.0], [2.0, 2.0, -1.0], [-3.0, 0.0, -3.0]]
    x, slopes = torch.tensor(rows, dtype=torch.float64).requires_grad_(), normal(3, 3)
    assert gradcheck(getattr(activations, name), x)
    assert gradgradcheck(getattr(activations, name), x)
    gradients = [
        torch.autograd.grad((function(x, dim=-1) * slopes).sum(), x)[0]
        for function in (getattr(activations, name), ROWS[name])
    ]
    agree(f"{name}, gradient at ties", "torch", *gradients)


@pytest.mark.parametrize("name", ROWS)
def test_jacobian_is_that_of_autograd(name):
    x = normal(2, 3, 4)
    jacobian = getattr(activations, f"{name}_derivative")(x)
    for function in (getattr(activations, name), lambda row: ROWS[name](row, dim=-1)):
        rows = [torch.autograd.functional.jacobian(function, row) for row in x.flatten(0, 1)]
        expected = torch.stack(rows).unflatten(0, (2, 3))
        agree(f"{name}_derivative", "autograd", jacobian, expected)


def test_jacobians_by_hand():
    # p = (1/4, 3/4): p1(1 − p1) = 3/16; log: δ − p.
    x = torch.tensor([0.0, math.log(3)], dtype=torch.float64)
    softmax = [[3 / 16, -3 / 16], [-3 / 16, 3 / 16]]
    agree("softmax_derivative", "by hand", activations.softmax_derivative(x), softmax)
    log_softmax = [[3 / 4, -3 / 4], [-1 / 4, 1 / 4]]
    agree("log_softmax_derivative", "by hand", activations.log_softmax_derivative(x), log_softmax)


def test_hidden_entries_get_nothing():
    x = torch.tensor([[0.0, -math.inf, 0.0], [-math.inf] * 3], requires_grad=True)
    p = activations.softmax(x)
    agree("softmax with −inf", "by hand", p, [[0.5, 0.0, 0.5], [0.0] * 3])
    (gradient,) = torch.autograd.grad(p[:, 0].sum(), x)
    # p1(δ − p): 1/4, 0, −1/4; nothing at all in the hidden row.
    agree("softmax with −inf, gradient", "by hand", gradient, [[0.25, 0.0, -0.25], [0.0] * 3])


def test_log_softmax_of_a_hidden_entry():
    x = torch.tensor([0.0, -math.inf])
    agree("log_softmax with −inf", "torch", activations.log_softmax(x), F.log_softmax(x, dim=-1))


# -- 16 bits -------------------------------------------------------------------------------------

ELEMENTWISE = [*TORCH, *(f"{name}_derivative" for name in TORCH)]
every_16 = pytest.mark.parametrize("dtype", SIXTEEN_BITS)


def edges(dtype):
    """Return the largest and smallest numbers of a format, zeros, and some between."""
    top = torch.finfo(dtype).max
    tiny = torch.finfo(dtype).tiny
    return torch.tensor(
        [-top, -top / 2, -300.0, -20.0, -1.0, -tiny, 0.0, tiny, 1.0, 20.0, 300.0, top / 2, top]
    ).to(dtype)


@every_16
@pytest.mark.parametrize("name", [*ELEMENTWISE, "gelu, tanh form"])
def test_16_bits_as_float32_rounded(name, dtype):
    function = getattr(activations, name.split(",")[0])
    if "tanh form" in name:
        function = functools.partial(function, approximate="tanh")
    x = edges(dtype)
    value = function(x)
    assert value.dtype == dtype
    agree_16(name, value, function(x.float()))


@every_16
@pytest.mark.parametrize("name", TORCH)
def test_gradients_of_16_bits(name, dtype):
    x, wanted = edges(dtype).requires_grad_(), edges(dtype).float().requires_grad_()
    getattr(activations, name)(x).sum().backward()
    TORCH[name](wanted).sum().backward()
    agree_16(f"{name}, gradient", x.grad, wanted.grad, "torch in float32")


def test_gelu_with_tanh_keeps_its_gradient_at_the_largest_numbers():
    x = torch.tensor([-3e38, 3e38, -1e13, 1e13], requires_grad=True)
    (gradient,) = torch.autograd.grad(activations.gelu(x, approximate="tanh").sum(), x)
    agree("gelu, tanh form, at 3e38, gradient", "by hand", gradient, [0.0, 1.0, 0.0, 1.0])


@every_16
@pytest.mark.parametrize("name", ROWS)
def test_rows_of_16_bits(name, dtype):
    top = torch.finfo(dtype).max
    x = torch.tensor([[top, -top, 0.0], [top, top, -top], [300.0, 299.0, 1.0]]).to(dtype)
    x, wanted = x.clone().requires_grad_(), x.float().requires_grad_()
    value, expected = getattr(activations, name)(x), ROWS[name](wanted, dim=-1)
    agree_16(name, value, expected.to(dtype), "torch in float32")
    value[:, 0].sum().backward()
    expected[:, 0].sum().backward()
    agree_16(f"{name}, gradient", x.grad, wanted.grad, "torch in float32")
    jacobian = getattr(activations, f"{name}_derivative")
    agree_16(f"{name}_derivative", jacobian(x.detach()), jacobian(x.detach().float()))


def test_a_long_row_of_16_bits_sums_to_one():
    """Terms of 1/10,000 summed in float16 would stop growing early."""
    p = activations.softmax(torch.zeros(10_000, dtype=torch.float16))
    agree_16("softmax of 10,000", p, torch.full((10_000,), 1e-4), "by hand")


# -- bad input -----------------------------------------------------------------------------------

FUNCTIONS = [*ELEMENTWISE, *ROWS, *(f"{name}_derivative" for name in ROWS)]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("x", [np.zeros(2), [0.0, 1.0], 0.5, torch.tensor([1, 2])], ids=type)
def test_what_is_no_tensor_of_floating_numbers_is_refused(name, x):
    message = "x must be a torch tensor, got"
    message = "x must hold floating-point numbers" if isinstance(x, torch.Tensor) else message
    with shapes.unchecked(), pytest.raises(TypeError, match=message):
        getattr(activations, name)(x)
