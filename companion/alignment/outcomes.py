r"""All ways in which a story of Tiny World can go on, each with its exact probability.

This file adds: ``world_outcomes``.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from companion._arguments import _require_int, _require_text
from companion.tinyworld import TinyWorld, predicting
from companion.tinyworld.predicting import Place, _groups, _sentences, _told

__all__ = ["Outcomes", "world_outcomes"]


class Outcomes(NamedTuple):
    """What can follow a beginning."""

    texts: list[str]
    """The rest of the story, with the blank before it if the language has one."""
    log_probs: Float64[Tensor, " n"]
    """Exact; their exponentials add up to 1."""
    rewards: Float64[Tensor, " n"]
    """Of the whole story, by `TinyWorld.reward`."""


def world_outcomes(world: TinyWorld, beginning: str, most: int = 20_000) -> Outcomes:
    r"""Return all ways in which a story can go on.

    Parameters
    ----------
    world : TinyWorld
    beginning : str
        Whole sentences of a story in the language of this world. After five events there are
        some thousands of ways, after six, which is all that a story can have, sixteen.
    most : int
        How many ways are listed at most.

    Returns
    -------
    Outcomes

    Raises
    ------
    ValueError
        If no story begins so, the beginning ends within a sentence, the story is over, or there
        are more ways than ``most``.
    TypeError
        If an argument is of another kind.

    Examples
    --------
    >>> beginning = "One day Anna went to the lake. It began to rain. She fell and cried. "
    >>> beginning += "She sang a song. She took a nap. She sang a song. She fell and cried."
    >>> found = world_outcomes(TinyWorld(), beginning)
    >>> found.texts[0], found.rewards.unique().tolist()
    (' In the end Anna felt happy.', [-1.0, 0.0])
    """
    if not isinstance(world, TinyWorld):
        raise TypeError(f"world must be a TinyWorld, got {type(world).__name__}")
    _require_int("most", most, least=1)
    text = _require_text(beginning, "beginning").rstrip()
    texts: list[str] = []
    logs: list[float] = []
    for rest, log_prob in _walk(_place(text, world.language), "", 0.0, world.language):
        if len(texts) == most:
            raise ValueError(
                f"beginning must leave at most {most} ways to go on, the most that are listed; "
                "after more events there are fewer"
            )
        texts.append(rest)
        logs.append(log_prob)
    rewards = [world.reward(text + rest) for rest in texts]
    return Outcomes(texts, *(torch.tensor(x, dtype=torch.float64) for x in (logs, rewards)))


def _place(text: str, language: str) -> Place:
    """Return where a story stands after some whole sentences."""
    *whole, begun = predicting.AFTER_SENTENCES.split(text)
    place = Place()
    for sentence in whole:
        place = place.after(_told(sentence, place, language))
    if begun or place.hero is None or place.is_over:
        raise ValueError(
            "beginning must be one whole sentence or more of a story that is not over, "
            f"got {text[-60:]!r}"
        )
    return place


def _walk(place: Place, text: str, log_prob: float, language: str) -> Iterator[tuple[str, float]]:
    """Yield each end of the story, and its log-probability."""
    if place.is_over:
        yield text, log_prob
    for group, p in _groups(place).items():
        for sentence, (told, q) in _sentences(group, language).items():
            rest = log_prob + math.log(p) + math.log(q)
            yield from _walk(place.after(told), text + sentence, rest, language)
