"""What *Choosing and asking* quotes is recorded, and no row of the corrections is missing."""

import json
import re

import pytest

from benchmarks import records
from tests import recorded
from tests.recorded import spread

PAGE = records.chapter("appendix/choosing")
CORRECTIONS = PAGE.with_name("corrections.md")
#: The letters of the rows, and how many there are of each.
ROWS = {"A": 14, "B": 8, "C": 14, "D": 7, "E": 7}


def runs(name, key=None):
    found = json.loads((records.RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found[key or "runs"]


def text():
    return recorded.prose(PAGE)


def sentence(*words):
    """Return the paragraph that has all of these words."""
    (found,) = [one for one in text().split("\n") if all(word in one for word in words)]
    return found


def labelled(task, way, n):
    (found,) = [
        r for r in runs("finetuning_labels") if (r["task"], r["way"], r["n"]) == (task, way, n)
    ]
    return spread(found["accuracy"])


def pictures(network, augmented):
    (found,) = [
        run
        for run in runs("families_images", "mnist")
        if (run["network"], run["augmented"], run["n"]) == (network, augmented, 100)
    ]
    return spread(found["accuracy"], 2)


def remedy(name):
    """Return a remedy at the strength that validation prefers."""
    tried = [run for run in runs("optimisation_fit") if run["method"] == name]
    return min(tried, key=lambda run: run["validation_loss"]["mean"])


@pytest.mark.parametrize("n", [500, 5000])
def test_what_words_and_a_trained_encoder_reach(n):
    said = sentence("SST-2")
    for way in ("tf-idf", "frozen"):
        assert labelled("sst2", way, n) in said
    assert f"{labelled('sst2', 'majority', n)[:5]}" in said


def test_an_english_model_reads_chinese_badly():
    said = sentence("hotels")
    assert labelled("chnsenticorp", "frozen", 5000) in said
    assert labelled("chnsenticorp", "tf-idf", 5000) in said


def test_a_trained_trunk_saves_labels():
    said = sentence("Tiny World")
    assert labelled("tiny-world", "scratch", 5000) in said
    assert labelled("tiny-world", "frozen", 500) in said


def test_a_hundred_pictures():
    said = sentence("100 handwritten digits")
    for network, augmented in (("CNN", False), ("ViT", False), ("CNN", True)):
        assert pictures(network, augmented) in said
    said = sentence("A shifted 6")
    for augmented in (False, True):
        assert pictures("ViT", augmented) in said


def test_the_remedies_are_those_that_validation_prefers():
    table = text().partition(":name: choosing-fit")[2].partition(":::")[0]
    rows = re.findall(r"\* - (.+)\n  - (.+)\n  - (.+)\n", table)
    names = ["nothing", "L2", "L1", "dropout", "augmentation"]
    assert [row[0] for row in rows[1:]] == names
    for name, at_the_end, stopped in rows[1:]:
        found = remedy(name)
        assert at_the_end == spread(found["test_accuracy"], 2)
        assert stopped == spread(found["test_accuracy_stopped"], 2)


def test_no_row_of_the_corrections_is_missing():
    stands = re.findall(
        r"^\* - ([A-E])(\d+)$", CORRECTIONS.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert stands == [(letter, str(i + 1)) for letter, n in ROWS.items() for i in range(n)]
