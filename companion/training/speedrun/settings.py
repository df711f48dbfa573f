r"""What a run of the speedrun is made of, and the changes from nanoGPT's recipe to the fast one.

This file adds: ``Settings``, with nanoGPT's values by default; ``Change`` and the list ``CHANGES``;
``ladder``, which makes them one after the other; ``leave_out``, which leaves one of them out; and
``RECIPES``, the settings that have a name.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from companion._arguments import _hint, _require_flag, _require_int, _require_number
from companion._tensors import _require_sizes

__all__ = ["Settings", "Change", "CHANGES", "RECIPES", "ladder", "leave_out", "recipe"]

Found = TypeVar("Found")
CHOICES = {
    "norm": ("layer", "rms"),
    "positions": ("learned", "rotary"),
    "activation": ("gelu", "relu2"),
    "optimizer": ("adamw", "muon"),
    "schedule": ("cosine", "stable"),
    "order": ("random", "once"),
}


@dataclass(frozen=True)
class Settings:
    r"""A model, its batches and its optimisers; the defaults are nanoGPT's recipe for a CPU.

    Raises
    ------
    TypeError, ValueError
        If a setting is of the wrong kind, out of range, or does not fit another.

    Examples
    --------
    >>> Settings().tokens
    1536000
    """

    n_layers: int = 4
    d_model: int = 128
    n_heads: int = 4
    context: int = 64
    """Characters in a window of training."""
    batch_size: int = 12
    steps: int = 2_000
    order: str = "random"
    """Where windows begin: "random", or "once", each part of the text once before any twice."""
    norm: str = "layer"
    """"layer" or "rms"."""
    positions: str = "learned"
    """"learned" or "rotary"."""
    qk_norm: bool = False
    """Whether queries and keys are normalised."""
    activation: str = "gelu"
    """"gelu" or "relu2", the square of ReLU."""
    zero_init: bool = False
    """Whether what each layer adds to the stream is 0 at the start."""
    tied: bool = True
    """Whether the output layer is the table of embeddings, or a matrix of its own, 0 at first."""
    embedding_std: float = 0.02
    attention: bool = True
    """Whether blocks have attention; without, a block is its feed-forward layer alone."""
    tables: tuple[int, ...] = ()
    """Rows of the tables of vectors for the last 2, 3, … characters; none at first."""
    optimizer: str = "adamw"
    """Of the matrices inside blocks: "adamw" or "muon". All others have AdamW."""
    lr: float = 1e-3
    """Learning rate of AdamW."""
    table_lr: float = 1e-3
    """Learning rate of AdamW for all that is looked up: embeddings, positions, tables."""
    muon_lr: float = 0.02
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.1
    clip: float | None = 1.0
    """Length that gradients are cut to."""
    schedule: str = "cosine"
    """"cosine", or "stable": the highest rate in the first half, then linearly down."""
    warmup: int = 100
    final_share: float = 0.1
    """Learning rate at the end, as a share of the highest."""

    def __post_init__(self) -> None:
        sizes = ("n_layers", "d_model", "n_heads", "context", "batch_size", "steps")
        _require_sizes(**{name: getattr(self, name) for name in sizes})
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        for name in ("qk_norm", "zero_init", "tied", "attention"):
            _require_flag(name, getattr(self, name))
        self._require_numbers()
        if self.d_model % self.n_heads:
            raise ValueError(
                f"n_heads must divide d_model, got {self.n_heads} heads and {self.d_model} features"
            )

    def _require_numbers(self) -> None:
        for name in ("embedding_std", "lr", "table_lr", "muon_lr", "weight_decay", "final_share"):
            if not 0 <= _require_number(name, getattr(self, name)) < float("inf"):
                raise ValueError(f"{name} must be finite and at least 0, got {getattr(self, name)}")
        if self.clip is not None and not _require_number("clip", self.clip) > 0:
            raise ValueError(f"clip must be above 0, or None, got {self.clip}")
        _require_int("warmup", self.warmup, least=0)
        for rows in self.tables:
            _require_int("each of tables", rows, least=1)

    @property
    def tokens(self) -> int:
        """Characters that are predicted in training, those that come again included."""
        return self.steps * self.batch_size * self.context


@dataclass(frozen=True)
class Change:
    r"""One difference from nanoGPT's recipe.

    Parameters
    ----------
    name : str
    does : str
        What it is, in a sentence.
    settings : dict
        The settings that differ, by name.

    Examples
    --------
    >>> CHANGES[2].name
    'schedule'
    >>> CHANGES[2].on(Settings()).schedule
    'stable'
    """

    name: str
    does: str
    settings: Mapping[str, Any]

    def on(self, settings: Settings) -> Settings:
        """Return the settings with this change made."""
        return dataclasses.replace(settings, **self.settings)

    def off(self, settings: Settings) -> Settings:
        """Return the settings with nanoGPT's values where this change has others."""
        return dataclasses.replace(settings, **{name: DEFAULTS[name] for name in self.settings})


DEFAULTS = dataclasses.asdict(Settings())

#: In the order in which the ladder makes them: first what makes a run short, then what makes a
#: short run good. No two of them change the same setting.
CHANGES = (
    Change(
        "small model",
        "One block of 64 features and 2 heads in place of four blocks of 128 and 4.",
        {"n_layers": 1, "d_model": 64, "n_heads": 2},
    ),
    Change(
        "short run",
        "80 steps of 16 windows in place of 2,000 steps of 12, and 4 of warm-up in place of 100.",
        {"steps": 80, "batch_size": 16, "warmup": 4},
    ),
    Change(
        "schedule",
        "The highest rate in the first half of the run, then down to 0 in a straight line.",
        {"schedule": "stable", "final_share": 0.0},
    ),
    Change(
        "high rates",
        "Learning rates of 0.01, and of 0.02 for what is looked up, in place of 0.001.",
        {"lr": 1e-2, "table_lr": 2e-2},
    ),
    Change("RMSNorm", "RMSNorm in place of LayerNorm.", {"norm": "rms"}),
    Change(
        "rotary",
        "Queries and keys are turned by their positions, in place of learnt positions.",
        {"positions": "rotary"},
    ),
    Change("QK-norm", "RMSNorm of each query and each key.", {"qk_norm": True}),
    Change("ReLU²", "The square of ReLU in place of GELU.", {"activation": "relu2"}),
    Change("Muon", "Muon in place of AdamW for the matrices of the block.", {"optimizer": "muon"}),
    Change(
        "zero outputs",
        "The matrices whose products are added to the stream begin at 0.",
        {"zero_init": True},
    ),
    Change(
        "own head",
        "An output layer of its own, which begins at 0, in place of the transposed embeddings.",
        {"tied": False},
    ),
    Change(
        "wide embeddings",
        "Embeddings begin with a standard deviation of 0.3 in place of 0.02.",
        {"embedding_std": 0.3},
    ),
    Change(
        "each window once",
        "Windows side by side in a random order, in place of random places.",
        {"order": "once"},
    ),
    Change("no weight decay", "No weight decay.", {"weight_decay": 0.0}),
    Change("no clipping", "Gradients are not cut.", {"clip": None}),
    Change(
        "n-gram tables",
        "A vector for the last two characters, for the last three and for the last four is added "
        "to that of the character.",
        {"tables": (4_356, 16_384, 32_768)},
    ),
)


def ladder() -> dict[str, Settings]:
    r"""Return nanoGPT's recipe, and what it becomes with each change after those before it.

    Returns
    -------
    dict of str to Settings
        ``"nanogpt"``, then a row for each of `CHANGES`, by name; the last is the fast recipe.

    Examples
    --------
    >>> list(ladder())[:3]
    ['nanogpt', 'small model', 'short run']
    """
    rungs = {"nanogpt": Settings()}
    for change in CHANGES:
        rungs[change.name] = change.on(list(rungs.values())[-1])
    return rungs


def leave_out(name: str) -> Settings:
    r"""Return the fast recipe with one change left out.

    Parameters
    ----------
    name : str
        Of the change.

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        If no change has this name.

    Examples
    --------
    >>> leave_out("n-gram tables").tables
    ()
    """
    change = _named(name, {change.name: change for change in CHANGES})
    return change.off(RECIPES["fast"])


#: The recipes that the command knows. "plain" is the fast one without tables of n-grams, and with
#: as many steps as it needs to come as far.
RECIPES = {"nanogpt": Settings(), "fast": list(ladder().values())[-1]}
RECIPES["plain"] = dataclasses.replace(RECIPES["fast"], tables=(), steps=600)


def recipe(name: str) -> Settings:
    r"""Return the settings of a recipe.

    Parameters
    ----------
    name : {"nanogpt", "fast", "plain"}

    Returns
    -------
    Settings

    Raises
    ------
    ValueError
        If there is no such recipe.

    Examples
    --------
    >>> recipe("fast").steps
    80
    """
    return _named(name, RECIPES)


def _named(name: str, known: Mapping[str, Found]) -> Found:
    if name not in known:
        raise ValueError(f"name must be one of {[*known]}, got {name!r}{_hint(name, known)}")
    return known[name]
