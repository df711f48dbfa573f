"""The multilayer perceptron: against torch and the twin, and trained in three frameworks."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from companion import autograd
from companion.activations import tanh
from companion.layers import MLP, he_normal_, initialise
from companion.reference import layers as twin
from tests.support import FLOATS, fill, normal, seeds, shapes_vary, sizes
from tests.verification import agree

STEPS, BATCH, RATE = 20, 64, 0.1


@shapes_vary
@given(widths=st.lists(sizes, min_size=2, max_size=5), batch=sizes, seed=seeds)
def test_of_any_depth(widths, batch, seed):
    for dtype in FLOATS:
        ours = fill(MLP(widths), seed, dtype)
        parts = []
        for layer in ours.layers:
            parts += [nn.Linear(layer.weight.shape[1], layer.weight.shape[0], dtype=dtype)]
            parts[-1].load_state_dict(layer.state_dict())
            parts += [nn.ReLU()]
        x = normal(batch, widths[0], seed=seed, dtype=dtype)
        agree("MLP", "torch.nn.Sequential", ours(x), nn.Sequential(*parts[:-1])(x))
    weights = [layer.weight.detach().double().numpy() for layer in ours.layers]
    biases = [layer.bias.detach().double().numpy() for layer in ours.layers]
    expected = twin.mlp(x.double().numpy(), weights, biases)
    agree("MLP", "NumPy twin", ours(x), expected)


def test_twin_by_hand():
    # Hidden: relu(1 − 2) = 0 and relu(3 · 1 + 2 · 2 − 1) = 6; output 5 · 0 + 0.5 · 6 + 1 = 4.
    weights = [np.array([[1.0, -1.0], [3.0, 2.0]]), np.array([[5.0, 0.5]])]
    biases = [np.array([0.0, -1.0]), np.array([1.0])]
    agree("twin: mlp", "by hand", twin.mlp(np.array([[1.0, 2.0]]), weights, biases), [[4.0]])


def test_another_activation():
    mlp = fill(MLP((4, 5, 3), activation=tanh))
    first, last = mlp.layers
    x = normal(2, 4)
    expected = F.linear(torch.tanh(F.linear(x, first.weight, first.bias)), last.weight, last.bias)
    agree("MLP, tanh", "torch", mlp(x), expected)


@pytest.mark.parametrize(
    ("sizes_", "message"), [([4], "sizes must hold input and output"), ([4, 0], "d_out")]
)
def test_errors_name_the_argument(sizes_, message):
    with pytest.raises(ValueError, match=message):
        MLP(sizes_)


# -- the same network three times ----------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """Real digits, flat and scaled to [0, 1], and the weights that all start from."""
    images, labels = load_digits(return_X_y=True)
    start = MLP((64, 128, 10)).double()
    initialise(start, he_normal_, generator=torch.Generator().manual_seed(0))
    weights = [p.detach().numpy().copy() for p in start.parameters()]
    return images / 16, labels, weights


def batches(images, labels):
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        yield images[rows], labels[rows]


def trained_by_torch(images, labels, weights):
    """Train with torch's own layers, loss and optimiser."""
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).double()
    with torch.no_grad():
        for parameter, weight in zip(net.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(weight))
    optimiser = torch.optim.SGD(net.parameters(), lr=RATE)
    losses = []
    for x, y in batches(images, labels):
        loss = F.cross_entropy(net(torch.tensor(x)), torch.tensor(y))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def trained_by_autograd(images, labels, weights):
    """Train with `companion.autograd`: the loss and the update written out."""
    parameters = [autograd.Tensor(w, requires_grad=True) for w in weights]
    w1, b1, w2, b2 = parameters
    losses = []
    for x, y in batches(images, labels):
        logits = (x @ w1.transpose(0, 1) + b1).relu() @ w2.transpose(0, 1) + b2
        shifted = logits - logits.max(axis=1, keepdims=True).data
        log_p = shifted - shifted.exp().sum(axis=1, keepdims=True).log()
        loss = -log_p[np.arange(len(y)), y].mean()
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        for parameter in parameters:
            parameter.data = parameter.data - RATE * parameter.grad
        losses.append(float(loss.data))
    return losses, [parameter.data for parameter in parameters]


@pytest.fixture
def in_float64():
    """Let Keras compute as the others do."""
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def trained_by_keras(images, labels, weights, softmax):
    """Train with Keras, as the source does: with softmax as the last layer, or on logits."""
    last = keras.layers.Dense(10, activation="softmax" if softmax else None)
    net = keras.Sequential([keras.Input((64,)), keras.layers.Dense(128, "relu"), last])
    net.set_weights([w.T for w in weights])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not softmax)
    net.compile(keras.optimizers.SGD(RATE), loss)
    losses = []
    for x, y in batches(images, labels):
        losses.append(float(net.train_on_batch(x, y)))
    return losses, [w.value.detach().numpy().T for w in net.weights]


def test_three_frameworks_give_the_same_losses(digits):
    expected = trained_by_torch(*digits)
    assert expected[-1] < 0.6 * expected[0]  # it learns
    ours = np.array(trained_by_autograd(*digits)[0])
    agree("Tensor, an MLP trained on digits", "torch", ours, expected)


def test_the_package_trains_alike(digits):
    images, labels, weights = digits
    net = MLP((64, 128, 10)).double()
    with torch.no_grad():
        for parameter, weight in zip(net.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(weight))
    losses = []
    for x, y in batches(images, labels):
        loss = F.cross_entropy(net(torch.tensor(x)), torch.tensor(y))
        net.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter -= RATE * parameter.grad
        losses.append(loss.item())
    agree("MLP, trained on digits", "torch", np.array(losses), trained_by_torch(*digits))


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.usefixtures("in_float64")
def test_keras_gives_the_same_losses(digits, softmax):
    losses, weights = trained_by_keras(*digits, softmax)
    expected, expected_weights = trained_by_autograd(*digits)
    # Keras's layers compute in float64 here, but its loss passes through float32.
    agree("MLP, trained on digits", "Keras 3", np.array(losses), expected, 1e-6, limit="float32")
    for weight, other in zip(weights, expected_weights, strict=True):
        agree("MLP, weights after training", "Keras 3", weight, other, 1e-7, limit="float32")
