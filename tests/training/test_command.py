"""``python -m companion.training``: from one file to a trained model, alone and under torchrun."""

import json
import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest
import torch

from companion import training
from companion.data import downloading
from companion.models import GPT, Llama
from companion.tokenizers import BPE, Characters, Words
from companion.training import command, preparing, recipe
from tests.training.support import timeless
from tests.verification import agree, same

TEXT = "Ein Rabe saß auf einem Baum. Da kam ein Fuchs. " * 20
SMALL = {
    "data": {"source": "file", "path": "raven.txt", "length": 12, "batch_size": 5},
    "tokenizer": {"kind": "words"},
    "model": {"name": "GPT", "d_model": 8, "n_layers": 1, "n_heads": 2},
    "train": {"steps": 4, "evaluate_every": 2, "schedule": "constant", "device": "cpu"},
}


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A recipe, and the text that it names, in the folder in which the test runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raven.txt").write_text(TEXT, encoding="utf-8")
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


NO_PATH = ["--set", "data.path=null"]


@pytest.fixture
def run(capsys):
    def run(*arguments):
        try:
            code = command.main([str(each) for each in arguments])
        except SystemExit as error:
            code = error.code
        return code, *capsys.readouterr()

    return run


def recipe_with(**sections):
    return recipe.Recipe.from_json(json.dumps({**SMALL, **sections}))


# -- a run ---------------------------------------------------------------------------------------


@pytest.mark.verifies("command.main", "trains, writes where it says, goes on")
def test_a_file_is_all_that_is_needed(file, run):
    code, out, err = run("--config", file)
    folder = file.parent / "small"
    assert (code, err) == (0, "")
    assert out.startswith("4 of 4 steps, 240 tokens\nloss ")
    assert f"{folder}: step-000004.pt, config.json, history.json" in out
    history = training.History.load(folder / "history.json")
    assert len(history) == 4
    assert f"held out {history.best['held_out']:.4f} at best\n" in out
    whole = recipe.Recipe.from_json((folder / "config.json").read_text())
    assert whole.train.folder == str(folder)
    assert whole.data == recipe_with().data
    # Again: nothing is left to do; then there is more.
    assert run("--config", file)[1] == out
    code, out, _ = run("--config", file, "--set", "train.steps=6")
    assert (code, out.splitlines()[0]) == (0, "6 of 6 steps, 360 tokens")
    again = training.History.load(folder / "history.json")
    assert timeless(again)[:4] == timeless(history)


def test_it_trains_what_the_parts_train_when_put_together_by_hand(file, run):
    assert run("--config", file)[0] == 0
    found = training.History.load(file.parent / "small" / "history.json")
    settings = recipe_with()
    text = preparing.corpus(settings)
    torch.manual_seed(0)
    sizes = {"d_model": 8, "n_layers": 1, "n_heads": 2, "max_length": 12}
    model = GPT(GPT.Config(vocab_size=text.tokenizer.vocab_size, **sizes))
    history = training.train(
        model,
        training.WindowBatches(text.train, 5, 12),
        settings.train,
        held_out=preparing.held_out_batches(text, settings.data),
    )
    same("command.main", "the parts by hand", timeless(found), timeless(history))


def test_the_example_works(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("--example")
    assert code == 0
    (tmp_path / "run.json").write_text(out)
    code, out, _ = run(
        "--config", "run.json", "--set", "train.steps=11", "--set", "data.stories=99"
    )
    assert code == 0
    assert "11 of 11 steps" in out
    assert re.search(r"held out [\d.]+ at best \(no model can expect less than 0\.77", out)
    assert (tmp_path / "run" / "step-000011.pt").exists()


def test_torchrun_trains_the_same_in_two_processes(file, run, tmp_path):
    """The only test that starts torchrun itself: with bars, and with one line for each message."""
    folder = tmp_path / "two"
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    started = [*torchrun, "-m", "companion.training", "--config", str(file)]
    environment = {n: x for n, x in os.environ.items() if n != "COMPANION_QUIET"}
    done = subprocess.run(
        [*started, "--set", f"train.folder={folder}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("4 of 4 steps, 240 tokens") == 1
    assert done.stderr.count("4/4") <= 2  # one bar, drawn at its last step and closed
    assert "arning" not in done.stderr
    run("--config", file)
    ours, theirs = (
        training.History.load(place / "history.json") for place in (folder, file.parent / "small")
    )
    for name in ("loss", "held_out", "grad_norm", "tokens"):
        seen = ours.column("held_out").nonzero()[0] if name == "held_out" else slice(None)
        agree(
            "command.main, torchrun",
            "one process",
            ours.column(name)[seen][1::2],
            theirs.column(name)[seen][1::2],
            1e-5,
            limit="float32",
        )


# -- what is refused -----------------------------------------------------------------------------

WRONG = [
    ({"modell": {}}, "the recipe has no section 'modell', only data, .*; did you mean 'model'"),
    ({"data": []}, r"the section 'data' must be a JSON object, got \[\]"),
    ({"data": {"lenght": 3}}, "data has no field 'lenght'; did you mean 'length'"),
    ({"data": {"source": "tinyword"}}, "data.source must be one of .* did you mean 'tinyworld'"),
    ({"data": {"source": "file"}}, "data.path is for data.source 'file', and needed there"),
    ({"data": {"path": "x.txt"}}, "data.path is for data.source 'file', .* 'tinyworld'"),
    ({"data": {"held_out": 0}}, "data.held_out must be above 0 and below 1, got 0"),
    ({"data": {"length": 0}}, "data.length must be at least 1"),
    ({"data": {"language": "de"}}, "data.language must be one of"),
    (
        {"tokenizer": {"kind": "bpe"}},
        "tokenizer.vocab_size is for tokenizer.kind 'bpe', and needed",
    ),
    ({"tokenizer": {"kind": "BPE"}}, "tokenizer.kind must be one of .* did you mean 'bpe'"),
    ({"tokenizer": {"kind": "bpe", "vocab_size": 99}}, "vocab_size must be at least 256, got 99"),
    ({"model": {"name": "BERT"}}, "model.name must be one of"),
    ({"model": {"d_modell": 8}}, "model has no field 'd_modell'; did you mean 'd_model'"),
    ({"model": {"vocab_size": 8}}, "model has no field 'vocab_size'"),
    ({"train": {"step": 3}}, "train has no field 'step'; did you mean 'steps'"),
    ({"train": {}}, "train must have the field 'steps'"),
    ({"train": {"steps": 0}}, "steps must be at least 1, got 0"),
]


@pytest.mark.verifies("Recipe", "names what is unknown, missing or out of range")
@pytest.mark.verifies("DataSettings", "names what is unknown, missing or out of range")
@pytest.mark.verifies("TokenizerSettings", "names what is unknown, missing or out of range")
@pytest.mark.verifies("ModelSettings", "names what is unknown, missing or out of range")
@pytest.mark.verifies("known_sizes", "all fields of a config but those that are given")
@pytest.mark.parametrize(("sections", "message"), WRONG)
def test_a_wrong_field_is_named(sections, message):
    with pytest.raises(ValueError, match=message):
        recipe_with(**sections)


def test_what_is_no_recipe_is_refused():
    for text, message in [
        ("{", "the recipe must be JSON"),
        ("[]", "the recipe must be a JSON object, got list"),
        ('{"train": {"steps": 1}}', "the recipe must say what is trained"),
    ]:
        with pytest.raises(ValueError, match=message):
            recipe.Recipe.from_json(text)


def test_a_change_is_json_or_a_text():
    changes = [
        "train.betas=[0.5, 0.6]",
        "train.folder=a=b",
        "data.source=tinyshakespeare",
        "data.path=null",
    ]
    changes += ["train.clip=null", "train.compile=false"]
    changed = recipe.Recipe.from_json(json.dumps(SMALL), changes)
    assert changed.train.betas == (0.5, 0.6)
    assert (changed.train.folder, changed.train.clip) == ("a=b", None)
    assert changed.data.source == "tinyshakespeare"
    for wrong in ("steps=3", "train.steps", "trian.steps=3", "train.=3"):
        with pytest.raises(ValueError, match=r"a change must be as train\.steps=100"):
            recipe.Recipe.from_json(json.dumps(SMALL), [wrong])


CALLS = {
    "nothing": ([], 2, "say what to train: --config run.json, or --example"),
    "no file": (["--config", "nowhere.json"], 2, "nowhere.json: .*No such file"),
    "a field": (
        ["--set", "model.heads=2"],
        2,
        "model has no field 'heads'; did you mean 'n_heads'",
    ),
    "sizes": (["--set", "model.n_heads=3"], 1, "n_heads"),
    "a text": (
        ["--set", "data.path=no.txt"],
        1,
        "No such file.*no.txt",
    ),
    "short": (
        ["--set", "data.length=9999"],
        1,
        "text to train on has .* tokens, and a window",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_wrong_is_said_in_one_line(file, run, name):
    arguments, code, message = CALLS[name]
    config = ["--config", file] if arguments and "--config" not in arguments else []
    came, out, err = run(*config, *arguments)
    assert (came, out) == (code, "")
    said = err.splitlines()[-1]
    assert said.startswith("python -m companion.training: error: ")
    assert re.search(message, said), said


def test_without_network_and_data_it_says_what_to_do(file, run, monkeypatch):
    monkeypatch.setenv("COMPANION_DATA", str(file.parent / "empty"))
    monkeypatch.setenv("COMPANION_CACHE", str(file.parent / "cache"))
    monkeypatch.delenv("COMPANION_MIRROR", raising=False)
    for name in ("http_proxy", "https_proxy"):  # at which nobody listens
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setattr(downloading, "PAUSE", 0.001)
    monkeypatch.setattr(downloading, "_lost", {})
    code, _, err = run("--config", file, "--set", "data.source=tinyshakespeare", *NO_PATH)
    assert code == 1
    assert "error: the data set 'tinyshakespeare' is not on this machine" in err
    assert not (file.parent / "small" / "config.json").exists()


def test_other_data_or_another_model_need_another_folder(file, run):
    run("--config", file)
    code, _, err = run("--config", file, "--set", "data.seed=3", "--set", "model.d_model=4")
    assert code == 1
    assert "data.seed 0 there and 3 here, model.d_model 8 there and 4 here. Take those" in err
    code, _, err = run("--config", file, "--set", "train.lr=1")
    assert code == 1
    assert "lr 0.0003 there and 1 here. Take those" in err
    for path in (file.parent / "small").glob("step-*"):
        path.unlink()
    assert run("--config", file, "--set", "data.seed=3")[0] == 0


def test_a_first_word_names_another_command(run, monkeypatch):
    other = types.ModuleType("companion.training.other")
    other.main = lambda arguments: print(arguments)
    monkeypatch.setitem(sys.modules, other.__name__, other)
    monkeypatch.setitem(command.COMMANDS, "other", other.__name__)
    assert run("other", "--steps", "3") == (0, "['--steps', '3']\n", "")
    code, _, err = run("another")
    assert code == 2
    assert "unrecognized arguments: another" in err


def test_help_names_every_field(run):
    code, out, _ = run("--help")
    assert code == 0
    for section in (training.TrainConfig, recipe.DataSettings, recipe.TokenizerSettings):
        assert all(name in out for name in section.__dataclass_fields__)
    assert all(name in out for name in recipe.known_sizes("Llama"))


# -- text, tokens, models ------------------------------------------------------------------------


@pytest.mark.verifies("Corpus", "holds all of a text, in two parts")
@pytest.mark.verifies("preparing.corpus", "holds all of a text, in two parts")
@pytest.mark.parametrize(
    ("kind", "tokenizer"), [("characters", Characters), ("words", Words), ("bpe", BPE)]
)
def test_a_text_of_ones_own(tmp_path, kind, tokenizer):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, encoding="utf-8")
    sizes = {"vocab_size": 300} if kind == "bpe" else {}
    text = preparing.corpus(
        recipe_with(
            data={"source": "file", "path": str(path), "length": 8, "held_out": 0.25},
            tokenizer={"kind": kind, **sizes},
        )
    )
    assert isinstance(text.tokenizer, tokenizer)
    assert text.floor is None
    train, held_out = (text.tokenizer.decode(x.tolist()) for x in (text.train, text.held_out))
    assert train + held_out == TEXT
    assert len(held_out) == len(train + held_out) // 4
    path.write_bytes(b"\xff\xfe" * 99)
    with pytest.raises(ValueError, match=r"data\.path must be a text in UTF-8"):
        preparing.corpus(recipe_with(data={"source": "file", "path": str(path)}))


def test_stories_end_and_their_entropy_is_known():
    text = preparing.corpus(recipe_with(data={"stories": 50, "length": 8, "held_out": 0.1}))
    end = text.tokenizer.special_ids["<|end|>"]
    assert [(ids == end).sum() for ids in (text.train, text.held_out)] == [45, 5]
    world = preparing.TinyWorld()
    expected = world.entropy(lambda s: len(Words.cut(s)), with_end=True)
    agree("preparing.corpus, floor", "TinyWorld.entropy", text.floor, expected)
    stories = text.tokenizer.decode(text.train.tolist()).split("<|end|>")
    assert stories[:2] == [world.story(), world.story()]


@pytest.mark.verifies("held_out_batches", "every window once")
def test_every_held_out_window_is_evaluated_once():
    settings = recipe_with(data={"length": 8, "batch_size": 7})
    text = preparing.Corpus(Characters("a"), np.arange(9), np.arange(250), None)
    batches = preparing.held_out_batches(text, settings.data)
    found = torch.cat([batches(i)[0] for i in range(len(batches))])
    expected = torch.from_numpy(text.held_out[: len(found) * 8]).view(-1, 8)
    assert sorted(found.tolist()) == sorted(expected.tolist())
    assert len(found) == 31


@pytest.mark.verifies("preparing.build", "the seed draws the weights")
def test_models_of_a_recipe():
    tiny = {"d_model": 8, "n_layers": 1, "n_heads": 2}
    llama = recipe_with(model={"name": "Llama", **tiny, "n_kv_heads": 1, "d_hidden": 16})
    assert isinstance(preparing.build(llama, 11), Llama)
    first, same_seed = (preparing.build(recipe_with(), 11) for _ in "ab")
    assert isinstance(first, GPT)
    assert first.config.max_length == 12
    assert torch.equal(first.tokens.weight, same_seed.tokens.weight)
