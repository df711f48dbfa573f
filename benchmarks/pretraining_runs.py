"""Train the small GPT of *A run that can be trusted* in many ways, to know how much each matters.

Tokens, model, settings and orders of the data are the notebook's own cells (tagged ``runs``), so
that what is measured is what is printed there. Each case differs in one thing from the usual run:
the highest learning rate, with warm-up and without, and with Muon; how often the same stories are
repeated; the order of the data; and what is drawn with another seed. The six runs of the first
screen (cells tagged ``six``) are made with several seeds, too. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_runs [--seeds 5]
"""

from typing import Any

from benchmarks import records

CHAPTER = records.chapter("pretraining/run")
RESULT = records.RESULTS / "pretraining_runs.json"
STEPS, BATCH = 400, 16
RATES = {
    "AdamW": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    "AdamW, no warm-up": (0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    "Muon": (0.003, 0.01, 0.03, 0.1, 0.3),
}
EPOCHS = (1, 2, 4, 8, 16, 32, 64)
ORDERS = ("by length", "by topic", "like lengths")
DRAWN = ("weights", "data")

Code = dict[str, Any]
Measured = dict[str, float]


def chapter_code() -> Code:
    """Return what the chapter's cells of the experiments define."""
    return records.chapter_code(CHAPTER, "run-imports", "runs")


def six_code() -> Code:
    """Return what the cells of the first screen define."""
    return records.chapter_code(CHAPTER, "run-imports", "six")


def train(code: Code, batches: Any, seed: int, **changes: Any) -> tuple[Any, Measured]:
    """Train a model; return it, and how far above the floor it ends on stories it has not seen."""
    gpt = code["new_gpt"](seed)
    config = code["run_config"](**changes)
    history = code["training"].train(
        gpt, batches, config, held_out=code["held_out"], bar=code["quiet"]
    )
    return gpt, {"above": history[-1]["held_out"] - code["floor"]}


def rate(code: Code, optimizer: str, rate: float, seed: int) -> Measured:
    """Train with another highest learning rate."""
    stories = code["stories_of"](1000 + seed, STEPS * BATCH)
    changes: dict[str, Any] = {"lr": rate}
    if optimizer == "Muon":
        changes = {"optimizer": "muon", "muon_lr": rate}
    if optimizer == "AdamW, no warm-up":
        changes["warmup"] = 0
    batches = code["shuffled"](code["rows_of"](stories), seed=seed)
    return train(code, batches, seed, **changes)[1]


def epochs(code: Code, epochs: int, seed: int) -> Measured:
    """Read the same stories several times, in as many steps as one epoch of the usual run."""
    stories = code["stories_of"](1000 + seed, STEPS * BATCH // epochs)
    gpt, measured = train(code, code["shuffled"](code["rows_of"](stories), seed=seed), seed)
    seen = stories[:200]
    batch = code["batch_of"](code["rows_of"](seen))
    loss = code["training"].evaluate(gpt, [batch])["loss"]
    return {**measured, "above_seen": loss - code["exact_loss"](seen)}


def order(code: Code, order: str, seed: int) -> Measured:
    """Read the stories of the usual run in another order."""
    rows = code["rows_of"](code["stories_of"](1000 + seed, STEPS * BATCH))
    keys = {"by topic": code["place_of"]}
    shuffle = seed if order == "like lengths" else None
    batches = code["in_order"](rows, keys.get(order, len), seed=shuffle)
    return train(code, batches, seed)[1]


def drawn(code: Code, drawn: str, seed: int) -> Measured:
    """Draw the first weights or the data with another seed, and keep the other one."""
    data, weights = (seed, 0) if drawn == "data" else (0, seed)
    rows = code["rows_of"](code["stories_of"](1000 + data, STEPS * BATCH))
    return train(code, code["shuffled"](rows, seed=data), weights)[1]


def six(code: Code, fault: str, seed: int) -> Measured:
    """Make a run of the first screen; its end is the mean of the last ten steps."""
    history = code["train_six"](fault, seed)
    leaks = fault == "leak"  # then the test stories are those of the training
    test = code["six_rows"](1000 + seed if leaks else 3, 32 if leaks else 60)
    nats = -sum(code["TinyWorld"]().log_prob(code["six_words"].decode(row[1:-1])) for row in test)
    exact = nats / sum(len(row) - 1 for row in test)
    return {
        "held_out": history[-1]["held_out"] - exact,
        "training": history.column("loss")[-10:].mean() - exact,
        "grad_norm": history.column("grad_norm")[-50:].mean(),
    }


def measured(kind: str, seeds: range, values: dict[str, tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Measure all cases of a kind, and sum them up over the seeds."""
    run, code = globals()[kind], six_code() if kind == "six" else chapter_code()
    cases: list[dict[str, Any]] = [{}]
    for name, options in values.items():
        cases = [{**case, name: option} for case in cases for option in options]
    cases = [{**case, "seed": seed} for case in cases for seed in seeds]
    rows = records.kept_runs(f"pretraining_runs_{kind}", cases, lambda **case: run(code, **case))
    return records.by_seed(rows)


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds = records.seeds_from_command_line(__doc__)
    faults = tuple(six_code()["FAULTS"].values())
    rates = [
        row
        for name, values in RATES.items()
        for row in measured("rate", seeds, {"optimizer": (name,), "rate": values})
    ]
    records.write(
        RESULT,
        seeds,
        steps=STEPS,
        batch=BATCH,
        six=measured("six", seeds, {"fault": faults}),
        epochs=measured("epochs", seeds, {"epochs": EPOCHS}),
        orders=measured("order", seeds, {"order": ORDERS}),
        drawn=measured("drawn", seeds, {"drawn": DRAWN}),
        rates=rates,
    )


if __name__ == "__main__":
    main()
