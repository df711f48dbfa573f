"""What *Few parameters, trained well* quotes from its record is what the record says."""

import math

import pytest

from benchmarks import finetuning_labels
from companion.tinyworld import TinyWorld
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("fine-tuning")
PRETRAINED = ("frozen", "last", "all")


def record():
    return recorded.record(finetuning_labels)


def text():
    return recorded.prose(finetuning_labels.CHAPTER)


def cells():
    return recorded.sources(finetuning_labels.CHAPTER, "adapting-")


def found(task, way, n):
    (run,) = [
        run for run in record()["runs"] if (run["task"], run["way"], run["n"]) == (task, way, n)
    ]
    return run["accuracy"]


def mean(task, way, n):
    return found(task, way, n)["mean"]


def test_the_settings_are_those_of_the_chapter():
    code = finetuning_labels.chapter_code()
    assert record()["settings"] == vars(code["Settings"]())
    assert len(record()["seeds"]) == 3
    assert "the means of three GPTs" in text()
    assert f"the same {record()['tested']:,} test stories" in text()


@pytest.mark.parametrize(("cell", "name"), [("widget", "MEASURED"), ("labels-figure", "CURVES")])
def test_what_is_drawn_is_the_record(cell, name):
    rows = [line.split() for line in constants(cells()[cell])[name].strip().split("\n")]
    tasks = {task for task, *_ in rows}
    assert len(rows) == sum(run["task"] in tasks for run in record()["runs"])
    assert cell != "widget" or tasks == {run["task"] for run in record()["runs"]}
    for task, way, n, *numbers in rows:
        summary = found(task, way, int(n))
        assert numbers == [f"{summary['mean']:.3f}", f"{summary['sd']:.3f}"]


def test_the_dashed_line_is_what_the_grammar_reaches():
    ceiling = round(record()["bayes_on_the_test"], 3)
    assert constants(cells()["widget"])["CEILING"] == {"tiny-world": ceiling}
    assert constants(cells()["labels-figure"])["TOP"] == ceiling
    assert finetuning_labels.ceiling() == pytest.approx(record()["bayes_on_the_test"], abs=1e-4)


def test_why_the_line_is_not_at_the_bayes_accuracy():
    """The grammar's share on the stories of the test is an estimate of its expectation."""
    expected, n = record()["bayes"], record()["tested"]
    assert expected == pytest.approx(TinyWorld().bayes_accuracy(), abs=1e-4)
    error = math.sqrt(expected * (1 - expected) / n)
    assert abs(record()["bayes_on_the_test"] - expected) < 2 * error
    said = cells()["record"]
    assert f"at {record()['bayes_on_the_test']:.3f}, and" in said
    assert f"the Bayes accuracy printed above is {expected:.3f}" in said
    assert f"among {n:,} stories" in said
    assert f"a standard error of {error:.3f}" in said


def test_without_the_question_frozen_features_know_less():
    assert spread(found("tiny-world", "unasked", 500)) in cells()["unasked"]
    assert mean("tiny-world", "frozen", 500) > mean("tiny-world", "unasked", 500) + 0.03


def test_what_is_said_of_few_labels_is_recorded():
    said = cells()["labels-says"]
    for way, n in (("frozen", 50), ("scratch", 500), ("tf-idf", 500), ("all", 50)):
        assert spread(found("tiny-world", way, n)) in said
        assert mean("tiny-world", "frozen", 50) >= mean("tiny-world", way, n)
    assert found("tiny-world", "all", 50)["sd"] > 3 * found("tiny-world", "frozen", 50)["sd"]
    ways = ("tf-idf", "scratch", *PRETRAINED)
    assert all(mean("tiny-world", way, 5000) > record()["bayes_on_the_test"] - 0.02 for way in ways)


def test_pretraining_pays_where_labels_are_few():
    for way in PRETRAINED:
        assert mean("tiny-world", way, 500) > mean("tiny-world", "scratch", 500)
    assert mean("tiny-world", "frozen", 50) > mean("tiny-world", "scratch", 500)
    for n, least in ((50, 0.05), (500, 0.05), (5000, 0.0)):
        frozen, counted = (found("sst2", way, n) for way in ("frozen", "tf-idf"))
        assert frozen["mean"] > counted["mean"] + least
        assert f"{spread(frozen)} against {spread(counted)}" in cells()["unasked"]


def of_minilm(way, sizes=tuple(finetuning_labels.EPOCHS)):
    *others, last = (spread(found("sst2", way, n)) for n in sizes)
    return f"{', '.join(others)} and {last}"


def test_what_minilm_learns_is_recorded():
    said = cells()["unasked"]
    labels = "50, 500 and 5,000 labels"
    assert f"the last of its six blocks gives {of_minilm('last')} with {labels}" in said
    assert f"training all of MiniLM {of_minilm('all')}." in said
    for way in ("last", "all"):
        few, many = (found("sst2", way, n) for n in (50, 5000))
        assert few["mean"] < mean("sst2", "frozen", 50) + found("sst2", "frozen", 50)["sd"]
        assert many["mean"] - many["sd"] > mean("sst2", "frozen", 5000) + 0.02


def test_minilm_from_nothing_learns_little():
    for n in (50, 500):
        assert mean("sst2", "scratch", n) == pytest.approx(0.5, abs=0.01)
    most = found("sst2", "scratch", 5000)
    assert f"hardly better ({spread(most)}) after one pass over 5,000." in cells()["unasked"]
    assert most["mean"] - 0.5 < most["sd"]
    assert finetuning_labels.EPOCHS[5000] == 1


def test_an_english_model_does_not_help_with_chinese():
    for way in ("frozen", "tf-idf"):
        least = mean("chnsenticorp", "majority", 50)
        assert mean("chnsenticorp", way, 50) == pytest.approx(least, abs=0.01)
    for n in (500, 5000):
        assert mean("chnsenticorp", "frozen", n) < mean("chnsenticorp", "tf-idf", n)
    both = (spread(found("chnsenticorp", way, 5000)) for way in ("frozen", "tf-idf"))
    assert " against ".join(both) in cells()["unasked"]
