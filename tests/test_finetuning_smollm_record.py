"""What *Instruction tuning* quotes from its two records is what the records say."""

import re

import pytest

from benchmarks import finetuning_instructions, finetuning_smollm
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("fine-tuning")
CHAPTER = finetuning_smollm.CHAPTER


def record():
    return recorded.record(finetuning_smollm)


def cells():
    return recorded.sources(CHAPTER, "instructions-")


def run(name, when):
    (found,) = [r for r in record()["runs"] if (r["name"], r["when"]) == (name, when)]
    return found


def rows(source):
    """Return the rows of the first table of a cell, by their first field."""
    table = source.split(":header-rows: 1")[1].split("```")[0]
    lines = [re.sub(r"^\s*(\* )?- ", "", line) for line in table.split("\n") if "- " in line]
    starts = [i for i, line in enumerate(table.split("\n")) if line.startswith("* -")]
    width = len(lines) // len(starts)
    return {lines[i]: lines[i + 1 : i + width] for i in range(0, len(lines), width)}


def test_the_settings_are_those_of_the_chapter():
    code = finetuning_smollm.chapter_code()
    for name, sizes in finetuning_smollm.SIZES.items():
        for when in finetuning_smollm.WHEN:
            assert run(name, when)["settings"] == vars(code["RealSettings"](**sizes))
    assert record()["most"] == finetuning_smollm.MOST
    assert record()["tests"] == finetuning_smollm.TESTS


def test_the_longer_run_is_described():
    english, chinese = (run(name, "after") for name in finetuning_smollm.SIZES)
    said = cells()["record"]
    steps, batch = english["settings"]["steps"], english["settings"]["batch"]
    assert f"{steps} steps of {batch} tasks in English" in said
    steps, batch = chinese["settings"]["steps"], chinese["settings"]["batch"]
    assert f"{steps} steps of {batch} on the Chinese set" in said
    assert f"A few steps on {chinese['trained_on']} tasks" in said
    held = [found["settings"]["held_out"] for found in (english, chinese)]
    assert f"on {held[0]} and {held[1]} answers that were held out" in said
    assert f"at most {record()['most']} tokens" in said
    assert len(record()["seeds"]) == 1
    assert "one run with one seed" in said


@pytest.mark.parametrize(
    ("label", "key", "digits"),
    [
        ("loss, nats a token", "loss", 3),
        ("right to the letter", "exact", 3),
        ("ended by itself", "ended", 3),
        ("tokens of an answer", "tokens", 1),
    ],
)
def test_the_table_is_the_record(label, key, digits):
    found = [
        f"{run(name, when)[key]:.{digits}f}"
        for name in finetuning_smollm.SIZES
        for when in finetuning_smollm.WHEN
    ]
    assert rows(cells()["record"])[label] == found


def test_the_loss_has_fallen_in_both_languages():
    for name in finetuning_smollm.SIZES:
        assert run(name, "after")["loss"] < run(name, "before")["loss"]


def test_the_samples_are_the_record():
    before, after = (run("instruction_en", when) for when in finetuning_smollm.WHEN)
    for i, (task, reference, *said) in enumerate(constants(cells()["samples"])["SAMPLES"]):
        asked = before["asked"][i]
        assert task == " ".join(filter(None, [asked["instruction"], asked["input"]]))
        assert reference == asked["output"]
        assert said == [before["samples"][i], after["samples"][i]]


def test_the_tasks_of_other_kinds_are_the_record():
    found = constants(cells()["kinds-said"])
    assert found["TESTS"] == record()["tests"]
    for when in finetuning_smollm.WHEN:
        kept = run("instruction_en", when)
        assert found["SAID"][when] == kept["others"]
        passes = finetuning_smollm.chapter_code()["passes"]
        assert passes(kept["others"]["code"], record()["tests"]) == kept["passes"]


def test_a_program_passes_or_does_not():
    passes, tests = finetuning_smollm.chapter_code()["passes"], finetuning_smollm.TESTS
    assert passes("Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nDone.", tests)
    assert passes("def add(a, b):\n    return a + b", tests)
    assert not passes("def add(a, b):\n    return a - b", tests)
    assert not passes("I cannot do that.", tests)


def test_tiny_world_is_quoted_from_its_record():
    found = recorded.record(finetuning_instructions)
    (only, everything) = found["runs"]
    said = rows(cells()["loss-matters"])
    assert (only["loss"], everything["loss"]) == finetuning_instructions.LOSSES
    assert said["the answer only"] == [spread(only["exact"]), spread(only["above_floor"])]
    assert said["everything"] == [spread(everything["exact"]), spread(everything["above_floor"])]
    before = found["before"]
    numbers = [f"{before['exact']:.3f}", f"{before['above_floor']:.3f}"]
    assert said["nothing yet (base model)"] == numbers
    settings = found["settings"]
    assert settings["n_layers"] == 3
    assert "with three blocks" in cells()["loss-matters"]
    assert f"the same {settings['tasks']:,} tasks" in cells()["loss-matters"]
    assert len(found["seeds"]) == 3
    assert "with three seeds" in cells()["loss-matters"]


def test_packing_is_quoted_from_its_record():
    packing, said = recorded.record(finetuning_instructions)["packing"], cells()["fit-says"]
    real, tiny = packing[finetuning_instructions.REAL], packing["Tiny World"]
    assert f"On {real['examples']} conversations" in said
    assert f"up to {real['capacity']} tokens" in said
    places = real["places"]
    assert f"{places['packed']:,} places instead of {places['padded']:,}" in said
    assert f"{real['times_as_fast']['padded']['median']:.3f} times as fast" in said
    assert f"On {tiny['examples']} tasks of Tiny World" in said
    assert f"only {tiny['times_as_fast']['padded']['median']:.3f} times as fast" in said
