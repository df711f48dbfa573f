"""Robustness, attribution and privacy: against autograd by rows, integrals, published values."""

import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn import metrics
from torch import nn
from torch.nn import functional as F

from companion import evaluation, losses
from companion.reference import evaluation as twin
from tests.plugins.shapes import unchecked
from tests.support import normal
from tests.verification import agree, same


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def network(*sizes, seed=0):
    """Return a small network in float64, and put its random numbers beside those of others."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        return nn.Sequential(*(x for layer in layers for x in (layer, nn.Tanh()))).double()


# -- robustness ----------------------------------------------------------------------------------


def test_every_number_goes_the_way_that_raises_the_loss():
    """The sign of each slope is that of a difference quotient."""
    model, x, y = network(3, 4, 2), 0.5 * normal(5, 3), torch.tensor([0, 1, 0, 1, 1])
    changed = evaluation.fgsm(model, x, y, 0.1, bounds=None)
    up = torch.zeros_like(x)
    for place in np.ndindex(*x.shape):
        step = torch.zeros_like(x)
        step[place] = 1e-5
        up[place] = losses.cross_entropy(model(x + step), y) - losses.cross_entropy(
            model(x - step), y
        )
    agree("fgsm", "difference quotients", changed, x + 0.1 * up.sign())
    assert losses.cross_entropy(model(changed), y) > losses.cross_entropy(model(x), y)


def test_a_straight_loss_rises_by_the_sum_of_its_slopes():
    """For a linear model of two classes, in closed form: epsilon times the sum of the weights."""
    w, x, y = normal(6, seed=1), normal(4, 6), torch.tensor([0, 1, 1, 0])
    sign = 1 - 2.0 * y.double()

    def margin(x):
        return sign * (x @ w)

    def loss(out, y):
        return -((1 - 2.0 * y) * out).sum()

    changed = evaluation.fgsm(lambda x: x @ w, x, y, 0.3, loss=loss, bounds=None)
    agree("fgsm, a linear model", "by hand", margin(changed), margin(x) - 0.3 * w.abs().sum())


def test_bounds_hold_and_nothing_else_changes():
    model, x, y = (
        network(3, 2),
        torch.rand(5, 3, generator=generator()).double(),
        torch.zeros(5).long(),
    )
    before = x.clone()
    changed = evaluation.fgsm(model, x, y, 0.9)
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(x, before)
    assert not changed.requires_grad
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(evaluation.fgsm(model, x, y, 0), x)
    with torch.no_grad():  # as one evaluates
        assert torch.equal(evaluation.fgsm(model, x, y, 0.9), changed)


# -- attribution ---------------------------------------------------------------------------------


def test_parts_of_a_product_by_hand():
    """The integral of xyz along the diagonal gives each factor a third."""
    x = torch.tensor([[2.0, 3.0, 5.0], [1.0, -1.0, 4.0]]).double()
    result = evaluation.integrated_gradients(lambda x: x.prod(dim=1), x, n_steps=2000)
    agree(
        "integrated_gradients",
        "by hand",
        result.parts,
        x.prod(dim=1, keepdim=True).expand(2, 3) / 3,
        1e-6,
        limit="1/n²",
    )


def test_parts_are_the_integral_of_each_slope():
    model, x, start = network(3, 5, 1), normal(1, 3), normal(3, seed=4)

    def slope(alpha, i):
        at = (start + alpha * (x - start)).requires_grad_(True)
        return torch.autograd.grad(model(at).sum(), at)[0][0, i].item()

    result = evaluation.integrated_gradients(lambda x: model(x)[:, 0], x, start, n_steps=400)
    expected = [
        (x[0, i] - start[i]).item() * integrate.quad(slope, 0, 1, args=(i,))[0] for i in range(3)
    ]
    agree("integrated_gradients", "scipy.integrate", result.parts[0], expected, 1e-5, limit="1/n²")


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)])
def test_parts_sum_to_the_change_of_the_output(shape):
    model = network(3, 5, 1)

    def f(x):
        return model(x).flatten(1).sum(dim=1)

    x = normal(*shape)
    gaps = []
    for n_steps in (10, 100):
        result = evaluation.integrated_gradients(f, x, n_steps=n_steps)
        total = result.parts.flatten(1).sum(dim=1) - (f(x) - f(torch.zeros_like(x)))
        agree("Attribution, gap", "the change of the output", result.gap, total)
        gaps.append(result.gap.abs().max().item())
    assert gaps[1] < gaps[0] / 50 < 1e-3  # falls with the square of the steps
    assert (evaluation.integrated_gradients(f, x, x).parts == 0).all()


def test_a_linear_model_needs_one_step():
    w, x = normal(4), normal(3, 4, seed=1)
    result = evaluation.integrated_gradients(lambda x: x @ w, x, n_steps=1)
    agree("integrated_gradients, a linear model", "by hand", result.parts, x * w)
    assert result.gap.abs().max() < 1e-14


# -- membership ----------------------------------------------------------------------------------


def test_membership_is_told_by_a_small_loss():
    members, others = np.abs(normal(30).numpy()), np.abs(normal(20, seed=1).numpy()) + 0.5
    ours = evaluation.membership_auc(members, others)
    u = stats.mannwhitneyu(others, members).statistic / 600
    agree("membership_auc", "scipy.stats", ours, u)
    theirs = metrics.roc_auc_score([1] * 30 + [0] * 20, -np.concatenate([members, others]))
    agree("membership_auc", "scikit-learn", ours, theirs)
    assert evaluation.membership_auc([0.0], [1.0]) == 1
    assert evaluation.membership_auc(torch.ones(3), torch.ones(2)) == 0.5


# -- DP-SGD --------------------------------------------------------------------------------------


def by_rows(model, loss, x, y):
    """Return the gradients of each row, one backward pass after the other."""
    found = []
    for i in range(len(x)):
        values = torch.autograd.grad(
            loss(model(x[i : i + 1]), y[i : i + 1]), list(model.parameters())
        )
        found.append(dict(zip([name for name, _ in model.named_parameters()], values, strict=True)))
    return found


@pytest.mark.parametrize("loss", [F.cross_entropy, losses.cross_entropy])
def test_gradients_of_rows(loss):
    """The losses of the package check their targets, which cannot be done for all rows at once."""
    model, x, y = network(3, 4, 2), normal(6, 3), torch.tensor([0, 1, 1, 0, 1, 0])
    ours = evaluation.per_example_gradients(model, loss, x, y)
    for i, row in enumerate(by_rows(model, losses.cross_entropy, x, y)):
        for name, value in row.items():
            agree("per_example_gradients", "torch.autograd, row by row", ours[name][i], value)
    mean = torch.autograd.grad(losses.cross_entropy(model(x), y), list(model.parameters()))
    for value, expected in zip(ours.values(), mean, strict=True):
        agree("per_example_gradients, their mean", "torch.autograd", value.mean(dim=0), expected)
    assert all(p.grad is None for p in model.parameters())


def test_an_empty_batch_has_gradients_of_no_rows():
    ours = evaluation.per_example_gradients(network(3, 2), F.cross_entropy, X[:0], Y[:0])
    assert {name: tuple(g.shape) for name, g in ours.items()} == {
        "0.weight": (0, 2, 3),
        "0.bias": (0, 2),
    }


def test_frozen_parameters_have_no_gradients():
    model = network(3, 4, 2)
    model[0].weight.requires_grad_(False)
    ours = evaluation.per_example_gradients(
        model, F.cross_entropy, normal(2, 3), torch.zeros(2).long()
    )
    assert list(ours) == ["0.bias", "2.weight", "2.bias"]


@pytest.mark.parametrize("max_norm", [0.05, 0.5, 50.0])
def test_rows_are_clipped_by_the_norm_of_all_parameters(max_norm):
    model, x, y = network(3, 4, 2), normal(6, 3), torch.tensor([0, 1, 1, 0, 1, 0])
    rows = evaluation.per_example_gradients(model, losses.cross_entropy, x, y)
    ours = evaluation.clip_and_add_noise(rows, max_norm, 0.0, expected_batch_size=8)
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for row in by_rows(model, losses.cross_entropy, x, y):
        copies = [nn.Parameter(torch.zeros_like(value)) for value in row.values()]
        for copy, value in zip(copies, row.values(), strict=True):
            copy.grad = value.clone()
        nn.utils.clip_grad_norm_(copies, max_norm)
        for name, copy in zip(row, copies, strict=True):
            total[name] += copy.grad / 8
    for name, value in ours.items():
        agree(
            "clip_and_add_noise",
            "torch.nn.utils",
            value,
            total[name],
            1e-6,
            limit="1e-6 in its norm",
        )


def test_no_row_changes_the_sum_by_more_than_the_largest_norm():
    rows = {"a": 9 * normal(5, 4), "b": 9 * normal(5, 2, 3, seed=1)}
    rest = {name: g[1:] for name, g in rows.items()}
    with_, without = (
        evaluation.clip_and_add_noise(g, 0.7, 0.0, expected_batch_size=1) for g in (rows, rest)
    )
    change = sum(((with_[name] - without[name]) ** 2).sum() for name in rows).sqrt()
    agree("clip_and_add_noise, one row", "the largest norm", change, 0.7)


def test_the_noise_has_the_spread_that_it_should():
    empty = {"a": torch.zeros(0, 20_000), "b": torch.zeros(0, 3, 10_000)}  # a batch may be empty
    noise = evaluation.clip_and_add_noise(
        empty, 2.0, 1.5, expected_batch_size=10, generator=generator()
    )
    for value in noise.values():
        agree("clip_and_add_noise, the noise", "sigma C / qn", value.std(), 0.3, 0.01, limit="1/√n")
        assert abs(value.mean()) < 0.01
    again = evaluation.clip_and_add_noise(
        empty, 2.0, 1.5, expected_batch_size=10, generator=generator()
    )
    assert all(torch.equal(noise[name], again[name]) for name in noise)
    assert not torch.equal(noise["a"][:10_000], noise["b"][0])


def test_batches_of_poisson():
    drawn = [evaluation.poisson_sample(50, 0.2, generator(seed)) for seed in range(400)]
    sizes = np.array([len(batch) for batch in drawn])
    agree("poisson_sample, the mean size", "qn", sizes.mean(), 10.0, 0.1, limit="1/√n")
    agree("poisson_sample, its variance", "nq (1 − q)", sizes.var(), 8.0, 0.3, limit="1/√n")
    counts = np.bincount(np.concatenate(drawn), minlength=50)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert all(len(set(batch.tolist())) == len(batch) for batch in drawn)
    assert len(evaluation.poisson_sample(3, 1e-9, generator())) == 0


# -- the accountant ------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.001, 0.05, 0.5])
@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
@pytest.mark.parametrize("order", [2, 3, 8, 20])
def test_the_divergence_is_its_integral(q, sigma, order):
    ours = evaluation.rdp_subsampled_gaussian(q, sigma, order)
    agree(
        "rdp_subsampled_gaussian", "NumPy twin", ours, twin.rdp_subsampled_gaussian(q, sigma, order)
    )


def test_the_integral_is_right():
    q, sigma, order = 0.1, 1.3, 5

    def term(x):
        without = mpmath.npdf(x, 0, sigma)
        return without * ((1 - q) + q * mpmath.npdf(x, 1, sigma) / without) ** order

    total = mpmath.quad(term, mpmath.linspace(-30, 30, 31))
    expected = float(mpmath.log(total) / (order - 1))
    agree(
        "twin: rdp_subsampled_gaussian",
        "mpmath",
        twin.rdp_subsampled_gaussian(q, sigma, order),
        expected,
    )
    agree(
        "rdp_subsampled_gaussian",
        "mpmath",
        evaluation.rdp_subsampled_gaussian(q, sigma, order),
        expected,
    )


def test_all_rows_in_every_batch():
    agree(
        "rdp_subsampled_gaussian, q = 1",
        "alpha / 2 sigma²",
        evaluation.rdp_subsampled_gaussian(1, 3.0, 7),
        7 / 18,
    )
    near = evaluation.rdp_subsampled_gaussian(1 - 1e-12, 3.0, 7)
    agree("rdp_subsampled_gaussian, q near 1", "alpha / 2 sigma²", near, 7 / 18)


def test_a_published_epsilon():
    """Abadi et al. 2016, section 3.2: q = 0.01, sigma = 4, 10 000 steps, delta = 1e-5 give 1.26.

    They convert divergences of orders up to 33 by the older bound of Mironov 2017, which is larger.
    """
    by_order = [
        10_000 * evaluation.rdp_subsampled_gaussian(0.01, 4.0, order) + math.log(1e5) / (order - 1)
        for order in range(2, 34)
    ]
    agree("rdp_subsampled_gaussian", "Abadi et al. 2016, published", round(min(by_order), 2), 1.26)
    assert 1.0 < evaluation.dp_epsilon(0.01, 4.0, 10_000, 1e-5) < 1.26


def exact_delta(epsilon, mu):
    """Return the smallest delta of a Gaussian with distance mu (Balle and Wang 2018, theorem 8)."""
    first = stats.norm.logcdf(mu / 2 - epsilon / mu)
    second = epsilon + stats.norm.logcdf(-mu / 2 - epsilon / mu)
    return math.exp(first) - math.exp(second)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("steps", [1, 10])
@pytest.mark.parametrize("delta", [1e-5, 1e-3])
def test_the_bound_is_above_the_exact_epsilon_of_a_gaussian_and_near_it(sigma, steps, delta):
    """Several steps with all rows are one step with less noise."""
    ours = evaluation.dp_epsilon(1.0, sigma, steps, delta)
    mu = math.sqrt(steps) / sigma
    assert exact_delta(ours, mu) <= delta
    low, high = 0.0, ours
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if exact_delta(middle, mu) > delta else (low, middle)
    agree("dp_epsilon", "Balle and Wang 2018", ours / high, 1.0, 0.25, limit="a bound")


def test_epsilon_grows_with_steps_and_rate_and_falls_with_noise():
    base = evaluation.dp_epsilon(0.02, 1.0, 500, 1e-5)
    same("dp_epsilon, without a step", "by hand", evaluation.dp_epsilon(0.02, 1.0, 0, 1e-5), 0.0)
    assert evaluation.dp_epsilon(0.02, 1.0, 1000, 1e-5) > base
    assert evaluation.dp_epsilon(0.04, 1.0, 500, 1e-5) > base
    assert evaluation.dp_epsilon(0.02, 2.0, 500, 1e-5) < base
    assert evaluation.dp_epsilon(0.02, 1.0, 500, 1e-3) < base
    assert evaluation.dp_epsilon(0.02, 1.0, 500, 1e-5, orders=[2, 3]) > base
    assert evaluation.dp_epsilon(1e-6, 50.0, 1, 0.5) == 0


# -- what is refused -----------------------------------------------------------------------------

X, Y = torch.ones(2, 3), torch.zeros(2).long()
ROWS = {"w": torch.ones(2, 3)}
clip = evaluation.clip_and_add_noise
REFUSED = [
    (
        TypeError,
        "inputs must hold floating-point numbers",
        lambda: evaluation.fgsm(lambda x: x, X.long(), Y, 0.1),
    ),
    (TypeError, "model must be a function", lambda: evaluation.fgsm("model", X, Y, 0.1)),
    (ValueError, "epsilon must be at least 0", lambda: evaluation.fgsm(lambda x: x, X, Y, -0.1)),
    (
        ValueError,
        "loss must give one number",
        lambda: evaluation.fgsm(lambda x: x, X, Y, 0.1, loss=lambda out, y: out),
    ),
    (
        ValueError,
        "f must give one number for each of 2",
        lambda: evaluation.integrated_gradients(lambda x: x, X),
    ),
    (
        ValueError,
        r"baseline must have shape \(2, 3\) or \(3,\)",
        lambda: evaluation.integrated_gradients(lambda x: x[:, 0], X, torch.ones(2)),
    ),
    (
        ValueError,
        r"inputs must be \(batch, ...\)",
        lambda: evaluation.integrated_gradients(lambda x: x, X[0]),
    ),
    (
        ValueError,
        "n_steps must be at least 1",
        lambda: evaluation.integrated_gradients(lambda x: x[:, 0], X, n_steps=0),
    ),
    (
        ValueError,
        "member_losses must not be NaN",
        lambda: evaluation.membership_auc([math.nan], [1.0]),
    ),
    (ValueError, "other_losses must not be empty", lambda: evaluation.membership_auc([1.0], [])),
    (ValueError, "q must be above 0 and at most 1, got 0", lambda: evaluation.poisson_sample(3, 0)),
    (
        TypeError,
        "generator must be a torch.Generator",
        lambda: evaluation.poisson_sample(3, 0.5, 7),
    ),
    (
        ValueError,
        "inputs and targets must have the same length, got 2 and 1",
        lambda: evaluation.per_example_gradients(nn.Linear(3, 2), F.cross_entropy, X, Y[:1]),
    ),
    (
        ValueError,
        "max_norm must be above 0 and finite",
        lambda: clip(ROWS, 0.0, 1.0, expected_batch_size=2),
    ),
    (
        ValueError,
        "noise_multiplier must be at least 0",
        lambda: clip(ROWS, 1.0, -1.0, expected_batch_size=2),
    ),
    (
        ValueError,
        "expected_batch_size must be above 0",
        lambda: clip(ROWS, 1.0, 1.0, expected_batch_size=0),
    ),
    (
        ValueError,
        "gradients must hold at least one tensor",
        lambda: clip({}, 1.0, 1.0, expected_batch_size=2),
    ),
    (
        ValueError,
        "as many rows in each",
        lambda: clip({**ROWS, "b": torch.ones(1)}, 1.0, 1.0, expected_batch_size=2),
    ),
    (
        ValueError,
        "order must be at least 2",
        lambda: evaluation.rdp_subsampled_gaussian(0.1, 1.0, 1),
    ),
    (
        ValueError,
        "noise_multiplier must be above 0",
        lambda: evaluation.dp_epsilon(0.1, 0.0, 1, 1e-5),
    ),
    (
        ValueError,
        "delta must be above 0 and below 1",
        lambda: evaluation.dp_epsilon(0.1, 1.0, 1, 0.0),
    ),
    (
        ValueError,
        "orders must hold at least one",
        lambda: evaluation.dp_epsilon(0.1, 1.0, 1, 1e-5, orders=[]),
    ),
]


@pytest.mark.parametrize(("kind", "message", "call"), REFUSED)
def test_wrong_calls_are_refused(kind, message, call):
    with unchecked(), pytest.raises(kind, match=message):
        call()
