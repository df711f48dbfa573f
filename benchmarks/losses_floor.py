"""Train the table of the chapter *Losses* with several seeds, and record how near it gets.

The language, the settings and the training loop are the chapter's own cells (tagged ``floor``),
so that what is measured is what is printed there. Run from the repository's root:

    python -m benchmarks.losses_floor [--seeds 5]
"""

import argparse
import contextlib
import io
import json
import platform
import time
from datetime import date
from typing import Any

import nbformat
import numpy as np
import torch

from benchmarks.attention_recall import ROOT, summary
from companion import device

CHAPTER = ROOT / "chapters" / "losses.ipynb"
RESULT = ROOT / "benchmarks" / "results" / "losses_floor.json"


def chapter_code() -> dict[str, Any]:
    """Run the chapter's cells that define the experiment, and return what they define."""
    names: dict[str, Any] = {"np": np}
    for cell in nbformat.read(CHAPTER, as_version=4).cells:
        if cell.id == "losses-imports" or "floor" in cell.metadata.get("tags", []):
            with contextlib.redirect_stdout(io.StringIO()):
                exec(cell.source, names)
    return names


def measure(new_text: bool, seeds: range, code: dict[str, Any]) -> dict[str, Any]:
    """Train once a seed; return how far above the floor the losses end, and seconds."""
    where = device.pick_device()
    settings = code["Settings"].for_device(where)
    rows = []
    for seed in seeds:
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # the progress bar
            _, history = code["train_table"](settings, new_text, seed, where)
        training, expected = (float(losses[-1]) - code["floor"] for losses in history)
        rows.append((training, expected, time.perf_counter() - start))
    training, expected, seconds = (list(column) for column in zip(*rows, strict=True))
    return {
        "new_text": new_text,
        "settings": vars(settings),
        "training_loss_above_floor": summary(training),
        "expected_loss_above_floor": summary(expected),
        "seconds": summary(seconds),
    }


def main() -> None:
    """Measure with new text and with the same, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on")
    seeds = range(parser.parse_args().seeds)
    code = chapter_code()
    record = {
        "machine": f"{device.describe_device(device.pick_device())}, {platform.machine()}",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "date": date.today().isoformat(),
        "seeds": list(seeds),
        "floor": round(float(code["floor"]), 4),
        "runs": [measure(new_text, seeds, code) for new_text in (True, False)],
    }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
