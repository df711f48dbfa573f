"""What *Objectives* quotes from its record is what the record says."""

import pytest

from benchmarks import pretraining_objectives
from tests import recorded
from tests.recorded import spread

pytestmark = pytest.mark.chapter("pretraining")


def record():
    return recorded.record(pretraining_objectives)


def runs():
    return {run["variant"]: run for run in record()["runs"]}


def text():
    return recorded.prose(pretraining_objectives.CHAPTER)


def test_the_table_of_variants_is_recorded():
    for name, run in runs().items():
        (row,) = [part for part in text().split("\n* - ") if part.startswith(f"{name}\n")]
        numbers = [spread(run["above"]), spread(run["accuracy"])]
        numbers += [spread(run["next"])] if "NSP" in name else ["not trained"]
        assert [line.removeprefix("  - ") for line in row.split("\n")[3:6]] == numbers


def test_what_is_said_at_the_end_is_recorded():
    alone = runs()["MLM"]
    assert (
        f"MLM alone is {spread(alone['above'])} nats a word above the floor and finds the right "
        f"word with probability {spread(alone['accuracy'])} (± over three seeds), after about "
        f"{alone['cpu_seconds']['mean']:.0f} seconds of one CPU core"
    ) in text()
    assert len(record()["seeds"]) == 3


def test_most_of_the_difference_comes_from_the_pairs_and_some_from_the_second_question():
    whole, pairs, both = (runs()[name]["above"] for name in ("MLM", "MLM on pairs", "MLM + NSP"))
    assert both["mean"] - pairs["mean"] < pairs["mean"] - whole["mean"]
    for one, two in zip(pairs["values"], both["values"], strict=True):
        assert one < two


def test_the_next_sentence_is_told_as_by_the_shortcut():
    assert runs()["MLM + NSP"]["next"]["mean"] == pytest.approx(0.75, abs=0.01)


def test_the_settings_are_those_of_the_chapter():
    code = pretraining_objectives.chapter_code()
    assert record()["settings"] == vars(code["Settings"]())
    settings = record()["settings"]
    assert f"{settings['steps']} steps of {settings['batch']} texts" in text()
