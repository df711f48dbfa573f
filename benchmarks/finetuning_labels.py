"""Measure how many labels three tasks need, by what is learnt from them and how.

Tiny World's sentiment: tokens, settings, pretraining and the four ways of fine-tuning are the
cells of *Few parameters, trained well* (tagged ``labels``), so that what is measured is what is
printed there. One GPT a seed is pretrained; each way then learns from labels of that seed.

SST-2 and ChnSentiCorp: tf-idf with logistic regression (over words, and over characters and their
pairs), logistic regression on the frozen vectors of MiniLM, and on SST-2 a network of MiniLM's
shape from scratch, its last block, and all of it. A seed is another draw of the labels. The vectors
are kept in ``_build/benchmarks``. Run from the repository's root; what is interrupted goes on where
it was:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_labels [--seeds 3]
"""

import contextlib
import io
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from torch import Tensor

from benchmarks import records
from companion import data, device, finetuning, training
from companion.models import BertEncoder, load_pretrained
from companion.tinyworld import TinyWorld, grammar, tasks

CHAPTER = records.chapter("fine-tuning/adapting")
RESULT = records.RESULTS / "finetuning_labels.json"
LABELS = (50, 500, 5000)
WAYS = ("majority", "tf-idf", "scratch", "frozen", "unasked", "last", "all")
TESTED = 4000
#: Tokens of a review that MiniLM reads; it was trained on texts of up to 128.
LENGTH = {"sst2": 64, "chnsenticorp": 48}
#: Passes over the labels when MiniLM, or a part of it, is trained, and the learning rates.
EPOCHS, RATES = {50: 8, 500: 3, 5000: 1}, {"scratch": 3e-4, "last": 1e-3, "all": 5e-5}

Code = dict[str, Any]
Split = tuple[list[str], np.ndarray]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    return records.chapter_code(CHAPTER, "adapting-imports", "labels")


# -- Tiny World ----------------------------------------------------------------------------------


@cache
def pretrained(seed: int) -> Any:
    """Return a GPT that has read stories and no labels."""
    code = chapter_code()
    return code["pretrain"](code["Settings"](), seed, torch.device("cpu"))


@cache
def tested() -> list[tuple[list[int], int]]:
    """Return the stories that all are tested on."""
    return chapter_code()["labelled"](TESTED, seed=77)


def on_stories(way: str, n: int, seed: int) -> float:
    """Return the accuracy of one way on Tiny World's sentiment."""
    code, (rows, labels) = chapter_code(), zip(*tested(), strict=True)
    if way == "majority":
        return float(max(np.mean(labels), 1 - np.mean(labels)))
    if way == "tf-idf":
        return code["count_words"](n, seed, rows, labels)
    template = (lambda text: text) if way == "unasked" else code["asked"]
    found = tested() if way != "unasked" else code["labelled"](TESTED, 77, template)
    way = "frozen" if way == "unasked" else way
    model = code["learn"](way, n, pretrained(seed), seed, template)
    return code["accuracy"](model, found)


# -- real reviews --------------------------------------------------------------------------------


@cache
def reviews(task: str) -> tuple[Split, Split]:
    """Return the texts and labels to learn from and to be tested on."""
    rows = data.load(task)
    train, test = rows["train"], rows.get("test")
    if test is None:
        order = np.random.default_rng(0).permutation(len(train))
        train, test = ([train[i] for i in part] for part in (order[2000:], order[:2000]))
    return _split(train), _split(test)


def _split(rows: list[Any]) -> Split:
    return [row.text for row in rows], np.array([row.label for row in rows])


def drawn(task: str, n: int, seed: int) -> np.ndarray:
    """Return which texts are labelled in a draw."""
    return np.random.default_rng(seed).permutation(len(reviews(task)[0][0]))[:n]


def on_reviews(task: str, way: str, n: int, seed: int) -> float:
    """Return the accuracy of one way on real reviews."""
    (texts, labels), (test_texts, test_labels) = reviews(task)
    chosen = drawn(task, n, seed)
    if way == "majority":
        return float(max(np.mean(test_labels), 1 - np.mean(test_labels)))
    if way in RATES:
        return trained_minilm(task, way, chosen, seed)
    if way == "frozen":
        train, test = vectors(task)
        model = LogisticRegression(max_iter=2000)
        return classified(model, train[chosen], labels[chosen], test, task)
    by = {"analyzer": "char", "ngram_range": (1, 2)} if task == "chnsenticorp" else {}
    model = make_pipeline(TfidfVectorizer(**by), LogisticRegression(max_iter=2000))
    return classified(model, [texts[i] for i in chosen], labels[chosen], test_texts, task)


def classified(model: Any, x: Any, y: np.ndarray, test: Any, task: str) -> float:
    """Fit a classifier, and return its accuracy on the test texts."""
    return model.fit(x, y).score(test, reviews(task)[1][1])


@cache
def minilm() -> Any:
    """Return MiniLM with its tokenizer."""
    return load_pretrained("all-MiniLM-L6-v2")


def ids_of(text: str, task: str) -> list[int]:
    """Return the ids of a text, cut where it is long."""
    tokenizer = minilm().tokenizer
    first, last = (tokenizer.special_ids[name] for name in ("[CLS]", "[SEP]"))
    inner = [i for i in tokenizer.encode(text) if i not in (first, last)]
    return [first, *inner[: LENGTH[task] - 2], last]


def batch_of(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Return ids (B, T) and a mask (B, 1, T) that is False for padding."""
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return ids, torch.tensor([[i < len(row) for i in range(longest)] for row in rows])[:, None]


def vectors(task: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of all texts, made once and kept."""
    path = records.KEPT / f"minilm_{task}_{LENGTH[task]}.npz"
    if not path.exists():
        train, test = (embedded(texts, task) for texts, _ in reviews(task))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, train=train, test=test)
    kept = np.load(path)
    return kept["train"], kept["test"]


@torch.no_grad()
def embedded(texts: list[str], task: str) -> np.ndarray:
    """Return one vector a text, of length 1, as MiniLM was trained to make them."""
    rows = [ids_of(text, task) for text in texts]
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))  # little padding
    found = np.empty((len(rows), minilm().config.d_model), dtype=np.float32)
    pool = finetuning.MeanPooling()
    for start in range(0, len(order), 64):
        part = order[start : start + 64]
        ids, mask = batch_of([rows[i] for i in part])
        x = pool(minilm()(ids, mask), mask)
        found[part] = torch.nn.functional.normalize(x, dim=1).numpy()
    return found


def trained_minilm(task: str, way: str, chosen: np.ndarray, seed: int) -> float:
    """Train MiniLM, a part of it, or its shape, and return its accuracy on the test texts."""
    (texts, labels), test = reviews(task)
    device.seed_everything(seed)
    encoder = BertEncoder(minilm().config) if way == "scratch" else deepcopy(minilm())
    model = finetuning.SequenceClassifier(encoder, 2)
    if way == "last":
        finetuning.train_last(model, 1)
    rows = [(ids_of(texts[i], task), int(labels[i])) for i in chosen]
    steps = EPOCHS[len(rows)] * -(-len(rows) // 16)
    plan = training.TrainConfig(
        steps, lr=RATES[way], warmup=steps // 10, final_share=0.0, device="cpu"
    )
    training.train(model, training.Epochs(rows, 16, seed=seed, collate=labelled), plan, bar=None)
    model.eval()
    return float((predicted(model, test[0], task) == test[1]).mean())


def labelled(examples: list[tuple[list[int], int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return ids, mask and labels of some texts."""
    rows, labels = zip(*examples, strict=True)
    return *batch_of(list(rows)), torch.tensor(labels)


@torch.no_grad()
def predicted(model: Any, texts: list[str], task: str) -> np.ndarray:
    """Return the more probable class of each text."""
    rows = [ids_of(text, task) for text in texts]
    parts = [batch_of(rows[start : start + 64]) for start in range(0, len(rows), 64)]
    return torch.cat([model(*part).argmax(dim=1) for part in parts]).numpy()


# -- all -----------------------------------------------------------------------------------------


def measured(task: str, way: str, n: int, seed: int) -> dict[str, float]:
    """Return the accuracy of one way on one task."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        known = task == "tiny-world"
        found = on_stories(way, n, seed) if known else on_reviews(task, way, n, seed)
    return {"accuracy": float(found)}


def cases(seeds: range) -> list[dict[str, Any]]:
    """Return what is measured, the quick first."""
    ways = [("tiny-world", way, n) for way in WAYS for n in LABELS]
    for task in LENGTH:
        ways += [(task, way, n) for way in ("majority", "tf-idf", "frozen") for n in LABELS]
    ways += [("sst2", way, n) for n in EPOCHS for way in RATES]
    return [
        {"task": task, "way": way, "n": n, "seed": seed} for task, way, n in ways for seed in seeds
    ]


def ceiling() -> float:
    """Return how often the grammar itself is right on the stories of the test."""
    world, right = TinyWorld(seed=77), 0
    for _ in range(TESTED):
        story, state = world.draw(), grammar.State()
        for event in story.events:
            state = state.after(event)
        right += (grammar.P_GOOD[state.mood] >= 0.5) == tasks.is_good(story)
    return right / TESTED


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    runs = records.untimed(records.kept_runs("finetuning_labels", cases(seeds), measured))
    records.write(
        RESULT,
        seeds,
        settings=vars(chapter_code()["Settings"]()),
        tested=TESTED,
        bayes=round(TinyWorld().bayes_accuracy(), 4),
        bayes_on_the_test=round(ceiling(), 4),
        length=LENGTH,
        runs=records.by_seed(runs),
    )


if __name__ == "__main__":
    main()
