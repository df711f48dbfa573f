"""What torchrun says to a process, and what is refused of it."""

import socket

import pytest
import torch
import torch.distributed as dist

from companion import training
from companion.training import processes, starting
from tests.training.support import as_process, noisy, points, settings, timeless

STARTED = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost"}


@pytest.fixture
def environment(monkeypatch):
    """Set what torchrun would set, for one process."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = str(probe.getsockname()[1])
    for name, value in {**STARTED, "MASTER_PORT": port, "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    return monkeypatch


@pytest.mark.verifies("process_group", "begins and ends what torchrun has started")
def test_a_group_begins_and_ends(environment):
    with starting.process_group() as world:
        assert dist.is_initialized()
        assert world == processes.World(0, 1) == processes.world()
        with starting.process_group():  # as a function that is called in a block
            pass
        assert processes.gathered("a") == ["a"]
        history = training.train(noisy(), points, settings(parallel="fsdp", steps=2))
    assert not dist.is_initialized()
    assert timeless(history) == timeless(training.train(noisy(), points, settings(steps=2)))
    with pytest.raises(KeyError), starting.process_group():
        raise KeyError
    assert not dist.is_initialized()


def test_without_torchrun_there_is_no_group(monkeypatch):
    for name in starting.NEEDED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "localhost")  # which says nothing alone
    with starting.process_group() as world:
        assert world == processes.World(0, 1)
        assert not dist.is_initialized()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"MASTER_ADDR": None, "LOCAL_RANK": None},
            "lacks LOCAL_RANK, MASTER_ADDR, which torchrun",
        ),
        ({"RANK": "first"}, "RANK must be a whole number, got 'first'"),
        ({"RANK": "1"}, "RANK and LOCAL_RANK must be below WORLD_SIZE"),
    ],
)
def test_half_an_environment_is_refused(environment, changes, message):
    for name, value in changes.items():
        environment.setenv(name, value) if value else environment.delenv(name)
    with pytest.raises(ValueError, match=message), starting.process_group():
        pass
    assert not dist.is_initialized()


def test_each_process_has_a_gpu_of_its_own(environment):
    taken, backends = [], []
    environment.setattr(torch.cuda, "is_available", lambda: True)
    environment.setattr(torch.cuda, "device_count", lambda: 2)
    environment.setattr(torch.cuda, "set_device", taken.append)
    environment.setattr(dist, "init_process_group", backends.append)
    environment.setattr(dist, "destroy_process_group", lambda: None)
    environment.setenv("WORLD_SIZE", "4")
    for rank in ("1", "2"):
        environment.setenv("LOCAL_RANK", rank)
        with starting.process_group("cpu"):
            pass
    environment.setenv("LOCAL_RANK", "1")
    with starting.process_group():
        pass
    assert backends == ["gloo", "gloo", "cpu:gloo,cuda:nccl"]
    assert taken == [1]
    environment.setenv("LOCAL_RANK", "2")
    message = "LOCAL_RANK 2 has no GPU: this machine has 2. Start at most 2 processes a machine"
    with pytest.raises(ValueError, match=message), starting.process_group("cuda"):
        pass


@pytest.mark.verifies("device_of", "each of several processes has a GPU of its own")
def test_where_a_process_trains(monkeypatch):
    monkeypatch.setattr(starting, "pick_device", lambda name: torch.device(name or "cuda"))
    assert starting.device_of("cuda:1") == torch.device("cuda:1")
    as_process(monkeypatch, starting, 3, 4)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert starting.device_of(None) == starting.device_of("cuda:3") == torch.device("cuda:3")
    assert starting.device_of("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"'cuda', without a number.*this one has GPU 3"):
        starting.device_of("cuda:1")
    with pytest.raises(ValueError, match=r"device must be 'cpu' or 'cuda' for several.*got mps"):
        starting.device_of("mps")
