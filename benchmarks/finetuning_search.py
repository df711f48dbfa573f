"""Measure what a search of five settings finds when MiniLM is fine-tuned as a whole on SST-2.

The settings, their ranges, the fine-tuning and the two samplers are cells of *One model, many
tasks* (tagged ``tasks``). A seed is another draw of the labels and another seed of both samplers,
which get the same labels, the same ranges and the same number of trials. The best trial of a
search, chosen on some sentences of the dev part, is measured on the test part. Beside them stand
what needs no search: settings that were published for BERT, and logistic regression on the frozen
vectors. What is interrupted goes on where it was. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_search [--seeds 3]
"""

import contextlib
import io
from functools import cache
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks import finetuning_labels, finetuning_tasks, records
from companion import data

CHAPTER = finetuning_tasks.CHAPTER
RESULT = records.RESULTS / "finetuning_search.json"
WAYS = ("frozen", "published", "random", "Optuna")
LABELS, TRIALS, CHOSEN_ON = 100, 10, 300
#: The largest rate and number of passes that Devlin et al. (2019, appendix A.3) recommend.
PUBLISHED = {"rate": 5e-5, "decay": 1.0, "batch": 16, "n_epochs": 4, "warmup": 0.1}

Examples = list[tuple[list[int], int]]


@cache
def split(name: str) -> Examples:
    """Return ids and label of each sentence of a part of SST-2."""
    ids_of = finetuning_tasks.code()["ids_of"]
    return [(ids_of(review.text), review.label) for review in data.load("sst2")[name]]


def labelled(seed: int) -> Examples:
    """Return the labels of a seed."""
    return [split("train")[i] for i in finetuning_labels.drawn("sst2", LABELS, seed)]


def published(seed: int) -> dict[str, Any]:
    """Return what the published settings reach, without a search."""
    code = finetuning_tasks.code()
    model = code["fine_tuned"](labelled(seed), **PUBLISHED)
    return {"test": code["accuracy"](model, split("test"))}


@cache
def tested_vectors() -> np.ndarray:
    """Return the frozen vectors of the test sentences."""
    return finetuning_labels.embedded(finetuning_labels.reviews("sst2")[1][0], "sst2")


def frozen(seed: int) -> dict[str, Any]:
    """Return what logistic regression on the frozen vectors of the same labels reaches."""
    (texts, labels), (_, right) = finetuning_labels.reviews("sst2")
    chosen = finetuning_labels.drawn("sst2", LABELS, seed)
    x = finetuning_labels.embedded([texts[i] for i in chosen], "sst2")
    model = LogisticRegression(max_iter=2000).fit(x, labels[chosen])
    return {"test": model.score(tested_vectors(), right)}


def searched(sampler: str, seed: int) -> dict[str, Any]:
    """Return the trials of a search, and what the best of them reaches on the test part."""
    code, examples = finetuning_tasks.code(), labelled(seed)
    chosen_on, best = split("dev")[:CHOSEN_ON], {"score": -1.0}

    def objective(trial: Any) -> float:
        model = code["fine_tuned"](examples, **code["five_settings"](trial))
        score = code["accuracy"](model, chosen_on)
        if score > best["score"]:  # the first of equals, as Optuna takes it
            best.update(score=score, model=model)
        return score

    study = code["search"](objective, code["samplers"](seed)[sampler], TRIALS)
    scores = [trial.value for trial in study.trials]
    return {
        "median": float(np.median(scores)),
        "best": study.best_value,
        "test": code["accuracy"](best["model"], split("test")),
        "trials": [{**trial.params, "score": trial.value} for trial in study.trials],
    }


def measured(way: str, seed: int) -> dict[str, Any]:
    """Return what one way reaches with one draw of the labels."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if way in ("frozen", "published"):
            return frozen(seed) if way == "frozen" else published(seed)
        return searched(way, seed)


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    cases = [{"way": way, "seed": seed} for way in WAYS for seed in seeds]
    runs, trials = records.untimed(records.kept_runs("finetuning_search", cases, measured)), []
    for run in runs:
        some = run["measured"].pop("trials", [])
        trials += [{**run["case"], **rounded(trial)} for trial in some]
    settings = {"labels": LABELS, "trials": TRIALS, "chosen_on": CHOSEN_ON, "published": PUBLISHED}
    tested = len(split("test"))
    found = records.by_seed(runs)
    records.write(RESULT, seeds, settings=settings, tested=tested, runs=found, trials=trials)


def rounded(trial: dict[str, Any]) -> dict[str, Any]:
    """Return the settings and the score of a trial with four digits."""
    return {
        name: float(f"{value:.4g}") if isinstance(value, float) else value
        for name, value in trial.items()
    }


if __name__ == "__main__":
    main()
