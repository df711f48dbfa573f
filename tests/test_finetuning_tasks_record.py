"""What *One model, many tasks* quotes stands in its record, or in that of the page before."""

import re

import pytest

from benchmarks import finetuning_labels, finetuning_tasks
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("fine-tuning")
SPREAD = re.compile(r"\d\.\d{3} ± \d\.\d{3}")


def record():
    return recorded.record(finetuning_tasks)


def text():
    return recorded.prose(finetuning_tasks.CHAPTER)


def cells():
    return recorded.sources(finetuning_tasks.CHAPTER, "tasks-")


def found(part, **case):
    (run,) = [run for run in record()[part] if case.items() <= run.items()]
    return run


def way(name, n, task="sst2"):
    """Return the accuracy of a way, which the record of the page before has."""
    runs = recorded.record(finetuning_labels)["runs"]
    (run,) = [run for run in runs if (run["task"], run["way"], run["n"]) == (task, name, n)]
    return run["accuracy"]


def rows(cell, name):
    return [line.split(maxsplit=3) for line in constants(cells()[cell])[name].strip().split("\n")]


def digits(summary):
    return [f"{summary['mean']:.3f}", f"{summary['sd']:.3f}"]


def test_bars_of_the_ways_are_the_record():
    drawn = rows("widget-labels", "WAYS")
    assert len(drawn) == 11
    for name, n, *numbers in drawn:
        assert numbers == digits(way(name, int(n)))


def test_bars_of_the_tasks_are_the_record():
    tagged = {task: found("names", task=task) for task in ("wnut17", "weibo_ner")}
    answers = found("answers")
    expected = {
        ("sst2", "majority"): way("majority", 500),
        ("sst2", "tf-idf"): way("tf-idf", 500),
        ("sst2", "MiniLM"): way("all", 500),
    }
    expected |= {(task, "list of names"): run["listed"] for task, run in tagged.items()}
    expected |= {(task, "MiniLM"): run["f1"] for task, run in tagged.items()}
    expected |= {(name, "whole sentence"): answers[f"{name}_whole"] for name in ("en", "zh")}
    expected |= {(name, "MiniLM"): answers[f"{name}_f1"] for name in ("en", "zh")}
    drawn = {(task, name): [mean, sd] for task, mean, sd, name in rows("widget", "REACHED")}
    assert drawn == {key: digits(summary) for key, summary in expected.items()}


@pytest.mark.parametrize(("part", "cell"), [("names", "ner-says"), ("answers", "qa-says")])
def test_each_mean_that_is_said_is_recorded(part, cell):
    said = set(SPREAD.findall(cells()[cell]))
    assert said
    assert said <= {spread(s) for run in record()[part] for s in run.values() if type(s) is dict}


def test_what_is_said_of_the_ways_is_recorded():
    said = set(SPREAD.findall(cells()["sst-says"]))
    assert said == {
        spread(way(name, n))
        for name, n in (
            ("all", 50),
            ("frozen", 50),
            ("all", 500),
            ("frozen", 500),
            ("tf-idf", 500),
            ("frozen", 5000),
            ("tf-idf", 5000),
        )
    }
    assert way("all", 500)["mean"] > way("frozen", 500)["mean"] + 0.02


def test_settings_are_those_that_are_said():
    said, made = text(), record()
    settings, tested = made["settings"], made["tested"]
    assert f"learnt from {settings['examples']} questions" in said
    assert f"were trained on {settings['examples']} sentences in six passes" in said
    assert settings["passes"] == 6
    assert len(made["seeds"]) == 3
    assert f"On {tested['wnut17']} sentences of the dev part" in said
    assert f"on {tested['weibo_ner']} messages" in said
    assert f"tested on {tested['squad']} questions" in said


def test_floors_of_answers_are_recorded():
    floors = found("answers")
    english, chinese = (f"{floors[name]['mean']:.3f}" for name in ("en_whole", "zh_whole"))
    assert f"the whole sentence has a token F1 of {english}" in cells()["qa-says"]
    assert f"less than the whole sentence with {chinese}" in cells()["qa-says"]
    assert floors["en_f1"]["mean"] > floors["en_whole"]["mean"]
    assert floors["zh_f1"]["mean"] < floors["zh_whole"]["mean"]


def test_names_are_found_in_english_alone():
    english, chinese = (found("names", task=task) for task in ("wnut17", "weibo_ner"))
    assert english["listed"]["mean"] == 0.0
    assert english["f1"]["mean"] > 0.3
    assert chinese["listed"]["mean"] > chinese["f1"]["mean"] + 0.3
    assert chinese["unknown"]["mean"] > 0.5
