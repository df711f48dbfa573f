"""Train the GPT of *How low can the loss go?* with several seeds, and record what it gets wrong.

Settings, training loop, kinds of words and the two parts of the KL divergence are the notebook's
own cells (tagged ``floor``), so that what is measured is what is printed there. Finished runs are
kept in ``_build/benchmarks``, so that the script goes on where it was stopped. Run from the
repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_kinds [--seeds 5]
"""

from typing import Any

import numpy as np

from benchmarks import records
from benchmarks.pretraining_floor import chapter_code
from companion import device

RESULT = records.RESULTS / "pretraining_kinds.json"
STORIES = 400
DEPENDS = ("verb", "feeling", "after a stop")
DRAWN = ("animal", "food", "colour")


def measure(seed: int, settings: Any, code: dict[str, Any]) -> dict[str, float]:
    """Train with a seed; return what a token of each kind costs, and the kind's share of all."""
    gpt, _ = code["train"](settings, seed, device.pick_device())
    parts = code["parts_by_kind"](gpt, code["held_out_stories"][:STORIES])
    total = sum(found[:, 1].sum() for found in parts.values())
    measured = {
        "impossible": sum(found[:, 2].sum() for found in parts.values()) / total,
        "growth_depends": growth(parts, DEPENDS),
        "growth_drawn": growth(parts, DRAWN),
    }
    for kind, found in parts.items():
        measured[f"{kind}: share"] = found[:, 1].sum() / total
        measured[f"{kind}: nats"] = found[:, 1].mean()
        measured[f"{kind}: impossible"] = found[:, 2].mean()
    return {name: float(value) for name, value in measured.items()}


def growth(parts: dict[str, Any], kinds: tuple[str, ...]) -> float:
    """Return how many times as much kinds of words cost after six sentences as after two."""
    found = np.concatenate([parts[kind] for kind in kinds])
    first, last = (found[found[:, 0] == n, 1].mean() for n in (2, 6))
    return float(last / first)


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    settings = code["Settings"].for_device(device.pick_device())

    def run(seed: int) -> dict[str, float]:
        return measure(seed, settings, code)

    rows = records.kept_runs(RESULT.stem, [{"seed": seed} for seed in seeds], run)
    (runs,) = records.by_seed(rows)
    records.write(RESULT, seeds, settings=vars(settings), stories=STORIES, runs=runs)


if __name__ == "__main__":
    main()
