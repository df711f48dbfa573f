"""What *One model, many tasks* says of the search of five settings stands in its record."""

import numpy as np
import optuna
import pytest

from benchmarks import finetuning_search, finetuning_tasks
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("fine-tuning")
NAMES = {
    "frozen": "frozen vectors",
    "published": "BERT's settings",
    "random": "random search",
    "Optuna": "Optuna's search",
}
SETTINGS = ("rate", "decay", "batch", "n_epochs", "warmup")


def record():
    return recorded.record(finetuning_search)


def cells():
    return recorded.sources(finetuning_search.CHAPTER, "tasks-")


def run(way):
    (found,) = [found for found in record()["runs"] if found["way"] == way]
    return found


def trials(way):
    return [trial for trial in record()["trials"] if trial["way"] == way]


def test_the_settings_are_those_that_are_said():
    made, said = record()["settings"], cells()["whole-record"]
    assert made["published"] == finetuning_search.PUBLISHED
    assert made["labels"] == finetuning_search.LABELS
    assert len(record()["seeds"]) == 3
    assert f"{made['labels']} labels in three draws" in said
    assert f"{made['trials']} trials for each search" in said
    assert f"on {made['chosen_on']} sentences of the dev part" in said
    assert f"on the {record()['tested']:,} test sentences" in said


def test_the_table_is_the_record():
    table = cells()["whole-record"].split("```")[1].split("* - ")[2:]
    found = {}
    for row in table:
        name, *numbers = (field.strip() for field in row.split("\n  - "))
        found[name] = numbers
    keys = ("median", "best", "test")
    assert found == {
        name: [spread(run(way)[key]) if key in run(way) else "none" for key in keys]
        for way, name in NAMES.items()
    }


def test_a_search_sums_up_its_trials():
    for way in ("random", "Optuna"):
        for seed in record()["seeds"]:
            scores = [trial["score"] for trial in trials(way) if trial["seed"] == seed]
            assert len(scores) == record()["settings"]["trials"]
            assert run(way)["best"]["values"][seed] == pytest.approx(max(scores), abs=1e-4)
            assert run(way)["median"]["values"][seed] == pytest.approx(np.median(scores), abs=1e-4)


def test_both_searches_have_drawn_from_the_ranges_of_the_chapter():
    """With the seeds of the record, random search draws the same settings again."""
    code = finetuning_tasks.code()
    for seed in record()["seeds"]:
        study = code["search"](
            lambda trial: sum(code["five_settings"](trial).values()),
            code["samplers"](seed)["random"],
            record()["settings"]["trials"],
        )
        again = [finetuning_search.rounded(trial.params) for trial in study.trials]
        kept = [trial for trial in trials("random") if trial["seed"] == seed]
        assert again == [{name: trial[name] for name in SETTINGS} for trial in kept]
    assert isinstance(code["samplers"](0)["Optuna"], optuna.samplers.TPESampler)


def test_what_is_said_of_the_two_searches():
    tests = {way: np.array(run(way)["test"]["values"]) for way in NAMES}
    assert (
        "both searches beat BERT's settings in each of the three draws" in (cells()["whole-record"])
    )
    for way in ("random", "Optuna"):
        assert (tests[way] > tests["published"]).all()
        for other in ("frozen", "random", "Optuna"):
            both = run(way)["test"]["sd"] + run(other)["test"]["sd"]
            assert abs(run(way)["test"]["mean"] - run(other)["test"]["mean"]) < both
    same_best = 0
    for seed in record()["seeds"]:
        some = [
            [{**trial, "way": ""} for trial in trials(way) if trial["seed"] == seed]
            for way in ("random", "Optuna")
        ]
        assert some[0][:5] == some[1][:5]
        best = [max(each, key=lambda trial: trial["score"]) for each in some]
        same_best += best[0] == best[1] and best[0] in some[0][:5]
    assert same_best == 1


def test_the_figure_shows_the_trials_of_random_search():
    lines = constants(cells()["trials-figure"])["TRIALS"].strip().split("\n")
    assert lines == [f"{t['rate']:.2e} {t['decay']:.2f} {t['score']:.3f}" for t in trials("random")]
    assert f"shows the {len(lines)} trials of random search" in cells()["whole-record"]


def test_what_is_said_of_the_settings():
    said = cells()["whole-says-after"]
    some = trials("random")
    low = [t["score"] for t in some if t["rate"] < 0.00003]
    assert len(low) > 3
    assert max(low) < 0.56
    high = [t for t in some if t["rate"] > 0.002]
    assert {t["score"] <= 0.51 for t in high if t["decay"] > 0.65} == {True}
    assert {t["score"] > 0.55 for t in high if t["decay"] < 0.65} == {True}
    small = [t["score"] for t in some if t["decay"] < 0.5]
    assert len(small) > 5
    assert max(small) < 0.65
    for t in (t for t in some if t["score"] > 0.7):
        assert 0.00005 < t["rate"] < 0.001
        assert 0.55 < t["decay"] < 0.85
    assert "Below 0.00003" in said
    assert "Above 0.002" in said
    assert "unless $\\gamma$ is below 0.65" in said
    assert "$\\gamma$ is below 0.5, the lower layers hardly move, and no trial reaches 0.65" in said
    assert "above 0.7 have rates from 0.00005 to 0.001 and $\\gamma$ from 0.55 to 0.85" in said
    same_rates = [t for t in some if 0.00005 < t["rate"] < 0.001]
    one, more = (
        float(np.mean([t["score"] for t in same_rates if (t["n_epochs"] > 1) == longer]))
        for longer in (False, True)
    )
    assert f"one epoch have a mean accuracy of {one:.3f}, and the longer ones {more:.3f}" in said
