"""Say what a chapter runs on, and what it will do there."""

from __future__ import annotations

import os

__all__ = ["hardware"]


def hardware(*, cpu: str = "", gpu: str = "") -> None:
    """Print what the chapter runs on, and the sizes it trains with there.

    Nothing is printed while chapters are run for keeps (where the environment variable
    ``COMPANION_QUIET`` is set), since every machine would say something else.

    Parameters
    ----------
    cpu, gpu : str, optional
        The sizes on a CPU and on an accelerator, in words: ``"batch 128, steps 400"``.
    """
    if os.environ.get("COMPANION_QUIET"):
        return
    from companion import device

    where = device.pick_device()
    print(f"This runs on: {device.describe_device(where)}")
    sizes = cpu if where.type == "cpu" else gpu
    if sizes:
        print(f"It trains with: {sizes}")
