"""Train the GPT of *Real text, and a race* with several seeds, and record its losses.

Settings, text, split and training are the notebook's own cells (tagged ``race``), so that what is
measured is what is printed there. Run from the repository's root, with the data at hand:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_text_runs [--seeds 5]
"""

from typing import Any

from benchmarks import records
from companion import device, training

CHAPTER = records.chapter("pretraining/text")
RESULT = records.RESULTS / "pretraining_text_runs.json"


def chapter_code() -> dict[str, Any]:
    """Run the cells that define the experiment, and return what they define."""
    return records.chapter_code(CHAPTER, "text-imports", "race")


def measure(seed: int, settings: Any, code: dict[str, Any]) -> dict[str, float]:
    """Train with a seed; return the losses at the start, after 50 steps and at the end."""
    gpt, history = code["train"](settings, seed, device.pick_device())
    losses = history.column("loss")
    return {
        "first_loss": losses[0],
        "after_50": losses[:60][-20:].mean(),
        "loss": training.evaluate(gpt, code["held_out"])["loss"],
        "training": losses[-50:].mean(),
        "parameters": sum(p.numel() for p in gpt.parameters()),
    }


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    settings = code["Settings"].for_device(device.pick_device())

    def run(seed: int) -> dict[str, float]:
        return measure(seed, settings, code)

    rows = records.kept_runs(RESULT.stem, [{"seed": seed} for seed in seeds], run)
    (runs,) = records.by_seed(rows)
    records.write(RESULT, seeds, settings=vars(settings), characters=len(code["text"]), runs=runs)


if __name__ == "__main__":
    main()
