r"""Privacy: what a model gives away of single rows that it was trained on.

This file adds: membership inference by the loss, gradients of DP-SGD (each row's clipped, then
noise), and an accountant, which says how much they give away at most.

Symbols: C the largest norm of a row's gradient; :math:`\sigma` the noise multiplier, so that the
noise has standard deviation :math:`\sigma C`; q the probability that a row is in a batch;
:math:`\alpha` the order of a Rényi divergence; :math:`(\varepsilon, \delta)` what is promised.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from companion._arguments import _require_generator, _require_int, _require_number
from companion._tensors import _require_tensors
from companion.evaluation._checks import (
    Numbers,
    _numbers,
    _require_function,
    _require_same_length,
    _require_share,
)
from companion.evaluation.curves import roc_auc

__all__ = [
    "clip_and_add_noise",
    "dp_epsilon",
    "membership_auc",
    "per_example_gradients",
    "poisson_sample",
    "rdp_subsampled_gaussian",
]

Gradients = dict[str, Tensor]
ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 384, 512)


def membership_auc(member_losses: Numbers, other_losses: Numbers) -> float:
    r"""Area under the ROC curve of telling rows of the training part from others by their loss.

    Rows with a small loss are taken for members (Yeom et al. 2018).

    Parameters
    ----------
    member_losses : sequence of float
        Losses of rows that the model was trained on.
    other_losses : sequence of float
        Losses of rows from the same source that it was not trained on.

    Returns
    -------
    float
        1/2 where the loss gives nothing away; 1 where it gives away every row.

    Raises
    ------
    ValueError
        If one of them is empty, or a loss is not finite.

    Examples
    --------
    >>> membership_auc([0.1, 0.2, 0.3], [0.3, 0.9])
    0.9166666666666666
    """
    members = _numbers("member_losses", member_losses)
    others = _numbers("other_losses", other_losses)
    return roc_auc([1] * len(members) + [0] * len(others), -np.concatenate([members, others]))


# -- DP-SGD --------------------------------------------------------------------------------------


def poisson_sample(n: int, q: float, generator: torch.Generator | None = None) -> Tensor:
    r"""Draw a batch: each of n rows is in it with probability q, whatever the others do.

    The size varies, and may be 0. What `dp_epsilon` promises holds for batches drawn so, not for
    shuffled ones.

    Parameters
    ----------
    n : int
    q : float
        Above 0, at most 1.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor of int64
        Rows, in order.

    Raises
    ------
    ValueError
        If n is below 1, or q out of range.

    Examples
    --------
    >>> poisson_sample(4, 1.0)
    tensor([0, 1, 2, 3])
    """
    n, q = _require_int("n", n, least=1), _require_rate(q)
    if generator is not None:
        _require_generator("generator", generator, torch.Generator)
    return (torch.rand(n, generator=generator) < q).nonzero().flatten()


def per_example_gradients(
    model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor], inputs: Tensor, targets: Tensor
) -> Gradients:
    r"""Return the gradient of each row's loss by itself.

    Parameters
    ----------
    model : nn.Module
        In which no row has to do with another: no batch normalisation.
    loss : callable
        From outputs and targets of a batch (here, of one row) to one number.
    inputs, targets : Tensor, shape (B, ...)

    Returns
    -------
    dict of Tensor
        For each parameter that is trained, by name, shape (B, ...).

    Raises
    ------
    ValueError
        If ``inputs`` and ``targets`` have different lengths, or are empty.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
    >>> per_example_gradients(model, lambda out, y: out.sum(), x, y)["weight"].flatten()
    tensor([1., 2.])
    """
    _require_tensors(inputs=inputs, targets=targets)
    _require_function("loss", loss)
    _require_same_length(inputs=inputs, targets=targets)
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def loss_of_row(weights: Gradients, x: Tensor, y: Tensor) -> Tensor:
        return loss(torch.func.functional_call(model, weights, (x[None],)), y[None])

    by_row = torch.func.vmap(
        torch.func.grad(loss_of_row), in_dims=(None, 0, 0), randomness="different"
    )
    gradients: Gradients = by_row(trained, inputs, targets)
    return gradients


def clip_and_add_noise(
    gradients: Gradients,
    max_norm: float,
    noise_multiplier: float,
    *,
    expected_batch_size: float,
    generator: torch.Generator | None = None,
) -> Gradients:
    r"""Gradient of DP-SGD: clip each row's, add them up, add noise, divide (Abadi et al. 2016).

    .. math:: \frac{1}{qn} \Big( \sum_i g_i \min \big( 1, \tfrac{C}{\|g_i\|} \big) +
        \mathcal N (0, \sigma^2 C^2 I) \Big)

    The norm is that of all parameters together. A row can then change the sum by C at most,
    which the noise hides.

    Parameters
    ----------
    gradients : dict of Tensor
        As `per_example_gradients` returns them, each (B, ...).
    max_norm : float
        C, above 0.
    noise_multiplier : float
        :math:`\sigma`; 0 for no noise, and no promise.
    expected_batch_size : float
        qn: not B, which would give away how many rows there are.
    generator : torch.Generator, optional

    Returns
    -------
    dict of Tensor
        For each parameter what to put in its ``grad`` before the optimiser's step.

    Raises
    ------
    ValueError
        If there are no gradients, their B differ, or a number is out of range.

    Examples
    --------
    >>> rows = {"w": torch.tensor([[3.0, 4.0], [0.0, 0.5]])}  # of norms 5 and 0.5
    >>> clip_and_add_noise(rows, 1.0, 0.0, expected_batch_size=2)["w"]
    tensor([0.3000, 0.6500])
    """
    _require_positive(max_norm=max_norm, expected_batch_size=expected_batch_size)
    if not _require_number("noise_multiplier", noise_multiplier) >= 0:
        raise ValueError(f"noise_multiplier must be at least 0, got {noise_multiplier}")
    if generator is not None:
        _require_generator("generator", generator, torch.Generator)
    if not gradients or len({len(g) for g in gradients.values()}) > 1:
        raise ValueError("gradients must hold at least one tensor, and as many rows in each")
    squares = [g.flatten(1).double().square().sum(dim=1) for g in gradients.values()]
    norms = torch.stack(squares).sum(dim=0).sqrt()  # (B,)
    shares = (max_norm / norms.clamp(min=1e-300)).clamp(max=1.0)
    spread = noise_multiplier * max_norm
    return {
        name: (_weighted_sum(g, shares) + spread * _noise(g, generator)) / expected_batch_size
        for name, g in gradients.items()
    }


def _weighted_sum(rows: Tensor, weights: Tensor) -> Tensor:
    return (rows * weights.to(rows.dtype).view(-1, *[1] * (rows.ndim - 1))).sum(dim=0)


def _noise(rows: Tensor, generator: torch.Generator | None) -> Tensor:
    drawn_on = torch.device("cpu") if generator is None else generator.device
    drawn = torch.randn(rows.shape[1:], generator=generator, dtype=rows.dtype, device=drawn_on)
    return drawn.to(rows.device)


# -- the accountant ------------------------------------------------------------------------------


def rdp_subsampled_gaussian(q: float, noise_multiplier: float, order: int) -> float:
    r"""Rényi divergence of one step, with and without a row (Mironov, Talwar and Zhang 2019).

    .. math:: \frac{1}{\alpha - 1} \ln \sum_{k=0}^{\alpha} \binom{\alpha}{k} (1 - q)^{\alpha - k}
        q^k \exp \Big( \frac{k^2 - k}{2 \sigma^2} \Big)

    Divergences of several steps add up.

    Parameters
    ----------
    q : float
        Above 0, at most 1.
    noise_multiplier : float
        :math:`\sigma`, above 0.
    order : int
        :math:`\alpha`, at least 2.

    Returns
    -------
    float
        In nats.

    Raises
    ------
    ValueError
        If a number is out of range.

    Examples
    --------
    >>> rdp_subsampled_gaussian(1.0, 2.0, 8)  # all rows in every batch: alpha / (2 sigma²)
    1.0
    """
    q = _require_rate(q)
    _require_positive(noise_multiplier=noise_multiplier)
    order = _require_int("order", order, least=2)
    if q == 1:
        return order / (2 * noise_multiplier**2)
    k = np.arange(order + 1)
    log_ways = [_log_choose(order, int(each)) for each in k]
    terms = log_ways + (order - k) * math.log1p(-q) + k * math.log(q)
    terms = terms + (k**2 - k) / (2 * noise_multiplier**2)
    return max(0.0, float(np.logaddexp.reduce(terms))) / (order - 1)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def dp_epsilon(
    q: float,
    noise_multiplier: float,
    n_steps: int,
    delta: float,
    *,
    orders: Sequence[int] = ORDERS,
) -> float:
    r"""Epsilon of a training run with DP-SGD, at the order that says least.

    .. math:: \varepsilon = \min_\alpha \Big( T \, \text{RDP}(\alpha) +
        \ln \frac{\alpha - 1}{\alpha} - \frac{\ln \delta + \ln \alpha}{\alpha - 1} \Big)

    (Canonne, Kamath and Steinke 2020, proposition 12). With and without any one row, each
    outcome of the training is at most :math:`e^\varepsilon` times as probable, but for
    :math:`\delta`.

    Parameters
    ----------
    q : float
        The share of rows that a batch holds on average, drawn by `poisson_sample`.
    noise_multiplier : float
        :math:`\sigma`, above 0.
    n_steps : int
        T.
    delta : float
        Between 0 and 1, well below 1 / n.
    orders : sequence of int
        Which orders to try.

    Returns
    -------
    float
        An upper bound: at least 0.

    Raises
    ------
    ValueError
        If a number is out of range, or there are no orders.

    Examples
    --------
    >>> round(dp_epsilon(0.01, 4.0, 10_000, 1e-5), 2)
    1.04
    """
    n_steps = _require_int("n_steps", n_steps, least=0)
    log_delta = math.log(_require_share("delta", delta))
    if not len(orders):
        raise ValueError("orders must hold at least one order")
    bounds = [
        n_steps * rdp_subsampled_gaussian(q, noise_multiplier, order)
        + math.log1p(-1 / order)
        - (log_delta + math.log(order)) / (order - 1)
        for order in orders
    ]
    return max(0.0, min(bounds)) if n_steps else 0.0


def _require_rate(q: float) -> float:
    if not 0 < _require_number("q", q) <= 1:
        raise ValueError(f"q must be above 0 and at most 1, got {q}")
    return float(q)


def _require_positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 0 < _require_number(name, number) < math.inf:
            raise ValueError(f"{name} must be above 0 and finite, got {number}")
