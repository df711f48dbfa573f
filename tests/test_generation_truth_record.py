"""What *What a model says* quotes from its record is what the record says."""

import heapq
import math
import re

import nbformat
import pytest

from benchmarks import generation_truth
from companion.tinyworld import TinyWorld
from companion.tokenizers import Words
from tests import recorded
from tests.recorded import constants, percent, spread

METHODS = ("temperature", "top-p", "min-p", "top-k")


def record():
    return recorded.record(generation_truth)


def text():
    return recorded.prose(generation_truth.CHAPTER)


def cells():
    return recorded.sources(generation_truth.CHAPTER, "sampling-")


def found(method, value=None, **case):
    """Return the run of a method with a value."""
    (run,) = [
        run
        for run in record()["runs"]
        if run["method"] == method
        and run.get("value") == value
        and all(run[name] == case[name] for name in case)
    ]
    return run


def test_the_settings_are_those_of_the_chapter():
    code = generation_truth.chapter_code()
    assert record()["settings"] == vars(code["Settings"]())
    assert len(record()["seeds"]) == 5
    assert record()["stories"] == 400
    assert "each of five models (one a seed) wrote 400 stories" in text()
    assert f"{record()['held_out']:,} true stories" in text()


def test_the_first_screen_shows_the_recorded_logits():
    drawn = constants(cells()["widget"])
    assert drawn["BEGUN"] == record()["first_screen"]["text"] == generation_truth.FIRST_SCREEN
    logits = [float(number) for number in drawn["LOGITS"].split()]
    assert logits == record()["first_screen"]["logits"]


def test_the_curves_show_the_record():
    rows = [line.split() for line in constants(cells()["curves"])["FOUND"].strip().split("\n")]
    names = ("entropy", "possible", "meaning", "writable")
    assert {method for method, *_ in rows} == set(METHODS)
    assert len(rows) == sum(run["method"] in METHODS for run in record()["runs"])
    for method, value, *numbers in rows:
        run = found(method, float(value))
        digits = (2, 3, 3, 3)
        for number, name, places in zip(numbers, names, digits, strict=True):
            assert number == f"{run[name]['mean']:.{places}f}"


def test_the_table_of_samplers_shows_the_record():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+ %) \|(.+)\|$", text(), re.MULTILINE)
    assert len(rows) == 7
    for name, possible, rest in rows:
        method, value = ("temperature", "1") if name.startswith("none") else name.split()
        run = found(method, float(value))
        assert possible == percent(run["possible"])
        others = [percent(run["meaning"]), percent(run["grammar"]), spread(run["entropy"], 1)]
        assert [each.strip() for each in rest.split("|")] == [*others, percent(run["writable"])]


def test_every_verdict_is_one_of_three():
    for run in record()["runs"]:
        if run["method"] in METHODS:
            shares = [run[name]["mean"] for name in ("possible", "meaning", "grammar")]
            assert abs(sum(shares) - 1) < 1e-3


def test_the_curve_of_the_temperature_shows_the_record():
    drawn = constants(cells()["kl-figure"])
    taus = constants(cells()["kl-perfect"])["TAUS"]
    runs = [found("temperature", tau)["kl"] for tau in taus]
    assert drawn["KL"] == [round(run["mean"], 3) for run in runs]
    assert drawn["SD"] == [round(run["sd"], 3) for run in runs]
    for tau in (0.5, 0.7, 1.0):
        assert spread(found("temperature", tau)["kl"], 2) in text()


def test_the_distance_at_temperature_one_is_that_of_the_model():
    assert found("temperature", 1.0)["kl"] == found("model")["kl"]


def test_what_one_should_see_is_recorded():
    plain, cool, cold = (found("temperature", tau) for tau in (1.0, 0.7, 0.3))
    light, strong = found("min-p", 0.05), found("top-p", 0.8)
    said = cells()["expect"]
    assert f"tells {percent(plain['possible'])} possible stories" in said
    assert f"at temperature 1, {percent(plain['grammar'])} of the stories have one" in said
    assert f"at 0.7, only {percent(cool['grammar'])}" in said
    assert f"They are {percent(plain['meaning'])}" in said
    cuts = [run for run in record()["runs"] if run["method"] in METHODS[1:]]
    least = min(run["meaning"]["mean"] for run in cuts)
    assert f"no cut brings them below {100 * least:.0f} %" in said
    assert f"at 0.3 it has fallen to {percent(cold['possible'])}" in said
    lengths = [f"{run['sentences']['mean']:.1f}" for run in (cold, plain)]
    assert f"have {lengths[0]} sentences instead of {lengths[1]}" in said
    assert f"Min-p 0.05 tells {percent(light['possible'])} possible stories" in said
    assert f"can still write {percent(light['writable'])} of the true ones" in said
    assert f"has lost all but {percent(strong['writable'])} of the language" in said
    assert strong["possible"]["mean"] < light["possible"]["mean"]


def test_colder_is_not_always_better():
    shares = [found("temperature", tau)["possible"]["mean"] for tau in (0.3, 0.5, 0.7, 1.0, 1.5)]
    assert shares.index(max(shares)) == 2
    assert shares == sorted(shares[:3]) + sorted(shares[3:], reverse=True)


def test_the_figure_of_the_trap_shows_the_record():
    drawn = constants(cells()["trap-figure"])
    assert drawn["WIDTHS"] == list(generation_truth.BEAMS)
    for penalty, log_p, length in ((0.0, "SUMS", "LONG_SUMS"), (1.0, "MEANS", "LONG_MEANS")):
        runs = [found("beams", k, length_penalty=penalty) for k in drawn["WIDTHS"]]
        assert drawn[log_p] == [round(run["log_p"]["mean"], 2) for run in runs]
        assert drawn[length] == [round(run["sentences"]["mean"], 2) for run in runs]
    true = record()["true_from_openings"]
    assert drawn["TRUE"] == round(true["log_p"], 2)
    assert drawn["LONG"] == round(true["sentences"], 2)


def test_what_is_said_of_the_trap_is_recorded():
    said = cells()["trap-record"]
    true = record()["true_from_openings"]
    assert f"{true['log_p']:.1f}".lstrip("-") in said
    assert f"{true['sentences']:.1f} sentences" in said
    for k, penalty in ((1, 0.0), (16, 0.0), (16, 1.0)):
        run = found("beams", k, length_penalty=penalty)
        assert spread(run["sentences"], 1) in said
        assert percent(run["possible"]) in said


@pytest.mark.slow
def test_no_story_is_more_probable_than_the_one_that_beams_find():
    """By a search that leaves out no beginning: the most probable one always goes on first."""
    page = nbformat.read(generation_truth.CHAPTER, as_version=4).cells
    printed = "".join(output.get("text", "") for cell in page for output in cell.get("outputs", ()))
    ((log_p, story),) = re.findall(r"^16 beams, ln p = (\S+): (.+)$", printed, re.MULTILINE)
    world, waiting = TinyWorld(), [(0.0, ())]
    most = -world.log_prob(story) + 1e-9  # what costs more need not be looked at
    words = Words.train(world.sentences(), ["<|story|>", "<|end|>"])
    end = words.special_ids["<|end|>"]
    while True:
        cost, ids = heapq.heappop(waiting)
        if ids[-1:] == (end,):
            break
        for token, p in world.next_tokens(words.decode(ids), words).items():
            if p > 0 and cost - math.log(p) <= most:
                heapq.heappush(waiting, (cost - math.log(p), (*ids, token)))
    assert -cost == pytest.approx(world.log_prob(story), abs=1e-9)
    assert f"{-cost:.2f}" == log_p
