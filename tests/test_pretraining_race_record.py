"""What *Real text, and a race* says of the speedrun is what its record says."""

import re

import pytest

from benchmarks import pretraining_text, speedrun
from companion.training.speedrun import CHANGES, recipe
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("pretraining")
SHORTER = ("small model", "short run")  # they save seconds, and cost nats


def text():
    return recorded.prose(pretraining_text.CHAPTER)


def source(name):
    return recorded.sources(pretraining_text.CHAPTER, "text-")[name]


def record():
    return recorded.record(speedrun)


def rows(cell, name):
    table = constants(source(cell))[name]
    return [line.split("|") for line in table.strip().split("\n")]


def named(group):
    return {row["name"]: row for row in record()[group]}


def emphasised(sentence):
    """Return what a sentence names in italics; the sentence begins with these words."""
    (found,) = re.findall(rf"{re.escape(sentence)}((?:[^.*]|\*[^*]+\*)*)", text())
    return set(re.findall(r"\*([^*]+)\*", found))


def not_shown():
    """Return the sentence about what was not shown, if there is one."""
    return "".join(re.findall(r"\. (For \*[^.]*) nothing was shown", text()))


# -- the two recipes -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nanogpt", "plain", "fast"])
def test_what_each_recipe_reaches_is_recorded(name):
    one = record()["recipes"][name]
    digits = 0 if name == "nanogpt" else 1
    seconds = f"{one['cpu_seconds']['mean']:.{digits}f} seconds"
    assert f"{spread(one['loss'])}" in text()
    assert f"after {seconds}" in text()


@pytest.mark.parametrize("name", ["plain", "fast"])
def test_how_many_times_as_fast_is_recorded(name):
    ratio = record()["times_as_fast"][name]["cpu_seconds"]["nanogpt"]["median"]
    assert f"{ratio:.0f} times as fast" in text()
    assert ratio > 4  # at most a quarter of the time


def test_the_range_of_the_ratios_is_recorded():
    low, high = record()["times_as_fast"]["fast"]["cpu_seconds"]["nanogpt"]["middle_half"]
    assert f"lies between {low:.0f} and {high:.0f})" in text()


def test_the_seeds_differ_most_in_the_middle_of_the_ladder():
    spreads = {row["name"]: row["loss"]["sd"] for row in record()["ladder"]}
    wide = [place for place, sd in enumerate(spreads.values()) if sd > 0.1]
    assert wide
    assert 2 < min(wide) <= max(wide) < len(spreads) - 3


def test_without_attention_and_without_clipping_no_difference_is_shown():
    none = named("tried")["no attention"]
    assert not none["significant"]
    assert f"changes by {spread(none['difference'])} nats" in text()
    fast = record()["recipes"]["fast"]["cpu_seconds"]["mean"]
    assert f"{none['cpu_seconds']['mean']:.2f} seconds in place of {fast:.2f}" in text()
    assert not any(named("without")["no clipping"]["difference"]["values"])
    decay = named("without")["no weight decay"]
    assert decay["significant"]
    assert f"by {-decay['difference']['mean']:.4f} nats with $p < 0.01$" in text()


def test_what_is_said_of_the_ladder_holds():
    rows = [row for row in record()["ladder"][1:] if row["name"] not in SHORTER]
    worse = {r["name"] for r in rows if r["significant"] and r["difference"]["mean"] < 0}
    (said,) = re.findall(r"with ((?:\*[^*]+\*(?:, | and )?)+) it rises significantly", text())
    assert set(re.findall(r"\*([^*]+)\*", said)) == worse


def test_the_fast_recipe_is_lower_with_every_seed():
    fast, nano = (record()["recipes"][name]["loss"]["values"] for name in ("fast", "nanogpt"))
    assert len(fast) == len(nano) >= 5
    assert (max(fast) < min(nano)) == ("and lower with every seed" in text())
    assert min(nano) > 1.88  # "does not quite reach the published 1.88"


@pytest.mark.parametrize("name", ["fast", "plain"])
def test_that_a_recipe_is_lower_than_nanogpt_s_is_recorded(name):
    found = record()["against_nanogpt"][name]
    assert found["significant"]
    assert min(found["difference"]["values"]) > 0
    assert f"$p = {found['p']:.3f}$" in text()
    assert name == "plain" or f"by {spread(found['difference'])} nats" in text()


def test_the_figure_shows_the_record():
    drawn = constants(source("result-figure"))
    for shown, name in {"nanoGPT": "nanogpt", "plain": "plain", "fast": "fast"}.items():
        points = [point for point in record()["curves"][name] if point["step"]]
        assert drawn["CURVES"][shown] == [
            (round(point["cpu_seconds"], 2), round(point["held_out"], 3)) for point in points
        ]
        one = record()["recipes"][name]
        seconds, loss, sd = drawn["ENDS"][shown]
        assert seconds == round(one["cpu_seconds"]["mean"], 2)
        assert (loss, sd) == (one["loss"]["mean"], one["loss"]["sd"])


def test_the_fair_comparison_names_what_differs():
    for name, said in {
        "nanogpt": "model has {:,} parameters and reads {:,} characters",
        "fast": "one has {:,} and reads {:,}",
    }.items():
        sizes = record()["recipes"][name]["parameters"], recipe(name).tokens
        assert f"{said.format(*sizes)}." in text()


# -- changes -------------------------------------------------------------------------------------


def test_the_ladder_shows_the_record():
    found = rows("ladder-table", "LADDER")
    assert [row[0] for row in found] == ["nanogpt", *(change.name for change in CHANGES)]
    for (name, loss, sd, seconds, p), row in zip(found, record()["ladder"], strict=True):
        assert name == row["name"]
        assert (float(loss), float(sd)) == (row["loss"]["mean"], row["loss"]["sd"])
        assert float(seconds) == round(row["cpu_seconds"]["mean"], 2)
        assert p == (f"{row['p']:.2g}" if "p" in row else "-")


@pytest.mark.parametrize(("cell", "group"), [("without", "WITHOUT"), ("tried", "TRIED")])
def test_the_tables_of_differences_show_the_record(cell, group):
    found = rows(f"{cell}-table", group)
    assert [row[0] for row in found] == [row["name"] for row in record()[cell]]
    for (name, rise, sd, *seconds, p), row in zip(found, record()[cell], strict=True):
        assert float(rise) == row["difference"]["mean"], name
        assert float(sd) == row["difference"]["sd"], name
        assert p == f"{row['p']:.2g}"
        assert not seconds or float(seconds[0]) == round(row["cpu_seconds"]["mean"], 2)


def test_what_is_called_significant_is():
    without = {name: row for name, row in named("without").items() if name not in SHORTER}
    helps = {n for n, r in without.items() if r["significant"] and r["difference"]["mean"] > 0}
    unknown = {name for name, row in without.items() if not row["significant"]}
    assert emphasised("the loss rises with $p < 0.01$ without ") == helps
    assert {name for name in without if f"*{name}*" in not_shown()} == unknown
    for row in record()["without"] + record()["tried"]:
        assert row["significant"] == (row["p"] < 0.01)


def test_the_count_of_what_was_tried_is_right():
    tried = record()["tried"]
    better = sum(row["significant"] and row["difference"]["mean"] < 0 for row in tried)
    worse = sum(row["significant"] and row["difference"]["mean"] > 0 for row in tried)
    assert (
        f"Of these {len(tried)} attempts {worse} are significantly worse than the fast recipe, "
        f"{better or 'none'} significantly better, and for {len(tried) - better - worse} no "
        "difference was shown"
    ) in text()


def test_the_spread_of_the_widget_is_the_median_of_the_table():
    without = [row for name, row in named("without").items() if name not in SHORTER]
    sds = sorted(row["difference"]["sd"] for row in without)
    median = constants(source("power"))["SPREAD"]
    assert median == sds[len(sds) // 2]
    assert f"the median of the ± is {median} nats" in text()
