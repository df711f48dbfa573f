"""Who is faster: contenders that take turns in one run, so that a busy machine disturbs all alike.

The seconds of one turn say little: they depend on the machine and on what else it does. The ratio
of two turns that follow each other says more, and the median over many such pairs is what a record
holds, with the half of the ratios that lies in the middle. Memory can be measured beside it.
"""

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.distributed._tools.mem_tracker import MemTracker

Times = dict[str, list[float]]


def alternating(
    contenders: Mapping[str, Callable[[], object]],
    pairs: int,
    *,
    warm_up: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Let each contender take a turn, again and again; who begins changes from round to round.

    Parameters
    ----------
    contenders : dict of str to callable
    pairs : int
        Rounds that count.
    warm_up : int
        Rounds before, which do not.
    clock : callable
        Seconds; ``time.process_time`` leaves out what others do on the machine.

    Returns
    -------
    dict of str to list of float
        The seconds of each turn.

    Examples
    --------
    >>> ticks = iter(range(100))
    >>> alternating({"a": int, "b": int}, 2, clock=lambda: next(ticks))
    {'a': [1, 1], 'b': [1, 1]}
    """
    times: Times = {name: [] for name in contenders}
    for turn in range(-warm_up, pairs):
        order = list(contenders) if turn % 2 else list(contenders)[::-1]
        for name in order:
            start = clock()
            contenders[name]()
            if turn >= 0:
                times[name].append(clock() - start)
    return times


def compared(times: Times) -> dict[str, Any]:
    """Sum up turns: the median of each in milliseconds, and how the first compares with the others.

    Examples
    --------
    >>> compared({"ours": [1.0, 1.0, 2.0], "theirs": [2.0, 3.0, 8.0]})["times_as_fast"]
    {'theirs': {'median': 3.0, 'middle_half': [2.0, 4.0]}}
    """
    ours, *others = times
    return {
        "ms": {name: round(1000 * statistics.median(times[name]), 2) for name in times},
        "times_as_fast": {name: _ratio(times[ours], times[name]) for name in others},
    }


def megabytes(work: Callable[[], object], *there: Any) -> float:
    """Return the most that tensors on the CPU hold at once in a turn, in MB of a million bytes.

    Parameters
    ----------
    work : callable
    *there : nn.Module
        What is in memory before, and counts as well.
    """
    tracker = MemTracker()
    tracker.track_external(*there)
    with tracker:
        work()
    return round(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"] / 1e6, 1)


def commit_of(folder: Path) -> str:
    """Return which version of a checkout is compared; without git's folder it is not known."""
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def _ratio(ours: list[float], theirs: list[float]) -> dict[str, Any]:
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {"median": round(middle, 3), "middle_half": [round(low, 3), round(high, 3)]}
