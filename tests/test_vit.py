import dataclasses
import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForImageClassification,
    ViTForImageClassification,
    ViTModel,
)
from transformers import ViTConfig as TheirConfig

from companion.losses import cross_entropy
from companion.models import ViT, ViTConfig, diff, hub, patches
from tests.plugins import shapes
from tests.support import FLOATS, fill, normal
from tests.verification import agree, same

SIZES = {
    "image_size": 8,
    "patch_size": 4,
    "num_channels": 1,
    "num_labels": 5,
    "hidden_size": 8,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "layer_norm_eps": 0.01,
}
TINY = ViTConfig(
    image_size=8,
    patch_size=4,
    n_channels=1,
    n_classes=5,
    d_model=8,
    n_layers=3,
    n_heads=2,
    d_hidden=12,
    eps=0.01,
)
ORACLE = "transformers.ViTForImageClassification"
each_format = pytest.mark.parametrize("dtype", FLOATS)


def theirs(kind=ViTForImageClassification, dtype=torch.float64, **changes):
    return fill(kind(TheirConfig(**{**SIZES, **changes})), dtype=dtype).eval()


def saved(model, folder, **options):
    """Return the folder of a checkpoint that ``transformers`` wrote."""
    model.save_pretrained(folder, **options)
    return folder


def reconfigure(folder, **fields):
    config = json.loads((folder / hub.CONFIG).read_text())
    (folder / hub.CONFIG).write_text(json.dumps(config | fields))


def images(channels=1, side=8, n=3, dtype=torch.float64, seed=0):
    return normal(n, channels, side, side, dtype=dtype, seed=seed)


# -- patches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "side", "size"), [(1, 8, 2), (3, 6, 3), (2, 5, 5), (1, 4, 1)])
def test_patches_by_loops(channels, side, size):
    x = images(channels, side, n=2)
    expected = [
        [
            image[:, i : i + size, j : j + size].flatten().tolist()
            for i in range(0, side, size)
            for j in range(0, side, size)
        ]
        for image in x
    ]
    same("patches", "loops", patches(x, size), expected)


def test_patches_need_not_be_of_a_square():
    x = torch.arange(8.0).reshape(1, 1, 2, 4)
    same("patches", "by hand", patches(x, 2)[0], [[0.0, 1, 4, 5], [2.0, 3, 6, 7]])


@pytest.mark.parametrize(("channels", "size"), [(1, 2), (3, 4), (2, 8)])
def test_a_linear_map_of_patches_is_the_convolution(channels, size):
    config = dataclasses.replace(TINY, n_channels=channels, patch_size=size)
    model, x = fill(ViT(config)), images(channels)
    rows = patches(x, size) @ model.projection.weight.flatten(1).T + model.projection.bias
    after = model.projection(x).flatten(2).transpose(1, 2)
    agree("patches, projected", "companion.models.Conv2d", rows, after)
    expected = torch.cat((model.class_token.expand(3, -1, -1), rows), dim=1) + model.positions
    agree("ViT.embed", "patches", model.embed(x), expected)
    same("ViTConfig, n_patches", "patches", config.n_patches, rows.shape[1])


# -- against transformers ------------------------------------------------------------------------


@torch.no_grad()
@each_format
@pytest.mark.parametrize(
    ("channels", "side", "size"), [(1, 8, 2), (3, 8, 4), (2, 9, 3), (3, 4, 4), (1, 28, 7)]
)
def test_vit_against_transformers(channels, side, size, dtype, tmp_path):
    model = theirs(dtype=dtype, num_channels=channels, image_size=side, patch_size=size)
    ours = ViT.from_hf(saved(model, tmp_path), dtype=dtype)
    x = images(channels, side, dtype=dtype)
    expected = model(x, output_hidden_states=True)
    agree("ViT", ORACLE, ours(x), expected.logits)
    logits, weights = ours(x, return_weights=True)
    agree("ViT, with weights", ORACLE, logits, expected.logits)
    last = model.vit(x).last_hidden_state
    model.set_attn_implementation("eager")
    attentions = torch.stack(model(x, output_attentions=True).attentions)
    # Their plain attention takes its softmax in float32 whatever the model's format.
    agree("ViT, weights", ORACLE, weights, attentions, 1e-5, limit="float32")
    # Their last hidden state may have passed the final norm; the others have not.
    states = [ours.embed(x)]
    for block in ours.blocks:
        states.append(block(states[-1]))
    before = torch.stack(expected.hidden_states[:-1])
    agree("ViT, hidden states", ORACLE, torch.stack(states[:-1]), before)
    agree("ViT.embed", ORACLE, states[0], expected.hidden_states[0])
    agree("ViT, last hidden state", ORACLE, ours.norm(states[-1]), last)


@torch.no_grad()
def test_layer_by_layer(tmp_path):
    model, x = theirs(), images()
    ours = ViT.from_hf(saved(model, tmp_path), dtype=torch.float64)
    found = diff(ours, model, x)
    assert found.culprit is None
    names = {layer.name for layer in found.layers}
    assert {"", "projection", "norm", "head"} <= names
    if hasattr(model.vit, "layers"):  # since version 5
        assert len(found.layers) == 3 * 11 + 4
        model.vit.layers[1].mlp.fc2.bias += 1
        culprit = "blocks.1.feed_forward.layer.contract"
        same("diff", "a changed ViT", diff(ours, model, x).culprit, culprit)


def test_loss_and_gradients_against_transformers(tmp_path):
    model, x, labels = theirs(num_labels=5), images(), torch.tensor([4, 0, 2])
    ours = ViT.from_hf(saved(model, tmp_path), dtype=torch.float64)
    loss, expected = cross_entropy(ours(x), labels), model(x, labels=labels).loss
    agree("ViT, loss", ORACLE, loss, expected)
    loss.backward()
    expected.backward()
    embeddings = model.vit.embeddings
    pairs = (
        (ours.class_token, embeddings.cls_token),
        (ours.positions, embeddings.position_embeddings),
        (ours.projection.weight, embeddings.patch_embeddings.projection.weight),
        (ours.blocks[0].attention.layer.w_k.weight, model.vit.layers[0].attention.k_proj.weight),
        (ours.head.bias, model.classifier.bias),
    )
    for mine, other in pairs:
        agree("ViT, gradient", ORACLE, mine.grad, other.grad)


@torch.no_grad()
def test_16_bits(tmp_path):
    model = theirs(dtype=torch.bfloat16)
    ours = ViT.from_hf(saved(model, tmp_path), dtype=torch.bfloat16)
    x = images(dtype=torch.bfloat16)
    limit = {"tolerance": 0.05, "limit": "bfloat16"}  # each layer rounds to 8 binary digits
    agree("ViT, 16 bits", ORACLE, ours(x).float(), model(x).logits.float(), **limit)


@torch.no_grad()
def test_what_vit_writes_is_opened_by_transformers(tmp_path):
    config = dataclasses.replace(TINY, n_channels=3, d_hidden=None, dropout=0.25)
    ours, x = fill(ViT(config)).eval(), images(3)
    ours.save_hf(tmp_path)
    options = {"dtype": torch.float64, "output_loading_info": True}
    model, info = AutoModelForImageClassification.from_pretrained(tmp_path, **options)
    assert type(model) is ViTForImageClassification
    assert not any(info.values())
    agree("ViT.save_hf", "transformers.AutoModel", ours(x), model(x).logits)
    assert model.config.hidden_dropout_prob == model.config.attention_probs_dropout_prob == 0.25
    labels = model.config.id2label
    assert model.config.label2id == {label: i for i, label in labels.items()}
    assert list(labels) == list(range(5))
    base = AutoModel.from_pretrained(tmp_path, dtype=torch.float64, add_pooling_layer=False)
    assert type(base) is ViTModel
    logits = ours.head(base(x).last_hidden_state[:, 0])
    agree("ViT.save_hf", "transformers.AutoModel", ours(x), logits)
    again = ViT.from_hf(tmp_path, dtype=torch.float64)
    assert again.config == dataclasses.replace(config, d_hidden=32, dropout=0.0)
    for name, tensor in again.state_dict().items():
        same("ViT, written and read", "itself", tensor, ours.state_dict()[name])


@torch.no_grad()
def test_several_files(tmp_path):
    model = theirs()
    folder = saved(model, tmp_path, max_shard_size="5KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    ours, x = ViT.from_hf(folder, dtype=torch.float64), images()
    agree("ViT, several files", ORACLE, ours(x), model(x).logits)


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 2, 3])
def test_any_number_of_classes(n, tmp_path):
    """Two are the default of ``transformers``."""
    model = theirs(num_labels=n)
    ours = ViT.from_hf(saved(model, tmp_path), dtype=torch.float64)
    assert ours.config.n_classes == n
    agree("ViT", ORACLE, ours(images()), model(images()).logits)


@torch.no_grad()
def test_what_classifies_nothing_is_left_out_or_refused(tmp_path):
    """The pooler and the token of masks are not used; a model without a head is no whole one."""
    model = theirs()
    folder = saved(model, tmp_path / "a")
    state = load_file(folder / hub.WEIGHTS)
    more = {"vit.pooler.dense.weight": torch.ones(8, 8), "vit.embeddings.mask_token": torch.ones(1)}
    save_file(state | more, folder / hub.WEIGHTS, metadata={"format": "pt"})
    ours = ViT.from_hf(folder, dtype=torch.float64)
    agree("ViT", ORACLE, ours(images()), model(images()).logits)
    with pytest.raises(ValueError, match=r"missing tensors \(2\): classifier\.bias; class"):
        ViT.from_hf(saved(theirs(ViTModel), tmp_path / "b"))


# -- configurations ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        ("hidden_act = 'relu'", {"hidden_act": "relu"}),
        ("qkv_bias = False", {"qkv_bias": False}),
        (r"image_size = \[8, 12\]; only squares are here", {"image_size": [8, 12]}),
        (r"patch_size = \[4, 2\]; only squares are here", {"patch_size": [4, 2]}),
        ("patch_size must divide image_size, got 4 and 9", {"image_size": 9}),
        ("type 'beit', and this class reads 'vit'", {"model_type": "beit"}),
        (r"wrong shape \(2\)", {"id2label": {"0": "cat"}}),
    ],
)
def test_configurations_out_of_reach_are_refused(message, fields, tmp_path):
    folder = saved(theirs(), tmp_path)
    reconfigure(folder, **fields)
    with pytest.raises(ValueError, match=message):
        ViT.from_hf(folder)


def test_a_square_may_be_given_by_two_sides(tmp_path):
    folder = saved(theirs(), tmp_path)
    reconfigure(folder, image_size=[8, 8], patch_size=[4, 4])
    assert ViT.from_hf(folder).config == TINY


def test_vit_b_16_has_86_567_656_parameters():
    with torch.device("meta"):
        model, other = ViT(ViTConfig()), ViTForImageClassification(TheirConfig(num_labels=1_000))
    count = sum(parameter.numel() for parameter in model.parameters())
    expected = sum(parameter.numel() for parameter in other.parameters())
    same("ViTConfig, number of weights", "transformers.ViTConfig", count, expected)
    assert count == 86_567_656


def test_dropout_acts_in_training_alone_and_in_three_places(tmp_path):
    ours = ViT.from_hf(saved(theirs(), tmp_path), dropout=0.5, dtype=torch.float64)
    x = images()
    assert torch.equal(ours(x), ours(x))
    ours.train()
    assert not torch.equal(ours.embed(x), ours.embed(x))
    block = ours.blocks[1]
    places = (
        block.attention.layer.dropout,
        block.attention.dropout.p,
        block.feed_forward.dropout.p,
    )
    same("ViTConfig, dropout", "what is set", places, (0.5, 0.5, 0.5))


# -- what it begins with, and what it learns -----------------------------------------------------


def test_initial_weights():
    """At first every class is equally likely, and positions are as large as patches."""
    torch.manual_seed(0)
    model = ViT(dataclasses.replace(TINY, d_model=128, d_hidden=256, image_size=32, patch_size=4))
    loss = cross_entropy(model(images(side=32, dtype=torch.float32)), torch.tensor([0, 1, 2]))
    assert loss.item() == pytest.approx(math.log(5), abs=1e-6)
    block = model.blocks[0]
    stds = {
        math.sqrt(2 / 256): block.attention.layer.w_q.weight,  # Glorot's: 2 / (128 + 128)
        math.sqrt(2 / 384): block.feed_forward.layer.expand.weight,
        math.sqrt(1 / 16): model.projection.weight,
        1: model.positions,
    }
    for std, weight in stds.items():
        assert weight.std().item() == pytest.approx(std, rel=0.05)
    biases = [weight for name, weight in model.named_parameters() if name.endswith("bias")]
    assert all((bias == 0).all() for bias in biases)
    x = normal(100, 1, 32, 32, dtype=torch.float32)
    assert model.projection(x).std().item() == pytest.approx(1, rel=0.05)


def test_without_weights_the_fused_kernel_is_used(monkeypatch):
    model, calls = ViT(TINY), []
    plain = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **options: calls.append(1) or plain(*args, **options),
    )
    x = images(dtype=torch.float32)
    model(x)
    assert len(calls) == 3
    assert model(x, return_weights=True)[1].shape == (3, 3, 2, 5, 5)
    assert len(calls) == 3


def test_it_learns_where_things_are():
    """Images of one bright patch, whose class is its place: only positions can tell."""
    torch.manual_seed(0)
    model = ViT(dataclasses.replace(TINY, n_classes=4, d_model=16, n_layers=1, eps=1e-12))
    places = torch.arange(4)
    x = torch.zeros(4, 1, 2, 4, 2, 4)
    x[places, 0, places // 2, :, places % 2] = 1
    x = x.reshape(4, 1, 8, 8)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(40):
        optimiser.zero_grad()
        loss = cross_entropy(model(x), places)
        loss.backward()
        optimiser.step()
    assert loss < 0.1
    with torch.no_grad():
        model.positions.zero_()
        logits = model(x)
    assert torch.allclose(logits, logits[:1].expand(4, -1), atol=1e-5)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            ValueError,
            r"images must have shape \(batch, 1, 8, 8\), got \(3, 1, 9, 9\)",
            lambda: ViT(TINY)(images(side=9)),
        ),
        (ValueError, "images must have shape", lambda: ViT(TINY)(images(channels=3))),
        (ValueError, "images must have shape", lambda: ViT(TINY)(images()[0])),
        (TypeError, "images must hold floating-point", lambda: ViT(TINY)(images().byte())),
        (TypeError, "images must be a torch tensor", lambda: ViT(TINY)([[1.0]])),
        (ValueError, "patch_size must divide image_size", lambda: ViTConfig(image_size=100)),
        (ValueError, "n_classes must be at least 1", lambda: ViTConfig(n_classes=0)),
        (ValueError, "n_channels must be at least 1", lambda: ViTConfig(n_channels=0)),
        (ValueError, "patch_size must be at least 1", lambda: ViTConfig(patch_size=0)),
        (ValueError, "n_heads must divide", lambda: ViT(dataclasses.replace(TINY, n_heads=3))),
        (ValueError, r"with sides that 3 divides, got shape", lambda: patches(images(), 3)),
        (ValueError, r"images must be \(batch, channels", lambda: patches(images()[0], 2)),
        (ValueError, "size must be at least 1", lambda: patches(images(), 0)),
        (TypeError, "images must hold floating-point", lambda: patches(images().byte(), 2)),
    ],
)
def test_errors_name_the_argument(error, message, call):
    with shapes.unchecked(), pytest.raises(error, match=message):
        call()
