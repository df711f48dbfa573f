r"""Preferences: of two answers, which one is better, and how surely (Bradley and Terry 1952).

This file adds: ``preference_probability``, what two rewards say of a comparison; the loss of a
reward model, ``preference_loss``, and the least that it can be, ``preference_entropy``; and
``fit_preferences``, the most likely reward that is a weighted sum of features. Strengths of players
that meet several times are fitted by `companion.evaluation.bradley_terry`.

Shape letters: ``n`` comparisons, ``d`` features.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from companion._arguments import _require_number
from companion._tensors import _require_floats
from companion.alignment._checks import _require_alike, _require_finite, _require_from

__all__ = [
    "preference_probability",
    "preference_loss",
    "preference_entropy",
    "fit_preferences",
]

_Rewards = Float[Tensor, "*batch"]
ROUNDS = 100


def preference_probability(first: _Rewards, second: _Rewards) -> _Rewards:
    r"""Return how often the first of two is preferred, :math:`\sigma(r_1 - r_2)`.

    Only the difference counts: the same number added to all rewards changes nothing.

    Parameters
    ----------
    first, second : Tensor, the same shape
        Rewards.

    Returns
    -------
    Tensor
        The shape of ``first``.

    Raises
    ------
    ValueError
        If shapes differ, or nothing is given.

    Examples
    --------
    >>> preference_probability(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 1.0]))
    tensor([0.7311, 0.5000])
    """
    _require_alike(first=first, second=second)
    return torch.sigmoid(first - second)


def preference_loss(
    chosen: _Rewards, rejected: _Rewards, margin: Tensor | float = 0.0
) -> Float[Tensor, ""]:
    r"""Return the mean of :math:`-\ln \sigma(r_w - r_l - m)` over comparisons.

    Without a margin this is the negative log-likelihood of the comparisons. It is ln 2 for a model
    that gives everything the same reward.

    Parameters
    ----------
    chosen, rejected : Tensor, the same shape
        Rewards of what was preferred and of what was not.
    margin : float or Tensor, the shape of ``chosen``
        By how much the first shall be the larger one, such as more where people were surer
        (Touvron et al. 2023, section 3.2.2).

    Returns
    -------
    Tensor
        Nats.

    Raises
    ------
    ValueError
        If shapes differ, nothing is given, or a margin is not finite.

    Examples
    --------
    >>> preference_loss(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    _require_alike(chosen=chosen, rejected=rejected)
    if isinstance(margin, Tensor):
        _require_alike(chosen=chosen, margin=margin)
    else:
        _require_number("margin", margin)
    margin = torch.as_tensor(margin, dtype=chosen.dtype, device=chosen.device)
    _require_finite(margin=margin)
    return -F.logsigmoid(chosen - rejected - margin).mean()


def preference_entropy(first: _Rewards, second: _Rewards) -> Float[Tensor, ""]:
    r"""Return the smallest expected `preference_loss`, if these are the rewards behind it.

    .. math:: -\frac1n \sum_i p_i \ln p_i + (1 - p_i) \ln (1 - p_i), \qquad
        p_i = \sigma(r_{1,i} - r_{2,i})

    Whoever prefers by chance is predicted by no model without loss.

    Parameters
    ----------
    first, second : Tensor, the same shape
        The true rewards of the two answers, in whatever order.

    Returns
    -------
    Tensor
        Nats.

    Raises
    ------
    ValueError
        If shapes differ, or nothing is given.

    Examples
    --------
    >>> preference_entropy(torch.tensor([3.0, 3.0]), torch.tensor([3.0, 2.0]))
    tensor(0.6377)
    """
    _require_alike(first=first, second=second)
    difference = first - second
    p = torch.sigmoid(difference)
    return -(p * F.logsigmoid(difference) + (1 - p) * F.logsigmoid(-difference)).mean()


def fit_preferences(
    chosen: Float[Tensor, "n d"], rejected: Float[Tensor, "n d"], penalty: float = 0.0
) -> Float[Tensor, " d"]:
    r"""Return the weights of the reward :math:`w^\top x` under which the comparisons are likeliest.

    .. math:: \min_w \sum_i -\ln \sigma(w^\top (x_{w,i} - x_{l,i}))
        + \tfrac{\lambda}{2} \lVert w \rVert^2

    This is logistic regression on differences, without a constant. Found by Newton's method.

    Parameters
    ----------
    chosen, rejected : Tensor, shape (n, d)
        Features of what was preferred and of what was not.
    penalty : float
        :math:`\lambda`. Above 0 there is always one answer.

    Returns
    -------
    Tensor, shape (d,)

    Raises
    ------
    ValueError
        If shapes differ, a number is not finite, ``penalty`` is below 0, or the comparisons do not
        settle the weights: some reward explains all that it bears on without an error, and twice
        that reward would do so better, or some features always come together.

    Examples
    --------
    >>> chosen = torch.tensor([[1.0], [1.0], [1.0], [0.0]])  # preferred 3 times of 4
    >>> fit_preferences(chosen, 1 - chosen)  # ln 3
    tensor([1.0986])
    """
    _require_features(chosen, rejected)
    weight = _require_from("penalty", penalty, 0.0, float("inf"))
    x = (chosen - rejected).double()  # (n, d)
    w, least = x.new_zeros(x.shape[1]), 1e-12 * float(x.square().sum())
    for _ in range(ROUNDS):
        p = torch.sigmoid(x @ w)
        gradient = x.T @ (1 - p) - weight * w
        hessian = (x.T * (p * (1 - p))) @ x + weight * torch.eye(len(w), dtype=w.dtype)
        if not float(torch.linalg.eigvalsh(hessian)[0]) > least:
            break
        step = torch.linalg.solve(hessian, gradient)
        w = w + step * min(1.0, 2.0 / max(float(step.abs().max()), 1e-300))
        if float(step.abs().max()) < 1e-12:
            return w.to(chosen.dtype)
    raise ValueError(
        "chosen and rejected must settle the weights: here larger weights are always better, or "
        "some features come together; a penalty above 0 gives an answer all the same"
    )


def _require_features(chosen: Tensor, rejected: Tensor) -> None:
    _require_floats(chosen=chosen, rejected=rejected)
    if chosen.ndim != 2:
        raise ValueError(f"chosen must be (n, features), got shape {tuple(chosen.shape)}")
    _require_alike(chosen=chosen, rejected=rejected)
    _require_finite(chosen=chosen, rejected=rejected)
