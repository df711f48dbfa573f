"""What *Reward at a price* quotes from its record is what the record says."""

import numpy as np
import pytest

from benchmarks import alignment_frontier
from tests import recorded
from tests.recorded import constants, percent, spread

pytestmark = pytest.mark.chapter("alignment")


def record():
    return recorded.record(alignment_frontier)


def text():
    return recorded.prose(alignment_frontier.CHAPTER)


def cells():
    return recorded.sources(alignment_frontier.CHAPTER, "frontier-")


def run(method, beta=1.0):
    (found,) = [
        each for each in record()["runs"] if (each["method"], each["beta"]) == (method, beta)
    ]
    return found


def mean(method, what, beta=1.0):
    return run(method, beta)[what]["mean"]


def rows(cell, name):
    return [line.split() for line in constants(cells()[cell])[name].strip().split("\n")]


def test_the_settings_are_those_of_the_chapter():
    settings = alignment_frontier.chapter_code()["Settings"]()
    assert record()["settings"] == vars(settings)
    assert len(record()["seeds"]) == 3
    assert f"{settings.steps} rounds and a learning rate of {settings.policy_lr}" in text()
    assert f"Each round has {settings.group} answers" in text()
    assert "each time with another 25 comparisons" in text()
    assert record()["comparisons"] == alignment_frontier.COMPARISONS == 25


def test_what_is_drawn_is_the_record():
    drawn = {tuple(row[:2]) for row in rows("dots", "MEASURED")}
    methods = [each for each in record()["runs"] if each["method"] != "learnt"]
    assert drawn == {(each["method"], str(each["beta"])) for each in methods}
    for method, beta in drawn:
        found = run(method, float(beta))
        wanted = [
            [f"{kl:.3f}", f"{reward:.3f}"]
            for kl, reward in zip(found["kl"]["values"], found["reward"]["values"], strict=True)
        ]
        assert [
            row[2:] for row in rows("dots", "MEASURED") if tuple(row[:2]) == (method, beta)
        ] == (wanted)
    curve = [[f"{kl:.4f}", f"{reward:.4f}"] for kl, reward in record()["frontier"]]
    assert rows("dots", "CURVE") == curve


def test_what_is_drawn_by_the_round_is_the_record():
    for beta, number, *numbers in rows("rounds", "ROUNDS"):
        found = run("learnt", float(beta))
        wanted = []
        for what in ("proxy", "true", "kl"):
            summary = found[f"{what}_{number}"]
            wanted += [f"{summary['mean']:.3f}", f"{summary['sd']:.3f}"]
        assert numbers == wanted


def test_no_policy_is_above_the_frontier():
    for each in record()["runs"]:
        if each["method"] != "learnt":
            above = np.subtract(each["reward"]["values"], each["frontier"]["values"])
            assert above.max() < 1e-3
            assert np.subtract(each["value"]["values"], each["best"]["values"]).max() < 1e-3


def test_the_best_method_is_within_five_percent_of_the_best_value():
    assert max(mean(method, "of_best") for method in alignment_frontier.METHODS) > 0.95


def test_what_is_said_of_the_methods_is_recorded():
    said = cells()["record-says"]
    for method in alignment_frontier.METHODS:
        assert percent(run(method)["of_best"], 1) in said
        assert percent(run(method)["gain"], 1) in said
    assert f"the largest value is {mean('ppo', 'best'):.3f}" in said
    assert f"the reference has {mean('ppo', 'start'):.3f}" in said
    kl, reward = (
        [spread(run(name)[what]) for name in ("grpo", "ppo")] for what in ("kl", "reward")
    )
    assert "{} nats where PPO goes {}".format(*kl) in said
    assert "{} against {}".format(*reward) in said
    assert mean("grpo", "reward") < mean("ppo", "reward")
    assert percent(run("dpo", 0.3)["no_ending"], 1) in said
    assert percent(run("dpo", 0.3)["gain"], 1) in said
    for method in ("dpo", "ppo"):
        assert percent(run(method)["no_ending"], 1) in said


def test_dpo_ends_lowest_and_writes_most_texts_that_are_no_endings():
    for method in ("reinforce", "ppo", "grpo"):
        assert mean("dpo", "value") < mean(method, "value")
        assert mean("dpo", "no_ending") > 2 * mean(method, "no_ending")


def test_the_learnt_reward_is_overdone():
    said = cells()["rounds-says"]
    for beta in alignment_frontier.CHEAP:
        found = run("learnt", beta)
        for what in ("proxy", "true"):
            assert spread(found[f"{what}_99"], 2) in said
        assert found["proxy_99"]["mean"] > found["proxy_0"]["mean"] + 2
    assert f"divergence is {spread(run('learnt', 0.03)['kl_99'], 0)} nats" in said
    assert f"divergence at {spread(run('learnt', 0.3)['kl_99'], 1)} nats" in said
    assert mean("learnt", "true_99", 0.03) < -1.5 < mean("learnt", "true_0", 0.03)
