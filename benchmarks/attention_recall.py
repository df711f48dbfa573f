"""Train the recall model of the chapter *Attention* with several seeds, and record the results.

The settings, the model and the training loop are the chapter's own cells (tagged ``recall``), so
that what is measured is what is printed there. Run from the repository's root:

    python -m benchmarks.attention_recall [--seeds 5]
"""

import statistics
from typing import Any

from benchmarks import records
from companion import device

CHAPTER = records.chapter("attention")
RESULT = records.RESULTS / "attention_recall.json"


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "attention-imports", "recall")


def measure(n_layers: int, seeds: range, code: dict[str, Any]) -> dict[str, Any]:
    """Train once a seed; return accuracies, last losses and seconds."""
    where = device.pick_device()
    settings = code["Settings"].for_device(where)

    def run(seed: int) -> dict[str, float]:
        _, losses, accuracy = code["train_recall"](settings, n_layers, seed, where)
        return {"accuracy": accuracy, "loss_of_last_20_steps": statistics.mean(losses[-20:])}

    measured = records.over_seeds(run, seeds)
    return {"n_layers": n_layers, "settings": vars(settings), **measured}


def main() -> None:
    """Measure one layer and two, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    runs = [measure(n_layers, seeds, code) for n_layers in (1, 2)]
    records.write(RESULT, seeds, runs=runs)


if __name__ == "__main__":
    main()
