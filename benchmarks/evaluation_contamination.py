"""Hide test stories among the training stories of a small GPT, and see what it does to their score.

Stories, settings, training and measures are the notebook's own cells (tagged ``contamination``),
so that what is measured is what is printed there. Each story is hidden as many times as its dose
says. Measured are, for each dose, how many nats a story costs the model above its true surprise,
how often its last word is guessed, and the same for near copies, in which only the time is another
one. Finished runs are kept in ``_build/benchmarks``. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.evaluation_contamination [--seeds 5]
"""

import statistics
from typing import Any

from benchmarks import records
from companion import device
from companion.tinyworld import grammar

CHAPTER = records.chapter("evaluation/benchmarks")
RESULT = records.RESULTS / "evaluation_contamination.json"

Code = dict[str, Any]


def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "benchmarks-imports", "contamination")


def near_copy(text: str) -> str:
    """Return the same story at another time.

    Examples
    --------
    >>> near_copy("One day Ben went to the lake. He sang a song. In the end Ben felt glad.")
    'One evening Ben went to the lake. He sang a song. In the end Ben felt glad.'
    """
    story = grammar.read(text)
    assert story is not None
    times = list(grammar.WORDS["time"])
    later = times[(times.index(story.time) + 1) % len(times)]
    return grammar.write(story._replace(time=later))


def measured(code: Code, gpt: Any, stories: list[str]) -> dict[str, float]:
    """Return what the model knows of some stories, and of their near copies."""
    above, right = code["examined"](gpt, stories)
    near_above, near_right = code["examined"](gpt, list(map(near_copy, stories)))
    return {
        "above": float(above.mean()),
        "right": float(right.mean()),
        "near_above": float(near_above.mean()),
        "near_right": float(near_right.mean()),
        "best": statistics.mean(map(code["best_chance"], stories)),
    }


def run_of(seed: int) -> dict[str, Any]:
    """Train with a seed, and return what was measured for each dose."""
    code = chapter_code()
    gpt, _ = code["train"](code["Settings"](), seed, device.pick_device())
    tests = code["test_stories"](seed).items()
    return {str(dose): measured(code, gpt, stories) for dose, stories in tests}


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    kept = records.kept_runs(RESULT.stem, [{"seed": seed} for seed in seeds], run_of)
    rows = [
        {"case": {"dose": dose, **row["case"]}, "measured": row["measured"][str(dose)]}
        for dose in code["DOSES"]
        for row in kept
    ]
    settings = code["Settings"]()
    records.write(
        RESULT,
        seeds,
        settings=vars(settings),
        items=code["ITEMS"],
        stories=settings.steps * settings.batch,
        cpu_seconds=records.summary([row["measured"]["cpu_seconds"] for row in kept]),
        runs=records.by_seed(rows),
    )


if __name__ == "__main__":
    main()
