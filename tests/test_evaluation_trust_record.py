"""What *What a score does not show* quotes from its record is what the record says."""

import re

import pytest

from benchmarks import evaluation_trust
from companion import evaluation
from tests import recorded
from tests.recorded import constants, percent, spread

pytestmark = pytest.mark.chapter("evaluation")
GROUPS = ("she", "she, exception", "he, exception", "he")


def record():
    return recorded.record(evaluation_trust)


def text():
    return recorded.prose(evaluation_trust.CHAPTER)


def cells():
    return recorded.sources(evaluation_trust.CHAPTER, "trust-")


def run(experiment):
    (found,) = [each for each in record()["runs"] if each["experiment"] == experiment]
    return found


def rows(start):
    """Return the rows of the table whose head begins so."""
    lines = text().split(start)[1].split("\n\n")[0].split("\n")[2:]
    return [[field.strip() for field in line.strip("|").split("|")] for line in lines]


def test_the_settings_are_those_of_the_chapter():
    code = evaluation_trust.chapter_code()
    assert record()["settings"] == vars(code["Settings"]())
    assert len(record()["seeds"]) == 5
    assert len(record()["language_seeds"]) == evaluation_trust.LANGUAGE_SEEDS == 3
    for each in record()["runs"]:
        long = each["experiment"] in ("bias", "inside")
        assert len(each["cpu_seconds"]["values"]) == (3 if long else 5)


def test_the_attacks_of_the_figure_are_recorded():
    drawn = constants(cells()["robust-figure"])
    for name, mean, sd in (("plain", "PLAIN", "PLAIN_SD"), ("adversarial", "ROBUST", "ROBUST_SD")):
        found = [run("robustness")[f"{name}: {kind}"] for kind in drawn["KINDS"]]
        assert drawn[mean] == [round(each["mean"], 3) for each in found]
        assert drawn[sd] == [round(each["sd"], 3) for each in found]


def test_one_seed_takes_less_than_a_minute():
    assert "together take less than a minute of processor time" in text()
    assert sum(each["cpu_seconds"]["mean"] for each in record()["runs"]) < 60


def accuracies(model):
    """Return the accuracies of a model of digits by kind of input, one a seed."""
    found = run("robustness")
    kinds = constants(cells()["robust-figure"])["KINDS"]
    return {kind: found[f"{model}: {kind}"]["values"] for kind in kinds}


def test_what_is_said_of_the_attacks_holds_for_every_seed():
    plain, robust = accuracies("plain"), accuracies("adversarial")
    for seed in range(5):
        as_it_is = plain["as they are"][seed]
        assert plain["random signs"][seed] <= as_it_is
        assert 0.4 < plain["FGSM"][seed] / as_it_is < 0.6
        assert abs(robust["as they are"][seed] - as_it_is) <= 0.02
        assert robust["FGSM"][seed] - plain["FGSM"][seed] > 0.15
        for attack in ("FGSM", "PGD"):
            lost = as_it_is - plain[attack][seed]
            assert robust[attack][seed] - plain[attack][seed] > lost / 2
        for model in (plain, robust):
            assert model["PGD"][seed] <= model["FGSM"][seed]


def test_what_random_signs_cost_is_recorded():
    means = [
        run("robustness")[f"plain: {kind}"]["mean"] for kind in ("as they are", "random signs")
    ]
    lost = 100 * (means[0] - means[1])
    assert f"cost the plain model {lost:.1f} points of accuracy" in cells()["digits-result"]


def test_the_exchanges_of_words_are_recorded():
    said, found = cells()["words-result"], run("sentiment")
    assert f"it is {percent(found['plain: changed answers'])} of the answers" in said
    assert f"and {percent(found['augmented: changed answers'])} after augmentation" in said
    names = [found[f"{name}: accuracy"]["mean"] for name in ("plain", "augmented")]
    assert abs(names[0] - names[1]) < 0.03


def test_the_figure_of_the_bias_shows_the_record():
    lines = constants(cells()["bias-figure"])["SAID"].strip().split("\n")
    for line, group in zip(lines, GROUPS, strict=True):
        _, *numbers = line.split()
        found = [run("bias")[f"{text}: {group}"] for text in ("skewed", "balanced")]
        expected = [f"{each[what]:.3f}" for each in found for what in ("mean", "sd")]
        assert numbers == expected
    assert [float(line.split()[0]) for line in lines] == [0.8, 0.5, 0.5, 0.2]


def test_what_is_said_of_the_bias_holds_for_every_seed():
    found = {name: row["values"] for name, row in run("bias").items() if ": " in name}
    for seed in range(3):
        skewed = [found[f"skewed: {group}"][seed] for group in GROUPS]
        assert abs(skewed[0] - 0.8) < 0.08
        assert abs(skewed[3] - 0.2) < 0.08
        assert skewed[1] - skewed[2] > 0.1
        balanced = [found[f"balanced: {group}"][seed] for group in GROUPS]
        assert max(balanced) - min(balanced) < 0.05


def test_the_table_of_privacy_shows_the_record():
    found = run("privacy")
    names = ("long", "early", "DP, 2", "DP, 4")
    for name, row in zip(names, rows("| Training |"), strict=True):
        _, accuracy, auc, wrong, epsilon = row
        assert accuracy == percent(found[f"{name}: accuracy"])
        assert auc == spread(found[f"{name}: AUC"], 2)
        assert wrong == spread(found[f"{name}: AUC, wrong labels"], 2)
        if name.startswith("DP"):
            sigma, steps = float(name[-1]), record()["settings"]["private_steps"]
            assert epsilon == f"{evaluation.dp_epsilon(0.1, sigma, steps, 1e-4):.2f}"
        else:
            assert epsilon == "none"


def test_the_explanations_are_recorded():
    found, said = run("sentiment"), cells()["ig-result"]
    share = 100 * found["plain: words"]["mean"]
    assert f"the opening has {share:.0f} % of the words" in said
    assert f"Attention gives it {percent(found['plain: attention'])}" in said
    assert f"The parts give it {percent(found['plain: parts'])}" in said
    assert f"and {percent(found['augmented: parts'])} after" in said
    for name in ("plain", "augmented"):
        assert max(found[f"{name}: gap"]["values"]) < 0.01
        assert max(found[f"{name}: differs"]["values"]) < 1e-4
        assert min(found[f"{name}: distance"]["values"]) > 0.6


def test_the_table_of_probes_shows_the_record():
    found = run("inside")
    table = rows("| Model | Task |")
    assert len(table) == 4
    for model, task, contexts, names in table:
        assert contexts == percent(found[f"{model}, {task}: new contexts"])
        assert names == percent(found[f"{model}, {task}: new names"])


def test_what_is_said_of_the_probes_holds():
    found = {name: row["mean"] for name, row in run("inside").items() if ", " in name}
    contexts = [share for name, share in found.items() if name.endswith("contexts")]
    assert len(contexts) == 4
    assert min(contexts) > 0.9
    assert found.pop("trained, she or he: new names") > 0.9
    chance = [share for name, share in found.items() if name.endswith("names")]
    assert len(chance) == 3
    assert all(abs(share - 0.5) < 0.05 for share in chance)


def test_the_lens_is_recorded():
    kl = [run("inside")[f"kl {i}"] for i in range(4)]
    said = cells()["lens-result"]
    numbers = re.findall(r"\d+\.\d\d ± \d+\.\d\d", said)
    assert numbers == [spread(each, 2) for each in kl]
    means = [each["mean"] for each in kl]
    assert means == sorted(means, reverse=True)
