"""Count what follows what in Tiny Shakespeare, in five vocabularies, as *Real text* does.

Loading, counting and smoothing are the notebook's own cells (tagged ``counts``), so that what is
measured is what is printed there. Nothing is random. Run from the repository's root, with the data
at hand:

    python -m benchmarks.pretraining_text
"""

from typing import Any

import numpy as np

from benchmarks import records
from companion.tokenizers import BPE, Characters

CHAPTER = records.chapter("pretraining/text")
RESULT = records.RESULTS / "pretraining_text.json"
VOCABULARIES = (512, 1024, 2048, 4096)
ORDERS = range(1, 6)


def chapter_code() -> dict[str, Any]:
    """Run the cells that define the experiment, and return what they define."""
    return records.chapter_code(CHAPTER, "text-imports", "counts")


def tokenizers(text: str) -> dict[str, Any]:
    """Return a tokenizer for each size of vocabulary; pieces are learnt from the training part."""
    known: dict[str, Any] = {}
    characters = Characters(sorted(set(text)))
    known[str(characters.vocab_size)] = characters
    train = text[: int(0.9 * len(text))]
    for size in VOCABULARIES:
        known[str(size)] = BPE.train(train, size)
    return known


def counted(tokenizer: Any, code: dict[str, Any]) -> tuple[int, list[float]]:
    """Return the tokens of the held-out text, and the loss of each length of window."""
    text = code["text"]
    cut = int(0.9 * len(text))
    train, new = (np.array(tokenizer.encode(part)) for part in (text[:cut], text[cut:]))
    V = tokenizer.vocab_size
    losses = [float(code["surprise"](train, new, n, V).mean()) for n in ORDERS]
    return len(new), [round(loss, 4) for loss in losses]


def without_a_tenth(code: dict[str, Any]) -> dict[str, float]:
    """Return the loss of the 5-gram that has not read the first or the last tenth."""
    train, tenth = code["train_ids"], len(code["train_ids"]) // 10
    parts = {"without_first": train[tenth:], "without_last": train[:-tenth]}
    return {
        name: float(code["surprise"](part, code["valid_ids"], 5, code["V"]).mean())
        for name, part in parts.items()
    }


def main() -> None:
    """Measure, and write the record."""
    code = chapter_code()
    text = code["text"]
    found = {name: counted(one, code) for name, one in tokenizers(text).items()}
    records.write(
        RESULT,
        range(0),
        characters=len(text),
        bytes=len(text[int(0.9 * len(text)) :].encode()),
        tokens={name: n for name, (n, _) in found.items()},
        nats={name: losses for name, (_, losses) in found.items()},
        orders=[round(float(loss), 4) for loss in code["on_new"]],
        **{name: round(loss, 4) for name, loss in without_a_tenth(code).items()},
    )


if __name__ == "__main__":
    main()
