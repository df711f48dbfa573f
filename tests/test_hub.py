import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, GPT2Model

from companion.models import GPT, GPTConfig, hub
from companion.models.hub import named_by, to_ours, to_theirs
from companion.models.layouts import GPT2
from tests.support import FLOATS, fill
from tests.verification import agree, same

SIZES = {"vocab_size": 20, "n_positions": 9, "n_embd": 8, "n_layer": 3, "n_head": 2}
TINY = GPTConfig(vocab_size=20, max_length=9, d_model=8, n_layers=3, n_heads=2)
IDS = torch.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])
OPTIONS = {"attn_implementation": "eager"}


@pytest.fixture
def theirs():
    return fill(GPT2LMHeadModel(GPT2Config(**SIZES, **OPTIONS)), dtype=torch.float32).eval()


@pytest.fixture
def folder(theirs, tmp_path):
    """Return a checkpoint that ``transformers`` wrote."""
    theirs.save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


def rewrite(folder, change):
    """Change the tensors of a checkpoint."""
    state = load_file(folder / hub.WEIGHTS)
    change(state)
    save_file(state, folder / hub.WEIGHTS, metadata={"format": "pt"})


def reconfigure(folder, **fields):
    config = json.loads((folder / hub.CONFIG).read_text())
    (folder / hub.CONFIG).write_text(json.dumps(config | fields))


# -- reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_reads_what_transformers_wrote(theirs, folder, dtype):
    theirs = theirs.to(dtype)
    ours = GPT.from_hf(folder, dtype=dtype)
    expected = theirs(IDS, labels=IDS, output_hidden_states=True)
    agree("Pretrained.from_hf", "transformers.GPT2LMHeadModel", ours(IDS), expected.logits)
    stream = ours.trace(IDS).stream
    before = torch.stack(expected.hidden_states[:-1])
    agree("Pretrained.from_hf, hidden states", "transformers.GPT2LMHeadModel", stream[:-1], before)
    loss = torch.nn.functional.cross_entropy(ours(IDS)[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())
    # Their loss is computed in float32 whatever the model's format.
    limit = {"tolerance": 1e-5, "limit": "float32"}
    agree("Pretrained.from_hf, loss", "transformers.GPT2LMHeadModel", loss, expected.loss, **limit)
    assert ours.config == GPTConfig(**vars(TINY) | {"d_hidden": None})
    assert not ours.training
    assert all(p.dtype == dtype and p.requires_grad for p in ours.parameters())


def test_each_tensor_has_memory_of_its_own(folder):
    """Queries, keys and values come from one matrix; a change of one must not move the others."""
    ours = GPT.from_hf(folder)
    attention = ours.blocks[0].attention.layer
    before = attention.w_k.weight.detach().clone()
    with torch.no_grad():
        attention.w_q.weight.zero_()
    assert torch.equal(attention.w_k.weight, before)
    pointers = [p.untyped_storage().data_ptr() for p in ours.parameters()]
    assert len(set(pointers)) == len(pointers)


def test_reads_several_files(theirs, tmp_path):
    theirs.save_pretrained(tmp_path, max_shard_size="3KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    agree(
        "Pretrained.from_hf, shards",
        "transformers.GPT2LMHeadModel",
        GPT.from_hf(tmp_path)(IDS),
        theirs(IDS).logits,
    )


def test_reads_a_model_without_its_head(theirs, tmp_path):
    """The published GPT-2 has no prefix, and masks among its tensors."""
    theirs.transformer.save_pretrained(tmp_path)

    def as_published(state):
        assert not any(name.startswith("transformer.") for name in state)
        state["h.0.attn.bias"] = torch.ones(1, 1, 9, 9)
        state["h.0.attn.masked_bias"] = torch.tensor(-1e4)

    rewrite(tmp_path, as_published)
    agree(
        "Pretrained.from_hf, no head",
        "transformers.GPT2LMHeadModel",
        GPT.from_hf(tmp_path)(IDS),
        theirs(IDS).logits,
    )


def test_a_matrix_that_stands_there_twice(theirs, folder):
    table = theirs.transformer.wte.weight.detach()
    rewrite(folder, lambda state: state.update({"lm_head.weight": table.clone()}))
    agree(
        "Pretrained.from_hf, tied",
        "transformers.GPT2LMHeadModel",
        GPT.from_hf(folder)(IDS),
        theirs(IDS).logits,
    )
    rewrite(folder, lambda state: state.update({"lm_head.weight": table + 1}))
    with pytest.raises(ValueError, match=r"lm_head.weight should be transformer.wte.weight once"):
        GPT.from_hf(folder)


def test_fields_may_be_changed(folder):
    assert GPT.from_hf(folder, dropout=0.25).config.dropout == 0.25


# -- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*FLOATS, torch.bfloat16])
def test_transformers_opens_what_was_saved(tmp_path, dtype):
    ours = fill(GPT(TINY), dtype=dtype).eval()
    ours.save_hf(tmp_path / "ours")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "ours", dtype="auto", **OPTIONS)
    assert isinstance(theirs, GPT2LMHeadModel)
    assert theirs.dtype == dtype
    options = {"tolerance": 0.05, "limit": "bfloat16"} if dtype == torch.bfloat16 else {}
    mine, other = (x.double() if options else x for x in (ours(IDS), theirs(IDS).logits))
    agree("Pretrained.save_hf", "transformers.GPT2LMHeadModel", mine, other, **options)
    assert isinstance(AutoModel.from_pretrained(tmp_path / "ours"), GPT2Model)
    again = GPT.from_hf(tmp_path / "ours", dtype=dtype)
    for name, tensor in ours.state_dict().items():
        same("Pretrained.save_hf", "from_hf", again.state_dict()[name], tensor)
    assert again.config == ours.config


def test_each_tensor_has_the_place_that_transformers_gave_it(theirs):
    """Names, parts and transposition, held against a model with the same weights."""
    state, ours = theirs.state_dict(), GPT(TINY)
    ours.load_state_dict(to_ours(state, GPT2, ours.state_dict()))
    for name, tensor in ours.state_dict().items():
        at = GPT2.place(name)
        same("Layout.place", "transformers.GPT2LMHeadModel", at.name in state, True)
        whole = state[at.name].T if at.turned and tensor.ndim == 2 else state[at.name]
        part = whole.chunk(at.of)[at.part]
        same("Stored", "transformers.GPT2LMHeadModel", tensor, part)


def test_names_are_found_by_a_table():
    theirs = GPT2LMHeadModel(GPT2Config(**SIZES))
    table = GPT2.layers(dict(theirs.named_modules()))
    found = {named_by(name, table) for name, _ in GPT(TINY).named_modules()} - {None}
    known = {name for name, module in theirs.named_modules() if "drop" not in name}
    apart = {name for name in known if name.endswith(("c_attn", "mlp.act", ".h", "lm_head"))}
    same("named_by", "transformers.GPT2LMHeadModel", found, known - apart - {"", "transformer"})
    assert named_by("blocks.1.dropout", table) is None


def test_back_and_forth_every_tensor(theirs, folder, tmp_path):
    GPT.from_hf(folder).save_hf(tmp_path / "ours")
    first, second = load_file(folder / hub.WEIGHTS), load_file(tmp_path / "ours" / hub.WEIGHTS)
    assert set(first) == set(second)
    for name, tensor in first.items():
        same("to_theirs", "transformers.save_pretrained", second[name], tensor)
    shapes = GPT(TINY).state_dict()
    for name, tensor in to_ours(to_theirs(shapes, GPT2), GPT2, shapes).items():
        same("to_ours", "to_theirs", tensor, shapes[name])


def test_an_interrupted_save_leaves_the_old_one(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def stop(tensors, path, **options):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(hub, "save_file", stop)
    with pytest.raises(KeyboardInterrupt):
        GPT(TINY).save_hf(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_saving_refuses_what_gpt2_cannot_hold(tmp_path):
    rotary = GPT(GPTConfig(vocab_size=20, max_length=9, d_model=8, n_heads=2, positions="rotary"))
    with pytest.raises(ValueError, match="GPT-2 has learned positions, this model has 'rotary'"):
        rotary.save_hf(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_saving_over_several_files_is_refused(theirs, tmp_path):
    theirs.save_pretrained(tmp_path, max_shard_size="3KB")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(ValueError, match=r"several files, which would stay beside"):
        GPT(TINY).save_hf(tmp_path)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_model_of_two_formats_is_refused(tmp_path):
    model = GPT(TINY)
    model.norm.double()
    with pytest.raises(ValueError, match=r"one format, has torch.float32 and torch.float64"):
        model.save_hf(tmp_path / "new")
    assert not (tmp_path / "new").exists()


# -- what is wrong with a checkpoint -------------------------------------------------------------


def cut(state):
    name = "transformer.h.1.mlp.c_fc.weight"
    state[name] = state[name][:, :-1].contiguous()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: state.pop("transformer.h.2.attn.c_attn.bias"),
            r"of GPT2LMHeadModel: missing tensors \(1\): transformer.h.2.attn.c_attn.bias$",
        ),
        (
            lambda state: state.update({"transformer.h.3.ln_1.bias": torch.zeros(8)}),
            r"GPT2LMHeadModel: unexpected tensors \(1\): transformer.h.3.ln_1.bias$",
        ),
        (
            lambda state: state.update({"score.weight": state.pop("transformer.wpe.weight")}),
            r"missing tensors .*transformer.wpe.weight; unexpected tensors .*score.weight$",
        ),
        (
            cut,
            r"tensors of the wrong shape \(1\): transformer.h.1.mlp.c_fc.weight \(8, 31\),"
            r" which should give blocks.1.feed_forward.layer.expand.weight \(32, 8\)$",
        ),
        (
            lambda state: state.update({"transformer.h.0.attn.c_attn.bias": torch.zeros(25)}),
            r"wrong shape \(3\): transformer.h.0.attn.c_attn.bias \(25,\)",
        ),
    ],
)
def test_wrong_tensors_are_named(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(ValueError, match=message):
        GPT.from_hf(folder)


def test_a_model_stays_as_it_was_when_a_state_does_not_fit(folder):
    model = GPT(TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = load_file(folder / hub.WEIGHTS)
    del state["transformer.ln_f.bias"]
    with pytest.raises(ValueError, match=r"missing tensors \(1\)"):
        model.load_state_dict(to_ours(state, GPT2, model.state_dict()))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.verifies("require", "configurations out of reach are refused")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "llama"}, "describes a model of type 'llama', and this class reads 'gpt2'"),
        (
            {"activation_function": "relu"},
            "activation_function = 'relu', and here it must be 'gelu_new'",
        ),
        ({"scale_attn_by_inverse_layer_idx": True}, "layer_idx = True, and here it must be False"),
        ({"n_embd": 9}, "n_heads must divide d_model, got 2 and 9"),
        ({"n_layer": 4}, r"missing tensors \(12\): transformer.h.3.attn.c_attn.bias; "),
        ({"vocab_size": 21}, r"wte.weight \(20, 8\), which should give tokens.weight \(21, 8\)"),
    ],
)
def test_configurations_that_do_not_work(folder, fields, message):
    reconfigure(folder, **fields)
    with pytest.raises(ValueError, match=message):
        GPT.from_hf(folder)


def test_a_configuration_with_a_field_missing(folder):
    config = json.loads((folder / hub.CONFIG).read_text())
    del config["n_embd"]
    (folder / hub.CONFIG).write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"config.json lacks 'n_embd'"):
        GPT.from_hf(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "config.json is damaged: "),
        ("config.json", "[]", "config.json must hold an object of JSON, got list"),
        ("model.safetensors", "x", "model.safetensors is damaged, or was not downloaded in full"),
    ],
)
def test_damaged_files(folder, name, content, message):
    (folder / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        GPT.from_hf(folder)


def test_half_a_file_is_refused(folder):
    whole = (folder / hub.WEIGHTS).read_bytes()
    (folder / hub.WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="was not downloaded in full"):
        GPT.from_hf(folder)


@pytest.mark.parametrize("name", [hub.CONFIG, hub.WEIGHTS])
def test_missing_files(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"holds n.* {name}"):
        GPT.from_hf(folder)


def test_a_pickled_checkpoint_is_not_opened(folder):
    (folder / hub.WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"pytorch_model.bin may run code"):
        GPT.from_hf(folder)


@pytest.fixture
def shards(theirs, tmp_path):
    theirs.save_pretrained(tmp_path, max_shard_size="3KB")
    return tmp_path


def reindex(folder, change):
    index = json.loads((folder / hub.INDEX).read_text())
    change(index["weight_map"])
    (folder / hub.INDEX).write_text(json.dumps(index))


def test_a_missing_shard(shards):
    first = sorted(shards.glob("model-*"))[0]
    first.unlink()
    with pytest.raises(FileNotFoundError, match=f"lacks {first.name}, which its index names"):
        GPT.from_hf(shards)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda places: places.pop("transformer.wpe.weight"), "differ: transformer.wpe.weight$"),
        (lambda places: places.update({"more": next(iter(places.values()))}), "differ: more$"),
        (lambda places: places.update({"more": "../x"}), "'../x', which is outside of the folder"),
        (lambda places: places.update({"more": 3}), "must say in weight_map which file"),
    ],
)
def test_an_index_that_does_not_fit(shards, change, message):
    reindex(shards, change)
    with pytest.raises(ValueError, match=message):
        GPT.from_hf(shards)


# -- the hub -------------------------------------------------------------------------------------


def test_a_name_is_looked_for_on_the_hub(folder, monkeypatch):
    import huggingface_hub

    asked = []

    def download(name, allow_patterns):
        asked.append((name, allow_patterns))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    model = GPT.from_hf("openai-community/gpt2")
    assert model.config == TINY
    (name, patterns) = asked[0]
    assert name == "openai-community/gpt2"
    assert not any(
        pattern.endswith((".bin", ".h5", "*")) for pattern in patterns if pattern != "model-*"
    )


def test_the_hub_out_of_reach(monkeypatch):
    import huggingface_hub

    def download(name, allow_patterns):
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(FileNotFoundError, match=r"'gpt2' could not be had .*no route to host"):
        GPT.from_hf("gpt2")


def test_what_is_neither_a_folder_nor_a_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        GPT.from_hf(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        GPT.from_hf("a/b/c")
