"""What a cache saves: our GPT with and without one, in three sizes and at several lengths.

Both ways write the same tokens and take turns; a turn is counted by the time for which the
processor works, in one thread, and the median of the ratios is what counts. From the repository's
root, on an idle machine:

    python -m benchmarks.generation_cache
"""

from typing import Any

import torch

from benchmarks import records
from benchmarks.generation_speed import GPT, N_PROMPT, both, in_turns
from companion import generation

RESULT = records.RESULTS / "generation_cache.json"
#: Size, tokens that are written, and pairs.
CASES = (
    ("tiny", 50, 15),
    ("tiny", 100, 15),
    ("tiny", 200, 15),
    ("tiny", 400, 8),
    ("small", 200, 9),
    ("wide", 200, 3),
)


def compared(size: str, n_new: int, pairs: int) -> dict[str, Any]:
    """Compare a model that keeps keys and values with itself when it does not."""
    ours, _ = both("GPT", size)
    prompt = [list(range(1, N_PROMPT + 1))]

    def write(cache: bool) -> list[list[int]]:
        return generation.generate(ours, prompt, max_new_tokens=n_new, cache=cache).ids

    assert write(True) == write(False)
    chosen = {"cached": lambda: write(True), "uncached": lambda: write(False)}
    return {"size": size, "new_tokens": n_new, "pairs": pairs, **in_turns(chosen, pairs)}


def main() -> None:
    """Measure, and write the record."""
    torch.set_num_threads(1)
    runs = []
    for case in CASES:
        runs.append(compared(*case))
        print(runs[-1], flush=True)
    records.write(RESULT, range(1), sizes=GPT, prompt=N_PROMPT, runs=runs)


if __name__ == "__main__":
    main()
