"""Build the leaderboard of *When the model answers in words* from what other scripts have recorded.

Nothing is measured here. Each entry names a record and the place of its values, one for each seed;
the page holds the text that this script prints, and a test compares the two. Run from the
repository's root:

    python -m benchmarks.evaluation_leaderboard
"""

import json
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from benchmarks import records

Record = dict[str, Any]


class Entry(NamedTuple):
    """A model on a task, and where its values are recorded."""

    task: str
    model: str
    record: str
    values: Callable[[Record], list[float]]


def one_of(key: str, measure: str, **wanted: Any) -> Callable[[Record], list[float]]:
    """Return what finds the values of the one run in a list that is wanted."""

    def find(record: Record) -> list[float]:
        (run,) = (r for r in record[key] if all(r[name] == wanted[name] for name in wanted))
        return list(run[measure]["values"])

    return find


def at(*keys: str) -> Callable[[Record], list[float]]:
    """Return what finds the values at a place of a record."""

    def find(record: Record) -> list[float]:
        found: Any = record
        for key in keys:
            found = found[key]
        return list(found["values"])

    return find


def scaled(d_model: int, n_layers: int, steps: int) -> Callable[[Record], list[float]]:
    """Return what finds a model of the scaling law."""
    return one_of("runs", "above_floor", d_model=d_model, n_layers=n_layers, steps=steps)


def alone(record: Record) -> list[float]:
    """Return the test loss of the poems' only run."""
    return [record["test"]["float32"]]


WORLD, SHAKESPEARE, DIGITS = "stories", "Shakespeare", "digits"
CHINESE, ASKED, POEMS = "into Chinese", "questions", "poems"
ENTRIES = [
    Entry(WORLD, "64 x 2, 64,000 stories", "pretraining_scaling", scaled(64, 2, 2000)),
    Entry(WORLD, "64 x 2, 48,000", "pretraining_floor", at("runs", "above_floor")),
    Entry(WORLD, "96 x 3, 32,000", "pretraining_scaling", scaled(96, 3, 1000)),
    Entry(WORLD, "32 x 2, 64,000", "pretraining_scaling", scaled(32, 2, 2000)),
    Entry(WORLD, "64 x 3, 14,400", "transformer_writes", at("runs", "above_the_floor")),
    Entry(
        WORLD,
        "64 x 2, 6,400",
        "families_experts",
        one_of("models", "above_floor", model="same active"),
    ),
    Entry(
        WORLD,
        "experts, 6,400",
        "families_experts",
        one_of("models", "above_floor", model="mixture"),
    ),
    Entry(SHAKESPEARE, "fast recipe", "speedrun", at("recipes", "fast", "loss")),
    Entry(SHAKESPEARE, "plain recipe", "speedrun", at("recipes", "plain", "loss")),
    Entry(SHAKESPEARE, "nanoGPT's recipe", "speedrun", at("recipes", "nanogpt", "loss")),
    Entry(DIGITS, "CNN", "families_images", one_of("digits", "accuracy", network="CNN")),
    Entry(DIGITS, "ViT", "families_images", one_of("digits", "accuracy", network="ViT")),
    Entry(
        CHINESE, "rotary positions", "transformer_translates", at("runs", "rotary", "exact_match")
    ),
    Entry(
        CHINESE,
        "without rotary",
        "transformer_translates",
        at("runs", "without rotary", "exact_match"),
    ),
    Entry(
        ASKED,
        "loss on answers",
        "finetuning_instructions",
        one_of("runs", "exact", loss="answer only"),
    ),
    Entry(
        ASKED,
        "loss on everything",
        "finetuning_instructions",
        one_of("runs", "exact", loss="everything"),
    ),
    Entry(POEMS, "128 x 4", "pretraining_poems", alone),
]


@cache
def recorded(name: str) -> Record:
    """Return a record."""
    found: Record = json.loads((records.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def line(entry: Entry) -> str:
    """Return a line of the leaderboard: task, model, and its values."""
    values = entry.values(recorded(entry.record))
    return f"{entry.task} | {entry.model} | {' '.join(f'{value:g}' for value in values)}"


def text() -> str:
    """Return all lines."""
    return "\n".join(map(line, ENTRIES))


if __name__ == "__main__":
    print(text())
