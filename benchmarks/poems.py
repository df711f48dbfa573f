"""The Tang poems as rows of tokens: what `benchmarks.pretraining_poems` trains on.

It has the poems whose lines all have five characters, or all seven. Of poems that are nearly equal
only the first is kept, so that no poem of the test has a copy in the training. A token is a
character; the rarest ones are all the same token, which stands for any of them.
"""

import re
from collections import Counter

import torch
from torch import Tensor

from companion import data
from companion.tokenizers import Characters
from tools.models.live_drawing import couplets
from tools.models.live_poems import BEGIN, END, UNKNOWN, known

FORMS = (5, 7)  # characters of a line
ENDS = "，。？！；"  # of lines; with 。？！ a couplet ends
ALIKE = {"threshold": 0.5, "k": 3, "bands": 64, "rows": 2}  # what counts as nearly equal
PARTS = (0.9, 0.05, 0.05)  # training, validation, test
COMMON = 3000  # characters with a token of their own, the marks of `ENDS` included
MAX_LENGTH = 128  # tokens of a row but the last, which is only a target
BATCH = 32
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


def regular() -> tuple[list[str], int]:
    """Return the poems that are kept, and how many there were of their form."""
    parts = data.load("tang_poems").values()
    texts = ["".join(poem.lines) for part in parts for poem in part if poem.lines]
    plain = [text for text in texts if form(text) and is_plain(text)]
    copies = {later for _, later, _ in data.near_duplicates(plain, **ALIKE)}
    return [text for i, text in enumerate(plain) if i not in copies], len(plain)


def parts_of(texts: list[str]) -> list[list[str]]:
    """Return the poems of training, validation and test."""
    return [[texts[i] for i in part] for part in data.random_split(len(texts), PARTS, seed=0)]


def pieces(poem: str) -> list[str]:
    """Return a poem in pieces that fit into the model, mostly one; `END` is of the last."""
    room, found = MAX_LENGTH - 1, [""]
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


def n_targets(rows: Rows) -> int:
    """Return how many tokens have to be said."""
    return sum(len(row) - 1 for row in rows)
