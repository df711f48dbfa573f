"""What the record of instruction tuning must show, whatever a chapter quotes from it."""

from dataclasses import asdict

from benchmarks import finetuning_instructions as script
from tests import recorded

#: Right answers after tuning, in every run.
BAR = 0.75


def record():
    return recorded.record(script)


def run(loss):
    (found,) = [each for each in record()["runs"] if each["loss"] == loss]
    return found


def test_the_settings_are_those_of_the_script():
    assert record()["settings"] == asdict(script.SETTINGS)
    assert len(record()["seeds"]) == 3
    assert {each["loss"] for each in record()["runs"]} == set(script.LOSSES)


def test_tuning_teaches_to_answer():
    assert record()["before"]["exact"] == 0
    assert all(value >= BAR for value in run("answer only")["exact"]["values"])


def test_the_loss_on_the_answer_alone_teaches_more_and_forgets_more():
    """In every run of one kind compared with every run of the other."""
    only, everything = run("answer only"), run("everything")
    assert min(only["exact"]["values"]) > max(everything["exact"]["values"])
    assert min(only["above_floor"]["values"]) > max(everything["above_floor"]["values"])


def test_every_training_was_finished():
    """One that is stopped works for a shorter time."""
    for loss in script.LOSSES:
        seconds = run(loss)["cpu_seconds"]["values"]
        assert min(seconds) > 0.75 * max(seconds)


def test_a_pretrained_model_is_near_the_floor_and_tuning_takes_it_away():
    before = record()["before"]["above_floor"]
    assert 0 < before < 0.05
    for loss in script.LOSSES:
        assert min(run(loss)["above_floor"]["values"]) > before


def test_packed_rows_have_fewer_places():
    for found in record()["packing"].values():
        places, tokens = found["places"], found["tokens"]
        assert tokens <= places["packed"] < places["padded"]
        assert found["rows"]["packed"] < found["rows"]["padded"] == found["examples"]
