"""Train mixtures of experts and dense models of the chapter *Model families*, and record them.

Models, data, training loops and measures are the notebook's own cells: those tagged ``mixture``
train language models on Tiny World, those tagged ``tables`` small layers on a task that needs many
weights. Finished runs are kept in ``_build/benchmarks``, so that the script goes on where it was
stopped. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.families_experts [--seeds 5]
"""

import contextlib
import dataclasses
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks import records
from companion.tinyworld import TinyWorld

CHAPTER = records.chapter("model-families/experts")
RESULT = records.RESULTS / "families_experts.json"
EXAMPLES = records.KEPT / "families_experts_examples.json"
MODELS = {
    "same active": ("same active", 0.0),
    "same total": ("same total", 0.0),
    "mixture": ("mixture", 0.01),
    "mixture, not balanced": ("mixture", 0.0),
}
LAYERS = {
    "same active": ("same active", 0.0),
    "same total": ("same total", 0.0),
    "mixture": ("mixture", 0.1),
    "mixture, not balanced": ("mixture", 0.0),
}
CPU = torch.device("cpu")


def chapter_code(tag: str) -> dict[str, Any]:
    """Run the cells that define one of the two experiments, and return what they define."""
    return records.chapter_code(CHAPTER, "experts-imports", tag)


def language_model(code: dict[str, Any]) -> Callable[..., dict[str, float]]:
    """Return what trains one language model and measures it."""

    def run(model: str, seed: int) -> dict[str, float]:
        kind, balance = MODELS[model]
        settings = dataclasses.replace(code["Settings"](), balance=balance)
        start = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()):
            trained, loads = code["train"](kind, settings, seed, CPU)
        spent = time.process_time() - start
        measured = {
            "parameters": sum(p.numel() for p in trained.parameters()),
            "above_floor": code["above_floor"](trained),
            "milliseconds_a_step": 1000 * spent / settings.steps,
        }
        if kind == "mixture":
            measured |= routing_of(code, trained, loads[-10:].mean(axis=0))
        if (model, seed) == ("mixture", 0):
            EXAMPLES.write_text(json.dumps(examples(code, trained)), encoding="utf-8")
        return measured

    return run


def routing_of(code: dict[str, Any], model: Any, loads: np.ndarray) -> dict[str, float]:
    """Measure how even the load of the last steps was, and what word classes say of experts."""
    generator = np.random.default_rng(0)
    labels = {
        "class": lambda words: code["CLASSES"][words],
        "word": lambda words: words,
        "shuffled": lambda words: generator.permutation(code["CLASSES"][words]),
    }
    shares = {name: code["determined"](model, label) for name, label in labels.items()}
    return {
        "largest_load": loads.max(),
        "smallest_load": loads.min(),
        **{
            f"{name}_{layer + 1}": share
            for name, of_layers in shares.items()
            for layer, share in enumerate(of_layers)
        },
    }


def untrained(code: dict[str, Any]) -> Callable[..., dict[str, float]]:
    """Return what measures how a router chooses before any training."""

    def run(seed: int) -> dict[str, float]:
        code["device"].seed_everything(seed)
        settings = code["Settings"]()
        level = np.full((1, settings.n_experts), settings.n_active / settings.n_experts)
        shares = routing_of(code, code["build"]("mixture", settings), level)
        return {name: share for name, share in shares.items() if "load" not in name}

    return run


def examples(code: dict[str, Any], model: Any) -> dict[str, Any]:
    """Return three stories, and for each layer the numbers of the experts of each word."""
    source, told = TinyWorld(seed=7), []
    while len(told) < 3:
        story = source.story()
        if len(code["tokenizer"].encode(story)) <= 24:
            told.append(story)
    found = []
    for story in told:
        ids = torch.tensor([[code["START"], *code["tokenizer"].encode(story)]])
        with torch.no_grad():
            model(ids)
        chosen = [routing.chosen[0, 1:].sort(dim=-1).values + 1 for routing in model.routings]
        found.append([" ".join(f"{one}{two}" for one, two in c.tolist()) for c in chosen])
    tokens = [
        [code["tokenizer"].tokens[i].strip() for i in code["tokenizer"].encode(s)] for s in told
    ]
    return {"stories": [" ".join(words) for words in tokens], "choices": found}


def layer(code: dict[str, Any]) -> Callable[..., dict[str, float]]:
    """Return what trains one layer on the tables and measures it."""

    def run(model: str, seed: int) -> dict[str, float]:
        kind, balance = LAYERS[model]
        with contextlib.redirect_stdout(io.StringIO()):
            trained, history = code["learn_tables"](kind, balance, seed)
        measured = {
            "parameters": sum(p.numel() for p in trained.parameters()),
            "error": code["error_of"](trained, seed),
        }
        if kind == "mixture":
            measured["in_use"] = code["in_use"](history)
        return measured

    return run


def cases(names: Any, seeds: range) -> Iterator[dict[str, Any]]:
    """Go through the models, seed by seed."""
    return ({"model": name, "seed": seed} for seed in seeds for name in names)


def main() -> None:
    """Make all trainings, and write the record."""
    seeds = records.seeds_from_command_line(__doc__)
    tables = chapter_code("tables")
    layers = records.kept_runs("families_experts_tables", cases(LAYERS, seeds), layer(tables))
    code = chapter_code("mixture")
    run = language_model(code)
    trained = records.kept_runs("families_experts_models", cases(MODELS, seeds), run)
    fresh = records.kept_runs(
        "families_experts_untrained", ({"seed": seed} for seed in seeds), untrained(code)
    )
    records.write(
        RESULT,
        seeds,
        settings=vars(code["Settings"]()),
        table_settings=vars(tables["Tables"]()),
        models=records.by_seed(trained),
        untrained=records.by_seed(fresh),
        layers=records.by_seed(layers),
        examples=json.loads(EXAMPLES.read_text(encoding="utf-8")),
    )


if __name__ == "__main__":
    main()
