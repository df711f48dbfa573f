r"""LoRA in a whole model: put in, merged, taken out.

This file adds: ``add_lora``, which puts a change of low rank beside linear layers; ``merge_lora``
and ``unmerge_lora``, which add the changes to the matrices and take them off again; and
``remove_lora``, which leaves the plain layers.
"""

from typing import Any

import torch
from torch import nn

from companion.finetuning._targets import ALL, _find_layers, _of_kind, _replace, _require_none
from companion.finetuning.lora import _LINEAR, LoRALinear, _require_options, _sizes

__all__ = ["add_lora", "merge_lora", "unmerge_lora", "remove_lora"]

_NO_LORA = "add_lora(model, ...) puts them in"


def add_lora(
    model: nn.Module,
    targets: Any = ALL,
    rank: int = 8,
    alpha: int | float = 16,
    dropout: float = 0.0,
    *,
    layer: type[LoRALinear] = LoRALinear,
    generator: torch.Generator | None = None,
) -> nn.Module:
    r"""Freeze a model, and put a change of low rank beside some of its linear layers.

    Only the changes are trained then. A head that is to be trained as well stands outside of
    ``model``: ``add_lora(classifier.encoder, ["w_q", "w_v"])`` leaves the classifier's own layer
    as it is.

    Parameters
    ----------
    model : nn.Module
        Changed in place. Made of layers of this package or of ``torch.nn``.
    targets : list of str or "all-linear"
        The ends of the names of the layers: ``["w_q", "w_v"]`` is those two in each attention,
        ``["blocks.0.attention.layer.w_q"]`` a single one. ``"all-linear"`` is every linear layer
        inside a list of blocks, which leaves out embeddings and heads.
    rank, alpha, dropout, generator
        As for `LoRALinear`.
    layer : {LoRALinear, RSLoRALinear}
        Which kind.

    Returns
    -------
    nn.Module
        ``model`` itself.

    Raises
    ------
    ValueError
        If a target is no linear layer of the model, ``rank`` is larger than a side of one, or the
        model has LoRA already. The model is then what it was before.

    Examples
    --------
    >>> from companion.models import GPT, GPTConfig
    >>> model = GPT(GPTConfig(vocab_size=9, max_length=8, d_model=8, n_layers=1, n_heads=2))
    >>> _ = add_lora(model, ["w_q", "w_v"], rank=2)
    >>> [name for name, p in model.named_parameters() if p.requires_grad][:1]
    ['blocks.0.attention.layer.w_q.lora_A']
    """
    _require_options(rank, alpha, dropout, generator)
    _require_kind(layer)
    layers = _find_layers(model, targets, (*_LINEAR, LoRALinear))
    _require_none(model, LoRALinear, "remove_lora(model) takes it out")
    for name, each in layers.items():
        if rank > min(_sizes(each)):
            raise ValueError(f"rank must be at most {min(_sizes(each))} for {name}, got {rank}")
    model.requires_grad_(False)
    _replace(model, layers, lambda base: layer(base, rank, alpha, dropout, generator=generator))
    return model


def _require_kind(layer: Any) -> None:
    if not (isinstance(layer, type) and issubclass(layer, LoRALinear)):
        raise TypeError(f"layer must be LoRALinear or RSLoRALinear, got {layer!r}")


def merge_lora(model: nn.Module) -> None:
    r"""Add all changes to their matrices, so that the model costs no more than without them.

    What the model computes stays the same up to rounding, by how much `merge_error` tells.

    Parameters
    ----------
    model : nn.Module
        Changed in place. Changes that are merged already stay so.

    Raises
    ------
    ValueError
        If the model has no LoRA.
    """
    for each in _of_kind(model, LoRALinear, _NO_LORA).values():
        each.merge()


def unmerge_lora(model: nn.Module) -> None:
    r"""Take all changes off their matrices again, so that they can be trained further.

    Rounding is not undone: in 16 bits the matrices are not quite what they were before.

    Parameters
    ----------
    model : nn.Module
        Changed in place.

    Raises
    ------
    ValueError
        If the model has no LoRA.
    """
    for each in _of_kind(model, LoRALinear, _NO_LORA).values():
        each.unmerge()


def remove_lora(model: nn.Module) -> nn.Module:
    r"""Leave the plain layers, with the changes if they are merged, and else without them.

    Parameters
    ----------
    model : nn.Module
        Changed in place; its parameters stay frozen.

    Returns
    -------
    nn.Module
        ``model`` itself.

    Raises
    ------
    ValueError
        If the model has no LoRA.
    """
    _replace(model, _of_kind(model, LoRALinear, _NO_LORA), lambda each: each.base)
    return model
