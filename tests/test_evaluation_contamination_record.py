"""What *When the model answers in words* says of leaked test stories is what the record says."""

import nbformat
import numpy as np
import pytest
import torch

from benchmarks import evaluation_contamination
from companion.tinyworld import TinyWorld, grammar
from tests import recorded
from tests.recorded import constants, percent

pytestmark = pytest.mark.chapter("evaluation")


def record():
    return recorded.record(evaluation_contamination)


def runs():
    return {run["dose"]: run for run in record()["runs"]}


def cells():
    return recorded.sources(evaluation_contamination.CHAPTER, "benchmarks-")


def signed(summary):
    return f"{summary['mean']:.2f} ± {summary['sd']:.2f}".replace("-", "−")


def test_the_settings_are_those_of_the_chapter():
    code = evaluation_contamination.chapter_code()
    settings = code["Settings"]()
    assert record()["settings"] == vars(settings)
    assert record()["items"] == code["ITEMS"]
    assert tuple(runs()) == code["DOSES"]
    assert record()["stories"] == settings.steps * settings.batch
    assert len(record()["seeds"]) == 5
    text = recorded.prose(evaluation_contamination.CHAPTER)
    assert f"among the {record()['stories']:,} training stories" in text
    assert f"We write {record()['items']} test stories for each *dose*" in text


def test_the_figure_shows_the_record():
    drawn = constants(cells()["dose-figure"])
    for name, measure, digits in (
        ("ABOVE", "above", 2),
        ("NEAR", "near_above", 2),
        ("RIGHT", "right", 3),
        ("NEAR_RIGHT", "near_right", 3),
    ):
        assert drawn[name] == [round(run[measure]["mean"], digits) for run in runs().values()]
    assert drawn["ABOVE_SD"] == [round(run["above"]["sd"], 2) for run in runs().values()]
    assert drawn["RIGHT_SD"] == [round(run["right"]["sd"], 3) for run in runs().values()]
    best = [run["best"]["mean"] for run in runs().values()]
    assert drawn["BEST"] == round(sum(best) / len(best), 3)


def test_what_one_should_see_is_recorded():
    found, said = runs(), cells()["dose-said"]
    assert f"cost it {signed(found[0]['above'])} nats more" in said
    assert f"the last word of {percent(found[0]['right'])} of them" in said
    best = 100 * found[0]["best"]["mean"]
    assert f"the best share that can be expected is {best:.0f} %" in said
    assert f"with 32 it is {signed(found[32]['above'])}" in said
    assert f"to {percent(found[8]['right'])} with 8 copies" in said
    assert f"{percent(found[32]['right'])} with 32" in said
    assert f"With one copy the excess is {signed(found[1]['above'])} nats" in said
    near = signed(found[32]["near_above"])
    assert f"after 32 copies of it their excess is {near} nats" in cells()["near-said"]


def test_the_loss_answers_to_the_dose():
    above = [run["above"]["mean"] for run in runs().values()]
    assert above == sorted(above, reverse=True)
    assert above[0] > 0 > above[-1]


def test_the_accuracy_needs_more_copies_than_the_loss():
    found = runs()
    pairs = zip(found[1]["above"]["values"], found[0]["above"]["values"], strict=True)
    assert all(one < none for one, none in pairs)
    assert "one copy already lowers it in each of the five runs" in cells()["near-said"]
    assert all(found[k]["right"]["mean"] < found[k]["best"]["mean"] + 0.01 for k in (1, 2))
    assert "the quiz shows nothing with 1 or 2 copies" in cells()["near-said"]


def test_near_copies_gain_most_of_what_copies_gain():
    found = runs()
    gains = [found[0][name]["mean"] - found[32][name]["mean"] for name in ("above", "near_above")]
    assert 0.7 * gains[0] < gains[1] < gains[0]
    assert "gain most of that" in figure_caption()


def figure_caption():
    page = nbformat.read(evaluation_contamination.CHAPTER, as_version=4).cells
    (cell,) = (cell for cell in page if cell.id == "benchmarks-dose-figure")
    return cell.metadata["mystnb"]["figure"]["caption"]


def test_copies_are_hidden_as_often_as_their_dose_says():
    code = evaluation_contamination.chapter_code()
    stories = code["training_stories"](12_800, 3)
    assert len(stories) == 12_800
    for dose, tests in code["test_stories"](3).items():
        for story in tests[:10]:
            assert stories.count(story) == dose


def test_a_near_copy_differs_in_its_time_alone():
    world = TinyWorld(seed=4)
    for _ in range(50):
        text = world.story()
        near = evaluation_contamination.near_copy(text)
        one, other = grammar.read(text), grammar.read(near)
        assert near != text
        assert one._replace(time=other.time) == other


def test_what_is_examined_is_the_surprise_of_whole_stories():
    """A model that gives the true probabilities is at 0, and is right about the likeliest word."""
    code = evaluation_contamination.chapter_code()
    words, world = code["tokenizer"], TinyWorld()
    stories = code["test_stories"](0)[0][:4]
    above, right = code["examined"](Truth(words, code["START"]), stories)
    np.testing.assert_allclose(above, 0, atol=1e-4)
    for story, said in zip(stories, right, strict=True):
        begun, _, last = story[:-1].rpartition(" ")
        likeliest = next(iter(world.next_tokens(begun, words)))
        assert said == (words.decode([likeliest]).strip() == last)


class Truth:
    """What the grammar says, in place of a model."""

    def __init__(self, words, start):
        self.words, self.start = words, start

    def __call__(self, ids):
        logits = torch.full((*ids.shape, self.words.vocab_size), -1e9)
        end = self.words.special_ids["<|end|>"]
        for row, line in enumerate(ids.tolist()):
            for place in range(len(line)):
                if line[place] == end:
                    break
                text = self.words.decode(line[1 : place + 1])
                for token, p in TinyWorld().next_tokens(text, self.words).items():
                    if p > 0:
                        logits[row, place, token] = float(np.log(p))
        return logits
