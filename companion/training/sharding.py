r"""Tensors of which each process has a part: put together for a checkpoint, and taken apart again.

This file adds: `put_together`, `like` and `give_back`. A checkpoint has whole tensors, whoever
wrote it, so a run goes on with another number of processes, each with all of the model or a part.
Where no tensor is in parts, the three do nothing.
"""

from typing import Any

from torch import Tensor, nn

from companion.training.processes import world

__all__ = ["give_back", "like", "put_together"]


def put_together(state: Any) -> Any:
    """Return a state with whole tensors, on the CPU, in the first process; all must call it.

    Parameters
    ----------
    state : Tensor, or dict, list or tuple of anything

    Returns
    -------
    The same, with empty tensors in place of these in all processes but the first, which alone
    writes checkpoints.

    Examples
    --------
    >>> import torch
    >>> put_together({"t": 3, "m": torch.ones(2)})
    {'t': 3, 'm': tensor([1., 1.])}
    """
    if _is_in_parts(state):
        full = state.full_tensor()
        return full.cpu() if world().rank == 0 else full.new_empty(0)
    if isinstance(state, dict):
        return {name: put_together(part) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(put_together(part) for part in state)
    return state


def like(tensor: Tensor, target: Tensor) -> Tensor:
    """Return this process's part of a whole tensor, if the target is in parts.

    Parameters
    ----------
    tensor : Tensor
        The same in all processes, of the target's shape.
    target : Tensor

    Returns
    -------
    Tensor

    Examples
    --------
    >>> import torch
    >>> like(torch.ones(2), torch.zeros(2))
    tensor([1., 1.])
    """
    if not _is_in_parts(target):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    there = tensor.to(target.device)
    return distribute_tensor(there, target.device_mesh, target.placements)  # type: ignore[attr-defined]


def give_back(trained: nn.Module, model: nn.Module) -> None:
    """Copy the weights of a model in parts to the whole model that it was made of.

    Parameters
    ----------
    trained, model : nn.Module
        If they are the same, nothing is done.
    """
    if trained is model:
        return
    state = trained.state_dict()
    model.load_state_dict({n: x.full_tensor() if _is_in_parts(x) else x for n, x in state.items()})


def _is_in_parts(thing: Any) -> bool:
    # The class has another place in older versions of PyTorch, which have no `fully_shard`.
    return isinstance(thing, Tensor) and hasattr(thing, "full_tensor")
