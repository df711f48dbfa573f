r"""Mixtral: Llama whose feed-forward layers are mixtures of experts (Jiang et al. 2024).

This file adds: ``MixtralConfig`` and ``Mixtral``.
"""

from dataclasses import dataclass

from companion.models.experts import MoE, Routing, _require_experts
from companion.models.layouts import MIXTRAL
from companion.models.llama import Llama, LlamaConfig

__all__ = ["MixtralConfig", "Mixtral"]


@dataclass(frozen=True)
class MixtralConfig(LlamaConfig):
    """Sizes of a Mixtral; the defaults are those of Mixtral 8x7B (Jiang et al. 2024, table 1)."""

    vocab_size: int = 32_000
    max_length: int = 32_768
    d_model: int = 4_096
    n_layers: int = 32
    n_heads: int = 32
    n_kv_heads: int | None = 8
    d_hidden: int = 14_336
    """Width of each expert."""
    base: float = 1_000_000.0
    tied: bool = False
    n_experts: int = 8
    """Feed-forward layers that each block can choose from."""
    n_active: int = 2
    """How many of them each token passes through."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_experts(self.n_experts, self.n_active)


class Mixtral(Llama):
    r"""Llama in which each token passes through a few of many feed-forward layers.

    Parameters
    ----------
    config : MixtralConfig

    Raises
    ------
    ValueError
        If the sizes do not fit one another.

    Examples
    --------
    >>> import torch
    >>> sizes = dict(vocab_size=10, d_model=8, n_layers=2, n_heads=4, n_kv_heads=2, d_hidden=24)
    >>> model = Mixtral(MixtralConfig(**sizes))
    >>> model(torch.tensor([[1, 2, 3]])).shape, len(model.routings)
    (torch.Size([1, 3, 10]), 2)
    """

    layout, Config = MIXTRAL, MixtralConfig
    config: MixtralConfig

    @property
    def routings(self) -> list[Routing]:
        """What each block chose in the last call; `balance_loss` and `expert_load` take it."""
        layers = [layer for layer in self.modules() if isinstance(layer, MoE)]
        found = [layer.routing for layer in layers if layer.routing is not None]
        if not found:
            raise ValueError("the model has routed nothing so far; call it first")
        return found

    def _feed_forward(self) -> MoE:
        """Build the experts of one block."""
        c = self.config
        return MoE(c.d_model, c.d_hidden, c.n_experts, c.n_active)
