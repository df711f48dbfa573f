"""Train five kinds of positions at one length, read four times that length, and record the loss.

Models, data and training loop are the cells of *Why it is built so* (tagged ``measured``).
Finished runs are kept, as in `transformer_norms`. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.transformer_positions [--seeds 3]
"""

import contextlib
import io
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks import records
from benchmarks.transformer_norms import chapter_code

RESULT = records.RESULTS / "transformer_positions.json"
KINDS = ("none", "learned", "sinusoidal", "rotary", "ALiBi")
LENGTH, TIMES, BIN = 64, 4, 16
SIZES = {"d_model": 48, "depth": 2}
SETTINGS = {"length": LENGTH, "times": TIMES, "bin": BIN, **SIZES, "batch": 16, "steps": 600}
RATE = 0.003
TEST_TEXTS = 100


def trainer(code: dict[str, Any]) -> Any:
    """Return what trains one kind, and gives its loss above the floor by position."""
    ids, targets = code["long_texts"](9, TEST_TEXTS, TIMES * LENGTH)
    least = torch.tensor([code["least_loss"](text) for text in targets.tolist()])  # (B, T)

    def run(kind: str, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        model = code["with_positions"](kind, LENGTH, **SIZES)
        draw = partial(next, texts(code, seed))
        with contextlib.redirect_stdout(io.StringIO()):
            code["fit"](model, draw, SETTINGS["steps"], RATE)
        readable = LENGTH if kind == "learned" else TIMES * LENGTH
        above = losses(model, ids[:, :readable], targets[:, :readable]) - least[:, :readable]
        bins = above.mean(dim=0).split(BIN)
        return {f"{i * BIN}": part.mean().item() for i, part in enumerate(bins)}

    return run


def texts(code: dict[str, Any], seed: int) -> Any:
    """Draw batches of texts without end, each anew."""
    step = 0
    while True:
        yield code["long_texts"](10_000 * (seed + 1) + step, SETTINGS["batch"], LENGTH)
        step += 1


@torch.no_grad()
def losses(model: torch.nn.Module, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the loss at every token, (B, T)."""
    return F.cross_entropy(model(ids).mT, targets, reduction="none")


def main() -> None:
    """Make all trainings, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=3), chapter_code()
    torch.set_num_threads(1)
    cases = ({"kind": kind, "seed": seed} for seed in seeds for kind in KINDS)
    groups = records.by_seed(records.kept_runs(RESULT.stem, cases, trainer(code)))
    settings = {**SETTINGS, "rate": RATE, "test_texts": TEST_TEXTS}
    records.write(RESULT, seeds, settings=settings, runs=groups)


if __name__ == "__main__":
    main()
