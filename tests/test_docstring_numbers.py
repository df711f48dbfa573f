"""Numbers that docstrings state as results: each is read from the docstring, and computed.

A number that another test holds already (an example, a formula, a bound that is refused) is not
repeated here.
"""

import inspect
import math
import re

import numpy as np
import pytest
import torch

from companion import activations, data, layers, losses, models, optim
from companion.data import registry
from companion.models import BertConfig, BertEncoder, loading
from tests.support import normal


def stated(thing, pattern):
    """Return the numbers that a docstring states, its line breaks aside."""
    said = re.search(pattern, " ".join(thing.__doc__.split()))
    assert said, pattern
    return [float(number) for number in said.groups()]


@pytest.mark.chapter("optimisation")
def test_the_range_of_singular_values_after_five_steps():
    """Each is the first of a diagonal of two, whose length is 1."""
    low, high, start, end = stated(
        optim.orthogonalize, r"from ([\d.]+) to ([\d.]+) after five steps, .* from ([\d.]+) to (\d)"
    )
    values = torch.linspace(start, end, 1001, dtype=torch.float64)
    rest = (1 - values**2).clamp(min=0).sqrt()
    pairs = [torch.diag(torch.stack(pair)) for pair in zip(values, rest, strict=True)]
    after = torch.stack([optim.orthogonalize(pair)[0, 0] for pair in pairs])
    assert (round(after.min().item(), 2), round(after.max().item(), 2)) == (low, high)


@pytest.mark.chapter("neural-networks")
@pytest.mark.parametrize("name", ["sigmoid", "tanh"])
def test_the_largest_slopes(name):
    slope = getattr(activations, f"{name}_derivative")
    at_most = {
        "sigmoid": r"At most (\d)/(\d), reached at (\d)",
        "tanh": r"At most (\d), reach.* (\d)",
    }
    *fraction, where = stated(slope, at_most[name])
    x = torch.arange(-2000, 2001, dtype=torch.float64) / 100
    largest = slope(x).max().item()
    assert largest == slope(torch.tensor(where).double()).item()
    assert largest == (fraction[0] / fraction[1] if len(fraction) == 2 else fraction[0])


@pytest.mark.chapter("data-and-tokens")
def test_how_probably_a_pair_of_near_duplicates_is_missed():
    millions, one_in, threshold, bands, rows = stated(
        data.near_duplicates,
        r"less than 1 in (\d+) million as set here, but 1 in (\d+) at a threshold of ([\d.]+), "
        r".*bands=(\d+), rows=(\d+)",
    )
    settings = inspect.signature(data.near_duplicates).parameters
    default, *as_set = (settings[name].default for name in ("threshold", "bands", "rows"))
    assert 1 - data.collision_probability(default, *as_set) < 1e-6 / millions
    assert round(1 / (1 - data.collision_probability(threshold, *as_set))) == one_in
    fewer = data.collision_probability(threshold, int(bands), int(rows))
    assert 1 - fewer < 1e-6 / millions


@pytest.mark.chapter("data-and-tokens")
def test_the_number_of_recordings():
    (number,) = stated(registry, r"those of the (\d+) recordings of spoken digits")
    assert len(data.source("fsdd").files) == number


@pytest.mark.chapter("attention")
def test_the_size_of_minilm():
    n_layers, n_heads, millions, megabytes = stated(
        models.load_pretrained, r"(\d+) layers of (\d+) heads, ([\d.]+) million numbers, (\d+) MB"
    )
    config = BertConfig()
    with torch.device("meta"):
        parameters = BertEncoder(config, None).parameters()
        count = sum(parameter.numel() for parameter in parameters)
    assert (config.n_layers, config.n_heads) == (n_layers, n_heads)
    assert round(count / 1e6, 1) == millions
    file = loading._find_files("all-MiniLM-L6-v2")["model.safetensors"]
    assert round(file.stat().st_size / 1e6) == megabytes


@pytest.mark.chapter("attention")
@pytest.mark.parametrize(("d_model", "base"), [(4, 10.0), (16, 100.0)])
def test_the_longest_wavelength_of_positions(d_model, base):
    """After so many positions the slowest pair is where it began, and no sooner."""
    assert r"2\pi\,\text{base}^{(D-2)/D}" in layers.sinusoidal_positions.__doc__
    length = 2 * math.pi * base ** ((d_model - 2) / d_model)
    slowest = layers.sinusoidal_positions(round(length) + 1, d_model, base)[:, -2:].double()
    angles = np.unwrap(torch.atan2(slowest[:, 0], slowest[:, 1]).numpy())
    assert angles[-1] / (2 * math.pi) == pytest.approx(round(length) / length, abs=1e-4)


@pytest.mark.chapter("losses")
def test_what_the_losses_say_of_their_values():
    logits, labels = normal(7, 5, scale=3.0), torch.arange(7) % 5
    (zero,) = stated(losses.cross_entropy_gradient, r"Each row sums to (\d):")
    rows = losses.cross_entropy_gradient(logits, labels).sum(dim=1)
    assert rows.sub(zero).abs().max() < 1e-15
    p, q = (normal(50, 4, seed=seed).log_softmax(dim=1) for seed in (1, 2))
    at_least, equal = stated(
        losses.kl_divergence, r"At least (\d), and (\d) only where the two are"
    )
    different, same = losses.kl_divergence(p, q), losses.kl_divergence(p, p)
    assert different.min() > at_least
    assert same.max() == equal
    (least,) = stated(losses.perplexity, r"(\d) or more")
    assert losses.perplexity(0.0) == least
    assert losses.perplexity(0.1) > least
