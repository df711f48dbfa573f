"""What chapters quote from recorded runs is what the records say, for the settings in the text."""

import json

import nbformat

from benchmarks import attention_recall, losses_floor

NUMBERS = {3: "three", 5: "five", 10: "ten"}


def quoted(chapter=attention_recall.CHAPTER):
    cells = nbformat.read(chapter, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def test_the_recall_results_in_the_chapter_are_the_recorded_ones():
    record = json.loads(attention_recall.RESULT.read_text(encoding="utf-8"))
    one, two = record["runs"]
    accuracies = [
        f"{run['accuracy']['mean']:.2f} ± {run['accuracy']['sd']:.2f}" for run in (one, two)
    ]
    times = [round(run["seconds"]["mean"]) for run in (one, two)]
    assert (one["n_layers"], two["n_layers"]) == (1, 2)
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds one layer reached an accuracy of "
        f"{accuracies[0]} and two layers {accuracies[1]}, in {times[0]} and {times[1]} seconds a "
        f"run on two CPU threads"
    ) in quoted()
    assert record["machine"].startswith("CPU, 2 threads")


def test_the_recall_results_were_recorded_with_the_settings_in_the_chapter():
    record = json.loads(attention_recall.RESULT.read_text(encoding="utf-8"))
    settings = vars(attention_recall.chapter_code()["Settings"]())
    assert [run["settings"] for run in record["runs"]] == [settings, settings]


def within(summary, digits):
    return f"{abs(summary['mean']):.{digits}f} ± {summary['sd']:.{digits}f}"


def test_the_floor_results_in_the_chapter_are_the_recorded_ones():
    record = json.loads(losses_floor.RESULT.read_text(encoding="utf-8"))
    new, same = record["runs"]
    assert (new["new_text"], same["new_text"]) == (True, False)
    assert same["training_loss_above_floor"]["mean"] < 0 < new["expected_loss_above_floor"]["mean"]
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds new text ended "
        f"{within(new['expected_loss_above_floor'], 4)} nats above the floor; the same text "
        f"{within(same['training_loss_above_floor'], 2)} below it in training and "
        f"{within(same['expected_loss_above_floor'], 2)} above it in truth, within seconds on two "
        f"CPU threads"
    ) in quoted(losses_floor.CHAPTER)
    assert record["machine"].startswith("CPU, 2 threads")
    assert all(run["seconds"]["mean"] < 60 for run in record["runs"])


def test_the_floor_results_were_recorded_with_the_settings_in_the_chapter():
    record = json.loads(losses_floor.RESULT.read_text(encoding="utf-8"))
    code = losses_floor.chapter_code()
    assert [run["settings"] for run in record["runs"]] == 2 * [vars(code["Settings"]())]
    assert record["floor"] == round(float(code["floor"]), 4)
