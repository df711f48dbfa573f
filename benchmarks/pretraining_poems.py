"""Train the GPT that writes Chinese poems in the page, write its files, and record how it does.

Its data are the Tang poems whose lines all have five characters, or all seven. Of poems that are
nearly equal only the first is kept, so that no poem of the test has a copy in the training. A token
is a character; the rarest ones are all the same token, which stands for any of them. The weights
are those of the evaluation with the lowest loss on the validation poems; the test poems are used
once, at the end. Run from the repository's root, again if it was interrupted:

    OMP_NUM_THREADS=1 python -m benchmarks.pretraining_poems
"""

import math
import re
from collections import Counter
from itertools import pairwise

import torch
from torch import Tensor

from benchmarks import records
from companion import data, device, generation, training
from companion.models import GPT, GPTConfig
from companion.tokenizers import Characters
from tools import live_models, live_poems
from tools.live_poems import BEGIN, END, UNKNOWN, known

RESULT = records.RESULTS / "pretraining_poems.json"
NAME = "tang-poems"
FOLDER = records.KEPT / "pretraining_poems"
FORMS = (5, 7)  # characters of a line
ENDS = "，。？！；"  # of lines; with 。？！ a couplet ends
ALIKE = {"threshold": 0.5, "k": 3, "bands": 64, "rows": 2}  # what counts as nearly equal
PARTS = (0.9, 0.05, 0.05)  # training, validation, test
COMMON = 3000  # characters with a token of their own, the marks of `ENDS` included
SIZES = {"max_length": 128, "d_model": 128, "n_layers": 4, "n_heads": 4}
DROPOUT, BATCH, STEPS = 0.3, 32, 2500
WEIGHTS = (50, 100, 200, 400, 800)  # of the prior of pairs; the best for validation is taken
WRITTEN, TEMPERATURES = 200, (0.8, 1.0)
IGNORE = -100

Rows = list[list[int]]


# -- poems -----------------------------------------------------------------------------------------


def lines_of(poem: str) -> list[str]:
    """Return a poem's lines without the marks at their ends; a line without mark is one, too.

    >>> lines_of("牀前看月光，疑是地上霜。舉頭")
    ['牀前看月光', '疑是地上霜', '舉頭']
    """
    return [line for line in re.split(f"[{ENDS}]", poem) if line]


def form(poem: str) -> int | None:
    """Return how many characters each line has, if this is one of `FORMS`.

    >>> form("舉頭望山月，低頭思故鄉。"), form("舉頭望山月，低頭。")
    (5, None)
    """
    lengths = {len(line) for line in lines_of(poem)}
    return lengths.pop() if len(lengths) == 1 and lengths <= set(FORMS) else None


def is_plain(poem: str) -> bool:
    """Tell whether there are only characters and marks, and none for what is illegible."""
    return all(each.isalpha() for line in lines_of(poem) for each in line) and poem[-1] in ENDS


def poems() -> tuple[list[str], int]:
    """Return the poems that are kept, and how many there were of their form."""
    parts = data.load("tang_poems").values()
    texts = ["".join(poem.lines) for part in parts for poem in part if poem.lines]
    regular = [text for text in texts if form(text) and is_plain(text)]
    copies = {later for _, later, _ in data.near_duplicates(regular, **ALIKE)}
    return [text for i, text in enumerate(regular) if i not in copies], len(regular)


def couplets(poem: str) -> list[str]:
    """Return what stands between two full stops.

    >>> couplets("床前看月光，疑是地上霜。舉頭望山月，低頭思故鄉。")
    ['床前看月光，疑是地上霜。', '舉頭望山月，低頭思故鄉。']
    """
    return re.findall("[^。？！]+[。？！]?", poem)


def pieces(poem: str) -> list[str]:
    """Return a poem in pieces that fit into the model, mostly one; `END` is of the last."""
    room, found = SIZES["max_length"] - 1, [""]
    for couplet in couplets(poem):
        if len(found[-1]) + len(couplet) > room:
            found.append("")
        found[-1] += couplet
    return [*(piece for piece in found[:-1] if piece), found[-1] + END]


# -- tokens ----------------------------------------------------------------------------------------


def tokenizer_of(texts: list[str]) -> Characters:
    """Return a vocabulary of the most common characters, and the token for all others."""
    counts = Counter("".join(texts))
    common = sorted(counts, key=lambda each: (-counts[each], each))[:COMMON]
    return Characters([*common, UNKNOWN], [BEGIN, END])


def rows_of(texts: list[str], tokenizer: Characters) -> Rows:
    """Return the ids of all pieces, `BEGIN` before each."""
    return [
        tokenizer.encode(BEGIN + known(piece.removesuffix(END), tokenizer), allow_special=True)
        + [tokenizer.special_ids[END]] * piece.endswith(END)
        for text in texts
        for piece in pieces(text)
    ]


def batch_of(rows: Rows) -> tuple[Tensor, Tensor]:
    """Return inputs and targets (B, T); targets are filled up with `IGNORE`."""
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in rows], batch_first=True, padding_value=IGNORE
    )
    return ids[:, :-1].clamp(min=0), ids[:, 1:]


class LikeLengths:
    """Batches of rows of like lengths, so that little is filled up; `batches(i)` is number i."""

    def __init__(self, rows: Rows, seed: int) -> None:
        self.rows, self.seed = rows, seed
        self.n_batches = len(rows) // BATCH

    def __call__(self, i: int) -> tuple[Tensor, Tensor]:
        """Return a batch; rows of one length stand in a new order in each epoch."""
        epoch, place = divmod(i, self.n_batches)
        draw = torch.Generator().manual_seed(1000 * self.seed + epoch)
        shuffled = torch.randperm(len(self.rows), generator=draw).tolist()
        ordered = sorted(shuffled, key=lambda row: len(self.rows[row]))
        start = int(torch.randperm(self.n_batches, generator=draw)[place]) * BATCH
        return batch_of([self.rows[row] for row in ordered[start : start + BATCH]])


# -- what to compare with --------------------------------------------------------------------------


def n_targets(rows: Rows) -> int:
    """Return how many tokens have to be said."""
    return sum(len(row) - 1 for row in rows)


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
    batches = [batch_of(ordered[i : i + BATCH]) for i in range(0, len(rows), BATCH)]
    return training.evaluate(gpt.eval(), batches)["loss"]


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
    held = [batch_of(held_out[i : i + BATCH]) for i in range(0, len(held_out), BATCH)]
    return training.train(gpt, LikeLengths(rows, seed=0), config, held_out=held)


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
    lines = [line for text in texts for line in lines_of(text)]
    known_lines = {line for text in seen for line in lines_of(text)}
    return {
        "regular": sum(form(text) is not None for text in texts) / len(texts),
        **{f"of_{n}": sum(form(text) == n for text in texts) / len(texts) for n in FORMS},
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
    texts, n_regular = poems()
    parts = [[texts[i] for i in part] for part in data.random_split(len(texts), PARTS, seed=0)]
    tokenizer = tokenizer_of(parts[0])
    rows = [rows_of(part, tokenizer) for part in parts]
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
        written={
            str(t): rounded(about_written(written(in_page, tokenizer, t), parts[0]))
            for t in TEMPERATURES
        },
        copied_in_test=round(about_written(parts[2], parts[0])["copied_lines"], 4),
    )


if __name__ == "__main__":
    main()
