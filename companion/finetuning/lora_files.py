r"""The changes that LoRA has learnt, apart from the model: a file of some hundred kilobytes.

This file adds: ``lora_state``, which takes them out of a model, ``load_lora_state``, which puts
them into one, and ``save_lora`` and ``load_lora``, which do so with a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from companion.finetuning._targets import _of_kind, _some
from companion.finetuning.injecting import _NO_LORA
from companion.finetuning.lora import LoRALinear
from companion.models.hub import _replacing

__all__ = ["lora_state", "load_lora_state", "save_lora", "load_lora"]

MATRICES = ("lora_A", "lora_B")


def lora_state(model: nn.Module) -> dict[str, Tensor]:
    r"""Return the matrices of all changes, by name, and nothing else of the model.

    Parameters
    ----------
    model : nn.Module
        After `add_lora`.

    Returns
    -------
    dict of Tensor
        Copies, such as ``"blocks.0.attention.layer.w_q.lora_A"``.

    Raises
    ------
    ValueError
        If the model has no LoRA.
    """
    return {name: tensor.detach().clone() for name, tensor in _matrices(model).items()}


def _matrices(model: nn.Module) -> dict[str, Tensor]:
    layers = _of_kind(model, LoRALinear, _NO_LORA)
    return {
        f"{path}.{part}": getattr(each, part) for path, each in layers.items() for part in MATRICES
    }


def load_lora_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    r"""Put the changes of another training in place of those that a model has.

    Parameters
    ----------
    model : nn.Module
        After `add_lora`, with the same targets and rank; its changes are not merged.
    state : dict of Tensor
        What `lora_state` has returned.

    Raises
    ------
    ValueError
        If the changes are of other layers or of another rank, or those of the model are merged.
        Nothing is changed then.
    TypeError
        If ``state`` holds no tensors.
    """
    _require_unmerged(model)
    own = _fitting(model, state)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(state[name])


def _fitting(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a model's own matrices; refuse a state of other layers or shapes."""
    own = _matrices(model)
    _require_same_layers(own, state)
    for name, tensor in own.items():
        _require_fit(name, tensor, state[name])
    return own


def _require_unmerged(model: nn.Module) -> None:
    for path, each in _of_kind(model, LoRALinear, _NO_LORA).items():
        if each.merged:
            raise ValueError(
                f"model must not have its changes merged, as {path} has: unmerge_lora(model) first"
            )


def _require_same_layers(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    if not isinstance(state, Mapping):
        raise TypeError(f"state must be a dict of tensors, got {type(state).__name__}")
    missing, extra = (sorted(a - b) for a, b in ((set(own), set(state)), (set(state), set(own))))
    said = [
        f"{what} {_some(names)}" for what, names in (("lacks", missing), ("has", extra)) if names
    ]
    if said:
        raise ValueError(f"state must have the layers of model, and it {' and it '.join(said)}")


def _require_fit(name: str, tensor: Tensor, new: Any) -> None:
    """Refuse a matrix of another shape; say if only the rank differs."""
    if not isinstance(new, Tensor):
        raise TypeError(f"state must hold tensors, got {type(new).__name__} for {name}")
    if new.shape == tensor.shape:
        return
    at = MATRICES.index(name.rpartition(".")[2])  # where the rank stands: A (r, in), B (out, r)
    if new.ndim == 2 and new.shape[1 - at] == tensor.shape[1 - at]:
        raise ValueError(
            f"state must have the rank of model, {tensor.shape[at]}, got {new.shape[at]} in {name}"
        )
    raise ValueError(
        f"state must have {name} of shape {tuple(tensor.shape)}, got {tuple(new.shape)}"
    )


def save_lora(model: nn.Module, path: str | Path) -> None:
    r"""Write the changes of a model to a file.

    Parameters
    ----------
    model : nn.Module
        After `add_lora`.
    path : str or Path
        A file of the format ``safetensors``. One of that name is replaced, but only after the new
        one has been written in full.

    Raises
    ------
    ValueError
        If the model has no LoRA.
    """
    tensors = {name: tensor.contiguous() for name, tensor in lora_state(model).items()}
    with _replacing(Path(path)) as beside:
        save_file(tensors, beside, metadata={"scales": json.dumps(_scales(model))})


def load_lora(model: nn.Module, path: str | Path) -> None:
    r"""Read changes from a file that `save_lora` wrote.

    Parameters
    ----------
    model : nn.Module
        After `add_lora`, with the same targets, rank and alpha.
    path : str or Path

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or no file of `save_lora`; if its changes are of other layers, of
        another rank or scale. Nothing is changed then.
    """
    state, scales = _read(Path(path))
    _fitting(model, state)  # the rank first, since the scale follows from it
    for name, scale in _scales(model).items():
        if scales.get(name) != scale:
            raise ValueError(
                f"the changes in {path} must be scaled as those of model, by {scale} in {name}, "
                f"got {scales.get(name)}: add_lora with the alpha and the layer of that training"
            )
    load_lora_state(model, state)


def _scales(model: nn.Module) -> dict[str, float]:
    return {path: each.scale for path, each in _of_kind(model, LoRALinear, _NO_LORA).items()}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, float]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no file of safetensors: {error}") from error
    if "scales" not in metadata:
        raise ValueError(f"{path} was not written by save_lora: it does not say how it is scaled")
    return state, json.loads(metadata["scales"])
