"""Train the recall model of the chapter *Attention* with several seeds, and record the results.

The settings, the model and the training loop are the chapter's own cells (tagged ``recall``), so
that what is measured is what is printed there. Run from the repository's root:

    python -m benchmarks.attention_recall [--seeds 5]
"""

import argparse
import contextlib
import io
import json
import platform
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import nbformat
import torch

from companion import device

ROOT = Path(__file__).parents[1]
CHAPTER = ROOT / "chapters" / "attention.ipynb"
RESULT = ROOT / "benchmarks" / "results" / "attention_recall.json"


def chapter_code() -> dict[str, Any]:
    """Run the chapter's cells that define the experiment, and return what they define."""
    names: dict[str, Any] = {}
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.id == "attention-imports" or "recall" in cell.metadata.get("tags", []):
            exec(cell.source, names)
    return names


def measure(n_layers: int, seeds: range, code: dict[str, Any]) -> dict[str, Any]:
    """Train once a seed; return accuracies, last losses and seconds."""
    where = device.pick_device()
    settings = code["Settings"].for_device(where)
    rows = []
    for seed in seeds:
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # the progress bar
            _, losses, accuracy = code["train_recall"](settings, n_layers, seed, where)
        rows.append((accuracy, statistics.mean(losses[-20:]), time.perf_counter() - start))
    accuracies, losses, times = (list(column) for column in zip(*rows, strict=True))
    return {
        "n_layers": n_layers,
        "settings": vars(settings),
        "accuracy": summary(accuracies),
        "loss_of_last_20_steps": summary(losses),
        "seconds": summary(times),
    }


def summary(values: list[float]) -> dict[str, Any]:
    """Return mean and standard deviation beside the values."""
    rounded = [round(value, 4) for value in values]
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 4), "sd": round(spread, 4), "values": rounded}


def main() -> None:
    """Measure one layer and two, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on")
    seeds = range(parser.parse_args().seeds)
    code = chapter_code()
    record = {
        "machine": f"{device.describe_device(device.pick_device())}, {platform.machine()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": date.today().isoformat(),
        "seeds": list(seeds),
        "runs": [measure(n_layers, seeds, code) for n_layers in (1, 2)],
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
