r"""One model on several processes: copies whose gradients are averaged, or parts of one.

This file adds: `wrapped`, which spreads a model over the processes, and `exchanging_last`, which
lets them exchange gradients once a step. ``"ddp"`` keeps all of the model in each process
(``DistributedDataParallel``, Li et al. 2020); ``"fsdp"`` a part of each tensor, which is put
together block by block while it is needed (``fully_shard``, Zhao et al. 2023).
"""

import contextlib
import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from companion.training.batches import Batch
from companion.training.objectives import Objective
from companion.training.processes import world

__all__ = [
    "Through",
    "Whole",
    "Wrapped",
    "exchanging_last",
    "kind_of",
    "require_sharding",
    "wrapped",
]


class Whole(nn.Module):
    """All that an objective does with a model, as the forward pass of one module.

    What exchanges gradients or parameters begins and ends with a forward pass. An objective may
    call a model's parts one by one instead, as `companion.pretraining.MaskedLMAndNSP` does.

    Parameters
    ----------
    model : nn.Module

    Examples
    --------
    >>> from companion.training import TokenLoss
    >>> batch = torch.ones(4, 2), torch.tensor([0, 1, 2, -100])
    >>> sorted(Whole(nn.Linear(2, 3))(TokenLoss(), batch))
    ['loss']
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, objective: Objective, batch: Batch) -> dict[str, Tensor]:
        """Return the terms of the objective."""
        return objective(self.model, batch)


class Through:
    """An objective of a model that stands in a `Whole`, however that is wrapped.

    Parameters
    ----------
    objective : Objective
        That of the model itself.

    Examples
    --------
    >>> from companion.training import TokenLoss
    >>> model, batch = nn.Linear(2, 3), (torch.ones(4, 2), torch.tensor([0, 1, 2, -100]))
    >>> Through(TokenLoss())(Whole(model), batch) == TokenLoss()(model, batch)
    True
    """

    def __init__(self, objective: Objective):
        self.objective = objective

    def count(self, batch: Batch) -> dict[str, int]:
        """Return the numbers of targets."""
        return self.objective.count(batch)

    def __call__(self, model: Callable[..., Any], batch: Batch) -> dict[str, Tensor]:
        """Return the terms, from one forward pass of the wrapped model."""
        return model(self.objective, batch)


class Wrapped(NamedTuple):
    """A model on this process, and how it is called."""

    model: nn.Module
    """What is trained here: the model, or with "fsdp" a copy that has parts of its tensors."""
    forward: Callable[..., Any]
    """What the objective is given."""
    objective: Objective


def kind_of(parallel: str) -> str:
    """Return how a model is spread over the processes that there are.

    Parameters
    ----------
    parallel : {"auto", "none", "ddp", "fsdp"}
        As in `TrainConfig`.

    Returns
    -------
    str
        ``"none"`` for one process, otherwise ``"ddp"`` or ``"fsdp"``.

    Raises
    ------
    ValueError
        If there are several processes and ``"none"`` is asked for, or this PyTorch is too old.

    Examples
    --------
    >>> kind_of("ddp")
    'none'
    """
    if world().size == 1:
        return "none"
    if parallel == "none":
        raise ValueError(
            f"parallel='none' is for one process, and there are {world().size}: take 'auto'"
        )
    if parallel == "fsdp":
        require_sharding()
    return "ddp" if parallel == "auto" else parallel


def require_sharding() -> None:
    """Refuse a PyTorch without ``fully_shard``.

    Raises
    ------
    ValueError
        If it is older than 2.6.
    """
    try:
        from torch.distributed.fsdp import fully_shard  # noqa: F401
    except ImportError:
        raise ValueError(
            f"parallel='fsdp' needs PyTorch 2.6 or newer, this is {torch.__version__}: take 'ddp'"
        ) from None


def wrapped(
    model: nn.Module, objective: Objective, kind: str, device: torch.device, compiles: bool
) -> Wrapped:
    """Spread a model over the processes; all of them begin with the weights of the first.

    Parameters
    ----------
    model : nn.Module
        On ``device``; with ``"fsdp"`` it may be elsewhere, and stays as it is.
    objective : Objective
    kind : {"none", "ddp", "fsdp"}
    device : torch.device
    compiles : bool
        Whether ``torch.compile`` is used.

    Returns
    -------
    Wrapped
    """
    if kind == "none":
        return Wrapped(model, torch.compile(model) if compiles else model, objective)
    if kind == "ddp":
        return Wrapped(model, _replicated(model, compiles), Through(objective))
    part = copy.deepcopy(model)
    return Wrapped(part, _sharded(part, device, compiles), Through(objective))


def _replicated(model: nn.Module, compiles: bool) -> nn.Module:
    whole = Whole(torch.compile(model) if compiles else model)  # type: ignore[arg-type]
    # A model may have parts that an objective, or a batch, does not use. PyTorch warns if it was
    # told to look for such parts and has found none, so there is always one.
    whole.register_parameter("unused", nn.Parameter(next(model.parameters()).new_zeros(())))
    return DistributedDataParallel(whole, find_unused_parameters=True)


# -- parts ---------------------------------------------------------------------------------------


def _sharded(model: nn.Module, device: torch.device, compiles: bool) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for tensor in [*model.parameters(), *model.buffers()]:
        _copy_from_first(tensor, device)
    mesh = init_device_mesh(device.type, (world().size,))
    for block in _blocks(model):
        if compiles:  # all but the hooks that put its parameters together
            block.forward = torch.compile(block.forward)
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    # Else the rest would stay whole after an evaluation, which no backward pass follows.
    whole = Whole(model)
    fully_shard(whole, mesh=mesh, reshard_after_forward=True)
    return whole


@torch.no_grad()
def _copy_from_first(tensor: Tensor, device: torch.device) -> None:
    there = tensor.detach().to(device)
    dist.broadcast(there, src=0)
    tensor.copy_(there)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return the parts that are put together one after the other: those of lists of blocks.

    A block that shares a parameter with another part, or that is no function, is none of them.
    """
    uses = _uses(model)
    found = [block for each in _outermost(model) for block in each if _is_function(block)]
    return [b for b in found if all(n == uses[p] for p, n in _uses(b).items())]


def _outermost(module: nn.Module) -> Iterator[nn.ModuleList]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield child
        else:
            yield from _outermost(child)


def _is_function(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward and bool(list(module.parameters()))


def _uses(module: nn.Module) -> Counter[Tensor]:
    return Counter(tensor for _, tensor in module.named_parameters(remove_duplicate=False))


# -- once a step ---------------------------------------------------------------------------------


def exchanging_last(model: Callable[..., Any], batches: Sequence[Batch]) -> Iterator[Batch]:
    """Go through the micro-batches of a step; gradients are exchanged with the last one only.

    Parameters
    ----------
    model : nn.Module
        Of one process, or wrapped.
    batches : sequence of batches
        At least one.

    Yields
    ------
    Batch

    Raises
    ------
    ValueError
        If there are several processes, and the model exchanges nothing.

    Examples
    --------
    >>> list(exchanging_last(nn.Linear(1, 1), ["a", "b"]))
    ['a', 'b']
    """
    *earlier, last = batches
    with _keeping_gradients(model):
        yield from earlier
    yield last


@contextlib.contextmanager
def _keeping_gradients(model: Callable[..., Any]) -> Iterator[None]:
    inner = getattr(model, "_orig_mod", model)  # of one that is compiled
    if isinstance(inner, DistributedDataParallel):
        with inner.no_sync():
            yield
    elif hasattr(inner, "set_requires_gradient_sync"):  # a model of `fully_shard`
        inner.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            inner.set_requires_gradient_sync(True)
    elif world().size > 1:
        raise ValueError(
            "model must be in DistributedDataParallel, or of fully_shard, where there are several "
            "processes: else each would train a model of its own. train does that by itself"
        )
    else:
        yield
