"""How a model is spread over processes; what several of them compute is in test_processes.py."""

import importlib

import pytest
import torch
from torch import nn

from companion import optim, training
from companion.training import processes, wrapping
from tests.training.support import as_process, noisy, points, weights


@pytest.mark.verifies("kind_of", "one process has all of the model")
@pytest.mark.verifies("require_sharding", "says which PyTorch is needed")
def test_how_a_model_is_spread(monkeypatch):
    assert [wrapping.kind_of(kind) for kind in ("auto", "none", "fsdp")] == ["none"] * 3
    as_process(monkeypatch, wrapping, 0, 2)
    assert [wrapping.kind_of(kind) for kind in ("auto", "ddp", "fsdp")] == ["ddp", "ddp", "fsdp"]
    monkeypatch.delattr(importlib.import_module("torch.distributed.fsdp"), "fully_shard")
    with pytest.raises(ValueError, match=r"needs PyTorch 2\.6 or newer"):
        wrapping.kind_of("fsdp")


@pytest.mark.verifies("exchanging_last", "waits with the exchange until the last micro-batch")
@pytest.mark.verifies("gathered", "one process has what it has")
def test_one_process_exchanges_nothing():
    assert list(wrapping.exchanging_last(noisy(), "abc")) == list("abc")
    assert processes.gathered(3) == [3]
    assert not processes.any_process(False)
    assert processes.any_process(True)


def test_a_model_that_exchanges_nothing_is_refused_where_there_are_several(monkeypatch):
    as_process(monkeypatch, wrapping, 0, 2)
    model = noisy()
    before = weights(model).clone()
    optimizer = optim.SGD(list(model.parameters()), lr=0.1)
    with pytest.raises(ValueError, match="model must be in DistributedDataParallel, or of fully"):
        training.train_step(model, [points(0)], training.TokenLoss(), [optimizer])
    assert torch.equal(weights(model), before)


def test_blocks_that_share_a_parameter_stay_together():
    model = noisy()
    assert wrapping._blocks(model) == list(model.blocks)
    model.blocks[1].weight = model.blocks[0].weight
    assert wrapping._blocks(model) == []
    model.blocks[1].weight = model.head.weight
    assert wrapping._blocks(model) == [model.blocks[0]]
    model.blocks.append(nn.ModuleList([nn.Linear(1, 1)]))
    model.blocks.append(nn.ReLU())
    assert wrapping._blocks(model) == [model.blocks[0]]
