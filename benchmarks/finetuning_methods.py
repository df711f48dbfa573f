"""Measure six ways to train few parameters: what they reach, and the time and memory of a step.

The methods, their learning rates and the GPT that they change are the cells of *Few parameters,
trained well* (tagged ``labels`` and ``methods``). One GPT a seed is pretrained; each method then
learns from 1,500 labels of that seed. For time and memory all methods take the same training step
in turn: forward pass, loss, backward pass and AdamW. Run on an idle machine; what is interrupted
goes on where it was:

    OMP_NUM_THREADS=1 python -m benchmarks.finetuning_methods [--seeds 3]
"""

import contextlib
import io
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from benchmarks import finetuning_labels, pairs, records
from benchmarks.finetuning_labels import CHAPTER, TESTED, pretrained
from companion import finetuning, optim

RESULT = records.RESULTS / "finetuning_methods.json"
LABELS, STEPS, ROUNDS = 1500, 100, 60

Code = dict[str, Any]


@cache
def chapter_code() -> Code:
    """Return what the chapter's cells of the experiment define."""
    methods = records.chapter_code(CHAPTER, "adapting-imports", "methods")
    return finetuning_labels.chapter_code() | methods


@cache
def stories(n: int, seed: int) -> list[tuple[list[int], int]]:
    """Return labelled stories without a template."""
    found: list[tuple[list[int], int]] = chapter_code()["labelled"](n, seed, lambda text: text)
    return found


def reached(method: str, seed: int) -> dict[str, float]:
    """Return the accuracy of one method on new stories."""
    code = chapter_code()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        model = code["made"](method, pretrained(seed))
        code["fit"](model, stories(LABELS, 4321 + seed), STEPS, code["TUNED_AT"][method], seed)
    return {"accuracy": code["accuracy"](model, stories(TESTED, 77))}


def with_frozen_buffers(model: Any) -> Any:
    """Return a model whose frozen parameters are buffers, as PyTorch's MemTracker wants them."""
    for module in model.modules():
        for name, p in list(module.named_parameters(recurse=False)):
            if not p.requires_grad:
                delattr(module, name)
                module.register_buffer(name, p.detach())
    return model


def step_of(model: Any) -> Callable[[], None]:
    """Return a function that takes a training step with one and the same batch."""
    ids, mask, labels = chapter_code()["with_labels"](stories(32, 5))
    trained = [p for p in model.parameters() if p.requires_grad]
    adamw = optim.AdamW(trained, lr=1e-5)

    def step() -> None:
        adamw.zero_grad()
        model.loss(ids, labels, mask).backward()
        adamw.step()

    return step


def costs() -> dict[str, Code]:
    """Return for each method what is trained, and what a step takes beside full fine-tuning."""
    code = chapter_code()
    models = {method: code["made"](method, pretrained(0)) for method in code["METHODS"]}
    trained = {name: finetuning.count_trainable(model).trainable for name, model in models.items()}
    steps = {name: step_of(with_frozen_buffers(model)) for name, model in models.items()}
    for step in steps.values():
        step()  # AdamW's state is there before anything is measured
    times = pairs.alternating(steps, ROUNDS, clock=time.process_time)
    found = {}
    for method, model in models.items():
        both = pairs.compared({method: times[method], "all of it": times["everything"]})
        found[method] = {
            "trained": trained[method],
            "megabytes": pairs.megabytes(steps[method], model),
            "times_as_fast": both["times_as_fast"]["all of it"],
        }
    return found


def main() -> None:
    """Measure, and write the record."""
    seeds = records.seeds_from_command_line(__doc__, default=3)
    torch.set_num_threads(1)
    methods = chapter_code()["METHODS"]
    cases = [{"method": method, "seed": seed} for method in methods for seed in seeds]
    runs = records.untimed(records.kept_runs(RESULT.stem, cases, reached))
    records.write(
        RESULT,
        seeds,
        labels=LABELS,
        steps=STEPS,
        tested=TESTED,
        costs=costs(),
        runs=records.by_seed(runs),
    )


if __name__ == "__main__":
    main()
