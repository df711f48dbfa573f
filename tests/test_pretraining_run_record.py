"""What *A run that can be trusted* quotes from its record is what the record says."""

import re

import pytest

from benchmarks import pretraining_runs
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("pretraining")


def record():
    return recorded.record(pretraining_runs)


def text():
    return recorded.prose(pretraining_runs.CHAPTER)


def cells():
    return recorded.sources(pretraining_runs.CHAPTER, "run-")


def runs(kind, key):
    return {run[key]: run for run in record()[kind]}


def rates(optimizer):
    return [run for run in record()["rates"] if run["optimizer"] == optimizer]


def means(found, name):
    return [round(run[name]["mean"], 3) for run in found]


def row(name):
    """Return what stands beside a name in one of the lists of two columns."""
    (found,) = re.findall(rf"^\* - {re.escape(name)}\n  - (.+)$", text(), re.MULTILINE)
    return found


def test_the_figure_of_the_rates_shows_the_record():
    drawn = constants(cells()["range-figure"])
    assert drawn["ADAMW"] == [run["rate"] for run in rates("AdamW")]
    assert drawn["ADAMW"] == [run["rate"] for run in rates("AdamW, no warm-up")]
    assert drawn["MUON"] == [run["rate"] for run in rates("Muon")]
    assert drawn["WITH_WARMUP"] == means(rates("AdamW"), "above")
    assert drawn["WITHOUT"] == means(rates("AdamW, no warm-up"), "above")
    assert drawn["WITH_MUON"] == means(rates("Muon"), "above")


def test_the_best_rates_in_the_text_are_the_recorded_ones():
    warm, cold, muon = (
        {run["rate"]: run["above"] for run in rates(name)}
        for name in ("AdamW", "AdamW, no warm-up", "Muon")
    )
    best, best_muon = (min(found, key=lambda rate: found[rate]["mean"]) for found in (warm, muon))
    assert f"AdamW is best at {best}" in text()
    assert f"where it ends {spread(warm[best])} nats above the floor" in text()
    assert f"At 0.002, near the lower one of them, a run ends at {spread(warm[0.002])}" in text()
    assert f"at 0.02 a run ends at {spread(cold[0.02])} instead of {spread(warm[0.02])}" in text()
    assert f"whole runs are best at {best_muon} ({spread(muon[best_muon])})" in text()
    assert best_muon == 0.03
    assert f"at ten times this rate they end at {spread(muon[0.3])}" in text()


def test_the_figure_of_the_epochs_shows_the_record():
    found = record()["epochs"]
    drawn = constants(cells()["epochs-figure"])
    assert drawn["EPOCHS"] == [run["epochs"] for run in found]
    assert drawn["NEW"] == means(found, "above")
    assert drawn["SEEN"] == means(found, "above_seen")


def test_what_is_said_of_the_epochs_is_recorded():
    found = runs("epochs", "epochs")
    for epochs in (1, 4, 8, 16, 64):
        assert spread(found[epochs]["above"]) in cells()["epochs-says"]
    assert spread(found[64]["above_seen"]).lstrip("-") in cells()["epochs-says"]


def test_the_orders_in_the_table_are_the_recorded_ones():
    assert row("shuffled") == spread(runs("epochs", "epochs")[1]["above"])
    for name, run in runs("orders", "order").items():
        assert row(name) == spread(run["above"])


def test_what_the_seed_changes_is_recorded():
    found = runs("drawn", "drawn")
    assert row("first weights") == spread(found["weights"]["above"])
    assert row("data") == spread(found["data"]["above"])
    assert row("both") == spread(runs("epochs", "epochs")[1]["above"])


def test_the_ends_of_the_six_runs_are_recorded():
    names = {"none": "none", "mask": "mask", "shift": "not shifted", "rate": "rate"}
    names |= {"evaluation": "evaluation", "leak": "leak"}
    for fault, run in runs("six", "fault").items():
        numbers = [spread(run[name], digits=2) for name in ("training", "held_out")]
        below = "yes" if max(run["held_out"]["values"]) < 0 else "no"
        assert "* - " + "\n  - ".join([names[fault], *numbers, below]) + "\n" in text()
        assert below or min(run["held_out"]["values"]) > 0


def test_the_record_has_the_seeds_and_sizes_of_the_text():
    assert len(record()["seeds"]) == 5
    assert (record()["steps"], record()["batch"]) == (400, 16)
    assert pretraining_runs.chapter_code()["run_config"]().steps == record()["steps"]
    assert "400 steps of 16 stories" in text()
    assert record()["steps"] * record()["batch"] == 6400
    assert "6,400 stories" in text()
