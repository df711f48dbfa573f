r"""Several answers to one prompt: each is judged beside the others.

This file adds: ``group_advantages``, the advantages of group-relative policy optimisation
(Shao et al. 2024), with and without the division by the standard deviation, and
``silent_groups``, which says of which groups nothing is learnt.

Shape letters: ``P`` prompts, ``G`` answers to each.
"""

from jaxtyping import Bool, Float
from torch import Tensor

from companion.alignment._checks import (
    SCALES,
    _require_alike,
    _require_choice,
    _require_finite,
    _require_from,
)

__all__ = ["group_advantages", "silent_groups"]


def group_advantages(
    rewards: Float[Tensor, "prompts group"], scale: str = "std", eps: float = 1e-4
) -> Float[Tensor, "prompts group"]:
    r"""Return by how much each answer is better than its group.

    .. math:: A_i = \frac{r_i - \bar r}{s + \epsilon} \qquad \text{or} \qquad A_i = r_i - \bar r

    with the mean :math:`\bar r` and the standard deviation s (divided by G − 1) of the group. The
    division makes groups count alike in which rewards differ much or little, so that a prompt that
    nearly all answers get right or wrong counts for more than without it; Liu et al. (2025) leave
    it out (Dr. GRPO).

    Parameters
    ----------
    rewards : Tensor, shape (P, G)
        At least two answers to each prompt.
    scale : {"std", "none"}
        What the differences are divided by.
    eps : float
        :math:`\epsilon`, above 0.

    Returns
    -------
    Tensor, shape (P, G)
        Each row has the sum 0; all of it is 0 where all rewards of a group are equal.

    Raises
    ------
    ValueError
        If ``rewards`` has another shape, one is not finite, or an option is out of range.

    Examples
    --------
    >>> import torch
    >>> rewards = torch.tensor([[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    >>> group_advantages(rewards, "none")
    tensor([[ 0.7500, -0.2500, -0.2500, -0.2500],
            [ 0.0000,  0.0000,  0.0000,  0.0000]])
    >>> group_advantages(rewards)[0]
    tensor([ 1.4997, -0.4999, -0.4999, -0.4999])
    """
    _require_groups(rewards)
    _require_choice("scale", scale, SCALES)
    eps = _require_from("eps", eps, 0.0, float("inf"))
    differences = rewards - rewards.mean(dim=1, keepdim=True)
    differences = differences.masked_fill(silent_groups(rewards)[:, None], 0.0)  # no rounding
    if scale == "none":
        return differences
    return differences / (rewards.std(dim=1, keepdim=True) + max(eps, 1e-30))


def silent_groups(rewards: Float[Tensor, "prompts group"]) -> Bool[Tensor, " prompts"]:
    r"""Return which groups have one reward for all answers, so that their gradient is 0.

    Parameters
    ----------
    rewards : Tensor, shape (P, G)

    Returns
    -------
    Tensor of bool, shape (P,)

    Raises
    ------
    ValueError
        If ``rewards`` has another shape, or one is not finite.

    Examples
    --------
    >>> import torch
    >>> silent_groups(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])).float().mean()
    tensor(0.6667)
    """
    _require_groups(rewards)
    return (rewards == rewards[:, :1]).all(dim=1)


def _require_groups(rewards: Tensor) -> None:
    _require_alike(rewards=rewards)
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise ValueError(
            f"rewards must be (prompts, 2 or more answers), got shape {tuple(rewards.shape)}"
        )
    _require_finite(rewards=rewards)
