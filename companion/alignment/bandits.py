r"""A bandit: the smallest case of learning from rewards alone.

This file adds: ``Bandit`` and ``BernoulliBandit``, machines with several arms whose mean rewards a
player does not know.

Shape letters: ``k`` arms.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from companion._arguments import _require_generator
from companion.alignment._checks import (
    _require_alike,
    _require_from,
    _require_places,
    _require_vector,
)

__all__ = ["Bandit", "BernoulliBandit"]


class Bandit:
    r"""A machine with k arms, each with a mean reward that a player does not know.

    Parameters
    ----------
    means : sequence of float, or Tensor of shape (k,)
        At least two.
    noise : float
        The standard deviation of the rewards of an arm, which are normally distributed.

    Raises
    ------
    ValueError
        If there are fewer than two arms, a mean is not finite, or ``noise`` is below 0.
    TypeError
        If ``noise`` is no number.

    Examples
    --------
    >>> bandit = Bandit([1.0, 0.0, 3.0])
    >>> bandit.pull(torch.tensor([2, 0]), torch.Generator())
    tensor([3., 1.])
    >>> bandit.value(torch.tensor([0.5, 0.5, 0.0]))
    tensor(0.5000)
    """

    def __init__(self, means: Sequence[float] | Tensor, noise: float = 0.0) -> None:
        found = torch.as_tensor(means)
        found = found if found.is_floating_point() else found.to(torch.get_default_dtype())
        _require_vector("means", found, least=2)
        self.noise = _require_from("noise", noise, 0.0, float(torch.finfo(found.dtype).max))
        self.means = found

    def __repr__(self) -> str:
        return f"{type(self).__name__}(means={self.means.tolist()}, noise={self.noise})"

    def pull(self, arms: Integer[Tensor, " n"], generator: torch.Generator) -> Float[Tensor, " n"]:
        r"""Pull arms, and return a reward for each.

        Parameters
        ----------
        arms : Tensor of int, shape (n,)
            From 0 to k − 1.
        generator : torch.Generator

        Returns
        -------
        Tensor, shape (n,)

        Raises
        ------
        ValueError
            If there is no such arm.
        TypeError
            If ``generator`` is none.
        """
        _require_places("arms", arms, len(self.means))
        _require_generator("generator", generator, torch.Generator)
        return self._draw(self.means[arms], generator)

    def _draw(self, means: Tensor, generator: torch.Generator) -> Tensor:
        drawn = torch.randn(means.shape, generator=generator, dtype=means.dtype)
        return means + self.noise * drawn

    def value(self, probabilities: Float[Tensor, " k"]) -> Float[Tensor, ""]:
        r"""Return the expected reward of a policy, :math:`\sum_i \pi_i \mu_i`.

        Parameters
        ----------
        probabilities : Tensor, shape (k,)
            How often each arm is pulled.

        Returns
        -------
        Tensor

        Raises
        ------
        ValueError
            If there is not one for each arm.
        """
        _require_alike(means=self.means, probabilities=probabilities)
        return (probabilities * self.means).sum()


class BernoulliBandit(Bandit):
    r"""A machine whose rewards are 1 or 0.

    Parameters
    ----------
    means : sequence of float, or Tensor of shape (k,)
        The probability of a 1 for each arm.

    Raises
    ------
    ValueError
        If there are fewer than two arms, or a mean is not from 0 to 1.

    Examples
    --------
    >>> BernoulliBandit([0.0, 1.0]).pull(torch.tensor([1, 0, 1]), torch.Generator())
    tensor([1., 0., 1.])
    """

    def __init__(self, means: Sequence[float] | Tensor) -> None:
        super().__init__(means)
        if not ((self.means >= 0) & (self.means <= 1)).all():
            raise ValueError(f"means must be from 0 to 1, got {self.means.tolist()}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(means={self.means.tolist()})"

    def _draw(self, means: Tensor, generator: torch.Generator) -> Tensor:
        return torch.bernoulli(means, generator=generator)
