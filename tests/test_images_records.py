"""What *Vision transformers* quotes from its recorded runs is what the record says."""

import json
from functools import partial

import pytest

from benchmarks import families_images
from tests import recorded

pytestmark = pytest.mark.chapter("model-families")
NUMBERS = {3: "three", 4: "four"}


def record():
    return recorded.record(families_images)


def cells():
    return recorded.sources(families_images.CHAPTER, "images-")


def text():
    return recorded.prose(families_images.CHAPTER)


percent = partial(recorded.percent, digits=1)


def small_digits(network):
    (run,) = [run for run in record()["digits"] if run["network"] == network]
    return run


def mnist(network, augmented, n):
    case = (network, augmented, n)
    (run,) = [r for r in record()["mnist"] if (r["network"], r["augmented"], r["n"]) == case]
    return run


def test_the_small_digits_are_read_as_recorded():
    runs = {name: small_digits(name) for name in ("CNN", "ViT", "no positions", "mean")}
    seconds = {name: round(run["cpu_seconds"]["mean"]) for name, run in runs.items()}
    assert (
        f"Over {NUMBERS[len(record()['seeds'])]} seeds the ViT read "
        f"{percent(runs['ViT']['accuracy'])} of the test digits correctly and the CNN "
        f"{percent(runs['CNN']['accuracy'])}, after {seconds['ViT']} and {seconds['CNN']} seconds "
        f"of work for one CPU core"
    ) in text()
    assert f"{percent(runs['mean']['accuracy'])} with mean pooling" in text()
    assert f"it read {percent(runs['no positions']['accuracy'])} of the test digits" in text()
    assert record()["machine"].startswith("CPU, 1 threads")


def test_the_map_of_sizes_is_the_recorded_one():
    shown = recorded.constants(cells()["record-figure"])
    assert shown["IMAGES"] == sorted({run["n"] for run in record()["mnist"]})
    for (network, how), points in shown["FOUND"].items():
        for n, (mean, sd) in zip(shown["IMAGES"], points, strict=True):
            accuracy = mnist(network, how == "augmented", n)["accuracy"]
            assert mean == pytest.approx(100 * accuracy["mean"], abs=0.0051)
            assert sd == pytest.approx(100 * accuracy["sd"], abs=0.0051)


def test_what_is_said_of_the_sizes_is_recorded():
    for augmented in (False, True):
        for n in (100, 10_000):
            for network in ("ViT", "CNN"):
                assert percent(mnist(network, augmented, n)["accuracy"]) in cells()["record-text"]
        for network in ("ViT", "CNN"):
            moved = mnist(network, augmented, 10_000)["moved 4"]
            assert percent(moved) in cells()["record-text"]
    for augmented in (False, True):
        (longer,) = [run for run in record()["longer"] if run["augmented"] == augmented]
        assert percent(longer["accuracy"]) in cells()["record-text"]
        assert percent(mnist("ViT", augmented, 1_000)["accuracy"]) in cells()["record-text"]
    assert percent(mnist("CNN", True, 1_000)["accuracy"]) in cells()["record-text"]
    for n in (100, 10_000):
        wrong = [1 - mnist(name, False, n)["accuracy"]["mean"] for name in ("ViT", "CNN")]
        assert f"{wrong[0] / wrong[1]:.1f} times as many" in cells()["record-text"]
    vit = mnist("ViT", True, 10_000)
    quoted = f"{vit['neighbours']['mean']:.2f} ± {vit['neighbours']['sd']:.2f}"
    assert f"{quoted} between neighbours" in text()
    assert f"{vit['farther']['mean']:.2f} ± {vit['farther']['sd']:.2f}" in text()


def test_the_runs_had_the_sizes_and_rates_of_the_chapter():
    known = json.loads(json.dumps(vars(families_images.settings("digits"))))
    assert record()["settings"]["digits"] == known
    for network, rate in (("ViT", known["vit_rate"]), ("CNN", known["cnn_rate"])):
        assert small_digits(network)["rate"] == rate
    for images, side in (("digits", 8), ("mnist", 28)):
        s = families_images.settings(images)
        counts = [
            sum(p.numel() for p in families_images.builder(name)(s, side).parameters())
            for name in ("ViT", "CNN")
        ]
        assert max(counts) < 1.1 * min(counts)
        assert all(f"{count:,}" in cells()["expect"] for count in counts)


def test_the_lengths_of_the_runs_are_said():
    short, middle, long = record()["steps"].values()
    longest, batch = record()["longer_steps"], record()["mnist_batch"]
    assert (
        f"batches of {batch}, and {short}, {middle} and {long} steps for 100, 1,000 and 10,000"
    ) in text()
    assert f"| ViT, 1,000 images | {middle} steps | {longest:,} steps |" in cells()["record-text"]
    assert f"after {middle}.)" in cells()["record-text"]
    assert round(long * batch / 10_000) == 6
    assert "each of the 10,000 images was seen about six times" in cells()["record-text"]


def test_which_rate_is_the_largest_that_was_tried():
    tried = {
        (images, network): sorted(
            run["rate"]
            for run in record()["tuning"]
            if (run["images"], run["network"]) == (images, network)
        )
        for images in ("digits", "mnist")
        for network in ("ViT", "CNN")
    }
    assert all(len(rates) == 5 for rates in tried.values())
    assert {(rates[0], rates[-1]) for rates in tried.values()} == {(0.001, 0.016)}
    settings = record()["settings"]
    taken = {
        (images, network): settings[images][f"{network.lower()}_rate"] for images, network in tried
    }
    at_the_end = [case for case, rate in taken.items() if rate == tried[case][-1]]
    assert at_the_end == [("digits", "CNN")]
