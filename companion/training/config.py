r"""The settings of a training run: one frozen dataclass, which refuses what cannot work.

This file adds: ``TrainConfig``. A checkpoint keeps it, so that a run goes on only under the
settings that it began with.
"""

import dataclasses
import json
import math
import os
from dataclasses import dataclass
from typing import Any

from companion._arguments import _hint, _require_flag, _require_int, _require_number, _require_text

__all__ = ["TrainConfig"]

OPTIMIZERS = ("adamw", "muon")
SCHEDULES = ("cosine", "linear", "constant", "wsd")
PARALLEL = ("auto", "none", "ddp", "fsdp")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class TrainConfig:
    r"""How a model is trained: every field but ``steps`` has a default.

    Raises
    ------
    TypeError, ValueError
        If a field cannot be what it is; the message names it.

    Examples
    --------
    >>> config = TrainConfig(steps=100, lr=1e-3, warmup=10)
    >>> TrainConfig.from_json(config.to_json()) == config
    True
    >>> TrainConfig(steps=100, warmup=100)
    Traceback (most recent call last):
    ValueError: warmup must be below steps 100, got 100
    """

    steps: int
    """How many times the weights change."""
    optimizer: str = "adamw"
    """"adamw", or "muon": Muon for the matrices inside the blocks, AdamW for all others."""
    lr: float = 3e-4
    """Highest learning rate of AdamW."""
    muon_lr: float = 0.02
    """Highest learning rate of Muon."""
    weight_decay: float = 0.1
    """Decay of matrices; embeddings, biases and normalisations have none."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's :math:`\\beta_1, \\beta_2`."""
    warmup: int = 0
    """Steps in which the learning rate rises to its highest value; fewer than ``steps``."""
    schedule: str = "cosine"
    """What the learning rate does then: "cosine", "linear", "constant" or "wsd" (constant, then
    linear over the last fifth)."""
    final_share: float = 0.1
    """The learning rate of the last step, as a share of ``lr``, from 0 to 1."""
    clip: float | None = 1.0
    """Greatest length of the gradient, above 0; None leaves it as it is."""
    accumulate: int = 1
    """Micro-batches a step; their gradients are added up."""
    precision: str = "auto"
    """Format of the multiplications: "float32" (as the model is), "bfloat16", "float16", or
    "auto", what the device is best at. The weights stay as they are."""
    compile: bool | str = False
    """Whether ``torch.compile`` is used: True, False, or "auto", on CUDA only."""
    evaluate_every: int | None = None
    """Steps between evaluations of the held-out batches; None: only after the last step."""
    patience: int | None = None
    """Evaluations without a new lowest loss after which training ends; None: never."""
    folder: str | None = None
    """Where checkpoints are written, and where a run goes on from; None: nowhere."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; there is always one at the end."""
    keep: int = 2
    """How many of the newest checkpoints stay; the one with the lowest held-out loss stays, too."""
    seed: int = 0
    """What dropout and everything else that is random begins with."""
    device: str | None = None
    """Where to train; None: the fastest device that there is."""
    parallel: str = "auto"
    """How several processes share the work (see `process_group`): "ddp", each has all of the model;
    "fsdp", each has a part of every tensor; "auto", "ddp" where there are several. Each of them
    trains on its rows of every batch, so that a step is the same, however many they are."""

    def __post_init__(self) -> None:
        if isinstance(self.folder, os.PathLike):
            object.__setattr__(self, "folder", os.fspath(self.folder))
        for name in ("steps", "accumulate", "checkpoint_every", "keep"):
            _require_int(name, getattr(self, name), least=1)
        for name in ("evaluate_every", "patience"):
            if getattr(self, name) is not None:
                _require_int(name, getattr(self, name), least=1)
        for name in ("folder", "device"):
            if getattr(self, name) is not None:
                _require_text(getattr(self, name), name)
        for name in ("lr", "muon_lr", "weight_decay"):
            _require_at_least_zero(name, getattr(self, name))
        self._require_choices()
        self._require_ranges()

    def _require_choices(self) -> None:
        _require_one_of("optimizer", self.optimizer, OPTIMIZERS)
        _require_one_of("schedule", self.schedule, SCHEDULES)
        _require_one_of("precision", self.precision, PRECISIONS)
        _require_one_of("parallel", self.parallel, PARALLEL)
        if self.compile != "auto":
            _require_flag("compile", self.compile)

    def _require_ranges(self) -> None:
        _require_int("seed", self.seed, least=0, most=2**32 - 1)
        if _require_int("warmup", self.warmup, least=0) >= self.steps:
            raise ValueError(f"warmup must be below steps {self.steps}, got {self.warmup}")
        if not 0 <= _require_number("final_share", self.final_share) <= 1:
            raise ValueError(f"final_share must be from 0 to 1, got {self.final_share}")
        if self.clip is not None and not _require_number("clip", self.clip) > 0:
            raise ValueError(f"clip must be above 0, or None, got {self.clip}")
        _require_betas(self.betas)
        object.__setattr__(self, "betas", tuple(self.betas))

    def to_json(self) -> str:
        """Return the settings as JSON, one field a line."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Return the settings that `to_json` wrote.

        Parameters
        ----------
        text : str

        Returns
        -------
        TrainConfig

        Raises
        ------
        ValueError
            If it is no JSON object, or has a field that is unknown, missing or out of range.
        TypeError
            If a field is of the wrong type.
        """
        try:
            fields = json.loads(_require_text(text))
        except json.JSONDecodeError as error:
            raise ValueError(f"text must be JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ValueError(f"text must be a JSON object, got {type(fields).__name__}")
        _require_fields(fields, [field.name for field in dataclasses.fields(cls)])
        return cls(**fields)


def _require_fields(given: dict[str, Any], known: list[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"text has a field {name!r} that is no setting{_hint(name, known)}")
    if "steps" not in given:
        raise ValueError("text must have the field 'steps'")


def _require_at_least_zero(name: str, value: Any) -> None:
    if not 0 <= _require_number(name, value) < math.inf:
        raise ValueError(f"{name} must be at least 0, got {value}")


def _require_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {known}, got {value!r}{_hint(value, known)}")


def _require_betas(betas: Any) -> None:
    if not isinstance(betas, (tuple, list)) or len(betas) != 2:
        raise ValueError(f"betas must be two numbers, got {betas!r}")
    for beta in betas:
        if not 0 <= _require_number("betas", beta) < 1:
            raise ValueError(f"betas must be from 0 to below 1, got {betas}")
