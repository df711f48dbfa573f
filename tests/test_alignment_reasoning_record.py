"""What *Answers that can be checked* quotes from its record is what the record says."""

import pytest

from benchmarks import alignment_reasoning
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("alignment")
KINDS = ("count", "count with rain", "tell")
FAULTS = {
    "not trained": "start",
    "faultless": "faultless",
    "refuses 0.3 of right": "refuses",
    "passes 0.3 of wrong": "lets pass",
    "blind to rain": "blind",
}


def record():
    return recorded.record(alignment_reasoning)


def text():
    return recorded.prose(alignment_reasoning.CHAPTER)


def cells():
    return recorded.sources(alignment_reasoning.CHAPTER, "reasoning-")


def found(way, kind, what="pass@1"):
    (run,) = [run for run in record()["runs"] if run["way"] == way]
    return run[f"{kind}, {what}"]


def mean(way, kind, what="pass@1"):
    return found(way, kind, what)["mean"]


def rows(cell, name):
    return constants(cells()[cell])[name].strip().split("\n")


def test_the_settings_are_those_of_the_chapter():
    code = alignment_reasoning.chapter_code()
    assert record()["settings"] == vars(code["Settings"]())
    assert len(record()["seeds"]) == 3
    assert "standard deviation over three seeds" in text()
    assert f"GRPOLoss(beta={record()['beta']})" in cells()["train-policy"]
    assert record()["rate"] == 0.3


def test_what_is_printed_of_all_tasks_is_the_record():
    printed = rows("record", "RECORD")[1:]
    cases = [(way, kind) for way in ("start", "trained") for kind in KINDS]
    assert len(printed) == len(cases)
    for row, (way, kind) in zip(printed, cases, strict=True):
        values = [spread(found(way, kind, what), 2) for what in ("pass@1", "pass@8", "vote")]
        if kind == "tell":
            values[-1] = "-"
        assert row == f"{way:9}{kind:17}{values[0]:14}{values[1]:14}{values[2]}"


def test_what_is_printed_of_verifiers_is_the_record():
    printed = rows("faults", "FAULTS")[1:]
    assert len(printed) == len(FAULTS)
    for row, (name, way) in zip(printed, FAULTS.items(), strict=True):
        values = [spread(found(way, kind), 2) for kind in KINDS[:2]]
        assert row == f"{name:22}{values[0]:14}{values[1]}"


def test_training_leads_beyond_the_examples():
    for kind in KINDS:
        assert mean("trained", kind) > mean("start", kind) + 0.05
    assert mean("trained", "count with rain") > 0.3 + 0.1
    assert mean("trained", "count", "pass@8") > 0.95
    assert mean("start", "count", "pass@8") > 0.95


def test_training_helps_with_each_seed():
    for kind in KINDS:
        after, before = found("trained", kind)["values"], found("start", kind)["values"]
        assert all(x > y for x, y in zip(after, before, strict=True))
    assert min(found("trained", "count with rain")["values"]) > 0.33 + 0.1
    assert mean("trained", "tell", "pass@8") > mean("start", "tell", "pass@8") + 0.1
    assert "With each of the three seeds, pass@1 rises on all three kinds" in text()


def test_a_vote_helps_where_mistakes_are_scattered():
    assert mean("start", "count", "vote") > mean("start", "count") + 0.1
    gain = mean("start", "count with rain", "vote") - mean("start", "count with rain")
    assert gain < 0.1
    assert mean("trained", "count with rain") > mean("start", "count with rain", "vote")


def test_random_mistakes_slow_and_systematic_ones_mislead():
    for kind in KINDS[:2]:
        for way in ("refuses", "lets pass"):
            assert mean(way, kind) > mean("start", kind)
    assert mean("blind", "count with rain") < mean("start", "count with rain") - 0.1
    assert mean("faultless", "count with rain") > mean("start", "count with rain") + 0.2


def test_what_the_text_says_of_random_mistakes():
    for kind in KINDS[:2]:
        random = [found(way, kind) for way in ("refuses", "lets pass")]
        assert all(one["mean"] < mean("faultless", kind) for one in random)
        apart = abs(random[0]["mean"] - random[1]["mean"])
        assert apart < min(one["sd"] for one in random)
    start = found("start", "count with rain")["values"]
    for way in ("refuses", "lets pass"):
        pairs = zip(found(way, "count with rain")["values"], start, strict=True)
        assert all(x > y + 0.3 for x, y in pairs)
    pairs = [
        *zip(found("lets pass", "count")["values"], found("start", "count")["values"], strict=True)
    ]
    assert sum(x <= y for x, y in pairs) == 1  # "one seed of three gained nothing there"
    assert mean("blind", "count") < mean("start", "count") - 0.1
    assert "one seed of three gained nothing" in text()
