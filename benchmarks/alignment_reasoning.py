"""Measure what training on verdicts adds to a start from imperfect examples, with three verifiers.

Tasks, mistakes, settings and both trainings are the cells of *Answers that can be checked* (tagged
``reasoning``), so that what is measured is what is printed there. A seed is another draw of the
mistakes, another start, and another course of the training. Run from the repository's root; what is
interrupted goes on where it was:

    OMP_NUM_THREADS=1 python -m benchmarks.alignment_reasoning [--seeds 3]
"""

import contextlib
import io
from copy import deepcopy
from functools import cache
from typing import Any

import torch

from benchmarks import records
from companion.alignment import FaultyVerifier, GRPOLoss, verify_task

CHAPTER = records.chapter("alignment/reasoning")
RESULT = records.RESULTS / "alignment_reasoning.json"
#: Trained on all tasks by a faultless verifier; or on counts with rain alone, by one of these.
VERIFIERS = ("faultless", "refuses", "lets pass", "blind")
WAYS = ("start", "trained", *VERIFIERS)
RATE = 0.3
BETA = 0.01

Code = dict[str, Any]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "reasoning-imports", "reasoning")


@cache
def started(seed: int) -> Any:
    """Return a model that has learnt from imperfect examples."""
    code = chapter_code()
    examples = code["demonstrated"](code["known_tasks"][:4000], seed)
    return code["supervised"](code["Settings"](), examples, seed, torch.device("cpu"))


def verifier(way: str, seed: int) -> Any:
    """Return a verifier by its name."""
    known = {
        "faultless": verify_task,
        "refuses": FaultyVerifier(false_negative=RATE, seed=seed),
        "lets pass": FaultyVerifier(false_positive=RATE, seed=seed),
        "blind": chapter_code()["blind"],
    }
    return known[way]


def trained(way: str, seed: int) -> Any:
    """Return the model of one way."""
    code, model = chapter_code(), deepcopy(started(seed))
    settings = code["Settings"]()
    if way == "trained":
        options = {"reference": started(seed), "seed": seed}
        tasks, beta = code["policy_tasks"], BETA
    elif way != "start":
        options = {"verify": verifier(way, seed), "longest": 12, "seed": seed}
        tasks, beta = code["rain_tasks"], 0.0
    if way != "start":
        code["reinforce"](model, tasks, GRPOLoss(beta), settings.policy_steps, settings, **options)
    return model


def measured(way: str, seed: int) -> dict[str, float]:
    """Return pass@1, pass@8 and the vote of 8 on each kind of task."""
    code = chapter_code()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model = trained(way, seed)
        tasks = code["test_tasks" if way in ("start", "trained") else "count_tests"]
        found = code["scores"](model, tasks, seed=seed)
    return {
        f"{kind}, {name}": float(value)
        for kind, row in found.items()
        for name, value in zip(("pass@1", "pass@8", "vote"), row, strict=True)
    }


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    cases = [{"way": way, "seed": seed} for seed in seeds for way in WAYS]
    runs = records.untimed(records.kept_runs("alignment_reasoning", cases, measured))
    records.write(
        RESULT,
        seeds,
        settings=vars(chapter_code()["Settings"]()),
        rate=RATE,
        beta=BETA,
        runs=records.by_seed(runs),
    )


if __name__ == "__main__":
    main()
