r"""A run: the model and all that trains it, from the beginning or from a checkpoint.

This file adds: ``Run``, what the loop works with, and `begin`, which checks and makes all of it.
"""

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from companion._arguments import _require_number
from companion.device import seed_everything
from companion.training.batches import Batch, Batches, Repeated, finite, numbered
from companion.training.checkpoints import (
    latest,
    read_checkpoint,
    write_checkpoint,
)
from companion.training.config import TrainConfig
from companion.training.history import History, Record
from companion.training.memory import explained
from companion.training.objectives import Objective
from companion.training.optimisers import make_optimizers, set_learning_rates
from companion.training.precision import MixedPrecision
from companion.training.processes import from_first, require_alike, together, world
from companion.training.rows import digest, shard
from companion.training.sharding import give_back
from companion.training.starting import device_of
from companion.training.state import (
    captured,
    fingerprint,
    require_same_config,
    require_same_model,
    restored,
)
from companion.training.wrapping import kind_of, wrapped

__all__ = ["Run", "begin"]


@dataclass
class Run:
    """A model that is being trained, with everything that belongs to it."""

    model: nn.Module
    config: TrainConfig
    batches: Batches
    objective: Objective
    optimizers: list[torch.optim.Optimizer]
    held_out: Any
    mixed: MixedPrecision
    forward: Callable[..., Any]
    """What the objective is given: the model, compiled or spread over processes."""
    given: nn.Module
    """The model that `train` was given: not the one that is trained where that is in parts."""
    history: History = field(default_factory=History)
    saved: int | None = None
    """The step of the newest checkpoint."""
    clock: float = 0.0
    """When the run would have begun, had it not been interrupted."""
    compared: bool = False
    """Whether all processes are known to make the same batches."""

    @property
    def done(self) -> int:
        """How many steps have been taken."""
        return len(self.history)

    @property
    def out_of_patience(self) -> bool:
        """Whether no evaluation has found a lower loss for too long."""
        patience = self.config.patience
        if patience is None or not self._just_evaluated:
            return False
        return self.history.evaluations_since_best >= patience

    @property
    def _just_evaluated(self) -> bool:
        return bool(self.history.records) and "held_out" in self.history[-1]

    def micro_batches(self, step: int) -> list[Batch]:
        """Return this process's rows of the micro-batches of a step, from 1."""
        n = self.config.accumulate
        batches = [self.batches(i) for i in range((step - 1) * n, step * n)]
        if world().size > 1 and not self.compared:
            require_alike(**{f"micro-batch {(step - 1) * n}": digest(batches[0])})
            self.compared = True
        return [shard(batch) for batch in batches]

    def record(self, step: int, result: Record) -> None:
        """Add what a step did to the history."""
        tokens = self.history[-1]["tokens"] if self.history.records else 0
        lr = self.optimizers[0].param_groups[0]["lr"]
        result = {**result, "lr": lr, "tokens": tokens + result["tokens"]}
        self.history.records.append(
            {"step": step, **result, "seconds": time.monotonic() - self.clock}
        )
        self.mixed.require_scale()

    def evaluates(self, step: int) -> bool:
        """Tell whether the model is evaluated after a step."""
        every = self.config.evaluate_every
        due = step == self.config.steps or (every is not None and step % every == 0)
        return self.held_out is not None and due

    def note_held_out(self, losses: dict[str, float]) -> None:
        """Add the result of an evaluation to the record of the last step."""
        terms = {f"held_out_{name}": loss for name, loss in losses.items() if name != "loss"}
        self.history[-1].update(held_out=losses["loss"], **terms)

    def save_if_due(self, step: int) -> None:
        """Write a checkpoint every so many steps, and whenever the held-out loss is the lowest."""
        improved = self._just_evaluated and self.history.best is self.history[-1]
        if improved or step % self.config.checkpoint_every == 0:
            self.save()

    def save(self) -> None:
        """Write a checkpoint, unless there is one of this step, or no folder for it."""
        if self.config.folder is None or self.saved == self.done:
            return
        state = captured(self.model, self.optimizers, self.mixed.scaler)
        with together():
            if world().rank == 0:
                self._write(self.config.folder, state)
        self.saved = self.done

    def _write(self, folder: str, state: dict[str, Any]) -> None:
        done = {"step": self.done, "micro_batch": self.done * self.config.accumulate}
        progress = {**done, "history": self.history.records, "best": self.history.best}
        settings = dataclasses.asdict(self.config)
        about = {"model": fingerprint(self.model), "config": settings, "held_out": None}
        if self.history.records:
            about["held_out"] = self.history[-1].get("held_out")
        content = {**state, **progress, "config": json.dumps(settings)}
        write_checkpoint(folder, self.done, content, about, self.config.keep)

    def give_back(self) -> None:
        """Let the model that `train` was given have the weights."""
        give_back(self.model, self.given)

    @contextlib.contextmanager
    def explaining(self, step: int, batches: Sequence[Batch]) -> Iterator[None]:
        """Say more about what goes wrong in a step."""
        try:
            with explained(batches[0], self.config.accumulate, self.mixed.name):
                yield
        except FloatingPointError as error:  # in all processes, since it is the sum that is not
            self.give_back()
            lr = self.optimizers[0].param_groups[0]["lr"]
            raise FloatingPointError(
                f"step {step}, lr {lr:.3g}: {error}. The weights are those after step {step - 1}; "
                f"{self._last_checkpoint()}"
            ) from None

    def _last_checkpoint(self) -> str:
        if self.saved is None:
            return "no checkpoint has been written"
        return f"the last checkpoint in {self.config.folder} is that of step {self.saved}"


def begin(
    model: nn.Module,
    batches: Any,
    config: TrainConfig,
    objective: Objective,
    optimizer: Any,
    held_out: Any,
    floor: float | None,
) -> Run:
    """Return a run that is ready for its next step, after a look at all arguments of `train`.

    Parameters
    ----------
    model, batches, config, objective, optimizer, held_out, floor
        As for `train`.

    Returns
    -------
    Run

    Raises
    ------
    TypeError, ValueError, OSError
        As for `train`.
    """
    with together():
        _require_parts(model, config, objective, held_out, floor)
        batches, device = numbered(batches), device_of(config.device)
        mixed, kind = MixedPrecision(device, config.precision), kind_of(config.parallel)
        _optimizers(model, config, optimizer, kind)
    _require_one_run(model, config)
    content = _found(model, config)
    if kind != "fsdp":
        model.to(device)
    compiles = config.compile is True or (config.compile == "auto" and device.type == "cuda")
    trained, forward, objective = wrapped(model, objective, kind, device, compiles)
    optimizers = _optimizers(trained, config, optimizer, kind)
    run = Run(trained, config, batches, objective, optimizers, held_out, mixed, forward, model)
    seed_everything((config.seed + world().rank) % 2**32)
    set_learning_rates(optimizers, 1.0)  # what they are now is the highest
    if content is not None:
        _go_on(run, content)
    seconds = run.history[-1]["seconds"] if run.done else 0.0
    run.clock = time.monotonic() - seconds
    return run


def _optimizers(
    model: nn.Module, config: TrainConfig, optimizer: Any, kind: str
) -> list[torch.optim.Optimizer]:
    if optimizer is None:
        return make_optimizers(model, config)
    if kind == "fsdp":
        raise ValueError(
            "optimizer must be None with parallel='fsdp', since each process trains parts of the "
            "parameters: say in config what it is, or take parallel='ddp'"
        )
    return _as_optimizers(optimizer)


def _require_one_run(model: nn.Module, config: TrainConfig) -> None:
    """Refuse processes that would not train the same."""
    settings = {n: x for n, x in dataclasses.asdict(config).items() if n != "device"}
    require_alike(**settings, model=fingerprint(model))


def _found(model: nn.Module, config: TrainConfig) -> dict[str, Any] | None:
    """Return the newest checkpoint of the folder, if it is this run's."""
    folder = config.folder
    if folder is None:
        return None
    path = from_first(lambda: latest(_writable(folder)))
    if path is None:
        return None
    with together():
        content = read_checkpoint(path)
        require_same_model(content["model"], model)
        require_same_config(TrainConfig.from_json(content["config"]), config)
    return content


def _go_on(run: Run, content: dict[str, Any]) -> None:
    done = content["step"]
    if isinstance(run.batches, Repeated) and done:
        # Before the random state is set: some iterables draw numbers while they are gone through.
        run.batches(content["micro_batch"] - 1)
    restored(content, run.model, run.optimizers, run.mixed.scaler)
    run.history = History(content["history"])
    run.saved = done


def _writable(folder: str) -> str:
    """Refuse a folder in which nothing can be written, before hours of training."""
    probe = Path(folder) / f"step-{os.getpid()}.part"  # of a name that is cleared away
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"0")
        probe.unlink()
    except OSError as error:
        why = f"folder {folder} cannot be written to: {error.strerror}"
        raise type(error)(error.errno, why, folder) from error
    return folder


def _require_parts(
    model: Any, config: Any, objective: Any, held_out: Any, floor: float | None
) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if not isinstance(config, TrainConfig):
        raise TypeError(f"config must be a TrainConfig, got {type(config).__name__}")
    if not isinstance(objective, Objective):
        raise TypeError(f"objective must be callable and have a method count, got {objective!r}")
    if floor is not None:
        _require_number("floor", floor)
    if held_out is not None:
        finite(held_out)
    for name in ("evaluate_every", "patience"):
        if held_out is None and getattr(config, name) is not None:
            raise ValueError(f"config.{name} needs held_out batches to evaluate the model on")


def _as_optimizers(optimizer: Any) -> list[torch.optim.Optimizer]:
    given = list(optimizer) if isinstance(optimizer, (tuple, list)) else [optimizer]
    for each in given:
        if not isinstance(each, torch.optim.Optimizer):
            raise TypeError(
                f"optimizer must be a torch.optim.Optimizer, or several, got {type(each).__name__}"
            )
    if not given:
        raise ValueError("optimizer must be one at least, got none")
    return given
