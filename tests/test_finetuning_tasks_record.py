"""What *One model, many tasks* quotes stands in its record, or in that of the page before."""

import re

import numpy as np
import pytest

from benchmarks import finetuning_labels, finetuning_tasks
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("fine-tuning")
EARLIER = ("majority", "tf-idf", "frozen", "all")


def record():
    return recorded.record(finetuning_tasks)


def text():
    return recorded.prose(finetuning_tasks.CHAPTER)


def cells():
    return recorded.sources(finetuning_tasks.CHAPTER, "tasks-")


def found(part, **case):
    (run,) = [run for run in record()[part] if case.items() <= run.items()]
    return run


def way(name, n):
    """Return the accuracy of a way on SST-2, from the record that has it."""
    if name not in EARLIER:
        return found("ways", n=n)["accuracy"]
    runs = recorded.record(finetuning_labels)["runs"]
    (run,) = [run for run in runs if (run["task"], run["way"], run["n"]) == ("sst2", name, n)]
    return run["accuracy"]


def rows(cell, name):
    return [line.split(maxsplit=3) for line in constants(cells()[cell])[name].strip().split("\n")]


def digits(summary):
    return [f"{summary['mean']:.3f}", f"{summary['sd']:.3f}"]


def test_draws_are_those_of_the_page_before():
    chosen = finetuning_tasks.shuffled(list(range(6920)), 500, seed=1)
    assert chosen == np.random.default_rng(1).permutation(6920)[:500].tolist()
    assert record()["seeds"] == recorded.record(finetuning_labels)["seeds"]


def test_bars_of_the_ways_are_the_record():
    drawn = rows("widget-labels", "WAYS")
    assert len(drawn) == 10
    for name, n, *numbers in drawn:
        assert numbers == digits(way(name, int(n)))


def test_bars_of_the_tasks_are_the_record():
    tagged = {task: found("names", task=task) for task in ("wnut17", "weibo_ner")}
    answers = found("answers")
    expected = {
        ("sst2", "majority"): way("majority", 500),
        ("sst2", "tf-idf"): way("tf-idf", 500),
        ("sst2", "MiniLM"): way("last", 500),
    }
    expected |= {(task, "list of names"): run["listed"] for task, run in tagged.items()}
    expected |= {(task, "MiniLM"): run["f1"] for task, run in tagged.items()}
    expected |= {(name, "whole sentence"): answers[f"{name}_whole"] for name in ("en", "zh")}
    expected |= {(name, "MiniLM"): answers[f"{name}_f1"] for name in ("en", "zh")}
    drawn = {(task, name): [mean, sd] for task, mean, sd, name in rows("widget", "REACHED")}
    assert drawn == {key: digits(summary) for key, summary in expected.items()}


def test_bars_of_the_searches_are_the_record():
    for sampler, what, *numbers in rows("searches-figure", "FOUND"):
        assert numbers == digits(found("searches", sampler=sampler)[what])


@pytest.mark.parametrize(
    ("part", "cell"),
    [
        ("ways", "sst-says"),
        ("programs", "programs-record"),
        ("names", "ner-says"),
        ("answers", "qa-says"),
        ("augmented", "more-says"),
        ("searches", "searches-says"),
    ],
)
def test_each_mean_that_is_said_is_recorded(part, cell):
    said = re.findall(r"\d\.\d{3} ± \d\.\d{3}", cells()[cell])
    known = {spread(s) for run in record()[part] for s in run.values() if isinstance(s, dict)}
    known |= {spread(way(name, n)) for name in EARLIER for n in finetuning_tasks.EPOCHS}
    assert said
    assert set(said) <= known


def test_settings_are_those_that_are_said():
    said, made = text(), record()
    searched, programs = made["of_searches"], made["of_programs"]
    assert f"on {searched['labels']} labels of SST-2" in said
    assert f"{searched['trials']} trials" in said
    assert f"accuracy on {searched['chosen_on']} sentences" in said
    assert f"on {made['tested']['sst2']} other sentences" in said
    assert f"n_tested = {made['tested']['sst2']}" in cells()["error"]
    assert f"With {programs['labels']} labels" in said
    assert f"3 * {programs['labels']} // {made['tasks']['batch']}" in cells()["warmup"]


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
