"""Train the stacks of *Why it is built so* at several depths and learning rates, and record them.

Models, data and training loop are the chapter's own cells (tagged ``measured``). Each training is
a run of its own, with one thread. Finished runs are kept in ``_build/benchmarks``, so that the
script goes on where it was stopped. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.transformer_norms [--seeds 3]
"""

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import torch

from benchmarks import records

CHAPTER = records.chapter("transformer/why")
RESULT = records.RESULTS / "transformer_norms.json"
DEPTHS = (2, 4, 8, 16, 32)
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03)
KINDS = ("pre", "post", "post, warm-up", "no residual")


def chapter_code() -> dict[str, Any]:
    """Run the cells that define the experiment, and return what they define."""
    return records.chapter_code(CHAPTER, "transformer-why-imports", "measured")


def cases(seeds: range) -> Iterator[dict[str, Any]]:
    """Go through all trainings, seed by seed; one of the deepest without residuals is enough."""
    for seed in seeds:
        for depth in DEPTHS:
            for kind in KINDS:
                for rate in RATES:
                    if depth < 32 or kind != "no residual":
                        yield {"kind": kind, "depth": depth, "rate": rate, "seed": seed}


def trainer(code: dict[str, Any]) -> Any:
    """Return what makes one training and says how far above the floor it ends."""
    settings = code["Settings"]()
    residuals = {"pre": code["transformer"].PreNorm, "no residual": code["NoResidual"]}

    def run(kind: str, depth: int, rate: float, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        residual = residuals.get(kind, code["transformer"].PostNorm)
        model = code["build"](settings.d_model, depth, residual=residual)
        warmup = settings.warmup if kind.endswith("warm-up") else 1
        draw = code["stories_of"](seed, settings.batch)
        with contextlib.redirect_stdout(io.StringIO()):
            history = code["fit"](model, draw, settings.steps, rate, warmup)
        return {"above_floor": code["above_floor"](model), "first_loss": history[0]}

    return run


def main() -> None:
    """Make all trainings, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=3), chapter_code()
    torch.set_num_threads(1)
    runs = records.kept_runs(RESULT.stem, cases(seeds), trainer(code))
    groups = records.by_seed(runs)
    settings = {**vars(code["Settings"]()), "depths": list(DEPTHS), "rates": list(RATES)}
    known = {name: round(code[name], 4) for name in ("floor", "guess")}
    records.write(RESULT, seeds, settings=settings, **known, runs=groups)


if __name__ == "__main__":
    main()
