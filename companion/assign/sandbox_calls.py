"""What a call over the wall depends on besides the values of its arguments."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

__all__ = ["random_states", "set_random_states", "followed"]


def random_states() -> dict[str, Any]:
    """Return the states of the three global generators of random numbers."""
    return {
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state(),
        "python": random.getstate(),
    }


def set_random_states(states: dict[str, Any]) -> None:
    """Set them."""
    torch.set_rng_state(states["torch"])
    np.random.set_state(states["numpy"])
    random.setstate(states["python"])


def followed(*values: Any) -> list[torch.Tensor]:
    """Return the tensors through which gradients flow, in containers and modules too, each once."""
    found: dict[int, torch.Tensor] = {}
    for value in values:
        if isinstance(value, torch.Tensor) and value.requires_grad:
            found[id(value)] = value
        elif isinstance(value, torch.nn.Module):
            found |= {id(p): p for p in value.parameters() if p.requires_grad}
        elif isinstance(value, (list, tuple, dict)):
            items = value.values() if isinstance(value, dict) else value
            found |= {id(tensor): tensor for tensor in followed(*items)}
    return list(found.values())
