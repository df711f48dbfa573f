"""What is added to a model is trained by `companion.training`, and nothing else is."""

import pytest
import torch

from companion import training
from companion.finetuning import (
    PrefixTuning,
    PromptTuning,
    SequenceClassifier,
    Trunk,
    add_adapters,
    add_lora,
    groups_by_layer,
    lora_state,
    quantise_linears,
    train_last,
)
from companion.optim import AdamW
from tests.finetuning.support import copy_of, ids, model, trained
from tests.training.support import settings, timeless
from tests.verification import same


def batches(i):
    """Return a micro-batch of texts that count upwards, which random weights cannot do."""
    rows = (ids(4, 1, seed=i) + torch.arange(9)) % 17
    return rows[:, :-1], rows[:, 1:]


class Killed(Exception):
    pass


def killed(i):
    if i == 3:
        raise Killed
    return batches(i)


def lora_on_4_bits(one):
    quantise_linears(one)
    return add_lora(one, ["w_q", "w_v", "w_down"], 4, dropout=0.2)


def last_block(one):
    train_last(one, 1)
    return one


WAYS = {
    "LoRA": lambda one: add_lora(one, rank=4, dropout=0.2),
    "LoRA on 4 bits": lora_on_4_bits,
    "adapters": lambda one: add_adapters(one, 4),
    "prompts": lambda one: PromptTuning(one, 4),
    "prefixes": lambda one: PrefixTuning(one, 4),
    "the last block": last_block,
}


def made(way, seed=0):
    torch.manual_seed(seed)
    return WAYS[way](model("Llama", torch.float32))


@pytest.mark.parametrize("way", WAYS)
def test_an_interrupted_run_goes_on_and_the_rest_stays(tmp_path, way):
    options = {"steps": 12, "lr": 0.03, "checkpoint_every": 2}
    one = made(way)
    before, names = copy_of(one), trained(one)
    history = training.train(one, batches, settings(**options, folder=str(tmp_path / "whole")))
    moved = [name for name, x in copy_of(one).items() if not torch.equal(x, before[name])]
    assert moved == [name for name in before if name in names]
    assert history[-1]["loss"] < history[0]["loss"] - 0.03
    config = settings(**options, folder=str(tmp_path / "killed"))
    with pytest.raises(Killed):
        training.train(made(way), killed, config)
    again = made(way, seed=7)
    found = training.train(again, batches, config)
    same("train, resumed", f"{way}, not interrupted", timeless(found), timeless(history))
    after = copy_of(one)
    assert all(torch.equal(x, after[name]) for name, x in copy_of(again).items())


def test_a_head_beside_lora():
    """The encoder gets the changes; the head stands outside, and is trained as a whole."""
    one = SequenceClassifier(Trunk(model("GPT", torch.float32)), 2)
    add_lora(one.encoder, ["w_q", "w_v"], 4)
    assert [name for name in trained(one) if "lora_" not in name] == ["head.weight", "head.bias"]
    assert len(lora_state(one)) == 8
    some, labels = ids(32, 5), (ids(32, 5)[:, 0] > 8).long()
    optimizer = AdamW([p for p in one.parameters() if p.requires_grad], lr=0.03)
    losses = []
    for _ in range(60):
        losses.append(float(one.loss(some, labels).detach()))
        optimizer.zero_grad()
        one.loss(some, labels).backward()
        optimizer.step()
    assert losses[-1] < 0.3 < 0.6 < losses[0]


def test_rates_by_layer_are_followed():
    one = model("GPT", torch.float32)
    optimizer = AdamW(groups_by_layer(one, lr=0.01, decay=0.5))
    training.train(one, batches, settings(steps=4, schedule="constant"), optimizer=optimizer)
    found = [group["initial_lr"] for group in optimizer.param_groups]
    same("groups_by_layer, in a run", "by hand", found, [0.00125, 0.0025, 0.005, 0.01])
