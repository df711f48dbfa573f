"""What *What people prefer* quotes from its two records is what the records say."""

import math

import pytest
from scipy import stats

from benchmarks import alignment_preferences, alignment_smollm
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("alignment")
CHAPTER = alignment_preferences.CHAPTER
NS = (100, 300, 1000, 3000, 10_000)


def record():
    return recorded.record(alignment_preferences)


def real():
    return recorded.record(alignment_smollm)


def cells():
    return recorded.sources(CHAPTER, "preferences-")


def found(way, n, what="loss"):
    (run,) = [each for each in record()["runs"] if (each["way"], each["n"]) == (way, n)]
    return run[what]


def sets():
    """Return the sets on which DPO has run."""
    return [run["name"] for run in real()["runs"] if run["way"] == "dpo"]


def moved(name, way="dpo"):
    (run,) = [each for each in real()["runs"] if (each["name"], each["way"]) == (name, way)]
    return run


# -- how many comparisons ------------------------------------------------------------------------


def test_the_settings_are_those_of_the_chapter():
    code = alignment_preferences.chapter_code()
    assert record()["settings"] == vars(code["Settings"](n_pairs=3000))
    assert len(record()["seeds"]) == 3
    assert {run["n"] for run in record()["runs"]} == set(NS)
    most = max(run["n"] for run in record()["runs"] if run["way"] == "scratch")
    assert f"It was trained on at most {most:,}." in cells()["record"]
    assert f"{record()['held_out']:,} held-out pairs" in cells()["record"]
    seen = {int(n): times for n, times in record()["epochs"].items()}
    assert seen[100] == 6
    assert {n for n in NS if seen[n] == 1} == {3000, 10_000}
    assert "six times at 100 and once from 3,000 on" in cells()["record"]


def test_the_floor_is_computed_from_the_hidden_reward():
    assert alignment_preferences.known() == record()["known"]


def test_what_is_drawn_is_the_record():
    drawn = constants(cells()["record-figure"])
    rows = [line.split() for line in drawn["MEASURED"].strip().split("\n")]
    assert len(rows) == len(record()["runs"])
    for way, n, mean, sd in rows:
        assert f"{mean} ± {sd}" == spread(found(way, int(n)))
    assert drawn["FLOOR"] == record()["known"]["floor"]


def test_no_way_is_below_the_floor_beyond_chance():
    known = record()["known"]
    below = known["loss_of_true_reward"] - 0.01
    assert all(value > below for run in record()["runs"] for value in run["loss"]["values"])


def test_what_is_said_of_the_ways_is_recorded():
    said = cells()["record-says"]
    for way, n in (("features", 300), ("words", 300), ("pretrained", 300), ("scratch", 300)):
        assert spread(found(way, n)) in said
    for n in NS:
        means = [found(way, n)["mean"] for way in ("features", "words", "pretrained")]
        assert means == sorted(means)
    for way in alignment_preferences.WAYS:
        assert found(way, 3000)["mean"] < found(way, 100)["mean"]


def test_what_pretraining_brings_is_recorded():
    both = [spread(found(way, 3000)) for way in ("pretrained", "scratch")]
    assert " against ".join(both) in cells()["record-says"]
    values = [found(way, 3000)["values"] for way in ("pretrained", "scratch")]
    assert max(values[0]) < min(values[1])
    for n in (100, 300, 1000):
        pretrained, scratch = (found(way, n) for way in ("pretrained", "scratch"))
        assert pretrained["mean"] > scratch["mean"] - pretrained["sd"] - scratch["sd"]


# -- real pairs ----------------------------------------------------------------------------------


def rows(source):
    """Return the rows of the table of a cell, by their first field."""
    table = source.split(":header-rows: 1")[1].split("```")[0]
    entries = [row.strip().split("\n") for row in table.split("* - ")[1:]]
    return {row[0]: [part.strip()[2:] for part in row[1:]] for row in entries}


def plain(number, digits):
    return f"{number:.{digits}f}".replace("-", "−")


def right(run):
    """Return how many held-out pairs have moved towards the preferred answer."""
    return round(run["right"] * run["settings"]["held_out"])


def test_the_settings_are_those_of_the_chapter_for_real_pairs():
    code = alignment_smollm.chapter_code()
    for run in real()["runs"]:
        sizes = alignment_smollm.SIZES[run["name"]]
        assert run["settings"] == vars(code["RealSettings"](**sizes))
    assert len(real()["seeds"]) == 1
    assert "one run with one seed" in cells()["real-record"]
    quoted = "no result is quoted" not in cells()["real-read"]
    assert ("preference_zh" in sets()) == quoted


def test_the_table_is_the_record():
    table = rows(cells()["real-record"])
    names = {
        "English, DPO": ("preference_en", "dpo"),
        "English, preferred answers alone": ("preference_en", "chosen"),
        "Chinese, DPO": ("preference_zh", "dpo"),
    }
    runs = [moved(*names[column]) for column in table["Held-out pairs"]]
    assert len(runs) == len(real()["runs"])
    for label, key, digits in (
        ("loss", "loss", 3),
        ("moved towards the preferred answer", "right", 3),
        ("nats gained by the preferred answer", "chosen", 2),
        ("nats gained by the other one", "rejected", 2),
    ):
        assert table[label] == [plain(run[key], digits) for run in runs]


def test_how_many_pairs_moved_the_right_way():
    english = moved("preference_en")
    n = english["settings"]["held_out"]
    assert f"in {right(english)} of {n} pairs" in cells()["real-read"]
    assert stats.binomtest(right(english), n, alternative="greater").pvalue < 0.001
    if "preference_zh" not in sets():
        return
    chinese = moved("preference_zh")
    m = chinese["settings"]["held_out"]
    assert f"In Chinese {right(chinese)} of {m} pairs" in cells()["real-read"]
    assert stats.binomtest(right(chinese), m, alternative="greater").pvalue > 0.05


def test_the_rejected_answers_have_lost_more_than_the_others_gained():
    run = moved("preference_en")
    assert run["rejected"] < 0 < run["chosen"] < -run["rejected"]
    assert f"lost {-run['rejected']:.2f} nats" in cells()["real-read"]
    assert f"gained {run['chosen']:.2f}" in cells()["real-read"]
    assert run["likelier_before"] == run["likelier_after"]
    assert f"{100 * run['likelier_after']:.0f} % of the English pairs" in cells()["real-read"]


def test_the_first_loss_is_ln_2():
    for name in sets():
        assert moved(name)["first_loss"] == pytest.approx(math.log(2), abs=1e-3)


def test_what_the_sets_are_like():
    """Pairs of equal answers in one, system messages in the other."""
    expected = {"preference_en": (1100, 6, 0), "preference_zh": (300, 0, 64)}
    for name in sets():
        one = moved(name)["set"]
        assert (one["rows"], one["equal"], one["several_turns"]) == expected[name]
        if "preference_zh" in sets():
            assert f"in {one['longer_chosen']} of {one['rows']}" in cells()["real-read"]


def test_what_is_said_of_the_published_sets():
    english, chinese = (moved(name)["set"] for name in alignment_smollm.SIZES)
    assert f"has {english['rows']:,} short instructions" in cells()["real-says"]
    assert f"has {chinese['rows']} questions" in cells()["real-says"]
    two = chinese["system_and_human"]
    assert two == chinese["several_turns"]
    assert f"In the Chinese set, {two} conversations have two turns" in cells()["real-care"]
