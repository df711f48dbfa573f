"""Compare what helps against overfitting, and three searches, as in the chapter *Optimisation*.

The data, the network and the searches are the chapter's own cells (tagged ``fit``); each seed draws
other pictures. A strength, a step to stop at and a setting are chosen by the loss on validation
pictures; what is reported is the accuracy on test pictures. Run from the repository's root:

    python -m benchmarks.optimisation_fit [--seeds 10]
"""

from typing import Any

import numpy as np

from benchmarks import records

CHAPTER = records.chapter("optimisation")
RESULT = records.RESULTS / "optimisation_fit.json"
STRENGTHS: dict[str, list[dict[str, Any]]] = {
    "nothing": [{}],
    "L2": [{"decay": strength} for strength in (0.3, 1.0, 3.0)],
    "L1": [{"l1": strength} for strength in (0.001, 0.003, 0.01)],
    "dropout": [{"p": p} for p in (0.2, 0.5, 0.8)],
    "augmentation": [{"shift": True}],
}


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "optimisation-imports", "fit", np=np)


def measure(name: str, settings: dict[str, Any], seeds: range, code: dict[str, Any]) -> Any:
    """Fit once a seed; return losses and accuracies at the end, and where stopping was best."""

    def run(seed: int) -> dict[str, float]:
        history = code["fit"](seed, **settings)
        stop = history[:, 2].argmin()
        names = ("training_loss", "training_accuracy", "validation_loss")
        at_the_end = dict(zip(names, history[-1], strict=False))
        accuracies = {"test_accuracy": history[-1, 5], "test_accuracy_stopped": history[stop, 5]}
        return {**at_the_end, **accuracies, "stopped_after": 10.0 * (stop + 1)}

    return {"method": name, "settings": settings, **records.over_seeds(run, seeds)}


def search(name: str, seeds: range, code: dict[str, Any]) -> dict[str, Any]:
    """Search once a seed; return what the setting of the lowest validation loss achieves."""

    def run(seed: int) -> dict[str, float]:
        tries = code["search"](name, seed)
        loss, accuracy, *setting = tries[tries[:, 0].argmin()]
        found = dict(zip(code["BOX"], setting, strict=True))
        return {"tries": len(tries), "validation_loss": loss, "test_accuracy": accuracy, **found}

    return {"search": name, **records.over_seeds(run, seeds)}


def best(runs: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the run of a method whose validation loss is the lowest."""
    ours = [run for run in runs if run["method"] == name]
    return min(ours, key=lambda run: run["validation_loss"]["mean"])


def main() -> None:
    """Measure all methods at all strengths, then the searches, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=10), chapter_code()
    runs = [measure(name, one, seeds, code) for name in STRENGTHS for one in STRENGTHS[name]]
    searches = [search(name, seeds, code) for name in code["SEARCHES"]]
    records.write(RESULT, seeds, runs=runs, searches=searches)


if __name__ == "__main__":
    main()
