"""What *Few parameters, trained well* quotes from its record is what the record says."""

import pytest

from benchmarks import finetuning_labels
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
    for task, way, n, *numbers in rows:
        summary = found(task, way, int(n))
        assert numbers == [f"{summary['mean']:.3f}", f"{summary['sd']:.3f}"]


def test_the_dashed_line_is_what_the_grammar_reaches():
    ceiling = round(record()["bayes_on_the_test"], 3)
    assert constants(cells()["widget"])["CEILING"] == {"tiny-world": ceiling}
    assert constants(cells()["labels-figure"])["TOP"] == ceiling
    assert finetuning_labels.ceiling() == pytest.approx(record()["bayes_on_the_test"], abs=1e-4)


def test_without_the_question_frozen_features_know_less():
    assert spread(found("tiny-world", "unasked", 500)) in cells()["unasked"]
    assert mean("tiny-world", "frozen", 500) > mean("tiny-world", "unasked", 500) + 0.03


def test_pretraining_pays_where_labels_are_few():
    for way in PRETRAINED:
        assert mean("tiny-world", way, 500) > mean("tiny-world", "scratch", 500)
    for n in (50, 500):
        assert mean("sst2", "frozen", n) > mean("sst2", "tf-idf", n) + 0.05
    assert mean("sst2", "frozen", 5000) == pytest.approx(mean("sst2", "tf-idf", 5000), abs=0.02)


def test_an_english_model_does_not_help_with_chinese():
    for n in finetuning_labels.LABELS:
        assert mean("chnsenticorp", "frozen", n) < mean("chnsenticorp", "tf-idf", n)
