r"""Parameters that each process has a share of, and that are whole only while they are used.

This file adds: what cuts a tensor into shares and joins it again; and ``ShardedLayer``, whose
parameters are gathered when it is computed, and let go after it (stage 3 of ZeRO, Rajbhandari et
al. 2020, section 5.3; PyTorch calls it fully sharded data parallelism, FSDP).

Each parameter is cut by itself, with zeros behind it if the number of processes does not divide it.
"""

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from companion.training.parallel._checks import _require_no_dropout
from companion.training.parallel.communicator import Communicator, _padded

__all__ = ["cut", "join", "ShardedLayer"]


def cut(tensor: Shaped[Tensor, "*shape"], communicator: Communicator) -> Shaped[Tensor, " numbers"]:
    r"""Return a copy of this process's share of the numbers of a tensor.

    Parameters
    ----------
    tensor : Tensor
    communicator : Communicator

    Returns
    -------
    Tensor, of one dimension
        :math:`\lceil N/n \rceil` numbers; the last shares may end with zeros.

    Examples
    --------
    >>> cut(torch.tensor([1.0, 2.0, 3.0]), Communicator([0, 1], 1))
    tensor([3., 0.])
    """
    flat = _padded(tensor.detach().flatten(), communicator.size)
    return flat.view(communicator.size, -1)[communicator.rank].clone()


def join(
    share: Shaped[Tensor, " numbers"], shape: torch.Size, communicator: Communicator
) -> Shaped[Tensor, "..."]:
    r"""Return the whole tensor whose shares the processes have.

    Parameters
    ----------
    share : Tensor, of one dimension
        What `cut` returned.
    shape : torch.Size
        Of the whole.
    communicator : Communicator

    Returns
    -------
    Tensor, of that shape

    Examples
    --------
    >>> join(torch.tensor([1.0, 2.0]), torch.Size([2, 1]), Communicator([0], 0))
    tensor([[1.],
            [2.]])
    """
    return communicator.all_gather(share)[: shape.numel()].view(shape)


def _sum_and_cut(gradient: Tensor, communicator: Communicator) -> Tensor:
    """Return this process's share of the sum of all gradients."""
    return communicator.reduce_scatter(_padded(gradient.flatten(), communicator.size))


class ShardedLayer(nn.Module):
    r"""A layer of whose parameters each process keeps its share (ZeRO, stage 3).

    They are gathered before the layer is computed and let go after it. To go backward the layer
    gathers them again and computes once more what it needs, from its input (Chen et al. 2016,
    activation checkpointing): so neither weights nor inner activations are kept in between.

    Parameters
    ----------
    layer : nn.Module
        Of one tensor, the same in every process. It is emptied.
    communicator : Communicator

    Raises
    ------
    ValueError
        If the layer has dropout, of which both passes would draw different masks.

    Examples
    --------
    >>> layer = ShardedLayer(nn.Linear(4, 2), Communicator([0], 0))
    >>> layer(torch.ones(3, 4)).shape, [share.shape for share in layer.shares]
    (torch.Size([3, 2]), [torch.Size([8]), torch.Size([2])])
    """

    def __init__(self, layer: nn.Module, communicator: Communicator) -> None:
        super().__init__()
        _require_no_dropout(layer, "layer")
        self.communicator, self.shapes = communicator, {}
        self.shares = nn.ParameterList()
        for name, parameter in layer.named_parameters():
            self.shapes[name] = parameter.shape
            share = cut(parameter, communicator)
            self.shares.append(nn.Parameter(share, parameter.requires_grad))
            parameter.data = parameter.new_empty(0)
        self._layer = [layer]  # in a list, so that its parameters do not count as ours

    def extra_repr(self) -> str:
        """Say what ``print`` shows of the layer."""
        shapes = {name: tuple(shape) for name, shape in self.shapes.items()}
        return f"of {type(self._layer[0]).__name__}, shapes={shapes}"

    def forward(self, x: Tensor) -> Tensor:
        """Compute what the whole layer would."""
        return _GatherAndCompute.apply(x, self, *self.shares)

    def compute(self, x: Tensor, whole: dict[str, Tensor]) -> Tensor:
        """Call the layer with these parameters."""
        return torch.func.functional_call(self._layer[0], whole, (x,))

    def gather(self) -> dict[str, Tensor]:
        """Return the whole parameters, by name."""
        named = zip(self.shapes.items(), self.shares, strict=True)
        return {name: join(share, shape, self.communicator) for (name, shape), share in named}


class _GatherAndCompute(torch.autograd.Function):
    """What PyTorch is told of a sharded layer: the gradient of a share is a share."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sharded: ShardedLayer, *shares: Tensor) -> Tensor:
        ctx.sharded = sharded
        ctx.save_for_backward(x)
        return sharded.compute(x, sharded.gather())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        sharded, (x,) = ctx.sharded, ctx.saved_tensors
        x = x.detach().requires_grad_(ctx.needs_input_grad[0])
        whole = {name: w.requires_grad_() for name, w in sharded.gather().items()}
        with torch.enable_grad():
            y = sharded.compute(x, whole)
        wanted = [*([x] if x.requires_grad else []), *whole.values()]
        found = list(torch.autograd.grad([y], wanted, list(gradients)))
        of_x = found.pop(0) if x.requires_grad else None
        return of_x, None, *(_sum_and_cut(g, sharded.communicator) for g in found)
