r"""Models whose weights are about to be overwritten, built without drawing them.

This file adds: ``undrawn``, inside which a model takes no memory and uses up no random numbers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["undrawn"]


class _Undrawn(TorchFunctionMode):
    """Draw nothing: without memory, ``randn`` would first import an algebra system."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Reserve room where numbers would be drawn, and do all else as ever."""
        if function in DRAWN_IN_PLACE:
            return args[0]
        return (torch.empty if function is torch.randn else function)(*args, **(kwargs or {}))


DRAWN_IN_PLACE = (torch.Tensor.normal_, torch.Tensor.uniform_)


@contextmanager
def undrawn() -> Iterator[None]:
    """Build models on the device "meta", with shapes and without numbers.

    Yields
    ------
    None
        Within the block, no memory is reserved and no random number is used up.

    Examples
    --------
    >>> with undrawn():
    ...     layer = torch.nn.Linear(1_000_000, 1_000_000)  # would take 4 TB
    >>> layer.weight.shape
    torch.Size([1000000, 1000000])
    """
    with torch.device("meta"), _Undrawn():
        yield
