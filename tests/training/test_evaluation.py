"""Evaluation: a mean over targets, in the right mode, without a trace."""

import pytest
import torch
from torch.nn import functional as F

from companion import training
from companion.training import evaluation, processes, rows
from tests.training.support import IGNORE, gpt, joined, noisy, points, ragged
from tests.verification import agree


def test_it_is_a_mean_over_targets_and_not_over_batches():
    model, numbers = gpt(dtype=torch.float64), range(5)
    ours = training.evaluate(model, [ragged(i) for i in numbers])["loss"]
    inputs, targets = joined(numbers)
    expected = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
    agree("evaluate", "torch, one large batch", ours, expected)
    means = [training.evaluate(model, [ragged(i)])["loss"] for i in numbers]
    assert abs(sum(means) / 5 - ours) > 1e-3


@pytest.mark.verifies("modes", "what was in which mode")
@pytest.mark.verifies("set_modes", "each part is again in its own mode")
def test_each_part_is_afterwards_in_the_mode_that_it_was_in():
    model = noisy().train()
    model.head.eval()  # as a part that is frozen
    before = evaluation.modes(model)
    state = torch.get_rng_state()
    first, second = (training.evaluate(model, [points(0)]) for _ in "ab")
    assert first == second  # nothing was dropped
    assert evaluation.modes(model) == before
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(RuntimeError):
        training.evaluate(model, [(torch.ones(2, 9), torch.zeros(2).long())])
    assert evaluation.modes(model) == before
    assert evaluation.modes(len) == []


class Masking(training.TokenLoss):
    def __call__(self, model, batch):
        self.drawn.append(float(torch.rand(())))
        return super().__call__(model, batch)


def test_what_an_objective_draws_is_the_same_in_each_evaluation():
    objective = Masking()
    objective.drawn, model = [], noisy()
    for seed in (1, 2):
        torch.manual_seed(seed)
        training.evaluate(model, [points(0), points(1)], objective)
    first, second = objective.drawn[:2], objective.drawn[2:]
    assert first == second
    assert first[0] != first[1]


def test_an_epoch_can_be_evaluated():
    data = points(1)
    epochs = training.Epochs(data, batch_size=2)
    model = noisy()
    whole = training.evaluate(model, [data])["loss"]
    agree("evaluate, epochs", "one batch", training.evaluate(model, epochs)["loss"], whole, 1e-6)


def test_without_targets_there_is_no_mean():
    x, labels = points(0)
    with pytest.raises(ValueError, match="no target to evaluate"):
        training.evaluate(noisy(), [(x, labels.fill_(IGNORE))])
    with pytest.raises(ValueError, match="no target to evaluate"):
        training.evaluate(noisy(), [])


@pytest.mark.verifies("World", "one process is the whole world")
@pytest.mark.verifies("world", "one process is the whole world")
@pytest.mark.verifies("shard", "one process has all rows")
@pytest.mark.verifies("sum_over_processes", "one process has all numbers")
def test_one_process_is_the_whole_world():
    assert processes.world() == processes.World(rank=0, size=1)
    batch = points(0)
    assert rows.shard(batch) is batch
    assert processes.sum_over_processes({"loss": 3}) == {"loss": 3}
