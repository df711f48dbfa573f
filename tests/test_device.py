import random
import time

import numpy as np
import pytest
import torch

from companion import device
from tests.plugins import shapes
from tests.verification import same


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_picks_the_fastest_device(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    same("pick_device", "by hand, feigned hardware", device.pick_device(), torch.device(expected))


def test_takes_the_preferred_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert device.pick_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["abacus", "cuda:97", "xla"])
def test_refuses_a_device_that_is_not_there(name):
    with pytest.raises(ValueError, match=f"prefer='{name}'"):
        device.pick_device(name)


@pytest.mark.parametrize(
    ("capability", "supported", "dtype"),
    [
        ((7, 0), False, torch.float16),
        ((7, 5), False, torch.float16),  # a T4, which says yes to PyTorch's own question
        ((8, 0), True, torch.bfloat16),
        ((8, 9), True, torch.bfloat16),
        ((10, 0), True, torch.bfloat16),
    ],
)
def test_bf16_needs_ampere(monkeypatch, capability, supported, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *a, **k: True)
    feigned = "NVIDIA's compute capabilities, feigned hardware"
    same("supports_bf16", feigned, device.supports_bf16("cuda"), supported)
    same("pick_dtype", feigned, device.pick_dtype(torch.device("cuda")), dtype)


@pytest.mark.parametrize("name", ["cpu", "mps"])
def test_no_bf16_without_cuda(name):
    same("supports_bf16", "by hand", device.supports_bf16(name), False)
    same("pick_dtype", "by hand", device.pick_dtype(name), torch.float32)


def draws():
    return random.random(), np.random.rand(), torch.rand(1).item()


def test_seeds_every_generator():
    device.seed_everything(5)
    first = draws()
    second = draws()
    device.seed_everything(5)
    same("seed_everything", "its own first draws", draws(), first)
    assert all(a != b for a, b in zip(first, second, strict=True))
    device.seed_everything(6)
    assert all(a != b for a, b in zip(first, draws(), strict=True))


def test_returned_generator_keeps_its_own_count():
    expected = torch.rand(3, generator=torch.Generator().manual_seed(5))
    generator = device.seed_everything(5)
    torch.rand(100)
    same("seed_everything", "torch.Generator", torch.rand(3, generator=generator), expected)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_refuses_a_seed_out_of_range(seed):
    with pytest.raises(ValueError, match=f"seed .*got {seed}"):
        device.seed_everything(seed)


@pytest.mark.parametrize("seed", [np.int64(5), np.uint8(5), torch.tensor(5)], ids=str)
def test_takes_any_whole_number_for_a_seed(seed):
    device.seed_everything(5)
    first = draws()
    with shapes.unchecked():
        device.seed_everything(seed)
    assert draws() == first


def test_takes_the_largest_seed():
    assert device.seed_everything(2**32 - 1).initial_seed() == 2**32 - 1


def test_describes_the_cpu():
    threads = f"CPU, {torch.get_num_threads()} threads"
    same("describe_device", "by hand", device.describe_device("cpu"), threads)
    same("describe_device", "by hand", device.describe_device("mps"), "MPS")


def test_describes_a_gpu(monkeypatch):
    class Properties:
        name, total_memory = "Tesla T4", 15 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    says = device.describe_device("cuda")
    same("describe_device", "by hand, feigned hardware", says, "Tesla T4, 15 GiB")


def test_seconds_takes_the_fastest_run_after_a_warm_up(monkeypatch):
    now, durations = [0.0], iter([9.0, 3.0, 1.0, 2.0])  # the first is the warm-up

    def work():
        now[0] += next(durations)

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    same("seconds", "by hand, feigned clock", device.seconds(work, repeats=3), 1.0)
    assert list(durations) == []


@pytest.mark.verifies("seconds", "a pause of known length")
def test_seconds_measures_time():
    assert 0.01 <= device.seconds(lambda: time.sleep(0.01), repeats=1) < 1


def test_seconds_waits_for_a_gpu(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("wait"))
    device.seconds(lambda: calls.append("run"), repeats=1, device="cuda")
    assert calls == ["run", "wait", "run", "wait"]


def test_seconds_waits_for_apples_gpu(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.mps, "synchronize", lambda: calls.append("wait"))
    device.seconds(lambda: calls.append("run"), repeats=1, device="mps")
    assert calls == ["run", "wait", "run", "wait"]


@pytest.mark.parametrize(
    "call",
    [lambda: device.seed_everything(1.5), lambda: device.seconds(print, repeats=2.5)],
)
def test_refuses_fractions(call):
    before = torch.get_rng_state()
    with shapes.unchecked(), pytest.raises(TypeError, match="must be a whole number"):
        call()
    assert torch.equal(torch.get_rng_state(), before)


def test_seconds_refuses_no_runs():
    with pytest.raises(ValueError, match=r"repeats .*got 0"):
        device.seconds(lambda: None, repeats=0)


def one_after_the_other():
    for _ in range(5):
        torch.zeros(1000)


def held_together():
    return [torch.zeros(1000) for _ in range(5)]


def released_before_the_end():
    a = torch.zeros(3000)
    del a
    return torch.zeros(1000)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda: None, 0),
        (lambda: torch.zeros(1000), 4000),
        (lambda: torch.zeros(1000, dtype=torch.float64), 8000),
        (one_after_the_other, 4000),
        (held_together, 20000),
        (released_before_the_end, 12000),
        (lambda: torch.zeros(1000) + torch.zeros(1000), 12000),
    ],
)
def test_peak_bytes(work, expected):
    same("peak_bytes", "by hand", device.peak_bytes(work), expected)


def test_peak_bytes_does_not_count_what_was_there():
    x = torch.zeros(100_000)
    assert device.peak_bytes(lambda: x[:10].clone()) == 40


def test_peak_bytes_lets_errors_through():
    with pytest.raises(ZeroDivisionError):
        device.peak_bytes(lambda: 1 / 0)
    assert device.peak_bytes(lambda: torch.zeros(1000)) == 4000


def test_peak_bytes_reads_the_counter_of_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 100)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 350)
    held = device.peak_bytes(lambda: None, "cuda")
    same("peak_bytes", "by hand, feigned hardware", held, 250)


def test_peak_bytes_refuses_other_devices():
    with pytest.raises(ValueError, match=r"device must be .*got mps.*the same call on the CPU"):
        device.peak_bytes(lambda: None, "mps")
