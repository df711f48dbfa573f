"""The answers of the exercises on networks, held against oracles that the masters do not use."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion import autograd
from exercises import neural_networks as master
from exercises import run
from exercises.neural_networks import (
    count_parameters,
    forward_by_hand,
    gradient_norms,
    kept_signal,
    lstm_in_order,
    new_operation,
    two_paths,
    xor_weights,
)
from tests.support import normal


def solved(module, **given):
    return run(master.SETUP, module.exercise(**given).solution)


def drawn(module, count=30):
    return [module.draw(random.Random(seed)) for seed in range(count)]


PAGE_NETWORK = {
    "weights": ((2, -1), (-3, 1)),
    "biases": (1, 2),
    "out": (3, -2),
    "shift": -4,
    "inputs": (2, 1),
    "target": 5,
}


# -- by hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [PAGE_NETWORK, *drawn(forward_by_hand)])
def test_forward_is_what_torch_gives(given):
    first, last = nn.Linear(2, 2).double(), nn.Linear(2, 1).double()
    with torch.no_grad():
        first.weight.copy_(torch.tensor(given["weights"]))
        first.bias.copy_(torch.tensor(given["biases"]))
        last.weight.copy_(torch.tensor([given["out"]]))
        last.bias.fill_(given["shift"])
    before = first(torch.tensor(given["inputs"]).double())
    output = last(before.relu())
    loss = F.mse_loss(output, torch.tensor([given["target"]]).double())
    answer = solved(forward_by_hand, **given)
    assert answer["hidden_before"] == before.tolist()
    assert answer["hidden_after"] == before.relu().tolist()
    assert [answer["network_output"], answer["squared_error"]] == [output.item(), loss.item()]
    loss.backward()
    silent = forward_by_hand.exercise(**given).values["silent"] - 1
    assert (first.weight.grad[silent] == 0).all()
    assert last.weight.grad[0, silent] == first.bias.grad[silent] == 0
    assert (first.weight.grad[1 - silent] != 0).all()


def test_the_page_asks_for_that_network():
    assert forward_by_hand.exercise() == forward_by_hand.exercise(**PAGE_NETWORK)


@pytest.mark.parametrize("given", [{}, *drawn(count_parameters, 10)])
def test_counts_are_those_of_torchs_layers(given):
    answer, values = solved(count_parameters, **given), count_parameters.exercise(**given).values
    convolutions = nn.Sequential(
        nn.Conv2d(values["channels"], values["first"], values["k"]),
        nn.MaxPool2d(2),
        nn.Conv2d(values["first"], values["second"], values["k"]),
        nn.MaxPool2d(2),
        nn.Flatten(),
    )
    image = torch.zeros(1, values["channels"], values["side"], values["side"])
    flat = convolutions(image).shape[1]

    def size(*layers):
        return sum(p.numel() for layer in layers for p in layer.parameters())

    last = nn.Linear(values["hidden"], values["classes"])
    assert answer["flat_features"] == flat
    assert answer["convolution_parameters"] == size(convolutions)
    linear = nn.Linear(flat, values["hidden"])
    assert answer["cnn_parameters"] == size(convolutions, linear, last)
    assert answer["mlp_parameters"] == size(nn.Linear(image.numel(), values["hidden"]), last)


@pytest.mark.parametrize("given", [{}, *drawn(two_paths)])
def test_slopes_are_those_of_torch(given):
    answer, values = solved(two_paths, **given), two_paths.exercise(**given).values
    w, x = (torch.tensor(float(values[n]), dtype=torch.float64, requires_grad=True) for n in "wx")
    b = float(str(values["b"]).strip("()"))
    y = values["a"] * torch.sigmoid(w * x - values["c"]) + b * torch.relu(w * x)
    assert y.item() == values["y"]
    (y - values["t"]).square().backward()
    assert answer["slope_w"] == pytest.approx(w.grad.item())
    assert answer["slope_x"] == pytest.approx(x.grad.item())
    assert answer["w_after"] == pytest.approx((w - values["rate"] * w.grad).item())
    assert answer["slope_w"] != 0


@pytest.mark.parametrize("given", [{}, *drawn(xor_weights)])
def test_xor_weights_make_xor(given):
    exercise = xor_weights.exercise(**given)
    answer = run(master.SETUP, exercise.solution)
    parts = (answer[f"xor_{name}"] for name in ("weights", "biases", "out", "shift"))
    w, b, v, c = (torch.tensor(part, dtype=torch.float64) for part in parts)
    values = exercise.values
    for x in itertools.product((values["low"], values["high"]), repeat=2):
        got = v @ torch.relu(w @ torch.tensor(x).double() + b) + c
        assert got.item() == values["differ" if x[0] != x[1] else "equal"]


def test_another_xor_passes_as_well():
    """Two neurons that each detect one order of unlike inputs."""
    other = {
        "xor_weights": [[0.5, -0.5], [-0.5, 0.5]],
        "xor_biases": [0, 0],
        "xor_out": [1, 1],
        "xor_shift": 0,
    }
    assert xor_weights.exercise().failures(other) == []


# -- predict and measure -------------------------------------------------------------------------


@pytest.mark.parametrize("case", gradient_norms.CASES)
def test_fates_are_far_from_their_bounds(case):
    """By the factors of the theory: a mean square is multiplied alike in every layer."""
    kind, _, how = case.partition(" ")
    weights = {"": 1.0, "he": 2.0, "twice": 8.0 if kind == "relu" else 4.0, "half": 0.25}[how]
    bend = {"sigmoid": 1 / 16, "relu": 0.5, "linear": 1.0, "tanh": 1.0}[kind]
    for depth in (18, 20, 24, 30):
        ratio = gradient_norms.gradient_ratio(case, depth, 100, depth)
        theory = (weights * bend) ** (depth / 2)
        assert abs(math.log(ratio / theory)) < 0.7 + 0.25 * abs(math.log(theory))
        assert ratio < 0.005 or ratio > 200 or 0.3 < ratio < 3


@pytest.mark.parametrize("given", drawn(gradient_norms, 20))
def test_each_fate_occurs(given):
    truth = solved(gradient_norms, **given)["depth_predictions"]
    assert set(truth.values()) == {"vanishes", "stays", "explodes"}


@pytest.mark.parametrize("slope", [0.5, 0.7, -0.4])
def test_bent_weights_are_he_with_torchs_gain(slope):
    weights = solved(kept_signal, slope=slope)["bent_weights"](500, 300, np.random.default_rng(0))
    gain = nn.init.calculate_gain("leaky_relu", slope)
    assert weights.shape == (300, 500)
    assert weights.std() == pytest.approx(gain / math.sqrt(500), rel=0.01)


# -- code ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["figo", "ogif", "ifgo"])
def test_steps_in_order_are_those_of_torchs_lstm(order):
    step = solved(lstm_in_order, order=order)["lstm_step"]
    lstm = nn.LSTM(3, 2).double()
    with torch.no_grad():
        lstm.bias_hh_l0.zero_()
    blocks = {
        name: [dict(zip("ifgo", p.detach().chunk(4), strict=True))[gate] for gate in order]
        for name, p in lstm.named_parameters()
    }
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0")
    maps = [torch.cat(blocks[name]).numpy() for name in names]
    x = normal(5, 4, 3)
    h = c = np.zeros((4, 2))
    for now, expected in zip(x.numpy(), lstm(x)[0].detach().numpy(), strict=True):
        h, c = step(now, h, c, *maps)
        np.testing.assert_allclose(h, expected, atol=1e-12)


@pytest.mark.parametrize("operation", new_operation.OPERATIONS)
def test_pulls_fit_into_the_books_autograd(operation):
    """As a node of `companion.autograd`, against finite differences."""
    answer = solved(new_operation, operation=operation)
    a, b = new_operation.operands(3, (3, 1), (4,))
    g = np.asarray(normal(3, 4))

    def value(x, y):
        return (answer["operation_forward"](x, y) * g).sum()

    x, y = autograd.Tensor(a, requires_grad=True), autograd.Tensor(b, requires_grad=True)
    node = autograd._node(
        operation,
        answer["operation_forward"](a, b),
        (x, lambda back: answer["operation_pull"](a, b, back)[0]),
        (y, lambda back: answer["operation_pull"](a, b, back)[1]),
    )
    (node * g).sum().backward()
    step = 1e-6
    for i in range(3):
        moved = step * np.eye(3)[:, i : i + 1]
        slope = (value(a + moved, b) - value(a - moved, b)) / (2 * step)
        assert x.grad[i, 0] == pytest.approx(slope, rel=1e-6, abs=1e-8)
    for j in range(4):
        moved = step * np.eye(4)[j]
        slope = (value(a, b + moved) - value(a, b - moved)) / (2 * step)
        assert y.grad[j] == pytest.approx(slope, rel=1e-6, abs=1e-8)
