"""Train the table of the chapter *Losses* with several seeds, and record how near it gets.

The language, the settings and the training loop are the chapter's own cells (tagged ``floor``),
so that what is measured is what is printed there. Run from the repository's root:

    python -m benchmarks.losses_floor [--seeds 5]
"""

from typing import Any

import numpy as np

from benchmarks import records
from companion import device

CHAPTER = records.chapter("losses")
RESULT = records.RESULTS / "losses_floor.json"


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "losses-imports", "floor", np=np)


def measure(new_text: bool, seeds: range, code: dict[str, Any]) -> dict[str, Any]:
    """Train once a seed; return how far above the floor the losses end, and seconds."""
    where = device.pick_device()
    settings = code["Settings"].for_device(where)

    def run(seed: int) -> dict[str, float]:
        _, history = code["train_table"](settings, new_text, seed, where)
        training, expected = (float(losses[-1]) - code["floor"] for losses in history)
        return {"training_loss_above_floor": training, "expected_loss_above_floor": expected}

    measured = records.over_seeds(run, seeds)
    return {"new_text": new_text, "settings": vars(settings), **measured}


def main() -> None:
    """Measure with new text and with the same, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    runs = [measure(new_text, seeds, code) for new_text in (True, False)]
    records.write(RESULT, seeds, floor=round(float(code["floor"]), 4), runs=runs)


if __name__ == "__main__":
    main()
