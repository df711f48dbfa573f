"""Count stories as the chapter *Data and tokens* does, with several seeds; say how near it gets.

The corpus, its tokenizer and the counting are the chapter's own cells (tagged ``floor``), so that
what is measured is what is printed there. Run from the repository's root:

    python -m benchmarks.data_floor [--seeds 5]
"""

import math
from typing import Any

from benchmarks import records
from companion import device
from companion.tinyworld import TinyWorld

CHAPTER = records.chapter("data-and-tokens")
RESULT = records.RESULTS / "data_floor.json"


def chapter_code() -> dict[str, Any]:
    """Run the chapter's cells that define the experiment, and return what they define."""
    return records.chapter_code(CHAPTER, "data-imports", "floor", math=math, TinyWorld=TinyWorld)


def main() -> None:
    """Measure, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    where = device.pick_device()
    settings = code["Settings"].for_device(where)

    def run(seed: int) -> dict[str, float]:
        _, nats, floor = code["count_down"](settings, seed, where)
        return {
            "window_above_floor": nats[-1, -2] - floor,
            "hero_above_floor": nats[-1, -1] - floor,
        }

    measured = records.over_seeds(run, seeds)
    records.write(RESULT, seeds, settings=vars(settings), runs=[measured])


if __name__ == "__main__":
    main()
