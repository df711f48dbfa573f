"""The leaderboard of *When the model answers in words* is what the records say."""

import json

import nbformat
import numpy as np
import pytest
from scipy import stats

from benchmarks import evaluation_language_models, evaluation_leaderboard, records
from companion import evaluation
from tests import recorded
from tests.recorded import constants

pytestmark = pytest.mark.chapter("evaluation")

CHAPTER = evaluation_language_models.CHAPTER


def cells():
    return recorded.sources(CHAPTER, "benchmarks-")


def printed(name):
    page = nbformat.read(CHAPTER, as_version=4).cells
    (cell,) = (cell for cell in page if cell.id == f"benchmarks-{name}")
    return "".join(output.get("text", "") for output in cell.outputs)


def test_the_page_holds_what_the_script_reads_from_the_records():
    assert constants(cells()["recorded"])["RECORDED"].strip() == evaluation_leaderboard.text()


@pytest.mark.parametrize("entry", evaluation_leaderboard.ENTRIES, ids=lambda e: e.model)
def test_each_entry_has_as_many_values_as_its_record_has_seeds(entry):
    path = records.RESULTS / f"{entry.record}.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    values = entry.values(record)
    assert len(values) == len(record["seeds"])
    assert all(value > 0 for value in values)


def test_the_names_say_what_was_trained():
    """Width, blocks and number of stories, which are steps times batch."""
    shape = {entry.model: entry for entry in evaluation_leaderboard.ENTRIES[:7]}
    batch = {"pretraining_scaling": 32, "pretraining_floor": 32, "transformer_writes": 16}
    for name, entry in shape.items():
        settings = evaluation_leaderboard.recorded(entry.record)["settings"]
        stories = int(name.split(", ")[1].removesuffix(" stories").replace(",", ""))
        assert settings["batch"] == batch.get(entry.record, 16)
        assert stories % settings["batch"] == 0
        if entry.record != "pretraining_scaling":
            assert stories == settings["steps"] * settings["batch"]
            assert f"{settings['d_model']} x {settings['n_layers']}," in f"{name}," or (
                name.startswith("experts")
            )


def test_places_and_intervals_are_those_of_another_computation():
    board = {}
    for line in evaluation_leaderboard.text().split("\n"):
        task, name, values = line.split(" | ")
        board.setdefault(task, {})[name] = np.array(values.split(), dtype=float)
    shown = printed("board")
    for task, entries in board.items():
        smaller = f"{task} (smaller is better)" in shown
        assert smaller or f"{task} (larger is better)" in shown
        for name, place in expected_places(entries, smaller).items():
            mean = entries[name].mean()
            assert f"{place}. {name:24}{mean:.4f}" in shown
            if len(entries[name]) > 1:
                se = entries[name].std(ddof=1) / len(entries[name]) ** 0.5
                low, high = stats.t.interval(0.95, len(entries[name]) - 1, mean, se)
                assert f"{name:24}{mean:.4f}  {low:.4f} to {high:.4f}" in shown
            else:
                assert f"{name:24}{mean:.4f}  one seed" in shown


def expected_places(entries, smaller):
    """Return 1 and how many are significantly better, from Welch's formula by hand."""
    names = list(entries)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[:i]]
    kept = evaluation.holm([welch(entries[a], entries[b]) for a, b in pairs]) if pairs else []
    places = dict.fromkeys(names, 1)
    for (a, b), p in zip(pairs, kept, strict=True):
        if p < 0.05:
            worse = max if smaller else min
            places[worse((a, b), key=lambda name: entries[name].mean())] += 1
    return places


def welch(a, b):
    va, vb = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    t = (a.mean() - b.mean()) / (va + vb) ** 0.5
    df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return 2 * stats.t.sf(abs(t), df)


def test_what_is_said_of_the_board():
    said, shown = cells()["board-said"], printed("board")
    assert "One of them reaches above 1" in said
    accuracy = shown.split("into Chinese")[1].split("poems")[0]
    tops = [float(line.split()[-1]) for line in accuracy.split("\n") if " to " in line]
    assert sum(top > 1 for top in tops) == 1
    assert f"$t$ is {stats.t.ppf(0.975, 2):.1f} there" in said
    assert "\n  1. 64 x 3, 14,400" in shown
    assert "21 pairs" in said


def test_the_fitted_biases_are_a_quarter_too_small():
    assert "about a quarter smaller than the planted 0.6 and 0.8" in cells()["judge-said"]
    lines = dict(line.split(" = ") for line in printed("c47").strip().split("\n"))
    for name, planted in (("position", 0.6), ("length", 0.8)):
        assert abs(float(lines[name]) / planted - 0.75) < 0.05
