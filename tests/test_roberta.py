import dataclasses
import json
import math

import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, RobertaForMaskedLM, RobertaModel
from transformers import RobertaConfig as TheirConfig

from companion.losses import cross_entropy
from companion.models import RoBERTa, RobertaConfig, RobertaEncoder, diff, hub
from tests.plugins import shapes
from tests.support import FLOATS, fill
from tests.verification import agree, same

SIZES = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 11,
    "type_vocab_size": 1,
    "layer_norm_eps": 0.01,
    "attn_implementation": "eager",
}
TINY = RobertaConfig(20, d_model=8, n_layers=3, n_heads=2, d_hidden=12, max_length=9, eps=0.01)
PADDED = {
    "right": torch.tensor([[0, 7, 3, 19, 5, 2], [0, 4, 11, 2, 1, 1], [0, 9, 9, 8, 2, 1]]),
    "left": torch.tensor([[0, 7, 3, 19, 5, 2], [1, 1, 0, 4, 11, 2], [1, 0, 9, 9, 8, 2]]),
    "in the middle": torch.tensor([[0, 7, 1, 19, 5, 2], [0, 4, 1, 1, 11, 2], [0, 1, 9, 1, 8, 2]]),
}
BATCH = PADDED["right"]
each_format = pytest.mark.parametrize("dtype", FLOATS)


def theirs(kind=RobertaForMaskedLM, dtype=torch.float64, **changes):
    return fill(kind(TheirConfig(**{**SIZES, **changes})), dtype=dtype, scale=1.0).eval()


def saved(model, folder, **options):
    model.save_pretrained(folder, **options)
    return folder


@torch.no_grad()
@each_format
@pytest.mark.parametrize("side", PADDED)
def test_roberta_against_transformers(dtype, side, tmp_path):
    """Padding takes no position, wherever it stands; nor is it seen."""
    ids, model = PADDED[side], theirs(dtype=dtype)
    real = ids != 1
    ours = RoBERTa.from_hf(saved(model, tmp_path), dtype=dtype)
    options = {"attention_mask": real.long(), "output_hidden_states": True}
    expected = model(ids, **options)
    oracle = "transformers.RobertaForMaskedLM"
    agree("RoBERTa", oracle, ours(ids, real[:, None])[real], expected.logits[real])
    agree("RobertaEncoder.embed", oracle, ours.encoder.embed(ids), expected.hidden_states[0])
    assert (ours(ids)[real] - expected.logits[real]).abs().max() > 1e-3  # the mask counts
    labels = torch.full_like(ids, -100)
    labels[:, 3] = torch.tensor([6, 1, 17])
    loss = cross_entropy(ours(ids, real[:, None]), labels)
    agree("RoBERTa, loss", oracle, loss, model(ids, labels=labels, **options).loss)


@torch.no_grad()
@each_format
@pytest.mark.parametrize("kind", [RobertaModel, RobertaForMaskedLM])
def test_encoder_against_transformers(kind, dtype, tmp_path):
    model = theirs(kind, dtype)
    ours = RobertaEncoder.from_hf(saved(model, tmp_path), dtype=dtype)
    states = model(BATCH, output_hidden_states=True).hidden_states
    agree("RobertaEncoder", "transformers.RobertaModel", ours(BATCH), states[-1])


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "other", "n"), [(RobertaEncoder, RobertaModel, 5), (RoBERTa, RobertaForMaskedLM, 8)]
)
def test_layer_by_layer(kind, other, n, tmp_path):
    """Blocks of ten layers; embeddings and the whole; the head and its two layers."""
    model = theirs(other)
    ours = kind.from_hf(saved(model, tmp_path), dtype=torch.float64)
    found = diff(ours, model, BATCH)
    assert found.culprit is None
    assert len(found.layers) == 3 * 10 + n
    model.get_submodule("roberta" if kind is RoBERTa else "").encoder.layer[
        2
    ].output.dense.bias += 1
    encoder = "encoder." if kind is RoBERTa else ""
    culprit = f"{encoder}blocks.2.feed_forward.layer.contract"
    same("diff", "a changed RoBERTa", diff(ours, model, BATCH).culprit, culprit)


@torch.no_grad()
@pytest.mark.parametrize("padding", [0, 5])
def test_positions_follow_the_id_of_padding(padding, tmp_path):
    model = theirs(pad_token_id=padding)
    ours = RoBERTa.from_hf(saved(model, tmp_path), dtype=torch.float64)
    same("RobertaConfig", "transformers", ours.config.first_position, padding + 1)
    same("RobertaConfig", "transformers", ours.config.max_length, 11 - padding - 1)
    ids = BATCH[:, :5].where(BATCH[:, :5] != 1, padding)
    agree("RoBERTa, other padding", "transformers", ours(ids), model(ids).logits)


@torch.no_grad()
@pytest.mark.parametrize("first", [2, 4])
def test_what_roberta_writes_is_opened_by_transformers(first, tmp_path):
    config = dataclasses.replace(TINY, first_position=first)
    ours = fill(RoBERTa(config)).eval()
    ours.save_hf(tmp_path)
    model, info = AutoModelForMaskedLM.from_pretrained(
        tmp_path, dtype=torch.float64, output_loading_info=True
    )
    assert type(model) is RobertaForMaskedLM
    assert not any(info.values())
    agree("RoBERTa.save_hf", "transformers.AutoModelForMaskedLM", ours(BATCH), model(BATCH).logits)
    again = RoBERTa.from_hf(tmp_path, dtype=torch.float64)
    assert again.config == config
    for name, tensor in again.state_dict().items():
        same("RoBERTa, written and read", "itself", tensor, ours.state_dict()[name])


@torch.no_grad()
def test_what_an_encoder_writes_is_opened_by_transformers(tmp_path):
    ours = fill(RobertaEncoder(TINY)).eval()
    ours.save_hf(tmp_path)
    model, info = AutoModel.from_pretrained(
        tmp_path, dtype=torch.float64, output_loading_info=True, add_pooling_layer=False
    )
    assert type(model) is RobertaModel
    assert not any(info.values())
    expected = model(BATCH).last_hidden_state
    agree("RobertaEncoder.save_hf", "transformers.AutoModel", ours(BATCH), expected)
    again = RobertaEncoder.from_hf(tmp_path, dtype=torch.float64)
    for name, tensor in again.state_dict().items():
        same("RobertaEncoder, written and read", "itself", tensor, ours.state_dict()[name])


@torch.no_grad()
def test_several_files_and_16_bits(tmp_path):
    model = theirs(dtype=torch.bfloat16)
    folder = saved(model, tmp_path, max_shard_size="2KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    ours = RoBERTa.from_hf(folder, dtype=torch.bfloat16)
    limit = {"tolerance": 0.1, "limit": "bfloat16"}
    value, expected = ours(BATCH).float(), model(BATCH).logits.float()
    agree("RoBERTa, 16 bits", "transformers.RobertaForMaskedLM", value, expected, **limit)


def test_roberta_base_has_as_many_parameters_as_theirs():
    published = {"max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    with torch.device("meta"):
        model, other = RoBERTa(RobertaConfig()), RobertaForMaskedLM(TheirConfig(**published))
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parameter.numel() for parameter in other.parameters())
    same("RobertaConfig, number of weights", "transformers.RobertaConfig", count, expected)


def test_the_first_loss_is_that_of_a_model_that_knows_nothing():
    torch.manual_seed(0)
    model = RoBERTa(dataclasses.replace(TINY, vocab_size=500, d_model=64))
    ids = torch.randint(2, 500, (8, 9))
    assert abs(cross_entropy(model(ids), ids.flip(1)).item() - math.log(500)) < 0.05


def test_a_checkpoint_of_bert_is_none_of_roberta(tmp_path):
    folder = saved(theirs(), tmp_path)
    config = json.loads((folder / hub.CONFIG).read_text())
    for fields, message in (
        ({"model_type": "bert"}, "type 'bert', and this class reads 'roberta'"),
        ({"pad_token_id": None}, "pad_token_id must be a whole number.*got None"),
        ({"max_position_embeddings": 2}, "max_length must be at least 1, got 0"),
    ):
        (folder / hub.CONFIG).write_text(json.dumps(config | fields))
        with pytest.raises(ValueError, match=message):
            RoBERTa.from_hf(folder)


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("first_position must be at least 1, got 0", lambda: RobertaConfig(first_position=0)),
        ("n_layers must be at least 1", lambda: RobertaConfig(n_layers=0)),
        ("ids must hold at most 9 tokens", lambda: RoBERTa(TINY)(BATCH.repeat(1, 2))),
        ("ids must be from 0 to 19, got 20", lambda: RoBERTa(TINY)(torch.tensor([[20]]))),
        (
            "segments must be from 0 to 0, got 1",
            lambda: RobertaEncoder(TINY)(BATCH, segments=BATCH * 0 + 1),
        ),
        ("mask must have shape", lambda: RoBERTa(TINY)(BATCH, BATCH != 1)),
    ],
)
def test_errors_name_the_argument(message, call):
    with shapes.unchecked(), pytest.raises(ValueError, match=message):
        call()
