r"""Adapters: small layers after each large one, and nothing else is trained (Houlsby et al. 2019).

This file adds: ``Adapter``, a layer through a bottleneck that starts as the identity; ``Adapted``,
a frozen layer with an adapter after it; and ``add_adapters``, which puts them into a model.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion._arguments import _require_generator
from companion._tensors import _require_sizes
from companion.activations import gelu
from companion.finetuning._targets import _replace, _require_module, _require_none
from companion.layers import Linear
from companion.layers.mlp import _require_activation
from companion.transformer import PostNorm, PreNorm, _first, _with

__all__ = ["Adapter", "Adapted", "add_adapters"]


class Adapter(nn.Module):
    r"""A change of :math:`x` that passes through few features (Houlsby et al. 2019, section 2.1).

    .. math:: y = x + f(x W_d^\top + b_d)\, W_u^\top + b_u

    :math:`W_u` and :math:`b_u` start as 0, so that at first nothing is changed.

    Parameters
    ----------
    d_model : int
        Features of input and output.
    bottleneck : int
        Features in between, :math:`m`; the adapter has :math:`2md + d + m` parameters.
    activation : function
        :math:`f`, of each element.
    generator : torch.Generator, optional
        Where :math:`W_d` comes from, normal with standard deviation 0.01, as in the paper.

    Raises
    ------
    ValueError
        If a size is below 1.

    Examples
    --------
    >>> x = torch.randn(2, 5, 8)
    >>> torch.equal(Adapter(8, bottleneck=2)(x), x)
    True
    """

    def __init__(
        self,
        d_model: int,
        bottleneck: int,
        *,
        activation: Callable[[Tensor], Tensor] = gelu,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        _require_sizes(d_model=d_model)
        _require_options(bottleneck, activation, generator)
        self.down, self.up = Linear(d_model, bottleneck), Linear(bottleneck, d_model)
        self.activation = activation
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            self.down.weight.normal_(std=0.01, generator=generator)

    def forward(self, x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_model"]:
        """Map (..., d_model) to (..., d_model)."""
        return x + self.up(self.activation(self.down(x)))


class Adapted(nn.Module):
    r"""A layer, and an adapter of what it returns.

    Parameters
    ----------
    layer : nn.Module
        What it returns besides a tensor, such as the weights of attention, is returned, too.
    adapter : Adapter

    Examples
    --------
    >>> Adapted(Linear(4, 8), Adapter(8, 2))(torch.zeros(3, 4)).shape
    torch.Size([3, 8])
    """

    def __init__(self, layer: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.layer, self.adapter = layer, adapter

    def forward(self, x: Float[Tensor, "*batch d_in"], *args: Any, **options: Any) -> Any:
        """Return what the adapter makes of the layer's output, and what else the layer returns."""
        y, rest = _first(self.layer(x, *args, **options))
        return _with(self.adapter(y), rest)


def add_adapters(
    model: nn.Module,
    bottleneck: int = 16,
    *,
    activation: Callable[[Tensor], Tensor] = gelu,
    generator: torch.Generator | None = None,
) -> nn.Module:
    r"""Freeze a model, and put an adapter after each layer of its blocks.

    In a block that is two: after attention and after the feed-forward layer, each before the sum
    with what went past the layer.

    Parameters
    ----------
    model : nn.Module
        Changed in place. Made of blocks of `companion.transformer`.
    bottleneck, activation, generator
        As for `Adapter`.

    Returns
    -------
    nn.Module
        ``model`` itself. Until it is trained it computes what it did before.

    Raises
    ------
    ValueError
        If the model has no such blocks, or adapters already. It is then what it was before.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=3, n_heads=2))
    >>> _ = add_adapters(model, bottleneck=2)
    >>> sum(isinstance(module, Adapter) for module in model.modules())
    6
    """
    _require_module("model", model)
    _require_options(bottleneck, activation, generator)
    _require_none(model, Adapter, "it can be trained further as it is")
    layers = _layers_of_blocks(model)
    widths = {id(layer): width for layer, width in layers.values()}
    options: dict[str, Any] = {"activation": activation, "generator": generator}
    model.requires_grad_(False)

    def adapted(layer: nn.Module) -> nn.Module:
        adapter = Adapter(widths[id(layer)], bottleneck, **options)
        return Adapted(layer, adapter.to(next(layer.parameters())))

    _replace(model, {path: layer for path, (layer, _) in layers.items()}, adapted)
    return model


def _layers_of_blocks(model: nn.Module) -> dict[str, tuple[nn.Module, int]]:
    """Return each layer that has a residual connection around it, and how wide it is."""
    found = {
        f"{path}.layer".removeprefix("."): (around.layer, _width(around.norm))
        for path, around in model.named_modules(remove_duplicate=False)
        if isinstance(around, (PreNorm, PostNorm))
    }
    if not found:
        raise ValueError(
            "model has no blocks of companion.transformer, after whose layers adapters could stand"
        )
    return found


def _width(norm: nn.Module) -> int:
    """Return of how many features a normalisation is."""
    return len(next(norm.parameters()))


def _require_options(bottleneck: int, activation: Any, generator: Any) -> None:
    _require_sizes(bottleneck=bottleneck)
    _require_activation(activation)
    _require_generator("generator", generator, torch.Generator, type(None))
