"""What *Real text, and a race* quotes from its records is what the records say."""

import math

import pytest

from benchmarks import pretraining_text, pretraining_text_runs
from companion.training.speedrun import recipe
from tests import recorded
from tests.recorded import constants, spread

pytestmark = pytest.mark.chapter("pretraining")
CHAPTER = pretraining_text.CHAPTER


def text():
    return recorded.prose(CHAPTER)


def source(name):
    return recorded.sources(CHAPTER, "text-")[name]


def counted():
    return recorded.record(pretraining_text)


# -- counted windows -----------------------------------------------------------------------------


def test_the_widget_shows_the_record():
    shown = constants(source("widget"))
    rows = [line.split() for line in shown["COUNTED"].split("\n") if line]
    assert [row[0] for row in rows] == list(counted()["nats"])
    for name, tokens, *nats in rows:
        assert int(tokens) == counted()["tokens"][name]
        assert list(map(float, nats)) == counted()["nats"][name]
    assert shown["HELD_OUT_BYTES"] == counted()["bytes"]


def bits(name, nats):
    return nats * counted()["tokens"][name] / counted()["bytes"] / math.log(2)


def test_four_losses_are_in_the_opposite_order_of_their_bits():
    names = list(counted()["nats"])[:4]
    best = [min(counted()["nats"][name]) for name in names]
    in_bits = [bits(name, nats) for name, nats in zip(names, best, strict=True)]
    assert sorted(best) == best
    assert sorted(in_bits, reverse=True) == in_bits
    a, b, c, d = (f"{nats:.2f}" for nats in best)
    assert f"{a} nats a token, {b}, {c} and {d}." in text()
    a, b, c, d = (f"{value:.2f}" for value in in_bits)
    assert f"In bits a byte they are {a}, {b}, {c} and {d}" in text()


def test_characters_are_best_per_token_and_worst_per_byte_with_every_window():
    nats = counted()["nats"]
    for n in range(5):
        per_token = {name: losses[n] for name, losses in nats.items()}
        per_byte = {name: bits(name, losses[n]) for name, losses in nats.items()}
        assert min(per_token, key=per_token.get) == "65" == max(per_byte, key=per_byte.get)


def test_the_counted_windows_in_the_text_are_the_recorded_ones():
    orders = counted()["orders"]
    assert 1 + orders.index(min(orders)) == 5
    assert f"the 5-gram with {orders[4]:.3f} nats a character" in text()
    assert f"below the unigram's {orders[0]:.3f}" in text()
    assert f"below the 5-gram's {orders[4]:.3f}" in text()
    assert f"$\\ln 65 = {math.log(65):.3f}$" in text()
    assert 1.4697 < orders[4] < 1.88  # between the published numbers


def test_what_the_last_tenth_is_worth_is_recorded():
    all_of_it, first, last = counted()["orders"][4], *map(counted().get, FIRST_AND_LAST)
    assert f"leaving out the last one costs {last - all_of_it:.2f} nats" in text()
    assert first - all_of_it < 0.01  # "almost nothing"


FIRST_AND_LAST = "without_first", "without_last"


# -- the run -------------------------------------------------------------------------------------


def test_the_run_is_recorded():
    record = recorded.record(pretraining_text_runs)
    runs = record["runs"]
    assert len(record["seeds"]) == 5
    assert f"Over 5 seeds it is {spread(runs['after_50'])} nats a character" in text()
    assert f"{spread(runs['loss'])} on the whole validation set" in text()
    assert f"The last 50 training batches have {spread(runs['training'])}." in text()
    assert f"about {runs['cpu_seconds']['mean']:.0f} seconds of one CPU core" in text()
    assert max(runs["loss"]["values"]) < counted()["orders"][4]
    assert max(runs["training"]["values"]) < min(runs["loss"]["values"])


def test_the_settings_of_the_run_are_those_of_the_chapter():
    code = pretraining_text_runs.chapter_code()
    assert recorded.record(pretraining_text_runs)["settings"] == vars(code["Settings"]())
    assert recorded.record(pretraining_text_runs)["characters"] == counted()["characters"]


def test_the_table_of_nanogpt_s_recipe_is_that_of_the_speedrun():
    nano = recipe("nanogpt")
    assert f"{nano.n_layers} blocks, {nano.n_heads} heads, width {nano.d_model}" in text()
    assert f"{nano.batch_size} windows of {nano.context} characters" in text()
    assert f"* - steps\n  - {nano.steps:,}" in text()
    assert (nano.lr, nano.warmup, nano.final_share, nano.betas) == (1e-3, 100, 0.1, (0.9, 0.99))
    fast = recipe("fast")
    assert f"66^2 = {fast.tables[0]:,}$".replace(",", "{,}") in text()
    assert f"have {fast.tables[1]:,} and {fast.tables[2]:,} rows" in text()
