"""Take parts of the Transformer away, one by one, and record what each is worth.

Models, data and training loop are the cells of *Why it is built so* (tagged ``measured``). Each
variant is trained at several learning rates. Finished runs are kept, as in `transformer_norms`.
Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.transformer_ablations [--seeds 3]
"""

import contextlib
import io
from typing import Any

import torch

from benchmarks import records
from benchmarks.transformer_norms import chapter_code

RESULT = records.RESULTS / "transformer_ablations.json"
RATES = (0.001, 0.003, 0.01)
STEPS = 300


def trainer(code: dict[str, Any]) -> Any:
    """Return what trains one variant, and says how far above the floor it ends."""
    settings = code["Settings"]()

    def run(variant: str, rate: float, seed: int) -> dict[str, float]:
        torch.manual_seed(seed)
        model = code["build"](settings.d_model, **code["VARIANTS"][variant])
        with contextlib.redirect_stdout(io.StringIO()):
            code["fit"](model, code["stories_of"](seed, settings.batch), STEPS, rate)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        return {"above_floor": code["above_floor"](model), "parameters": parameters}

    return run


def main() -> None:
    """Make all trainings, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__, default=3), chapter_code()
    torch.set_num_threads(1)
    cases = (
        {"variant": variant, "rate": rate, "seed": seed}
        for seed in seeds
        for variant in code["VARIANTS"]
        for rate in RATES
    )
    groups = records.by_seed(records.kept_runs(RESULT.stem, cases, trainer(code)))
    settings = {**vars(code["Settings"]()), "steps": STEPS, "rates": list(RATES)}
    known = {name: round(code[name], 4) for name in ("floor", "guess")}
    records.write(RESULT, seeds, settings=settings, **known, runs=groups)


if __name__ == "__main__":
    main()
