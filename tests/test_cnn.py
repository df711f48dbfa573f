"""Convolution, pooling and the network made of them, against torch, loops, and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from torch.nn import functional as F

from companion import models
from companion.reference import models as twin
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal, seeds, shapes_vary
from tests.verification import agree

few = st.integers(1, 3)


@shapes_vary
@given(
    batch=few,
    c_in=few,
    c_out=few,
    sides=st.tuples(st.integers(3, 7), st.integers(3, 7)),
    k=few,
    stride=few,
    padding=st.integers(0, 2),
    bias=st.booleans(),
    seed=seeds,
)
def test_conv2d_of_any_shape(batch, c_in, c_out, sides, k, stride, padding, bias, seed):
    for dtype in FLOATS:
        x = normal(batch, c_in, *sides, seed=seed, dtype=dtype)
        weight = normal(c_out, c_in, k, k, seed=seed + 1, dtype=dtype)
        b = normal(c_out, seed=seed + 2, dtype=dtype) if bias else None
        ours = models.conv2d(x, weight, b, stride, padding)
        expected = F.conv2d(x, weight, b, stride, padding)
        agree("conv2d", "torch.nn.functional", ours, expected)
        arrays = (None if a is None else a.double().numpy() for a in (x, weight, b))
        by_loops = twin.conv2d(*arrays, stride, padding)
        agree("conv2d", "NumPy twin", ours, by_loops)
        if dtype == torch.float64:
            agree("twin: conv2d", "torch.nn.functional", by_loops, expected)


def test_conv2d_by_hand():
    # An edge: the kernel (1, −1) takes each number less its right neighbour.
    image = [[0.0, 0.0, 2.0, 2.0], [0.0, 1.0, 2.0, 2.0]]
    kernel = torch.tensor([[[[1.0, -1.0], [0.0, 0.0]]]])
    ours = models.conv2d(torch.tensor([[image]]), kernel)
    agree("conv2d", "by hand", ours, [[[[0.0, -2.0, 0.0]]]])
    by_loops = twin.conv2d(np.array([[image]]), kernel.numpy())
    agree("twin: conv2d", "by hand", by_loops, [[[[0.0, -2.0, 0.0]]]])


def test_conv2d_gradients():
    x, weight = normal(2, 2, 5, 4).requires_grad_(), normal(3, 2, 3, 3, seed=1).requires_grad_()
    bias = normal(3, seed=2).requires_grad_()
    assert gradcheck(lambda *a: models.conv2d(*a, stride=2, padding=1), (x, weight, bias))


@shapes_vary
@given(
    batch=few,
    channels=few,
    sides=st.tuples(st.integers(3, 9), st.integers(3, 9)),
    size=few,
    seed=seeds,
)
def test_max_pool2d_of_any_shape(batch, channels, sides, size, seed):
    x = normal(batch, channels, *sides, seed=seed)
    ours = models.max_pool2d(x, size)
    agree("max_pool2d", "torch.nn.functional", ours, F.max_pool2d(x, size))
    agree("max_pool2d", "NumPy twin", ours, twin.max_pool2d(x.numpy(), size))
    by_loops = twin.max_pool2d(x.numpy(), size)
    agree("twin: max_pool2d", "torch.nn.functional", by_loops, F.max_pool2d(x, size))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_layer_is_torchs(stride):
    torch.manual_seed(0)
    ours = models.Conv2d(2, 5, 3, stride=stride, padding=1)
    torch.manual_seed(0)
    theirs = nn.Conv2d(2, 5, 3, stride=stride, padding=1)
    bound = 1 / (2 * 9) ** 0.5
    for parameter, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert parameter.shape == other.shape
        assert 0.5 * bound < parameter.abs().max() <= bound
    theirs.load_state_dict(ours.state_dict())
    x = normal(2, 2, 7, 6, dtype=torch.float32)
    agree("Conv2d", "torch.nn.Conv2d", ours(x), theirs(x))
    agree("Conv2d", "conv2d", ours(x), models.conv2d(x, ours.weight, ours.bias, stride, 1))


@pytest.mark.parametrize("image", [(1, 28, 28), (1, 8, 8), (3, 9, 14)])
def test_the_network_by_its_parts(image):
    model = fill(models.CNN(image, channels=(3, 4), d_hidden=6, n_classes=5), scale=0.2)
    parts = nn.Sequential(
        nn.Conv2d(image[0], 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * (image[1] // 4) * (image[2] // 4), 6),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(6, 5),
    ).double()
    with torch.no_grad():
        for ours, theirs in zip(model.parameters(), parts.parameters(), strict=True):
            theirs.copy_(ours)
    x = normal(3, *image)
    agree("CNN", "torch.nn.Sequential", model.eval()(x), parts.eval()(x))
    written_out = x
    for layer in (model.conv1, model.conv2):
        convolved = models.conv2d(written_out, layer.weight, layer.bias, padding=1)
        written_out = models.max_pool2d(convolved.clamp(min=0))
    agree("CNN", "its parts", model(x), model.head(written_out.flatten(1)))
    assert (model.train()(x) != model(x)).any()  # dropout


def test_the_network_learns_stripes():
    """Upright against level stripes, which differ in no pixel's mean."""
    torch.manual_seed(0)
    phase = torch.randint(0, 4, (64, 1, 1))
    wave = ((torch.arange(8) + phase) % 4 < 2).float()  # (64, 1, 8)
    upright = torch.arange(64) % 2 == 0
    images = wave.expand(64, 8, 8)
    images = torch.where(upright[:, None, None], images, images.transpose(1, 2))[:, None]
    model = models.CNN((1, 8, 8), channels=(4, 4), d_hidden=16, n_classes=2)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        loss = F.cross_entropy(model(images), upright.long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (model.eval()(images).argmax(1) == upright).double().mean() > 0.95


X, W = torch.zeros(1, 2, 4, 4), torch.zeros(3, 2, 3, 3)


@pytest.mark.parametrize("size", [2, 3])
def test_gradient_of_pooling_at_ties(size):
    """After ReLU most squares hold several zeros; one of them gets the gradient."""
    x = normal(2, 3, 6, 6).relu().round()
    slopes = normal(2, 3, 6 // size, 6 // size, seed=1)
    gradients = []
    for pool in (models.max_pool2d, F.max_pool2d):
        image = x.clone().requires_grad_()
        (pool(image, size) * slopes).sum().backward()
        gradients.append(image.grad)
    agree("max_pool2d, gradient at ties", "torch", *gradients)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("x must be a torch tensor, got list", lambda: models.max_pool2d([[1.0]])),
        ("weight must be a torch tensor", lambda: models.conv2d(X, [[1.0]])),
        ("stride must be a whole number, got 1.5", lambda: models.conv2d(X, W, stride=1.5)),
        ("size must be a whole number, got 1.5", lambda: models.max_pool2d(X, 1.5)),
        ("size must be a whole number, got 2.5", lambda: models.Conv2d(1, 1, 2.5)),
    ],
)
def test_kinds_of_arguments(message, call):
    with shapes.unchecked(), pytest.raises(TypeError, match=message):
        call()


WRONG = [
    (r"x must be \(batch, channels, height, width\)", lambda: models.max_pool2d(X[0])),
    (r"weight must be \(c_out, c_in, k, k\)", lambda: models.conv2d(X, W[..., :2])),
    ("x must have 2 channels", lambda: models.conv2d(X[:, :1], W)),
    ("stride must be at least 1", lambda: models.conv2d(X, W, stride=0)),
    ("padding at least 0", lambda: models.conv2d(X, W, padding=-1)),
    ("x must be at least 3 high and wide", lambda: models.conv2d(X[..., :2], W)),
    ("size must be from 1 to 4, got 5", lambda: models.max_pool2d(X, 5)),
    ("size must be from 1 to 4, got 0", lambda: models.max_pool2d(X, 0)),
    ("c_in must be at least 1, got 0", lambda: models.Conv2d(0, 1, 3)),
    ("image must be at least 4 high and wide", lambda: models.CNN((1, 3, 8))),
]


@pytest.mark.parametrize(("message", "call"), WRONG)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        call()
