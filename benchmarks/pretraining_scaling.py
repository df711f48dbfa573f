"""Train GPTs of several sizes on more and more of Tiny World, and record how near each gets.

Model, batches and training loop are the chapter's own cells (tagged ``floor``). Each training has
a schedule of its own, which ends at the last step, and one thread. Finished runs are kept in
``_build/benchmarks``, so that the script goes on where it was stopped. The chapter's own run, which
the law is to predict, comes from the record of ``pretraining_floor``. Run from the repository's
root:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_scaling [--seeds 3]
"""

import json
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import pretraining_floor, records

CHAPTER = records.chapter("pretraining/floor")
RESULT = records.RESULTS / "pretraining_scaling.json"
# d_model and n_layers, each with heads of 16 features, and the steps that each is trained for.
GRID = {
    (16, 2): (125, 250, 500, 1000, 2000),
    (32, 2): (125, 250, 500, 1000, 2000),
    (64, 2): (125, 250, 500, 1000, 2000),
    (96, 3): (250, 500, 1000),
    (128, 3): (250, 500),
}


def chapter_code() -> dict[str, Any]:
    """Run the cells that define the experiment, and return what they define."""
    return records.chapter_code(CHAPTER, "floor-imports", "floor")


def cases(seeds: range) -> Iterator[dict[str, int]]:
    """Go through all trainings, the cheapest first."""
    sizes = [(*size, steps) for size in GRID for steps in GRID[size]]
    for d_model, n_layers, steps in sorted(sizes, key=lambda s: s[0] ** 2 * s[1] * s[2]):
        for seed in seeds:
            yield {"d_model": d_model, "n_layers": n_layers, "steps": steps, "seed": seed}


def trainer(code: dict[str, Any]) -> Any:
    """Return what makes one training and says how far above the floor it ends."""

    def run(d_model: int, n_layers: int, steps: int, seed: int) -> dict[str, float]:
        settings = code["Settings"](d_model, n_layers, d_model // 16, steps=steps)
        gpt, history = code["train"](settings, seed, torch.device("cpu"))
        return {
            "parameters": sum(p.numel() for p in gpt.parameters()),
            "tokens": history[-1]["tokens"],
            "above_floor": history[-1]["held_out"] - code["lowest"],
        }

    return run


def chapter_run() -> dict[str, Any]:
    """Return the run of the chapter, which the law is to predict: it is recorded already."""
    record = json.loads(pretraining_floor.RESULT.read_text(encoding="utf-8"))
    settings, runs = record["settings"], record["runs"]
    known = {name: settings[name] for name in ("d_model", "n_layers", "steps")}
    return known | {name: runs[name] for name in ("parameters", "tokens", "above_floor")}


def main() -> None:
    """Make all trainings, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=3), chapter_code()
    torch.set_num_threads(1)
    runs = records.kept_runs(RESULT.stem, cases(seeds), trainer(code))
    groups = records.by_seed(runs)
    settings = vars(code["Settings"]())
    records.write(RESULT, seeds, settings=settings, runs=groups, predicted=chapter_run())


if __name__ == "__main__":
    main()
