r"""More answers in place of more training: votes, and the best of n.

This file adds: ``majority_vote``, which takes the answer that was given most often
(self-consistency, Wang et al. 2023), and how often it is right, ``vote_accuracy``; ``best_of_n``,
which takes the answer with the highest score, and what policy that is, exactly:
``best_of_n_policy``, whose divergence is at most ``best_of_n_kl_bound``. How often one of k answers
is right is `companion.evaluation.pass_at_k`.

Shape letters: ``n`` outcomes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion._arguments import _require_int, _require_number, _require_ordered
from companion.alignment._checks import _require_from
from companion.alignment.frontier import _require_outcomes

__all__ = [
    "majority_vote",
    "vote_accuracy",
    "best_of_n",
    "best_of_n_policy",
    "best_of_n_kl_bound",
]

_Outcomes = Float[Tensor, " n"]


def majority_vote(answers: Iterable[Any]) -> Any:
    r"""Return the answer that was given most often; of several, the one that came first.

    Parameters
    ----------
    answers : list
        At least one.

    Returns
    -------
    object
        One of them.

    Raises
    ------
    ValueError
        If there is none.
    TypeError
        If the answers have no order.

    Examples
    --------
    >>> majority_vote(["5", "4", "4", "5", "3"])
    '5'
    """
    given = list(_require_ordered(answers, "answers"))
    if not given:
        raise ValueError("answers must hold at least one answer, got none")
    counts = Counter(given)
    return max(counts, key=counts.__getitem__)


def vote_accuracy(probabilities: Sequence[float], n: int) -> float:
    r"""Return how often `majority_vote` of n answers is the first of these, exactly.

    Parameters
    ----------
    probabilities : sequence of float
        Of each answer, that of the right one first. Together 1.
    n : int
        Answers that are drawn and counted, independently of each other.

    Returns
    -------
    float
        With more answers it approaches 1 if the right one is the most probable, and else 0.

    Raises
    ------
    ValueError
        If there is no answer, the probabilities are not from 0 to 1 or do not add up to 1, or n is
        below 1.

    Examples
    --------
    >>> [round(vote_accuracy([0.6, 0.4], n), 4) for n in (1, 3, 5)]
    [0.6, 0.648, 0.6826]
    >>> [round(vote_accuracy([0.4, 0.6], n), 4) for n in (1, 3, 5)]
    [0.4, 0.352, 0.3174]
    """
    n = _require_int("n", n, least=1)
    given = _require_ordered(probabilities, "probabilities")
    p = [_require_from("each of probabilities", x, 0.0, 1.0) for x in given]
    if not abs(sum(p) - 1) < 1e-6:
        raise ValueError(f"probabilities must add up to 1, got {sum(p):.6g}")
    total = 0.0
    for counts in _counts(n, len(p)):
        if counts[0] == max(counts):  # among equals, each has come first as often
            total += _multinomial(counts, p) / counts.count(counts[0])
    return total


def _counts(n: int, k: int) -> Iterator[tuple[int, ...]]:
    """Yield all ways in which n answers can be of k kinds."""
    if k == 1:
        yield (n,)
        return
    for first in range(n + 1):
        for rest in _counts(n - first, k - 1):
            yield (first, *rest)


def _multinomial(counts: tuple[int, ...], p: list[float]) -> float:
    ways = math.factorial(sum(counts)) // math.prod(map(math.factorial, counts))
    return ways * math.prod(q**count for q, count in zip(p, counts, strict=True))


def best_of_n(answers: Iterable[Any], scores: Iterable[float]) -> Any:
    r"""Return the answer with the highest score; of several, the one that came first.

    Parameters
    ----------
    answers : list
    scores : list of float
        One for each answer, at least one. None is NaN.

    Returns
    -------
    object
        One of the answers.

    Raises
    ------
    ValueError
        If there is none, there is not one score for each, or a score is NaN.
    TypeError
        If answers or scores have no order, or a score is no number.

    Examples
    --------
    >>> best_of_n(["a", "b", "c"], [0.1, 0.9, 0.9])
    'b'
    """
    given = list(_require_ordered(answers, "answers"))
    values = [_require_number("each of scores", x) for x in _require_ordered(scores, "scores")]
    if not given or len(given) != len(values):
        raise ValueError(
            "scores must be one for each of answers, at least one; "
            f"got {len(values)} for {len(given)}"
        )
    if any(math.isnan(value) for value in values):
        raise ValueError("scores must be numbers, got nan")
    return given[max(range(len(values)), key=values.__getitem__)]


def best_of_n_policy(log_probs: _Outcomes, scores: _Outcomes, n: int) -> _Outcomes:
    r"""Return how probable each outcome is as the best of n that are drawn, as logs.

    .. math:: \pi_n(y) = \pi(y)\, \frac{P(s \le s_y)^n - P(s < s_y)^n}{P(s = s_y)}

    Among outcomes of the same score each keeps its share.

    Parameters
    ----------
    log_probs : Tensor, shape (n,)
        Log-probabilities of all outcomes, for one draw.
    scores : Tensor, shape (n,)
        By which the best is chosen: a reward, or what stands for it.
    n : int
        How many are drawn.

    Returns
    -------
    Tensor, shape (n,)
        Log-probabilities. `companion.alignment.trade_off` has its expected reward, by the true
        reward too if the scores are a proxy.

    Raises
    ------
    ValueError
        If shapes differ, the probabilities do not add up to 1, a score is not finite, or n is below
        1.

    Examples
    --------
    >>> best_of_n_policy(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.0, 1.0]), 3).exp()
    tensor([0.1250, 0.8750])
    """
    _require_outcomes(log_probs, scores)
    n = _require_int("n", n, least=1)
    levels, level = scores.unique(return_inverse=True)
    wide = log_probs.double()
    mass = wide.new_zeros(len(levels)).index_add(0, level, wide.exp()).log()
    up_to = mass.logcumsumexp(dim=0)  # (levels,), of the lowest score first
    below = torch.cat([up_to.new_tensor([-math.inf]), up_to[:-1]])
    share = torch.where(up_to > -math.inf, n * (below - up_to), 0.0)
    best = n * up_to + torch.log(-torch.expm1(share))
    found = wide + torch.where(mass > -math.inf, best - mass, 0.0)[level]
    return found.to(log_probs.dtype)


def best_of_n_kl_bound(n: int) -> float:
    r"""Return :math:`\ln n - \frac{n - 1}{n}`, as far as the best of n can be from one draw.

    In nats. It is reached if no two outcomes have the same score and each is improbable (Beirami et
    al. 2024).

    Parameters
    ----------
    n : int

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If n is below 1.

    Examples
    --------
    >>> [round(best_of_n_kl_bound(n), 4) for n in (1, 2, 4, 16)]
    [0.0, 0.1931, 0.6363, 1.8351]
    """
    n = _require_int("n", n, least=1)
    return math.log(n) - (n - 1) / n
