r"""Collective operations, written out from "send to one process" and "receive from one".

This file adds: ``Communicator``, through which one process talks to the others. Only `send` and
`recv` are PyTorch's (its backend gloo, over sockets); everything else is a loop around them, in
which the processes stand in a ring and each passes something on to the next (Patarasuk and Yuan
2009). That every byte goes through `send` is also why they can be counted.

Letters: ``n`` processes, ``N`` numbers in a tensor.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from companion._arguments import _require_int
from companion._tensors import _require_tensors

__all__ = ["Communicator"]


class Communicator:
    r"""What one process of a group has in order to talk to the others.

    `companion.training.parallel.run` makes one for each process that it starts. Every process of
    the group must call the same collective operations in the same order.

    Parameters
    ----------
    ranks : sequence of int
        The processes of the group, by their number among all processes that were started.
    rank : int
        Place of this process among them, from 0.

    Attributes
    ----------
    rank, size : int
        Place of this process, and number of processes :math:`n`.
    sent : int
        Bytes that this process has sent.

    Raises
    ------
    ValueError
        If ``rank`` is no place in ``ranks``, or a process comes twice.

    Examples
    --------
    >>> alone = Communicator([0], 0)
    >>> alone.all_reduce(torch.tensor([1.0, 2.0])), alone.sent
    (tensor([1., 2.]), 0)
    """

    def __init__(self, ranks: Sequence[int], rank: int) -> None:
        self._ranks = [_require_int("each of ranks", r, least=0) for r in ranks]
        if len(set(self._ranks)) < len(self._ranks):
            raise ValueError(f"ranks must differ, got {self._ranks}")
        self.rank = _require_int("rank", rank, least=0, most=len(self._ranks) - 1)
        self.size, self.sent = len(self._ranks), 0
        self._pending: list[tuple[Any, Tensor]] = []

    def __repr__(self) -> str:
        return f"Communicator(rank={self.rank}, size={self.size})"

    def group(self, ranks: Sequence[int]) -> "Communicator":
        """Return a communicator for some of the processes, of which this one must be one.

        With eight processes, ``group([0, 1])`` and its like could cut each layer in two, and
        ``group([0, 2, 4, 6])`` and its like share the batch among the pairs.
        """
        if self.rank not in ranks:
            raise ValueError(f"ranks must hold this process, {self.rank}, got {list(ranks)}")
        for rank in ranks:
            _require_int("each of ranks", rank, least=0, most=self.size - 1)
        return Communicator([self._ranks[r] for r in ranks], list(ranks).index(self.rank))

    # -- from one process to one other ---------------------------------------------------------

    def send(self, tensor: Tensor, to: int) -> None:
        """Send a copy of a tensor on its way, and do not wait until it is received."""
        self._pending.append(self._post(tensor, to))

    def recv(self, like: Tensor, source: int) -> Tensor:
        """Wait for the next tensor from a process, which has the shape and type of ``like``."""
        buffer = torch.empty_like(like, memory_format=torch.contiguous_format)
        with _loss_of(self._require_other("source", source)):
            dist.recv(buffer, self._ranks[source])
        return buffer

    def wait(self) -> None:
        """Wait until everything that was sent has been received."""
        for work, _ in self._pending:
            with _loss_of("a process"):
                work.wait()
        self._pending = []

    # -- among all ---------------------------------------------------------------------------------

    def reduce_scatter(self, tensor: Tensor) -> Tensor:
        r"""Add up the tensors of all processes; each gets one :math:`n`-th of the sum.

        The first dimension is cut into :math:`n` chunks. A chunk starts at the process after the
        one that is to have it, goes once round the ring, and at each stop that process's own
        chunk is added. Each process sends :math:`(n-1)/n` of the tensor.
        """
        chunks = self._cut(tensor)
        total = chunks[self.rank - 1].clone()  # chunk -1 is the last
        for step in range(1, self.size):
            total = self._pass_on(total) + chunks[(self.rank - step - 1) % self.size]
        return total

    def all_gather(self, chunk: Tensor) -> Tensor:
        r"""Join the chunks of all processes along the first dimension, for every process.

        The chunks go round the ring until everyone has seen each. Each process sends
        :math:`(n-1)/n` of the whole.
        """
        _require_tensors(chunk=chunk)
        chunks = {self.rank: chunk.detach()}
        for step in range(1, self.size):
            chunk = self._pass_on(chunk)
            chunks[(self.rank - step) % self.size] = chunk
        return torch.cat([chunks[rank] for rank in range(self.size)])

    def all_reduce(self, tensor: Tensor) -> Tensor:
        r"""Add up the tensors of all processes; each gets the whole sum.

        A reduce-scatter and then an all-gather, so each process sends :math:`2(n-1)/n` of the
        tensor: less than two tensors, however many processes there are. All of them get the same
        sum to the last bit, since each chunk was added up once.
        """
        _require_tensors(tensor=tensor)
        flat = _padded(tensor.detach().flatten(), self.size)
        whole = self.all_gather(self.reduce_scatter(flat))
        return whole[: tensor.numel()].view(tensor.shape)

    def broadcast(self, tensor: Tensor, source: int = 0) -> Tensor:
        """Give every process the tensor of one; each passes it on to the next."""
        _require_int("source", source, least=0, most=self.size - 1)
        _require_tensors(tensor=tensor)
        tensor, following = tensor.detach(), (self.rank + 1) % self.size
        if self.rank != source:
            tensor = self.recv(tensor, (self.rank - 1) % self.size)
        if following != source:
            self.send(tensor, following)
        return tensor.clone()

    # -- inside ------------------------------------------------------------------------------------

    def _pass_on(self, tensor: Tensor) -> Tensor:
        """Send a tensor to the next process, and return the one that came from the last."""
        buffer = torch.empty_like(tensor, memory_format=torch.contiguous_format)
        with _loss_of("a process"):
            # Asked for before the other is sent: gloo answers several times sooner.
            coming: Any = dist.irecv(buffer, self._ranks[self.rank - 1])
            sending, _kept = self._post(tensor, (self.rank + 1) % self.size)
            coming.wait()
            sending.wait()
        return buffer

    def _post(self, tensor: Tensor, to: int) -> tuple[Any, Tensor]:
        """Begin to send a copy, which must be kept until it has arrived."""
        _require_tensors(tensor=tensor)
        name = self._require_other("to", to)
        copied = tensor.detach().clone(memory_format=torch.contiguous_format)
        with _loss_of(name):
            work = dist.isend(copied, self._ranks[to])
        self.sent += copied.nbytes
        return work, copied

    def _cut(self, tensor: Tensor) -> list[Tensor]:
        _require_tensors(tensor=tensor)
        if tensor.ndim == 0 or len(tensor) % self.size:
            raise ValueError(
                f"the first dimension of tensor must be divisible by {self.size} processes, "
                f"got shape {tuple(tensor.shape)}"
            )
        return list(tensor.detach().chunk(self.size)) if len(tensor) else [tensor] * self.size

    def _require_other(self, name: str, rank: int) -> str:
        """Refuse what is no other process of the group."""
        _require_int(name, rank, least=0, most=self.size - 1)
        if rank == self.rank:
            raise ValueError(f"{name} must be another process, got this one, {rank}")
        return f"process {rank}"


def _padded(flat: Tensor, size: int) -> Tensor:
    """Put zeros behind a vector until its length is a multiple of ``size``."""
    return F.pad(flat, (0, -len(flat) % size))


@contextmanager
def _loss_of(process: str) -> Iterator[None]:
    """Say that a process is lost where gloo speaks of sockets."""
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError(f"{process} has ended or does not answer ({error})") from error
