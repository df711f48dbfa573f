"""What *Few parameters, trained well* says of six methods side by side is what the record says."""

import pytest

from benchmarks import finetuning_methods
from tests import recorded
from tests.recorded import spread

pytestmark = pytest.mark.chapter("fine-tuning")
METHODS = ("head alone", "prompt", "prefix", "adapters", "LoRA", "everything")


def record():
    return recorded.record(finetuning_methods)


def said():
    return recorded.sources(finetuning_methods.CHAPTER, "adapting-")["others-says"]


def reached(method):
    (run,) = [run for run in record()["runs"] if run["method"] == method]
    return run["accuracy"]


def cost(method):
    return record()["costs"][method]


def test_the_settings_are_those_of_the_chapter():
    code = finetuning_methods.chapter_code()
    assert code["METHODS"] == METHODS == tuple(record()["costs"])
    cell = recorded.sources(finetuning_methods.CHAPTER, "adapting-")["others-train"]
    assert f"labelled({record()['labels']}, 4321," in cell
    assert f"labelled({record()['tested']}, 77," in cell
    assert f"fit(model, bare, {record()['steps']}, TUNED_AT[method], 0)" in cell
    assert f"in these {record()['steps']} steps" in said()
    assert len(record()["seeds"]) == 3


@pytest.mark.parametrize("method", METHODS)
def test_the_table_is_the_record(method):
    row = said().partition(f"* - {method}\n")[2].split("\n* - ")[0].split(":::")[0]
    assert [line.removeprefix("  - ") for line in row.splitlines()] == [
        f"{cost(method)['trained']:,}",
        f"{cost(method)['megabytes']:.1f} MB",
        f"{cost(method)['times_as_fast']['median']:.1f}",
        spread(reached(method)),
    ]


def test_lora_reaches_full_fine_tuning_and_the_others_do_not():
    full = reached("everything")
    assert abs(reached("LoRA")["mean"] - full["mean"]) < full["sd"]
    for method in ("head alone", "prompt", "prefix", "adapters"):
        assert reached(method)["mean"] < full["mean"] - full["sd"]


def test_a_small_model_saves_neither_time_nor_memory_by_lora():
    assert cost("LoRA")["times_as_fast"]["middle_half"][1] < 1
    assert cost("LoRA")["megabytes"] > cost("everything")["megabytes"]
    assert cost("head alone")["megabytes"] < cost("everything")["megabytes"] / 3
    of_parameters = 12 * cost("everything")["trained"] / 1e6
    assert f"these are {of_parameters:.1f} MB" in said()
    assert of_parameters < cost("everything")["megabytes"] / 4
