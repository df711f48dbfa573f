"""Measure what *One model, many tasks* quotes: names and answers, found with MiniLM's real weights.

The tasks, how they are read and how they are trained are cells of the chapter (tagged ``tasks``).
The last block and a new head are trained; what the blocks below make of a text is computed once a
process. A seed is another draw of the examples, and another new head. What is interrupted goes on
where it was. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_tasks
"""

import contextlib
import io
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import records
from companion import device, finetuning, training

CHAPTER = records.chapter("fine-tuning/tasks")
RESULT = records.RESULTS / "finetuning_tasks.json"
BATCH = 16
#: How many held-out texts names and questions are measured on.
TESTED = {"wnut17": 300, "weibo_ner": 150, "squad": 150}
#: Examples with which names and questions are learnt, passes over them, and the rate.
LEARNT, PASSES, RATE = 300, 6, 1e-3

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


def shuffled(rows: list[Any], n: int, seed: int) -> list[Any]:
    """Return n rows in an order of a seed."""
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))[:n]]


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


# -- all -----------------------------------------------------------------------------------------


def cases() -> dict[str, list[dict[str, Any]]]:
    """Return what is measured in each part, without the seeds."""
    tagged: list[dict[str, Any]] = [{"task": task} for task in ("wnut17", "weibo_ner")]
    return {"names": tagged, "answers": [{}]}


def measured(part: str, **case: Any) -> Numbers:
    """Return what one case of a part reaches."""
    run: dict[str, Any] = {"names": names, "answers": answers}
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return {name: float(value) for name, value in run[part](**case).items()}


def main() -> None:
    """Measure, and write the record."""
    seeds, found = records.seeds_from_command_line(__doc__, default=3), {}
    for part, some in cases().items():
        every = [{"part": part, **case, "seed": seed} for case in some for seed in seeds]
        runs = records.kept_runs("finetuning_tasks", every, measured)
        found[part] = records.by_seed(records.untimed(runs))
    settings = {"examples": LEARNT, "passes": PASSES, "rate": RATE, "batch": BATCH}
    records.write(RESULT, seeds, tested=TESTED, settings=settings, **found)


if __name__ == "__main__":
    main()
