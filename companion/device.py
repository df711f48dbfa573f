r"""Where computations run, how they are seeded, and what they cost.

This file adds: the choice of device and number format, one call that seeds every
generator, and two measurements (seconds and peak bytes) that chapters use when they say
what something costs on the reader's own machine.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from companion._arguments import _require_int
from companion._tensors import _require_sizes

__all__ = [
    "pick_device",
    "supports_bf16",
    "pick_dtype",
    "seed_everything",
    "describe_device",
    "seconds",
    "peak_bytes",
]

#: bfloat16 arithmetic in hardware begins with NVIDIA's Ampere generation; a T4 (7.5)
#: reports support for it but emulates it, slowly.
BF16_COMPUTE_CAPABILITY = (8, 0)


def pick_device(prefer: str | None = None) -> torch.device:
    r"""Return the fastest device there is: CUDA, then Apple's MPS, then the CPU.

    Parameters
    ----------
    prefer : str, optional
        A device to use instead, such as ``"cpu"`` or ``"cuda:1"``.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If ``prefer`` names a device that this machine does not have.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    if prefer is not None:
        return _require_device(prefer)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _require_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"prefer={name!r}: this machine has no such device ({error})") from error
    return device


def supports_bf16(device: torch.device | str) -> bool:
    r"""Say whether ``device`` computes in bfloat16 in hardware.

    PyTorch's own test says yes for a T4, which only emulates the format; this one asks for
    the compute capability and wants 8.0 (Ampere) or more. On a CPU the answer is no: there
    the format is supported but rarely faster than float32.

    Parameters
    ----------
    device : torch.device or str

    Returns
    -------
    bool
    """
    device = torch.device(device)
    if device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device) >= BF16_COMPUTE_CAPABILITY


def pick_dtype(device: torch.device | str) -> torch.dtype:
    r"""Return the number format for mixed-precision work on ``device``.

    Parameters
    ----------
    device : torch.device or str

    Returns
    -------
    torch.dtype
        ``bfloat16`` where the hardware computes in it, ``float16`` on an older GPU,
        ``float32`` elsewhere.

    Examples
    --------
    >>> pick_dtype("cpu")
    torch.float32
    """
    device = torch.device(device)
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if supports_bf16(device) else torch.float16


def seed_everything(seed: int) -> torch.Generator:
    r"""Seed Python, NumPy and PyTorch, and return a PyTorch generator with that seed.

    Parameters
    ----------
    seed : int
        At least 0 and below :math:`2^{32}` (NumPy's limit).

    Returns
    -------
    torch.Generator
        On the CPU. Pass it where a function takes a generator, so that its draws do not
        depend on what ran before.

    Raises
    ------
    ValueError
        If ``seed`` is outside that range.
    TypeError
        If it is no whole number.

    Examples
    --------
    >>> a = torch.rand(2, generator=seed_everything(7))
    >>> b = torch.rand(2, generator=seed_everything(7))
    >>> bool((a == b).all())
    True
    """
    seed = _require_int("seed", seed)
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be at least 0 and below 2**32, got {seed}")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def describe_device(device: torch.device | str) -> str:
    r"""Name ``device`` in words, with its memory or number of threads.

    Parameters
    ----------
    device : torch.device or str

    Returns
    -------
    str
        For example ``"CPU, 2 threads"`` or ``"Tesla T4, 15 GiB"``.
    """
    device = torch.device(device)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
    if device.type == "cpu":
        return f"CPU, {torch.get_num_threads()} threads"
    return device.type.upper()


def seconds(
    function: Callable[[], Any], repeats: int = 3, device: torch.device | str = "cpu"
) -> float:
    r"""Time a call: the fastest of ``repeats`` runs, after one that warms up.

    The fastest run is the one that other programs on the machine disturbed least.

    Parameters
    ----------
    function : callable without arguments
    repeats : int
        Runs that are timed, at least 1.
    device : torch.device or str
        Where the work runs; a GPU is waited for before the clock is read.

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    ValueError
        If ``repeats`` is below 1.
    """
    _require_sizes(repeats=repeats)
    function()
    best = float("inf")
    for _ in range(repeats):
        _wait_for(device)
        start = time.perf_counter()
        function()
        _wait_for(device)
        best = min(best, time.perf_counter() - start)
    return best


def _wait_for(device: torch.device | str) -> None:
    """Wait until a GPU has done what it was told to do."""
    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def peak_bytes(function: Callable[[], Any], device: torch.device | str = "cpu") -> int:
    r"""Measure the most memory that a call holds at once, beyond what was held before.

    On a CPU, PyTorch's profiler reports every allocation and release, and the largest
    running sum is the answer; on a CUDA device the allocator keeps the count itself. Apple's MPS
    only says what is held at the moment, so there is no peak to be had: measure the same call on
    the CPU.

    Parameters
    ----------
    function : callable without arguments
    device : torch.device or str
        ``"cpu"`` or a CUDA device.

    Returns
    -------
    int
        Bytes, the result of the call included.

    Raises
    ------
    ValueError
        On a device whose allocations cannot be followed.

    Examples
    --------
    >>> peak_bytes(lambda: torch.zeros(1000))
    4000
    """
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        result = function()
        torch.cuda.synchronize(device)
        del result
        return torch.cuda.max_memory_allocated(device) - before
    if device.type != "cpu":
        raise ValueError(
            f"device must be a CPU or a CUDA device, got {device}: it keeps no count of the most "
            "that was held; measure the same call on the CPU"
        )
    return _peak_bytes_on_cpu(function)


def _peak_bytes_on_cpu(function: Callable[[], Any]) -> int:
    activities = [torch.profiler.ProfilerActivity.CPU]
    with (
        _quiet_stderr(),
        torch.profiler.profile(activities=activities, profile_memory=True) as record,
    ):
        result = function()
    del result
    now = peak = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep the profiler's native log lines out of the notebook."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
