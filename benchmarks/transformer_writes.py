"""Train the GPT of the chapter *Transformer* with several seeds, and record how well it writes.

Settings, model, training loop and sampling are the notebook's own cells (tagged ``writes``), so
that what is measured is what is printed there. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.transformer_writes [--seeds 3]
"""

import time
from typing import Any

from benchmarks import records
from companion import device

CHAPTER = records.chapter("transformer/gpt")
RESULT = records.RESULTS / "transformer_writes.json"
STORIES = 200


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "gpt-imports", "writes")


def measure(seed: int, settings: Any, code: dict[str, Any]) -> dict[str, float]:
    """Train with a seed; return how far above the floor it ends, and what the grammar accepts."""
    start = time.process_time()
    gpt, history = code["train"](settings, seed, device.pick_device())
    seconds = time.process_time() - start
    written = code["texts"](code["write"](gpt, STORIES, seed=seed))
    accepted = code["accepted"](written)
    return {"above_the_floor": history[-1, 2], "accepted": accepted, "cpu_seconds": seconds}


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=3), chapter_code()
    settings = code["Settings"].for_device(device.pick_device())
    runs = records.over_seeds(lambda seed: measure(seed, settings, code), seeds)
    records.write(RESULT, seeds, stories=STORIES, settings=vars(settings), runs=runs)


if __name__ == "__main__":
    main()
