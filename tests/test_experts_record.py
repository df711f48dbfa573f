"""What *Mixtures of experts* quotes from its record is what the record says."""

import pytest

from benchmarks import families_experts
from tests import recorded
from tests.recorded import percent, spread

pytestmark = pytest.mark.chapter("model-families")
NUMBERS = {3: "three", 5: "five"}
LABELS = {
    "same active": "dense, same\nactive parameters",
    "same total": "dense, same\ntotal parameters",
    "mixture": "mixture,\nbalanced",
    "mixture, not balanced": "mixture,\nleft alone",
}


def record():
    return recorded.record(families_experts)


def runs(what):
    return {run["model"]: run for run in record()[what]}


def text():
    return recorded.prose(families_experts.CHAPTER)


def constants(cell):
    return recorded.constants(recorded.sources(families_experts.CHAPTER, "experts-")[cell])


def test_what_is_said_of_the_task_with_eight_kinds_is_recorded():
    layers, seeds = runs("layers"), NUMBERS[len(record()["seeds"])]
    mixture, alone = layers["mixture"], layers["mixture, not balanced"]
    assert (
        f"Over {seeds} seeds the balanced mixture ({families_experts.LAYERS['mixture'][1]:g}) "
        f"ended with an error of {spread(mixture['error'])} and with "
        f"{spread(mixture['in_use'], 1)} experts in use; left alone, with an error of "
        f"{spread(alone['error'])} and {spread(alone['in_use'], 1)} experts. A dense layer that "
        f"does the same work for each input ended at {spread(layers['same active']['error'])}, "
        f"and one as wide as all experts together at {spread(layers['same total']['error'])}"
    ) in text()
    errors = {name: layers[name]["error"]["mean"] for name in layers}
    middle = (errors["same active"] + errors["same total"]) / 2
    kinds = ("mixture", "mixture, not balanced")
    assert all(errors["same total"] < errors[kind] < middle for kind in kinds)
    apart = max(errors[kind] for kind in kinds) - min(errors[kind] for kind in kinds)
    assert apart < max(layers[kind]["error"]["sd"] for kind in kinds)


def test_what_is_said_of_the_language_models_is_recorded():
    models, seeds = runs("models"), NUMBERS[len(record()["seeds"])]
    mixture, alone = models["mixture"], models["mixture, not balanced"]
    dense, wide = models["same active"], models["same total"]
    assert (
        f"Over {seeds} seeds the balanced mixture ended {spread(mixture['above_floor'])} nats a "
        f"token above the floor, and without the balance loss {spread(alone['above_floor'])}. The "
        f"dense model with the same active parameters ended at {spread(dense['above_floor'])}, the "
        f"one with the same total at {spread(wide['above_floor'])}. A step took "
        f"{spread(mixture['milliseconds_a_step'], 0)} milliseconds of one CPU core for the "
        f"mixture, {spread(dense['milliseconds_a_step'], 0)} for the small dense model and "
        f"{spread(wide['milliseconds_a_step'], 0)} for the wide one."
    ) in text()
    assert (
        f"the largest load is {alone['largest_load']['mean']:.2f} and the smallest "
        f"{alone['smallest_load']['mean']:.2f}, where an equal share is 0.25. With the balance "
        f"loss they are {mixture['largest_load']['mean']:.2f} and "
        f"{mixture['smallest_load']['mean']:.2f}."
    ) in text()
    assert max(dense["above_floor"]["mean"], wide["above_floor"]["mean"]) < min(
        mixture["above_floor"]["mean"], alone["above_floor"]["mean"]
    )
    assert alone["above_floor"]["mean"] < mixture["above_floor"]["mean"]
    behind = mixture["above_floor"]["mean"] - dense["above_floor"]["mean"]
    assert behind < dense["above_floor"]["sd"] + mixture["above_floor"]["sd"]
    assert dense["milliseconds_a_step"]["mean"] < mixture["milliseconds_a_step"]["mean"]
    assert min(alone["smallest_load"]["values"]) > 0.025  # no expert was lost
    assert record()["machine"].startswith("CPU, 1 threads")


def test_what_is_said_of_specialisation_is_recorded():
    trained, (fresh,) = runs("models")["mixture"], record()["untrained"]
    said = {name: percent(trained[name]) for name in trained if name[-1] in "12"}
    shuffled = 100 * trained["shuffled_1"]["mean"]
    before = {name: percent(fresh[name]) for name in fresh}
    rows = {
        "the word": (said["word_1"], said["word_2"]),
        "its class": (said["class_1"], said["class_2"]),
        "the word, before training": (before["word_1"], before["word_2"]),
        "its class, before training": (before["class_1"], before["class_2"]),
    }
    for what, (first, second) in rows.items():
        assert f"\n| {what} | {first} | {second} |" in text()
    assert f"A shuffled class determines {shuffled:.1f} % in layer 1." in text()
    learnt = {what: trained[what]["mean"] - fresh[what]["mean"] for what in said if what in before}
    assert min(learnt["class_1"], learnt["class_2"]) > max(learnt["word_1"], learnt["word_2"])


def test_the_figures_and_the_first_screen_are_the_recorded_ones():
    shown = {**constants("tables-figure"), **constants("lm-figure"), **constants("first")}
    for table, what, key, near in (
        ("ERRORS", "layers", "error", 6e-5),
        ("ABOVE", "models", "above_floor", 6e-4),
        ("MILLISECONDS", "models", "milliseconds_a_step", 0.06),
    ):
        for model, run in runs(what).items():
            label, values = LABELS[model], run[key]["values"]
            assert shown[table][label] == pytest.approx(values, abs=near)
    examples = record()["examples"]
    assert list(shown["STORIES"].values()) == examples["stories"]
    assert list(shown["CHOICES"].values()) == examples["choices"]
    for story, (layer, _) in zip(examples["stories"], examples["choices"], strict=True):
        pairs = list(zip(story.split(), layer.split(), strict=True))
        stops = [pair for word, pair in pairs if word == "."]
        assert all("7" in pair for pair in stops)
        assert 2 * stops.count("37") > len(stops)
        assert len({pair for word, pair in pairs if word == "the"}) == 2
    start = examples["stories"][0][: examples["stories"][0].index("She ate a ")].count(" ")
    one, two = ({*layer.split()[start : start + 3]} for layer in examples["choices"][0])
    assert (len(one), len(two)) == (3, 1)


def test_the_settings_are_those_in_the_chapter():
    known, code = record(), families_experts.chapter_code("mixture")
    assert known["settings"] == vars(code["Settings"]())
    assert known["table_settings"] == vars(families_experts.chapter_code("tables")["Tables"]())
    for what in ("layers", "models"):
        for run in runs(what).values():
            assert f"{int(run['parameters']['mean']):,}" in text()
