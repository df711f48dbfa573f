r"""How much of a model is trained.

This file adds: ``count_trainable`` and ``ParameterCount``, what it has counted.
"""

from dataclasses import dataclass

from torch import nn

from companion.finetuning._targets import _require_module
from companion.finetuning.quantised import NF4Linear

__all__ = ["ParameterCount", "count_trainable"]


@dataclass(frozen=True)
class ParameterCount:
    """How much of a model is trained, and how much room it takes."""

    trainable: int
    total: int
    """Weights that are kept in 4 bits are counted one by one, too."""
    bytes: int
    """Of all parameters and buffers; what gradients and an optimiser need comes on top."""

    @property
    def share(self) -> float:
        """Return which part of all parameters is trained."""
        return self.trainable / self.total if self.total else 0.0


def count_trainable(model: nn.Module) -> ParameterCount:
    r"""Count the parameters of a model that are trained, and all.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    ParameterCount
        A parameter that is in two places counts once.

    Examples
    --------
    >>> count_trainable(nn.Linear(3, 2))
    ParameterCount(trainable=8, total=8, bytes=32)
    """
    _require_module("model", model)
    parameters, buffers = list(model.parameters()), list(model.buffers())
    kept = [m for m in model.modules() if isinstance(m, NF4Linear)]
    return ParameterCount(
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        total=sum(p.numel() for p in parameters) + sum(m.d_out * m.d_in for m in kept),
        bytes=sum(x.nbytes for x in [*parameters, *buffers]),
    )
