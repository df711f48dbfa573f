r"""Everything that a run needs in order to go on as if it had not been interrupted.

This file adds: `captured` and `restored`, the two ways between a run and a checkpoint, and what
they refuse: the checkpoint of another model, of other settings. The order of the data needs
nothing: batches are functions of their number.
"""

import dataclasses
import hashlib
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from companion.training.config import TrainConfig
from companion.training.processes import gathered, world
from companion.training.sharding import like, put_together

__all__ = ["captured", "fingerprint", "require_same_config", "require_same_model", "restored"]

Content = dict[str, Any]
# What may differ from the checkpoint: it does not change what a step computes.
FREE = {"folder", "device", "parallel", "compile"}
FREE |= {"checkpoint_every", "keep", "evaluate_every", "patience"}
NAMED = 5  # tensors that a message names


def captured(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], scaler: Any) -> Content:
    """Return what changes from step to step, in a form that a checkpoint can hold.

    All processes must call it. What it returns to the first of them is whole.

    Parameters
    ----------
    model : nn.Module
    optimizers : sequence of torch.optim.Optimizer
    scaler : torch.amp.GradScaler

    Returns
    -------
    dict
    """
    return {
        "model": put_together(model.state_dict()),
        "optimizers": [put_together(optimizer.state_dict()) for optimizer in optimizers],
        "scaler": scaler.state_dict(),
        "random": gathered(_random_state()),  # of each process
    }


def restored(
    content: Content, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], scaler: Any
) -> None:
    """Give model, optimisers, scaler and random numbers the state that was captured.

    Parameters
    ----------
    content : dict
        As `captured` returned it.
    model, optimizers, scaler
        As for `captured`.

    Raises
    ------
    ValueError
        If the model's tensors or the optimisers are others. Nothing has been changed then.
    """
    require_same_model(content["model"], model)
    saved = content["optimizers"]
    if len(saved) != len(optimizers):
        raise ValueError(
            f"the checkpoint is of a run with {len(saved)} optimisers, not {len(optimizers)}"
        )
    for optimizer, state in zip(optimizers, saved, strict=True):
        optimizer.load_state_dict(_own_parts(state, optimizer))
    own = model.state_dict()
    model.load_state_dict({name: like(x, own[name]) for name, x in content["model"].items()})
    if content["scaler"]:
        scaler.load_state_dict(content["scaler"])
    # Of more processes than there were, the new ones draw what they have begun with.
    if (rank := world().rank) < len(content["random"]):
        _set_random_state(content["random"][rank])


def _own_parts(state: Content, optimizer: torch.optim.Optimizer) -> Content:
    """Return an optimiser's state with this process's parts of tensors that are in parts."""
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    places = (place for group in state["param_groups"] for place in group["params"])
    by_place = dict(zip(places, parameters, strict=False))  # the optimiser counts them itself
    return {
        **state,
        "state": {n: _like_each(x, by_place.get(n)) for n, x in state["state"].items()},
    }


def _like_each(remembered: Any, parameter: Any) -> Any:
    return {
        name: like(x, parameter) if getattr(x, "shape", None) == parameter.shape else x
        for name, x in remembered.items()
    }


def _random_state() -> Content:
    kind, keys, *rest = np.random.get_state()
    state = {
        "python": random.getstate(),
        "numpy": [kind, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def _set_random_state(state: Content) -> None:
    random.setstate(state["python"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    # A run may go on with another number of GPUs, then not bit for bit.
    if torch.cuda.is_available() and len(state.get("cuda", [])) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def fingerprint(model: nn.Module) -> str:
    """Return a text that two models share if their tensors have the same names and shapes.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    shapes = [(name, tuple(tensor.shape)) for name, tensor in sorted(model.state_dict().items())]
    return hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]


def require_same_model(saved: dict[str, torch.Tensor], model: nn.Module) -> None:
    """Refuse the tensors of another model.

    Parameters
    ----------
    saved : dict of str to Tensor
        The ``state_dict`` of a checkpoint.
    model : nn.Module

    Raises
    ------
    ValueError
        If names or shapes differ; the message says which.
    """
    own = model.state_dict()
    differ = [
        f"{name} has shape {tuple(saved[name].shape)} there and {tuple(own[name].shape)} here"
        for name in own
        if name in saved and saved[name].shape != own[name].shape
    ]
    complaints = [
        _listed("it lacks", [name for name in own if name not in saved]),
        _listed("it has besides", [name for name in saved if name not in own]),
        _listed("other shapes:", differ),
    ]
    if any(complaints):
        raise ValueError(
            "the checkpoint is of another model: " + "; ".join(filter(None, complaints))
        )


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{what} {', '.join(names[:NAMED])}{more}"


def require_same_config(saved: TrainConfig, config: TrainConfig) -> None:
    """Refuse settings under which the run would not go on as it began.

    Parameters
    ----------
    saved : TrainConfig
        That of the checkpoint.
    config : TrainConfig
        May have more ``steps``, and may differ in what changes no step: where the run is, and
        how often it is evaluated and saved.

    Raises
    ------
    ValueError
        If another field differs; the message says which.
    """
    old, new = dataclasses.asdict(saved), dataclasses.asdict(config)
    differ = [name for name in old if name not in FREE and old[name] != new[name]]
    if new["steps"] >= old["steps"]:
        differ = [name for name in differ if name != "steps"]
    if differ:
        fields = ", ".join(f"{name} {old[name]!r} there and {new[name]!r} here" for name in differ)
        raise ValueError(
            f"the checkpoint in {config.folder} is of a run with other settings: {fields}. "
            "Take those, or another folder"
        )
