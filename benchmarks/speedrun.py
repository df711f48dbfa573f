"""The speedrun: how much sooner a CPU learns what nanoGPT's recipe learns of tiny Shakespeare.

Everything runs on one thread. The recipes take turns, seed by seed, and the order changes from
seed to seed. Then the ladder from nanoGPT's recipe to the fast one is measured, the fast recipe
with each change left out, and what was tried besides. Two variants are compared by a paired
t-test over the seeds.
``python -m benchmarks.speedrun`` writes the record; finished runs are kept in between.
"""

import argparse
import dataclasses
import statistics
from typing import Any

import torch
from scipy import stats

from benchmarks import pairs, records
from companion.training.speedrun import (
    CHANGES,
    RECIPES,
    Runner,
    Settings,
    ladder,
    leave_out,
    load_text,
    race,
)
from companion.training.speedrun.console import EVALUATION

RESULT = records.RESULTS / "speedrun.json"
LEVEL = 0.01  # a difference that chance makes so rarely counts as one
POINTS = 5  # losses in the curve of a recipe

FAST = RECIPES["fast"]
# What was tried and is not in the recipe: by a short name, the settings that differ from it.
TRIED: dict[str, dict[str, Any]] = {
    "no attention": {"attention": False},
    "two blocks": {"n_layers": 2},
    "width 96": {"d_model": 96},
    "width 32": {"d_model": 32, "n_heads": 1},
    "four heads": {"n_heads": 4},
    "windows of 32": {"context": 32, "batch_size": 32},
    "more and smaller batches": {"steps": 107, "batch_size": 12},
    "fewer and larger batches": {"steps": 40, "batch_size": 32},
    "5-grams besides": {"tables": (*FAST.tables, 32_768)},
    "no 4-grams": {"tables": FAST.tables[:2]},
    "2-grams alone": {"tables": FAST.tables[:1]},
    "larger tables": {"tables": (4_356, 65_536, 65_536)},
    "smaller tables": {"tables": (4_356, 8_192, 8_192)},
    "twice Muon's rate": {"muon_lr": 0.04},
    "half of Muon's rate": {"muon_lr": 0.01},
    "twice the rate of the head": {"lr": 0.02},
    "one and a half times the rate of the tables": {"table_lr": 0.03},
    "shorter memory of AdamW": {"betas": (0.9, 0.95)},
    "embeddings of 0.1": {"embedding_std": 0.1},
    "embeddings of 1": {"embedding_std": 1.0},
}


def variants() -> dict[str, dict[str, Settings]]:
    """Return all that is measured, in groups, by name."""
    return {
        "recipe": {name: RECIPES[name] for name in ("nanogpt", "plain", "fast")},
        "ladder": dict(list(ladder().items())[1:-1]),
        "without": {change.name: leave_out(change.name) for change in CHANGES},
        "tried": {name: dataclasses.replace(FAST, **other) for name, other in TRIED.items()},
    }


def cases(seeds: range) -> list[dict[str, Any]]:
    """Return all runs, seed by seed; the order changes from seed to seed."""
    found = []
    for seed in seeds:
        for group, members in variants().items():
            order = list(members)[::-1] if seed % 2 else list(members)
            found += [{"group": group, "name": name, "seed": seed} for name in order]
    return found


def runner(text: Any) -> Any:
    """Return a function that makes one run."""

    def run(group: str, name: str, seed: int) -> dict[str, Any]:
        one = Runner(variants()[group][name], text, seed)
        race([one], POINTS if group == "recipe" else 1)
        measured = one.result()
        if not one.finished:
            raise KeyboardInterrupt
        return {key: measured[key] for key in ("held_out", "curve", "parameters")}

    return run


def paired(ours: dict[int, float], theirs: dict[int, float]) -> dict[str, Any]:
    """Compare losses of the same seeds: how much higher theirs are, and how likely by chance.

    Examples
    --------
    >>> paired({0: 1.0, 1: 1.0, 2: 1.0}, {0: 2.0, 1: 2.1, 2: 2.2})["significant"]
    True
    """
    seeds = sorted(ours.keys() & theirs.keys())
    here, there = ([losses[seed] for seed in seeds] for losses in (ours, theirs))
    differences = [b - a for a, b in zip(here, there, strict=True)]
    p = float(stats.ttest_rel(there, here).pvalue) if any(differences) else 1.0
    return {
        "difference": records.summary(differences),
        "p": float(f"{p:.3g}"),
        "significant": p < LEVEL,
    }


def losses(rows: list[dict[str, Any]], group: str, name: str) -> dict[int, float]:
    """Return the losses of a variant, rounded as the record has them, by seed."""
    own = of_variant(rows, group, name)
    return {seed: round(found["held_out"], 4) for seed, found in own.items()}


def of_variant(rows: list[dict[str, Any]], group: str, name: str) -> dict[int, dict[str, Any]]:
    """Return what was measured of a variant, by seed."""
    return {
        row["case"]["seed"]: row["measured"]
        for row in rows
        if (row["case"]["group"], row["case"]["name"]) == (group, name)
    }


def row(rows: list[dict[str, Any]], group: str, name: str) -> dict[str, Any]:
    """Sum up a variant over its seeds; the clock of a runner stands at the end of its curve."""
    own = [*of_variant(rows, group, name).values()]
    numbers = ("seconds", "cpu_seconds")
    return {
        "name": name,
        "parameters": own[0]["parameters"],
        "seeds": [*losses(rows, group, name)],
        "loss": records.summary([*losses(rows, group, name).values()]),
        **{key: records.summary([each["curve"][-1][key] for each in own]) for key in numbers},
    }


def compared(rows: list[dict[str, Any]], group: str, name: str) -> dict[str, Any]:
    """Sum up a variant of the fast recipe, and compare it with that."""
    fast = losses(rows, "recipe", "fast")
    return {**row(rows, group, name), **paired(fast, losses(rows, group, name))}


def climbed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum up the ladder, and compare each rung with the one below."""
    names = list(ladder())
    places = [("recipe", "nanogpt"), *(("ladder", name) for name in names[1:-1])]
    places.append(("recipe", "fast"))
    found = [{**row(rows, *places[0]), "settings": {}}]
    for below, here, change in zip(places[:-1], places[1:], CHANGES, strict=True):
        gain = paired(losses(rows, *here), losses(rows, *below))
        found.append(
            {**row(rows, *here), **gain, "name": change.name, "settings": dict(change.settings)}
        )
    return found


def raced(rows: list[dict[str, Any]], seeds: range) -> dict[str, Any]:
    """Compare the recipes: loss, seconds, how many times as fast as nanoGPT's, and the curves."""
    found = {name: row(rows, "recipe", name) for name in RECIPES}
    clocks = {
        clock: {name: _of(rows, name, clock, seeds) for name in ("fast", "plain", "nanogpt")}
        for clock in ("seconds", "cpu_seconds")
    }
    times = {
        name: {
            clock: pairs.compared({name: each[name], "nanogpt": each["nanogpt"]})["times_as_fast"]
            for clock, each in clocks.items()
        }
        for name in ("fast", "plain")
    }
    return {
        "target": round(statistics.mean(losses(rows, "recipe", "nanogpt").values()), 4),
        "recipes": found,
        "against_nanogpt": {
            name: paired(losses(rows, "recipe", name), losses(rows, "recipe", "nanogpt"))
            for name in ("fast", "plain")
        },
        "times_as_fast": times,
        "curves": {name: _curve(rows, name) for name in RECIPES},
    }


def _of(rows: list[dict[str, Any]], name: str, clock: str, seeds: range) -> list[float]:
    found = of_variant(rows, "recipe", name)
    return [found[seed]["curve"][-1][clock] for seed in seeds]


def _curve(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the curve of seed 0, rounded."""
    curve = of_variant(rows, "recipe", name)[0]["curve"]
    return [{key: round(value, 4) for key, value in point.items()} for point in curve]


def main() -> None:
    """Measure what is not kept, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on")
    seeds, text = range(parser.parse_args().seeds), load_text()
    torch.set_num_threads(1)
    for settings in RECIPES.values():  # PyTorch starts up
        race([Runner(dataclasses.replace(settings, steps=3), text)], 1)
    rows = records.kept_runs(RESULT.stem, cases(seeds), runner(text))
    records.write(
        RESULT,
        seeds,
        threads=1,
        evaluation=EVALUATION,
        level=LEVEL,
        test="paired t-test over the seeds",
        settings={name: dataclasses.asdict(RECIPES[name]) for name in RECIPES},
        **raced(rows, seeds),
        ladder=climbed(rows),
        without=[compared(rows, "without", change.name) for change in CHANGES],
        tried=[compared(rows, "tried", name) for name in TRIED],
    )


if __name__ == "__main__":
    main()
