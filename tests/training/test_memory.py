"""Out of memory: what did not fit and what to reduce."""

import gc
import weakref

import pytest
import torch

from companion import training
from companion.training import memory
from tests.training.support import noisy, points, settings

ERRORS = {
    "CPU": RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 TB"),
    "Windows": RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8 TB"),
    "MPS": RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
    "CUDA": getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)("CUDA"),
}


@pytest.mark.verifies("OutOfMemory", "says what did not fit and what to reduce")
@pytest.mark.verifies("explained", "tells being out of memory from other errors")
@pytest.mark.parametrize("name", ERRORS)
def test_the_message_says_what_to_reduce(name):
    class Large(type(noisy())):
        def forward(self, x):
            raise ERRORS[name]

    config = settings(accumulate=4)
    with pytest.raises(training.OutOfMemory) as caught:
        training.train(Large(), points, config)
    message = str(caught.value)
    assert "a micro-batch of shape (5, 4), (5) does not fit" in message.replace("(5,)", "(5)")
    assert "accumulate=4 and precision='float32'" in message
    assert "Halve the batch and set accumulate=8: it is the same step" in message
    assert "try precision='bfloat16'" in message
    assert isinstance(caught.value, MemoryError)


@pytest.mark.parametrize("name", ERRORS)
def test_an_evaluation_says_so_as_well(name):
    """By itself, and in training, where the steps were not too large."""

    class LargeWithoutGradients(type(noisy())):
        def forward(self, x):
            if not self.training:
                raise ERRORS[name]
            return super().forward(x)

    config = settings(accumulate=4, evaluate_every=1)
    for call in (
        lambda model: training.evaluate(model, [points(0)]),
        lambda model: training.train(model, points, config, held_out=[points(0)]),
    ):
        with pytest.raises(training.OutOfMemory) as caught:
            call(LargeWithoutGradients())
        message = str(caught.value)
        assert "a held-out batch of shape (5, 4), (5,) does not fit into memory" in message
        assert "precision='float32'. Evaluate smaller batches: the mean over all" in message


def test_a_real_allocator_is_understood():
    with pytest.raises(training.OutOfMemory), memory.explained({"x": torch.ones(2)}, 1, "bfloat16"):
        torch.empty(2**46, dtype=torch.float64)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        training.train(noisy(), [(torch.ones(2, 9), torch.zeros(2).long())], settings())


def test_what_the_step_held_is_let_go():
    class Thing:
        pass

    kept = []

    def step():
        thing = Thing()
        kept.append(weakref.ref(thing))
        raise ERRORS["CUDA"]

    with pytest.raises(training.OutOfMemory) as caught, memory.explained(torch.ones(1), 1, "x"):
        step()
    gc.collect()
    assert kept[0]() is None
    assert caught.value.__cause__ is ERRORS["CUDA"]
