"""Where weights start: torch's numbers, the papers' variances, and what happens in 50 layers."""

import math

import pytest
import torch
from torch import nn

from companion import layers
from companion.activations import relu, tanh
from companion.models import Conv2d
from companion.reference import layers as twin
from tests.verification import agree, same

SHAPES = [(30, 50), (64, 64), (32, 16, 3, 3)]
KINDS = ["xavier_uniform_", "xavier_normal_", "he_uniform_", "he_normal_"]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def by_torch(kind, weight, gain, generator):
    """Fill with torch.nn.init, which has He's gain as a slope: g² = 2 / (1 + a²)."""
    if kind.startswith("xavier"):
        return getattr(nn.init, kind)(weight, gain, generator=generator)
    slope = math.sqrt(2 / gain**2 - 1)
    function = getattr(nn.init, kind.replace("he", "kaiming"))
    return function(weight, slope, generator=generator)


def fans(shape):
    places = math.prod(shape[2:])
    return shape[1] * places, shape[0] * places


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gain", [1.0, 1.2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_torch(kind, gain, shape):
    options = {"gain": gain, "generator": generator(3)}
    ours = getattr(layers, kind)(torch.empty(shape).double(), **options)
    theirs = by_torch(kind, torch.empty(shape).double(), gain, generator(3))
    agree(kind, "torch.nn.init", ours, theirs)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_variance_is_that_of_the_paper(kind, shape):
    large = (40 * shape[0], 10 * shape[1], *shape[2:])
    fan_in, fan_out = fans(large)
    xavier, he = twin.xavier_std(fan_in, fan_out), twin.he_std(fan_in)
    expected = xavier if kind.startswith("xavier") else he
    weight = getattr(layers, kind)(torch.empty(large), generator=generator())
    relative = weight.double().std() / expected
    agree(f"{kind} standard deviation", "the paper's", relative, 1.0, 0.01, limit="1/√n")
    if "uniform" in kind:
        assert 0.99 < weight.abs().max() / (math.sqrt(3) * expected) <= 1 + 1e-6
    assert abs(weight.mean().item()) < 5 * expected / math.sqrt(weight.numel())


def test_standard_deviations_by_hand():
    agree("twin: xavier_std", "by hand", twin.xavier_std(3, 5), 0.5)
    agree("twin: xavier_std", "by hand", twin.xavier_std(3, 5, gain=3.0), 1.5)
    agree("twin: he_std", "by hand", twin.he_std(8), 0.5)
    agree("twin: he_std", "by hand", twin.he_std(4, gain=1.0), 0.5)


@pytest.mark.parametrize("shape", SHAPES)
def test_fans(shape):
    theirs = nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))
    same("fans", "torch.nn.init", layers.fans(torch.empty(shape)), theirs)


def spread_after(depth, activation, fill, gain=None, width=400):
    """Return the standard deviation of a signal after so many layers, from 1."""
    x = torch.randn(200, width, generator=generator(1))
    rng = generator(2)
    for _ in range(depth):
        options = {} if gain is None else {"gain": gain}
        weight = fill(torch.empty(width, width), generator=rng, **options)
        x = activation(x @ weight.T)
    return x.std().item()


@pytest.mark.verifies("he_normal_", "the signal's spread after 50 layers of ReLU")
def test_through_fifty_layers():
    assert 0.3 < spread_after(50, relu, layers.he_normal_) < 1.5
    assert 0.3 < spread_after(50, relu, layers.he_uniform_) < 1.5
    assert 0.5 < spread_after(50, lambda x: x, layers.xavier_normal_) < 2
    # A factor √(1/2) a layer, if ReLU is forgotten: 50 layers leave 2^−25.
    assert spread_after(50, relu, layers.xavier_normal_) < 1e-6
    assert 0.05 < spread_after(50, tanh, layers.xavier_normal_) < 0.5


def test_a_network_is_initialised_as_a_whole():
    net = nn.Sequential(Conv2d(1, 2, 3), layers.Linear(4, 3), layers.LayerNorm(3))
    done = layers.initialise(net, layers.xavier_uniform_, gain=0.5, generator=generator())
    assert done is net
    rng = generator()
    for layer in (net[0], net[1]):
        expected = nn.init.xavier_uniform_(torch.empty_like(layer.weight), 0.5, rng)
        agree("initialise", "torch.nn.init", layer.weight, expected)
        assert (layer.bias == 0).all()
    assert (net[2].weight == 1).all()
    assert all(p.requires_grad for p in net.parameters())


def test_by_default_it_is_he():
    net = layers.initialise(layers.MLP((500, 400, 10)))
    agree(
        "initialise standard deviation",
        "the paper's",
        net.layers[0].weight.double().std() / twin.he_std(500),
        1.0,
        0.01,
        limit="1/√n",
    )


def test_errors_name_the_argument():
    with pytest.raises(ValueError, match=r"weight must have two or more dimensions, got \(3,\)"):
        layers.he_normal_(torch.empty(3))
