import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
)
from transformers import BertConfig as TheirConfig

from companion.attention import padding_mask
from companion.losses import cross_entropy, mlm_loss
from companion.models import BERT, BertConfig, BertEncoder, MaskedLMHead, diff, hub
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal
from tests.verification import agree, same

TINY = BertConfig(vocab_size=20, d_model=8, n_layers=2, n_heads=2, d_hidden=16, max_length=5)
SIZES = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 9,
    "type_vocab_size": 3,
    "layer_norm_eps": 0.01,
    "attn_implementation": "eager",
}
IDS = torch.ones(1, 4, dtype=torch.int64)
BATCH = torch.tensor([[2, 7, 3, 19, 5, 3], [2, 4, 11, 3, 0, 0], [2, 9, 9, 1, 3, 0]])
SEGMENTS = torch.tensor([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 0, 0], [0, 1, 2, 2, 2, 0]])
LENGTHS = torch.tensor([6, 4, 5])
REAL = torch.arange(6) < LENGTHS[:, None]
MASK = padding_mask(LENGTHS)
THEIRS = {"attention_mask": REAL.long(), "token_type_ids": SEGMENTS}
LABELS = torch.tensor([[-100, 7, -100, 1, -100, -100], [-100] * 6, [8, -100, -100, 1, -100, -100]])
each_format = pytest.mark.parametrize("dtype", FLOATS)


def theirs(kind=BertForPreTraining, dtype=torch.float64, **changes):
    return fill(kind(TheirConfig(**{**SIZES, **changes})), dtype=dtype, scale=1.0).eval()


def saved(model, folder, **options):
    """Return the folder of a checkpoint that ``transformers`` wrote."""
    model.save_pretrained(folder, **options)
    return folder


def rewrite(folder, change):
    """Change the tensors of a checkpoint."""
    state = load_file(folder / hub.WEIGHTS)
    save_file(change(state) or state, folder / hub.WEIGHTS, metadata={"format": "pt"})


# -- the encoder ---------------------------------------------------------------------------------


@torch.no_grad()
@each_format
def test_encoder_against_transformers(dtype, tmp_path):
    """Its states, the vectors it begins with, and its attention, in a padded batch."""
    model = theirs(BertModel, dtype)
    ours = BertEncoder.from_hf(saved(model, tmp_path), dtype=dtype)
    options = {"output_attentions": True, "output_hidden_states": True}
    expected = model(BATCH, **THEIRS, **options)
    x, weights = ours(BATCH, MASK, segments=SEGMENTS, return_weights=True)
    oracle = "transformers.BertModel"
    agree("BertEncoder", oracle, x[REAL], expected.last_hidden_state[REAL])
    embedded = ours.embed(BATCH, SEGMENTS)
    agree("BertEncoder.embed", oracle, embedded, expected.hidden_states[0])
    rows = REAL[None, :, None, :, None].expand_as(weights)
    attentions = torch.stack(expected.attentions)
    agree("BertEncoder, weights", oracle, weights[rows], attentions[rows])
    fused = ours(BATCH, MASK, segments=SEGMENTS)
    agree("BertEncoder, fused", oracle, fused[REAL], expected.last_hidden_state[REAL])
    for block, states in zip(ours.blocks, expected.hidden_states[1:], strict=True):
        embedded = block(embedded, mask=MASK)
        agree("BertEncoder, hidden states", oracle, embedded[REAL], states[REAL])


@torch.no_grad()
@pytest.mark.parametrize(
    "kind", [BertForMaskedLM, BertForPreTraining, BertForSequenceClassification]
)
def test_an_encoder_is_read_from_checkpoints_with_heads(kind, tmp_path):
    model = theirs(kind)
    ours = BertEncoder.from_hf(saved(model, tmp_path), dtype=torch.float64)
    expected = model.bert(BATCH).last_hidden_state
    agree("BertEncoder, from a model with a head", "transformers", ours(BATCH), expected)


@torch.no_grad()
def test_what_an_encoder_writes_is_opened_by_transformers(tmp_path):
    """It has no pooler, which is drawn anew unless one says that there is none."""
    ours = fill(BertEncoder(TINY)).eval()
    ours.save_hf(tmp_path)
    options = {"dtype": torch.float64, "output_loading_info": True}
    ids = torch.tensor([[3, 1, 3, 19], [0, 7, 5, 2]])
    model, info = AutoModel.from_pretrained(tmp_path, add_pooling_layer=False, **options)
    assert type(model) is BertModel
    assert not any(info.values())
    agree("BertEncoder.save_hf", "transformers.AutoModel", ours(ids), model(ids).last_hidden_state)
    model, info = AutoModel.from_pretrained(tmp_path, **options)
    assert set(info["missing_keys"]) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert not info["unexpected_keys"]
    agree("BertEncoder.save_hf", "transformers.AutoModel", ours(ids), model(ids).last_hidden_state)
    again = BertEncoder.from_hf(tmp_path, dtype=torch.float64)
    assert again.config == TINY
    for name, tensor in again.state_dict().items():
        same("BertEncoder, written and read", "itself", tensor, ours.state_dict()[name])


def test_embedding_by_its_parts():
    model = fill(BertEncoder(TINY))
    ids = torch.tensor([[3, 1, 3]])
    parts = model.words.weight[ids] + model.positions.weight[:3] + model.segments.weight[0]
    expected = torch.nn.functional.layer_norm(
        parts, (8,), model.norm.weight, model.norm.bias, eps=1e-12
    )
    agree("BertEncoder.embed", "torch", model.embed(ids), expected)


def test_without_weights_the_fused_kernel_is_used(monkeypatch):
    model, calls = BertEncoder(TINY), []
    plain = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **options: calls.append(1) or plain(*args, **options),
    )
    ids = torch.tensor([[3, 1, 3]])
    hidden = model(ids)
    assert len(calls) == 2
    with_weights, weights = model(ids, return_weights=True)
    assert len(calls) == 2
    assert weights.shape == (2, 1, 2, 3, 3)
    assert torch.allclose(hidden, with_weights, atol=1e-6)


# -- with the heads of pretraining ---------------------------------------------------------------


@torch.no_grad()
@each_format
def test_bert_against_transformers(dtype, tmp_path):
    model = theirs(dtype=dtype)
    ours = BERT.from_hf(saved(model, tmp_path), dtype=dtype)
    expected = model(BATCH, **THEIRS)
    oracle = "transformers.BertForPreTraining"
    logits = ours(BATCH, MASK, segments=SEGMENTS)
    agree("BERT", oracle, logits[REAL], expected.prediction_logits[REAL])
    follows = ours.next_sentence(BATCH, MASK, segments=SEGMENTS)
    agree("BERT.next_sentence", oracle, follows, expected.seq_relationship_logits)
    x = ours.encoder(BATCH, MASK, segments=SEGMENTS)  # both heads in one pass
    same("BERT.predict", "BERT", ours.predict(x), logits)
    same("BERT.compare", "BERT.next_sentence", ours.compare(x), follows)


@pytest.mark.parametrize("change", ["mask", "segments"])
def test_mask_and_segments_reach_both_heads(change):
    ours = fill(BERT(dataclasses.replace(TINY, max_length=6, n_segments=3)))
    before = ours(BATCH)[REAL], ours.next_sentence(BATCH)
    options = {"mask": MASK} if change == "mask" else {"segments": SEGMENTS}
    after = ours(BATCH, **options)[REAL], ours.next_sentence(BATCH, **options)
    for one, other in zip(before, after, strict=True):
        assert (one - other).abs().max() > 1e-3


def test_losses_and_gradients_against_transformers(tmp_path):
    """Both losses of pretraining, and what they do to the table that words and logits share."""
    model = theirs()
    ours = BERT.from_hf(saved(model, tmp_path), dtype=torch.float64)
    follows = torch.tensor([0, 1, 1])
    expected = model(BATCH, **THEIRS, labels=LABELS, next_sentence_label=follows)
    x = ours.encoder(BATCH, MASK, segments=SEGMENTS)
    logits = ours.predict(x)
    loss = cross_entropy(logits, LABELS) + cross_entropy(ours.compare(x), follows)
    oracle = "transformers.BertForPreTraining"
    agree("BERT, loss", oracle, loss, expected.loss)
    picked = LABELS != -100
    again = mlm_loss(logits, LABELS.where(picked, 0), picked)
    agree("BERT, loss", "cross_entropy", again, cross_entropy(logits, LABELS))
    loss.backward()
    expected.loss.backward()
    pairs = (
        # Their table drops the gradient that the embedding of padding, id 0, would have.
        (ours.encoder.words.weight.grad[1:], model.bert.embeddings.word_embeddings.weight.grad[1:]),
        (ours.head.bias.grad, model.cls.predictions.bias.grad),
        (ours.pooler.weight.grad, model.bert.pooler.dense.weight.grad),
        (ours.next.bias.grad, model.cls.seq_relationship.bias.grad),
    )
    for mine, other in pairs:
        agree("BERT, gradient", oracle, mine, other)


@torch.no_grad()
@each_format
def test_head_against_transformers(dtype):
    model = theirs(dtype=dtype)
    head, theirs_head = MaskedLMHead(BertConfig(20, d_model=8, eps=0.01)), model.cls.predictions
    fill(head, dtype=dtype)
    theirs_head.transform.dense.load_state_dict(head.dense.state_dict())
    theirs_head.transform.LayerNorm.load_state_dict(head.norm.state_dict())
    theirs_head.bias.copy_(head.bias)
    x = normal(2, 3, 8, dtype=dtype)
    value = head(x, model.bert.embeddings.word_embeddings.weight)
    agree("MaskedLMHead", "transformers.BertLMPredictionHead", value, theirs_head(x))


@torch.no_grad()
def test_16_bits(tmp_path):
    model = theirs(dtype=torch.float32)
    ours = BERT.from_hf(saved(model, tmp_path), dtype=torch.bfloat16)
    assert {p.dtype for p in ours.parameters()} == {torch.bfloat16}
    logits = ours(BATCH, MASK, segments=SEGMENTS)
    expected = model.bfloat16()(BATCH, **THEIRS).prediction_logits
    limit = {"tolerance": 0.1, "limit": "bfloat16"}  # each layer rounds to 8 binary digits
    oracle = "transformers.BertForPreTraining"
    agree("BERT, 16 bits", oracle, logits[REAL].float(), expected[REAL].float(), **limit)


@torch.no_grad()
def test_what_bert_writes_is_opened_by_transformers(tmp_path):
    config = dataclasses.replace(TINY, n_segments=3, eps=0.01, max_length=7, dropout=0.25)
    ours = fill(BERT(config)).eval()
    ours.save_hf(tmp_path)
    ids = BATCH[:, :5]
    for kind in (AutoModelForPreTraining, AutoModelForMaskedLM):
        model = kind.from_pretrained(tmp_path, dtype=torch.float64)
        expected = model(ids, token_type_ids=SEGMENTS[:, :5])
        logits = expected.get("prediction_logits", expected.get("logits"))
        agree("BERT.save_hf", "transformers", ours(ids, segments=SEGMENTS[:, :5]), logits)
    assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.25
    again = BERT.from_hf(tmp_path, dtype=torch.float64)
    assert again.config == dataclasses.replace(config, dropout=0.0)
    for name, tensor in again.state_dict().items():
        same("BERT, written and read", "itself", tensor, ours.state_dict()[name])


@torch.no_grad()
def test_several_files(tmp_path):
    model = theirs()
    folder = saved(model, tmp_path, max_shard_size="5KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    ours = BERT.from_hf(folder, dtype=torch.float64)
    expected = model(BATCH).prediction_logits
    agree("BERT, several files", "transformers.BertForPreTraining", ours(BATCH), expected)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "other"), [(BertEncoder, BertModel), (BERT, BertForPreTraining)])
def test_layer_by_layer(kind, other, tmp_path):
    model = theirs(other)
    ours = kind.from_hf(saved(model, tmp_path), dtype=torch.float64)
    found = diff(ours, model, BATCH)
    assert found.culprit is None
    n_others = 4 if kind is BertEncoder else 7  # embeddings and the whole; the head has three
    assert len(found.layers) == 3 * 10 + n_others
    model.get_submodule("bert" if kind is BERT else "").encoder.layer[1].output.dense.bias += 1
    encoder = "encoder." if kind is BERT else ""
    culprit = f"{encoder}blocks.1.feed_forward.layer.contract"
    same("diff", "a changed BERT", diff(ours, model, BATCH).culprit, culprit)


# -- other names, and what is refused ------------------------------------------------------------


def as_in_2018(state):
    """Call gains gamma and shifts beta, and store what is tied a second time."""
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in state.items()
    }
    table = state["bert.embeddings.word_embeddings.weight"].clone()
    return old | {
        "cls.predictions.decoder.weight": table,
        "cls.predictions.decoder.bias": state["cls.predictions.bias"].clone(),
        "bert.embeddings.position_ids": torch.arange(9)[None],
    }


@torch.no_grad()
@pytest.mark.parametrize("kind", [BERT, BertEncoder])
def test_the_names_of_2018(kind, tmp_path):
    model = theirs()
    rewrite(saved(model, tmp_path), as_in_2018)
    ours = kind.from_hf(tmp_path, dtype=torch.float64)
    found = model(BATCH, output_hidden_states=True)
    expected = found.prediction_logits if kind is BERT else found.hidden_states[-1]
    agree(f"{kind.__name__}, names of 2018", "transformers", ours(BATCH), expected)


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ],
)
def test_what_is_tied_must_be_equal(name, original, tmp_path):
    folder = saved(theirs(), tmp_path)
    rewrite(folder, lambda state: state.update({name: state[original] + 1}))
    with pytest.raises(ValueError, match=f"{name} should be {original} once more"):
        BERT.from_hf(folder)


@pytest.mark.parametrize(
    ("kind", "lacks"),
    [
        (BertForMaskedLM, r"missing tensors \(4\): bert.pooler.dense.bias; bert.pooler"),
        (BertModel, r"missing tensors \(7\): cls.predictions.bias; cls.predictions.transform"),
    ],
)
def test_a_checkpoint_without_a_head_is_no_bert(kind, lacks, tmp_path):
    with pytest.raises(ValueError, match="of BertForPreTraining: " + lacks):
        BERT.from_hf(saved(theirs(kind), tmp_path))


@pytest.mark.parametrize("kind", [BERT, BertEncoder])
@pytest.mark.parametrize(
    "field",
    [
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"add_cross_attention": True},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)
def test_configurations_out_of_reach_are_refused(kind, field, tmp_path):
    folder = saved(theirs(), tmp_path)
    config = json.loads((folder / hub.CONFIG).read_text())
    (folder / hub.CONFIG).write_text(json.dumps(config | field))
    ((name, value),) = field.items()
    with pytest.raises(ValueError, match=f"config.json .*{name} = {value!r}"):
        kind.from_hf(folder)


def test_dropout_acts_in_training_alone_and_in_three_places(tmp_path):
    ours = BERT.from_hf(saved(theirs(), tmp_path), dropout=0.5, dtype=torch.float64)
    assert torch.equal(ours(BATCH), ours(BATCH))
    ours.train()
    encoder, block = ours.encoder, ours.encoder.blocks[1]
    assert not torch.equal(encoder.embed(BATCH), encoder.embed(BATCH))
    same("BertConfig, dropout of attention", "what is set", block.attention.layer.dropout, 0.5)
    same("BertConfig, dropout of attention", "what is set", block.attention.dropout.p, 0.5)
    same("BertConfig, dropout", "what is set", block.feed_forward.dropout.p, 0.5)
    assert block.feed_forward.layer.dropout.p == 0  # theirs has none between the two maps


# -- what it begins with -------------------------------------------------------------------------


def test_bert_base_has_110_106_428_parameters():
    config = BertConfig(d_model=768, n_layers=12, d_hidden=3_072)
    with torch.device("meta"):
        model, other = BERT(config), BertForPreTraining(TheirConfig())
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parameter.numel() for parameter in other.parameters())
    same("BERT, number of weights", "transformers.BertForPreTraining", count, expected)
    assert count == 110_106_428


def test_initial_weights_are_berts():
    torch.manual_seed(0)
    model = BERT(BertConfig(vocab_size=500, d_model=128, n_layers=2, n_heads=4, d_hidden=256))
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and weight.numel() > 1_000:
            assert weight.std().item() == pytest.approx(0.02, rel=0.05), name
        elif weight.ndim == 1:
            assert (weight == (0 if name.endswith("bias") else 1)).all(), name
    ids = torch.randint(500, (8, 20))
    loss = cross_entropy(model(ids), ids.flip(1))
    assert abs(loss.item() - math.log(500)) < 0.05


# -- arguments -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["vocab_size", "d_model", "n_layers", "n_heads", "d_hidden", "max_length", "n_segments"],
)
def test_sizes_that_cannot_be(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        BertConfig(**{name: 0})


def test_heads_must_divide_the_features():
    with pytest.raises(ValueError, match="n_heads must divide d_model, got 3 and 8"):
        BERT(dataclasses.replace(TINY, n_heads=3))


def test_refuses_too_many_tokens():
    with pytest.raises(ValueError, match="ids must hold at most 5 tokens, got 6"):
        BertEncoder(TINY)(torch.zeros(1, 6, dtype=torch.int64))


def test_a_model_without_tokenizer_takes_no_text():
    with pytest.raises(ValueError, match="no tokenizer"):
        BertEncoder(TINY).attention_of("hello")


def test_segments_of_another_kind_are_refused():
    model = BertEncoder(TINY)
    for segments, error, message in (
        (torch.tensor([[0, 1, 2, 0]]), ValueError, "segments must be from 0 to 1, got 2"),
        (torch.tensor([[0, 1]]), ValueError, r"segments must have the shape of ids, \(1, 4\)"),
        (torch.zeros(1, 4), TypeError, "segments must hold whole numbers"),
    ):
        with shapes.unchecked(), pytest.raises(error, match=message):
            model(IDS, segments=segments)


def test_a_mask_of_another_shape_is_refused():
    model, ids = BertEncoder(TINY), torch.zeros(4, 4, dtype=torch.int64)
    square = torch.ones(4, 4, dtype=torch.bool)  # (B, T) could pass for (T_q, T_k)
    for mask in (padding_mask(torch.tensor([3, 2, 1]), 4), square):
        message = r"mask must have shape \(4, 1, 4\), got"
        with shapes.unchecked(), pytest.raises(ValueError, match=message):
            model(ids, mask)


@pytest.mark.parametrize(
    ("message", "ids", "options"),
    [
        ("ids must hold whole numbers, got torch.bool", torch.ones(1, 4).bool(), {}),
        ("ids must be a torch tensor, got list", [[1, 2]], {}),
        ("mask must be boolean, got torch.int64", IDS, {"mask": IDS[:, None]}),
        ("mask must be a torch tensor, got list", IDS, {"mask": [[[True] * 4]]}),
    ],
)
def test_kinds_of_arguments(message, ids, options):
    for model in (BertEncoder(TINY), BERT(TINY)):
        with shapes.unchecked(), pytest.raises(TypeError, match=message):
            model(ids, **options)


def test_ids_that_are_none_are_refused():
    for ids, message in (
        (torch.tensor([[0, -1]]), "ids must be from 0 to 19, got -1"),
        (torch.tensor([0, 1]), r"ids must be \(batch, length\), got shape \(2,\)"),
    ):
        with shapes.unchecked(), pytest.raises(ValueError, match=message):
            BertEncoder(TINY)(ids)
