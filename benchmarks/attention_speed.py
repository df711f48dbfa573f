"""What the fused kernel of attention saves, in time and in memory, as texts get longer.

*Fused* is `companion.attention.scaled_dot_product_attention` as the models call it; *plain* is the
same function when weights are asked for, which stores the scores of all pairs. Both go forward and
backward with a causal mask, in float32 on one CPU core, and take turns (``benchmarks.pairs``).
Seconds are of the processor. From the repository's root:

    python -m benchmarks.attention_speed
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks import pairs, records
from companion.attention import scaled_dot_product_attention

RESULT = records.RESULTS / "attention_speed.json"
HEADS, WIDTH = 8, 64
PAIRS = {64: 300, 256: 100, 1024: 20, 4096: 4}  # by the number of tokens


def inputs(length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return q, k and v, (1, heads, length, width) each."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, HEADS, length, WIDTH)
    q, k, v = (torch.randn(shape, generator=generator, requires_grad=True) for _ in range(3))
    return q, k, v


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend without weights, as a model does."""
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend and store the weights."""
    return scaled_dot_product_attention(q, k, v, is_causal=True, return_weights=True)[0]


def turn(attend: Callable[..., Tensor], x: tuple[Tensor, ...]) -> Tensor:
    """Go forward and backward once, and return the output."""
    for part in x:
        part.grad = None
    out = attend(*x)
    out.sum().backward()
    return out.detach()


def measured(length: int) -> dict[str, Any]:
    """Let both take turns, and return their times, ratio and memory."""
    x, both = inputs(length), {"fused": fused, "plain": plain}
    difference = (turn(fused, x) - turn(plain, x)).abs().max().item()
    assert difference < 1e-5, difference
    turns = {name: lambda a=attend: turn(a, x) for name, attend in both.items()}
    result = pairs.compared(pairs.alternating(turns, PAIRS[length], clock=time.process_time))
    memory = {
        name: pairs.megabytes(lambda a=attend: turn(a, inputs(length)))
        for name, attend in both.items()
    }
    return {"size": length, **result, "megabytes": memory}


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    for length in PAIRS:
        runs.append(measured(length))
        print(json.dumps(runs[-1]), flush=True)
    records.write(chosen.out, range(1), heads=HEADS, width=WIDTH, pairs=PAIRS, runs=runs)


if __name__ == "__main__":
    main()
