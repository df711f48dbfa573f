"""Train the GPT of *How low can the loss go?* with several seeds, and record how near it comes.

Settings, batches, held-out stories and training loop are the notebook's own cells (tagged
``floor``), so that what is measured is what is printed there; here it is evaluated more often.
Finished runs are kept in ``_build/benchmarks``, so that the script goes on where it was stopped.
Run from the repository's root:

    OMP_NUM_THREADS=2 python -m benchmarks.pretraining_floor [--seeds 5]
"""

from typing import Any

from benchmarks import records
from companion import device

CHAPTER = records.chapter("pretraining/floor")
RESULT = records.RESULTS / "pretraining_floor.json"
EVERY = 100
AFTER = (100, 1000)


def chapter_code() -> dict[str, Any]:
    """Run the cells that define the experiment, and return what they define."""
    return records.chapter_code(CHAPTER, "floor-imports", "floor")


def measure(seed: int, settings: Any, code: dict[str, Any]) -> dict[str, float]:
    """Train with a seed; return the excess after some steps and at the end, and the seconds."""
    gpt, history = code["train"](settings, seed, device.pick_device(), every=EVERY)
    excess = history.column("held_out") - code["lowest"]
    after = {f"above_after_{step}": excess[step - 1] for step in AFTER}
    return {
        "first_loss": history[0]["loss"],
        **after,
        "above_floor": excess[-1],
        "parameters": sum(p.numel() for p in gpt.parameters()),
        "tokens": history[-1]["tokens"],
        "training_seconds": history[-1]["seconds"],
    }


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    settings = code["Settings"].for_device(device.pick_device())

    def run(seed: int) -> dict[str, float]:
        return measure(seed, settings, code)

    rows = records.kept_runs(RESULT.stem, [{"seed": seed} for seed in seeds], run)
    (runs,) = records.by_seed(rows)
    records.write(
        RESULT, seeds, settings=vars(settings), lowest=round(code["lowest"], 4), runs=runs
    )


if __name__ == "__main__":
    main()
