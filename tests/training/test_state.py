"""A run that was interrupted goes on bit for bit as if it had not been."""

import dataclasses
import random
import re

import numpy as np
import pytest
import torch

from companion import training
from companion.training import state
from tests.training.support import (
    equal_state,
    gpt,
    noisy,
    points,
    ragged,
    settings,
    timeless,
    weights,
)
from tests.verification import same

# Dropout, both optimisers, warm-up and cosine, three micro-batches a step.
RUN = {"steps": 5, "accumulate": 3, "warmup": 2, "optimizer": "muon", "checkpoint_every": 1}
KINDS = {"GPT": (lambda seed: gpt(seed, dropout=0.2), ragged), "Noisy": (noisy, points)}


class Killed(Exception):
    pass


def killed_at(batches, place):
    def until(i):
        if i == place:
            raise Killed
        return batches(i)

    return until


def final(folder):
    """Return all that a run left behind, but what a clock has measured."""
    content = training.read_checkpoint(training.latest(folder))
    history, best = content.pop("history"), content.pop("best")
    del content["config"]
    return {**content, "history": timeless(history), "best": best and timeless([best])}


def trained(name, folder, place=None, seed=0, **changes):
    """Train to the end, or until micro-batch number ``place`` is asked for."""
    make, batches = KINDS[name]
    model, config = make(seed), settings(**{**RUN, **changes}, folder=str(folder))
    source = batches if place is None else killed_at(batches, place)
    return model, training.train(model, source, config, held_out=[batches(99)])


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("name", KINDS)
def test_a_run_goes_on_wherever_it_was_killed(tmp_path, name, every):
    """At each micro-batch, so also in the middle of an accumulation; the new model is another."""
    changes = {"checkpoint_every": every, "evaluate_every": 2}
    model, history = trained(name, tmp_path / "whole", **changes)
    expected = final(tmp_path / "whole")
    for place in range(1, 15, 2 if name == "GPT" else 1):
        folder = tmp_path / str(place)
        with pytest.raises(Killed):
            trained(name, folder, place, **changes)
        for module in (torch.manual_seed, random.seed, np.random.seed):
            module(place)
        # What was never saved has to begin as it began.
        seed = 0 if training.latest(folder) is None else 7
        again, found = trained(name, folder, seed=seed, **changes)
        same("train, resumed", "a run that was not interrupted", timeless(found), timeless(history))
        assert torch.equal(weights(again), weights(model))
        assert equal_state(final(folder), expected)


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="this PyTorch has none for a CPU")
@pytest.mark.parametrize("place", [2, 8])
def test_the_scale_of_the_loss_goes_on_as_well(tmp_path, place):
    whole, history = trained("Noisy", tmp_path / "whole", precision="float16")
    with pytest.raises(Killed):
        trained("Noisy", tmp_path / "part", place, precision="float16")
    again, found = trained("Noisy", tmp_path / "part", precision="float16")
    same("train, resumed", "a run that was not interrupted", timeless(found), timeless(history))
    assert torch.equal(weights(again), weights(whole))
    assert equal_state(final(tmp_path / "part"), final(tmp_path / "whole"))


def test_dropout_would_differ_without_the_random_state(tmp_path, monkeypatch):
    whole, _ = trained("Noisy", tmp_path / "whole")
    with pytest.raises(Killed):
        trained("Noisy", tmp_path / "part", place=8)
    monkeypatch.setattr(state, "_set_random_state", lambda saved: None)
    again, _ = trained("Noisy", tmp_path / "part")
    assert not torch.equal(weights(again), weights(whole))


def test_python_and_numpy_go_on_where_they_were():
    model = noisy()
    scaler = training.MixedPrecision("cpu", "float32").scaler
    content = state.captured(model, [], scaler)
    drawn = [(random.random(), np.random.rand(), np.random.randn(), torch.rand(1)) for _ in "ab"]
    state.restored(content, model, [], scaler)
    again = [(random.random(), np.random.rand(), np.random.randn(), torch.rand(1)) for _ in "ab"]
    same("restored, random numbers", "captured", again, drawn)


@pytest.mark.parametrize("place", [1, 4, 5, 6, 9, 11])
def test_an_iterable_is_skipped_ahead_by_counting(tmp_path, place):
    """A ``DataLoader`` draws from PyTorch's generator when it begins; that counts once."""
    rows = torch.utils.data.TensorDataset(
        *(torch.cat(x) for x in zip(points(0), points(3), strict=True))
    )
    loader = torch.utils.data.DataLoader(rows, batch_size=2)  # 5 batches, 12 are needed
    config = settings(**{**RUN, "steps": 4}, folder=str(tmp_path / "whole"))
    model = noisy()
    training.train(model, loader, config)
    parts = settings(**{**RUN, "steps": 4}, folder=str(tmp_path / "part"))

    class Breaking:
        def __iter__(self):
            for batch in loader:
                if not left:
                    raise Killed
                left.pop()
                yield batch

    left = [None] * place
    with pytest.raises(Killed):
        training.train(noisy(), Breaking(), parts)
    again = noisy()
    training.train(again, loader, parts)
    same("Repeated, resumed", "a run that was not interrupted", weights(again), weights(model))


def test_more_steps_may_be_asked_for(tmp_path):
    config = settings(steps=3, schedule="constant", folder=str(tmp_path))
    training.train(noisy(), points, config)
    again, whole = noisy(), noisy()
    history = training.train(again, points, settings(**{**changed(config), "steps": 6}))
    training.train(whole, points, settings(steps=6, schedule="constant"))
    assert len(history) == 6
    same("train, more steps", "a run that was not interrupted", weights(again), weights(whole))


def changed(config, **changes):
    return {**dataclasses.asdict(config), **changes}


def test_a_run_that_is_done_is_not_run_again(tmp_path):
    config = settings(folder=str(tmp_path))
    model = noisy()
    history = training.train(model, points, config)
    other = noisy(1)
    again = training.train(other, killed_at(points, 0), config)
    assert again.records == history.records
    assert torch.equal(weights(other), weights(model))


@pytest.mark.verifies("require_same_config", "names the settings that differ, and no other")
def test_other_settings_are_refused_by_name(tmp_path):
    config = settings(folder=str(tmp_path))
    training.train(noisy(), points, config)
    for changes, complaint in [
        ({"lr": 0.5}, "lr 0.01 there and 0.5 here. Take"),
        ({"seed": 3, "betas": (0.9, 0.99)}, "betas (0.9, 0.95) there and (0.9, 0.99) here, seed"),
        ({"steps": 2}, "steps 6 there and 2 here"),
    ]:
        model = noisy(1)
        before = weights(model).clone()
        with pytest.raises(ValueError, match=re.escape(complaint)):
            training.train(model, points, settings(**changed(config, **changes)))
        assert torch.equal(weights(model), before)
    free = changed(config, keep=5, checkpoint_every=7, compile="auto")
    assert len(training.train(noisy(), points, settings(**free))) == 6


@pytest.mark.verifies("require_same_model", "names the tensors that differ")
def test_another_model_is_refused_by_its_tensors(tmp_path):
    training.train(noisy(), points, settings(folder=str(tmp_path)))
    other = noisy(1)
    other.head = torch.nn.Linear(4, 5)
    other.blocks.append(torch.nn.Linear(4, 4))
    del other.blocks[0]
    other.extra = torch.nn.Linear(1, 1, bias=False)
    before = weights(other).clone()
    with pytest.raises(ValueError, match="of another model") as caught:
        training.train(other, points, settings(folder=str(tmp_path)))
    message = str(caught.value)
    assert "it lacks extra.weight;" in message
    assert "head.weight has shape (3, 4) there and (5, 4) here" in message
    assert torch.equal(weights(other), before)
    with pytest.raises(ValueError, match="it has besides blocks"):
        state.require_same_model(noisy().state_dict(), torch.nn.ModuleDict({"head": noisy().head}))
    with pytest.raises(ValueError, match="and 7 more"):
        state.require_same_model(
            {}, torch.nn.Sequential(*(torch.nn.Linear(1, 1) for _ in "123456"))
        )


def test_other_optimisers_are_refused(tmp_path):
    training.train(noisy(), points, settings(folder=str(tmp_path)))
    model = noisy(1)
    before = weights(model).clone()
    pair = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (model.head, model.blocks)]
    with pytest.raises(ValueError, match="of a run with 1 optimisers, not 2"):
        training.train(model, points, settings(folder=str(tmp_path)), optimizer=pair)
    assert torch.equal(weights(model), before)


@pytest.mark.verifies("fingerprint", "the same for the same shapes, whatever the numbers")
def test_the_fingerprint_is_of_names_and_shapes():
    other = noisy()
    other.head = torch.nn.Linear(4, 5)
    prints = [state.fingerprint(model) for model in (noisy(0), noisy(1), other)]
    assert prints[0] == prints[1] != prints[2]
    assert len(prints[0]) == 16


@pytest.mark.verifies("captured", "holds all that changes from step to step")
@pytest.mark.verifies("Run", "goes on from a checkpoint as if it had not been interrupted")
@pytest.mark.verifies("begin", "checks everything before it changes anything")
def test_what_a_checkpoint_holds(tmp_path):
    history = training.train(
        noisy(), points, settings(**RUN, folder=str(tmp_path)), held_out=[points(9)]
    )
    content = training.read_checkpoint(training.latest(tmp_path))
    assert set(content) == {
        *("model", "optimizers", "scaler", "random", "step", "micro_batch", "history", "best"),
        "config",
    }
    assert (content["step"], content["micro_batch"]) == (5, 15)
    assert content["history"] == history.records
    assert content["best"] == history.best
    assert [saved["optimizer"] for saved in content["optimizers"]] == ["AdamW", "Muon"]
    assert {"python", "numpy", "torch"} <= set(content["random"][0])
