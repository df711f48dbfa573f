"""Dropout against the twin, torch in distribution, and what must hold on average."""

import numpy as np
import pytest
import torch
from torch import nn

from companion.activations import sigmoid
from companion.layers import MLP, Dropout
from companion.reference import layers as twin
from tests.support import FLOATS, normal
from tests.verification import agree, same

# At p = 0.5 the wrong factor 1/p would be right.
RATES = [0.2, 0.5]


def seeded(p, seed=0):
    return Dropout(p, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_kept_is_scaled(p, dtype):
    x = normal(50, 40, dtype=dtype)
    y = seeded(p)(x)
    keep = torch.rand(50, 40, generator=torch.Generator().manual_seed(0)) >= p
    same("Dropout, which are dropped", "its generator", y == 0, ~keep)
    expected = twin.dropout(x.double().numpy(), keep.numpy(), p)
    agree("Dropout", "NumPy twin", y, expected)
    agree("twin: dropout", "by hand", twin.dropout(np.ones(2), np.array([1, 0]), 0.2), [1.25, 0.0])


@pytest.mark.parametrize("p", RATES)
def test_the_scale_and_the_rate_are_those_of_torch(p):
    n = 200_000
    x = torch.ones(n, dtype=torch.float64)
    torch.manual_seed(1)
    theirs = nn.Dropout(p)(x)
    ours = seeded(p)(x)
    agree("Dropout, what is kept", "torch.nn.Dropout", ours.max(), theirs.max())
    spread = (p / (1 - p) / n) ** 0.5  # of the mean of n scaled coins
    agree("Dropout, mean", "1", ours.mean(), 1.0, 4 * spread, limit="1/√n")
    agree("Dropout, variance", "p/(1 − p)", ours.var(), p / (1 - p), 0.02, limit="1/√n")


def test_the_gradient_passes_where_the_number_did():
    x = normal(30).requires_grad_()
    y = seeded(0.2)(x)
    y.sum().backward()
    agree("Dropout, gradient", "by hand", x.grad, (y != 0).double() / 0.8)


@pytest.mark.verifies("Dropout", "nothing changes in evaluation mode, or at p = 0")
def test_nothing_changes_in_evaluation():
    x = normal(3, 4)
    assert seeded(0.9).eval()(x) is x
    assert seeded(0.0)(x) is x
    assert (seeded(0.9)(x) != x).any()


def test_a_generator_repeats_its_masks_and_goes_on():
    x, drop = normal(100), seeded(0.5)
    first, second = drop(x), drop(x)
    assert (first != second).any()
    assert torch.equal(seeded(0.5)(x), first)
    torch.manual_seed(0)
    assert (Dropout(0.5)(x) != Dropout(0.5)(x)).any()


def test_in_a_network_it_stands_after_each_activation():
    """A sigmoid gives no zeros, and makes one half of what was dropped before it."""
    torch.manual_seed(0)
    mlp = MLP((6, 40, 40, 3), activation=sigmoid, dropout=0.5)
    seen = []
    for layer in mlp.layers:
        layer.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    mlp(normal(20, 6, dtype=torch.float32))
    dropped = [(x == 0).double().mean().item() for x in seen]
    assert dropped[0] == 0  # nothing is dropped from the input
    assert all(0.4 < share < 0.6 for share in dropped[1:])
    assert torch.equal(mlp.eval()(torch.ones(6)), mlp(torch.ones(6)))


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_errors_name_the_argument(p):
    with pytest.raises(ValueError, match=f"p must be from 0 to below 1, got {p}"):
        Dropout(p)
