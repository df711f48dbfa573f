r"""Evaluation: the mean loss over held-out batches, which leaves no trace.

This file adds: `evaluate`.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from companion.training.batches import finite, moved
from companion.training.memory import explained
from companion.training.objectives import Objective, TokenLoss, added, means, require_counts
from companion.training.precision import MixedPrecision
from companion.training.processes import sum_over_processes
from companion.training.rows import rows_to_evaluate

__all__ = ["evaluate", "modes", "set_modes"]

Modes = list[tuple[nn.Module, bool]]


def evaluate(
    model: Any,
    batches: Any,
    objective: Objective | None = None,
    *,
    mixed: MixedPrecision | None = None,
) -> dict[str, float]:
    r"""Return the mean loss over all targets of some batches; nothing is changed.

    It is not the mean of the batches' means: in that, a target of a batch with few of them would
    count more than others.

    Parameters
    ----------
    model : nn.Module
        Or another function of the inputs. Evaluated without dropout; afterwards each part of it
        is in the mode that it was in.
    batches : iterable, or a callable with a length
    objective : Objective, optional
        By default `TokenLoss`. What it draws at random is the same each time.
    mixed : MixedPrecision, optional
        By default all is computed in the format of the weights, where the model is.

    Returns
    -------
    dict
        ``"loss"``, in nats a target, and the objective's terms where there are several.

    Raises
    ------
    TypeError
        If ``batches`` never end.
    ValueError
        If they hold no target.
    OutOfMemory
        If a batch does not fit into memory.

    Notes
    -----
    Where there are several processes, all of them must call it, and each evaluates its rows.

    Examples
    --------
    >>> batches = [(torch.ones(2, 3), torch.tensor([0, 1]))]
    >>> round(evaluate(lambda x: torch.zeros(2, 4), batches)["loss"], 4)  # ln 4
    1.3863
    """
    mixed = MixedPrecision(_device_of(model), "float32") if mixed is None else mixed
    objective = TokenLoss() if objective is None else objective
    counts: list[dict[str, float]] = []
    sums: list[dict[str, float]] = []
    with _seeded(mixed.device), _evaluating(model), torch.no_grad():
        for batch in finite(batches):
            rows, count = rows_to_evaluate(batch)
            n: dict[str, float] = {**require_counts(objective.count(rows))}
            with explained(rows, None, mixed.name), mixed.autocast():
                terms = objective(model, moved(rows, mixed.device))
                found = {name: float(total) for name, total in terms.items()}
            counts.append(n if count else dict.fromkeys(n, 0))
            sums.append(found if count else dict.fromkeys(found, 0.0))
    total = sum_over_processes(added(counts))
    if not any(total.values()):
        raise ValueError("batches hold no target to evaluate the model on")
    return means(sum_over_processes(added(sums)), total)


def _device_of(model: Any) -> torch.device:
    first = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if first is None else first.device


@contextlib.contextmanager
def _seeded(device: torch.device) -> Iterator[None]:
    """Let what is drawn be the same in each evaluation, and change no later draw."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        yield


@contextlib.contextmanager
def _evaluating(*models: Any) -> Iterator[None]:
    """Put models into the mode of evaluation, without dropout; then each part into its own."""
    before = [pair for model in models for pair in modes(model)]
    try:
        set_modes((module, False) for module, _ in before)
        yield
    finally:
        set_modes(before)


def modes(model: Any) -> Modes:
    """Return each part of a model, and whether it is in the mode of training.

    Parameters
    ----------
    model : nn.Module
        Of another function there are no parts.

    Returns
    -------
    list of (nn.Module, bool)
    """
    parts = model.modules() if isinstance(model, nn.Module) else ()
    return [(module, module.training) for module in parts]


def set_modes(training: Iterable[tuple[nn.Module, bool]]) -> None:
    """Put each part of a model into a mode of its own.

    Parameters
    ----------
    training : iterable of (nn.Module, bool)
        As `modes` returns it.
    """
    for module, mode in training:
        module.training = mode
