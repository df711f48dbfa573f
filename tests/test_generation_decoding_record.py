"""What *Fast and on a leash* quotes from its records is what the records say."""

import pytest

from benchmarks import generation_cache, generation_speculation, generation_speed, records
from companion.generation.lean import TOKENS_THAT_PAY
from tests import recorded

CHAPTER = records.chapter("generation/decoding")


def text():
    return recorded.prose(CHAPTER)


def source(name):
    return recorded.sources(CHAPTER, "decoding-")[name]


def speed():
    return recorded.record(generation_speed)


def speculation():
    return recorded.record(generation_speculation)


def cached(size, n_new):
    runs = recorded.record(generation_cache)["runs"]
    (found,) = [run for run in runs if (run["size"], run["new_tokens"]) == (size, n_new)]
    return found


def beside_transformers(case):
    (found,) = [run for run in speed()["runs"] if run["case"] == case]
    return found


# -- with a cache --------------------------------------------------------------------------------


def test_the_curves_are_recorded():
    drawn = recorded.constants(source("recorded-figure"))
    runs = recorded.record(generation_cache)["runs"]
    tiny = [run for run in runs if run["size"] == "tiny"]
    for name in ("cached", "uncached"):
        assert drawn[name.upper()] == {c["new_tokens"]: round(c[f"{name}_ms"]) for c in tiny}


def test_how_much_a_cache_saves_is_recorded():
    times = [f"{cached(size, 200)['times_as_fast']:.1f}" for size in ("tiny", "small", "wide")]
    assert (
        f"200 tokens were written {times[0]} times as fast with a cache as without (3 blocks of "
        f"width 64), {times[1]} times (4 of width 128) and {times[2]} times (6 of width 256)"
    ) in text()
    assert max(map(float, times)) >= 5
    assert f"the power {speed()['growth']['power']:.2f} of the length" in text()


def test_how_fast_the_package_is_beside_transformers_is_recorded():
    sizes = ("tiny", "small", "wide")
    found = [beside_transformers(f"GPT, {size}") for size in sizes]
    times = [f"{run['times_as_fast']:.1f}" for run in found]
    assert (
        f"the package's `generate` was {times[0]}, {times[1]} and {times[2]} times as fast as that "
        "of `transformers` with the same weights"
    ) in text()
    assert all(run["rows_alike"] == run["rows"] for run in speed()["runs"])
    assert min(run["times_as_fast"] for run in speed()["runs"]) >= 1.5


def test_what_the_layout_of_a_matrix_is_worth_is_recorded():
    of_shape = {(run["in"], run["out"]): run for run in speed()["layouts"]}
    run = of_shape[256, 1024]
    assert (
        f"on that machine such a product took {run['rows_of_in_us']:.0f} µs where rows of 256 "
        f"numbers follow one another, as layers keep them, "
        f"and {run['rows_of_out_us']:.0f} µs where rows of 1,024 do"
    ) in text()
    assert f"For texts of {TOKENS_THAT_PAY} tokens and more" in text()
    for (d_in, d_out), run in of_shape.items():
        shorter = "rows_of_in_us" if d_in > d_out else "rows_of_out_us"
        assert run[shorter] == min(run["rows_of_in_us"], run["rows_of_out_us"]), (d_in, d_out)
        saved = run["rows_of_in_us"] - run["rows_of_out_us"]
        assert d_in > d_out or run["copy_us"] < TOKENS_THAT_PAY * saved


# -- speculation ---------------------------------------------------------------------------------


def test_what_longer_calls_cost_is_recorded():
    drawn = recorded.constants(source("pays-widget"))["CALLS"]
    assert drawn == {int(n): times for n, times in speculation()["calls"].items()}
    assert f"read five tokens took {drawn[5]:.1f} times as long as one that read one" in text()
    assert drawn[2] > 1.3  # already takes much longer than one
    assert drawn[9] < 1.3 * drawn[2]  # hardly longer than two


def test_when_looking_up_guesses_pays_is_recorded():
    runs = {(run["prompt"], run["guesses"]): run for run in speculation()["runs"]}
    assert all(run["same_text"] for run in runs.values())
    said = {
        "copy": "Where a text begins to repeat a paragraph",
        "open": "Where a question asks for a story",
    }
    for prompt, says in said.items():
        run = runs[prompt, 4]
        assert (
            f"{says}, {100 * run['accepted']:.0f} % of the guesses were accepted, and writing "
            f"was {run['times_as_fast']:.1f} times as fast"
        ) in text()
    assert runs["copy", 4]["times_as_fast"] > 1 > runs["open", 4]["times_as_fast"]
    assert runs["open", 4]["accepted"] == 0


def test_the_benchmark_takes_its_draft_from_the_chapter():
    code = records.chapter_code(CHAPTER, "decoding-imports", "lookup")
    torch = pytest.importorskip("torch")
    ids = torch.tensor([[3, 1, 2, 4, 1, 2]])
    assert int(code["lookup_draft"](6)(ids).argmax()) == 4
