"""What several kinds of parallelism ask of a module."""

from torch import nn

from companion.attention import MultiHeadAttention
from companion.layers import Dropout


def _require_no_dropout(module: nn.Module, name: str) -> None:
    """Refuse dropout, of which the processes, or two passes, would draw different masks."""
    for part in module.modules():
        kinds, rate = isinstance(part, (Dropout, nn.Dropout)), getattr(part, "dropout", 0.0)
        p = part.p if kinds else rate if isinstance(part, MultiHeadAttention) else 0.0
        if p:
            raise ValueError(f"{name} must have no dropout, got a rate of {p}")
