"""Train the GPT that writes Chinese poems in the page, write its files, and record how it does.

What it reads stands in `benchmarks.poems`. The weights are those of the evaluation with the lowest
loss on the validation poems; the test poems are used once, at the end. Run from the repository's
root, again if it was interrupted:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_poems
"""

import math
from collections import Counter
from itertools import pairwise

import torch

from benchmarks import poems, records
from benchmarks.poems import BATCH, COMMON, FORMS, IGNORE, MAX_LENGTH, Rows, n_targets
from companion import device, generation, training
from companion.models import GPT, GPTConfig
from companion.tokenizers import Characters
from tools.models import live_models, live_poems
from tools.models.live_poems import BEGIN, END, UNKNOWN

RESULT = records.RESULTS / "pretraining_poems.json"
NAME = "tang-poems"
FOLDER = records.KEPT / "pretraining_poems"
SIZES = {"max_length": MAX_LENGTH, "d_model": 128, "n_layers": 4, "n_heads": 4}
DROPOUT, STEPS = 0.3, 2500
WEIGHTS = (50, 100, 200, 400, 800)  # of the prior of pairs; the best for validation is taken
WRITTEN, TEMPERATURES = 200, (0.8, 1.0)


# -- what to compare with --------------------------------------------------------------------------


def share_of(token: int, rows: Rows) -> float:
    """Return how often a token has to be said, as a share of all."""
    return sum(row.count(token) for row in rows) / n_targets(rows)


class Counts:
    """What counting says comes next: after any token (unigram), and after the last one (bigram)."""

    def __init__(self, rows: Rows, vocab_size: int) -> None:
        self.single = torch.ones(vocab_size)  # one more than was seen, so that nothing has 0
        self.pairs = Counter(pair for row in rows for pair in pairwise(row))
        self.before = Counter(first for row in rows for first in row[:-1])
        for row in rows:
            self.single.index_add_(0, torch.tensor(row[1:]), torch.ones(len(row) - 1))
        self.p = (self.single / self.single.sum()).tolist()

    def loss(self, rows: Rows, weight: float | None = None) -> float:
        """Return the mean loss of single tokens, or of pairs: `weight` counts of single ones."""
        total = 0.0
        for row in rows:
            for a, b in pairwise(row):
                p = self.p[b]
                if weight is not None:
                    p = (self.pairs[a, b] + weight * p) / (self.before[a] + weight)
                total -= math.log(p)
        return total / n_targets(rows)


@torch.no_grad()
def model_loss(gpt: GPT, rows: Rows) -> float:
    """Return a model's mean loss, in nats a token."""
    ordered = sorted(rows, key=len)
    batches = [poems.batch_of(ordered[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    return training.evaluate(gpt.eval(), batches)["loss"]


def marks_of(tokenizer: Characters) -> list[int]:
    """Return the tokens with which lines and poems end."""
    marks = [i for i, token in tokenizer.tokens.items() if token in poems.ENDS]
    return [*marks, tokenizer.special_ids[END]]


@torch.no_grad()
def loss_by_kind(gpt: GPT, rows: Rows, marks: list[int]) -> dict[str, float]:
    """Return the mean losses of marks and ends, and of characters, and the share of the former."""
    ordered, found = sorted(rows, key=len), []
    for i in range(0, len(rows), BATCH):
        inputs, targets = poems.batch_of(ordered[i : i + BATCH])
        nats = torch.nn.functional.cross_entropy(
            gpt.eval()(inputs).mT, targets, ignore_index=IGNORE, reduction="none"
        )
        found.append(torch.stack([nats, targets])[:, targets != IGNORE])
    nats, targets = torch.cat(found, dim=1)
    is_mark = torch.isin(targets.long(), torch.tensor(marks))
    return {
        "marks": float(nats[is_mark].mean()),
        "characters": float(nats[~is_mark].mean()),
        "share_of_marks": float(is_mark.float().mean()),
    }


# -- the run ---------------------------------------------------------------------------------------


def train(gpt: GPT, rows: Rows, held_out: Rows) -> training.History:
    """Train, or go on with training; the model has the best weights at the end."""
    config = training.TrainConfig(
        steps=STEPS,
        optimizer="muon",
        lr=3e-3,
        muon_lr=0.02,
        weight_decay=0.1,
        warmup=100,
        final_share=0.0,
        evaluate_every=200,
        checkpoint_every=200,
        folder=str(FOLDER),
        device="cpu",
    )
    held = [poems.batch_of(held_out[i : i + BATCH]) for i in range(0, len(held_out), BATCH)]
    return training.train(gpt, poems.LikeLengths(rows, seed=0), config, held_out=held)


def best_model(gpt: GPT) -> GPT:
    """Give a model the weights of the evaluation with the lowest loss."""
    gpt.load_state_dict(training.read_checkpoint(training.best(FOLDER))["model"])
    return gpt.eval()


# -- what it writes --------------------------------------------------------------------------------


def written(gpt: GPT, tokenizer: Characters, temperature: float, seed: int = 0) -> list[str]:
    """Return poems that the model has written from nothing, without their ends."""
    samplers = [live_poems.Written(tokenizer), generation.Temperature(temperature)]
    done = generation.generate(
        gpt,
        [[tokenizer.special_ids[BEGIN]]] * WRITTEN,
        samplers,
        max_new_tokens=SIZES["max_length"] - 1,
        stop=tokenizer.special_ids[END],
        generator=torch.Generator().manual_seed(seed),
    )
    return ["".join(tokenizer.tokens[i] for i in ids).removesuffix(END) for ids in done.ids]


def about_written(texts: list[str], seen: list[str]) -> dict[str, float]:
    """Return how many poems have a form, and how many of their lines stand in the training."""
    lines = [line for text in texts for line in poems.lines_of(text)]
    known_lines = {line for text in seen for line in poems.lines_of(text)}
    return {
        "regular": sum(poems.form(text) is not None for text in texts) / len(texts),
        **{f"of_{n}": sum(poems.form(text) == n for text in texts) / len(texts) for n in FORMS},
        "ended_couplet": sum(text[-1:] in "。？！" for text in texts) / len(texts),
        "copied_lines": sum(line in known_lines for line in lines) / len(lines),
    }


# -- the record ------------------------------------------------------------------------------------


def rounded(values: dict[str, float]) -> dict[str, float]:
    """Return numbers with four digits behind the point."""
    return {name: round(value, 4) for name, value in values.items()}


def counted(parts: list[Rows], vocab_size: int) -> dict[str, float]:
    """Return the losses of what does not learn, on the test poems."""
    counts = Counts(parts[0], vocab_size)
    weight = min(WEIGHTS, key=lambda weight: counts.loss(parts[1], weight))
    losses = {
        "uniform": math.log(vocab_size),
        "unigram": counts.loss(parts[2]),
        "bigram": counts.loss(parts[2], weight),
    }
    return {**rounded(losses), "bigram_weight": weight}


def main() -> None:
    """Train, write the files of the page, and write the record."""
    texts, n_regular = poems.regular()
    parts = poems.parts_of(texts)
    tokenizer = poems.tokenizer_of(parts[0])
    rows = [poems.rows_of(part, tokenizer) for part in parts]
    device.seed_everything(0)
    gpt = GPT(GPTConfig(tokenizer.vocab_size, dropout=DROPOUT, **SIZES))
    history = train(gpt, rows[0], rows[1])
    if history.stopped:
        raise SystemExit("stopped: run this again to go on")
    in_page = live_poems.write(best_model(gpt), tokenizer, NAME)
    unknown = tokenizer.encode(UNKNOWN)[0]
    records.write(
        RESULT,
        range(1),
        settings={**SIZES, "dropout": DROPOUT, "batch": BATCH, "steps": STEPS, "common": COMMON},
        poems={"regular": n_regular, "kept": len(texts), "parts": list(map(len, parts))},
        tokens=[n_targets(part) for part in rows],
        unknown=[round(share_of(unknown, part), 4) for part in rows],
        parameters=sum(weight.numel() for weight in gpt.parameters()),
        kilobytes=live_models.kilobytes(NAME),
        seconds=round(history[-1]["seconds"]),
        best_step=history.best["step"],
        held_out=[[r["step"], round(r["held_out"], 4)] for r in history if "held_out" in r],
        counted=counted(rows, tokenizer.vocab_size),
        test=rounded({"float32": model_loss(gpt, rows[2]), "int8": model_loss(in_page, rows[2])}),
        by_kind=rounded(loss_by_kind(in_page, rows[2], marks_of(tokenizer))),
        written={
            str(t): rounded(about_written(written(in_page, tokenizer, t), parts[0]))
            for t in TEMPERATURES
        },
        copied_in_test=round(about_written(parts[2], parts[0])["copied_lines"], 4),
    )


if __name__ == "__main__":
    main()
