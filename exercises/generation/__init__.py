"""Exercises of the chapter *Generation*."""

from exercises import Master
from exercises.generation import (
    beam_by_hand,
    guesses_by_hand,
    may_follow,
    own_sampler,
    ragged_batch,
    second_chance,
    tokens_left,
    whole_characters,
)

# What every answer may use without importing it.
SETUP = """\
import functools
import math

import numpy as np
import torch

from companion import generation, models
"""

MASTERS: list[Master] = [
    Master(module.exercise, module.draw)
    for module in (
        tokens_left,
        beam_by_hand,
        guesses_by_hand,
        own_sampler,
        ragged_batch,
        whole_characters,
        second_chance,
        may_follow,
    )
]
EXERCISES = [master.variant() for master in MASTERS]
