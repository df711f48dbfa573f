"""Train the network of the chapter *Optimisation* with four optimisers, at four rates each.

The network, the settings and the training loop are the chapter's own cells (tagged ``digits``).
A rate is chosen by the accuracy on validation pictures, in the mean over the seeds; what is
reported is the accuracy on test pictures. Run from the repository's root:

    python -m benchmarks.optimisation_digits [--seeds 5]
"""

from typing import Any

import numpy as np

from benchmarks import records
from companion import device

CHAPTER = records.chapter("optimisation")
RESULT = records.RESULTS / "optimisation_digits.json"
RATES = {
    "SGD": (0.1, 0.2, 0.5, 1.0),
    "momentum": (0.05, 0.1, 0.2, 0.5),
    "AdamW": (0.005, 0.01, 0.02, 0.05),
    "Muon": (0.01, 0.02, 0.05, 0.1),
}


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "optimisation-imports", "digits", np=np)


def measure(name: str, rate: float, seeds: range, code: dict[str, Any]) -> dict[str, Any]:
    """Train once a seed; return the loss of the last epoch, accuracies, and seconds."""
    where = device.pick_device()
    settings = code["Settings"].for_device(where)
    last = 1200 // settings.batch

    def run(seed: int) -> dict[str, float]:
        history, validation, test = code["train_digits"](name, settings, seed, where, rate)
        return {
            "training_loss": float(history[-last:].mean()),
            "validation_accuracy": float(validation),
            "test_accuracy": float(test),
        }

    measured = records.over_seeds(run, seeds)
    return {"optimizer": name, "rate": rate, "settings": vars(settings), **measured}


def best(runs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the run of an optimiser whose validation accuracy is the highest."""
    ours = [run for run in runs if run["optimizer"] == name]
    return max(ours, key=lambda run: run["validation_accuracy"]["mean"])


def main() -> None:
    """Measure every optimiser at each of its rates, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    runs = [measure(name, rate, seeds, code) for name in RATES for rate in RATES[name]]
    records.write(RESULT, seeds, runs=runs)


if __name__ == "__main__":
    main()
