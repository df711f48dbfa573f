r"""ZeRO: data parallelism in which no process keeps what another one keeps.

With plain data parallelism each process has the same parameters, gradients and optimiser state.
ZeRO (Rajbhandari et al. 2020, section 5) cuts them into :math:`n` shares: in stage 1 the
optimiser's state, in stage 2 the gradients, too, in stage 3 the parameters as well. This file
adds ``ZeRO``, the step of all three stages. Adam treats each number alone, so a share of its step
is the step of a share.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from companion._arguments import _require_int
from companion.optim import AdamW
from companion.training.parallel.communicator import Communicator
from companion.training.parallel.sharded import ShardedLayer, _sum_and_cut, cut, join

__all__ = ["ZeRO"]


class ZeRO:
    r"""AdamW, of which each process takes only its share of the step.

    The optimiser works on a copy of the share in at least 32 bits, as is usual in mixed
    precision. Of a model in 16 bits a process then keeps, for :math:`\Psi` parameters,
    :math:`2\Psi + 2\Psi + 12\Psi/n` bytes in stage 1, :math:`2\Psi + 14\Psi/n` in stage 2 and
    :math:`16\Psi/n` in stage 3.

    Parameters
    ----------
    model : nn.Module
        The same in every process. In stage 3 it is made of `ShardedLayer`.
    communicator : Communicator
    stage : {1, 2, 3}
    optimizer : class
        Made of the shares; one that treats each number alone.
    **settings
        Of the optimiser, such as ``lr``.

    Raises
    ------
    ValueError
        If ``stage`` is another number, or parameters are whole in stage 3 or cut before it.

    Examples
    --------
    >>> model = nn.Linear(2, 1, bias=False)
    >>> zero = ZeRO(model, Communicator([0], 0), stage=2, lr=0.1)
    >>> model(torch.ones(2)).backward()  # the gradient is 1, and Adam's first step lr
    >>> before = model.weight.detach().clone()
    >>> zero.step()
    >>> bool((model.weight < before).all())
    True
    """

    def __init__(
        self,
        model: nn.Module,
        communicator: Communicator,
        stage: int,
        optimizer: Callable[..., torch.optim.Optimizer] = AdamW,
        **settings: Any,
    ) -> None:
        self.stage = _require_int("stage", stage, least=1, most=3)
        _require_sharded(model, stage)
        self.communicator = communicator
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.gradients: list[Tensor | None] = [None] * len(self.parameters)
        self.masters = [nn.Parameter(_wide(self._own(p))) for p in self.parameters]
        self.optimizer = optimizer(self.masters, **settings)
        if stage == 2:  # a gradient is cut as soon as it is known, while backward goes on
            for i, p in enumerate(self.parameters):
                p.register_post_accumulate_grad_hook(partial(self._cut_gradient, i))

    def _own(self, parameter: Tensor) -> Tensor:
        return parameter.detach() if self.stage == 3 else cut(parameter, self.communicator)

    def _cut_gradient(self, i: int, parameter: Tensor) -> None:
        """Keep this process's share of the sum of a gradient, and let go of the rest."""
        if parameter.grad is not None:
            share = _sum_and_cut(parameter.grad, self.communicator)
            held = self.gradients[i]
            self.gradients[i] = share if held is None else held + share
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Update the parameters by the sum of all processes' gradients, and clear those."""
        for i, p in enumerate(self.parameters):
            if self.stage == 3:
                self.gradients[i], p.grad = p.grad, None
            else:
                self._cut_gradient(i, p)
        for master, gradient in zip(self.masters, self.gradients, strict=True):
            master.grad = None if gradient is None else gradient.to(master.dtype)
        self.optimizer.step()
        for p, master in zip(self.parameters, self.masters, strict=True):
            share, master.grad = master.to(p.dtype), None
            p.copy_(share if self.stage == 3 else join(share, p.shape, self.communicator))
        self.gradients = [None] * len(self.parameters)

    def held_bytes(self) -> dict[str, int]:
        """Count the bytes of parameters, gradients and optimiser state that this process keeps."""
        states = [v for state in self.optimizer.state.values() for v in state.values()]
        optimizer = [*self.masters, *(v for v in states if isinstance(v, Tensor))]
        gradients = [*self.gradients, *(p.grad for p in self.parameters)]
        return {
            "parameters": sum(p.nbytes for p in self.parameters),
            "gradients": sum(g.nbytes for g in gradients if g is not None),
            "optimizer": sum(t.nbytes for t in optimizer),
        }


def _wide(share: Tensor) -> Tensor:
    """Return a copy in at least 32 bits, where small steps are not lost."""
    return share.to(torch.promote_types(share.dtype, torch.float32), copy=True)


def _require_sharded(model: nn.Module, stage: int) -> None:
    """Refuse a model that is not cut in stage 3, or is before it."""
    layers = [layer for layer in model.modules() if isinstance(layer, ShardedLayer)]
    cut_ones = {id(p) for layer in layers for p in layer.parameters()}
    whole = [name for name, p in model.named_parameters() if id(p) not in cut_ones]
    if stage == 3 and whole:
        raise ValueError(f"model must be made of ShardedLayer in stage 3, got {whole[0]} whole")
    if stage < 3 and layers:
        raise ValueError(f"model must be whole in stage {stage}, got a ShardedLayer")
