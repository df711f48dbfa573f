"""How fast a tokenizer is trained and encodes, and how fast stories are drawn.

Both sides train byte-level BPE on the same megabyte of text (Shakespeare, or stories of Tiny World
where it is out of reach), and encode it with the same merges: ours in Python, Hugging Face's
``tokenizers`` in Rust, on one core each. They take turns in one run (``benchmarks.pairs``). Seconds
are of the processor, so that other work on the machine disturbs them little. With a checkout of
minbpe, which is in Python too, that is compared on a smaller text. From the repository's root:

    python -m benchmarks.data_speed [--minbpe PATH]
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from benchmarks import pairs, records
from companion import data
from companion.tinyworld import TinyWorld
from companion.tokenizers import BPE
from companion.tokenizers.bpe import _visible_bytes

RESULT = records.RESULTS / "data_speed.json"
VOCAB_SIZE = 8000
STORIES = 100_000
# minbpe counts all pairs anew for each merge, so it is given less to do.
SMALL = {"characters": 100_000, "vocab_size": 512}
PAIRS = {"train": 5, "encode": 5, "train, small": 3, "encode, small": 3}


def corpus() -> tuple[str, str]:
    """Return the name of a text, and a megabyte of it."""
    try:
        return "tinyshakespeare", data.load("tinyshakespeare")["train"]
    except data.Unavailable:
        world = TinyWorld(0)
        return "Tiny World", "\n".join(world.story() for _ in range(9000))


def trained_by_tokenizers(text: str) -> Tokenizer:
    """Train with the library."""
    tokenizer = _empty(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE
    return tokenizer


def _empty(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


def same_for_tokenizers(ours: BPE) -> Tokenizer:
    """Return the library's tokenizer with our merges, whose words are written in other letters."""
    visible = _visible_bytes()

    def written(token: bytes) -> str:
        return "".join(visible[byte] for byte in token)

    vocab = {written(token): i for token, i in ours.ids.items()}
    return _empty(models.BPE(vocab, [(written(a), written(b)) for a, b in ours.merges]))


def minbpe_from(folder: Path) -> Any:
    """Return minbpe's tokenizer, which cuts a text into words as ours does."""
    sys.path.insert(0, str(folder))
    module = importlib.import_module("minbpe.regex")
    return lambda: module.RegexTokenizer(module.GPT2_SPLIT_PATTERN)


def same_for_minbpe(ours: BPE, new: Callable[[], Any]) -> Any:
    """Return minbpe's tokenizer with our merges."""
    theirs = new()
    theirs.merges = {(ours.ids[a], ours.ids[b]): ours.ids[a + b] for a, b in ours.merges}
    return theirs


def encoded(ours: BPE, text: str) -> list[int]:
    """Encode a text of which no word is remembered."""
    ours._ids_of_word.cache_clear()
    return ours.encode(text)


def duel(task: str, sides: dict[str, Callable[[], object]]) -> dict[str, Any]:
    """Let both sides take turns at a task."""
    times = pairs.alternating(sides, PAIRS[task], warm_up=1, clock=time.process_time)
    run = {"task": task, **pairs.compared(times)}
    print(json.dumps(run), flush=True)
    return run


def beside_tokenizers(text: str) -> list[dict[str, Any]]:
    """Train and encode beside Hugging Face's library."""
    ours = BPE.train(text, VOCAB_SIZE)
    theirs = same_for_tokenizers(ours)
    assert ours.vocab_size == VOCAB_SIZE
    assert ours.encode(text) == theirs.encode(text).ids
    training: dict[str, Callable[[], object]] = {
        "companion": lambda: BPE.train(text, VOCAB_SIZE),
        "tokenizers": lambda: trained_by_tokenizers(text),
    }
    encoding: dict[str, Callable[[], object]] = {
        "companion": lambda: encoded(ours, text),
        "tokenizers": lambda: theirs.encode(text),
    }
    return [duel("train", training), duel("encode", encoding)]


def beside_minbpe(text: str, folder: Path) -> list[dict[str, Any]]:
    """Train and encode beside minbpe."""
    text, size, new = text[: SMALL["characters"]], SMALL["vocab_size"], minbpe_from(folder)
    ours = BPE.train(text, size)
    theirs = same_for_minbpe(ours, new)
    assert ours.encode(text) == theirs.encode_ordinary(text)
    training: dict[str, Callable[[], object]] = {
        "companion": lambda: BPE.train(text, size),
        "minbpe": lambda: new().train(text, size),
    }
    encoding: dict[str, Callable[[], object]] = {
        "companion": lambda: encoded(ours, text),
        "minbpe": lambda: theirs.encode_ordinary(text),
    }
    return [duel("train, small", training), duel("encode, small", encoding)]


def stories_a_second() -> int:
    """Draw many stories."""
    world, start = TinyWorld(0), time.process_time()
    for _ in range(STORIES):
        world.story()
    return round(STORIES / (time.process_time() - start))


def main() -> None:
    """Measure, and write the record."""
    os.environ["RAYON_NUM_THREADS"] = "1"  # the library counts in parallel otherwise
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minbpe", type=Path, help="a checkout of minbpe, to compare with it too")
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    name, text = corpus()
    runs, beside = beside_tokenizers(text), {"tokenizers": tokenizers.__version__}
    if chosen.minbpe is not None:
        runs += beside_minbpe(text, chosen.minbpe)
        beside["minbpe"] = pairs.commit_of(chosen.minbpe)
    sizes = {"bytes": len(text.encode()), "vocab_size": VOCAB_SIZE, "small": SMALL}
    drawn = {"stories": STORIES, "stories_a_second": stories_a_second()}
    about = {"text": name, "sizes": sizes, "pairs": PAIRS, "beside": beside}
    records.write(chosen.out, range(1), **about, runs=runs, **drawn)


if __name__ == "__main__":
    main()
