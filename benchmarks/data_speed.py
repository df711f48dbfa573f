"""How fast a tokenizer is trained and stories are drawn, beside Hugging Face's ``tokenizers``.

Both train byte-level BPE on the same megabyte of text (Shakespeare, or stories of Tiny World where
it is out of reach) in the same run, ours in Python on one core, theirs in Rust. Seconds are of the
processor, so that other work on the machine disturbs them little. From the repository's root:

    python -m benchmarks.data_speed [--seeds 3]
"""

import os
import time
from collections.abc import Callable

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from benchmarks import records
from companion import data
from companion.tinyworld import TinyWorld
from companion.tokenizers import BPE

RESULT = records.RESULTS / "data_speed.json"
VOCAB_SIZE = 8000
STORIES = 100_000


def corpus() -> tuple[str, str]:
    """Return the name of a text, and a megabyte of it."""
    try:
        return "tinyshakespeare", data.load("tinyshakespeare")["train"]
    except data.Unavailable:
        world = TinyWorld(0)
        return "Tiny World", "\n".join(world.story() for _ in range(9000))


def theirs(text: str) -> None:
    """Train with the library."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    assert tokenizer.get_vocab_size() == VOCAB_SIZE


def ours(text: str) -> None:
    """Train with the companion."""
    assert BPE.train(text, VOCAB_SIZE).vocab_size == VOCAB_SIZE


def draw(seed: int) -> None:
    """Draw many stories."""
    world = TinyWorld(seed)
    for _ in range(STORIES):
        world.story()


def seconds_of(work: Callable[[], None]) -> float:
    """Return the seconds of the processor that some work takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure, and write the record."""
    os.environ["RAYON_NUM_THREADS"] = "1"  # the library counts in parallel otherwise
    seeds = records.seeds_from_command_line(__doc__, default=3)
    name, text = corpus()

    def run(seed: int) -> dict[str, float]:
        times = {
            "bpe_seconds": seconds_of(lambda: ours(text)),
            "tokenizers_seconds": seconds_of(lambda: theirs(text)),
            "stories_seconds": seconds_of(lambda: draw(seed)),
        }
        ratio = times["bpe_seconds"] / times["tokenizers_seconds"]
        return {**times, "times_slower_than_tokenizers": ratio}

    measured = records.over_seeds(run, seeds)
    sizes = {"bytes": len(text.encode()), "vocab_size": VOCAB_SIZE, "stories": STORIES}
    records.write(RESULT, seeds, text=name, sizes=sizes, runs=[measured])


if __name__ == "__main__":
    main()
