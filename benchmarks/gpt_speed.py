"""How fast a GPT goes forward and backward, and in how much memory, beside transformers' GPT-2.

Both have the same sizes and the same weights, get the same batch, and take turns in one run, so
that whatever else the machine does disturbs both alike. A turn is the forward pass, PyTorch's own
cross-entropy and the backward pass, in float32 on a CPU. The ratio of a pair is their time by ours;
the median of the ratios is what counts. Memory is the largest number of bytes that tensors hold at
once in such a turn, weights and gradients included. From the repository's root, on an idle machine:

    python -m benchmarks.gpt_speed
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn import functional as F

from benchmarks import records
from companion.models import GPT

RESULT = records.RESULTS / "gpt_speed.json"
MODELS = ("companion", "transformers")
# The first two are trained on a CPU: by the chapter, and by nanoGPT's recipe for Shakespeare. The
# wider a model, the more of its time goes into matrix products, which both leave to PyTorch.
SIZES: dict[str, dict[str, int]] = {
    "chapter": {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 48, "vocab_size": 128},
    "shakespeare": {"n_embd": 128, "n_layer": 4, "n_head": 4, "n_positions": 64, "vocab_size": 65},
    "wide": {"n_embd": 256, "n_layer": 6, "n_head": 8, "n_positions": 128, "vocab_size": 2048},
    "wider": {"n_embd": 512, "n_layer": 6, "n_head": 8, "n_positions": 256, "vocab_size": 8192},
}
BATCH = {"chapter": 16, "shakespeare": 12, "wide": 16, "wider": 4}
PAIRS = {"chapter": 400, "shakespeare": 200, "wide": 40, "wider": 20}


def both(size: str) -> dict[str, nn.Module]:
    """Return the two models, with the same weights, as they are trained."""
    torch.manual_seed(0)
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    ends = {"bos_token_id": None, "eos_token_id": None}
    theirs = transformers.GPT2LMHeadModel(transformers.GPT2Config(**SIZES[size], **off, **ends))
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        ours = GPT.from_hf(folder)
    return {"companion": ours.train(), "transformers": theirs.train()}


def batch(size: str) -> tuple[Tensor, Tensor]:
    """Return ids and targets, (B, T) each."""
    generator = torch.Generator().manual_seed(1)
    shape = (BATCH[size], SIZES[size]["n_positions"] + 1)
    ids = torch.randint(SIZES[size]["vocab_size"], shape, generator=generator)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def turn(model: nn.Module, ids: Tensor, targets: Tensor) -> float:
    """Go forward and backward once, and return the loss."""
    model.zero_grad()
    logits = model(ids)
    logits = logits if isinstance(logits, Tensor) else logits.logits
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return loss.item()


def seconds_of_a_turn(model: nn.Module, ids: Tensor, targets: Tensor) -> float:
    """Return the seconds that one turn takes."""
    start = time.perf_counter()
    turn(model, ids, targets)
    return time.perf_counter() - start


def megabytes(model: nn.Module, ids: Tensor, targets: Tensor) -> float:
    """Return the most that tensors hold at once in a turn, in MB of a million bytes."""
    model.zero_grad()
    tracker = MemTracker()
    tracker.track_external(model)
    with tracker:
        turn(model, ids, targets)
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"] / 1e6


def compared(size: str) -> dict[str, Any]:
    """Let both models take turns, and return their times, ratios and memory."""
    models, (ids, targets) = both(size), batch(size)
    losses = [turn(models[name], ids, targets) for name in MODELS]
    assert abs(losses[0] - losses[1]) < 1e-4, losses
    times: dict[str, list[float]] = {name: [] for name in MODELS}
    for pair in range(-3, PAIRS[size]):  # the first three warm up
        for name in MODELS if pair % 2 else MODELS[::-1]:  # who comes first takes turns, too
            seconds = seconds_of_a_turn(models[name], ids, targets)
            if pair >= 0:
                times[name].append(seconds)
    ratios = [theirs / ours for ours, theirs in zip(*times.values(), strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "size": size,
        **{f"{name}_ms": round(1000 * statistics.median(times[name]), 2) for name in MODELS},
        "times_as_fast": round(middle, 3),
        "middle_half": [round(low, 3), round(high, 3)],
        **{f"{name}_megabytes": round(megabytes(models[name], ids, targets), 1) for name in MODELS},
    }


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    runs = []
    for size in SIZES:
        runs.append(compared(size))
        print(json.dumps(runs[-1]), flush=True)
    beside = {"transformers": transformers.__version__}
    sizes = {"sizes": SIZES, "batch": BATCH, "pairs": PAIRS}
    records.write(chosen.out, range(1), **sizes, beside=beside, runs=runs)


if __name__ == "__main__":
    main()
