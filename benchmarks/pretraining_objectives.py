"""Train the small BERT of the chapter *Pretraining* with each objective and several seeds.

Settings, batches, training loop and questions are the notebook's own cells (tagged ``fills``), so
that what is measured is what is printed there. A third variant tells the effect of the pairs from
that of next-sentence prediction: it reads the pairs, and masked words are all that it is asked
for. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_objectives [--seeds 3]
"""

from typing import Any

from benchmarks import records
from companion import device, pretraining

CHAPTER = records.chapter("pretraining/objectives")
RESULT = records.RESULTS / "pretraining_objectives.json"
QUESTIONS = 150


def chapter_code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "objectives-imports", "fills")


def variants(code: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return how each variant makes its batches, and its objective."""
    alone = {"MLM on pairs": (code["pairs_of_parts"], pretraining.MaskedLM())}
    return {**code["VARIANTS"], **alone}


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=3), chapter_code()
    settings = code["Settings"].for_device(device.pick_device())
    questions = code["ask_for_words"](QUESTIONS, seed=3)
    made = variants(code)

    def measure(variant: str, seed: int) -> dict[str, float]:
        bert, _ = code["train"](settings, seed, device.pick_device(), *made[variant], questions)
        above, accuracy = code["answer"](bert, questions)
        return {"above": above, "accuracy": accuracy, "next": code["next_accuracy"](bert)}

    cases = [{"variant": name, "seed": seed} for name in made for seed in seeds]
    rows = records.kept_runs("pretraining_objectives", cases, measure)
    records.write(
        RESULT, seeds, questions=QUESTIONS, settings=vars(settings), runs=records.by_seed(rows)
    )


if __name__ == "__main__":
    main()
