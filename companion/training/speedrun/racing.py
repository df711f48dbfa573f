r"""The race: a recipe that trains step by step while a clock counts, and what it has learnt.

This file adds: ``Runner``, which trains one recipe; ``rate_share``, its schedule; ``first_below``.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from companion._arguments import _require_int, _require_number
from companion.data.windows import Windows
from companion.optim import Muon, clip_grad_norm, warmup_cosine
from companion.training.optimisers import set_learning_rates
from companion.training.speedrun.model import SpeedGPT
from companion.training.speedrun.settings import Settings
from companion.training.speedrun.text import Text, held_out_loss

__all__ = ["Runner", "first_below", "rate_share"]


def rate_share(step: int, settings: Settings) -> float:
    r"""Return the learning rate of a step, as a share of the highest.

    Parameters
    ----------
    step : int
        From 1.
    settings : Settings
        Its ``steps``, ``warmup``, ``schedule`` and ``final_share``.

    Returns
    -------
    float

    Raises
    ------
    TypeError, ValueError
        If ``step`` is no whole number from 1.

    Examples
    --------
    >>> settings = Settings(steps=4, warmup=0, schedule="stable", final_share=0.0)
    >>> [rate_share(step, settings) for step in range(1, 5)]
    [1.0, 1.0, 1.0, 0.5]
    """
    step = _require_int("step", step, least=1)
    steps, warmup, final = settings.steps, settings.warmup, settings.final_share
    if settings.schedule == "cosine":
        return warmup_cosine(step, 1.0, min(warmup, steps - 1), steps, final)
    left = min(1.0, (steps + 1 - step) / max(1, steps / 2))
    return min(1.0, step / (warmup + 1)) * (final + (1 - final) * left)


class Runner:
    r"""One recipe under way: a model, its optimisers, its batches, and a clock.

    The clock counts what training needs, from building the model on; it stands while a held-out
    loss is measured. It shows seconds as a watch does (``seconds``) and seconds in which this
    process worked (``cpu_seconds``), which other work on the machine disturbs less.

    Parameters
    ----------
    settings : Settings
    text : Text
    seed : int
        Draws the weights and the batches.

    Raises
    ------
    ValueError
        If the text is shorter than a window.

    Examples
    --------
    >>> from companion.training.speedrun import load_text
    >>> runner = Runner(Settings(steps=2, context=4), load_text("to be or not to be, " * 9))
    >>> while not runner.finished:
    ...     _ = runner.step()
    >>> runner.taken
    2
    """

    def __init__(self, settings: Settings, text: Text, seed: int = 0) -> None:
        self.settings, self.text, self.seed = settings, text, _require_int("seed", seed, least=0)
        self.taken, self.seconds, self.cpu_seconds = 0, 0.0, 0.0
        self.curve: list[dict[str, Any]] = []
        Windows(text.train, settings.context)  # which says what is wrong with a short text
        with self._clock():
            torch.manual_seed(seed)
            self.model = SpeedGPT(settings, len(text.characters))
            self.optimizers = _optimizers(self.model, settings)
            self._starts = _starts(len(text.train), settings, torch.Generator().manual_seed(seed))

    @property
    def finished(self) -> bool:
        """Whether all steps have been taken."""
        return self.taken >= self.settings.steps

    def step(self) -> float:
        """Take one step; return the loss of its batch."""
        with self._clock():
            x, y = self._batch()
            loss = F.cross_entropy(self.model(x).flatten(0, 1), y.flatten())
            loss.backward()
            if self.settings.clip is not None:
                clip_grad_norm(self.model.parameters(), self.settings.clip)
            self.taken += 1
            set_learning_rates(self.optimizers, rate_share(self.taken, self.settings))
            for optimizer in self.optimizers:
                optimizer.step()
                optimizer.zero_grad()
            return loss.item()

    def measure(self) -> float:
        """Return the held-out loss, and write it into ``curve``; the clock stands."""
        loss = held_out_loss(self.model, self.text.held_out)
        now = {"step": self.taken, "seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        self.curve.append({**now, "held_out": loss})
        return loss

    def result(self) -> dict[str, Any]:
        """Return settings, seconds and losses, as a record keeps them."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "seed": self.seed,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
            "steps": self.taken,
            "finished": self.finished,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "held_out": self.curve[-1]["held_out"] if self.curve else None,
            "curve": self.curve,
        }

    def _batch(self) -> tuple[Tensor, Tensor]:
        places = next(self._starts)[:, None] + torch.arange(self.settings.context)  # (B, T)
        return self.text.train[places], self.text.train[places + 1]

    @contextmanager
    def _clock(self) -> Iterator[None]:
        seconds, cpu_seconds = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - seconds
            self.cpu_seconds += time.process_time() - cpu_seconds


def first_below(curve: list[dict[str, Any]], loss: float, clock: str = "seconds") -> float | None:
    r"""Return what the clock showed when a held-out loss was first no higher than a given one.

    Parameters
    ----------
    curve : list of dict
        As `Runner` keeps it.
    loss : float
    clock : {"seconds", "cpu_seconds", "step"}

    Returns
    -------
    float or None
        None if the loss was never reached.

    Raises
    ------
    TypeError, ValueError
        If ``loss`` is no number.

    Examples
    --------
    >>> first_below([{"held_out": 2.0, "seconds": 1}, {"held_out": 1.8, "seconds": 2}], 1.9)
    2
    """
    if math.isnan(_require_number("loss", loss)):
        raise ValueError("loss must be a number, got NaN")
    return next((point[clock] for point in curve if point["held_out"] <= loss), None)


def _starts(n: int, settings: Settings, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield where the windows of each batch begin."""
    context, size = settings.context, settings.batch_size
    while settings.order == "random":
        yield torch.randint(n - context, (size,), generator=generator)
    waiting = torch.empty(0, dtype=torch.int64)
    while True:
        while len(waiting) < size:
            waiting = torch.cat((waiting, _side_by_side(n, context, generator)))
        yield waiting[:size]
        waiting = waiting[size:]


def _side_by_side(n: int, context: int, generator: torch.Generator) -> Tensor:
    """Return where windows begin that do not overlap, in a random order, from a random place on."""
    windows = (n - 1) // context
    slack = n - windows * context  # so many places can be the first
    first = int(torch.randint(slack, (), generator=generator))
    return first + context * torch.randperm(windows, generator=generator)


def _optimizers(model: SpeedGPT, settings: Settings) -> list[torch.optim.Optimizer]:
    """Return AdamW, and Muon for the matrices of the blocks if that is asked for.

    PyTorch's AdamW does all of a step in one pass where it is asked to (``fused``); the numbers
    are those of `companion.optim.AdamW`.
    """
    looked_up = model.looked_up()
    inside = [weight for weight in model.blocks.parameters() if weight.ndim == 2]
    other = {id(weight) for weight in [*looked_up, *inside]}
    head = [weight for weight in model.parameters() if weight.ndim == 2 and id(weight) not in other]
    muon = inside if settings.optimizer == "muon" else []
    decayed = head if muon else [*head, *inside]
    plain = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [
        {"params": looked_up, "lr": settings.table_lr},
        {"params": decayed, "lr": settings.lr},
        {"params": plain, "lr": settings.lr, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    decay = settings.weight_decay
    adamw = torch.optim.AdamW(groups, betas=settings.betas, weight_decay=decay, fused=True)
    made: list[torch.optim.Optimizer] = [adamw]
    if muon:
        made.append(Muon(muon, lr=settings.muon_lr, weight_decay=decay))
    return made
