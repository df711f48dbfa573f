"""What a chapter trains on a GPU fits into the 12 GB that it may take of a T4."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from benchmarks.attention_recall import chapter_code
from companion import device

ROOM = 12e9


@pytest.mark.chapter("attention")
def test_the_recall_model_of_attention_fits():
    """Tensors take the same room on a CPU, where every allocation can be followed."""
    code = chapter_code()
    settings = code["Settings"].for_device(SimpleNamespace(type="cuda"))
    assert settings.batch > code["Settings"]().batch
    train, where = code["train_recall"], torch.device("cpu")
    few = replace(settings, steps=2)
    assert device.peak_bytes(lambda: train(few, 2, 0, where)) < ROOM
    fewer = replace(few, batch=settings.batch // 2)
    assert device.peak_bytes(lambda: train(fewer, 2, 0, where)) < 0.75 * device.peak_bytes(
        lambda: train(few, 2, 0, where)
    )
