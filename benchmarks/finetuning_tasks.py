"""Measure what *One model, many tasks* quotes: ways, tasks, programs, augmentation, searches.

All of it begins with MiniLM's real weights. The tasks, how they are read and how they are trained
are cells of the chapter (tagged ``tasks``). A seed is another draw of the examples, and another
new head. Except for the programs, the last block and a head are trained; what the blocks below
make of a text is computed once a process. Draws and test texts of SST-2 are those of
``benchmarks/finetuning_labels.py``, whose record has the other ways. What is interrupted goes on
where it was, and a part can be measured by itself. From the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_tasks [names answers ways ...]
"""

import contextlib
import io
import sys
from functools import cache, lru_cache
from typing import Any

import numpy as np
import optuna
import torch
from torch import Tensor, nn

from benchmarks import records
from companion import data, device, finetuning, training

CHAPTER = records.chapter("fine-tuning/tasks")
RESULT = records.RESULTS / "finetuning_tasks.json"
SEEDS = range(3)
BATCH = 16
#: Labels of SST-2, and how often each is used.
EPOCHS = {50: 8, 500: 3}
#: How many held-out texts accuracies, names and questions are measured on.
TESTED = {"sst2": 400, "wnut17": 300, "weibo_ner": 150, "squad": 150, "programs": 200}
#: Examples with which names and questions are learnt, passes over them, and the rate.
LEARNT, PASSES, RATE = 300, 6, 1e-3
PROGRAMS = ("Trainer", "as it stood", "loop", "companion")
LABELS_OF_PROGRAMS, RATE_OF_PROGRAMS = 64, 5e-5
TRIALS, LABELS_OF_SEARCH, CHOSEN_ON = 12, 50, 200

Numbers = dict[str, float]


@cache
def code() -> dict[str, Any]:
    """Return what the chapter's cells of the experiments define."""
    return records.chapter_code(CHAPTER, "tasks-imports", "tasks")


@lru_cache(maxsize=20_000)
def below_last(ids: tuple[int, ...]) -> Tensor:
    """Return what the blocks below the last one make of a text, (T, D)."""
    minilm = code()["minilm"]
    with torch.no_grad():
        x = minilm.embed(torch.tensor([ids]))
        for block in minilm.blocks[:-1]:
            x = block(x)
    return x[0]


class Remembering(nn.Module):
    """MiniLM with its last block alone to be trained; the others compute each text once."""

    def __init__(self) -> None:
        super().__init__()
        own = code()["deepcopy"](code()["minilm"].blocks[-1:])
        self.config, self.blocks = code()["minilm"].config, own

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T) to (B, T, D)."""
        rows = [tuple(row[own].tolist()) for row, own in zip(ids, mask[:, 0], strict=True)]
        x = nn.utils.rnn.pad_sequence([below_last(row) for row in rows], batch_first=True)
        return self.blocks[0](x, mask=mask)


def trained(model: Any, examples: list[Any], n: int, rate: float, seed: int, collate: str) -> None:
    """Train a model on examples, each of which is used n times."""
    epochs = training.Epochs(examples, BATCH, seed=seed, collate=code()[collate])
    code()["fit"](model, epochs, n * len(epochs), rate)


# -- sentences -----------------------------------------------------------------------------------


@cache
def sentences() -> dict[str, list[Any]]:
    """Return the reviews of each part."""
    return data.load("sst2")


def encoded(reviews: list[Any]) -> list[tuple[list[int], int]]:
    """Return ids and class of each review."""
    return [(code()["ids_of"](review.text), review.label) for review in reviews]


def tested() -> list[tuple[list[int], int]]:
    """Return the reviews that all are tested on."""
    return encoded(shuffled(sentences()["test"], TESTED["sst2"], 0))


def shuffled(rows: list[Any], n: int, seed: int) -> list[Any]:
    """Return n rows in an order of a seed."""
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))[:n]]


def ways(n: int, seed: int) -> Numbers:
    """Return the accuracy on new reviews of the last block, which learns from n labels."""
    return {"accuracy": learnt(shuffled(sentences()["train"], n, seed), EPOCHS[n], seed)}


def learnt(reviews: list[Any], n: int, seed: int) -> float:
    """Return the accuracy on new reviews after n passes over some."""
    device.seed_everything(seed)
    model = finetuning.SequenceClassifier(Remembering(), 2)
    trained(model, encoded(reviews), n, code()["RATES"]["last"], seed, "with_classes")
    return code()["accuracy"](model, tested())


def augmented(n: int, seed: int) -> Numbers:
    """Return the accuracy with changed copies of the reviews, in as many steps as without."""
    rng, chosen = np.random.default_rng(seed), shuffled(sentences()["train"], n, seed)
    copies = [r._replace(text=t) for r in chosen for t in code()["copies"](r.text, rng)]
    passes = EPOCHS[n] * n // len(chosen + copies)
    return {"accuracy": learnt(chosen + copies, passes, seed)}


# -- programs ------------------------------------------------------------------------------------


def programs(program: str, seed: int) -> Numbers:
    """Return the accuracy that a program reaches: from the same weights, each in its own order."""
    c, rate = code(), RATE_OF_PROGRAMS
    examples = encoded(shuffled(sentences()["train"], LABELS_OF_PROGRAMS, seed))
    theirs = c["published"](seed)
    epochs = training.Epochs(examples, BATCH, seed=seed, collate=c["with_classes"])
    steps = 3 * len(epochs)
    if program == "loop":
        model = c["by_loop"](c["WithClassifier"](theirs), epochs, tested()[:16], 3, rate)
    elif program == "companion":
        plan = {"warmup": steps // 10, "schedule": "linear", "final_share": 0.0}
        model = c["by_companion"](c["as_ours"](theirs), epochs, steps, rate, **plan)
    else:
        warmup = 500 if program == "as it stood" else steps // 10
        sizes = {"num_train_epochs": 3, "per_device_train_batch_size": BATCH}
        rates = {"learning_rate": rate, "warmup_steps": warmup, "weight_decay": 0.01}
        c["by_trainer"](theirs, examples, seed=seed, **sizes, **rates)
        model = c["WithClassifier"](theirs).eval()
    return {"accuracy": c["accuracy"](model, tested()[: TESTED["programs"]])}


# -- names and answers ---------------------------------------------------------------------------


def names(task: str, seed: int) -> Numbers:
    """Return the F1 of names after training, and that of a list of all names learnt from."""
    c = code()
    train, dev = c["tagged_sentences"](task)
    number = c["numbered"]([*train, *dev])
    chosen, test = shuffled(train, LEARNT, seed), dev[: TESTED[task]]
    device.seed_everything(seed)
    model = finetuning.TokenClassifier(Remembering(), len(number))
    rows = [c["labelled_row"](*sentence, number) for sentence in chosen]
    trained(model, rows, PASSES, RATE, seed, "with_tags")
    known = c["known_names"](chosen)
    unknown = [i == c["UNKNOWN"] for ids, _ in rows for i in ids]
    return {
        "f1": c["span_f1"](test, c["tags_of"](model, test, number)),
        "listed": c["span_f1"](test, [c["by_list"](known, s.tokens) for s in test]),
        "unknown": float(np.mean(unknown)),
    }


def answers(seed: int) -> Numbers:
    """Return exact match and F1 of answers, in English and in Chinese, after English training."""
    c = code()
    train, test = c["asked"]()
    test = shuffled(test, TESTED["squad"], 0)
    device.seed_everything(seed)
    model = c["Both"](Remembering())
    rows = c["places_of"](shuffled(train, LEARNT, seed))
    trained(model, rows, PASSES, RATE, seed, "with_places")
    held_out = {question.title for question in test}
    chinese = [q for q in c["chinese"]() if q.title in held_out]
    chinese = shuffled(chinese, min(TESTED["squad"], len(chinese)), 0)
    found: Numbers = {}
    for name, some in (("en", test), ("zh", chinese)):
        found[f"{name}_exact"], found[f"{name}_f1"] = c["answer_scores"](
            some, c["answers_of"](model, some)
        )
        found[f"{name}_whole"] = c["answer_scores"](some, [q.context for q in some])[1]
    return found


# -- searches ------------------------------------------------------------------------------------


def searches(sampler: str, seed: int) -> Numbers:
    """Return what the best of some settings reaches: where it was chosen, and on other reviews."""
    train = encoded(shuffled(sentences()["train"], LABELS_OF_SEARCH, seed))
    chosen_on = encoded(shuffled(sentences()["dev"], CHOSEN_ON, 0))

    def one(trial: Any) -> float:
        return code()["accuracy"](tuned(trial, train), chosen_on)

    tpe = optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
    by = optuna.samplers.RandomSampler(seed=seed) if sampler == "random" else tpe
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=by)
    study.optimize(one, n_trials=TRIALS)
    values = [trial.value or 0.0 for trial in study.trials]
    test = code()["accuracy"](tuned(study.best_trial, train), tested())
    best = {name: float(value) for name, value in study.best_params.items()}
    return {"median": float(np.median(values)), "best": study.best_value, "test": test, **best}


def tuned(trial: Any, train: list[Any]) -> Any:
    """Return the last block and a head, trained with the settings of a trial."""
    suggested(trial)
    s = trial.params
    device.seed_everything(0)
    model = finetuning.SequenceClassifier(Remembering(), 2)
    epochs = training.Epochs(train, s["batch"], seed=0, collate=code()["with_classes"])
    optimizer = torch.optim.AdamW(finetuning.groups_by_layer(model, s["rate"], s["decay"]))
    steps = s["epochs"] * len(epochs)
    plan: dict[str, Any] = {
        "warmup": int(s["warmup"] * steps),
        "schedule": "linear",
        "device": "cpu",
    }
    training.train(model, epochs, training.TrainConfig(steps, **plan), optimizer=optimizer)
    return model.eval()


def suggested(trial: Any) -> None:
    """Draw all settings of a trial."""
    trial.suggest_float("rate", 1e-5, 3e-2, log=True)
    trial.suggest_float("decay", 0.03, 1.0, log=True)
    trial.suggest_categorical("batch", [8, 16, 32])
    trial.suggest_int("epochs", 1, 10)
    trial.suggest_float("warmup", 0.0, 0.3)


# -- all -----------------------------------------------------------------------------------------


def cases() -> dict[str, list[dict[str, Any]]]:
    """Return what is measured in each part, without the seeds."""
    return {
        "names": [{"task": task} for task in ("wnut17", "weibo_ner")],
        "answers": [{}],
        "ways": [{"n": n} for n in EPOCHS],
        "augmented": [{"n": 50}],
        "searches": [{"sampler": sampler} for sampler in ("random", "TPE")],
        "programs": [{"program": program} for program in PROGRAMS],
    }


def measured(part: str, **case: Any) -> Numbers:
    """Return what one case of a part reaches."""
    run: dict[str, Any] = {"ways": ways, "programs": programs, "names": names}
    run |= {"answers": answers, "augmented": augmented, "searches": searches}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return {name: float(value) for name, value in run[part](**case).items()}


def main(parts: list[str]) -> None:
    """Measure, and write the record once all parts are measured."""
    found = {}
    for part, some in cases().items():
        if not parts or part in parts:
            every = [{"part": part, **case, "seed": seed} for case in some for seed in SEEDS]
            runs = records.kept_runs("finetuning_tasks", every, measured)
            for run in runs:  # seconds differ from machine to machine
                run["measured"].pop("cpu_seconds", None)
            found[part] = records.by_seed(runs)
    if found.keys() == cases().keys():
        settings = {"labels": LEARNT, "passes": PASSES, "rate": RATE, "batch": BATCH}
        of_programs = {"labels": LABELS_OF_PROGRAMS, "rate": RATE_OF_PROGRAMS}
        of_searches = {"labels": LABELS_OF_SEARCH, "trials": TRIALS, "chosen_on": CHOSEN_ON}
        written = {
            "tested": TESTED,
            "epochs": EPOCHS,
            "tasks": settings,
            "of_programs": of_programs,
        }
        records.write(RESULT, SEEDS, **written, of_searches=of_searches, **found)


if __name__ == "__main__":
    main(sys.argv[1:])
