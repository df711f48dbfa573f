r"""What a large model decides about the guesses of a small one, and how many it takes over.

This file adds: ``accept`` and ``residual``, by which guesses are judged; ``acceptance`` and
``expected_tokens``, which predict how it goes (Leviathan et al. 2023; Chen et al. 2023).

Letters as in the papers: ``p`` probabilities of the large model (the target), ``q`` of the small
one (the draft), ``γ`` guesses in a round. Shape letter: ``V`` vocabulary.
"""

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from companion._arguments import _require_int, _require_number
from companion._tensors import _require_floats, _require_ids

__all__ = ["accept", "residual", "acceptance", "expected_tokens"]


def accept(
    p: Float[Tensor, "n vocab"],
    q: Float[Tensor, "n vocab"],
    guesses: Integer[Tensor, " n"],
    u: Float[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    r"""Decide about guesses: each is accepted with probability :math:`\min(1, p(x) / q(x))`.

    (Leviathan et al. 2023, section 2.3; Chen et al. 2023, algorithm 2.) What the target finds at
    least as probable as the draft is always accepted.

    Parameters
    ----------
    p, q : Tensor, shape (n, V)
        Probabilities of the target and of the draft at each place.
    guesses : Tensor of int, shape (n,)
        What the draft has drawn from q.
    u : Tensor, shape (n,)
        Uniform numbers, from 0 to below 1.

    Returns
    -------
    Tensor of bool, shape (n,)
        Of each guess by itself; only those before the first one that is rejected count.

    Raises
    ------
    ValueError
        If shapes do not fit, or a guess is not in the vocabulary.
    TypeError
        If probabilities are no floating-point numbers, or guesses no whole ones.

    Examples
    --------
    >>> p, q = torch.tensor([[0.2, 0.8]]), torch.tensor([[0.5, 0.5]])
    >>> [accept(p, q, torch.tensor([0]), torch.tensor([u])).item() for u in (0.39, 0.41)]
    [True, False]
    """
    _require_pair(p, q)
    _require_floats(u=u)
    _require_ids("guesses", guesses, p.shape[-1])
    if not guesses.shape == u.shape == p.shape[:-1]:
        raise ValueError(
            f"guesses and u must be {tuple(p.shape[:-1])}, one for each place, got "
            f"{tuple(guesses.shape)} and {tuple(u.shape)}"
        )
    at = guesses.long()[..., None]
    return u * q.gather(-1, at)[..., 0] < p.gather(-1, at)[..., 0]


def residual(
    p: Float[Tensor, "*batch vocab"], q: Float[Tensor, "*batch vocab"]
) -> Float[Tensor, "*batch vocab"]:
    r"""Return what is drawn from where a guess was rejected: what q gave too little of.

    .. math:: p'(x) = \frac{\max(0,\, p(x) - q(x))}{\sum_y \max(0,\, p(y) - q(y))}

    so that accepted and redrawn tokens together have the distribution p:
    :math:`\min(p, q) + (1 - \alpha)\, p' = p` (Leviathan et al. 2023, appendix A.1).

    Parameters
    ----------
    p, q : Tensor, shape (..., V)

    Returns
    -------
    Tensor, shape (..., V)
        If the two are equal nothing is ever rejected; then p itself.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> residual(torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.4, 0.5, 0.1]))
    tensor([0., 0., 1.])
    """
    _require_pair(p, q)
    missing = (p - q).clamp(min=0)
    total = missing.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, missing / total.clamp(min=torch.finfo(p.dtype).tiny), p)


def acceptance(
    p: Float[Tensor, "*batch vocab"], q: Float[Tensor, "*batch vocab"]
) -> Float[Tensor, "*batch"]:
    r"""Return the probability that a guess is accepted (Leviathan et al. 2023, corollary 3.6).

    .. math:: \alpha = \sum_x q(x) \min\left(1, \frac{p(x)}{q(x)}\right) = \sum_x \min(p(x), q(x))

    which is 1 minus the total variation distance of the two.

    Parameters
    ----------
    p, q : Tensor, shape (..., V)

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> acceptance(torch.tensor([0.2, 0.5, 0.3]), torch.tensor([0.4, 0.5, 0.1]))
    tensor(0.8000)
    """
    _require_pair(p, q)
    return torch.minimum(p, q).sum(dim=-1)


def expected_tokens(alpha: float, n_guesses: int) -> float:
    r"""Return how many tokens a call of the target gives on average (Leviathan et al. 2023, eq. 1).

    .. math:: \frac{1 - \alpha^{\gamma + 1}}{1 - \alpha} = 1 + \alpha + \dots + \alpha^\gamma

    if each guess is accepted with the same probability. With a draft that takes :math:`c` times as
    long as the target, writing is by this number divided by :math:`\gamma c + 1` times as fast.

    Parameters
    ----------
    alpha : float
        Probability that a guess is accepted.
    n_guesses : int
        :math:`\gamma`.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If ``alpha`` is not from 0 to 1, or ``n_guesses`` is below 1.

    Examples
    --------
    >>> expected_tokens(0.5, 2)
    1.75
    """
    if not 0 <= _require_number("alpha", alpha) <= 1:
        raise ValueError(f"alpha must be from 0 to 1, got {alpha}")
    _require_int("n_guesses", n_guesses, least=1)
    return float(sum(alpha**i for i in range(n_guesses + 1)))


def _require_pair(p: Tensor, q: Tensor) -> None:
    _require_floats(p=p, q=q)
    if p.shape != q.shape or p.ndim == 0:
        raise ValueError(
            f"p and q must have one shape, (..., V), got {tuple(p.shape)} and {tuple(q.shape)}"
        )
