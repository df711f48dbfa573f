"""What *How low can the loss go?* quotes from its records is what the records say."""

import numpy as np
import pytest

from benchmarks import pretraining_floor, pretraining_kinds, pretraining_scaling
from tests import recorded
from tests.recorded import percent, spread

pytestmark = pytest.mark.chapter("pretraining")
CHAPTER = pretraining_floor.CHAPTER


def text():
    return recorded.prose(CHAPTER)


def source(name):
    return recorded.sources(CHAPTER, "floor-")[name]


def floor():
    return recorded.record(pretraining_floor)


def scaling():
    return recorded.record(pretraining_scaling)


# -- the run -------------------------------------------------------------------------------------


def test_how_near_the_run_comes_is_recorded():
    runs, seeds = floor()["runs"], floor()["seeds"]
    assert len(seeds) == 5
    assert (
        f"Over five seeds it is {spread(runs['above_after_100'])} nats a token above the lowest "
        f"possible loss after 100 steps, {spread(runs['above_after_1000'])} after 1,000, and "
        f"{spread(runs['above_floor'], 4)} at the end"
    ) in text()
    assert f"about {runs['cpu_seconds']['mean']:.0f} seconds of one CPU core" in text()


def test_the_run_ends_within_a_hundredth_of_a_nat_with_every_seed():
    above = floor()["runs"]["above_floor"]["values"]
    assert min(above) > 0
    assert max(above) < 0.01


def test_the_settings_are_those_of_the_chapter():
    code = pretraining_floor.chapter_code()
    assert floor()["settings"] == vars(code["Settings"]())
    assert floor()["lowest"] == pytest.approx(code["lowest"], abs=1e-4)


# -- what is left --------------------------------------------------------------------------------


def kinds():
    return recorded.record(pretraining_kinds)["runs"]


def test_the_shares_of_the_excess_are_recorded():
    assert len(recorded.record(pretraining_kinds)["seeds"]) == 5
    assert (
        f"verbs ({percent(kinds()['verb: share'])} of the excess), words after a full stop "
        f"({percent(kinds()['after a stop: share'])}) and a friend who is met "
        f"({percent(kinds()['friend met: share'])})"
    ) in text()
    said = kinds()["said before: share"]["values"]
    assert f"from {100 * min(said):.0f} to {100 * max(said):.0f} % of the excess" in text()
    assert f"{percent(kinds()['impossible'])} of the excess come from impossible words" in text()


def test_what_is_said_of_the_kinds_holds_with_every_seed():
    def values(name):
        return np.array(kinds()[name]["values"])

    names = [name for name in kinds() if name.endswith(": nats")]
    assert np.all(values("friend met: nats") == np.max([values(name) for name in names], axis=0))
    assert np.all(values("other: nats") == np.min([values(name) for name in names], axis=0))
    depend = sum(values(f"{kind}: share") for kind in ("verb", "after a stop", "friend met"))
    assert depend.min() > 0.5
    assert values("impossible").min() > 0.5
    assert (values("friend met: impossible") / values("friend met: nats")).min() > 0.75
    assert (values("feeling: impossible") / values("feeling: nats")).max() < 0.5
    assert values("growth_depends").min() > 2 > values("growth_drawn").max()


def test_the_kinds_are_measured_on_the_stories_of_the_chapter():
    found = recorded.record(pretraining_kinds)
    assert f"held_out_stories[:{found['stories']}]" in source("left-parts-run")
    assert found["settings"] == floor()["settings"]


# -- the law -------------------------------------------------------------------------------------


def rows():
    """Return the rows of the chapter's table of runs: parameters, tokens, three excesses."""
    table = recorded.constants(source("scaling-runs"))["RUNS"]
    return np.array([line.split() for line in table.strip().split("\n")], float)


def test_the_table_of_runs_is_recorded():
    runs = [*scaling()["runs"], scaling()["predicted"]]
    known = sorted(
        [run["parameters"]["mean"], round(run["tokens"]["mean"]), *run["above_floor"]["values"][:3]]
        for run in runs
    )
    assert sorted(rows().tolist()) == known
    assert len(scaling()["seeds"]) == 3


def test_the_sizes_and_steps_in_the_text_are_the_recorded_ones():
    runs = scaling()["runs"]
    sizes = dict.fromkeys((run["d_model"], run["n_layers"]) for run in runs)
    assert ", ".join(f"{width} and {blocks}" for width, blocks in sorted(sizes)) in text()
    steps = [run["steps"] for run in runs]
    assert f"steps: {min(steps)} to {max(steps):,}" in text()


def test_the_run_that_is_predicted_is_the_one_of_the_chapter():
    assert scaling()["predicted"]["above_floor"] == floor()["runs"]["above_floor"]
