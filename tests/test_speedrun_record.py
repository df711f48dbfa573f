"""The record of the speedrun says what is claimed of it, and its settings are those in the code."""

import dataclasses
import itertools
import json
import math
import signal

import pytest

from benchmarks import records, speedrun
from companion.training.speedrun import CHANGES, RECIPES, console
from companion.training.stopping import heeding
from tests import recorded

pytestmark = pytest.mark.chapter("pretraining")

GROUPS = ("ladder", "without", "tried")
# What Student's t, of five pairs, exceeds in size by chance once in a hundred times (his table).
CRITICAL = 4.604


def record():
    return recorded.record(speedrun)


def rows(group):
    return {row["name"]: row for row in record()[group]}


def test_the_fast_recipe_needs_less_than_a_quarter_of_the_time():
    """For each clock, and for every single pair of runs."""
    assert len(record()["seeds"]) >= 5
    assert record()["threads"] == 1
    for name in ("fast", "plain"):
        for clock in ("seconds", "cpu_seconds"):
            ours, theirs = (
                record()["recipes"][each][clock]["values"] for each in (name, "nanogpt")
            )
            ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
            assert min(ratios) >= 4
            found = record()["times_as_fast"][name][clock]["nanogpt"]["median"]
            assert found == pytest.approx(sorted(ratios)[2], rel=2e-3)
    assert record()["times_as_fast"]["fast"]["cpu_seconds"]["nanogpt"]["median"] >= 8  # the aim


def test_every_run_of_both_reaches_nanogpts_mean():
    target = record()["target"]
    values = record()["recipes"]["nanogpt"]["loss"]["values"]
    assert target == pytest.approx(sum(values) / len(values), abs=1e-4)
    assert target == console.TARGET
    assert record()["evaluation"] == console.EVALUATION
    for name in ("fast", "plain"):
        assert max(record()["recipes"][name]["loss"]["values"]) < target


def differences(one, other):
    ours, theirs = (
        dict(zip(row["seeds"], row["loss"]["values"], strict=True)) for row in (one, other)
    )
    assert ours.keys() == theirs.keys()
    return [theirs[seed] - ours[seed] for seed in ours]


def student(values):
    """The t of a mean against 0, with Python's own sums."""
    n, mean = len(values), math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return mean / math.sqrt(variance / n) if variance else 0.0


def p_of(t):
    """How often chance exceeds t in size, for 4 degrees of freedom: the integral in closed form."""
    share = abs(t) / math.sqrt(t * t + 4)  # the sine of the angle whose tangent is t / 2
    return 1 - share * (1 + (1 - share**2) / 2)


def test_the_closed_form_is_students_table():
    assert p_of(CRITICAL) == pytest.approx(0.01, rel=1e-3)
    assert p_of(2.776) == pytest.approx(0.05, rel=1e-3)


def pairs():
    """Every comparison of the record: what was compared with what, and what it says."""
    recipes, fast = record()["recipes"], record()["recipes"]["fast"]
    for name, found in record()["against_nanogpt"].items():
        yield recipes[name], recipes["nanogpt"], found
    for group in ("without", "tried"):
        for row in record()[group]:
            yield fast, row, row
    rungs = record()["ladder"]
    for below, here in itertools.pairwise(rungs):
        yield here, below, here


def test_every_p_follows_from_the_losses():
    assert len(list(pairs())) == 2 + 2 * len(CHANGES) + len(speedrun.TRIED)
    for one, other, found in pairs():
        values = differences(one, other)
        t = student(values)
        assert found["p"] == pytest.approx(p_of(t), rel=0.02, abs=1e-9), found
        assert found["significant"] is (abs(t) > CRITICAL)
        assert found["difference"]["mean"] == pytest.approx(sum(values) / 5, abs=1e-4)


def test_the_record_was_made_with_the_settings_in_the_code():
    names = [change.name for change in CHANGES]
    assert [*rows("ladder")] == ["nanogpt", *names]
    assert [*rows("without")] == names
    assert [*rows("tried")] == [*speedrun.TRIED]
    for change in CHANGES:
        stored = rows("ladder")[change.name]["settings"]
        assert stored == json.loads(json.dumps(change.settings))
    assert [*record()["recipes"]] == [*RECIPES]
    settings = json.loads(json.dumps({n: dataclasses.asdict(s) for n, s in RECIPES.items()}))
    assert record()["settings"] == settings
    for name, curve in record()["curves"].items():
        assert curve[-1]["step"] == RECIPES[name].steps
        assert curve[-1]["held_out"] == record()["recipes"][name]["loss"]["values"][0]


def test_the_last_rung_is_the_fast_recipe():
    assert rows("ladder")["n-gram tables"]["loss"] == record()["recipes"]["fast"]["loss"]
    assert rows("ladder")["nanogpt"]["loss"] == record()["recipes"]["nanogpt"]["loss"]
    # Without the last change it is the rung below, measured anew.
    assert rows("without")["n-gram tables"]["loss"] == rows("ladder")["no clipping"]["loss"]


def test_a_measurement_that_is_told_to_stop_is_not_kept(monkeypatch, tmp_path):
    """Training heeds the signal, and would return as if all were well."""
    monkeypatch.setattr(records, "KEPT", tmp_path)

    def run(seed):
        with heeding() as wish:
            if seed == 1:
                signal.raise_signal(signal.SIGINT)
        return {"loss": float(wish.stop)}

    with pytest.raises(KeyboardInterrupt):
        records.kept_runs("some", [{"seed": 0}, {"seed": 1}], run)
    kept = [json.loads(line) for line in (tmp_path / "some.jsonl").read_text().splitlines()]
    assert [row["case"] for row in kept] == [{"seed": 0}]
    with pytest.raises(KeyboardInterrupt):
        records.over_seeds(run, range(2))
