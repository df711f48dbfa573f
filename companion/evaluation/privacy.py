r"""Privacy: what a model gives away of single rows that it was trained on.

This file adds: membership inference by the loss, and the gradients of DP-SGD: each row's is
clipped, and noise is added to their sum.

Symbols: C the largest norm of a row's gradient; :math:`\sigma` the noise multiplier, so that the
noise has standard deviation :math:`\sigma C`; q the probability that a row is in a batch.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from companion._arguments import _require_generator, _require_int, _require_number
from companion._tensors import _require_tensors, _wide
from companion.evaluation._checks import (
    Number,
    Numbers,
    _numbers,
    _require_function,
    _require_same_length,
)
from companion.evaluation.accountant import _require_positive, _require_rate
from companion.evaluation.curves import roc_auc

__all__ = [
    "clip_and_add_noise",
    "membership_auc",
    "per_example_gradients",
    "poisson_sample",
]

Gradients = dict[str, Tensor]


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


def poisson_sample(n: int, q: Number, generator: torch.Generator | None = None) -> Tensor:
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

    All rows are computed together (``torch.func.vmap``) where model and loss allow it, as the
    losses of ``torch.nn.functional`` do; else one after the other, which takes longer.

    Parameters
    ----------
    model : nn.Module
        In which no row has to do with another: no batch normalisation.
    loss : callable
        From outputs and targets of a batch (here, of one row) to one number.
    inputs, targets : Tensor, shape (B, ...)
        B may be 0, as in a batch of `poisson_sample`.

    Returns
    -------
    dict of Tensor
        For each parameter that is trained, by name, shape (B, ...).

    Raises
    ------
    ValueError
        If ``inputs`` and ``targets`` have different lengths.
    TypeError
        If they are no tensors, or ``loss`` is no function.

    Examples
    --------
    >>> model = nn.Linear(1, 1, bias=False)
    >>> x, y = torch.tensor([[1.0], [2.0]]), torch.zeros(2, 1)
    >>> per_example_gradients(model, lambda out, y: out.sum(), x, y)["weight"].flatten()
    tensor([1., 2.])
    """
    _require_tensors(inputs=inputs, targets=targets)
    _require_function("loss", loss)
    trained = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    if not len(inputs) and not len(targets):
        return {name: p.new_zeros(0, *p.shape) for name, p in trained.items()}
    _require_same_length(inputs=inputs, targets=targets)

    def loss_of_row(weights: Gradients, x: Tensor, y: Tensor) -> Tensor:
        return loss(torch.func.functional_call(model, weights, (x[None],)), y[None])

    of_row = torch.func.grad(loss_of_row)
    try:
        return dict(
            torch.func.vmap(of_row, (None, 0, 0), randomness="different")(trained, inputs, targets)
        )
    except RuntimeError:  # it looks at single numbers, as checks do
        rows = [of_row(trained, x, y) for x, y in zip(inputs, targets, strict=True)]
        return {name: torch.stack([row[name] for row in rows]) for name in trained}


def clip_and_add_noise(
    gradients: Gradients,
    max_norm: Number,
    noise_multiplier: Number,
    *,
    expected_batch_size: Number,
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
    squares = [_wide(g).flatten(1).square().sum(dim=1) for g in gradients.values()]
    norms = torch.stack(squares).sum(dim=0).sqrt()  # (B,)
    shares = (max_norm / norms).clamp(max=1.0)  # of a gradient of 0, all
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
