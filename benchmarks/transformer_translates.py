"""Train both translators of the chapter *Transformer* with several seeds, and record them.

Data, models, settings and training loop are the chapter's own cells (tagged ``translates``), so
that what is measured is what is printed there: stories of Tiny World into Chinese, by exact match,
with rotary positions and without, and the captions of Multi30k into German, by BLEU. It needs
Multi30k itself: what stands in for it where it is out of reach is not measured. Run from the
repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.transformer_translates [--seeds 3]
"""

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import sacrebleu

from benchmarks import records
from companion import data, device

CHAPTER = records.chapter("transformer/translate")
RESULT = records.RESULTS / "transformer_translates.json"
STORIES = 500
ROTARY = {"rotary": True, "without rotary": False}


def chapter_code() -> dict[str, Any]:
    """Run the cells that define the experiments, and return what they define."""
    return records.chapter_code(CHAPTER, "translate-imports", "translates")


def stories(code: Mapping[str, Any], seed: int, *, rotary: bool) -> Mapping[str, float]:
    """Train on stories; return the share of new ones that are translated without a mistake."""
    where = device.pick_device()
    settings = code["Settings"].for_device(where)
    model, history = code["train_translator"](settings, seed, where, rotary)
    fresh = code["new_pairs"](STORIES)
    return {"exact_match": code["exact_match"](model, fresh), "last_loss": history[-1]}


def captions(code: Mapping[str, Any], seed: int) -> Mapping[str, float]:
    """Train on captions; return BLEU on the test set of 2016."""
    where = device.pick_device()
    *trained, _ = code["train_on_captions"](code["Settings"].for_device(where), seed, where)
    return {"bleu": code["caption_bleu"](*trained)[0]}


def timed(
    run: Callable[[Mapping[str, Any], int], Mapping[str, float]], code: Mapping[str, Any]
) -> Callable[[int], Mapping[str, float]]:
    """Add the seconds that processors worked, whatever else the machine does meanwhile."""

    def measured(seed: int) -> Mapping[str, float]:
        start = time.process_time()
        return {**run(code, seed), "cpu_seconds": time.process_time() - start}

    return measured


def main() -> None:
    """Train both with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    data.load("multi30k")  # fails here where it is out of reach
    code = chapter_code()
    runs = {
        name: records.over_seeds(timed(functools.partial(stories, rotary=rotary), code), seeds)
        for name, rotary in ROTARY.items()
    }
    runs["captions"] = records.over_seeds(timed(captions, code), seeds)
    settings = vars(code["Settings"].for_device(device.pick_device()))
    scorer = {"sacrebleu": sacrebleu.__version__}
    records.write(RESULT, seeds, settings=settings, scorer=scorer, runs=runs)


if __name__ == "__main__":
    main()
