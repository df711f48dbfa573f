"""What chapters quote from recorded runs is what the records say, for the settings in the text."""

import ast
import json

import nbformat
import pytest

from benchmarks import (
    attention_recall,
    attention_speed,
    data_floor,
    data_speed,
    families_swiglu,
    gpt_speed,
    losses_floor,
    neural_networks_trained,
    optimisation_digits,
    optimisation_fit,
    records,
    transformer_live,
    transformer_translates,
    transformer_writes,
)
from tests.recorded import prose

NUMBERS = {3: "three", 4: "four", 5: "five", 10: "ten"}


@pytest.mark.chapter("attention")
def test_the_recall_results_in_the_chapter_are_the_recorded_ones():
    record = json.loads(attention_recall.RESULT.read_text(encoding="utf-8"))
    one, two = record["runs"]
    accuracies = [
        f"{run['accuracy']['mean']:.2f} ± {run['accuracy']['sd']:.2f}" for run in (one, two)
    ]
    times = [round(run["seconds"]["mean"]) for run in (one, two)]
    assert (one["n_layers"], two["n_layers"]) == (1, 2)
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds one layer reached an accuracy of "
        f"{accuracies[0]} and two layers {accuracies[1]}, in {times[0]} and {times[1]} seconds a "
        f"run on two CPU threads"
    ) in prose(attention_recall.CHAPTER)
    assert record["machine"].startswith("CPU, 2 threads")


@pytest.mark.chapter("attention")
def test_the_recall_results_were_recorded_with_the_settings_in_the_chapter():
    record = json.loads(attention_recall.RESULT.read_text(encoding="utf-8"))
    settings = vars(attention_recall.chapter_code()["Settings"]())
    assert [run["settings"] for run in record["runs"]] == [settings, settings]


def within(summary, digits):
    return f"{abs(summary['mean']):.{digits}f} ± {summary['sd']:.{digits}f}"


@pytest.mark.chapter("losses")
def test_the_floor_results_in_the_chapter_are_the_recorded_ones():
    record = json.loads(losses_floor.RESULT.read_text(encoding="utf-8"))
    new, same = record["runs"]
    assert (new["new_text"], same["new_text"]) == (True, False)
    assert same["training_loss_above_floor"]["mean"] < 0 < new["expected_loss_above_floor"]["mean"]
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds new text ended "
        f"{within(new['expected_loss_above_floor'], 4)} nats above the floor; the same text "
        f"{within(same['training_loss_above_floor'], 2)} below it in training and "
        f"{within(same['expected_loss_above_floor'], 2)} above it in truth, within seconds on two "
        f"CPU threads"
    ) in prose(losses_floor.CHAPTER)
    assert record["machine"].startswith("CPU, 2 threads")
    assert all(run["seconds"]["mean"] < 60 for run in record["runs"])


@pytest.mark.chapter("losses")
def test_the_floor_results_were_recorded_with_the_settings_in_the_chapter():
    record = json.loads(losses_floor.RESULT.read_text(encoding="utf-8"))
    code = losses_floor.chapter_code()
    assert [run["settings"] for run in record["runs"]] == 2 * [vars(code["Settings"]())]
    assert record["floor"] == round(float(code["floor"]), 4)


def percent_of(summary, digits):
    return f"{100 * summary['mean']:.{digits}f} ± {100 * summary['sd']:.{digits}f} %"


@pytest.mark.chapter("neural-networks")
def test_the_trained_networks_in_the_chapter_are_the_recorded_ones():
    record = json.loads(neural_networks_trained.RESULT.read_text(encoding="utf-8"))
    accuracies = {name: run["accuracy"] for name, run in record["runs"].items()}
    seconds = [round(run["cpu_seconds"]["mean"]) for run in record["runs"].values()]
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds the perceptron read "
        f"{percent_of(accuracies['mlp'], 2)} of the test pictures correctly and the CNN "
        f"{percent_of(accuracies['cnn'], 2)}; the LSTM judged "
        f"{percent_of(accuracies['lstm'], 1)} of the "
        f"test sentences correctly, after {seconds[0]}, {seconds[1]} and {seconds[2]} seconds of "
        f"work for one CPU core"
    ) in prose(neural_networks_trained.notebook("lstm"))
    training = prose(neural_networks_trained.notebook("mlp"))
    assert f"{percent_of(accuracies['mlp'], 2)} of the test pictures" in training
    assert f"{seconds[0]} seconds of work for one CPU core" in training
    assert min(accuracies["mlp"]["values"]) > 0.98
    assert accuracies["cnn"]["mean"] > 0.99
    assert record["machine"].startswith("CPU, 1 threads")
    assert max(seconds) < 60


@pytest.mark.chapter("neural-networks")
def test_the_networks_were_trained_with_the_settings_in_the_chapter():
    record = json.loads(neural_networks_trained.RESULT.read_text(encoding="utf-8"))
    codes = map(neural_networks_trained.notebook_code, neural_networks_trained.NOTEBOOKS)
    settings = {name: value for code in codes for name, value in vars(code["Settings"]()).items()}
    assert record["settings"] == settings


@pytest.mark.chapter("neural-networks")
def test_the_networks_share_one_training_loop():
    """The perceptron's notebook and the CNN's each define it, so that each runs alone."""
    shared = ("fit", "load_pictures", "read_digits")
    mlp, cnn = (
        {name: functions_of(neural_networks_trained.notebook(network))[name] for name in shared}
        for network in ("mlp", "cnn")
    )
    assert mlp == cnn


def functions_of(notebook):
    """Return the code of each function that a notebook defines, without comments."""
    cells = nbformat.read(notebook, as_version=4).cells
    trees = [ast.parse(cell.source) for cell in cells if cell.cell_type == "code"]
    return {
        node.name: ast.unparse(node)
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }


# -- what the measurements share -----------------------------------------------------------------


def test_a_record_says_what_was_measured_with_what(tmp_path, capsys):
    drawn = {0: 1.0, 1: 2.0, 2: 6.0}
    run = records.over_seeds(lambda seed: {"loss": drawn[seed]}, range(3))
    records.write(tmp_path / "new" / "record.json", range(3), runs=[run])
    record = json.loads((tmp_path / "new" / "record.json").read_text(encoding="utf-8"))
    assert list(record) == ["machine", "versions", "date", "seeds", "runs"]
    assert record["seeds"] == [0, 1, 2]
    assert record["runs"][0]["loss"] == {"mean": 3.0, "sd": 2.6458, "values": [1.0, 2.0, 6.0]}
    assert record["runs"][0]["seconds"]["mean"] >= 0
    assert json.loads(capsys.readouterr().out) == record
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["record.json"]


def test_one_seed_has_no_spread():
    assert records.summary([0.5]) == {"mean": 0.5, "sd": 0.0, "values": [0.5]}


@pytest.fixture
def chapter(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("import math", id="some-imports"),
        nbformat.v4.new_code_cell("raise RuntimeError('not asked for')", id="other"),
        nbformat.v4.new_code_cell(
            "print('printed')\nx = math.sqrt(y)", id="a", metadata={"tags": ["x"]}
        ),
    ]
    path = tmp_path / "some.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_only_the_tagged_cells_run_and_nothing_is_shown(chapter, capsys):
    assert records.chapter_code(chapter, "some-imports", "x", y=9)["x"] == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("imports", "tag"), [("some-imports", "y"), ("no-imports", "x")])
def test_a_cell_that_is_not_there_is_told(chapter, imports, tag):
    with pytest.raises(ValueError, match=f"needs a cell '{imports}' and cells tagged '{tag}'"):
        records.chapter_code(chapter, imports, tag, y=9)


@pytest.mark.chapter("data-and-tokens")
def test_the_counts_of_stories_in_data_and_tokens_are_the_recorded_ones():
    record = json.loads(data_floor.RESULT.read_text(encoding="utf-8"))
    (run,) = record["runs"]
    assert min(run["hero_above_floor"]["values"]) > 0
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds windows of {NUMBERS[5]} tokens ended "
        f"{within(run['window_above_floor'], 1)} nats above the floor of the stories held back, "
        f"and with the hero {within(run['hero_above_floor'], 1)}, within a minute on two CPU "
        f"threads"
    ) in prose(data_floor.CHAPTER)
    assert record["machine"].startswith("CPU, 2 threads")
    assert run["seconds"]["mean"] < 60


@pytest.mark.chapter("data-and-tokens")
def test_the_counts_of_stories_were_recorded_with_the_settings_in_the_chapter():
    record = json.loads(data_floor.RESULT.read_text(encoding="utf-8"))
    cells = nbformat.read(data_floor.CHAPTER, as_version=4).cells
    names = {}
    exec(next(cell.source for cell in cells if cell.id == "data-settings"), names)
    assert record["settings"] == vars(names["Settings"]()) == {**record["settings"], "order": 5}


@pytest.mark.chapter("data-and-tokens")
def test_the_speed_in_data_and_tokens_is_the_recorded_one():
    record = json.loads(data_speed.RESULT.read_text(encoding="utf-8"))
    training = record["runs"][0]
    assert (record["text"], training["task"]) == ("tinyshakespeare", "train")
    sizes = {"bytes": 1_115_394, "vocab_size": 8000, "small": data_speed.SMALL}
    assert (record["sizes"], record["stories"]) == (sizes, 100_000)
    as_fast = training["times_as_fast"]["tokenizers"]["median"]
    assert (
        f"One megabyte of Shakespeare becomes 8,000 tokens in "
        f"{training['ms']['companion'] / 1000:.1f} seconds, {1 / as_fast:.1f} times as long as the "
        f"library `tokenizers` takes in Rust"
    ) in prose(data_floor.CHAPTER)
    assert record["stories_a_second"] > 10_000


def percent(summary):
    return f"{100 * summary['mean']:.1f} ± {100 * summary['sd']:.1f}"


def listed(texts):
    return f"{', '.join(texts[:-1])} and {texts[-1]}"


@pytest.mark.chapter("optimisation")
def test_the_digits_results_in_the_chapter_are_the_recorded_ones():
    record = json.loads(optimisation_digits.RESULT.read_text(encoding="utf-8"))
    best = [optimisation_digits.best(record["runs"], name) for name in optimisation_digits.RATES]
    losses = [f"{run['training_loss']['mean']:.4f}" for run in best]
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds {listed(list(optimisation_digits.RATES))} "
        f"reached test accuracies of {listed([percent(run['test_accuracy']) for run in best])} %, "
        f"and training losses of {listed(losses)} in the last epoch"
    ) in prose(optimisation_digits.CHAPTER)
    code = optimisation_digits.chapter_code()
    assert {run["optimizer"]: run["rate"] for run in best} == code["RATES"]
    assert all(run["settings"] == vars(code["Settings"]()) for run in record["runs"])
    tried = [(run["optimizer"], run["rate"]) for run in record["runs"]]
    assert tried == [(n, rate) for n, rates in optimisation_digits.RATES.items() for rate in rates]


@pytest.mark.chapter("optimisation")
def test_the_results_against_overfitting_in_the_chapter_are_the_recorded_ones():
    record = json.loads(optimisation_fit.RESULT.read_text(encoding="utf-8"))
    best = {n: optimisation_fit.best(record["runs"], n) for n in optimisation_fit.STRENGTHS}
    ends = {name: within(run["test_accuracy"], 2) for name, run in best.items()}
    stopped = within(best["nothing"]["test_accuracy_stopped"], 2)
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds, each with other pictures, the test accuracy "
        f"was {ends['nothing']} with nothing, {ends['L2']} with L2, {ends['L1']} with L1, "
        f"{ends['dropout']} with dropout, {ends['augmentation']} with augmentation, and {stopped} "
        f"with nothing but stopping early"
    ) in prose(optimisation_fit.CHAPTER)
    methods = optimisation_fit.chapter_code()["METHODS"]
    assert {name: run["settings"] for name, run in best.items()} == methods


@pytest.mark.chapter("optimisation")
def test_the_searches_in_the_chapter_are_the_recorded_ones():
    record = json.loads(optimisation_fit.RESULT.read_text(encoding="utf-8"))
    grid, at_random, bayes = record["searches"]
    found = [within(one["validation_loss"], 2) for one in (grid, at_random, bayes)]
    tests = [within(one["test_accuracy"], 2) for one in (grid, at_random, bayes)]
    wins = [
        sum(a < b for a, b in zip(*(one["validation_loss"]["values"] for one in pair), strict=True))
        for pair in ((at_random, grid), (bayes, at_random))
    ]
    text = prose(optimisation_fit.CHAPTER)
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds the lowest validation loss was {found[0]} for "
        f"the grid, {found[1]} at random and {found[2]} for Bayes; the test accuracies were "
        f"{listed(tests)}."
    ) in text
    assert f"than the grid {wins[0]} times of {len(record['seeds'])}, and Bayes" in text
    assert f"than random search {wins[1]} times" in text
    assert {one["tries"]["mean"] for one in record["searches"]} == {27.0}


@pytest.mark.chapter("transformer")
def test_how_gpt_writes_in_the_chapter_is_what_was_recorded():
    record = json.loads(transformer_writes.RESULT.read_text(encoding="utf-8"))
    runs = record["runs"]
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds it ended "
        f"{within(runs['above_the_floor'], 3)} nats a token above the floor, and the grammar "
        f"accepted {within(runs['accepted'], 0)} of {record['stories']} stories that it wrote, "
        f"after {round(runs['cpu_seconds']['mean'])} seconds of training on one CPU core"
    ) in prose(transformer_writes.CHAPTER)
    assert min(runs["above_the_floor"]["values"]) > 0
    assert record["machine"].startswith("CPU, 1 threads")


@pytest.mark.chapter("transformer")
def test_the_translations_in_the_chapter_are_the_recorded_ones():
    record = json.loads(transformer_translates.RESULT.read_text(encoding="utf-8"))
    runs, text = record["runs"], prose(transformer_translates.CHAPTER)
    exact = {
        name: within(run["exact_match"], 3) for name, run in runs.items() if name != "captions"
    }
    seconds = {name: round(run["cpu_seconds"]["mean"]) for name, run in runs.items()}
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds the share of exact translations was "
        f"{exact['rotary']}, after {seconds['rotary']} seconds of work for one CPU core; without "
        f"rotary positions it was {exact['without rotary']}"
    ) in text
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds this small model reached a BLEU of "
        f"{within(runs['captions']['bleu'], 1)}, after {seconds['captions']} seconds of work for "
        f"one CPU core"
    ) in text
    assert record["machine"].startswith("CPU, 1 threads")


@pytest.mark.chapter("transformer")
@pytest.mark.parametrize("benchmark", [transformer_writes, transformer_translates])
def test_the_models_were_recorded_with_the_settings_in_the_chapter(benchmark):
    record = json.loads(benchmark.RESULT.read_text(encoding="utf-8"))
    assert record["settings"] == vars(benchmark.chapter_code()["Settings"]())


@pytest.mark.chapter("transformer")
def test_how_near_the_floor_the_live_model_comes_is_what_was_recorded():
    record = json.loads(transformer_live.RESULT.read_text(encoding="utf-8"))
    english, chinese = (record["measured"][language] for language in ("en", "zh"))
    page = (records.ROOT / "chapters" / "play.md").read_text(encoding="utf-8")
    assert (
        f"On {transformer_live.STORIES:,} new stories of each language its loss is "
        f"{english['in_8_bits']:.3f} nats a token above the floor in English and "
        f"{chinese['in_8_bits']:.3f} in Chinese."
    ) in page
    for measured in (english, chinese):
        assert measured["in_8_bits"] == pytest.approx(measured["above_floor"], abs=0.001)


@pytest.mark.chapter("model-families")
def test_the_feed_forward_layers_in_model_families_are_the_recorded_ones():
    record = json.loads(families_swiglu.RESULT.read_text(encoding="utf-8"))
    best = [families_swiglu.best(record["runs"], kind) for kind in KINDS]
    ends = [within(run["above_floor"], 3) for run in best]
    rates = [f"{run['rate']:g}" for run in best]
    seconds = round(max(run["cpu_seconds"]["mean"] for run in record["runs"]))
    text = prose(families_swiglu.CHAPTER)
    assert (
        f"Over {NUMBERS[len(record['seeds'])]} seeds, each kind of layer at the best of "
        f"{NUMBERS[len(record['settings']['rates'])]} learning rates of Muon, the models ended "
        f"{ends[0]} nats a token above the floor with GELU, {ends[1]} with ReLU² and {ends[2]} "
        f"with SwiGLU, after {seconds} seconds or less of work for one CPU core on average"
    ) in text
    assert f"The best rates were {rates[0]}, {rates[1]} and {rates[2]}." in text
    assert {run["parameters"]["mean"] for run in record["runs"]} == {142_848.0}
    assert min(value for run in record["runs"] for value in run["above_floor"]["values"]) > 0


KINDS = ("GELU", "ReLU squared", "SwiGLU")


@pytest.mark.chapter("model-families")
def test_the_feed_forward_layers_were_recorded_with_the_settings_in_the_chapter():
    record = json.loads(families_swiglu.RESULT.read_text(encoding="utf-8"))
    code = families_swiglu.chapter_code()
    rates = list(families_swiglu.RATES)
    assert record["settings"] == {**vars(code["Settings"]()), "rates": rates}
    tried = {(run["kind"], run["rate"]) for run in record["runs"]}
    assert tried == {(kind, rate) for kind in code["FEED_FORWARD"] for rate in rates}
    assert tuple(code["FEED_FORWARD"]) == KINDS


@pytest.mark.chapter("transformer")
def test_a_gpt_goes_faster_than_that_of_transformers_and_needs_no_more_memory():
    record = json.loads(gpt_speed.RESULT.read_text(encoding="utf-8"))
    assert record["sizes"] == gpt_speed.SIZES
    assert [run["size"] for run in record["runs"]] == list(gpt_speed.SIZES)
    for run in record["runs"]:
        assert run["megabytes"]["companion"] <= run["megabytes"]["transformers"]
        assert run["megabytes"]["companion"] <= run["megabytes"]["nanoGPT"]
        assert run["times_as_fast"]["transformers"]["median"] >= 1.15
        assert run["times_as_fast"]["nanoGPT"]["median"] >= 1
    assert record["mkl_is_held_back"]  # "from another maker": the page says what that changes


def test_what_the_page_of_speed_says_of_tokens_and_attention_is_recorded():
    text = json.loads(data_speed.RESULT.read_text(encoding="utf-8"))
    as_fast = {run["task"]: run["times_as_fast"] for run in text["runs"]}
    assert 1 / as_fast["train"]["tokenizers"]["median"] < 5  # "a few times as long as in Rust"
    assert as_fast["train, small"]["minbpe"]["median"] > 10
    attention = json.loads(attention_speed.RESULT.read_text(encoding="utf-8"))
    lengths = [run["size"] for run in attention["runs"]]
    assert lengths == [64, 256, 1024, 4096]  # "four times as long from one row to the next"
    plain, fused = (
        [run["megabytes"][name] for run in attention["runs"]] for name in ("plain", "fused")
    )
    assert 12 < plain[-1] / plain[-2] < 17  # grows with the pairs
    assert 3.5 < fused[-1] / fused[-2] < 4.5  # grows with the tokens
    assert all(run["times_as_fast"]["plain"]["median"] > 1 for run in attention["runs"])
