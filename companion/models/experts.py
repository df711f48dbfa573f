r"""Mixture of experts: many feed-forward layers, of which each token passes through a few.

This file adds: ``MoE``, which takes the place of a feed-forward layer (Shazeer et al. 2017; with
softmax gates as in Mixtral, Jiang et al. 2024, section 2.1); ``Routing``, what it decided;
``expert_load``, how much work each expert got; and ``balance_loss``, which keeps the work spread
over all of them (Fedus et al. 2022, "Switch Transformers").

Shape letters: ``D`` features (``d_model``), ``n`` experts, ``k`` of them active for each token,
``N`` tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from companion._tensors import _require_sizes, _require_tensors, _wide
from companion.activations import softmax
from companion.layers import Linear, SwiGLU

__all__ = ["Routing", "MoE", "expert_load", "balance_loss"]


@dataclass(frozen=True)
class Routing:
    """Which experts a layer chose for each token, and how much each of them counts."""

    probabilities: Float[Tensor, "*tokens experts"]
    """Of all experts, (..., n): the softmax of the router's logits."""
    chosen: Integer[Tensor, "*tokens active"]
    """Numbers of the k most probable experts, (..., k)."""
    gates: Float[Tensor, "*tokens active"]
    """What their outputs are multiplied by, (..., k); the gates of a token sum to 1."""


class MoE(nn.Module):
    r"""A feed-forward layer made of experts, of which a router chooses a few for each token.

    .. math::
        z = x W_r^\top, \qquad \mathcal T = \text{the } k \text{ largest of } z, \qquad
        y = \sum_{i \in \mathcal T} \frac{e^{z_i}}{\sum_{j \in \mathcal T} e^{z_j}}\; E_i(x)

    The layer has the weights of :math:`n` feed-forward layers, and each token costs the arithmetic
    of :math:`k`. Gradients reach the router through the gates, and an expert through the tokens
    that chose it.

    Parameters
    ----------
    d_model : int
        Features :math:`D` of input and output.
    d_hidden : int
        Hidden features of each expert.
    n_experts : int
        :math:`n`.
    n_active : int
        :math:`k`, from 1 to ``n_experts``. With 1 the gate is always 1, so that the router learns
        from a `balance_loss` alone.
    expert : function
        Makes an expert from ``d_model`` and ``d_hidden``, such as `SwiGLU` or `FeedForward`.

    Attributes
    ----------
    routing : Routing or None
        What the last call decided, with its gradients; copies of the layer begin with None.

    Raises
    ------
    ValueError
        If a size is below 1, or ``n_active`` is above ``n_experts``.
    TypeError
        If ``expert`` is no function.

    Examples
    --------
    >>> moe = MoE(8, 16, n_experts=4, n_active=2)
    >>> moe(torch.zeros(2, 5, 8)).shape, moe.routing.chosen.shape
    (torch.Size([2, 5, 8]), torch.Size([2, 5, 2]))
    """

    routing: Routing | None

    def __init__(
        self,
        d_model: int,
        d_hidden: int,
        n_experts: int,
        n_active: int = 2,
        *,
        expert: Callable[[int, int], nn.Module] = SwiGLU,
    ) -> None:
        super().__init__()
        _require_experts(n_experts, n_active)
        if not callable(expert) or isinstance(expert, nn.Module):
            raise TypeError(f"expert must make a layer, such as SwiGLU does, got {expert!r}")
        self.router = Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList(expert(d_model, d_hidden) for _ in range(n_experts))
        self.n_active, self.routing = n_active, None

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        return f"n_experts={len(self.experts)}, n_active={self.n_active}"

    def forward(self, x: Float[Tensor, "*tokens d_model"]) -> Float[Tensor, "*tokens d_model"]:
        """Map (..., D) to (..., D); each expert computes for the tokens that chose it alone."""
        self.routing = self.route(x)
        rows = x.reshape(-1, x.shape[-1])  # (N, D)
        chosen, gates = (
            part.reshape(-1, self.n_active) for part in (self.routing.chosen, self.routing.gates)
        )
        y = torch.zeros_like(rows)
        for i, expert in enumerate(self.experts):
            token, place = torch.where(chosen == i)  # a token chooses an expert at most once
            change = expert(rows[token]) * gates[token, place, None]
            y = y.index_add(0, token, change.to(y.dtype))
        return y.reshape(x.shape)

    def route(self, x: Float[Tensor, "*tokens d_model"]) -> Routing:
        r"""Choose experts.

        Parameters
        ----------
        x : Tensor, shape (..., D)

        Returns
        -------
        Routing
            In float32 if x has 16 bits: a choice between close experts needs more.
        """
        logits = _wide(self.router(x))  # (..., n)
        best, chosen = logits.topk(self.n_active, dim=-1)
        return Routing(softmax(logits), chosen, softmax(best))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the last routing out of copies: it belongs to a computation, not to the layer."""
        return {**self.__dict__, "routing": None}


def expert_load(
    *routings: Routing, mask: Bool[Tensor, "*tokens"] | None = None
) -> Float[Tensor, " experts"]:
    r"""Return which share of the tokens each expert got, :math:`f_i`.

    Each token chooses :math:`k` experts, so the shares sum to :math:`k`, and are :math:`k/n` if
    all experts get as much.

    Parameters
    ----------
    *routings : Routing
        Of one layer, or of several, which are counted together.
    mask : Tensor of bool, shape of the tokens, optional
        False for those that do not count, such as padding.

    Returns
    -------
    Tensor, shape (n,)

    Raises
    ------
    ValueError
        If there is no routing, several are not of one shape, the mask does not fit, or no token
        counts.
    TypeError
        If a routing is none, or the mask is not boolean.

    Examples
    --------
    >>> chosen = torch.tensor([[0], [0], [0], [2]])
    >>> expert_load(Routing(torch.full((4, 3), 1 / 3), chosen, torch.ones(4, 1)))
    tensor([0.7500, 0.0000, 0.2500])
    """
    probabilities, chosen = _counted(routings, mask)
    counts = torch.bincount(chosen.flatten(), minlength=probabilities.shape[1])
    return counts.to(probabilities.dtype) / len(chosen)


def balance_loss(
    *routings: Routing, mask: Bool[Tensor, "*tokens"] | None = None
) -> Float[Tensor, ""]:
    r"""Loss that is small if all experts get as much to do (Fedus et al. 2022, eq. 4).

    .. math:: \mathcal L = n \sum_{i=1}^n f_i\, P_i

    where :math:`f_i` is the share of the tokens that chose expert :math:`i` (see `expert_load`),
    and :math:`P_i` its mean probability. If all experts get as much, the loss is :math:`k`; if all
    tokens prefer the same ones, it comes near :math:`n`. Only :math:`P` has a gradient: it lowers
    the probability of experts that get much. A small multiple of this loss is added to that of
    the model.

    Parameters
    ----------
    *routings, mask
        As for `expert_load`. Of several layers :math:`f` and :math:`P` are averaged before they are
        multiplied, as ``transformers`` does it. In the paper each layer has a loss of its own:
        call the function once for each layer, and add.

    Returns
    -------
    Tensor
        One number.

    Raises
    ------
    ValueError
        If there is no routing, several are not of one shape, the mask does not fit, or no token
        counts.
    TypeError
        If a routing is none, or the mask is not boolean.

    Examples
    --------
    >>> chosen, gates = torch.tensor([[0], [1]]), torch.ones(2, 1)
    >>> balance_loss(Routing(torch.full((2, 2), 0.5), chosen, gates))
    tensor(1.)
    """
    shares = expert_load(*routings, mask=mask)
    mean = _counted(routings, mask)[0].mean(dim=0)
    return len(mean) * (shares * mean).sum()


def _counted(routings: tuple[Routing, ...], mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the probabilities (N, n) and choices (N, k) of all tokens that count."""
    _require_routings(routings, mask)
    if mask is None:
        mask = torch.ones_like(routings[0].chosen[..., 0], dtype=torch.bool)
    return (
        torch.cat([routing.probabilities[mask] for routing in routings]),
        torch.cat([routing.chosen[mask] for routing in routings]),
    )


def _require_experts(n_experts: int, n_active: int) -> None:
    """Refuse to choose more experts than there are."""
    _require_sizes(n_experts=n_experts, n_active=n_active)
    if n_active > n_experts:
        raise ValueError(f"n_active must be at most n_experts, {n_experts}, got {n_active}")


def _require_routings(routings: tuple[Routing, ...], mask: Tensor | None) -> None:
    """Refuse routings that cannot be counted together, and masks that do not fit them."""
    if not routings:
        raise ValueError("routings must hold at least one Routing, got none")
    for routing in routings:
        if not isinstance(routing, Routing):
            raise TypeError(
                f"routings must be Routings, which a MoE has after a call, got {routing!r}"
            )
    shapes = {(tuple(r.probabilities.shape), tuple(r.chosen.shape)) for r in routings}
    if len(shapes) > 1:
        raise ValueError(f"routings must have one shape, got {sorted(shapes)}")
    tokens = tuple(routings[0].chosen.shape[:-1])
    if mask is not None:
        _require_mask(mask, tokens)
    if 0 in tokens or (mask is not None and not mask.any()):
        raise ValueError("no token counts: there is none, or mask is False for all")


def _require_mask(mask: Tensor, tokens: tuple[int, ...]) -> None:
    _require_tensors(mask=mask)
    if mask.dtype != torch.bool:
        raise TypeError(f"mask must be boolean, got {mask.dtype}")
    if tuple(mask.shape) != tokens:
        raise ValueError(
            f"mask must have one entry for each token, shape {tokens}, got {tuple(mask.shape)}"
        )
