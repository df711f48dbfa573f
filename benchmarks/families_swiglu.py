"""Train small Llamas that differ in their feed-forward layers alone, and record how well they end.

Settings, models, data and training loop are the cells of *Model families*, first part (tagged
``swiglu``). Each kind of layer is trained with several learning rates of Muon and several seeds.
Finished runs are kept, so that the script may be stopped and called again. Run from the
repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.families_swiglu [--seeds 5]
"""

import contextlib
import dataclasses
import io
from typing import Any

import torch

from benchmarks import records
from companion import models

CHAPTER = records.chapter("model-families/recipes")
RESULT = records.RESULTS / "families_swiglu.json"
RATES = (0.005, 0.01, 0.02, 0.04)


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "recipes-imports", "swiglu")


def trainer(code: dict[str, Any]) -> Any:
    """Return what trains one kind, and says how far above the floor it ends."""

    def run(kind: str, rate: float, seed: int) -> dict[str, float]:
        settings = dataclasses.replace(code["Settings"](), muon_rate=rate)
        with contextlib.redirect_stdout(io.StringIO()):
            llama, history = code["train"](kind, settings, seed, torch.device("cpu"))
        parameters = models.count_parameters(llama)
        return {"above_floor": history[-1, 1], "parameters": parameters}

    return run


def best(runs: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the runs of one kind at its best learning rate."""
    own = [run for run in runs if run["kind"] == kind]
    return min(own, key=lambda run: run["above_floor"]["mean"])


def main() -> None:
    """Make all trainings, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    torch.set_num_threads(1)
    cases = (
        {"kind": kind, "rate": rate, "seed": seed}
        for seed in seeds
        for rate in RATES
        for kind in code["FEED_FORWARD"]
    )
    groups = records.by_seed(records.kept_runs(RESULT.stem, cases, trainer(code)))
    settings = {**vars(code["Settings"]()), "rates": list(RATES)}
    records.write(RESULT, seeds, settings=settings, runs=groups)


if __name__ == "__main__":
    main()
