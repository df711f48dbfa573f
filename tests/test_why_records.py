"""The maps and sentences of *Why it is built so* are what its records say."""

import statistics

import pytest

from benchmarks import transformer_ablations, transformer_norms, transformer_positions
from tests import recorded
from tests.recorded import record

pytestmark = pytest.mark.chapter("transformer")
NUMBERS = {1: "one seed", 2: "two seeds", 3: "three seeds"}
PANELS = {"pre": "pre-norm", "post": "post-norm", "post, warm-up": "post-norm, warm-up"}
BESIDE = 0.1  # nearer than this to the loss of word frequencies, nothing else was learnt


def text():
    return recorded.prose(transformer_norms.CHAPTER)


def constants(cell):
    return recorded.constants(recorded.sources(transformer_norms.CHAPTER, "transformer-why-")[cell])


def losses(kind, depth, rate):
    """Losses above the floor, one for each seed; None where nothing was trained."""
    for run in record(transformer_norms)["runs"]:
        if (run["kind"], run["depth"], run["rate"]) == (kind, depth, rate):
            return run["above_floor"]["values"]
    return None


def spread(values, digits=2):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def stuck(values):
    return sum(value > record(transformer_norms)["guess"] - BESIDE for value in values)


def test_the_map_is_the_recorded_one():
    shown, known = constants("map"), record(transformer_norms)
    assert shown["N_SEEDS"] == len(known["seeds"]) >= 2
    assert shown["DEPTHS"] == known["settings"]["depths"]
    assert shown["RATES"] == known["settings"]["rates"]
    for kind in transformer_norms.KINDS:
        for i, depth in enumerate(shown["DEPTHS"]):
            for j, rate in enumerate(shown["RATES"]):
                values, name = losses(kind, depth, rate), PANELS.get(kind, kind)
                if values is None:
                    assert shown["MAP"][name][i][j] is None is shown["STUCK"][name][i][j]
                else:
                    near = pytest.approx(statistics.mean(values), abs=0.0051)
                    assert shown["MAP"][name][i][j] == near
                    assert shown["STUCK"][name][i][j] == stuck(values)


def test_what_is_said_of_the_map_is_recorded():
    known = record(transformer_norms)
    ends = {(k, d): spread(losses(k, d, 0.01)) for k in ("pre", "post") for d in (2, 8)}
    runs = [run for run in known["runs"] if run["depth"] == 8 and run["rate"] == 0.01]
    seconds = [run["cpu_seconds"]["mean"] for run in runs if run["kind"] in ("pre", "post")]
    assert (
        f"Over {NUMBERS[len(known['seeds'])]}, with the learning rate 0.01, pre-norm ended "
        f"{ends['pre', 2]} nats above the floor with 2 blocks and {ends['pre', 8]} with 8; "
        f"post-norm {ends['post', 2]} with 2 blocks and {ends['post', 8]} with 8. Word frequencies "
        f"alone are {known['guess']:.2f} above it. A training of 8 blocks took "
        f"{round(statistics.mean(seconds))} seconds of work for one CPU core"
    ) in text()
    ended = {
        kind: [run["above_floor"]["values"] for run in known["runs"] if run["kind"] == kind]
        for kind in PANELS
    }
    bad = {kind: sum(map(stuck, values)) for kind, values in ended.items()}
    (trainings,) = {sum(map(len, values)) for values in ended.values()}  # as many in each
    middle = {kind: statistics.mean(losses(kind, 4, 0.01)) for kind in PANELS}
    assert (
        f"The first three panels hold {trainings} trainings each. Of these, {bad['pre']} are stuck "
        f"at word frequencies with pre-norm, {bad['post']} with post-norm, and "
        f"{bad['post, warm-up']} with post-norm and a warm-up over the first third of the steps. "
        f"The warm-up helps where the rate is a little too high: with 4 blocks at 0.01 it brings "
        f"{middle['post']:.2f} down to {middle['post, warm-up']:.2f}."
    ) in text()
    least = {
        kind: min(statistics.mean(losses(kind, 4, rate)) for rate in known["settings"]["rates"])
        for kind in ("pre", "post")
    }
    assert (
        f"At the rate 0.01, post-norm looks useless: {middle['post']:.2f} against "
        f"{middle['pre']:.2f}. Each at its own best rate, it is {least['post']:.2f} against "
        f"{least['pre']:.2f}."
    ) in text()


def test_the_runs_were_recorded_with_the_settings_in_the_chapter():
    code = transformer_norms.chapter_code()
    settings = vars(code["Settings"]())
    for benchmark in (transformer_norms, transformer_ablations):
        known = record(benchmark)
        for name in ("d_model", "batch", "warmup"):
            assert known["settings"][name] == settings[name]
        assert known["floor"] == round(code["floor"], 4)
        assert known["guess"] == round(code["guess"], 4)
        assert known["machine"].startswith("CPU, 1 threads")
    assert record(transformer_norms)["settings"]["steps"] == settings["steps"]
    assert settings["warmup"] * 3 == settings["steps"]
    known = {run["variant"] for run in record(transformer_ablations)["runs"]}
    assert known == set(code["VARIANTS"])


def best(variant):
    """A variant's runs at the learning rate that suits it best."""
    runs = [run for run in record(transformer_ablations)["runs"] if run["variant"] == variant]
    return min(runs, key=lambda run: run["above_floor"]["mean"])


def test_the_ablations_are_the_recorded_ones():
    known = record(transformer_ablations)
    shown = constants("ablations-figure")["ABLATIONS"]
    assert list(shown) == list(dict.fromkeys(run["variant"] for run in known["runs"]))
    for variant, (size, rate, values) in shown.items():
        run = best(variant)
        assert (size, rate) == (run["parameters"]["mean"], run["rate"])
        assert values == pytest.approx(run["above_floor"]["values"], abs=0.0006)
    assert f"{known['settings']['steps']} steps of {known['settings']['batch']} stories" in text()
    assert ", ".join(f"{rate:g}" for rate in known["settings"]["rates"][:2]) in text()


def test_what_is_said_of_the_ablations_is_recorded():
    end = {run["variant"]: "" for run in record(transformer_ablations)["runs"]}
    end = {variant: spread(best(variant)["above_floor"]["values"], 3) for variant in end}
    assert (
        f"The whole model ends {end['whole']} nats above the floor. Without residual connections "
        f"it is {end['no residual']}, without attention {end['no attention']}, and no width makes "
        f"up for that: {end['no attention, wider']}. Without feed-forward layers it is "
        f"{end['no feed-forward']}, and {end['no feed-forward, deeper']} with three times the "
        f"blocks. Without positions: {end['no positions']}; without the norms: {end['no norm']}."
    ) in text()
    mean = {variant: best(variant)["above_floor"]["mean"] for variant in end}
    assert (
        f"loses {mean['no feed-forward'] - mean['whole']:.2f} nats more than the whole, but it is "
        f"also less than half as large. With as many parameters "
        f"{mean['no feed-forward, deeper'] - mean['whole']:.2f} are left. And both differences "
        f"are about as large as the spread between the seeds of the whole model, "
        f"± {best('whole')['above_floor']['sd']:.2f}:"
    ) in text()


def test_the_curves_of_the_positions_are_the_recorded_ones():
    known = record(transformer_positions)
    shown = constants("positions-figure")
    assert shown["BIN"] == known["settings"]["bin"]
    assert list(shown["MEAN"]) == [run["kind"] for run in known["runs"]]
    for run in known["runs"]:
        bins = [value for name, value in run.items() if name.isdigit()]
        for table, what in (("MEAN", "mean"), ("SPREAD", "sd")):
            drawn = [float(number) for number in shown[table][run["kind"]].split()]
            assert drawn == pytest.approx([one[what] for one in bins], abs=0.0006)


def test_what_is_said_of_the_positions_is_recorded():
    runs = {run["kind"]: run for run in record(transformer_positions)["runs"]}
    near = {kind: spread(run["48"]["values"], 3) for kind, run in runs.items()}
    far = {k: spread(run["240"]["values"], 3) for k, run in runs.items() if k != "learned"}
    assert (
        f"In the last 16 tokens of the trained length, from 48 to 63, the loss above the floor is "
        f"{near['none']} without positions, {near['learned']} with learned, {near['sinusoidal']} "
        f"with sinusoidal, {near['rotary']} with rotary ones and {near['ALiBi']} with ALiBi. In "
        f"the last 16 of 256 it is {far['none']} without positions, {far['sinusoidal']} with "
        f"sinusoidal, {far['rotary']} with rotary ones and {far['ALiBi']} with ALiBi; learned "
        "positions do not reach so far."
    ) in text()
