"""The samplers of a live model: what their sliders stand at, and what they leave of its answer.

``web/js/live/samplers.js`` computes this in the page. Here it is computed by the package, for
where nothing can run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from companion import generation

SHOWN = 10  # tokens of which each has a row, as in sampler.js

Settings = dict[str, float | None]


@dataclass(frozen=True)
class Slider:
    """A sampler's setting.

    Parameters
    ----------
    name : str
        As in ``samplers.js``.
    values : tuple of float or None
        What can be chosen; None is no limit.
    neutral : int
        Which of them changes nothing.
    begin : int
        Where it stands at first.
    """

    name: str
    values: tuple[float | None, ...]
    neutral: int
    begin: int

    def labels(self, special: str | None) -> list[str]:
        """Return the values as they are shown; `special` names a 0, or what has no limit."""
        return [f"{value:g}" if value or special is None else special for value in self.values]


def _slider(
    name: str, *values: float | None, neutral: float | None, begin: float | None = -1
) -> Slider:
    """Return a slider that stands at its neutral value at first, unless another one is named."""
    place = values.index(neutral)
    return Slider(name, values, place, place if begin == -1 else values.index(begin))


# In the order in which they are applied, which is that of transformers.
SLIDERS = (
    _slider("penalty", 1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0, neutral=1.0),
    _slider("temperature", *(step / 10 for step in range(21)), neutral=1.0),
    _slider("k", *range(1, 13), 15, 20, 30, 50, 100, 200, None, neutral=None),
    _slider(
        "p", 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0,
        neutral=1.0, begin=0.9,
    ),
    _slider("least", 0.0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, neutral=0.0),
)  # fmt: skip


def at_first() -> Settings:
    """Return the settings with which the page begins."""
    return {slider.name: slider.values[slider.begin] for slider in SLIDERS}


def samplers(settings: Settings) -> list[generation.Sampler]:
    """Return the package's samplers for settings whose temperature is above 0."""
    penalty, temperature, p, least = (
        float(settings[name] or 0) for name in ("penalty", "temperature", "p", "least")
    )
    made: list[generation.Sampler] = [
        generation.RepetitionPenalty(penalty),
        generation.Temperature(temperature),
    ]
    if settings["k"] is not None:
        made.append(generation.TopK(int(settings["k"])))
    return [*made, generation.TopP(p), generation.MinP(least)]


def left(logits: list[float], ids: list[int], settings: Settings) -> torch.Tensor:
    """Return the probabilities (V,) that samplers leave, in float64."""
    z = torch.tensor([logits], dtype=torch.float64)
    for sampler in samplers(settings):
        z = sampler(z, [ids], [[]])
    return z[0].softmax(dim=-1)


def candidates(answer: dict[str, Any], names: list[str]) -> list[list[Any]]:
    """Return the likeliest tokens of a stored answer.

    Each stands with what the model expects, what the samplers leave at first, and the truth.
    """
    before = torch.tensor(answer["logits"], dtype=torch.float64).softmax(dim=-1)
    after = left(answer["logits"], answer["ids"], at_first())
    truth = dict(answer["truth"])
    likeliest = before.argsort(descending=True)[:SHOWN].tolist()
    return [[names[i], float(before[i]), float(after[i]), truth.get(i, 0.0)] for i in likeliest]


def uniform(seed: int, place: int) -> float:
    """Return the random number of a place in a text, from 0 to below 1, as the page has it.

    >>> uniform(0, 1) == uniform(0, 1) != uniform(0, 2)
    True
    """
    return _mixed(_mixed(seed) + place) / 2**32


def _mixed(x: int) -> int:
    """Return an integer hash of 32 bits."""
    x &= 0xFFFFFFFF
    x = (x ^ x >> 16) * 0x7FEB352D & 0xFFFFFFFF
    x = (x ^ x >> 15) * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16
