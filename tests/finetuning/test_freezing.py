import numpy as np
import pytest
import torch
from torch import nn

from companion.finetuning import (
    NF4Linear,
    ParameterCount,
    SequenceClassifier,
    count_trainable,
    freeze,
    groups_by_layer,
    hold_statistics,
    train_last,
    unfreeze,
)
from companion.layers import MLP, Linear
from companion.models import T5, BertConfig, BertEncoder, T5Config, count_parameters
from companion.optim import AdamW
from companion.reference import finetuning as twin
from tests.finetuning.support import ids, model, trained
from tests.plugins import shapes
from tests.verification import agree, same


def classifier():
    sizes = {"vocab_size": 17, "d_model": 16, "n_layers": 3, "n_heads": 4, "d_hidden": 24}
    return SequenceClassifier(BertEncoder(BertConfig(**sizes)), 2)


def names(model, *starts):
    return [name for name, _ in model.named_parameters() if name.startswith(starts)]


# -- by names ------------------------------------------------------------------------------------


def test_freezing_by_patterns():
    one = model()
    found = freeze(one, ["tokens.*", "blocks.0.*"])
    same("freeze", "by hand", found, names(one, "tokens.", "blocks.0."))
    same("freeze, the rest", "by hand", trained(one), names(one, "blocks.1.", "norm."))
    found = unfreeze(one, ["*.w_q.weight"])
    same("unfreeze", "by hand", found, [n for n in names(one, "") if n.endswith("w_q.weight")])
    assert "blocks.0.attention.layer.w_q.weight" in trained(one)
    assert freeze(one) == names(one, "")
    assert trained(one) == []
    assert unfreeze(one) == trained(one)


def test_what_is_frozen_stays():
    one = model()
    freeze(one, ["blocks.0.*"])
    before = {name: p.clone() for name, p in one.named_parameters()}
    one(ids(2, 5)).square().mean().backward()
    torch.optim.SGD([p for p in one.parameters() if p.requires_grad], lr=0.1).step()
    moved = [name for name, p in one.named_parameters() if not torch.equal(p, before[name])]
    assert moved == trained(one) == names(one, "tokens.", "blocks.1.", "norm.")


@pytest.mark.parametrize("change", [freeze, unfreeze])
def test_patterns_that_fit_nothing(change):
    one = model()
    freeze(one, ["norm.*"])
    before = trained(one)
    with pytest.raises(ValueError, match=r"none fits 'block\.\*'"):
        change(one, ["tokens.*", "norm.*", "block.*"])
    with shapes.unchecked():
        with pytest.raises(TypeError, match="patterns must be a list of texts, got one text"):
            change(one, "tokens.*")
        with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module"):
            change(3)
    assert trained(one) == before


# -- by layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 3])
def test_the_last_blocks(n):
    one = classifier()
    expected = names(one, "head.", *(f"encoder.blocks.{i}." for i in range(3 - n, 3)))
    same("train_last", "by hand", train_last(one, n), expected)
    assert trained(one) == expected
    also = names(one, "encoder.norm.")
    found = train_last(one, n, also=["encoder.norm.*"])
    same("train_last, and more", "by hand", found, also + expected)


def test_the_last_blocks_of_one_list():
    config = T5Config(vocab_size=9, d_model=8, n_layers=2, n_heads=2, d_head=4, d_hidden=8)
    one = T5(config)
    with pytest.raises(
        ValueError, match=r"names it; it has \['encoder.blocks', 'decoder.blocks'\]"
    ):
        train_last(one, 1)
    found = train_last(one, 1, blocks="decoder.blocks")
    same("train_last, decoder", "by hand", found, names(one, "decoder.blocks.1.", "decoder.norm."))
    with pytest.raises(ValueError, match=r"blocks must be one of .*, got 'decoder'"):
        train_last(one, 1, blocks="decoder")


def test_wrong_numbers_of_blocks():
    one = classifier()
    for error, message, call in (
        (ValueError, "n must be at most 3, got 4", lambda: train_last(one, 4)),
        (ValueError, "n must be at least 0", lambda: train_last(one, -1)),
        (ValueError, "none fits 'x'", lambda: train_last(one, 1, also=["x"])),
        (ValueError, "model must have one list of blocks", lambda: train_last(Linear(2, 2), 0)),
    ):
        with pytest.raises(error, match=message):
            call()
    assert trained(one) == names(one, "")


def test_rates_by_layer():
    one = classifier()
    groups = groups_by_layer(one, lr=0.8, decay=0.5)
    expected = [twin.layer_rate(0.8, 0.5, 3, layer) for layer in range(5)]
    found = np.array([group["lr"] for group in groups])
    agree("groups_by_layer", "NumPy twin", found, expected)
    agree("twin: layer_rate", "by hand", np.array(expected), [0.05, 0.1, 0.2, 0.4, 0.8])
    place = {id(p): i for i, g in enumerate(groups) for p in g["params"]}
    found = [place[id(p)] for p in one.parameters()]
    by_hand = [
        4 if name.startswith("head") else 1 + int(name.split(".")[2]) if ".blocks." in name else 0
        for name, _ in one.named_parameters()
    ]
    same("groups_by_layer, places", "by hand", found, by_hand)
    for optimizer in (AdamW(groups), torch.optim.AdamW(groups)):
        assert [g["lr"] for g in optimizer.param_groups] == [g["lr"] for g in groups]


def test_rates_leave_out_what_is_frozen():
    one = classifier()
    train_last(one, 1)
    groups = groups_by_layer(one, lr=1.0, decay=0.5)
    same("groups_by_layer, frozen", "by hand", [g["lr"] for g in groups], [0.5, 1.0])
    freeze(one)
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        groups_by_layer(one, lr=1.0, decay=0.5)
    for lr, decay, message in (
        (0.0, 0.5, "lr must be"),
        (1.0, 0.0, "decay must be above 0"),
        (1.0, 1.5, "decay must be above 0 and at most 1, got 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            groups_by_layer(one, lr, decay)


# -- statistics ----------------------------------------------------------------------------------


def test_frozen_layers_of_batch_normalisation_still_move():
    """Unless they are held; those that are trained go on."""
    one = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 3), nn.BatchNorm1d(3))
    freeze(one, ["0.*"])
    x = torch.randn(8, 3) + 5
    one.train()(x)
    assert one[0].running_mean.abs().max() > 0.1
    before = one[0].running_mean.clone()
    same("hold_statistics", "by hand", hold_statistics(one.train()), ["0"])
    later = one[2].running_mean.clone()
    one(x)
    same("hold_statistics, means", "before", one[0].running_mean, before)
    assert not torch.equal(one[2].running_mean, later)
    plain = nn.BatchNorm1d(3).eval()
    plain.load_state_dict(one[0].state_dict())
    same("hold_statistics, output", "torch in evaluation mode", one[0](x), plain(x))


def test_batch_normalisation_without_parameters_is_held():
    assert hold_statistics(nn.Sequential(nn.BatchNorm2d(3, affine=False))) == ["0"]


# -- counting ------------------------------------------------------------------------------------


def test_counts():
    one = classifier()
    train_last(one, 0)
    found = count_trainable(one)
    same("count_trainable", "count_parameters", found.total, count_parameters(one))
    same("count_trainable, head", "by hand", found.trainable, 16 * 2 + 2)
    same("ParameterCount.share", "by hand", found.share, 34 / found.total)
    assert found.bytes == 4 * found.total
    assert ParameterCount(0, 0, 0).share == 0.0


def test_what_is_in_two_places_counts_once():
    shared = MLP((3, 3))
    assert count_trainable(nn.ModuleList([shared, shared])).total == 12


def test_weights_of_4_bits_are_counted():
    kept = NF4Linear(Linear(64, 256, bias=False))
    found = count_trainable(kept)
    same("count_trainable, 4 bits", "by hand", (found.trainable, found.total), (0, 64 * 256))
    assert found.bytes == 64 * 256 / 2 + 256 + 4 + 4
