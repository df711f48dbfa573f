"""Run every experiment of *What a score does not show* with several seeds.

Data, models, training, attacks and measures are the notebook's own cells (tagged ``trust``), so
that what is measured is what is printed there. The digits are split, their labels spoilt and the
stories drawn anew for each seed. What is measured once is kept, so that a run that was broken off
goes on. Run from the repository's root:

    OMP_NUM_THREADS=1 python -m benchmarks.evaluation_trust [--seeds 5]

The language models take longest; they are trained with the first three seeds.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks import records
from companion import models
from companion.tinyworld import TinyWorld

CHAPTER = records.chapter("evaluation/trust")
RESULT = records.RESULTS / "evaluation_trust.json"
LANGUAGE_SEEDS = 3
EPSILON = 0.1
STORIES, HELD_OUT, EXPLAINED, READ = 500, 200, 60, 10

Code = dict[str, Any]
Measured = dict[str, float]


def chapter_code() -> Code:
    """Return what the chapter's cells of the experiments define."""
    return records.chapter_code(CHAPTER, "trust-imports", "trust")


def flat(nested: Mapping[str, Mapping[str, float]]) -> Measured:
    """Return numbers by model and measure as numbers by both names."""
    return {f"{a}: {b}": float(x) for a, row in nested.items() for b, x in row.items()}


def robustness(code: Code, seed: int) -> Measured:
    """Train both readers of digits, and attack them."""
    steps = code["Settings"]().digit_steps
    x, y, x_test, y_test = code["digits"](seed)
    found = {}
    for name, epsilon in (("plain", 0.0), ("adversarial", EPSILON)):
        model = code["train_digits"](x, y, seed, steps, epsilon)
        found[name] = code["attacked"](model, x_test, y_test, EPSILON)
    return flat(found)


def sentiment(code: Code, seed: int) -> Measured:
    """Train both models of sentiment, exchange words, and explain what they say."""
    steps = code["Settings"]().sentiment_steps
    tales = code["drawn"](2 * seed + 1, STORIES)
    held_out = code["drawn"](2 * seed + 2, HELD_OUT)
    found = {}
    for name, change in (("plain", None), ("augmented", code["renewed"])):
        model = code["train_sentiment"](tales, seed, steps, change)
        distance, differs = code["explained_twice"](model, held_out[:EXPLAINED])
        found[name] = {
            **code["judged"](model, held_out),
            **code["on_the_opening"](model, held_out),
            "distance": distance,
            "differs": differs,
        }
    return flat(found)


def privacy(code: Code, seed: int) -> Measured:
    """Train four readers of spoilt labels, and infer who was a member."""
    four = code["four_models"](seed, code["Settings"]())
    return flat({name: code["leaks"](model, seed) for name, model in four.items()})


def bias(code: Code, seed: int) -> Measured:
    """Train on the skewed text and on the balanced one, and ask for the library."""
    steps = code["Settings"]().language_steps
    found = {}
    for name in ("skewed", "balanced"):
        gpt, _ = code["train_gpt"](code[name], code["begun"], seed, steps)
        found[name] = code["groups"](code["says_library"](gpt))
    return flat(found)


def inside(code: Code, seed: int) -> Measured:
    """Probe a language model and one that has learnt nothing, and read its stream."""
    steps = code["Settings"]().lens_steps
    gpt, _ = code["train_gpt"](TinyWorld.draw, code["whole"], seed, steps, 3)
    torch.manual_seed(seed)
    untrained = models.GPT(gpt.config).eval()
    found = {
        f"{name}, {task}": row
        for name, model in (("trained", gpt), ("untrained", untrained))
        for task, row in code["both_tasks"](model).items()
    }
    kl = code["lens"](gpt, code["drawn"](2, READ))
    return flat(found) | {f"kl {i}": value for i, value in enumerate(kl.tolist())}


EXPERIMENTS: dict[str, Callable[[Code, int], Measured]] = {
    "robustness": robustness,
    "sentiment": sentiment,
    "privacy": privacy,
    "bias": bias,
    "inside": inside,
}


def main() -> None:
    """Measure with every seed, and write the record."""
    seeds, code = records.seeds_from_command_line(__doc__), chapter_code()
    cases = [
        {"experiment": name, "seed": seed}
        for name in EXPERIMENTS
        for seed in seeds
        if seed < LANGUAGE_SEEDS or name not in ("bias", "inside")
    ]

    def run(experiment: str, seed: int) -> Measured:
        print(experiment, seed, flush=True)
        return EXPERIMENTS[experiment](code, seed)

    rows = records.kept_runs("evaluation_trust", cases, run)
    settings = vars(code["Settings"]())
    language_seeds = list(seeds)[:LANGUAGE_SEEDS]
    runs = records.by_seed(rows)
    records.write(RESULT, seeds, language_seeds=language_seeds, settings=settings, runs=runs)


if __name__ == "__main__":
    main()
